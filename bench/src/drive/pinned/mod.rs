//! The wall clock: the world of a scenario on pinned cores, where everything takes the time it takes.
//!
//! ```text
//! last core:   control planes, traffic, segments, books   and the dataplanes that no other core has
//!                 │ ▲
//!   parcels of frames, by rings                           commands and routers' own packets by a lane that goes first
//!                 ▼ │
//! other cores: the dataplanes of the gateways             each of them commands first, then a parcel, then what is due
//! ```
//!
//! Timers fire, frames arrive and packets are offered when they are due, or as soon after as a core gets to it; how late
//! it was is kept. Traffic is open loop: a packet's time is the one it was due at, and what was late is offered late. A
//! packet that finds its ring full is lost there, to `ring-full` at the router it was for: nobody waits for room. Frames
//! move in runs (see [`crate::world::carry`]), which are as long as the cores are late.
//!
//! Who has nothing to do polls, then yields its core between polls, then sleeps between polls: other cores after 50 ms, the
//! world's when nothing is due soon and nobody has anything of it.

mod desk;
mod gauge;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration as Span, Instant as Wall};

use espalier_wire::{Duration, Instant};
use hdrhistogram::Histogram;

use super::pin;
use super::run::Run;
use super::simulated::Options;
use super::topology::Topology;
use crate::live::{self, Feed};
use crate::measure::recording::{CoreShare, Recording, Schedule};
use crate::scenario::Scenario;
use crate::world::carry::RUN_MAX;
use crate::world::{Error, World};
use desk::Back;
pub use gauge::{CoreStatus, Gauges, Status};

/// Sleeping is not exact: what is nearer than this is waited for by polling.
const POLLED: Span = Span::from_millis(1);
/// How often in vain is looked for work before the core is offered to others.
const SPINS: u32 = 2000;
/// Lateness is told apart up to a minute.
const LATE_MAX_NS: u64 = 60_000_000_000;
/// So many arrivals or returns, then it is somebody else's turn.
const TURN: usize = 32;
/// How long after the end is waited for what other cores have.
const GRACE: Span = Span::from_secs(2);
/// Traffic that is faster than this is left out of captures: no disk keeps up with it for long.
const CAPTURED_PPS: u64 = 20_000;

/// How a run under the wall clock is laid out.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Cores, best first; the last has the world. Empty: whatever core the thread is on.
    pub cores: Vec<usize>,
    /// How many packets may be under way to each other core and back.
    pub ring: usize,
    /// What whoever looks on may read at any time.
    pub gauges: Arc<Gauges>,
}

/// Packets that a ring holds where nothing else is asked: 16 ms of a million a second.
pub const RING: usize = 16_384;

impl Layout {
    /// On the cores of this machine.
    pub fn here(ring: usize) -> Self {
        let cores = Topology::here().cores;
        let gauges = Arc::new(Gauges::new(&cores, ring));
        Self { cores, ring, gauges }
    }
}

/// Run a scenario for as long as it lasts. What is pinned are threads of the run's own: the caller's stays as it is.
///
/// # Errors
/// As [`super::simulated::run`].
pub fn run(scenario: &Scenario, options: Options<'_>, layout: &Layout) -> Result<Recording, Error> {
    let ran = thread::scope(|scope| scope.spawn(|| run_here(scenario, options, layout)).join());
    ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The core of the world, where it can be chosen.
pub fn core() -> Option<usize> {
    Topology::here().cores.last().copied()
}

/// What whoever looks on sees of rings and cores.
fn told(gauges: Arc<Gauges>) -> live::Readout {
    let (mut last, mut before) = (Instant::ZERO, gauges.snapshot());
    Box::new(move |now| {
        let status = gauges.snapshot();
        let passed = (now - last).as_ns().max(1) as f64;
        let busy = |(now, before): (&CoreStatus, &CoreStatus)| {
            let busy = (now.busy_ns - before.busy_ns) as f64 / passed;
            Some(live::Core { core: now.core?, busy: busy.min(1.0) })
        };
        let cores = status.cores.iter().zip(&before.cores).filter_map(busy).collect();
        let away = status.cores.len().saturating_sub(1);
        let ring = |core: &CoreStatus| live::Ring {
            name: core.core.map_or_else(String::new, |n| format!("core {n}")),
            depth: core.depth,
            capacity: status.ring,
        };
        let rings = status.cores.iter().take(away).map(ring).collect();
        (last, before) = (now, status);
        (rings, cores)
    })
}

/// The world on this thread, its other cores beside it.
fn run_here(scenario: &Scenario, mut options: Options<'_>, layout: &Layout) -> Result<Recording, Error> {
    let mut feed = options.feed.take();
    if let Some(feed) = &mut feed {
        feed.read(told(Arc::clone(&layout.gauges)));
    }
    let mut run = Run::new(scenario, options)?;
    let intended = run.world.sources.iter().map(crate::world::traffic::Source::intended).sum();
    run.world.in_runs();
    if intended as f64 / scenario.duration.as_s().max(1.0) > CAPTURED_PPS as f64 {
        run.world.capture_control_only();
    }
    let (stop, clock) = (AtomicBool::new(false), Clock { start: Wall::now() });
    let others = layout.cores.len().saturating_sub(1);
    let places = places(&run.world, others);
    let (back, desks) = desk::set_up(&mut run.world, &places, layout, clock);
    let pinned = layout.cores.last().copied().filter(|core| pin::to_core(*core));
    thread::scope(|scope| {
        for (desk, core) in desks.into_iter().zip(&layout.cores) {
            let stop = &stop;
            scope.spawn(move || {
                pin::to_core(*core);
                desk.work(stop);
            });
        }
        // Also when something panics: the desks must not keep the scope open.
        let _stop = StopAtEnd(&stop);
        let late = Histogram::new_with_bounds(1, LATE_MAX_NS, 3).ok();
        let mut world = Pinned { run, back, clock, late, busy: layout.gauges.core(others), feed };
        world.through(Instant::ZERO + scenario.duration)?;
        let schedule = world.schedule(intended, &places, layout, pinned);
        world.run.end("real", schedule)
    })
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The routers whose dataplanes each of `others` cores has: the gateways in turn, and all others where that leaves
/// cores idle.
fn places(world: &World, others: usize) -> Vec<Vec<usize>> {
    let mut places = vec![Vec::new(); others];
    let (gateways, rest): (Vec<usize>, Vec<usize>) = (0..world.routers()).partition(|n| world.is_gateway(*n));
    let rest = if others > gateways.len() { rest } else { Vec::new() };
    for (turn, node) in gateways.into_iter().chain(rest).enumerate() {
        if let Some(place) = turn.checked_rem(others).and_then(|at| places.get_mut(at)) {
            place.push(node);
        }
    }
    places
}

/// The time of the run on every core.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: Wall,
}

impl Clock {
    fn now(self) -> Instant {
        Instant::ZERO + Duration::from_ns(self.start.elapsed().as_nanos() as u64)
    }
}

/// The thread of the world.
struct Pinned<'a> {
    run: Run<'a>,
    back: Vec<Back>,
    clock: Clock,
    /// How late packets were offered, in nanoseconds.
    late: Option<Histogram<u64>>,
    busy: Option<&'a gauge::Gauge>,
    /// Whoever looks on.
    feed: Option<Feed>,
}

impl Pinned<'_> {
    /// From the beginning to the end.
    fn through(&mut self, end: Instant) -> Result<(), Error> {
        let mut idle = 0;
        loop {
            let now = self.clock.now();
            if now > end {
                return self.drain(now);
            }
            if let Some(feed) = &mut self.feed {
                feed.look(now, &self.run.world);
            }
            let worked = self.control(now)? | self.returns()? | self.arrivals()? | self.traffic()?;
            if let (true, Some(gauge)) = (worked, self.busy) {
                gauge.worked(now, self.clock.now());
            }
            if self.back.iter().any(|back| back.is_cut) {
                // Whoever joins that thread says why.
                return Ok(());
            } else if worked {
                idle = 0;
            } else if idle < SPINS {
                idle += 1;
                std::hint::spin_loop();
            } else {
                self.rest(now);
            }
        }
    }

    /// Control planes come first: a flood of traffic must not make their timers late.
    fn control(&mut self, now: Instant) -> Result<bool, Error> {
        let mut worked = false;
        while let Some((_, next)) = self.run.next_of_control().filter(|(due, _)| *due <= now) {
            worked = true;
            self.run.step(self.clock.now(), next, 1, |_| {})?;
        }
        Ok(worked)
    }

    /// Parcels that are back from other cores.
    fn returns(&mut self) -> Result<bool, Error> {
        let mut worked = false;
        for at in 0..self.back.len() {
            for _ in 0..TURN {
                let Some(parcel) = self.back.get_mut(at).and_then(Back::take) else { break };
                worked = true;
                self.run.world.returned(self.clock.now(), parcel);
                self.run.happened()?;
            }
        }
        Ok(worked)
    }

    /// Frames that have crossed their segment.
    fn arrivals(&mut self) -> Result<bool, Error> {
        for turn in 0..TURN {
            let now = self.clock.now();
            let Some((_, next)) = self.run.next_of_heap().filter(|(due, _)| *due <= now) else {
                return Ok(turn > 0);
            };
            self.run.step(now, next, 1, |_| {})?;
        }
        Ok(true)
    }

    /// A run of packets that are due.
    fn traffic(&mut self) -> Result<bool, Error> {
        let now = self.clock.now();
        let Some((_, next)) = self.run.next_of_traffic().filter(|(due, _)| *due <= now) else {
            return Ok(false);
        };
        let late = &mut self.late;
        let told = |due: Instant| {
            if let Some(late) = late {
                late.saturating_record((now - due).as_ns());
            }
        };
        self.run.step(now, next, RUN_MAX, told)?;
        Ok(true)
    }

    /// Nothing to do, for a while.
    fn rest(&mut self, now: Instant) {
        let soon = [self.run.next_of_heap(), self.run.next_of_control(), self.run.next_of_traffic()];
        let soon = soon.into_iter().flatten().map(|(due, _)| due).min();
        let left = soon.map_or(POLLED * 2, |due| Span::from_nanos((due.max(now) - now).as_ns()));
        match left.checked_sub(POLLED).filter(|_| self.back.iter().all(Back::is_idle)) {
            // Another core may have a timer of its own meanwhile: what it says then waits no longer than this.
            Some(sleep) => thread::sleep(sleep.min(POLLED)),
            None => thread::yield_now(),
        }
    }

    /// The run is over: take in what other cores still have.
    fn drain(&mut self, now: Instant) -> Result<(), Error> {
        let until = now + Duration::from_ns(GRACE.as_nanos() as u64);
        while !self.back.iter().all(Back::is_idle) && self.clock.now() < until {
            if !self.returns()? {
                thread::yield_now();
            }
        }
        if let Some(feed) = self.feed.take() {
            feed.close(now, &self.run.world);
        }
        Ok(())
    }

    /// How the traffic kept its times, and what the cores did.
    fn schedule(
        &self,
        intended: u64,
        places: &[Vec<usize>],
        layout: &Layout,
        pinned: Option<usize>,
    ) -> Option<Schedule> {
        let late = self.late.as_ref()?;
        let at = |quantile| late.value_at_quantile(quantile);
        let status = layout.gauges.snapshot();
        let names = self.run.world.names();
        let named = |nodes: &Vec<usize>| nodes.iter().filter_map(|n| names.get(*n).cloned()).collect();
        let own = vec!["world".to_owned()];
        let does = places.iter().map(named).chain([own]);
        let share = |(core, does): (&CoreStatus, Vec<String>)| CoreShare {
            core: pinned.and(core.core),
            does,
            busy: core.busy_ns as f64 / self.clock.now().as_ns().max(1) as f64,
            packets: core.packets,
            ring_full: core.ring_full,
            ring_deepest: core.deepest,
        };
        Some(Schedule {
            intended,
            offered: late.len(),
            late_p50_ns: at(0.5),
            late_p99_ns: at(0.99),
            late_max_ns: late.max(),
            ring: layout.ring,
            cores: status.cores.iter().zip(does).map(share).collect(),
        })
    }
}
