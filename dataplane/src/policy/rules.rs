//! Ordered rules, first match wins, found without walking them: tuple space search.
//!
//! Rules whose prefixes have the same lengths, and that agree on whether they name a protocol and single ports, form a
//! tuple; within it, the named fields are the key of a hash table. A lookup asks each tuple, in the order of the best
//! rule it holds, until no later one can hold a better. Real access lists have few tuples (10,000 rules between /24s
//! are one). Port ranges stay a list within their key.

use std::collections::HashMap;
use std::net::IpAddr;

use espalier_wire::Prefix;
use espalier_wire::plane::{PortRange, Rule, RuleAction, Selector};

use super::{Policies, PolicyRef};
use crate::hash::MixBuild;
use crate::stage::classify::Flow;

/// What the rules say of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No rule matches: sent in clear.
    NoMatch,
    /// Sent in clear.
    Bypass,
    /// Lost.
    Discard,
    /// Through this policy's SA.
    Protect(PolicyRef),
}

/// A selector ready to be compared.
#[derive(Debug, Clone, Copy)]
pub struct Matcher {
    src: (u128, u128),
    dst: (u128, u128),
    ipv4: Option<bool>,
    protocol: Option<u8>,
    src_ports: PortRange,
    dst_ports: PortRange,
}

/// A prefix as bits and mask, IPv4 in the low 32 bits.
fn bits(prefix: Prefix) -> (u128, u128) {
    let (addr, width) = match prefix.network() {
        IpAddr::V4(addr) => (u128::from(addr.to_bits()), 32),
        IpAddr::V6(addr) => (addr.to_bits(), 128),
    };
    let host = (1u128.checked_shl(width - u32::from(prefix.prefix_len()))).map_or(u128::MAX, |bit| bit - 1);
    let all = 1u128.checked_shl(width).map_or(u128::MAX, |bit| bit - 1);
    (addr, all & !host)
}

impl Matcher {
    /// From what the control plane says. Prefixes of two families match nothing.
    pub fn new(selector: &Selector) -> Self {
        let families = (selector.src.addr().is_ipv4(), selector.dst.addr().is_ipv4());
        Self {
            src: bits(selector.src),
            dst: bits(selector.dst),
            ipv4: (families.0 == families.1).then_some(families.0),
            protocol: selector.protocol,
            src_ports: selector.src_ports,
            dst_ports: selector.dst_ports,
        }
    }

    /// Whether it covers a packet. One that shows no ports (a later fragment, another protocol) matches only where
    /// every port does.
    pub fn matches(&self, flow: &Flow) -> bool {
        self.ipv4 == Some(flow.ipv4)
            && flow.src & self.src.1 == self.src.0
            && flow.dst & self.dst.1 == self.dst.0
            && self.protocol.is_none_or(|protocol| protocol == flow.protocol)
            && port_matches(self.src_ports, flow.ports.map(|ports| ports.0))
            && port_matches(self.dst_ports, flow.ports.map(|ports| ports.1))
    }
}

fn port_matches(range: PortRange, port: Option<u16>) -> bool {
    range == PortRange::ANY || port.is_some_and(|port| range.contains(port))
}

/// What a tuple's rules have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    ipv4: bool,
    src_mask: u128,
    dst_mask: u128,
    protocol: bool,
    src_port: bool,
    dst_port: bool,
}

/// The fields a shape names, as one rule or packet has them; 0 where it does not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: u128,
    dst: u128,
    /// Source port, destination port, protocol.
    rest: u64,
}

struct Tuple {
    shape: Shape,
    /// The best rule in it.
    first: u32,
    /// Rules by key, best first.
    rules: HashMap<Key, Vec<u32>, MixBuild>,
}

impl Shape {
    fn of(matcher: &Matcher, ipv4: bool) -> Self {
        Self {
            ipv4,
            src_mask: matcher.src.1,
            dst_mask: matcher.dst.1,
            protocol: matcher.protocol.is_some(),
            src_port: matcher.src_ports.low == matcher.src_ports.high,
            dst_port: matcher.dst_ports.low == matcher.dst_ports.high,
        }
    }

    fn key(&self, src: u128, dst: u128, protocol: u8, ports: (u16, u16)) -> Key {
        let part = |named: bool, value: u64, at: u32| if named { value << at } else { 0 };
        Key {
            src: src & self.src_mask,
            dst: dst & self.dst_mask,
            rest: part(self.protocol, u64::from(protocol), 32)
                | part(self.src_port, u64::from(ports.0), 16)
                | part(self.dst_port, u64::from(ports.1), 0),
        }
    }
}

/// Up to this many rules are walked: that costs less than one hash.
const WALKED: usize = 8;

/// An interface's outbound policy.
#[derive(Default)]
pub struct RuleSet {
    rules: Vec<(Matcher, Verdict)>,
    tuples: Vec<Tuple>,
}

impl RuleSet {
    /// Compile rules; the policies they name get their places.
    pub fn new(rules: &[Rule], policies: &mut Policies) -> Self {
        let compile = |rule: &Rule| {
            let verdict = match rule.action {
                RuleAction::Bypass => Verdict::Bypass,
                RuleAction::Discard => Verdict::Discard,
                RuleAction::Protect(id) => Verdict::Protect(policies.place(id)),
            };
            (Matcher::new(&rule.selector), verdict)
        };
        let mut set = Self { rules: rules.iter().map(compile).collect(), tuples: Vec::new() };
        if set.rules.len() > WALKED {
            set.index();
        }
        set
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    fn index(&mut self) {
        for (number, (matcher, _)) in self.rules.iter().enumerate() {
            let Some(ipv4) = matcher.ipv4 else { continue };
            let shape = Shape::of(matcher, ipv4);
            let ports = (matcher.src_ports.low, matcher.dst_ports.low);
            let key = shape.key(matcher.src.0, matcher.dst.0, matcher.protocol.unwrap_or(0), ports);
            let at = self.tuples.iter().position(|tuple| tuple.shape == shape).unwrap_or_else(|| {
                self.tuples.push(Tuple { shape, first: number as u32, rules: HashMap::default() });
                self.tuples.len() - 1
            });
            // Rules come in order, so each list, and the tuples themselves, are sorted by their best rule.
            self.tuples[at].rules.entry(key).or_default().push(number as u32);
        }
    }

    /// What the first rule that matches says.
    pub fn lookup(&self, flow: &Flow) -> Verdict {
        if self.tuples.is_empty() { self.walk(flow) } else { self.search(flow) }
    }

    fn walk(&self, flow: &Flow) -> Verdict {
        self.rules.iter().find(|(matcher, _)| matcher.matches(flow)).map_or(Verdict::NoMatch, |rule| rule.1)
    }

    fn search(&self, flow: &Flow) -> Verdict {
        let mut best = u32::MAX;
        for tuple in &self.tuples {
            if tuple.first >= best {
                break;
            }
            if tuple.shape.ipv4 != flow.ipv4 {
                continue;
            }
            let ports = flow.ports.unwrap_or_default();
            let key = tuple.shape.key(flow.src, flow.dst, flow.protocol, ports);
            let matching = |number: &&u32| {
                self.rules.get(**number as usize).is_some_and(|(matcher, _)| matcher.matches(flow))
            };
            if let Some(number) = tuple.rules.get(&key).and_then(|rules| rules.iter().find(matching)) {
                best = best.min(*number);
            }
        }
        self.rules.get(best as usize).map_or(Verdict::NoMatch, |rule| rule.1)
    }
}

#[cfg(test)]
mod tests {
    use espalier_wire::plane::PolicyId;
    use proptest::prelude::*;

    use super::*;

    /// Addresses and ports from a small world, so that rules overlap and packets hit them.
    fn prefix() -> impl Strategy<Value = Prefix> {
        prop_oneof![
            (0u32..8, 0u8..=32).prop_map(|(host, len)| {
                Prefix::new(std::net::Ipv4Addr::from_bits(0x0a00_0000 | (host * 0x0101)).into(), len)
                    .unwrap()
                    .trunc()
            }),
            (0u128..4, prop_oneof![Just(0u8), 120u8..=128]).prop_map(|(host, len)| {
                Prefix::new(std::net::Ipv6Addr::from_bits(host).into(), len).unwrap().trunc()
            }),
        ]
    }

    fn range() -> impl Strategy<Value = PortRange> {
        prop_oneof![
            Just(PortRange::ANY),
            (0u16..4).prop_map(PortRange::one),
            (0u16..4, 0u16..4).prop_map(|(low, more)| PortRange { low, high: low + more }),
        ]
    }

    fn rule() -> impl Strategy<Value = Rule> {
        let protocol = proptest::option::of(prop_oneof![Just(6u8), Just(17)]);
        (prefix(), prefix(), protocol, range(), range(), 0u32..50).prop_map(
            |(src, dst, protocol, src_ports, dst_ports, n)| Rule {
                selector: Selector { src, dst, protocol, src_ports, dst_ports },
                action: match n {
                    0 => RuleAction::Bypass,
                    1 => RuleAction::Discard,
                    _ => RuleAction::Protect(PolicyId(n)),
                },
            },
        )
    }

    fn flow() -> impl Strategy<Value = Flow> {
        let ports = proptest::option::of((0u16..8, 0u16..8));
        (0u128..8, 0u128..8, any::<bool>(), prop_oneof![Just(6u8), Just(17), Just(1)], ports).prop_map(
            |(src, dst, ipv4, protocol, ports)| {
                let place = |host: u128| if ipv4 { 0x0a00_0000 | (host * 0x0101) } else { host };
                Flow { src: place(src), dst: place(dst), ipv4, protocol, ports }
            },
        )
    }

    proptest! {
        #[test]
        fn the_search_finds_what_the_walk_finds(
            rules in proptest::collection::vec(rule(), 0..60),
            flows in proptest::collection::vec(flow(), 50),
        ) {
            let mut set = RuleSet::new(&rules, &mut Policies::default());
            set.tuples.clear();
            set.index();
            for flow in flows {
                prop_assert_eq!(set.search(&flow), set.walk(&flow), "{:?}", flow);
            }
        }

        #[test]
        fn a_matcher_agrees_with_the_prefixes(rule in rule(), flow in flow()) {
            let s = rule.selector;
            let port = |range: PortRange, port: Option<u16>| {
                range == PortRange::ANY || port.is_some_and(|p| range.contains(p))
            };
            let expected = s.src.contains(&flow.src())
                && s.dst.contains(&flow.dst())
                && s.protocol.is_none_or(|p| p == flow.protocol)
                && port(s.src_ports, flow.ports.map(|p| p.0))
                && port(s.dst_ports, flow.ports.map(|p| p.1));
            prop_assert_eq!(Matcher::new(&s).matches(&flow), expected);
        }
    }
}
