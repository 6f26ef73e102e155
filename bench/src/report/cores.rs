//! Scaling over cores: `espalier.cores/1`, and a table.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::bench::BenchManifest;
use crate::measure::scaling::{Costs, Point};

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.cores/1";

/// All transforms, and under which conditions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `espalier.cores/1`.
    pub schema: &'static str,
    /// `encap` or `decap`.
    pub direction: &'static str,
    /// Bytes of the inner IP packet, or `imix`.
    pub size: String,
    /// Packets handed over together.
    pub burst: usize,
    /// One for each transform.
    pub transforms: Vec<Scaled>,
    /// Under which conditions.
    pub manifest: BenchManifest,
}

/// One transform.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Scaled {
    /// The transform.
    pub transform: &'static str,
    /// The engine, never "auto".
    pub engine: &'static str,
    /// What the model is made of.
    pub costs: Costs,
    /// Helpers with which the owner is what limits.
    pub helpers_wanted: usize,
    /// Each layout.
    pub points: Vec<Point>,
}

/// A block for each transform.
pub fn text(document: &Document) -> String {
    let mut text = String::new();
    let d = document;
    let _ = writeln!(
        text,
        "{} of {} bytes, bursts of {}; the model is an upper bound: cores share no cache and no memory in it",
        d.direction, d.size, d.burst
    );
    for scaled in &d.transforms {
        let Costs { owner_ns, crypt_ns, hop_ns } = scaled.costs;
        let hop = hop_ns.map_or("not measured".to_owned(), |ns| format!("{ns:.1} ns"));
        let _ = writeln!(
            text,
            "\n{} by {}: owner {owner_ns:.1} ns, crypt {crypt_ns:.1} ns, hop {hop} a packet; the owner is full with {} helpers",
            scaled.transform, scaled.engine, scaled.helpers_wanted
        );
        let _ = writeln!(
            text,
            "  {:<8}{:>6}{:>12}{:>12}{:>12}",
            "layout", "cores", "measured", "model", "off by"
        );
        for point in &scaled.points {
            let mpps = |pps: f64| format!("{:.3} M", pps / 1e6);
            let measured = point.measured_pps.map_or("-".to_owned(), mpps);
            let off = point
                .measured_pps
                .map_or(String::new(), |pps| format!("{:+.0}%", (point.model_pps / pps - 1.0) * 100.0));
            let _ = writeln!(
                text,
                "  {:<8}{:>6}{measured:>12}{:>12}{off:>12}",
                point.layout,
                point.cores,
                mpps(point.model_pps)
            );
        }
    }
    text
}
