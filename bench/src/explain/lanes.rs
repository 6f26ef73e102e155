//! What each speaker said of itself over time, as lanes for a page: HSRP and VRRP states, IKE exchanges, who hears whom in
//! OSPF, announced prefixes, and SAs by SPI with what is missing of them. A state stands from the message that says it to
//! the last one that does: how long somebody believed it nobody saw.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::Instant;

use crate::measure::lanes::{Lane, Span};

/// The lanes' kinds, in the order in which they are drawn.
const MACHINES: [&str; 7] = ["hsrp", "vrrp", "ike", "sa", "missing", "neighbour", "route"];
/// Spans of a lane that are told at most: a capture that flaps for hours is summed up by its events.
const MOST: usize = 10_000;

/// Whose state it is: the speaker, the machine, and which of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) node: Ipv4Addr,
    pub(super) machine: &'static str,
    pub(super) name: String,
}

/// A state was said at this moment. Each state of a lane that ends is ended in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) at: Instant,
    pub(super) key: Key,
    /// Lanes that hold several states at once have a slot for each.
    pub(super) slot: String,
    /// `None`: it is over.
    pub(super) state: Option<String>,
}

/// A lane while it is made.
#[derive(Default)]
struct Open {
    spans: Vec<Span>,
    /// Where the open span of each slot is.
    open: BTreeMap<String, usize>,
}

/// All lanes of what was said, by time and from all captures, times from `start` on.
pub(super) fn lanes(mut said: Vec<Said>, start: Instant) -> Vec<Lane> {
    said.sort_by(|a, b| (a.at, &a.key, &a.slot).cmp(&(b.at, &b.key, &b.slot)));
    let since = |at: Instant| (at - start).as_s();
    let mut all: BTreeMap<(Ipv4Addr, usize, String), Open> = BTreeMap::new();
    for Said { at, key, slot, state } in said {
        let kind = MACHINES.iter().position(|m| *m == key.machine).unwrap_or(MACHINES.len());
        let Open { spans, open } = all.entry((key.node, kind, key.name)).or_default();
        if let Some(span) = open.get(&slot).and_then(|at| spans.get_mut(*at)) {
            if state.as_deref() == Some(span.state.as_str()) {
                continue;
            }
            span.end_s = Some(since(at));
            open.remove(&slot);
        }
        if let Some(state) = state.filter(|_| spans.len() < MOST) {
            open.insert(slot, spans.len());
            spans.push(Span { state, start_s: since(at), end_s: None });
        }
    }
    let lane = |((node, kind, name), lane): ((Ipv4Addr, usize, String), Open)| Lane {
        node: node.to_string(),
        machine: MACHINES.get(kind).copied().unwrap_or_default(),
        name,
        spans: lane.spans,
    };
    all.into_iter().map(lane).filter(|l| !l.spans.is_empty()).collect()
}
