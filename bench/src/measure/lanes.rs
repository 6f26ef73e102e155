//! The swimlanes: what state each machine of each router was in, and when. Made of the routers' marks and of nothing
//! else; a router without power has no lanes.

use std::collections::BTreeMap;

use espalier_control::event::{GONE, Mark, StateOf};
use espalier_wire::{IfIndex, Instant};
use schemars::JsonSchema;
use serde::Serialize;

use super::figures::name;
use super::recording::{Happened, NodeId, Recording};

/// One machine of one router over the run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Lane {
    /// The router.
    pub node: String,
    /// Whose state it is: `power`, `link`, `hsrp`, `ike`, `sa`, `rri`, `route`, `neighbour` or `spf`.
    pub machine: &'static str,
    /// Which of them: an interface and group, a peer, a prefix.
    pub name: String,
    /// By time; they overlap where the machine holds several at once (SAs around a rekey).
    pub spans: Vec<Span>,
}

/// One state.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Span {
    /// As IOS prints it; of an SA, its inbound SPI; of a run of SPF, `SPF`.
    pub state: String,
    /// Since when.
    pub start_s: f64,
    /// Until when; absent: to the end of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_s: Option<f64>,
}

type Key = (NodeId, u8, String);

/// The lanes' kinds in the order in which they are drawn.
const MACHINES: [&str; 9] = ["power", "link", "hsrp", "ike", "sa", "rri", "neighbour", "spf", "route"];

#[derive(Default)]
struct Lanes {
    /// By node, kind and name: its spans, each under what closes it.
    all: BTreeMap<Key, Vec<(String, Span)>>,
}

fn kind(machine: &str) -> u8 {
    MACHINES.iter().position(|m| *m == machine).unwrap_or(MACHINES.len()) as u8
}

impl Lanes {
    /// `what` begins; what the lane held under the same `slot` ends.
    fn begin(&mut self, key: Key, slot: &str, state: String, at: Instant) {
        let spans = self.all.entry(key).or_default();
        let open = spans.iter_mut().find(|(s, span)| s == slot && span.end_s.is_none());
        match open {
            Some((_, span)) if span.state == state => return,
            Some((_, span)) => span.end_s = Some(at.as_s()),
            None => {}
        }
        // What lasted no time at all was on the way to something else.
        spans.retain(|(_, span)| span.end_s != Some(span.start_s));
        spans.push((slot.to_owned(), Span { state, start_s: at.as_s(), end_s: None }));
    }

    fn end(&mut self, key: &Key, slot: &str, at: Instant) {
        let Some(spans) = self.all.get_mut(key) else { return };
        for (_, span) in spans.iter_mut().filter(|(s, span)| s == slot && span.end_s.is_none()) {
            span.end_s = Some(at.as_s());
        }
        spans.retain(|(_, span)| span.end_s != Some(span.start_s));
    }

    fn instant(&mut self, key: Key, at: Instant) {
        let span = Span { state: "SPF".to_owned(), start_s: at.as_s(), end_s: Some(at.as_s()) };
        self.all.entry(key).or_default().push((String::new(), span));
    }

    /// The router loses power.
    fn off(&mut self, node: NodeId, at: Instant) {
        for ((_, _, _), spans) in self.all.iter_mut().filter(|((n, _, _), _)| *n == node) {
            for (_, span) in spans.iter_mut().filter(|(_, span)| span.end_s.is_none()) {
                span.end_s = Some(at.as_s());
            }
        }
    }
}

fn interface(run: &Recording, node: NodeId, iface: IfIndex) -> String {
    let of = run.interfaces.get(usize::from(node.0)).and_then(|i| i.get(usize::from(iface.0)));
    of.map_or_else(|| iface.0.to_string(), |i| i.name.clone())
}

/// A state, held under one slot; [`GONE`] ends it.
fn state(lanes: &mut Lanes, key: Key, slot: &str, state: &str, at: Instant) {
    if state == GONE {
        lanes.end(&key, slot, at);
    } else {
        lanes.begin(key, slot, state.to_owned(), at);
    }
}

fn marked(run: &Recording, lanes: &mut Lanes, e: &Happened, mark: Mark) {
    let key = |machine: &str, name: String| (e.node, kind(machine), name);
    match mark {
        Mark::Link { iface, up } => {
            let name = interface(run, e.node, iface);
            state(lanes, key("link", name), "", if up { "up" } else { GONE }, e.at);
        }
        Mark::State { of: StateOf::Hsrp { iface, group }, state: to } => {
            let name = format!("{} group {group}", interface(run, e.node, iface));
            state(lanes, key("hsrp", name), "", to, e.at);
        }
        Mark::State { of: StateOf::Isakmp { connection, peer }, state: to } => {
            state(lanes, key("ike", peer.to_string()), &connection.to_string(), to, e.at);
        }
        Mark::State { of: StateOf::Neighbour { iface, addr }, state: to } => {
            let name = format!("{addr} on {}", interface(run, e.node, iface));
            state(lanes, key("neighbour", name), "", to, e.at);
        }
        Mark::SaUp { peer, inbound, .. } => {
            let slot = inbound.0.to_string();
            lanes.begin(key("sa", peer.to_string()), &slot, format!("0x{:08X}", inbound.0), e.at);
        }
        Mark::SaDown { inbound, .. } => {
            let slot = inbound.0.to_string();
            let own: Vec<Key> =
                lanes.all.keys().filter(|(n, k, _)| (*n, *k) == (e.node, kind("sa"))).cloned().collect();
            own.iter().for_each(|key| lanes.end(key, &slot, e.at));
        }
        Mark::Injected { prefix, present } => {
            let to = if present { "injected" } else { GONE };
            state(lanes, key("rri", prefix.to_string()), "", to, e.at);
        }
        Mark::Route { prefix, present, .. } => {
            let to = if present { e.event.text.as_str() } else { GONE };
            state(lanes, key("route", prefix.to_string()), "", to, e.at);
        }
        Mark::Spf => lanes.instant(key("spf", String::new()), e.at),
        Mark::Active { .. }
        | Mark::Announced { .. }
        | Mark::PeerDead { .. }
        | Mark::IkeUp { .. }
        | Mark::NeighbourDead { .. } => {}
    }
}

/// Every lane: routers in file order, their machines in the order of [`MACHINES`].
pub(super) fn lanes(run: &Recording) -> Vec<Lane> {
    let mut lanes = Lanes::default();
    let mut faults = run.faults.iter().peekable();
    for e in &run.events {
        // A crash comes after whatever the router still said at that very moment: an orderly reload's farewell.
        while let Some(f) = faults.next_if(|f| f.at < e.at) {
            power(&mut lanes, f);
        }
        if let Some(mark) = e.event.mark {
            let key = (e.node, kind("power"), String::new());
            lanes.begin(key, "", "on".to_owned(), e.at);
            marked(run, &mut lanes, e, mark);
        }
    }
    faults.for_each(|f| power(&mut lanes, f));
    let lane = |((node, kind, lane), spans): (Key, Vec<(String, Span)>)| Lane {
        node: name(run, node),
        machine: MACHINES.get(usize::from(kind)).copied().unwrap_or_default(),
        name: lane,
        spans: spans.into_iter().map(|(_, span)| span).collect(),
    };
    lanes.all.into_iter().map(lane).filter(|l| !l.spans.is_empty()).collect()
}

fn power(lanes: &mut Lanes, fault: &super::recording::Struck) {
    if matches!(fault.action, "crash" | "reload") {
        lanes.off(fault.node, fault.at);
    }
}
