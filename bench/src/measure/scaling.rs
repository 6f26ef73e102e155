//! How a transform scales over cores: measured where the machine has the cores, and beyond them a model.
//!
//! The model knows three costs, each measured by itself: what the owner does of a packet (all but the engine's part),
//! what the engine does, and what a hop over a ring adds. An owner with M helpers, which crypts what they have no room
//! for, takes for a packet
//!
//! ```text
//! max(owner + hop, (owner + crypt + hop) / (1 + M))
//! ```
//!
//! and N owners share nothing. Caches, memory and frequency that cores share are not in it: it is an upper bound, and
//! the layouts that can be measured say how far it is off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use espalier_dataplane::mem::spsc;
use schemars::JsonSchema;
use serde::Serialize;

use super::rig::{Kind, Refused, WORKING_SET};
use super::stages::profile;
use super::throughput::{self, Cell, Machine, Scope};
use crate::drive::layout::Layout;
use crate::drive::pin;

/// Hops that are kept.
const HOPS_MAX: usize = 1 << 16;
/// Looks at each layout.
const SAMPLES: usize = 5;

/// What the model is made of, in nanoseconds a packet.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Costs {
    /// Everything but the engine's part.
    pub owner_ns: f64,
    /// The engine's part.
    pub crypt_ns: f64,
    /// There and back over a ring, by the packets of a burst. Absent where there is but one core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop_ns: Option<f64>,
}

/// One layout.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Point {
    /// Owners and helpers.
    pub layout: String,
    /// Cores it takes.
    pub cores: usize,
    /// Packets a second, measured. Absent where this machine has too few cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_pps: Option<f64>,
    /// Packets a second by the model.
    pub model_pps: f64,
}

impl Costs {
    /// Packets a second by the model.
    pub fn model(&self, layout: Layout) -> f64 {
        let hop = if layout.helpers == 0 { 0.0 } else { self.hop_ns.unwrap_or(0.0) };
        let shared = (self.owner_ns + self.crypt_ns + hop) / (1 + layout.helpers) as f64;
        layout.owners as f64 * 1e9 / shared.max(self.owner_ns + hop)
    }

    /// The fewest helpers with which the owner itself is what limits; `None`: none are needed.
    pub fn saturation(&self) -> usize {
        let owner = self.owner_ns + self.hop_ns.unwrap_or(0.0);
        (((owner + self.crypt_ns) / owner).ceil() as usize).saturating_sub(1)
    }
}

/// Measure the costs, and each layout that the machine has cores for.
///
/// # Errors
/// A transform that the engine does not cover; packets that were lost or wrong.
pub fn scale(
    kind: &Kind,
    layouts: &[Layout],
    each: Duration,
    machine: &Machine,
) -> Result<(Costs, Vec<Point>), Refused> {
    let stages = profile(kind, each, machine.core_hz)?.stages;
    let engine = |stage: &str| matches!(stage, "seal" | "open");
    let sum = |engines: bool| {
        stages.iter().filter(|part| engine(part.stage) == engines).map(|part| part.ns_per_packet).sum()
    };
    let hop_ns = hop(kind.burst, &machine.cores, each);
    let costs = Costs { owner_ns: sum(false), crypt_ns: sum(true), hop_ns };
    let have = machine.cores.len();
    let set = WORKING_SET.max(kind.burst) * 4;
    let cell = |layout: &Layout| Cell { kind: kind.clone(), layout: *layout, scope: Scope::Path, set };
    let cells: Vec<Cell> = layouts.iter().filter(|layout| layout.cores() <= have).map(cell).collect();
    let runs = throughput::measure(&cells, SAMPLES, each / SAMPLES as u32, machine, || ())?;
    if let Some(wrong) = runs.iter().find(|run| !run.verified) {
        return Err(format!("{} by {}: results are wrong", wrong.transform, wrong.engine));
    }
    let point = |layout: &Layout| {
        let name = layout.to_string();
        let measured_pps = runs.iter().find(|run| run.layout == name).map(|run| run.pps);
        Point { layout: name, cores: layout.cores(), measured_pps, model_pps: costs.model(*layout) }
    };
    Ok((costs, layouts.iter().map(point).collect()))
}

/// What a packet's way to another core and back costs its owner, in nanoseconds: the median over boxes of `burst` packets,
/// one after the other, two at a time.
fn hop(burst: usize, cores: &[usize], each: Duration) -> Option<f64> {
    let [here, there, ..] = *cores else { return None };
    let ((mut to, mut inward), (mut outward, mut from)) = (spsc::<Vec<u64>>(2), spsc(2));
    let stop = AtomicBool::new(false);
    let ns = thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            pin::to_core(there);
            while !stop.load(Ordering::Acquire) {
                if let Some(parcel) = inward.pop() {
                    let _ = outward.push(parcel);
                }
            }
        });
        pin::to_core(here);
        let mut parcels = vec![Box::new(vec![0; burst]), Box::new(vec![0; burst])];
        let (start, mut hops) = (Instant::now(), Vec::with_capacity(HOPS_MAX));
        while start.elapsed() < each / 4 {
            for _ in 0..64 {
                // Only what the owner does counts: it never waits for the other core.
                let begun = Instant::now();
                if let Some(parcel) = parcels.pop()
                    && let Err(back) = to.push(parcel)
                {
                    parcels.push(back);
                }
                let back = from.pop();
                if back.is_some() && hops.len() < HOPS_MAX {
                    hops.push(begun.elapsed().as_nanos() as f64);
                }
                parcels.extend(back);
            }
        }
        stop.store(true, Ordering::Release);
        hops.sort_by(f64::total_cmp);
        hops.get(hops.len() / 2).copied()
    });
    Some(ns? / burst.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_help_until_the_owner_is_full() {
        let costs = Costs { owner_ns: 20.0, crypt_ns: 100.0, hop_ns: Some(5.0) };
        let pps = |text: &str| costs.model(text.parse().unwrap()).round();
        assert_eq!(pps("1"), (1e9_f64 / 120.0).round());
        assert_eq!(pps("1+1"), (2e9_f64 / 125.0).round());
        assert_eq!((pps("1+4"), pps("1+9")), (4e7, 4e7));
        assert_eq!(pps("3x"), (3e9_f64 / 120.0).round());
        assert_eq!(costs.saturation(), 4);
    }
}
