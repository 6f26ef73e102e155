//! What the router answers to `show …`: who prints which answer. What stands in the configuration alone, or beside
//! plain counters, is `listing`'s.

use espalier_wire::Instant;
use espalier_wire::plane::Counters;

use super::{Names, Process, Router};
use crate::crypto_map::{Line, Map};
use crate::hsrp;
use crate::ike::show::{Binding, BoundEntry};
use crate::ios::{self, Exec};

impl Router {
    /// The answer to an exec command, as IOS prints it. `counters` are the dataplane's.
    pub fn show(&self, now: Instant, exec: &Exec, counters: &Counters) -> String {
        let names = &Names(&self.config);
        match exec {
            Exec::ShowStandby { brief: false } => hsrp::show::standby(&self.hsrp, now, names),
            Exec::ShowStandby { brief: true } => hsrp::show::standby_brief(&self.hsrp, names),
            Exec::ShowTrack(_) => self.track.show(now, names),
            Exec::ShowIsakmpSa { detail: false } => self.ike.show_isakmp_sa(),
            Exec::ShowIsakmpSa { detail: true } => self.ike.show_isakmp_sa_detail(now),
            Exec::ShowIpsecSa => self.ike.show_ipsec_sa(&self.bindings(), counters, now),
            Exec::ShowCryptoSession => self.ike.show_session(&self.bindings()),
            Exec::ShowIpRoute(of) => self.rib.show_route(now, *of, names),
            Exec::ShowIpCef { prefix, detail } => {
                let mac = |iface, addr| self.arp.neighbour(iface, addr);
                self.rib.show_cef(*prefix, *detail, names, &mac)
            }
            Exec::ShowArp => self.arp.show(now, names),
            Exec::ShowAccessLists => self.access_lists(),
            Exec::ShowRunningConfig => ios::print(&self.config),
            Exec::ShowIpInterfaceBrief => self.interface_brief(),
            Exec::ShowCryptoMap => self.crypto_maps(),
            Exec::ShowOspfNeighbor => self.of_ospf(|p| p.ospf.show_neighbours(now, names)),
            Exec::ShowOspfDatabase => self.of_ospf(|p| p.ospf.show_database(now, p.number)),
            Exec::ShowOspfInterface(None) => {
                self.of_ospf(|p| p.ospf.show_interfaces(now, p.number, None, names))
            }
            Exec::ShowOspfInterface(Some(name)) => {
                let index = self.config.index_of(*name);
                self.of_ospf(|p| p.ospf.show_interfaces(now, p.number, index, names))
            }
            Exec::ShowInterfaces(only) => self.interfaces(*only, counters),
            // Whoever keeps the events prints them.
            Exec::Debug { .. } => String::new(),
        }
    }

    /// IOS prints nothing where no process runs.
    fn of_ospf(&self, show: impl FnOnce(&Process) -> String) -> String {
        self.process.as_ref().map_or_else(String::new, show)
    }

    /// The crypto maps as `show crypto ipsec sa` goes through them.
    fn bindings(&self) -> Vec<Binding> {
        self.maps.maps().filter_map(|(map, _)| self.binding(map)).collect()
    }

    fn binding(&self, map: &Map) -> Option<Binding> {
        let interface = self.config.interface_at(map.iface)?;
        let entry = |line: &Line| match line {
            Line::Permit(selector, entry) => {
                Some(BoundEntry { policy: entry.policy, selector: *selector, peer: entry.peer })
            }
            Line::Deny(_) => None,
        };
        Some(Binding {
            interface: interface.name.to_string(),
            map: interface.crypto_map.as_ref()?.map.clone(),
            local: map.local(),
            mtu: interface.ip_mtu(),
            entries: map.lines.iter().filter_map(entry).collect(),
        })
    }
}
