//! A report.json as a page reads it: what a page shows, and nothing else. What a document lacks is empty, never made up.

use serde::Deserialize;

/// `espalier.failover/1`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failover {
    pub(super) scenario: String,
    pub(super) about: String,
    pub(super) seed: u64,
    pub(super) clock: String,
    pub(super) duration_s: f64,
    pub(super) topology: Topology,
    pub(super) flows: Vec<Flow>,
    pub(super) losses: Vec<Loss>,
    pub(super) faults: Vec<Fault>,
    pub(super) lanes: Vec<Lane>,
    pub(super) events: Vec<Event>,
    pub(super) phases: Vec<Phase>,
    pub(super) rekeys: Vec<Rekey>,
    pub(super) convergence: Vec<Convergence>,
    pub(super) digest: String,
    pub(super) violations: Vec<String>,
    pub(super) runs: Option<Runs>,
    pub(super) prediction: Vec<Predicted>,
    pub(super) manifest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Predicted {
    pub(super) flow: String,
    pub(super) fault: usize,
    pub(super) kind: String,
    pub(super) predicted_tbm_s: Option<f64>,
    pub(super) measured_tbm_s: Option<f64>,
    pub(super) predicted_lost: u64,
    pub(super) measured_lost: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Topology {
    pub(super) routers: Vec<Router>,
    pub(super) segments: Vec<Segment>,
    pub(super) paths: Vec<Path>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Router {
    pub(super) name: String,
    pub(super) interfaces: Vec<Interface>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) virtual_addresses: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) attached: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Path {
    pub(super) from: String,
    pub(super) to: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Flow {
    pub(super) name: String,
    pub(super) offered: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    pub(super) corrupted: u64,
    pub(super) recovered: bool,
    pub(super) outages: Vec<Outage>,
    pub(super) latency_phases: Vec<LatencyPhase>,
    pub(super) series: Vec<Stretch>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Outage {
    pub(super) fault: Option<usize>,
    pub(super) kind: String,
    pub(super) start_s: f64,
    pub(super) end_s: Option<f64>,
    pub(super) lost: u64,
    pub(super) tbm_s: Option<f64>,
    pub(super) tblm_s: Option<f64>,
    pub(super) plbm_s: Option<f64>,
    pub(super) losses: Vec<Loss>,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    pub(super) part: String,
    pub(super) s: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct LatencyPhase {
    pub(super) phase: String,
    pub(super) packets: u64,
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
    pub(super) bins: Vec<[u64; 2]>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stretch {
    pub(super) from_s: f64,
    pub(super) bin_s: f64,
    pub(super) delivered: Vec<u32>,
    pub(super) lost: Vec<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Loss {
    pub(super) flow: String,
    pub(super) node: String,
    pub(super) cause: String,
    pub(super) lost: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Fault {
    pub(super) at_s: f64,
    pub(super) action: String,
    pub(super) target: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lane {
    pub(super) node: String,
    pub(super) machine: String,
    pub(super) name: String,
    pub(super) spans: Vec<Span>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Span {
    pub(super) state: String,
    pub(super) start_s: f64,
    pub(super) end_s: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    pub(super) t_s: f64,
    pub(super) node: String,
    pub(super) source: String,
    pub(super) text: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Phase {
    pub(super) fault: usize,
    pub(super) milestone: String,
    pub(super) node: String,
    pub(super) at_s: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rekey {
    pub(super) node: String,
    pub(super) peer: String,
    pub(super) at_s: f64,
    pub(super) gap_ns: u64,
    pub(super) lost: u64,
    pub(super) overlap_s: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Convergence {
    pub(super) fault: usize,
    pub(super) node: String,
    pub(super) first_route_s: f64,
    pub(super) full_s: f64,
    pub(super) changes: usize,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Runs {
    pub(super) count: usize,
    pub(super) spreads: Vec<FlowSpread>,
    pub(super) outages: Vec<RunOutage>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct FlowSpread {
    pub(super) flow: String,
    pub(super) kind: String,
    pub(super) outages: usize,
    pub(super) never_recovered: usize,
    pub(super) tbm_s: Option<Spread>,
    pub(super) lost: Option<Spread>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) p5: f64,
    pub(super) median: f64,
    pub(super) p95: f64,
    pub(super) max: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RunOutage {
    pub(super) flow: String,
    pub(super) kind: String,
    pub(super) tbm_s: Option<f64>,
}

/// `espalier.bench/1`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Bench {
    pub(super) runs: Vec<BenchRun>,
    pub(super) manifest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BenchRun {
    pub(super) transform: String,
    pub(super) engine: String,
    pub(super) direction: String,
    pub(super) size: String,
    pub(super) layout: String,
    pub(super) cores: usize,
    pub(super) scope: String,
    pub(super) pps: f64,
    pub(super) gbps: f64,
    pub(super) ns_per_packet: f64,
    pub(super) cycles_per_packet: f64,
    pub(super) cycles_per_byte: f64,
    pub(super) samples: Vec<Sample>,
    pub(super) verified: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sample {
    pub(super) elapsed_s: f64,
    pub(super) packets: u64,
}

/// `espalier.profile/1`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Profile {
    pub(super) total_ns: f64,
    pub(super) stages: Vec<Stage>,
    pub(super) manifest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stage {
    pub(super) stage: String,
    pub(super) ns_per_packet: f64,
    pub(super) cycles_per_packet: f64,
    pub(super) share: f64,
}

/// `espalier.compare/1`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Compare {
    pub(super) transforms: Vec<Compared>,
    pub(super) manifest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Compared {
    pub(super) transform: String,
    pub(super) capacity_pps: f64,
    pub(super) points: Vec<Point>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Point {
    pub(super) load: f64,
    pub(super) offered_pps: f64,
    pub(super) loss: f64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) max_ns: u64,
}

/// `espalier.sweep/1`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sweep {
    pub(super) scenario: String,
    pub(super) figure: String,
    pub(super) runs: usize,
    pub(super) missing: usize,
    pub(super) points: Vec<SweepPoint>,
    pub(super) factors: Vec<Factor>,
    pub(super) parts: Vec<MeanPart>,
    pub(super) manifest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SweepPoint {
    pub(super) settings: Vec<String>,
    pub(super) spread: Option<Spread>,
    pub(super) values: Vec<f64>,
    pub(super) never_recovered: usize,
    pub(super) refused: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Factor {
    pub(super) setting: String,
    pub(super) means: Vec<(String, f64)>,
    pub(super) range: f64,
    pub(super) slope: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MeanPart {
    pub(super) part: String,
    pub(super) mean_s: f64,
}

/// `espalier.cores/1`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cores {
    pub(super) direction: String,
    pub(super) size: String,
    pub(super) transforms: Vec<Scaled>,
    pub(super) manifest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Scaled {
    pub(super) transform: String,
    pub(super) engine: String,
    pub(super) costs: Costs,
    pub(super) helpers_wanted: usize,
    pub(super) points: Vec<ScaledPoint>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Costs {
    pub(super) owner_ns: f64,
    pub(super) crypt_ns: f64,
    pub(super) hop_ns: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ScaledPoint {
    pub(super) layout: String,
    pub(super) cores: usize,
    pub(super) measured_pps: Option<f64>,
    pub(super) model_pps: f64,
}

/// `espalier.explain/1`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Explain {
    pub(super) packets: u64,
    pub(super) duration_s: f64,
    pub(super) events: Vec<Event>,
    pub(super) sas: Vec<SeenSa>,
    pub(super) gaps: Vec<Gap>,
    pub(super) flows: Vec<SeenFlow>,
    pub(super) lanes: Vec<Lane>,
    pub(super) cut: Vec<String>,
    pub(super) manifest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SeenSa {
    pub(super) src: String,
    pub(super) dst: String,
    pub(super) spi: String,
    pub(super) packets: u64,
    pub(super) missing: u64,
    pub(super) again_or_late: u64,
    pub(super) first_s: f64,
    pub(super) last_s: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Gap {
    pub(super) src: String,
    pub(super) dst: String,
    pub(super) from_s: f64,
    pub(super) to_s: f64,
    pub(super) s: f64,
    pub(super) spi_before: String,
    pub(super) spi_after: String,
    pub(super) missing: Option<u64>,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct SeenFlow {
    pub(super) src: String,
    pub(super) dst: String,
    pub(super) series: Vec<Stretch>,
}
