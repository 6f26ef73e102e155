//! Where packets leave: routes by longest prefix, equal next hops shared by flows, neighbours' link addresses.

mod ipv4;
mod ipv6;
mod neighbours;

pub use neighbours::Neighbours;

use std::net::IpAddr;

use espalier_wire::Prefix;
use espalier_wire::plane::NextHop;

use crate::stage::classify::Flow;

/// The forwarding table of one worker.
#[derive(Default)]
pub struct Fib {
    ipv4: ipv4::Table,
    ipv6: ipv6::Table,
    /// Next hops of the routes; tables hold indices into it.
    routes: Vec<Box<[NextHop]>>,
    free: Vec<u32>,
}

impl Fib {
    /// Add or replace a route. One without next hops is a route removed.
    pub fn insert(&mut self, prefix: Prefix, next_hops: Vec<NextHop>) {
        self.remove(prefix);
        if next_hops.is_empty() {
            return;
        }
        let next_hops = next_hops.into_boxed_slice();
        let route = match self.free.pop() {
            Some(route) => {
                self.routes[route as usize] = next_hops;
                route
            }
            None => {
                self.routes.push(next_hops);
                self.routes.len() as u32 - 1
            }
        };
        match prefix.network() {
            IpAddr::V4(net) => self.ipv4.insert(net.to_bits(), prefix.prefix_len(), route),
            IpAddr::V6(net) => self.ipv6.insert(net.to_bits(), prefix.prefix_len(), route),
        }
    }

    /// Remove a route.
    pub fn remove(&mut self, prefix: Prefix) {
        let removed = match prefix.network() {
            IpAddr::V4(net) => self.ipv4.remove(net.to_bits(), prefix.prefix_len()),
            IpAddr::V6(net) => self.ipv6.remove(net.to_bits(), prefix.prefix_len()),
        };
        self.free.extend(removed);
    }

    /// The next hop of a packet: the longest prefix's, and among several the one the flow's hash picks.
    pub fn lookup(&self, flow: &Flow) -> Option<NextHop> {
        let route = if flow.ipv4 { self.ipv4.lookup(flow.dst as u32) } else { self.ipv6.lookup(flow.dst) };
        let hops = self.routes.get(route? as usize)?;
        if let [only] = hops[..] {
            return Some(only);
        }
        let pick = (u64::from(flow.hash()) * hops.len() as u64) >> 32;
        hops.get(pick as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use espalier_wire::IfIndex;
    use proptest::prelude::*;

    use super::*;

    fn flow(dst: IpAddr) -> Flow {
        let (bits, ipv4) = match dst {
            IpAddr::V4(dst) => (u128::from(dst.to_bits()), true),
            IpAddr::V6(dst) => (dst.to_bits(), false),
        };
        Flow { src: 1, dst: bits, ipv4, protocol: 17, ports: Some((1, 2)) }
    }

    fn hop(n: u16) -> NextHop {
        NextHop { iface: IfIndex(n), via: None }
    }

    /// Prefixes that nest, at every length and on both sides of the table's strides.
    fn prefix() -> impl Strategy<Value = Prefix> {
        let v4 =
            (prop_oneof![Just(0x0a01_0203u32), Just(0x0a01_02ff), Just(0x0aff_0000), any::<u32>()], 0u8..=32);
        let v6 = (0u128..4, prop_oneof![Just(0u8), 120u8..=128]);
        prop_oneof![
            v4.prop_map(|(bits, len)| Prefix::new(Ipv4Addr::from_bits(bits).into(), len).unwrap().trunc()),
            v6.prop_map(|(bits, len)| Prefix::new(Ipv6Addr::from_bits(bits).into(), len).unwrap().trunc()),
        ]
    }

    proptest! {
        #[test]
        fn equals_a_search_through_all_prefixes(
            steps in proptest::collection::vec((prefix(), proptest::option::of(1u16..50)), 1..60),
            probes in proptest::collection::vec(prefix(), 40),
        ) {
            let (mut fib, mut naive) = (Fib::default(), BTreeMap::new());
            for (prefix, route) in steps {
                match route {
                    Some(n) => {
                        fib.insert(prefix, vec![hop(n)]);
                        naive.insert(prefix, n);
                    }
                    None => {
                        fib.remove(prefix);
                        naive.remove(&prefix);
                    }
                }
            }
            for probe in probes.iter().flat_map(|p| [p.network(), p.broadcast(), p.addr()]) {
                let best = naive.iter().filter(|(p, _)| p.contains(&probe)).max_by_key(|(p, _)| p.prefix_len());
                prop_assert_eq!(fib.lookup(&flow(probe)), best.map(|(_, n)| hop(*n)), "{}", probe);
            }
        }
    }

    #[test]
    fn flows_spread_over_equal_next_hops_and_stay() {
        let mut fib = Fib::default();
        fib.insert("0.0.0.0/0".parse().unwrap(), (0..3).map(hop).collect());
        let mut counts = [0; 3];
        for port in 0..900 {
            let flow = Flow { ports: Some((port, 80)), ..flow(IpAddr::from([9, 9, 9, 9])) };
            let first = fib.lookup(&flow).unwrap();
            assert_eq!(fib.lookup(&flow), Some(first));
            counts[usize::from(first.iface.0)] += 1;
        }
        assert!(counts.iter().all(|n| (200..400).contains(n)), "{counts:?}");
    }
}
