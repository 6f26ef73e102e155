//! The scenario file: what the network is made of, what it carries and what happens to it.
//!
//! Reading it checks everything that can be checked without the routers' configurations being understood; names of
//! interfaces and addresses are checked where the world is built. Nothing here runs anything.

mod builtin;
pub mod quantity;
mod read;
pub mod review;
mod set;
pub mod sketch;
mod tree;
pub mod vary;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use espalier_wire::{Duration, Instant};

use crate::place::{Mistake, Place};
pub use builtin::{BuiltIn, built_ins};
pub use set::Overlay;

/// A scenario, ready to become a world.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name: what reports and directories are called by.
    pub name: String,
    /// One line about it.
    pub about: String,
    /// The TOML file it was read from.
    pub file: Arc<str>,
    /// How long the run lasts.
    pub duration: Duration,
    /// The seed of the run.
    pub seed: u64,
    /// The routers, in file order.
    pub routers: Vec<RouterSpec>,
    /// The segments, in file order.
    pub segments: Vec<SegmentSpec>,
    /// The traffic, in file order.
    pub traffic: Vec<TrafficSpec>,
    /// The faults, by time.
    pub faults: Vec<FaultSpec>,
}

/// One router: its configuration as text, and whose defaults it has.
#[derive(Debug, Clone)]
pub struct RouterSpec {
    /// Its hostname.
    pub name: String,
    /// The configuration file's name, for diagnostics.
    pub file: String,
    /// The IOS text, overlays appended.
    pub text: String,
    /// `ios-12.3`, `ios-15` or `frr`.
    pub profile: String,
    /// Where the scenario names it.
    pub at: Place,
}

/// One LAN.
#[derive(Debug, Clone)]
pub struct SegmentSpec {
    /// Its name.
    pub name: String,
    /// Who is on it.
    pub attach: Vec<Endpoint>,
    /// How it treats frames at the start.
    pub impairment: Impairment,
    /// How long a port that came up does not forward.
    pub forward_delay: Duration,
    /// Where it stands.
    pub at: Place,
}

/// `ROUTER:INTERFACE`, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Endpoint {
    pub router: String,
    pub interface: String,
    pub at: Place,
}

/// How a segment treats the frames on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    /// From one station to another.
    pub delay: Duration,
    /// Bits per second of each port; none: infinitely fast.
    pub rate: Option<u64>,
    /// Frames that may wait for a port.
    pub queue: usize,
    /// Share of frames lost.
    pub loss: f64,
    /// Share of frames held back so that later ones overtake them.
    pub reorder: f64,
    /// Share of frames sent twice.
    pub duplicate: f64,
}

impl Default for Impairment {
    fn default() -> Self {
        Self {
            delay: Duration::from_us(50),
            rate: None,
            queue: 1000,
            loss: 0.0,
            reorder: 0.0,
            duplicate: 0.0,
        }
    }
}

/// The keys of a segment that a fault changes; what is absent stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[allow(missing_docs, reason = "the keys of `Impairment`")]
pub struct ImpairmentChange {
    pub delay: Option<Duration>,
    pub rate: Option<u64>,
    pub queue: Option<usize>,
    pub loss: Option<f64>,
    pub reorder: Option<f64>,
    pub duplicate: Option<f64>,
}

impl Impairment {
    /// With what `change` names put in place.
    pub fn changed(self, change: &ImpairmentChange) -> Self {
        Self {
            delay: change.delay.unwrap_or(self.delay),
            rate: change.rate.or(self.rate),
            queue: change.queue.unwrap_or(self.queue),
            loss: change.loss.unwrap_or(self.loss),
            reorder: change.reorder.unwrap_or(self.reorder),
            duplicate: change.duplicate.unwrap_or(self.duplicate),
        }
    }
}

/// One stream of packets.
#[derive(Debug, Clone)]
pub struct TrafficSpec {
    /// The flow's name.
    pub name: String,
    /// Where it is offered.
    pub from: Endpoint,
    /// Where it counts as delivered.
    pub to: Endpoint,
    /// What it consists of.
    pub kind: TrafficKind,
    /// When it starts.
    pub start: Instant,
    /// When it stops; none: five seconds before the end of the run.
    pub stop: Option<Instant>,
    /// Where it stands.
    pub at: Place,
}

/// What a stream consists of.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the keys of the scenario file")]
pub enum TrafficKind {
    /// UDP datagrams at a constant rate; sizes, in bytes of IP packet, are taken in turn.
    Udp { pps: f64, sizes: Vec<u16> },
    /// Echo requests at a constant rate; each that arrives is answered.
    IcmpEcho { pps: f64, sizes: Vec<u16> },
    /// A capture's packets: at its own timing times `speed`, or at a constant rate.
    Pcap { file: String, bytes: Arc<[u8]>, speed: f64, pps: Option<f64>, repeat: bool, at: Place },
}

/// One thing that happens to the network.
#[derive(Debug, Clone)]
pub struct FaultSpec {
    /// When.
    pub at: Instant,
    /// What.
    pub action: FaultAction,
    /// Where it stands.
    pub place: Place,
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the actions of the scenario file")]
pub enum FaultAction {
    Shutdown(Endpoint),
    NoShutdown(Endpoint),
    Crash(String),
    Boot(String),
    /// An orderly end and, `down` later, a cold boot.
    Reload {
        router: String,
        down: Duration,
    },
    Config {
        router: String,
        lines: String,
    },
    Cut(String),
    Restore(String),
    Impair {
        segment: String,
        change: ImpairmentChange,
    },
    ClearSa(String),
}

impl FaultAction {
    /// The action's name in files and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Shutdown(_) => "shutdown",
            Self::NoShutdown(_) => "no-shutdown",
            Self::Crash(_) => "crash",
            Self::Boot(_) => "boot",
            Self::Reload { .. } => "reload",
            Self::Config { .. } => "config",
            Self::Cut(_) => "cut",
            Self::Restore(_) => "restore",
            Self::Impair { .. } => "impair",
            Self::ClearSa(_) => "clear-sa",
        }
    }

    /// The target's name in files and JSON.
    pub fn target(&self) -> String {
        match self {
            Self::Shutdown(e) | Self::NoShutdown(e) => format!("{}:{}", e.router, e.interface),
            Self::Crash(name)
            | Self::Boot(name)
            | Self::Cut(name)
            | Self::Restore(name)
            | Self::ClearSa(name)
            | Self::Reload { router: name, .. }
            | Self::Config { router: name, .. }
            | Self::Impair { segment: name, .. } => name.clone(),
        }
    }
}

/// What a run changes in a scenario before it is built.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// `--set PATH=VALUE`, in order.
    pub set: Vec<String>,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--pcap FILE`: a capture in place of the scenario's traffic.
    pub pcap: Option<PathBuf>,
}

impl Scenario {
    /// Read the scenario `which`: a built-in's name, or a path that ends in `.toml`.
    ///
    /// # Errors
    /// The first thing that is wrong, and where.
    pub fn load(which: &str, changes: &Changes) -> Result<Self, Mistake> {
        let (files, path) = builtin::locate(which)?;
        read::scenario(&files, &path, changes)
    }
}
