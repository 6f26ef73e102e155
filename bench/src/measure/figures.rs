//! The figures of a run (`espalier.failover/1`): a pure function of its [`Recording`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_control::event::Level;
use espalier_wire::{Cause, Instant};
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::Serialize;

use super::ledger::Flow;
use super::outage::{self, outages};
use super::parts::parts;
use super::recording::{NodeId, Recording, Struck};
use super::{phases, rekeys};

/// A run in figures. Times are seconds of the run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Figures {
    /// The scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// `virtual` or `real`.
    pub clock: &'static str,
    /// How long the run lasted.
    pub duration_s: f64,
    /// By direction of each traffic.
    pub flows: Vec<FlowFigures>,
    /// By flow, node and cause; they sum to the flows' `lost`.
    pub losses: Vec<Loss>,
    /// What struck.
    pub faults: Vec<Fault>,
    /// What the routers said, debug lines left out.
    pub events: Vec<Event>,
    /// From each fault on, what happened first where.
    pub phases: Vec<phases::Phase>,
    /// SAs replaced while the old ones lived.
    pub rekeys: Vec<rekeys::Rekey>,
    /// Route convergence after each fault, router by router (RFC 6412).
    pub convergence: Vec<phases::Convergence>,
    /// SHA-256 over every frame of the run, in virtual time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Packets of captures that were left out: no IPv4.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u64,
    /// What the checkers found wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// One direction of one traffic.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct FlowFigures {
    pub name: String,
    pub offered: u64,
    pub delivered: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupted: u64,
    /// Delivering again when the run ended.
    pub recovered: bool,
    /// From offer to arrival, of what arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<Latency>,
    pub outages: Vec<OutageFigures>,
    /// Offered and delivered packets of each of [`BUCKETS`] equal spans of the run.
    #[serde(skip)]
    pub series: Vec<(u32, u32)>,
}

/// How finely a run's delivery over time is kept.
pub const BUCKETS: usize = 80;

/// Nanoseconds.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Latency {
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// One outage of one flow.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OutageFigures {
    /// Which of the faults; absent: none had struck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<usize>,
    /// `failover`, `reversion`, `rekey` or `other`.
    pub kind: &'static str,
    /// The first lost packet.
    pub start_s: f64,
    /// The first packet of sustained delivery; absent: never recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_s: Option<f64>,
    /// Packets lost.
    pub lost: u64,
    /// RFC 6414's Timestamp-Based Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tbm_s: Option<f64>,
    /// RFC 6414's Time-Based Loss Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tblm_s: Option<f64>,
    /// RFC 6414's Packet-Loss-Based Method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plbm_s: Option<f64>,
    /// What the time was spent on; they sum to `tbm_s`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// A share of an outage.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Part {
    /// What ended it.
    pub part: &'static str,
    /// How long it took.
    pub s: f64,
}

/// Packets lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Loss {
    pub flow: String,
    /// A router, or a segment.
    pub node: String,
    pub cause: &'static str,
    pub lost: u64,
}

/// What struck.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Fault {
    pub at_s: f64,
    pub action: &'static str,
    pub target: String,
}

/// What a router said.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Event {
    pub t_s: f64,
    pub node: String,
    pub source: &'static str,
    pub text: String,
}

impl Figures {
    /// The figures of a run.
    pub fn of(run: &Recording) -> Self {
        let losses = losses(run);
        Self {
            scenario: run.scenario.clone(),
            seed: run.seed,
            clock: run.clock,
            duration_s: run.duration.as_s(),
            flows: run.ledger.flows().map(|f| flow(run, f)).collect(),
            losses,
            faults: run.faults.iter().map(fault).collect(),
            events: events(run),
            phases: phases::phases(run),
            rekeys: rekeys::rekeys(run),
            convergence: phases::convergence(run),
            digest: run.digest.iter().flatten().map(|b| format!("{b:02x}")).collect(),
            skipped: run.skipped,
            violations: run.violations.clone(),
        }
    }

    /// Whether `offered = delivered + lost` in every flow and the losses by node and cause sum to what is lost.
    ///
    /// # Errors
    /// The first account that does not balance, and the checkers' findings.
    pub fn check(&self) -> Result<(), String> {
        for flow in &self.flows {
            let named: u64 = self.losses.iter().filter(|l| l.flow == flow.name).map(|l| l.lost).sum();
            if flow.offered != flow.delivered + flow.lost || named != flow.lost {
                let FlowFigures { name, offered, delivered, lost, .. } = flow;
                return Err(format!(
                    "the books of {name} do not balance: {offered} offered, {delivered} delivered, {lost} lost, {named} by cause"
                ));
            }
        }
        match self.violations.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} rules were broken, first: {first}", self.violations.len())),
        }
    }
}

/// The name of a node or segment.
pub(super) fn name(run: &Recording, node: NodeId) -> String {
    run.nodes.get(usize::from(node.0)).cloned().unwrap_or_default()
}

fn fault(struck: &Struck) -> Fault {
    Fault { at_s: struck.at.as_s(), action: struck.action, target: struck.target.clone() }
}

/// Whether a fault takes something away, or gives it back.
pub(super) fn gives_back(action: &str) -> bool {
    matches!(action, "no-shutdown" | "boot" | "restore")
}

fn losses(run: &Recording) -> Vec<Loss> {
    let mut all = Vec::new();
    for flow in run.ledger.flows() {
        let mut by: BTreeMap<(NodeId, Cause), u64> = BTreeMap::new();
        for lost in flow.packets().filter_map(|p| p.lost()) {
            *by.entry(lost).or_default() += 1;
        }
        all.extend(by.into_iter().map(|((node, cause), lost)| Loss {
            flow: flow.name.clone(),
            node: name(run, node),
            cause: cause.name(),
            lost,
        }));
    }
    all
}

fn events(run: &Recording) -> Vec<Event> {
    let fault = |f: &Struck| Event {
        t_s: f.at.as_s(),
        node: name(run, f.node),
        source: "fault",
        text: format!("{} {}", f.action, f.target),
    };
    let told = run.events.iter().filter(|e| e.event.level != Level::Debug || e.event.mark.is_some());
    let told = told.map(|e| Event {
        t_s: e.at.as_s(),
        node: name(run, e.node),
        source: e.event.source.name(),
        text: e.event.text.clone(),
    });
    let mut all: Vec<Event> = run.faults.iter().map(fault).chain(told).collect();
    all.sort_by(|a, b| a.t_s.total_cmp(&b.t_s));
    all
}

fn flow(run: &Recording, flow: &Flow) -> FlowFigures {
    let count = |of: &dyn Fn(&super::ledger::Record) -> bool| flow.packets().filter(|p| of(p)).count() as u64;
    let outages: Vec<OutageFigures> = outages(flow).iter().map(|o| outage(run, &flow.name, o)).collect();
    FlowFigures {
        name: flow.name.clone(),
        offered: flow.packets().count() as u64,
        delivered: count(&|p| p.delivered().is_some()),
        lost: count(&|p| p.lost().is_some()),
        duplicated: flow.packets().map(|p| u64::from(p.duplicates())).sum(),
        reordered: flow.reordered,
        corrupted: count(&|p| p.is_corrupted()),
        recovered: outages.iter().all(|o| o.end_s.is_some()),
        latency_ns: latency(flow),
        outages,
        series: series(run, flow),
    }
}

fn latency(flow: &Flow) -> Option<Latency> {
    let mut histogram = Histogram::<u64>::new(3).ok()?;
    let mut max = 0;
    for packet in flow.packets() {
        if let Some(arrived) = packet.delivered() {
            let took = (arrived - packet.offered()).as_ns();
            histogram.saturating_record(took);
            max = max.max(took);
        }
    }
    let quantile = |q: f64| histogram.value_at_quantile(q).min(max);
    let figures = || Latency { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999), max };
    (!histogram.is_empty()).then(figures)
}

fn series(run: &Recording, flow: &Flow) -> Vec<(u32, u32)> {
    let mut series = vec![(0, 0); BUCKETS];
    let span = run.duration.as_ns().max(1) as u128;
    for packet in flow.packets() {
        let at = u128::from(packet.offered().as_ns()) * BUCKETS as u128 / span;
        if let Some(bucket) = series.get_mut(at as usize) {
            bucket.0 += 1;
            bucket.1 += u32::from(packet.delivered().is_some());
        }
    }
    series
}

/// A fault this long ago is no longer the reason of a loss at a rekey.
const FAULT_REACH_S: f64 = 60.0;

fn outage(run: &Recording, flow: &str, o: &outage::Outage) -> OutageFigures {
    let to = run.destinations.get(flow).copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
    // A packet that was under way when the fault struck was offered before it.
    let under_way = espalier_wire::Duration::from_ms(100);
    let fault = run.faults.iter().rposition(|f| f.at <= o.start + under_way);
    let struck = fault.and_then(|f| run.faults.get(f));
    let long_ago = struck.is_none_or(|f| (o.start.max(f.at) - f.at).as_s() > FAULT_REACH_S);
    let second = espalier_wire::Duration::from_s(1);
    let near = |at: Instant| at <= o.start + second && o.start <= at + second;
    let rekeyed = rekeys::moments(run).any(near);
    let (fault, kind) = match struck {
        _ if long_ago && rekeyed => (None, "rekey"),
        None => (None, "other"),
        Some(f) if gives_back(f.action) => (fault, "reversion"),
        Some(f) if matches!(f.action, "shutdown" | "crash" | "reload" | "cut") => (fault, "failover"),
        Some(_) => (fault, "other"),
    };
    OutageFigures {
        fault,
        kind,
        start_s: o.start.as_s(),
        end_s: o.end.map(Instant::as_s),
        lost: o.lost,
        tbm_s: o.tbm().map(espalier_wire::Duration::as_s),
        tblm_s: o.tblm().map(espalier_wire::Duration::as_s),
        plbm_s: o.end.and(o.plbm_s()),
        parts: o.around.map_or_else(Vec::new, |[before, after]| parts(run, to, (before.0, after.0), kind)),
    }
}
