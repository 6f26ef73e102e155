//! The wall clock: the world of a scenario on one pinned core, where everything takes the time it takes.
//!
//! Timers fire, frames arrive and packets are offered when they are due, or as soon after as the core gets to it; how late
//! it was is kept. Traffic is open loop: a packet's time is the one it was due at, and what was late is offered late,
//! never left out. Nothing of the world runs elsewhere yet: routers, links and traffic share the core, so its rate is
//! what all of them together can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration as Span, Instant as Wall};

use espalier_wire::{Duration, Instant};
use hdrhistogram::Histogram;

use super::pin;
use super::simulated::{Options, Pace, run_paced};
use super::topology::Topology;
use crate::live::{Core, Gauges};
use crate::measure::recording::{Recording, Schedule};
use crate::scenario::Scenario;
use crate::world::Error;

/// Sleeping is not exact: what is nearer than this is waited for by polling.
const POLLED: Span = Span::from_millis(1);
/// Lateness is told apart up to a minute.
const LATE_MAX_NS: u64 = 60_000_000_000;

/// The core that a run takes, where it can choose.
pub fn core() -> Option<usize> {
    Topology::here().cores.first().copied()
}

/// Run a scenario for as long as it lasts.
///
/// # Errors
/// As [`super::simulated::run`].
pub fn run(scenario: &Scenario, options: Options<'_>) -> Result<Recording, Error> {
    let core = core().filter(|core| pin::to_core(*core));
    let waited = Arc::new(AtomicU64::new(0));
    let mut options = options;
    if let (Some(feed), Some(core)) = (&mut options.feed, core) {
        feed.read(load(core, Arc::clone(&waited)));
    }
    run_paced(scenario, options, &mut Real { start: None, late: histogram(), core, waited })
}

/// The share of the time since the last look that the core did not wait.
fn load(core: usize, waited: Arc<AtomicU64>) -> Gauges {
    let mut last = (Instant::ZERO, 0);
    Box::new(move |now| {
        let idle = waited.load(Ordering::Relaxed);
        let (passed, waited) = ((now - last.0).as_ns().max(1), idle - last.1);
        last = (now, idle);
        (Vec::new(), vec![Core { core, busy: 1.0 - (waited as f64 / passed as f64).min(1.0) }])
    })
}

fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LATE_MAX_NS, 3).ok()
}

struct Real {
    /// When the first thing was due; until then no clock runs.
    start: Option<Wall>,
    /// How late packets were offered, in nanoseconds.
    late: Option<Histogram<u64>>,
    core: Option<usize>,
    /// Nanoseconds without anything due.
    waited: Arc<AtomicU64>,
}

impl Pace for Real {
    fn clock(&self) -> &'static str {
        "real"
    }

    fn reach(&mut self, due: Instant) -> Instant {
        let start = *self.start.get_or_insert_with(Wall::now);
        let due_in = Span::from_nanos((due - Instant::ZERO).as_ns());
        let began = start.elapsed();
        loop {
            let now = start.elapsed();
            let Some(left) = due_in.checked_sub(now).filter(|left| !left.is_zero()) else {
                self.waited.fetch_add((now - began).as_nanos() as u64, Ordering::Relaxed);
                return Instant::ZERO + Duration::from_ns(now.as_nanos() as u64);
            };
            match left.checked_sub(POLLED) {
                Some(sleep) => std::thread::sleep(sleep),
                None => std::hint::spin_loop(),
            }
        }
    }

    fn offered(&mut self, due: Instant, now: Instant) {
        if let Some(late) = &mut self.late {
            late.saturating_record((now - due).as_ns());
        }
    }

    fn schedule(&self) -> Option<Schedule> {
        let late = self.late.as_ref()?;
        let at = |quantile| late.value_at_quantile(quantile);
        let (p50_ns, p99_ns, max_ns) = (at(0.5), at(0.99), late.max());
        Some(Schedule {
            offered: late.len(),
            late_p50_ns: p50_ns,
            late_p99_ns: p99_ns,
            late_max_ns: max_ns,
            core: self.core,
        })
    }
}
