//! Throughput under load: `espalier.search/1`, and a table.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::bench::BenchManifest;
use crate::measure::rig::Kind;
use crate::measure::search::Found;

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.search/1";

/// All searches, and under which conditions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `espalier.search/1`.
    pub schema: &'static str,
    /// One for each transform, engine, size and goal.
    pub runs: Vec<Searched>,
    /// Under which conditions.
    pub manifest: BenchManifest,
}

/// One search.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Searched {
    /// The transform.
    pub transform: &'static str,
    /// The engine, never "auto".
    pub engine: &'static str,
    /// Bytes of the inner IP packet, `imix`, or a capture's name.
    pub size: String,
    /// Security associations.
    pub sas: usize,
    /// Packets taken together at the most.
    pub burst: usize,
    /// Packets a second that the core takes when there is always one.
    pub capacity_pps: f64,
    /// What was found.
    #[serde(flatten)]
    pub found: Found,
}

impl Searched {
    /// Of packets of a kind.
    pub fn new(kind: &Kind, capacity_pps: f64, found: Found) -> Self {
        let (transform, engine) = (kind.transform.name(), kind.engine.name());
        let (size, sas, burst) = (kind.size.to_string(), kind.sas, kind.burst);
        Self { transform, engine, size, sas, burst, capacity_pps, found }
    }
}

impl Document {
    /// What was found here and now.
    pub fn new(runs: Vec<Searched>, manifest: BenchManifest) -> Self {
        Self { schema: SCHEMA, runs, manifest }
    }

    /// A line for each search, in millions of packets a second.
    pub fn text(&self) -> String {
        let mut text = String::from("sealing on one core under open-loop load, in Mpps\n\n");
        let columns = ["goal", "lower", "upper", "conditional", "capacity", "trials"];
        let [goal, lower, upper, conditional, capacity, trials] = columns;
        let _ = writeln!(
            text,
            "  {:<20}{:<9}{:>6}{:>9}{:>7}  {goal:<8}{lower:>9}{upper:>9}{conditional:>13}{capacity:>10}{trials:>8}",
            "transform", "engine", "bytes", "SAs", "burst"
        );
        for run in &self.runs {
            let mpps = |pps: Option<f64>| pps.map_or("-".to_owned(), |pps| format!("{:.3}", pps / 1e6));
            let f = &run.found;
            let _ = writeln!(
                text,
                "  {:<20}{:<9}{:>6}{:>9}{:>7}  {:<8}{:>9}{:>9}{:>13}{:>10}{:>8}",
                run.transform,
                run.engine,
                run.size,
                run.sas,
                run.burst,
                f.goal,
                mpps(f.lower_pps),
                mpps(f.upper_pps),
                mpps(f.conditional_pps),
                mpps(Some(run.capacity_pps)),
                f.trials
            );
        }
        text
    }
}
