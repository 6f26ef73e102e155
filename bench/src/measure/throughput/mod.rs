//! Throughput of one core: packets through the whole path or through the engine alone, in samples that are interleaved
//! over all cells, so that a machine that slows down slows all of them.
//!
//! Only the dataplane is timed. Packets are made, sequence numbers given and results compared outside.

mod crypto;
mod path;

use std::time::Duration;

use espalier_wire::plane::Direction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::drive::layout::Layout;
use crate::measure::rig::Kind;
pub use crate::measure::rig::Refused;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// From parsing to transmission.
    Path,
    /// The engine on the same packets.
    Crypto,
}

impl Scope {
    /// `path` or `crypto`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Crypto => "crypto",
        }
    }
}

/// `encap` or `decap`.
pub const fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "encap",
        Direction::Inbound => "decap",
    }
}

/// One thing to be measured.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What goes through what.
    pub kind: Kind,
    /// Owners and helpers; the engine alone is one core's.
    pub layout: Layout,
    /// What is timed.
    pub scope: Scope,
    /// Packets of a working set, for each owner.
    pub set: usize,
}

/// One look at a cell.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Seconds from the first core's start to the last one's end.
    pub elapsed_s: f64,
    /// Packets in them.
    pub packets: u64,
}

impl Sample {
    /// Nanoseconds a packet.
    pub fn ns_per_packet(&self) -> f64 {
        self.elapsed_s * 1e9 / self.packets.max(1) as f64
    }
}

/// What came of a cell.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Run {
    /// The transform.
    pub transform: &'static str,
    /// What ran, never "auto".
    pub engine: &'static str,
    /// `encap` or `decap`.
    pub direction: &'static str,
    /// Bytes of the inner IP packet, `imix`, or a capture's name.
    pub size: String,
    /// Owners and helpers: `1`, `1+3`, `4x`, `2x+1`.
    pub layout: String,
    /// Cores used.
    pub cores: usize,
    /// Security associations.
    pub sas: usize,
    /// Packets handed over together.
    pub burst: usize,
    /// `path` or `crypto`.
    pub scope: &'static str,
    /// Packets of all samples.
    pub packets: u64,
    /// Packets a second, by the median sample, as is all that follows.
    pub pps: f64,
    /// Gigabits of inner packets a second.
    pub gbps: f64,
    /// Nanoseconds a packet.
    pub ns_per_packet: f64,
    /// Cycles a packet, of all cores together.
    pub cycles_per_packet: f64,
    /// Cycles a byte of inner packet, of all cores together.
    pub cycles_per_byte: f64,
    /// Packets a second and core.
    pub pps_per_core: f64,
    /// The slowest sample's time over the fastest's.
    pub spread: f64,
    /// Each sample.
    pub samples: Vec<Sample>,
    /// `path`: every packet timed was opened again by this engine and came back equal. `crypto`: before each sample its
    /// packets were sealed as `scalar` seals them and came back equal; while timed, the engine called all of them right.
    pub verified: bool,
}

/// The machine, as far as figures depend on it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Cores, best first.
    pub cores: Vec<usize>,
    /// Their cycles a second.
    pub core_hz: f64,
}

/// Measure all cells: `samples` looks at each, `each` long, in turn. `told` hears of each look.
///
/// # Errors
/// A transform that the engine does not cover; a result that is wrong.
pub fn measure(
    cells: &[Cell],
    samples: usize,
    each: Duration,
    machine: &Machine,
    mut told: impl FnMut(),
) -> Result<Vec<Run>, Refused> {
    let mut looks: Vec<Vec<Sample>> = vec![Vec::new(); cells.len()];
    let mut verified = vec![true; cells.len()];
    for round in 0..samples {
        for ((cell, looks), verified) in cells.iter().zip(&mut looks).zip(&mut verified) {
            let (sample, right) = look(cell, round as u64, each, machine)?;
            looks.push(sample);
            *verified &= right;
            told();
        }
    }
    Ok(cells.iter().zip(looks).zip(verified).map(|((c, l), v)| c.run(l, v, machine.core_hz)).collect())
}

fn look(cell: &Cell, round: u64, each: Duration, machine: &Machine) -> Result<(Sample, bool), Refused> {
    match cell.scope {
        Scope::Crypto => crypto::look(&cell.kind, cell.set, round, each),
        Scope::Path => path::look(cell, round, each, &machine.cores),
    }
}

impl Cell {
    fn run(&self, samples: Vec<Sample>, verified: bool, core_hz: f64) -> Run {
        let packets = samples.iter().map(|s| s.packets).sum();
        let mut order: Vec<f64> = samples.iter().map(Sample::ns_per_packet).collect();
        order.sort_by(f64::total_cmp);
        let ns = order.get(order.len() / 2).copied().unwrap_or_default();
        let spread = order.last().zip(order.first()).map_or(1.0, |(most, least)| most / least);
        let (kind, cores) = (&self.kind, self.layout.cores());
        let bytes = kind.size.mean();
        let cycles = ns * core_hz / 1e9 * cores as f64;
        Run {
            transform: kind.transform.name(),
            engine: kind.engine.name(),
            direction: way(kind.direction),
            size: kind.size.to_string(),
            layout: self.layout.to_string(),
            cores,
            sas: kind.sas,
            burst: kind.burst,
            scope: self.scope.name(),
            packets,
            pps: 1e9 / ns,
            gbps: bytes * 8.0 / ns,
            ns_per_packet: ns,
            cycles_per_packet: cycles,
            cycles_per_byte: cycles / bytes,
            pps_per_core: 1e9 / ns / cores as f64,
            spread,
            samples,
            verified,
        }
    }
}
