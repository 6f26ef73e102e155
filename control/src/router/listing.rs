//! `show access-lists`, `show crypto map`, `show interfaces` and `show ip interface brief`: what the configuration
//! says, in IOS's words.

use std::fmt::Write as _;

use espalier_wire::IfIndex;
use espalier_wire::plane::{Counters, IfCounters};

use super::Router;
use crate::ios;
use crate::ios::model::{AccessListKind, CryptoMap, CryptoMapEntry, Interface, InterfaceName};

impl Router {
    pub(super) fn access_lists(&self) -> String {
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

    pub(super) fn crypto_maps(&self) -> String {
        let printed = ios::print(&self.config);
        let mut text = String::new();
        for map in &self.config.crypto_maps {
            for (number, entry) in &map.entries {
                let _ = writeln!(text, "Crypto Map \"{}\" {number} ipsec-isakmp", map.name);
                self.crypto_map_entry(&mut text, entry, &printed);
                self.bound(&mut text, map);
            }
        }
        if text.is_empty() { "No crypto maps found.\n".to_owned() } else { text }
    }

    fn crypto_map_entry(&self, text: &mut String, entry: &CryptoMapEntry, printed: &str) {
        if let Some(description) = &entry.description {
            let _ = writeln!(text, "\tDescription: {description}");
        }
        for peer in &entry.peers {
            let _ = writeln!(text, "\tPeer = {peer}");
        }
        if let Some(name) = &entry.access_list {
            let _ = writeln!(text, "\tExtended IP access list {name}");
            let numbered = format!("access-list {name} ");
            for line in printed.lines().filter(|line| line.starts_with(&numbered)) {
                let _ = writeln!(text, "\t    {line}");
            }
            let head = format!("ip access-list extended {name}");
            let block = printed.lines().skip_while(|line| *line != head).skip(1);
            for line in block.take_while(|line| line.starts_with(' ')) {
                let _ = writeln!(text, "\t    access-list {name}{line}");
            }
        }
        // The first of several is asked first.
        if let Some(peer) = entry.peers.first() {
            let _ = writeln!(text, "\tCurrent peer: {peer}");
        }
        let ipsec = &self.config.ipsec;
        let kilobytes = entry.lifetime_kb(ipsec).map_or("unlimited".to_owned(), |kb| kb.to_string());
        let seconds = entry.lifetime_s(ipsec);
        let _ = writeln!(text, "\tSecurity association lifetime: {kilobytes} kilobytes/{seconds} seconds");
        let _ = writeln!(text, "\tPFS (Y/N): {}", if entry.pfs.is_some() { "Y" } else { "N" });
        if let Some(group) = entry.pfs {
            let _ = writeln!(text, "\tDH group:  group{}", group.0);
        }
        let _ = writeln!(text, "\tTransform sets={{");
        for set in &entry.transform_sets {
            let _ = writeln!(text, "\t\t{set},");
        }
        let _ = writeln!(text, "\t}}");
        if entry.reverse_route.is_some() {
            let _ = writeln!(text, "\tReverse Route Injection Enabled");
        }
    }

    fn bound(&self, text: &mut String, map: &CryptoMap) {
        let _ = writeln!(text, "\tInterfaces using crypto map {}:", map.name);
        for interface in &self.config.interfaces {
            let Some(binding) = interface.crypto_map.as_ref().filter(|b| b.map == map.name) else { continue };
            let _ = writeln!(text, "\t\t{}", interface.name);
            if let Some(group) = &binding.redundancy {
                let _ = writeln!(text, "\t\tredundancy {group}");
            }
        }
        text.push('\n');
    }

    /// `show interfaces`, or of one.
    pub(super) fn interfaces(&self, only: Option<InterfaceName>, counters: &Counters) -> String {
        let mut text = String::new();
        for (iface, interface) in self.ifaces().into_iter().zip(&self.config.interfaces) {
            if only.is_some_and(|name| name != interface.name) {
                continue;
            }
            let (status, protocol) = self.status(iface, interface);
            let _ = writeln!(text, "{} is {status}, line protocol is {protocol}", interface.name);
            let mac = self.mac(iface).0.map(|byte| format!("{byte:02x}")).concat();
            let dotted = [mac.get(..4), mac.get(4..8), mac.get(8..)].map(Option::unwrap_or_default).join(".");
            let _ = writeln!(text, "  Hardware address is {dotted}");
            if let Some(address) = interface.address {
                let _ = writeln!(text, "  Internet address is {address}");
            }
            let _ = writeln!(text, "  MTU {} bytes", interface.ip_mtu());
            let own = counters.interfaces.iter().find(|(i, _)| *i == iface);
            let IfCounters { in_packets, in_bytes, out_packets, out_bytes } =
                own.map_or_else(IfCounters::default, |(_, c)| *c);
            let _ = writeln!(text, "     {in_packets} packets input, {in_bytes} bytes");
            let _ = writeln!(text, "     {out_packets} packets output, {out_bytes} bytes");
        }
        text
    }

    pub(super) fn interface_brief(&self) -> String {
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
