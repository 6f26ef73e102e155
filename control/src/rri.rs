//! Reverse route injection: a crypto map entry's remote network as a static route via its peer.
//!
//! Several entries may want the same route; it goes when the last of them lets go. When an entry wants its route is
//! the crypto map's decision (`crypto_map.rs`), not this file's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use espalier_wire::Ipv4Prefix;
use espalier_wire::plane::PolicyId;

/// A route that RRI holds: `S 20.1.1.0 [1/0] via 172.16.172.69`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct VpnRoute {
    /// The entry's remote network.
    pub prefix: Ipv4Prefix,
    /// Its peer (or what `reverse-route remote-peer` names).
    pub via: Ipv4Addr,
}

/// Who wants which route.
#[derive(Debug, Default)]
pub struct ReverseRoutes {
    holders: BTreeMap<VpnRoute, BTreeSet<PolicyId>>,
}

impl ReverseRoutes {
    /// `policy` wants `route`; true when it is new.
    pub fn hold(&mut self, policy: PolicyId, route: VpnRoute) -> bool {
        let holders = self.holders.entry(route).or_default();
        let new = holders.is_empty();
        holders.insert(policy);
        new
    }

    /// `policy` no longer wants its routes: those that nobody wants any more.
    pub fn release(&mut self, policy: PolicyId) -> Vec<VpnRoute> {
        let mut gone = Vec::new();
        self.holders.retain(|route, holders| {
            if holders.remove(&policy) && holders.is_empty() {
                gone.push(*route);
            }
            !holders.is_empty()
        });
        gone
    }

    /// The routes held now.
    pub fn routes(&self) -> impl Iterator<Item = VpnRoute> + '_ {
        self.holders.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_lives_as_long_as_its_last_holder() {
        let route = VpnRoute { prefix: "20.1.1.0/24".parse().unwrap(), via: Ipv4Addr::new(172, 16, 172, 69) };
        let mut rri = ReverseRoutes::default();
        assert!(rri.hold(PolicyId(0), route));
        assert!(!rri.hold(PolicyId(0), route), "held already");
        assert!(!rri.hold(PolicyId(1), route));
        assert_eq!(rri.release(PolicyId(0)), []);
        assert_eq!(rri.release(PolicyId(1)), [route]);
        assert_eq!(rri.release(PolicyId(1)), []);
        assert_eq!(rri.routes().count(), 0);
    }
}
