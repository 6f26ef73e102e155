//! What ARP prints: `show arp`, `debug arp`, and the syslog line of a duplicate address.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use espalier_wire::arp::{Arp, Operation};
use espalier_wire::{IfIndex, Instant, Mac};

use super::ArpMachine;
use super::table::State;
use crate::spelling::InterfaceNames;

/// One thing that happened, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Trace {
    pub iface: IfIndex,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A packet went out.
    Sent(Arp),
    /// A packet came in.
    Received(Arp),
    /// A neighbour is asked for.
    Incomplete(Ipv4Addr),
    /// It did not answer.
    Failed(Ipv4Addr),
    /// Another station uses one of our addresses.
    Duplicate {
        /// The address.
        addr: Ipv4Addr,
        /// The other station.
        by: Mac,
    },
}

impl Trace {
    /// The line, as `debug arp` (or, for a duplicate, the log) has it.
    pub fn line(&self, names: &dyn InterfaceNames) -> String {
        let iface = names.long(self.iface);
        let packet = |way: &str, a: &Arp| {
            let kind = match a.operation {
                Operation::Request => "req",
                Operation::Reply => "rep",
            };
            let (src, dst) = (a.sender_mac.ios(), a.target_mac.ios());
            format!("IP ARP: {way} {kind} src {} {src}, dst {} {dst} {iface}", a.sender, a.target)
        };
        match &self.what {
            What::Sent(arp) => packet("sent", arp),
            What::Received(arp) => packet("rcvd", arp),
            What::Incomplete(addr) => {
                format!("IP ARP: creating incomplete entry for IP address: {addr} interface {iface}")
            }
            What::Failed(addr) => format!("IP ARP: no answer from {addr} interface {iface}"),
            What::Duplicate { addr, by } => {
                format!("%IP-4-DUPADDR: Duplicate address {addr} on {iface}, sourced by {}", by.ios())
            }
        }
    }
}

impl ArpMachine {
    /// `show arp`: own and virtual addresses (age `-`) and neighbours, by interface and address.
    pub fn show(&self, now: Instant, names: &dyn InterfaceNames) -> String {
        let mut rows = Vec::new();
        for (iface, i) in self.interfaces.iter().filter(|(_, i)| i.up) {
            let own = i.config.addresses.iter().map(|a| (a.addr(), i.config.mac));
            let owned = own.chain(i.virtuals.iter().map(|(addr, mac)| (*addr, *mac)));
            rows.extend(owned.map(|(addr, mac)| (*iface, addr, "-".to_owned(), mac.ios())));
        }
        for ((iface, addr), entry) in &self.table {
            match &entry.state {
                State::Known { mac, heard } | State::Probing { mac, heard, .. } => {
                    let minutes = (now - *heard).as_whole_s() / 60;
                    rows.push((*iface, *addr, minutes.to_string(), mac.ios()));
                }
                State::Incomplete { .. } => {
                    rows.push((*iface, *addr, "0".to_owned(), "Incomplete".to_owned()));
                }
                State::Failed => {}
            }
        }
        rows.sort();
        let mut text = "Protocol  Address          Age (min)  Hardware Addr   Type   Interface\n".to_owned();
        for (iface, addr, age, mac) in rows {
            let place = if mac == "Incomplete" { String::new() } else { format!("   {}", names.long(iface)) };
            let _ = writeln!(text, "Internet  {addr:<15}{age:>10}   {mac:<16}ARPA{place}");
        }
        text
    }
}
