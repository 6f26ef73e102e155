//! The figures of a run (`espalier.failover/1`): a pure function of its [`Recording`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_control::event::{Level, Mark};
use espalier_wire::{Cause, Instant};
use schemars::JsonSchema;
use serde::Serialize;

use super::lanes::{self, Lane};
use super::latency::{self, Latency, LatencyPhase};
use super::ledger::Flow;
use super::outage::{self, Outage};
use super::parts::parts;
use super::recording::{Happened, NodeId, Recording, Struck};
use super::series::{self, Stretch};
use super::topology::{self, Topology};
use super::{phases, rekeys};

/// A run in figures. Times are seconds of the run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Figures {
    /// The scenario.
    pub scenario: String,
    /// What it says of itself.
    pub about: String,
    /// Its seed.
    pub seed: u64,
    /// `virtual` or `real`.
    pub clock: &'static str,
    /// How long the run lasted.
    pub duration_s: f64,
    /// The network.
    pub topology: Topology,
    /// By direction of each traffic.
    pub flows: Vec<FlowFigures>,
    /// By flow, node and cause; they sum to the flows' `lost`.
    pub losses: Vec<Loss>,
    /// What struck.
    pub faults: Vec<Fault>,
    /// The state of each machine of each router over time.
    pub lanes: Vec<Lane>,
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
    /// Latencies before the faults, during what they caused, and after.
    pub latency_phases: Vec<LatencyPhase>,
    /// Delivered and lost packets over time.
    pub series: Vec<Stretch>,
    /// Offered and delivered packets of each of [`BUCKETS`] equal spans of the run: a terminal's columns.
    #[serde(skip)]
    pub columns: Vec<(u32, u32)>,
}

/// How finely delivery over time is kept for terminals: none shows more columns.
pub const BUCKETS: usize = 400;

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
    /// Where and why its packets were lost; they sum to `lost`.
    pub losses: Vec<OutageLoss>,
    /// What the time was spent on; they sum to `tbm_s`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// Packets lost in one outage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct OutageLoss {
    pub node: String,
    pub cause: &'static str,
    pub lost: u64,
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
        Self { lanes: lanes::lanes(run), events: events(run), ..Self::with(run, true) }
    }

    /// The figures of one run of many: without what only a drawing needs.
    pub fn brief(run: &Recording) -> Self {
        Self::with(run, false)
    }

    fn with(run: &Recording, drawn: bool) -> Self {
        let outages: Vec<Vec<Outage>> = run.ledger.flows().map(outage::outages).collect();
        let flows = run.ledger.flows().zip(&outages).map(|(f, outages)| flow(run, f, outages, drawn));
        Self {
            scenario: run.scenario.clone(),
            about: run.about.clone(),
            seed: run.seed,
            clock: run.clock,
            duration_s: run.duration.as_s(),
            topology: topology::topology(run),
            flows: flows.collect(),
            losses: losses(run),
            faults: run.faults.iter().map(fault).collect(),
            lanes: Vec::new(),
            events: Vec::new(),
            phases: phases::phases(run, &outages),
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

/// The lost packets of a flow that `which` takes, by place and cause.
fn by_cause(flow: &Flow, which: impl Fn(Instant) -> bool) -> BTreeMap<(NodeId, Cause), u64> {
    let mut by = BTreeMap::new();
    let lost = flow.packets().filter_map(|p| Some((p, p.lost()?)));
    for (_, lost) in lost.filter(|(p, _)| which(p.offered())) {
        *by.entry(lost).or_default() += 1;
    }
    by
}

fn losses(run: &Recording) -> Vec<Loss> {
    let mut all = Vec::new();
    for flow in run.ledger.flows() {
        all.extend(by_cause(flow, |_| true).into_iter().map(|((node, cause), lost)| Loss {
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
    // States are told by the lanes.
    let state = |e: &Happened| matches!(e.event.mark, Some(Mark::State { .. }));
    let said = |e: &&Happened| !state(e) && (e.event.level != Level::Debug || e.event.mark.is_some());
    let told = run.events.iter().filter(said);
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

fn flow(run: &Recording, flow: &Flow, outages: &[Outage], drawn: bool) -> FlowFigures {
    let mut figures = FlowFigures {
        name: flow.name.clone(),
        offered: 0,
        delivered: 0,
        lost: 0,
        duplicated: 0,
        reordered: flow.reordered,
        corrupted: 0,
        recovered: outages.iter().all(|o| o.end.is_some()),
        latency_ns: latency::latency(flow),
        latency_phases: Vec::new(),
        outages: outages.iter().map(|o| outage(run, flow, o)).collect(),
        series: if drawn { series::series(run, flow, outages) } else { Vec::new() },
        columns: series::columns(run, flow),
    };
    for packet in flow.packets() {
        let is_lost = packet.lost().is_some();
        figures.offered += 1;
        figures.lost += u64::from(is_lost);
        figures.delivered += u64::from(packet.delivered().is_some());
        figures.duplicated += u64::from(packet.duplicates());
        figures.corrupted += u64::from(packet.is_corrupted());
    }
    if drawn {
        figures.latency_phases = latency::phases(run, flow, &figures.outages);
    }
    figures
}

/// A fault this long ago is no longer the reason of a loss at a rekey.
const FAULT_REACH_S: f64 = 60.0;

fn outage(run: &Recording, flow: &Flow, o: &Outage) -> OutageFigures {
    let to = run.destinations.get(&flow.name).copied().unwrap_or(Ipv4Addr::UNSPECIFIED);
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
    let within = |at: Instant| o.start <= at && o.end.is_none_or(|end| at < end);
    let loss = |((node, cause), lost): ((NodeId, Cause), u64)| OutageLoss {
        node: name(run, node),
        cause: cause.name(),
        lost,
    };
    OutageFigures {
        losses: by_cause(flow, within).into_iter().map(loss).collect(),
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
