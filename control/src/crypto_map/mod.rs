//! The crypto map: what an interface protects, and whether this router is the one that does it.
//!
//! A map is *bound* while its interface is up and, when it is tied to a redundancy group, while that group is Active
//! here: then its entries may negotiate from the map's local address. Unbound, it still protects: what matches is
//! lost to `standby`, never sent in clear.
//!
//! ```text
//!                interface up, and no group or group Active
//!      UNBOUND ----------------------------------------------> BOUND      negotiate, inject routes
//!         ^                                                      |
//!         +------------------------------------------------------+       drop SAs (DELETE if the link is up),
//!                interface down, or group left Active                     withdraw routes, lose to `standby`
//! ```
//!
//! It decides; IKE negotiates (`ike`), the RIB routes (`rib`), and `router.rs` carries the words between them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::plane::{Command, PolicyId, Rule, RuleAction, Selector, Unprotected};
use espalier_wire::{Cause, IfIndex, Instant, Ipv4Prefix};

pub use crate::hsrp::GroupState;
use crate::profile::{Profile, ReverseRoutes as InjectWith, Withdrawal};
use crate::rri::{ReverseRoutes, VpnRoute};

#[cfg(test)]
mod tests;

/// What a map's `reverse-route` says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReverseRoute {
    /// Not configured.
    #[default]
    Off,
    /// As the profile does it.
    On,
    /// `reverse-route static`: as long as the map is bound.
    Static,
}

/// One permit line of the access list of one map entry: what a pair of SAs serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its number on this router.
    pub policy: PolicyId,
    /// The peer.
    pub peer: Ipv4Addr,
    /// The remote network, when it is one prefix.
    pub remote: Ipv4Prefix,
    /// Whether its route is injected.
    pub reverse_route: ReverseRoute,
    /// The route's next hop, when `reverse-route remote-peer` names another than the peer.
    pub via: Option<Ipv4Addr>,
}

/// One line of the map as the dataplane sees it, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// A permit line: protect.
    Permit(Selector, Entry),
    /// A deny line: send in clear.
    Deny(Selector),
}

/// A crypto map on an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Where it is applied.
    pub iface: IfIndex,
    /// The interface's own address: where negotiations come from without redundancy.
    pub address: Ipv4Addr,
    /// The redundancy group it is tied to, by name, and that group's virtual address.
    pub redundancy: Option<(String, Ipv4Addr)>,
    /// Its lines, by sequence number and then in the order of the access list.
    pub lines: Vec<Line>,
}

impl Map {
    /// Where its negotiations come from.
    pub fn local(&self) -> Ipv4Addr {
        self.redundancy.as_ref().map_or(self.address, |(_, address)| *address)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.lines.iter().filter_map(|line| match line {
            Line::Permit(_, entry) => Some(*entry),
            Line::Deny(_) => None,
        })
    }

    fn rules(&self) -> Vec<Rule> {
        let rule = |line: &Line| match line {
            Line::Permit(selector, entry) => {
                Rule { selector: *selector, action: RuleAction::Protect(entry.policy) }
            }
            Line::Deny(selector) => Rule { selector: *selector, action: RuleAction::Bypass },
        };
        self.lines.iter().map(rule).collect()
    }
}

/// What can happen to the crypto maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An interface came up or went down.
    Interface {
        /// Which.
        iface: IfIndex,
        /// Up.
        up: bool,
    },
    /// A redundancy group changed its state here.
    Group {
        /// Its name.
        name: String,
        /// Its state.
        state: GroupState,
    },
    /// A policy got its SAs.
    SaUp(PolicyId),
    /// A policy lost its last SAs.
    SaDown(PolicyId),
    /// A negotiation for a policy failed.
    Failed {
        /// The policy.
        policy: PolicyId,
        /// What its packets are lost to from now on.
        cause: Cause,
    },
}

/// What the crypto maps want done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell the dataplane.
    Command(Command),
    /// The entry may negotiate from `local`.
    Bind {
        /// The entry.
        policy: PolicyId,
        /// The address it negotiates from.
        local: Ipv4Addr,
    },
    /// The entry may not; its SAs go, with DELETEs to the peer if `notify`.
    Unbind {
        /// The entry.
        policy: PolicyId,
        /// Send DELETEs.
        notify: bool,
    },
    /// Put a static route in.
    RouteAdded(VpnRoute),
    /// Take a static route out.
    RouteRemoved(VpnRoute),
}

struct Applied {
    map: Map,
    link_up: bool,
    group: GroupState,
    bound: bool,
}

/// The crypto maps of one router.
pub struct CryptoMaps {
    maps: Vec<Applied>,
    routes: ReverseRoutes,
    established: BTreeMap<PolicyId, bool>,
    inject: InjectWith,
    withdrawal: Withdrawal,
    notify: bool,
    queue: u16,
}

impl CryptoMaps {
    /// The maps of a router that has just booted, every link down. The first actions install their policies.
    pub fn new(maps: Vec<Map>, profile: &Profile, actions: &mut Vec<Action>) -> Self {
        let mut this = Self {
            maps: Vec::new(),
            routes: ReverseRoutes::default(),
            established: BTreeMap::new(),
            inject: profile.reverse_routes,
            withdrawal: profile.withdrawal,
            notify: profile.notify_on_standby,
            queue: profile.sa_queue,
        };
        for map in maps {
            actions.push(Action::Command(Command::Policy { iface: map.iface, rules: map.rules() }));
            for entry in map.entries() {
                actions.push(this.unprotected(entry.policy, Cause::Standby));
            }
            this.maps.push(Applied { map, link_up: false, group: GroupState::Init, bound: false });
        }
        this
    }

    /// Something happened.
    pub fn on(&mut self, _now: Instant, event: &Event, actions: &mut Vec<Action>) {
        match event {
            Event::Interface { iface, up } => {
                self.each(|m| m.map.iface == *iface, |m| m.link_up = *up, actions);
            }
            Event::Group { name, state } => {
                let tied = |m: &Applied| m.map.redundancy.as_ref().is_some_and(|(group, _)| group == name);
                self.each(tied, |m| m.group = *state, actions);
            }
            Event::SaUp(policy) => {
                self.established.insert(*policy, true);
                actions.push(self.unprotected(*policy, Cause::NoSa));
                self.inject_for(*policy, actions);
            }
            Event::SaDown(policy) => {
                self.established.remove(policy);
                self.inject_for(*policy, actions);
            }
            Event::Failed { policy, cause } => actions.push(self.unprotected(*policy, *cause)),
        }
    }

    /// The maps, and whether each is bound.
    pub fn maps(&self) -> impl Iterator<Item = (&Map, bool)> {
        self.maps.iter().map(|m| (&m.map, m.bound))
    }

    /// The routes injected now.
    pub fn routes(&self) -> impl Iterator<Item = VpnRoute> + '_ {
        self.routes.routes()
    }

    /// Change the maps that `select` picks, then bind or unbind what that decides.
    fn each(
        &mut self,
        select: impl Fn(&Applied) -> bool,
        change: impl Fn(&mut Applied),
        actions: &mut Vec<Action>,
    ) {
        for i in 0..self.maps.len() {
            if !select(&self.maps[i]) {
                continue;
            }
            change(&mut self.maps[i]);
            let m = &self.maps[i];
            let tied = m.map.redundancy.is_some();
            let wanted = m.link_up && (!tied || m.group == GroupState::Active);
            if wanted && !m.bound {
                self.bind(i, actions);
            } else if !wanted && m.bound {
                self.unbind(i, actions);
            }
            let policies: Vec<PolicyId> = self.maps[i].map.entries().map(|e| e.policy).collect();
            for policy in policies {
                self.inject_for(policy, actions);
            }
        }
    }

    fn bind(&mut self, i: usize, actions: &mut Vec<Action>) {
        self.maps[i].bound = true;
        let map = &self.maps[i].map;
        for entry in map.entries() {
            actions.push(self.unprotected(entry.policy, Cause::NoSa));
            actions.push(Action::Bind { policy: entry.policy, local: map.local() });
        }
    }

    fn unbind(&mut self, i: usize, actions: &mut Vec<Action>) {
        self.maps[i].bound = false;
        let notify = self.notify && self.maps[i].link_up;
        for entry in self.maps[i].map.entries() {
            self.established.remove(&entry.policy);
            actions.push(self.unprotected(entry.policy, Cause::Standby));
            actions.push(Action::Unbind { policy: entry.policy, notify });
        }
    }

    /// Put the entry's route in or take it out, as the profile and the state of its map say.
    fn inject_for(&mut self, policy: PolicyId, actions: &mut Vec<Action>) {
        let found = self.maps.iter().find_map(|m| {
            m.map.entries().find(|e| e.policy == policy).map(|e| (e, m.bound, m.link_up, m.group))
        });
        let Some((entry, bound, link_up, group)) = found else { return };
        let with_map = || match self.withdrawal {
            Withdrawal::LeavingActive => bound,
            // Between Active and Standby the route stays, if it was there.
            Withdrawal::ReachingStandby => {
                let between = link_up && matches!(group, GroupState::Speak | GroupState::Backup);
                bound || (between && self.routes.routes().any(|r| r.prefix == entry.remote))
            }
        };
        let wanted = match (entry.reverse_route, self.inject) {
            (ReverseRoute::Off, InjectWith::WithActive | InjectWith::WithSas) => false,
            (ReverseRoute::On, InjectWith::WithActive) => with_map(),
            (ReverseRoute::On, InjectWith::WithSas) => bound && self.established.contains_key(&policy),
            (ReverseRoute::Static, InjectWith::WithActive | InjectWith::WithSas) => bound,
        };
        if wanted {
            let route = VpnRoute { prefix: entry.remote, via: entry.via.unwrap_or(entry.peer) };
            if self.routes.hold(policy, route) {
                actions.push(Action::RouteAdded(route));
            }
        } else {
            actions.extend(self.routes.release(policy).into_iter().map(Action::RouteRemoved));
        }
    }

    fn unprotected(&self, policy: PolicyId, cause: Cause) -> Action {
        let standby = cause == Cause::Standby;
        let state = Unprotected { cause, ask: !standby, queue: if standby { 0 } else { self.queue } };
        Action::Command(Command::Unprotected { policy, state })
    }
}
