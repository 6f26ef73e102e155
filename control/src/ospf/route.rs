//! From the tree to routes: the SPF timers, inter-area routes (RFC 2328 section 16.2), AS-external ones (section 16.4)
//! and what changes when one LSA does (sections 16.5 and 16.6).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use espalier_wire::ospf::{AsExternal, LS_INFINITY, LsaBody, LsaKey, LsaType, MetricType};
use espalier_wire::plane::NextHop;
use espalier_wire::{Duration, Instant, Ipv4Prefix, RouterId};

use super::config::ExternalCalculation;
use super::flood::external_prefix;
use super::interface::InterfaceState;
use super::tree::{self, Path, Tree};
use super::{Action, Ospf, Trace};

/// The kinds of path, best first (RFC 2328 section 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum PathKind {
    IntraArea,
    InterArea,
    E1,
    E2,
}

/// A route that OSPF offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination.
    pub prefix: Ipv4Prefix,
    /// Kind of path.
    pub kind: PathKind,
    /// What compares: the cost, or for E2 the external metric alone.
    pub metric: u32,
    /// For E2, the cost to the AS boundary router or forwarding address; 0 otherwise.
    pub forward_metric: u32,
    /// The external route's tag, 0 otherwise.
    pub tag: u32,
    /// Every equal way, in order; `via: None` is a network of our own.
    pub next_hops: Vec<NextHop>,
}

impl Route {
    /// Whether the destination is a network of our own, which needs no route from OSPF.
    pub fn is_connected(&self) -> bool {
        self.next_hops.iter().any(|hop| hop.via.is_none())
    }

    fn internal(prefix: Ipv4Prefix, kind: PathKind, path: &Path) -> Self {
        let next_hops = path.hops.iter().copied().collect();
        Self { prefix, kind, metric: path.cost, forward_metric: 0, tag: 0, next_hops }
    }
}

/// A change of the routes that OSPF offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteChange {
    /// New, or in place of the one with the same prefix.
    Set(Route),
    /// No longer there.
    Gone(Ipv4Prefix),
}

/// When SPF runs, and what it found.
#[derive(Debug, Default)]
pub(super) struct Spf {
    pub(super) tree: Tree,
    /// Everything the calculation yields, networks of our own included.
    pub(super) table: BTreeMap<Ipv4Prefix, Route>,
    /// The next run, and when it was first asked for.
    pub(super) scheduled: Option<(Instant, Instant)>,
    pub(super) last_run: Option<Instant>,
    pub(super) runs: u64,
    hold: Duration,
    changes: Vec<RouteChange>,
}

impl Ospf {
    /// An LSA says something else than before: have it computed.
    pub(super) fn database_changed(&mut self, key: LsaKey, old: Option<Ipv4Prefix>, new: Option<Ipv4Prefix>) {
        match key.kind {
            LsaType::Router | LsaType::Network => self.schedule_spf(key),
            LsaType::SummaryNetwork | LsaType::SummaryAsbr => self.build_routes(),
            LsaType::AsExternal => match self.config.profile.external {
                ExternalCalculation::AtOnce => {
                    // RFC 2328 section 16.6: that destination alone.
                    for prefix in BTreeSet::from([old, new]).into_iter().flatten() {
                        self.update_route(prefix);
                    }
                }
                ExternalCalculation::WithSpf => self.schedule_spf(key),
            },
            LsaType::Nssa
            | LsaType::OpaqueLink
            | LsaType::OpaqueArea
            | LsaType::OpaqueAs
            | LsaType::Unknown(_) => {}
        }
    }

    /// Run SPF as the profile's timers say: `start` after the first change, and `hold` after the run before, doubling
    /// while changes keep coming.
    fn schedule_spf(&mut self, reason: LsaKey) {
        if self.spf.scheduled.is_some() {
            return;
        }
        let timers = self.config.profile.spf;
        let hold = self.spf.hold.max(timers.hold);
        let ready = self.spf.last_run.map(|last| last + hold);
        let mut at = self.now + timers.start;
        if let Some(ready) = ready.filter(|ready| *ready > self.now) {
            at = at.max(ready);
            self.spf.hold = hold.times(2).min(timers.max).max(timers.hold);
        } else {
            self.spf.hold = timers.hold;
        }
        self.spf.scheduled = Some((at, self.now));
        self.trace(Trace::SpfScheduled { at, reason });
    }

    pub(super) fn run_spf(&mut self) {
        let Some((_, asked)) = self.spf.scheduled.take() else { return };
        let up = |s| !matches!(s, InterfaceState::Down);
        let interfaces = self.interfaces.iter().filter(|(_, i)| up(i.state));
        let ours = interfaces.map(|(index, i)| (*index, i.config.address)).collect();
        self.spf.tree = tree::calculate(&self.lsdb, self.config.router_id, &ours);
        self.spf.last_run = Some(self.now);
        self.spf.runs += 1;
        let (routers, prefixes) = (self.spf.tree.routers.len(), self.spf.tree.prefixes.len());
        self.trace(Trace::Spf { waited: self.now.since(asked), routers, prefixes });
        self.build_routes();
    }

    /// Every route anew from the tree, the summaries and the externals.
    fn build_routes(&mut self) {
        let mut prefixes: BTreeSet<_> = self.spf.table.keys().copied().collect();
        prefixes.extend(self.spf.tree.prefixes.keys());
        for (key, body) in self.lsdb.of_kind(LsaType::AsExternal, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)
        {
            prefixes.extend(external_prefix(key, body));
        }
        for (key, body) in
            self.lsdb.of_kind(LsaType::SummaryNetwork, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)
        {
            prefixes.extend(summary_prefix(key, body));
        }
        for prefix in prefixes {
            self.update_route(prefix);
        }
    }

    /// One destination anew.
    fn update_route(&mut self, prefix: Ipv4Prefix) {
        let new = self.internal_route(prefix).or_else(|| self.external_route(prefix));
        let old = match new.clone() {
            Some(route) => self.spf.table.insert(prefix, route),
            None => self.spf.table.remove(&prefix),
        };
        if old == new {
            return;
        }
        let offered = |r: &Route| !r.is_connected();
        let (old, new) = (old.filter(offered), new.filter(offered));
        match (&old, &new) {
            (_, Some(route)) => self.spf.changes.push(RouteChange::Set(route.clone())),
            (Some(_), None) => self.spf.changes.push(RouteChange::Gone(prefix)),
            (None, None) => return,
        }
        self.trace(Trace::Route { prefix, old: old.map(Box::new), new: new.map(Box::new) });
    }

    /// Tell the changes of the event in hand.
    pub(super) fn tell_routes(&mut self) {
        if !self.spf.changes.is_empty() {
            self.out.push(Action::Routes(std::mem::take(&mut self.spf.changes)));
        }
    }

    /// Intra-area, else inter-area.
    fn internal_route(&self, prefix: Ipv4Prefix) -> Option<Route> {
        if let Some(path) = self.spf.tree.prefixes.get(&prefix) {
            return Some(Route::internal(prefix, PathKind::IntraArea, path));
        }
        let path =
            self.summary_path(LsaType::SummaryNetwork, prefix.network(), prefix.broadcast(), |key, body| {
                summary_prefix(key, body) == Some(prefix)
            })?;
        Some(Route::internal(prefix, PathKind::InterArea, &path))
    }

    /// The best way by a summary-LSA (RFC 2328 section 16.2).
    fn summary_path(
        &self,
        kind: LsaType,
        from: Ipv4Addr,
        to: Ipv4Addr,
        wanted: impl Fn(&LsaKey, &LsaBody) -> bool,
    ) -> Option<Path> {
        let mut best: Option<Path> = None;
        for (key, body) in self.lsdb.of_kind(kind, from, to).filter(|(key, body)| wanted(key, body)) {
            let LsaBody::Summary(summary) = body else { continue };
            let Some(border) = self.spf.tree.routers.get(&key.router).filter(|r| r.border) else { continue };
            if summary.metric >= LS_INFINITY {
                continue;
            }
            let cost = border.path.cost.saturating_add(summary.metric);
            better(&mut best, Path { cost, hops: border.path.hops.clone() });
        }
        best
    }

    /// How an AS boundary router is reached.
    fn boundary_router(&self, id: RouterId) -> Option<Path> {
        if let Some(router) = self.spf.tree.routers.get(&id) {
            return router.asbr.then(|| router.path.clone());
        }
        self.summary_path(LsaType::SummaryAsbr, id.0, id.0, |_, _| true)
    }

    /// How a forwarding address is reached: by an internal route alone (RFC 2328 section 16.4 step 3).
    fn forwarding_path(&self, addr: Ipv4Addr) -> Option<Path> {
        if self.interfaces.values().any(|i| i.address() == addr) {
            return None;
        }
        let lookup = |len| self.internal_route(Ipv4Prefix::new(addr, len).ok()?.trunc());
        let route = (0..=32).rev().find_map(lookup)?;
        let onto = |hop: &NextHop| NextHop { via: hop.via.or(Some(IpAddr::V4(addr))), ..*hop };
        Some(Path { cost: route.metric, hops: route.next_hops.iter().map(onto).collect() })
    }

    /// RFC 2328 section 16.4, for one destination. Equal ways share it: two boundary routers at the same distance
    /// that announce the same metric give two next hops.
    fn external_route(&self, prefix: Ipv4Prefix) -> Option<Route> {
        let mut best: Option<((MetricType, u32, u32), Route)> = None;
        for (key, body) in self.lsdb.of_kind(LsaType::AsExternal, prefix.network(), prefix.broadcast()) {
            let LsaBody::AsExternal(external) = body else { continue };
            let usable = key.router != self.config.router_id && external.metric < LS_INFINITY;
            if !usable || external_prefix(key, body) != Some(prefix) {
                continue;
            }
            let path = match external.forwarding {
                Some(addr) => self.forwarding_path(addr),
                None => self.boundary_router(key.router),
            };
            let Some(path) = path else { continue };
            let rank = rank(external, path.cost);
            let known = best.as_mut();
            match known {
                Some((rank_known, route)) if *rank_known == rank => {
                    let mut hops = path.hops;
                    hops.extend(route.next_hops.iter().copied());
                    route.next_hops = hops.into_iter().collect();
                }
                Some((rank_known, _)) if *rank_known < rank => {}
                _ => best = Some((rank, external_way(prefix, external, path))),
            }
        }
        best.map(|(_, route)| route)
    }
}

/// What orders external ways, the best the least (RFC 2328 section 16.4 step 6).
fn rank(external: &AsExternal, distance: u32) -> (MetricType, u32, u32) {
    match external.metric_type {
        MetricType::E1 => (MetricType::E1, external.metric.saturating_add(distance), 0),
        MetricType::E2 => (MetricType::E2, external.metric, distance),
    }
}

fn external_way(prefix: Ipv4Prefix, external: &AsExternal, path: Path) -> Route {
    let next_hops = path.hops.into_iter().collect();
    let (_, metric, forward_metric) = rank(external, path.cost);
    let kind = match external.metric_type {
        MetricType::E1 => PathKind::E1,
        MetricType::E2 => PathKind::E2,
    };
    Route { prefix, kind, metric, forward_metric, tag: external.tag, next_hops }
}

fn better(best: &mut Option<Path>, path: Path) {
    match best {
        Some(known) if known.cost == path.cost => known.hops.extend(path.hops),
        Some(known) if known.cost < path.cost => {}
        Some(_) | None => *best = Some(path),
    }
}

fn summary_prefix(key: &LsaKey, body: &LsaBody) -> Option<Ipv4Prefix> {
    let LsaBody::Summary(summary) = body else { return None };
    Ipv4Prefix::new(key.id, summary.prefix_len).ok().map(|p| p.trunc())
}
