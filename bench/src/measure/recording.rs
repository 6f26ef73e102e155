//! Everything one run left behind, as it happened. Figures are made from it and from nothing else.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_control::event;
use espalier_wire::plane::SaSpec;
use espalier_wire::{Duration, Instant};
use schemars::JsonSchema;
use serde::Serialize;

use super::ledger::Ledger;
use super::topology::{InterfaceFigure, Path};
use crate::wireshark::IkeKey;

/// A router or a segment: a place in [`Recording::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

/// A fault that struck.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Struck {
    pub at: Instant,
    /// As the scenario calls it: `shutdown`, `crash` …
    pub action: &'static str,
    /// What it struck, as the scenario names it.
    pub target: String,
    pub node: NodeId,
}

/// An event of a router.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Happened {
    pub at: Instant,
    pub node: NodeId,
    pub event: event::Event,
}

/// The answer to a `show` command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Shown {
    pub at: Instant,
    pub router: String,
    pub command: String,
    pub text: String,
}

/// How traffic kept its times under the wall clock: the achieved schedule against the intended one, and what the cores
/// did meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Schedule {
    /// Packets that were due.
    pub intended: u64,
    /// Packets offered: fewer where the world's core did not get to the rest before the end.
    pub offered: u64,
    /// How late, in nanoseconds: the median.
    pub late_p50_ns: u64,
    /// The 99th percentile.
    pub late_p99_ns: u64,
    /// The most.
    pub late_max_ns: u64,
    /// Packets that may be under way to another core and back.
    pub ring: usize,
    /// By core; the last is the world's.
    pub cores: Vec<CoreShare>,
}

/// One core of a run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CoreShare {
    /// Its number; absent where threads cannot be pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core: Option<usize>,
    /// The routers whose dataplanes it had; `world`: control planes, traffic, segments, and the other dataplanes.
    pub does: Vec<String>,
    /// The share of the run in which it had work.
    pub busy: f64,
    /// Packets its dataplanes were given; of the world's core not counted.
    pub packets: u64,
    /// Of them lost because the ring to it was full.
    pub ring_full: u64,
    /// The most packets that were under way to it and back.
    pub ring_deepest: usize,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The scenario's name.
    pub scenario: String,
    /// What it says of itself.
    pub about: String,
    /// Its seed.
    pub seed: u64,
    /// How long it lasted.
    pub duration: Duration,
    /// `virtual` or `real`.
    pub clock: &'static str,
    /// How its traffic kept its times; of virtual time no question.
    pub schedule: Option<Schedule>,
    /// The routers in file order, then the segments.
    pub nodes: Vec<String>,
    /// How many of them are routers.
    pub routers: usize,
    /// Who is attached to each segment.
    pub attached: Vec<Vec<String>>,
    /// By router, its interfaces by index.
    pub interfaces: Vec<Vec<InterfaceFigure>>,
    /// Where each traffic begins and ends.
    pub paths: Vec<Path>,
    /// Where each flow's packets go, by its name.
    pub destinations: BTreeMap<String, Ipv4Addr>,
    /// The books.
    pub ledger: Ledger,
    /// What struck, by time.
    pub faults: Vec<Struck>,
    /// What the routers said, by time.
    pub events: Vec<Happened>,
    /// What `show` answered.
    pub shows: Vec<Shown>,
    /// Every SA there was.
    pub sas: Vec<SaSpec>,
    /// Every phase 1 key.
    pub ike_keys: Vec<IkeKey>,
    /// SHA-256 over every frame on every segment: its time, its sender, its bytes. Virtual time only.
    pub digest: Option<[u8; 32]>,
    /// What the checkers found wrong: the run fails when there is anything.
    pub violations: Vec<String>,
    /// Packets of captures that were no IPv4, and were left out.
    pub skipped: u64,
}
