//! A direction's silence taken apart: what happened in it, in order, and how long each part took.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::Instant;
use schemars::JsonSchema;
use serde::Serialize;

use super::esp::Flows;
use super::{Event, Milestone};

/// A share of a gap.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Part {
    /// What ended it.
    pub part: &'static str,
    /// How long it took.
    pub s: f64,
}

/// A silence of one direction of ESP, between the last packet before it and the first after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The direction.
    pub ends: (Ipv4Addr, Ipv4Addr),
    /// The last packet before.
    pub from: Instant,
    /// The first packet after.
    pub to: Instant,
    /// Their SPIs.
    pub spis: (u32, u32),
    /// Sequence numbers passed over; `None`: the SA is another one.
    pub missing: Option<u32>,
    /// They sum to the gap.
    pub parts: Vec<Part>,
}

pub(super) fn gaps(flows: &Flows, events: &[Event]) -> Vec<Gap> {
    let mut reached: BTreeMap<Milestone, Vec<Instant>> = BTreeMap::new();
    for (milestone, at) in events.iter().filter_map(|e| Some((e.milestone?, e.at))) {
        reached.entry(milestone).or_default().push(at);
    }
    let gap = |((src, dst), silence): ((Ipv4Addr, Ipv4Addr), &super::esp::Silence)| Gap {
        ends: (src, dst),
        from: silence.from,
        to: silence.to,
        spis: silence.spis,
        missing: silence.missing,
        parts: parts(silence.from, silence.to, &reached),
    };
    let mut gaps: Vec<Gap> = flows.silences().map(gap).collect();
    gaps.sort_by_key(|g| (g.from, g.ends));
    gaps
}

/// The first takeover, announcement and beginning of IKE in the gap, and the last quick mode's end. `reached` is when each
/// was, by time.
fn parts(from: Instant, to: Instant, reached: &BTreeMap<Milestone, Vec<Instant>>) -> Vec<Part> {
    let within = |times: &Vec<Instant>, milestone: Milestone| {
        let after = times.partition_point(|at| *at <= from);
        let at = match milestone {
            Milestone::SaUp => {
                times.partition_point(|at| *at <= to).checked_sub(1).filter(|last| *last >= after)?
            }
            Milestone::Active | Milestone::Announced | Milestone::IkeBegins => after,
        };
        times.get(at).copied().filter(|at| *at <= to)
    };
    let mut marks: Vec<(Instant, Milestone)> = reached
        .iter()
        .filter_map(|(milestone, times)| Some((within(times, *milestone)?, *milestone)))
        .collect();
    marks.sort_unstable();
    let marks = marks.into_iter().map(|(at, m)| (at, m.part())).chain([(to, "first-packet")]);
    let mut last = from;
    let mut parts = Vec::new();
    for (at, part) in marks {
        parts.push(Part { part, s: (at - last).as_s() });
        last = at;
    }
    parts
}
