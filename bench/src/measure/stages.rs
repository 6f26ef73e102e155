//! Where the time of a packet goes: stamps at the end of each stage of a batch, their own cost measured and taken off.
//!
//! The sum of the stages is held against rounds that nobody watches, made in turn with those that are watched.

use std::time::{Duration, Instant};

use espalier_dataplane::batch::Batch;
use espalier_dataplane::watch::{Stage, Unwatched, Watch};
use schemars::JsonSchema;
use serde::Serialize;

use super::rig::{Kind, Refused, Rig, WORKING_SET};

/// One stage's part.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Part {
    /// `classify`, `look-up`, `prepare`, `seal` or `open`, `finish`.
    pub stage: &'static str,
    /// Nanoseconds a packet.
    pub ns_per_packet: f64,
    /// Core cycles a packet.
    pub cycles_per_packet: f64,
    /// Of the sum of all stages, 0 to 1.
    pub share: f64,
}

/// What a packet costs, and where.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Nanoseconds a packet when nobody watches: the median of all rounds.
    pub total_ns: f64,
    /// The stages, in the order a batch goes through them.
    pub stages: Vec<Part>,
    /// The stages' sum over the total, which was measured apart.
    pub explained: f64,
    /// What one stamp costs, in nanoseconds; it is taken off already.
    pub stamp_ns: f64,
    /// Hardware counters of the CPU: `n/a` where the kernel gives none.
    pub hardware_counters: &'static str,
    /// Whether all packets came out right.
    pub verified: bool,
}

/// Time stamps of one round.
struct Stamps<'a> {
    clock: &'a quanta::Clock,
    last: u64,
    /// Raw ticks of each stage, in the order of [`Stage::ALL`], and how many stamps ended them.
    ticks: [u64; Stage::ALL.len()],
    count: [u64; Stage::ALL.len()],
}

impl Watch for Stamps<'_> {
    #[inline(always)]
    fn passed(&mut self, stage: Stage) {
        let now = self.clock.raw();
        let at = stage as usize;
        if let (Some(ticks), Some(count)) = (self.ticks.get_mut(at), self.count.get_mut(at)) {
            *ticks += now.wrapping_sub(self.last);
            *count += 1;
        }
        self.last = now;
    }
}

/// What a stamp costs, in raw ticks: the fastest of many rows of them, with nothing between.
fn stamp_cost(clock: &quanta::Clock) -> f64 {
    const ROW: u64 = 256;
    let row = |_| {
        let mut stamps = Stamps { clock, last: clock.raw(), ticks: [0; 5], count: [0; 5] };
        let start = stamps.last;
        (0..ROW).for_each(|_| std::hint::black_box(&mut stamps).passed(Stage::Crypt));
        stamps.last.wrapping_sub(start)
    };
    (0..64).map(row).min().unwrap_or(0) as f64 / ROW as f64
}

/// Look at a kind of packet for about `each`.
///
/// # Errors
/// A transform that the engine does not cover; packets that were lost.
pub fn profile(kind: &Kind, each: Duration, core_hz: f64) -> Result<Profile, Refused> {
    let clock = quanta::Clock::new();
    let stamp = stamp_cost(&clock);
    let mut rig = Rig::new(kind, WORKING_SET, 0)?;
    let (mut unwatched, mut watched) = (Vec::new(), Vec::new());
    let (mut verified, mut spent) = (true, Duration::ZERO);
    while spent < each || watched.len() < 8 {
        let mut batches = rig.load();
        let start = Instant::now();
        rig.run(&mut batches, &mut Unwatched);
        let took = start.elapsed();
        unwatched.push(took.as_nanos() as f64);
        verified &= rig.check()?;
        let (round, took) = watch(&mut rig, &clock, stamp);
        watched.push(round);
        verified &= rig.check()?;
        spent += took;
    }
    let packets = rig.len() as f64;
    let total_ns = median(&mut unwatched) / packets;
    let names = Stage::ALL.map(|stage| name(stage, kind));
    let ns: Vec<f64> = (0..names.len())
        .map(|at| {
            let mut ticks: Vec<f64> = watched.iter().map(|round: &[f64; 5]| round[at]).collect();
            clock.delta_as_nanos(0, median(&mut ticks) as u64) as f64 / packets
        })
        .collect();
    let sum: f64 = ns.iter().sum();
    let part = |(stage, ns): (&'static str, &f64)| Part {
        stage,
        ns_per_packet: *ns,
        cycles_per_packet: ns * core_hz / 1e9,
        share: ns / sum,
    };
    let stages = names.into_iter().zip(&ns).map(part).collect();
    let stamp_ns = clock.delta_as_nanos(0, (stamp * 1000.0) as u64) as f64 / 1000.0;
    let (explained, hardware_counters) = (sum / total_ns, crate::drive::counters::there());
    Ok(Profile { total_ns, stages, explained, stamp_ns, hardware_counters, verified })
}

/// A watched round: ticks of each stage without its stamps, and how long it took.
fn watch(rig: &mut Rig, clock: &quanta::Clock, stamp: f64) -> ([f64; 5], Duration) {
    let mut batches: Vec<Batch> = rig.load();
    let start = Instant::now();
    let mut stamps = Stamps { clock, last: clock.raw(), ticks: [0; 5], count: [0; 5] };
    rig.run(&mut batches, &mut stamps);
    let took = start.elapsed();
    let mut net = [0.0; 5];
    for ((net, ticks), count) in net.iter_mut().zip(stamps.ticks).zip(stamps.count) {
        *net = (ticks as f64 - count as f64 * stamp).max(0.0);
    }
    (net, took)
}

fn name(stage: Stage, kind: &Kind) -> &'static str {
    use espalier_wire::plane::Direction;
    match (stage, kind.direction) {
        (Stage::Crypt, Direction::Outbound) => "seal",
        (Stage::Crypt, Direction::Inbound) => "open",
        (stage, _) => stage.name(),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
