//! A direction's silence taken apart: what happened in it, in order, and how long each part took.

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
    let gap = |((src, dst), silence): ((Ipv4Addr, Ipv4Addr), &super::esp::Silence)| Gap {
        ends: (src, dst),
        from: silence.from,
        to: silence.to,
        spis: silence.spis,
        missing: silence.missing,
        parts: parts(silence.from, silence.to, events),
    };
    let mut gaps: Vec<Gap> = flows.silences().map(gap).collect();
    gaps.sort_by_key(|g| (g.from, g.ends));
    gaps
}

/// The first takeover, announcement and beginning of IKE in the gap, and the last quick mode's end.
fn parts(from: Instant, to: Instant, events: &[Event]) -> Vec<Part> {
    let within = || events.iter().filter(|e| from < e.at && e.at <= to);
    let first = |m: Milestone| within().find(|e| e.milestone == Some(m)).map(|e| (e.at, m));
    let up = within().rfind(|e| e.milestone == Some(Milestone::SaUp));
    let mut marks: Vec<(Instant, Milestone)> =
        [Milestone::Active, Milestone::Announced, Milestone::IkeBegins]
            .into_iter()
            .filter_map(first)
            .collect();
    marks.extend(up.map(|e| (e.at, Milestone::SaUp)));
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
