//! Milestones from each fault to the first packet, and the routing's convergence (RFC 6412).

use espalier_control::event::Mark;
use espalier_wire::Instant;
use schemars::JsonSchema;
use serde::Serialize;

use super::figures::name;
use super::outage::Outage;
use super::parts::injected;
use super::recording::{Happened, NodeId, Recording};

/// The first time after a fault that something happened on a node.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Phase {
    /// Which of the faults.
    pub fault: usize,
    /// `detected`, `active`, `announced`, `ike-up`, `sa-up`, `route-injected`, `route-learned`, `first-packet`.
    pub milestone: &'static str,
    /// Where.
    pub node: String,
    /// When.
    pub at_s: f64,
}

/// Route convergence of one router after one fault: from the fault to the first and to the last change of its
/// routing table (RFC 6412 sections 3.6.1 and 3.6.2: first route and full convergence).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Convergence {
    /// Which of the faults.
    pub fault: usize,
    /// Which router.
    pub node: String,
    /// To the first change.
    pub first_route_s: f64,
    /// To the last change before the next fault.
    pub full_s: f64,
    /// How many changes there were.
    pub changes: usize,
}

/// The span of each fault: until the next one, or the end.
fn spans(run: &Recording) -> impl Iterator<Item = (usize, Instant, Instant)> + '_ {
    let end = Instant::ZERO + run.duration;
    run.faults.iter().enumerate().map(move |(i, f)| {
        let next = run.faults.get(i + 1).map_or(end, |n| n.at);
        (i, f.at, next)
    })
}

fn milestones(run: &Recording, e: &Happened) -> Vec<&'static str> {
    let learned = |prefix| injected(run).contains(&prefix);
    match e.event.mark {
        Some(Mark::Active { active: true, .. }) => vec!["detected", "active"],
        Some(Mark::PeerDead { .. } | Mark::NeighbourDead { .. }) => vec!["detected"],
        Some(Mark::Announced { .. }) => vec!["announced"],
        Some(Mark::IkeUp { .. }) => vec!["ike-up"],
        Some(Mark::SaUp { .. }) => vec!["sa-up"],
        Some(Mark::Injected { present: true, .. }) => vec!["route-injected"],
        Some(Mark::Route { prefix, present: true, ospf: true }) if learned(prefix) => vec!["route-learned"],
        Some(
            Mark::Link { .. }
            | Mark::Active { .. }
            | Mark::SaDown { .. }
            | Mark::Injected { .. }
            | Mark::Spf
            | Mark::State { .. }
            | Mark::Route { .. },
        )
        | None => Vec::new(),
    }
}

/// Every milestone after every fault, by time; `outages` by flow.
pub(super) fn phases(run: &Recording, outages: &[Vec<Outage>]) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for (fault, from, to) in spans(run) {
        let mut seen: Vec<(&'static str, NodeId)> = Vec::new();
        for e in run.events.iter().filter(|e| from <= e.at && e.at < to) {
            for milestone in milestones(run, e) {
                // Only the first to notice has detected; what others do is their own milestone.
                let known =
                    seen.iter().any(|(m, n)| *m == milestone && (*n == e.node || milestone == "detected"));
                if !known {
                    seen.push((milestone, e.node));
                    phases.push(Phase { fault, milestone, node: name(run, e.node), at_s: e.at.as_s() });
                }
            }
        }
        let first = run.ledger.flows().zip(outages).flat_map(|(flow, outages)| {
            let arrived = outages.iter().filter_map(|o| o.around.map(|[_, after]| (o.start, after.1)));
            let within = arrived.filter(|(start, _)| from <= *start && *start < to);
            within.map(|(_, at)| (at, flow.name.clone())).collect::<Vec<_>>()
        });
        if let Some((at, flow)) = first.min() {
            phases.push(Phase { fault, milestone: "first-packet", node: flow, at_s: at.as_s() });
        }
    }
    phases
}

/// The convergence of every router whose routes changed.
pub(super) fn convergence(run: &Recording) -> Vec<Convergence> {
    let mut all = Vec::new();
    for (fault, from, to) in spans(run) {
        for node in (0..run.routers).map(|n| NodeId(n as u16)) {
            let changed = |e: &&Happened| {
                let route = matches!(e.event.mark, Some(Mark::Route { .. }));
                route && e.node == node && from <= e.at && e.at < to
            };
            let changes: Vec<Instant> = run.events.iter().filter(changed).map(|e| e.at).collect();
            if let (Some(first), Some(last)) = (changes.first(), changes.last()) {
                let (first_route_s, full_s) = ((*first - from).as_s(), (*last - from).as_s());
                let node = name(run, node);
                all.push(Convergence { fault, node, first_route_s, full_s, changes: changes.len() });
            }
        }
    }
    all
}
