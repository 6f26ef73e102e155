//! A LAN of whole machines in virtual time: packets take 50 us, and may be lost, doubled or delayed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::ospf::{ALL_D_ROUTERS, ALL_SPF_ROUTERS, LsaHeader, MetricType};
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant, Ipv4Prefix, RouterId};

use super::super::{
    Action, Config, Event, InterfaceConfig, Ospf, Profile, Redistributed, Route, RouteChange, Trace,
};
use crate::Machine;

/// The interface onto the LAN.
pub(super) const LAN: IfIndex = IfIndex(1);
/// Every router's loopback.
pub(super) const LOOPBACK: IfIndex = IfIndex(0);

pub(super) fn addr(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 1, n)
}

pub(super) fn net(text: &str) -> Ipv4Prefix {
    text.parse().unwrap()
}

pub(super) fn config(n: u8) -> Config {
    let lan = InterfaceConfig::broadcast(net(&format!("10.1.1.{n}/24")), 1);
    let mut interfaces = BTreeMap::from([(LAN, lan)]);
    let mut router_id = RouterId(addr(n));
    if n == 3 {
        let lo = InterfaceConfig::loopback(net("99.99.99.99/32"), &Profile::IOS_12_3);
        interfaces.insert(LOOPBACK, InterfaceConfig { passive: true, ..lo });
        router_id = RouterId(Ipv4Addr::new(99, 99, 99, 99));
    }
    Config { router_id, interfaces, asbr: n != 3, profile: Profile::IOS_12_3 }
}

/// A static route as IOS redistributes it.
pub(super) const STATIC: Redistributed =
    Redistributed { metric: 20, metric_type: MetricType::E2, next_hop: None, tag: 0 };

pub(super) struct Node {
    pub(super) ospf: Ospf,
    pub(super) routes: BTreeMap<Ipv4Prefix, Route>,
    pub(super) traces: Vec<(Instant, Trace)>,
    joined: bool,
}

struct Flight {
    to: u8,
    src: Ipv4Addr,
    dst: Ipv4Addr,
    payload: Vec<u8>,
}

/// Shares of packets, in percent.
#[derive(Default, Clone, Copy)]
pub(super) struct Trouble {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) delayed: u64,
}

pub(super) struct Lan {
    pub(super) now: Instant,
    pub(super) nodes: BTreeMap<u8, Node>,
    pub(super) trouble: Trouble,
    pub(super) sent: u64,
    random: Random,
    flights: BTreeMap<(Instant, u64), Flight>,
}

impl Lan {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            now: Instant::ZERO,
            nodes: BTreeMap::new(),
            trouble: Trouble::default(),
            sent: 0,
            random: Random::from_seed(seed),
            flights: BTreeMap::new(),
        }
    }

    /// The document's three routers, started together.
    pub(super) fn document(seed: u64) -> Self {
        let mut lan = Self::new(seed);
        (1..=3).for_each(|n| lan.boot(n, config(n)));
        lan
    }

    pub(super) fn boot(&mut self, n: u8, config: Config) {
        let random = self.random.fork(&format!("{n} at {}", self.now));
        let ospf = Ospf::new(config, random).unwrap();
        self.nodes.insert(n, Node { ospf, routes: BTreeMap::new(), traces: Vec::new(), joined: false });
        for iface in [LOOPBACK, LAN] {
            self.event(n, Event::InterfaceUp { iface });
        }
    }

    pub(super) fn event(&mut self, n: u8, event: Event) {
        let mut actions = Vec::new();
        let Some(node) = self.nodes.get_mut(&n) else { return };
        node.ospf.on(self.now, event, &mut actions);
        self.carry_out(n, actions);
    }

    fn carry_out(&mut self, n: u8, actions: Vec<Action>) {
        for action in actions {
            let node = self.nodes.get_mut(&n).unwrap();
            match action {
                Action::Routes(changes) => {
                    for change in changes {
                        match change {
                            RouteChange::Set(route) => node.routes.insert(route.prefix, route),
                            RouteChange::Gone(prefix) => node.routes.remove(&prefix),
                        };
                    }
                }
                Action::JoinAllDRouters { join, .. } => node.joined = join,
                Action::Trace(trace) => node.traces.push((self.now, trace)),
                Action::Send { iface, dst, payload } => {
                    assert_eq!(iface, LAN, "nothing leaves a loopback");
                    self.transmit(n, dst, &payload);
                }
            }
        }
    }

    fn transmit(&mut self, n: u8, dst: Ipv4Addr, payload: &[u8]) {
        for (to, node) in &self.nodes {
            let takes = dst == ALL_SPF_ROUTERS || (dst == ALL_D_ROUTERS && node.joined) || dst == addr(*to);
            if *to == n || !takes {
                continue;
            }
            let mut chance = |percent| self.random.below(100) < percent;
            let copies = u64::from(!chance(self.trouble.lost)) + u64::from(chance(self.trouble.doubled));
            let delay = if chance(self.trouble.delayed) { 3_000 } else { 50 };
            for _ in 0..copies {
                self.sent += 1;
                let at = self.now + Duration::from_us(delay);
                let flight = Flight { to: *to, src: addr(n), dst, payload: payload.to_vec() };
                self.flights.insert((at, self.sent), flight);
            }
        }
    }

    /// Run for `seconds`.
    pub(super) fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_s(seconds);
        loop {
            let timer = self.nodes.iter().filter_map(|(n, x)| Some((x.ospf.next_deadline()?, *n))).min();
            let packet = self.flights.first_key_value().map(|(key, _)| *key);
            let at = timer.map(|t| t.0).into_iter().chain(packet.map(|p| p.0)).min();
            let Some(at) = at.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            if packet.is_some_and(|p| p.0 <= at) {
                let (_, f) = self.flights.pop_first().unwrap();
                self.event(f.to, Event::Packet { iface: LAN, src: f.src, dst: f.dst, payload: f.payload });
            } else if let Some((_, n)) = timer {
                let mut actions = Vec::new();
                self.nodes.get_mut(&n).unwrap().ospf.timer(self.now, &mut actions);
                self.carry_out(n, actions);
            }
        }
        self.now = end;
    }

    /// Routes of a router as `PREFIX [110/METRIC] via A B`.
    pub(super) fn table(&self, n: u8) -> Vec<String> {
        let line = |r: &Route| {
            let via: Vec<_> = r.next_hops.iter().filter_map(|h| h.via).map(|v| v.to_string()).collect();
            format!("{} [110/{}] via {}", r.prefix, r.metric, via.join(" "))
        };
        let node = self.nodes.get(&n).unwrap();
        assert!(node.ospf.routes().eq(node.routes.values()), "what was told is what is there");
        node.routes.values().map(line).collect()
    }

    /// The database of a router without ages.
    pub(super) fn database(&self, n: u8) -> Vec<LsaHeader> {
        let ospf = &self.nodes[&n].ospf;
        ospf.lsdb.iter().map(|(_, e)| LsaHeader { age: 0, ..e.header(self.now) }).collect()
    }

    pub(super) fn assert_same_databases(&self) {
        let mut databases = self.nodes.keys().map(|n| (n, self.database(*n)));
        let (_, first) = databases.next().unwrap();
        for (n, other) in databases {
            assert_eq!(first, other, "router {n}");
        }
    }
}
