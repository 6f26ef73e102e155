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

/// What runs differ in besides transform, engine, direction, size and layout: only then is it said of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Varied {
    pub(super) sas: bool,
    pub(super) burst: bool,
}

impl Varied {
    pub(super) fn of(runs: &[Run]) -> Self {
        let differ = |of: fn(&Run) -> usize| runs.windows(2).any(|pair| of(&pair[0]) != of(&pair[1]));
        Self { sas: differ(|run| run.sas), burst: differ(|run| run.burst) }
    }
}

/// A table: a block for each transform, its lines in the order in which they were asked for.
pub fn text(document: &Document) -> String {
    let mut text = String::new();
    let Some(first) = document.runs.first() else { return text };
    let varied = Varied::of(&document.runs);
    let what = match first.scope {
        "crypto" => "the engine alone",
        _ => "the whole path, parse to transmit",
    };
    let _ = write!(text, "{what}; cores at {:.2} GHz", document.manifest.core_hz / 1e9);
    if !varied.burst {
        let _ = write!(text, ", bursts of {}", first.burst);
    }
    if !varied.sas {
        let _ = write!(text, ", {} SA", first.sas);
    }
    text.push('\n');
    let mut transform = "";
    for run in &document.runs {
        if run.transform != transform {
            transform = run.transform;
            let ios = transform.parse::<Transform>().map_or("", Transform::ios);
            let _ = writeln!(text, "\n{transform}  ({ios})");
            heads(&mut text, varied);
        }
        line(&mut text, run, varied);
    }
    text
}

fn heads(text: &mut String, varied: Varied) {
    let _ = write!(text, "  {:<9}{:<7}{:<6}{:>6}", "engine", "", "cores", "bytes");
    if varied.sas {
        let _ = write!(text, "{:>9}", "SAs");
    }
    if varied.burst {
        let _ = write!(text, "{:>7}{:>10}", "burst", "us/burst");
    }
    let _ = write!(text, "{:>11}{:>10}{:>9}", "ns/packet", "Mpps", "Gbit/s");
    let _ = writeln!(text, "{:>11}{:>11}{:>9}", "cycles/pkt", "cycles/B", "spread");
}

fn line(text: &mut String, run: &Run, varied: Varied) {
    let _ = write!(text, "  {:<9}{:<7}{:<6}{:>6}", run.engine, run.direction, run.layout, run.size);
    if varied.sas {
        let _ = write!(text, "{:>9}", run.sas);
    }
    if varied.burst {
        // What a packet waits for at the least: its whole burst leaves together.
        let _ = write!(text, "{:>7}{:>10.2}", run.burst, run.burst as f64 * run.ns_per_packet / 1e3);
    }
    let _ = write!(text, "{:>11.1}{:>10.3}{:>9.3}", run.ns_per_packet, run.pps / 1e6, run.gbps);
    let _ = write!(text, "{:>11.0}{:>11.2}{:>8.2}x", run.cycles_per_packet, run.cycles_per_byte, run.spread);
    text.push_str(if run.verified { "\n" } else { "  WRONG\n" });
}
