//! The routing table: what every source of routes offers, which offers win, and what the dataplane is told of it.
//!
//! ```text
//! connected ─┐                      longest prefix stays apart; per prefix the lowest
//! static ────┼─▶ candidates ─▶      distance, then the lowest metric; equal ones share     ─▶ Change, Command
//! OSPF ──────┘   (a static one      (and a next hop off-link is looked up again: recursion)
//!                counts only while its next hop resolves)
//! ```
//!
//! Reverse routes are static routes here, as in IOS. Nothing of the protocols is known: whoever redistributes reads
//! [`Rib::update`]'s changes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use espalier_wire::plane::{Command, NextHop};
use espalier_wire::{IfIndex, Instant, Ipv4Prefix, Prefix};

use crate::ospf::{self, PathKind};

mod show;
#[cfg(test)]
mod tests;

/// Administrative distance of OSPF (IOS).
const OSPF_DISTANCE: u8 = 110;
/// How often a next hop is looked up again before it counts as going in circles.
const RECURSION: usize = 8;

/// Where a route came from, with what only that source knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "names say it")]
pub enum Protocol {
    Connected,
    Static,
    Ospf(PathKind),
}

/// A way as its source names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// The next router; `None`: the destination is on the link.
    pub via: Option<Ipv4Addr>,
    /// The interface, when the source names one.
    pub iface: Option<IfIndex>,
}

/// A route that won.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Who offered it.
    pub protocol: Protocol,
    /// Administrative distance.
    pub distance: u8,
    /// The source's own metric.
    pub metric: u32,
    /// The metric to whoever announced an external route.
    pub forward_metric: u32,
    /// Its ways as the source names them.
    pub hops: Vec<Hop>,
    /// The same, found down to links.
    pub resolved: Vec<NextHop>,
    /// Since when it is like this.
    pub since: Instant,
    /// The number of the change that made it like this, counted over the whole table from 1: CEF's "version".
    pub version: u32,
}

/// A route that came, changed or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The destination.
    pub prefix: Ipv4Prefix,
    /// What was there.
    pub old: Option<Route>,
    /// What is there.
    pub new: Option<Route>,
}

/// One router's routing table.
#[derive(Debug, Default)]
pub struct Rib {
    connected: BTreeMap<Ipv4Prefix, IfIndex>,
    /// By prefix and way: the distance.
    statics: BTreeMap<(Ipv4Prefix, Hop), u8>,
    ospf: BTreeMap<Ipv4Prefix, ospf::Route>,
    table: BTreeMap<Ipv4Prefix, Route>,
    /// Changes so far.
    version: u32,
}

impl Rib {
    /// The networks of interfaces that are up.
    pub fn set_connected(&mut self, networks: BTreeMap<Ipv4Prefix, IfIndex>) {
        self.connected = networks;
    }

    /// Offer a static route.
    pub fn add_static(&mut self, prefix: Ipv4Prefix, hop: Hop, distance: u8) {
        self.statics.insert((prefix, hop), distance);
    }

    /// No longer offer it.
    pub fn remove_static(&mut self, prefix: Ipv4Prefix, hop: Hop) {
        self.statics.remove(&(prefix, hop));
    }

    /// Offer these static routes (prefix, way, distance) and no others.
    pub fn set_statics(&mut self, offers: Vec<(Ipv4Prefix, Hop, u8)>) {
        self.statics = offers.into_iter().map(|(prefix, hop, distance)| ((prefix, hop), distance)).collect();
    }

    /// What OSPF offers changed.
    pub fn ospf(&mut self, changes: Vec<ospf::RouteChange>) {
        for change in changes {
            match change {
                ospf::RouteChange::Set(route) => self.ospf.insert(route.prefix, route),
                ospf::RouteChange::Gone(prefix) => self.ospf.remove(&prefix),
            };
        }
    }

    /// Every route that won, by prefix.
    pub fn routes(&self) -> impl Iterator<Item = (&Ipv4Prefix, &Route)> {
        self.table.iter()
    }

    /// The route that a packet to `addr` takes.
    pub fn lookup(&self, addr: Ipv4Addr) -> Option<(Ipv4Prefix, &Route)> {
        longest(&self.table, addr, None)
    }

    /// The interface and next router for a packet to `addr`, the first of equal ways.
    pub fn way(&self, addr: Ipv4Addr) -> Option<(IfIndex, Ipv4Addr)> {
        let hop = self.lookup(addr)?.1.resolved.first()?;
        match hop.via {
            Some(IpAddr::V4(via)) => Some((hop.iface, via)),
            Some(IpAddr::V6(_)) => None,
            None => Some((hop.iface, addr)),
        }
    }

    /// Let the offers compete again; what changed, in the order of prefixes.
    pub fn update(&mut self, now: Instant) -> Vec<Change> {
        // What resolves depends on what is there, which depends on what resolves: from the links outwards until
        // nothing more changes. A loop of static routes would never settle, hence the bound.
        let mut table = BTreeMap::new();
        for _ in 0..RECURSION {
            let next = self.compete(now, &table);
            if next == table {
                break;
            }
            table = next;
        }
        let old = std::mem::replace(&mut self.table, table);
        for (prefix, is) in &mut self.table {
            match old.get(prefix).filter(|was| is.same(was)) {
                Some(was) => (is.since, is.version) = (was.since, was.version),
                None => {
                    self.version += 1;
                    is.version = self.version;
                }
            }
        }
        let mut changes = Vec::new();
        for (prefix, was) in &old {
            match self.table.get(prefix) {
                Some(is) if is.version == was.version => {}
                is => {
                    self.version += u32::from(is.is_none());
                    changes.push(Change { prefix: *prefix, old: Some(was.clone()), new: is.cloned() });
                }
            }
        }
        let fresh = self.table.iter().filter(|(prefix, _)| !old.contains_key(prefix));
        changes.extend(fresh.map(|(p, r)| Change { prefix: *p, old: None, new: Some(r.clone()) }));
        changes.sort_by_key(|c| c.prefix);
        changes
    }

    fn compete(&self, now: Instant, known: &BTreeMap<Ipv4Prefix, Route>) -> BTreeMap<Ipv4Prefix, Route> {
        let mut table: BTreeMap<Ipv4Prefix, Route> = BTreeMap::new();
        let mut offer = |prefix: Ipv4Prefix, route: Route| match table.get_mut(&prefix) {
            None => drop(table.insert(prefix, route)),
            Some(best) => {
                let (new, old) = ((route.distance, route.metric), (best.distance, best.metric));
                if new < old {
                    *best = route;
                } else if new == old {
                    best.hops.extend(route.hops);
                    for hop in route.resolved {
                        if !best.resolved.contains(&hop) {
                            best.resolved.push(hop);
                        }
                    }
                }
            }
        };
        for (prefix, iface) in &self.connected {
            let hop = Hop { via: None, iface: Some(*iface) };
            let resolved = vec![NextHop { iface: *iface, via: None }];
            offer(*prefix, Route::new(Protocol::Connected, (0, 0), vec![hop], resolved, now));
        }
        for ((prefix, hop), distance) in &self.statics {
            let resolved = self.resolve(known, *prefix, *hop);
            if !resolved.is_empty() {
                offer(*prefix, Route::new(Protocol::Static, (*distance, 0), vec![*hop], resolved, now));
            }
        }
        for (prefix, route) in &self.ospf {
            let hop = |h: &NextHop| Hop { via: h.via.and_then(v4), iface: Some(h.iface) };
            let hops = route.next_hops.iter().map(hop).collect();
            let cost = (OSPF_DISTANCE, route.metric);
            let mut new = Route::new(Protocol::Ospf(route.kind), cost, hops, route.next_hops.clone(), now);
            new.forward_metric = route.forward_metric;
            offer(*prefix, new);
        }
        table
    }

    /// The links behind a static route's next hop, if there are any.
    fn resolve(&self, known: &BTreeMap<Ipv4Prefix, Route>, own: Ipv4Prefix, hop: Hop) -> Vec<NextHop> {
        // Nothing has to be up for packets to be thrown away.
        let up = |iface| iface == IfIndex::NULL || self.connected.values().any(|i| *i == iface);
        match (hop.via, hop.iface) {
            (via, Some(iface)) if up(iface) => vec![NextHop { iface, via: via.map(IpAddr::V4) }],
            (None, _) | (_, Some(_)) => Vec::new(),
            (Some(mut via), None) => {
                for _ in 0..RECURSION {
                    let Some((_, route)) = longest(known, via, Some(own)) else { return Vec::new() };
                    match (route.protocol, route.hops.first()) {
                        (Protocol::Connected, Some(Hop { iface: Some(iface), .. })) => {
                            return vec![NextHop { iface: *iface, via: Some(IpAddr::V4(via)) }];
                        }
                        (_, Some(Hop { via: Some(next), iface: None })) => via = *next,
                        _ => return route.resolved.clone(),
                    }
                }
                Vec::new()
            }
        }
    }
}

impl Route {
    fn new(
        protocol: Protocol,
        (distance, metric): (u8, u32),
        hops: Vec<Hop>,
        resolved: Vec<NextHop>,
        since: Instant,
    ) -> Self {
        Self { protocol, distance, metric, forward_metric: 0, hops, resolved, since, version: 0 }
    }

    /// Equal but for its age and version.
    fn same(&self, other: &Self) -> bool {
        Self { since: other.since, version: other.version, ..self.clone() } == *other
    }

    /// IOS's letters: `O E2`.
    pub const fn code(&self) -> &'static str {
        match self.protocol {
            Protocol::Connected => "C",
            Protocol::Static => "S",
            Protocol::Ospf(PathKind::IntraArea) => "O",
            Protocol::Ospf(PathKind::InterArea) => "O IA",
            Protocol::Ospf(PathKind::E1) => "O E1",
            Protocol::Ospf(PathKind::E2) => "O E2",
        }
    }

    /// In one line: `O E2 20.1.1.0/24 [110/20] via 10.1.1.1`.
    pub fn line(&self, prefix: Ipv4Prefix) -> String {
        let mut line = format!("{} {prefix}", self.code());
        if self.protocol == Protocol::Connected {
            line.push_str(" is directly connected");
            return line;
        }
        if self.hops.iter().all(|hop| hop.iface == Some(IfIndex::NULL)) {
            line.push_str(" is directly connected, Null0");
            return line;
        }
        let _ = write!(line, " [{}/{}]", self.distance, self.metric);
        for (i, hop) in self.hops.iter().enumerate() {
            let via = hop.via.map_or_else(|| "its interface".to_owned(), |via| via.to_string());
            let _ = write!(line, "{} via {via}", if i == 0 { "" } else { "," });
        }
        line
    }
}

impl Change {
    /// What the dataplane is told; `skip` says which interfaces it does not have (loopbacks: what is sent there stays
    /// in the router).
    pub fn command(&self, skip: impl Fn(IfIndex) -> bool) -> Option<Command> {
        let prefix = Prefix::V4(self.prefix);
        let known = |route: &Route| !route.resolved.iter().all(|hop| skip(hop.iface));
        match (&self.old, &self.new) {
            (_, Some(new)) if known(new) => Some(Command::Route { prefix, next_hops: new.resolved.clone() }),
            (Some(old), _) if known(old) => Some(Command::DropRoute { prefix }),
            (Some(_) | None, _) => None,
        }
    }
}

const fn v4(addr: IpAddr) -> Option<Ipv4Addr> {
    match addr {
        IpAddr::V4(addr) => Some(addr),
        IpAddr::V6(_) => None,
    }
}

/// The longest prefix of `table` with `addr` in it, `but` left out (and its own default route never resolves a next
/// hop of itself).
fn longest(
    table: &BTreeMap<Ipv4Prefix, Route>,
    addr: Ipv4Addr,
    but: Option<Ipv4Prefix>,
) -> Option<(Ipv4Prefix, &Route)> {
    (0..=32).rev().find_map(|len| {
        let prefix = Ipv4Prefix::new(addr, len).ok()?.trunc();
        let route = table.get(&prefix).filter(|_| Some(prefix) != but)?;
        Some((prefix, route))
    })
}
