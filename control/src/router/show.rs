//! What the router answers to `show …`.

use std::fmt::Write as _;

use espalier_wire::plane::Counters;
use espalier_wire::{IfIndex, Instant};

use super::{Names, Router};
use crate::crypto_map::{Line, Map};
use crate::hsrp;
use crate::ike::show::{Binding, BoundEntry};
use crate::ios::model::{AccessListKind, Interface};
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
            Exec::ShowCryptoMap
            | Exec::ShowOspfNeighbor
            | Exec::ShowOspfDatabase
            | Exec::ShowOspfInterface(_)
            | Exec::ShowInterfaces(_)
            | Exec::Debug { .. } => "% This command is not supported here\n".to_owned(),
        }
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

    fn access_lists(&self) -> String {
        let printed = ios::print(&self.config);
        let mut text = String::new();
        for list in &self.config.access_lists {
            let kind = match list.kind {
                AccessListKind::Standard => "Standard",
                AccessListKind::Extended => "Extended",
            };
            let _ = writeln!(text, "{kind} IP access list {}", list.name);
            // The running configuration has the words of a numbered list; a named one stands in its own block.
            let numbered = format!("access-list {} ", list.name);
            let own = printed.lines().filter_map(|line| line.strip_prefix(&numbered));
            for (entry, words) in list.entries.iter().zip(own) {
                let _ = writeln!(text, "    {} {words}", entry.sequence);
            }
            if !list.is_numbered() {
                let head = format!("ip access-list {} {}", kind.to_lowercase(), list.name);
                let block = printed.lines().skip_while(|line| *line != head).skip(1);
                for line in block.take_while(|line| line.starts_with(' ')) {
                    let _ = writeln!(text, "   {line}");
                }
            }
        }
        text
    }

    fn interface_brief(&self) -> String {
        let mut text =
            "Interface                  IP-Address      OK? Method Status                Protocol\n"
                .to_owned();
        for (iface, interface) in self.ifaces().into_iter().zip(&self.config.interfaces) {
            let address = interface.address.map_or_else(|| "unassigned".to_owned(), |a| a.addr().to_string());
            let (status, protocol) = self.status(iface, interface);
            let name = interface.name.to_string();
            let _ = writeln!(text, "{name:<26} {address:<15} YES manual {status:<21} {protocol}");
        }
        text
    }

    fn status(&self, iface: IfIndex, interface: &Interface) -> (&'static str, &'static str) {
        match (interface.shutdown, self.is_up(iface)) {
            (true, _) => ("administratively down", "down"),
            (false, true) => ("up", "up"),
            (false, false) => ("down", "down"),
        }
    }
}
