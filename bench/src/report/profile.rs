//! Where the time of a packet goes: `espalier.profile/1`, a table, and lines for flame graphs.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::bench::BenchManifest;
use crate::measure::rig::Kind;
use crate::measure::stages::{Part, Profile};
use crate::measure::throughput::way;

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.profile/1";

/// One profile, and under which conditions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `espalier.profile/1`.
    pub schema: &'static str,
    /// The transform.
    pub transform: &'static str,
    /// The engine, never "auto".
    pub engine: &'static str,
    /// `encap` or `decap`.
    pub direction: &'static str,
    /// Bytes of the inner IP packet, or `imix`.
    pub size: String,
    /// Security associations.
    pub sas: usize,
    /// Packets handed over together.
    pub burst: usize,
    /// Nanoseconds a packet, measured without stamps.
    pub total_ns: f64,
    /// Core cycles a packet.
    pub total_cycles: f64,
    /// All but the engine's part, in nanoseconds.
    pub path_ns: f64,
    /// The stages' sum over the total.
    pub explained: f64,
    /// The stages, in order.
    pub stages: Vec<Part>,
    /// Bytes of ESP a packet, SPI to ICV.
    pub esp_bytes: f64,
    /// Cache lines of frame that hold the finished ESP packet with its outer headers.
    pub frame_lines: f64,
    /// What a stamp costs, in nanoseconds; taken off already.
    pub stamp_ns: f64,
    /// Hardware counters of the CPU: `n/a` where the kernel gives none.
    pub hardware_counters: &'static str,
    /// Every packet came out right.
    pub verified: bool,
    /// Under which conditions.
    pub manifest: BenchManifest,
}

impl Document {
    /// Of a profile.
    pub fn new(kind: &Kind, profile: Profile, manifest: BenchManifest) -> Self {
        let sizes = kind.size.packets(256, &mut espalier_wire::random::Random::from_seed(0));
        let mean = |of: &dyn Fn(usize) -> usize| {
            sizes.iter().map(|size| of(*size) as f64).sum::<f64>() / sizes.len().max(1) as f64
        };
        let sealed = |size| kind.transform.sealed_len(size);
        let engine: f64 = profile
            .stages
            .iter()
            .filter(|p| matches!(p.stage, "seal" | "open"))
            .map(|p| p.ns_per_packet)
            .sum();
        let sum: f64 = profile.stages.iter().map(|p| p.ns_per_packet).sum();
        Self {
            schema: SCHEMA,
            transform: kind.transform.name(),
            engine: kind.engine.name(),
            direction: way(kind.direction),
            size: kind.size.to_string(),
            sas: kind.sas,
            burst: kind.burst,
            total_ns: profile.total_ns,
            total_cycles: profile.total_ns * manifest.core_hz / 1e9,
            path_ns: sum - engine,
            explained: profile.explained,
            stages: profile.stages,
            esp_bytes: mean(&sealed),
            // Ethernet and the outer IPv4 header come before it.
            frame_lines: mean(&|size| (34 + sealed(size)).div_ceil(64)),
            stamp_ns: profile.stamp_ns,
            hardware_counters: profile.hardware_counters,
            verified: profile.verified,
            manifest,
        }
    }

    /// Lines that flame graph programs read: stack, then picoseconds.
    pub fn folded(&self) -> String {
        let mut text = String::new();
        for part in &self.stages {
            let stack = format!("{};{};{};{}", self.transform, self.direction, self.size, part.stage);
            let _ = writeln!(text, "{stack} {:.0}", part.ns_per_packet * 1000.0);
        }
        text
    }
}

/// A table, with bars.
pub fn text(document: &Document) -> String {
    const WIDE: f64 = 40.0;
    let mut text = String::new();
    let d = document;
    let _ = writeln!(
        text,
        "{} by {}, {} of {} bytes, {} SA, bursts of {}: {:.1} ns, {:.0} cycles a packet\n",
        d.transform, d.engine, d.direction, d.size, d.sas, d.burst, d.total_ns, d.total_cycles
    );
    let _ = writeln!(text, "  {:<10}{:>10}{:>10}{:>8}", "stage", "ns/packet", "cycles", "share");
    for part in &d.stages {
        let bar = "█".repeat((part.share * WIDE).round() as usize);
        let _ = writeln!(
            text,
            "  {:<10}{:>10.1}{:>10.0}{:>7.1}%  {bar}",
            part.stage,
            part.ns_per_packet,
            part.cycles_per_packet,
            part.share * 100.0
        );
    }
    let _ = writeln!(
        text,
        "\n  all but the engine {:.1} ns; the stages explain {:.1}% of the total, measured without stamps ({:.1} ns each)",
        d.path_ns,
        d.explained * 100.0,
        d.stamp_ns
    );
    let _ = writeln!(
        text,
        "  {:.0} bytes of ESP in {:.1} cache lines of frame a packet; hardware counters: {}",
        d.esp_bytes, d.frame_lines, d.hardware_counters
    );
    text
}
