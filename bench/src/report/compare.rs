//! Transforms side by side under load: `espalier.compare/1`, and a table.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::bench::BenchManifest;
use crate::measure::load::Trial;

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.compare/1";

/// All transforms, and under which conditions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `espalier.compare/1`.
    pub schema: &'static str,
    /// Bytes of the inner IP packet, or `imix`.
    pub size: String,
    /// Packets taken together at the most.
    pub burst: usize,
    /// Descriptors of the ring that packets arrive in; what finds it full is lost.
    pub ring: usize,
    /// One for each transform.
    pub transforms: Vec<Compared>,
    /// Under which conditions.
    pub manifest: BenchManifest,
}

/// One transform.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Compared {
    /// The transform.
    pub transform: &'static str,
    /// The engine, never "auto".
    pub engine: &'static str,
    /// Packets a second that one core takes when there is always one, a port's copy in and out included.
    pub capacity_pps: f64,
    /// Each load.
    pub points: Vec<Point>,
}

/// One transform at one load.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Point {
    /// Of the capacity (with a common load, of the least of all capacities).
    pub load: f64,
    /// Packets a second offered.
    pub offered_pps: f64,
    /// Packets a second that came out.
    pub delivered_pps: f64,
    /// Lost of those offered, 0 to 1.
    pub loss: f64,
    /// Latency from the intended time of arrival: the median, in nanoseconds.
    pub p50_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th.
    pub p999_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Point {
    /// Of a trial.
    pub fn new(load: f64, offered_pps: f64, trial: &Trial) -> Self {
        let latency = |q| trial.latency.value_at_quantile(q);
        Self {
            load,
            offered_pps,
            delivered_pps: trial.delivered as f64 / trial.elapsed_s.max(f64::MIN_POSITIVE),
            loss: trial.loss(),
            p50_ns: latency(0.5),
            p99_ns: latency(0.99),
            p999_ns: latency(0.999),
            max_ns: trial.latency.max(),
        }
    }
}

/// Tables of latency and loss: a line for each load, a column for each transform.
pub fn text(document: &Document) -> String {
    let mut text = String::new();
    let d = document;
    let _ = writeln!(
        text,
        "sealing packets of {} bytes on one core, open loop; a ring of {} packets, bursts of {} at the most\n",
        d.size, d.ring, d.burst
    );
    let row = |text: &mut String, name: &str, cell: &dyn Fn(&Compared) -> String| {
        let _ = write!(text, "  {name:<20}");
        for compared in &d.transforms {
            let _ = write!(text, "{:>20}", cell(compared));
        }
        text.push('\n');
    };
    row(&mut text, "", &|c| c.transform.to_owned());
    row(&mut text, "engine", &|c| c.engine.to_owned());
    row(&mut text, "capacity", &|c| format!("{:.3} Mpps", c.capacity_pps / 1e6));
    let loads: Vec<f64> =
        d.transforms.first().map(|c| c.points.iter().map(|p| p.load).collect()).unwrap_or_default();
    for (title, figure) in [
        ("latency p50", (|p: &Point| time(p.p50_ns)) as fn(&Point) -> String),
        ("latency p99.9", |p| time(p.p999_ns)),
        ("loss", |p| if p.loss > 0.0 { format!("{:.3}%", p.loss * 100.0) } else { "-".to_owned() }),
    ] {
        let _ = writeln!(text, "\n  {title}");
        for (at, load) in loads.iter().enumerate() {
            let name = format!("  at {:.0}%", load * 100.0);
            row(&mut text, &name, &|c| c.points.get(at).map(figure).unwrap_or_default());
        }
    }
    text
}

fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}
