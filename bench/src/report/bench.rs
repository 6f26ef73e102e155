//! The figures of `espalier bench`: `espalier.bench/1`, and a table for reading.

use std::fmt::Write as _;

use espalier_wire::Transform;
use schemars::JsonSchema;
use serde::Serialize;

use crate::manifest::Manifest;
use crate::measure::throughput::Run;

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.bench/1";

/// All that was measured, and under which conditions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `espalier.bench/1`.
    pub schema: &'static str,
    /// One for each transform, engine, size and direction.
    pub runs: Vec<Run>,
    /// Under which conditions.
    pub manifest: BenchManifest,
}

/// The conditions, and what cycles were counted by.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BenchManifest {
    /// As everywhere.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// The core that measured; absent where threads cannot be pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_core: Option<usize>,
    /// The core's cycles a second, by a chain of multiplications.
    pub core_hz: f64,
}

impl Document {
    /// What was measured here and now. `manifest` is made before the thread is pinned: a pinned one sees only its own core.
    pub fn new(runs: Vec<Run>, manifest: Manifest, pinned_core: Option<usize>, core_hz: f64) -> Self {
        let manifest = BenchManifest { manifest, pinned_core, core_hz };
        Self { schema: SCHEMA, runs, manifest }
    }
}

/// A table: a block for each transform, its lines in the order in which they were asked for.
pub fn text(document: &Document) -> String {
    let mut text = String::new();
    let ghz = document.manifest.core_hz / 1e9;
    let Some(first) = document.runs.first() else { return text };
    let what = match first.scope {
        "crypto" => "the engine alone",
        _ => "the whole path, parse to transmit",
    };
    let _ = writeln!(text, "{what}; cores at {ghz:.2} GHz, bursts of {}, {} SA", first.burst, first.sas);
    let mut transform = "";
    for run in &document.runs {
        if run.transform != transform {
            transform = run.transform;
            let ios = transform.parse::<Transform>().map_or("", Transform::ios);
            let _ = writeln!(text, "\n{transform}  ({ios})");
            let _ = writeln!(
                text,
                "  {:<9}{:<7}{:<6}{:>6}{:>11}{:>10}{:>9}{:>11}{:>11}{:>9}",
                "engine",
                "",
                "cores",
                "bytes",
                "ns/packet",
                "Mpps",
                "Gbit/s",
                "cycles/pkt",
                "cycles/B",
                "spread"
            );
        }
        let _ = writeln!(
            text,
            "  {:<9}{:<7}{:<6}{:>6}{:>11.1}{:>10.3}{:>9.3}{:>11.0}{:>11.2}{:>8.2}x{}",
            run.engine,
            run.direction,
            run.layout,
            run.size,
            run.ns_per_packet,
            run.pps / 1e6,
            run.gbps,
            run.cycles_per_packet,
            run.cycles_per_byte,
            run.spread,
            if run.verified { "" } else { "  WRONG" }
        );
    }
    text
}
