//! What an outage's time was spent on: each stretch between two milestones is charged to what the later one ended.

use std::net::Ipv4Addr;

use espalier_control::event::Mark;
use espalier_wire::{Duration, Instant, Ipv4Prefix};

use super::figures::{Part, gives_back};
use super::recording::{Happened, Recording};

/// The prefixes that reverse route injection ever put in: the routes that matter to protected traffic.
pub(super) fn injected(run: &Recording) -> Vec<Ipv4Prefix> {
    let of = |e: &Happened| match e.event.mark {
        Some(Mark::Injected { prefix, .. }) => Some(prefix),
        _ => None,
    };
    let mut all: Vec<_> = run.events.iter().filter_map(of).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether the node ran SPF at that very moment.
fn by_spf(run: &Recording, route: &Happened) -> bool {
    let spf = |e: &Happened| e.event.mark == Some(Mark::Spf) && e.node == route.node && e.at == route.at;
    run.events.iter().any(spf)
}

/// What a milestone ended, if it ended anything.
fn ended(run: &Recording, e: &Happened, to: Ipv4Addr, kind: &str) -> Option<&'static str> {
    Some(match e.event.mark? {
        Mark::Active { active: true, .. } if kind == "reversion" => "hsrp-preempt",
        Mark::Active { active: true, .. } => "hsrp-hold",
        Mark::Announced { .. } => "arp",
        Mark::PeerDead { .. } => "dpd",
        Mark::NeighbourDead { .. } => "ospf-dead",
        Mark::SaUp { rekey: false, .. } => "ike",
        // Any router's new way to where the flow goes may have been the missing one.
        Mark::Route { prefix, ospf: true, present: true } if prefix.contains(&to) => {
            if by_spf(run, e) {
                "spf"
            } else {
                "route-flood"
            }
        }
        _ => return None,
    })
}

/// The parts of an outage of a flow `to` an address, from `start` to `end`, in the order in which they begin; they sum
/// to it.
pub(super) fn parts(
    run: &Recording,
    to: Ipv4Addr,
    (start, end): (Instant, Instant),
    kind: &str,
) -> Vec<Part> {
    let within = |at: Instant| start < at && at <= end;
    let milestones = run.events.iter().filter(|e| within(e.at));
    let mut cuts: Vec<(Instant, &'static str)> =
        milestones.filter_map(|e| Some((e.at, ended(run, e, to, kind)?))).collect();
    let restored = run.faults.iter().filter(|f| within(f.at) && gives_back(f.action));
    cuts.extend(restored.map(|f| (f.at, "fault")));
    cuts.sort_by_key(|c| c.0);
    cuts.push((end, "next-packet"));
    let mut parts: Vec<(&'static str, Duration)> = Vec::new();
    let mut from = start;
    for (at, part) in cuts {
        let took = at - from;
        from = at;
        match parts.iter_mut().find(|(name, _)| *name == part) {
            Some((_, sum)) => *sum = *sum + took,
            None => parts.push((part, took)),
        }
    }
    parts.retain(|(_, took)| !took.is_zero());
    parts.into_iter().map(|(part, took)| Part { part, s: took.as_s() }).collect()
}
