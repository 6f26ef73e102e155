//! Asking the long way's tables, once for a flow: where would its packets go?

use espalier_wire::ether::{self, EtherType};
use espalier_wire::plane::{Mode, NextHop};

use super::IP;
use super::flows::{Adjacency, FlowKey, Way};
use crate::policy::Verdict;
use crate::sa::Outer;
use crate::stage::classify::{Flow, Headers};
use crate::stage::punt::Destination;
use crate::worker::Worker;

impl Worker {
    /// Ask about a flow whose answer is in none of its places, unless it is: where the answer then is. What is told,
    /// refused or not known yet is [`Way::Long`].
    #[cold]
    pub(super) fn learn(&mut self, key: &FlowKey, place: u32) -> u32 {
        if let Some(place) = self.express.flows.find(key, place) {
            return place;
        }
        let way = self.way_of(key).unwrap_or(Way::Long);
        self.express.flows.insert(*key, place, way)
    }

    fn way_of(&self, key: &FlowKey) -> Option<Way> {
        let flow = key.flow();
        if self.links.local.destination(&flow) != Destination::Elsewhere {
            return None;
        }
        let mirrored = self.verdict(key.ingress(), &flow.mirrored());
        if !key.opened() && matches!(mirrored, Verdict::Protect(_)) {
            return None;
        }
        let hop = self.links.fib.lookup(&flow)?;
        match self.verdict(hop.iface, &flow) {
            Verdict::NoMatch | Verdict::Bypass => Some(Way::Clear(self.adjacency(hop, &flow)?)),
            Verdict::Discard => None,
            Verdict::Protect(place) => {
                let sa = self.security.policies.at(place)?.outbound.as_ref()?;
                if sa.mode != Mode::Tunnel || !sa.template.is_ipv4() {
                    return None;
                }
                // What the outer packets look like to a route.
                let mut outer = [0; IP + 8 + 8];
                let len = sa.template.before_spi() + 8;
                let outer = outer.get_mut(..len)?;
                sa.template.write(outer, Outer { traffic_class: 0, df: false, identification: 0 });
                let outer = Headers::read(outer).ok()?.flow;
                let mut adjacency = self.adjacency(self.links.fib.lookup(&outer)?, &outer)?;
                let inner_mtu = self.links.at(hop.iface)?.iface.mtu;
                adjacency.mtu = adjacency.mtu.min(inner_mtu).min(sa.mtu.unwrap_or(u16::MAX));
                Some(Way::Seal(place, adjacency))
            }
        }
    }

    fn adjacency(&self, hop: NextHop, flow: &Flow) -> Option<Adjacency> {
        let link = self.links.at(hop.iface).filter(|link| link.iface.up)?;
        let dst = self.station(hop, flow)?;
        let header = ether::header(dst, link.iface.mac, EtherType::IPV4);
        Some(Adjacency { link: header, iface: hop.iface, mtu: link.iface.mtu })
    }
}
