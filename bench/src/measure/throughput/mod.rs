//! Throughput of one core: packets through the whole path or through the engine alone, in samples that are interleaved
//! over all cells, so that a machine that slows down slows all of them.
//!
//! Only the dataplane is timed. Packets are made, sequence numbers given and results compared outside.

mod crypto;
mod path;

use std::time::Duration;

use espalier_dataplane::crypto::{Choice, EngineId};
use espalier_wire::Transform;
use espalier_wire::plane::Direction;
use espalier_wire::random::Random;
use schemars::JsonSchema;
use serde::Serialize;

/// Packets of a working set: it does not fit the first cache.
pub const WORKING_SET: usize = 256;

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// From parsing to transmission.
    Path,
    /// The engine on the same packets.
    Crypto,
}

impl Scope {
    const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Crypto => "crypto",
        }
    }
}

/// Sizes of inner IP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// All of one size, in bytes.
    Fixed(usize),
    /// 40, 576 and 1500 bytes, 7 : 4 : 1.
    Imix,
}

/// The simple IMIX: how many of each size in twelve.
const IMIX: [(usize, usize); 3] = [(7, 40), (4, 576), (1, 1500)];

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(bytes) => bytes.fmt(f),
            Self::Imix => f.pad("imix"),
        }
    }
}

impl Size {
    /// The sizes of a working set, in the order in which the packets come.
    pub fn packets(self, random: &mut Random) -> Vec<usize> {
        match self {
            Self::Fixed(bytes) => vec![bytes; WORKING_SET],
            Self::Imix => {
                let dozen: Vec<usize> =
                    IMIX.iter().flat_map(|(n, bytes)| std::iter::repeat_n(*bytes, *n)).collect();
                let mut sizes: Vec<usize> = dozen.iter().copied().cycle().take(WORKING_SET).collect();
                for last in (1..sizes.len()).rev() {
                    sizes.swap(last, random.below(last as u64 + 1) as usize);
                }
                sizes
            }
        }
    }
}

/// One thing to be measured.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The transform.
    pub transform: Transform,
    /// The engine.
    pub engine: EngineId,
    /// Outbound: encapsulation.
    pub direction: Direction,
    /// The inner packets.
    pub size: Size,
    /// How many SAs the packets are spread over, at random.
    pub sas: usize,
    /// Packets handed over together.
    pub burst: usize,
    /// What is timed.
    pub scope: Scope,
}

/// One look at a cell.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Sample {
    /// Seconds within the dataplane.
    pub elapsed_s: f64,
    /// Packets in them.
    pub packets: u64,
}

impl Sample {
    fn ns_per_packet(&self) -> f64 {
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
    /// Bytes of the inner IP packet, or `imix`.
    pub size: String,
    /// Owners and helpers.
    pub layout: &'static str,
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
    /// Core cycles a packet.
    pub cycles_per_packet: f64,
    /// Core cycles a byte of inner packet.
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

/// A cell that cannot be measured.
pub type Refused = String;

/// Measure all cells: `samples` looks at each, `each` long, in turn. `told` hears of each look.
///
/// # Errors
/// A transform that the engine does not cover; a result that is wrong.
pub fn measure(
    cells: &[Cell],
    samples: usize,
    each: Duration,
    core_hz: f64,
    mut told: impl FnMut(),
) -> Result<Vec<Run>, Refused> {
    let mut looks: Vec<Vec<Sample>> = vec![Vec::new(); cells.len()];
    let mut verified = vec![true; cells.len()];
    for round in 0..samples {
        for ((cell, looks), verified) in cells.iter().zip(&mut looks).zip(&mut verified) {
            let (sample, right) = look(cell, round as u64, each)?;
            looks.push(sample);
            *verified &= right;
            told();
        }
    }
    Ok(cells.iter().zip(looks).zip(verified).map(|((c, l), v)| c.run(l, v, core_hz)).collect())
}

fn look(cell: &Cell, round: u64, each: Duration) -> Result<(Sample, bool), Refused> {
    match cell.scope {
        Scope::Crypto => crypto::look(cell, round, each),
        Scope::Path => path::look(cell, round, each),
    }
}

impl Cell {
    fn run(&self, samples: Vec<Sample>, verified: bool, core_hz: f64) -> Run {
        let packets = samples.iter().map(|s| s.packets).sum();
        let mut order: Vec<f64> = samples.iter().map(Sample::ns_per_packet).collect();
        order.sort_by(f64::total_cmp);
        let ns = order.get(order.len() / 2).copied().unwrap_or_default();
        let spread = order.last().zip(order.first()).map_or(1.0, |(most, least)| most / least);
        let bytes = self.mean_bytes();
        let cycles = ns * core_hz / 1e9;
        Run {
            transform: self.transform.name(),
            engine: self.engine.name(),
            direction: match self.direction {
                Direction::Outbound => "encap",
                Direction::Inbound => "decap",
            },
            size: self.size.to_string(),
            layout: "1",
            cores: 1,
            sas: self.sas,
            burst: self.burst,
            scope: self.scope.name(),
            packets,
            pps: 1e9 / ns,
            gbps: bytes * 8.0 / ns,
            ns_per_packet: ns,
            cycles_per_packet: cycles,
            cycles_per_byte: cycles / bytes,
            pps_per_core: 1e9 / ns,
            spread,
            samples,
            verified,
        }
    }

    fn mean_bytes(&self) -> f64 {
        let sizes = self.size.packets(&mut Random::from_seed(0));
        sizes.iter().sum::<usize>() as f64 / sizes.len() as f64
    }

    fn choice(&self) -> Choice {
        Choice::Only(self.engine)
    }

    /// The key material of SA `n`.
    fn secrets(&self, n: usize) -> (Vec<u8>, Vec<u8>) {
        let mut random = Random::from_seed(n as u64).fork("bench key");
        let mut bytes = |len: usize| {
            let mut bytes = vec![0; len];
            random.fill(&mut bytes);
            bytes
        };
        (bytes(self.transform.key_len()), bytes(self.transform.auth_key_len()))
    }
}
