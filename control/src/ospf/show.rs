//! `show ip ospf neighbor`, `database` and `interface` in IOS 12.3's layout.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use espalier_wire::ospf::{LsaBody, LsaType};
use espalier_wire::{IfIndex, Instant};

use super::Ospf;
use super::config::NetworkKind;
use super::interface::{Interface, InterfaceState, Timer as InterfaceTimer};
use super::lsdb::Entry;
use super::neighbour::{Neighbour, NeighbourState, Timer as NeighbourTimer};
use crate::spelling::{InterfaceNames, elapsed};

/// The LSA types that have a list of their own, with its heading.
const LISTS: [(LsaType, &str); 5] = [
    (LsaType::Router, "Router Link States"),
    (LsaType::Network, "Net Link States"),
    (LsaType::SummaryNetwork, "Summary Net Link States"),
    (LsaType::SummaryAsbr, "Summary ASB Link States"),
    (LsaType::AsExternal, "Type-5 AS External Link States"),
];

impl Ospf {
    /// `show ip ospf neighbor`.
    pub fn show_neighbours(&self, now: Instant, names: &dyn InterfaceNames) -> String {
        let mut text =
            "\nNeighbor ID     Pri   State           Dead Time   Address         Interface\n".to_owned();
        for (iface, interface) in &self.interfaces {
            for n in interface.neighbours.values() {
                let state = format!("{}/{}", n.state.ios(), interface.role(n));
                let dead = n.timers.at(NeighbourTimer::Inactivity as usize);
                let dead = elapsed(dead.map_or(now, |at| at.max(now)) - now);
                let (id, addr) = (n.id.to_string(), n.addr.to_string());
                let _ = writeln!(
                    text,
                    "{id:<15} {:>3}   {state:<15} {dead:<11} {addr:<15} {}",
                    n.priority,
                    names.long(*iface)
                );
            }
        }
        text
    }

    /// `show ip ospf interface`, or of one.
    pub fn show_interfaces(
        &self,
        now: Instant,
        process: u16,
        only: Option<IfIndex>,
        names: &dyn InterfaceNames,
    ) -> String {
        let mut text = String::new();
        for (index, interface) in self.interfaces.iter().filter(|(i, _)| only.is_none_or(|o| o == **i)) {
            let up = if interface.state == InterfaceState::Down { "down" } else { "up" };
            let _ = writeln!(text, "{} is {up}, line protocol is {up}", names.long(*index));
            self.interface_block(&mut text, now, process, interface);
        }
        text
    }

    fn interface_block(&self, text: &mut String, now: Instant, process: u16, i: &Interface) {
        let (c, id) = (&i.config, self.config.router_id);
        let kind = match c.network {
            NetworkKind::Broadcast => "BROADCAST",
            NetworkKind::PointToPoint => "POINT_TO_POINT",
            NetworkKind::Loopback => "LOOPBACK",
        };
        let _ = writeln!(text, "  Internet Address {}, Area {}", c.address, c.area.0.to_bits());
        let _ =
            writeln!(text, "  Process ID {process}, Router ID {id}, Network Type {kind}, Cost: {}", c.cost);
        if c.network == NetworkKind::Loopback {
            let _ = writeln!(text, "  Loopback interface is treated as a stub Host");
            return;
        }
        let state = i.state.ios();
        let _ = writeln!(
            text,
            "  Transmit Delay is {} sec, State {state}, Priority {}",
            c.transmit_delay, c.priority
        );
        self.elected(text, "Designated Router", "designated router", i, i.elected.designated);
        self.elected(text, "Backup Designated router", "backup designated router", i, i.elected.backup);
        let (hello, dead, again) = (c.hello_interval, c.dead_interval, c.retransmit_interval.as_whole_s());
        let _ = writeln!(
            text,
            "  Timer intervals configured, Hello {hello}, Dead {dead}, Wait {dead}, Retransmit {again}"
        );
        match i.timers.at(InterfaceTimer::Hello as usize) {
            _ if c.passive => _ = writeln!(text, "    No Hellos (Passive interface)"),
            Some(at) => _ = writeln!(text, "    Hello due in {}", elapsed(at.max(now) - now)),
            None => {}
        }
        let full: Vec<&Neighbour> =
            i.neighbours.values().filter(|n| n.state == NeighbourState::Full).collect();
        let (count, adjacent) = (i.neighbours.len(), full.len());
        let _ = writeln!(text, "  Neighbor Count is {count}, Adjacent neighbor count is {adjacent}");
        for n in full {
            let role = match i.role(n) {
                "DR" => "  (Designated Router)",
                "BDR" => "  (Backup Designated Router)",
                _ => "",
            };
            let _ = writeln!(text, "    Adjacent with neighbor {}{role}", n.id);
        }
    }

    fn elected(&self, text: &mut String, title: &str, none: &str, i: &Interface, addr: Option<Ipv4Addr>) {
        let own = |a: Ipv4Addr| (a == i.address()).then_some(self.config.router_id);
        let id = addr.and_then(|a| own(a).or_else(|| i.neighbours.get(&a).map(|n| n.id)));
        let _ = match (id, addr) {
            (Some(id), Some(addr)) => writeln!(text, "  {title} (ID) {id}, Interface address {addr}"),
            _ => writeln!(text, "  No {none} on this network"),
        };
    }

    /// `show ip ospf database`.
    pub fn show_database(&self, now: Instant, process: u16) -> String {
        let id = self.config.router_id;
        let mut text = format!("\n            OSPF Router with ID ({id}) (Process ID {process})\n");
        for (kind, heading) in LISTS {
            let entries: Vec<&Entry> =
                self.lsdb.iter().filter(|(key, _)| key.kind == kind).map(|(_, entry)| entry).collect();
            if entries.is_empty() {
                continue;
            }
            let area = if kind == LsaType::AsExternal {
                String::new()
            } else {
                format!(" (Area {})", self.area.0.to_bits())
            };
            let last = match kind {
                LsaType::Router => " Link count",
                LsaType::AsExternal => " Tag",
                _ => "",
            };
            let _ = writeln!(text, "\n                {heading}{area}\n");
            let _ = writeln!(text, "Link ID         ADV Router      Age         Seq#       Checksum{last}");
            for entry in entries {
                text.push_str(&database_line(entry, now));
            }
        }
        text
    }
}

fn database_line(entry: &Entry, now: Instant) -> String {
    let h = entry.header(now);
    let (id, router) = (h.key.id.to_string(), h.key.router.to_string());
    let last = match &entry.body {
        LsaBody::Router(router) => format!(" {}", router.links.len()),
        LsaBody::AsExternal(external) => format!(" {}", external.tag),
        _ => String::new(),
    };
    let (age, sequence, checksum) = (h.age, h.sequence.cast_unsigned(), h.checksum);
    let line = format!("{id:<15} {router:<15} {age:<11} 0x{sequence:08X} 0x{checksum:06X}{last}");
    line.trim_end().to_owned() + "\n"
}

impl Interface {
    /// What a neighbour is on this network.
    fn role(&self, n: &Neighbour) -> &'static str {
        match n.addr {
            _ if self.config.network == NetworkKind::PointToPoint => "  -",
            addr if self.elected.designated == Some(addr) => "DR",
            addr if self.elected.backup == Some(addr) => "BDR",
            _ => "DROTHER",
        }
    }
}
