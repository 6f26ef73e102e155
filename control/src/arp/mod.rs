//! ARP (RFC 826, RFC 5227 for announcements and conflicts): who is where on a link, answered and asked.
//!
//! ```text
//!            Need, Resolve                  reply, request, announcement
//!   (none) ────────────────▶ Incomplete ─────────────────────────────────▶ Known ──4 h──▶ Probing
//!      ▲                         │ 3 requests, 1 s apart                      ▲               │
//!      │                         ▼                                            └───heard───────┤
//!      └──────5 s────────────  Failed                         (none) ◀──3 unicast requests────┘
//! ```
//!
//! It answers for the router's own addresses, and for HSRP's virtual ones only while they are active here, with the
//! virtual MAC. Data packets that wait for a neighbour are the dataplane's affair; of the control plane's own it holds
//! a few.

mod table;
#[cfg(test)]
mod tests;
pub mod text;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use espalier_wire::arp::{Arp, Operation};
use espalier_wire::ether::{self, EtherType};
use espalier_wire::plane::Command;
use espalier_wire::{Duration, IfIndex, Instant, Ipv4Prefix, Mac};

use crate::Machine;
use table::Entry;
use text::{Trace, What};

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From a request to the next.
    pub retry: Duration,
    /// Requests without an answer before a neighbour counts as absent.
    pub tries: u8,
    /// How long an absent neighbour is not asked for again.
    pub negative: Duration,
    /// How long an entry is good without hearing from its neighbour (IOS `arp timeout`).
    pub age: Duration,
    /// Packets of the control plane's own that may wait for one neighbour.
    pub hold: usize,
    /// Entries at most, those that are being asked for included.
    pub entries: usize,
}

impl Default for Settings {
    /// IOS: 1 s, 3 requests, 5 s, 4 h; 4 packets; 4,096 entries.
    fn default() -> Self {
        Self {
            retry: Duration::from_s(1),
            tries: 3,
            negative: Duration::from_s(5),
            age: Duration::from_s(4 * 3600),
            hold: 4,
            entries: 4096,
        }
    }
}

/// One interface: its MAC address and its addresses with their prefix lengths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Which.
    pub iface: IfIndex,
    /// Its MAC address.
    pub mac: Mac,
    /// Its addresses; the first is the primary one.
    pub addresses: Vec<Ipv4Prefix>,
}

/// What can happen to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An interface is configured like this now.
    Configure(InterfaceConfig),
    /// The interface can carry packets; its addresses are announced.
    InterfaceUp {
        /// Which.
        iface: IfIndex,
    },
    /// It no longer can; what was known there is forgotten.
    InterfaceDown {
        /// Which.
        iface: IfIndex,
    },
    /// A virtual address became active here, or no longer is (HSRP).
    Virtual {
        /// On which interface.
        iface: IfIndex,
        /// The virtual address.
        addr: Ipv4Addr,
        /// The virtual MAC address.
        mac: Mac,
        /// Active now.
        active: bool,
    },
    /// Tell everyone that `addr` is at `mac` (HSRP's gratuitous ARP).
    Announce {
        /// By which interface.
        iface: IfIndex,
        /// The address.
        addr: Ipv4Addr,
        /// The MAC address, which is also the frame's source.
        mac: Mac,
    },
    /// An ARP packet came in: what a frame of EtherType 0x0806 carries.
    Packet {
        /// By which interface.
        iface: IfIndex,
        /// The payload.
        payload: Vec<u8>,
    },
    /// The dataplane wants a neighbour.
    Need {
        /// On which interface.
        iface: IfIndex,
        /// Who.
        addr: Ipv4Addr,
    },
    /// The control plane has a packet for a neighbour.
    Resolve {
        /// On which interface.
        iface: IfIndex,
        /// Who.
        addr: Ipv4Addr,
        /// The IP packet.
        packet: Vec<u8>,
    },
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send an ARP packet: [`frame`] makes the frame.
    Send {
        /// By which interface.
        iface: IfIndex,
        /// The frame's source.
        src_mac: Mac,
        /// The frame's destination.
        dst_mac: Mac,
        /// The packet.
        arp: Arp,
    },
    /// Tell the dataplane of a neighbour.
    Command(Command),
    /// Send packets that waited.
    Release {
        /// By which interface.
        iface: IfIndex,
        /// To which MAC address.
        mac: Mac,
        /// The IP packets, in the order they came.
        packets: Vec<Vec<u8>>,
    },
    /// Something to log.
    Trace(Trace),
}

/// What was dropped, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Not ARP for IPv4 over Ethernet, or from a MAC address that no station has.
    pub malformed: u64,
    /// From an address that does not belong on the interface.
    pub off_link: u64,
    /// Not learned, or not asked for, because the table is full.
    pub table_full: u64,
    /// Own packets that found the queue full, or whose neighbour did not answer.
    pub held_lost: u64,
    /// Packets of a station that uses one of our addresses.
    pub conflicts: u64,
}

struct Interface {
    config: InterfaceConfig,
    up: bool,
    /// The virtual addresses that are active here.
    virtuals: BTreeMap<Ipv4Addr, Mac>,
    /// The last time one of its addresses was defended.
    defended: Option<Instant>,
}

/// RFC 5227 section 2.4: an address is defended once in this time.
const DEFEND_INTERVAL: Duration = Duration::from_s(10);

impl Interface {
    /// The MAC address that `addr` has here, when it is ours.
    fn owned(&self, addr: Ipv4Addr) -> Option<Mac> {
        let own = self.config.addresses.iter().any(|a| a.addr() == addr);
        self.virtuals.get(&addr).copied().or(own.then_some(self.config.mac))
    }

    /// Our address in `addr`'s subnet.
    fn address_for(&self, addr: Ipv4Addr) -> Option<Ipv4Addr> {
        self.config.addresses.iter().find(|a| a.contains(&addr)).map(Ipv4Prefix::addr)
    }
}

/// The ARP of one router.
pub struct ArpMachine {
    settings: Settings,
    interfaces: BTreeMap<IfIndex, Interface>,
    table: BTreeMap<(IfIndex, Ipv4Addr), Entry>,
    counters: Counters,
}

/// The frame of an [`Action::Send`].
pub fn frame(src_mac: Mac, dst_mac: Mac, arp: &Arp) -> Vec<u8> {
    ether::frame(dst_mac, src_mac, EtherType::ARP, &arp.emit())
}

impl ArpMachine {
    /// No interface yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, interfaces: BTreeMap::new(), table: BTreeMap::new(), counters: Counters::default() }
    }

    /// What was dropped.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Where a neighbour is, if that is known.
    pub fn neighbour(&self, iface: IfIndex, addr: Ipv4Addr) -> Option<Mac> {
        self.table.get(&(iface, addr))?.mac()
    }

    fn configure(&mut self, config: InterfaceConfig, actions: &mut Vec<Action>) {
        let iface = config.iface;
        let up = self.interfaces.get(&iface).is_some_and(|i| i.up);
        let virtuals = self.interfaces.remove(&iface).map(|i| i.virtuals).unwrap_or_default();
        let interface = Interface { config, up, virtuals, defended: None };
        let gone = |a: &Ipv4Addr| interface.owned(*a).is_some() || interface.address_for(*a).is_none();
        let gone: Vec<Ipv4Addr> = self.known_on(iface).filter(gone).collect();
        self.interfaces.insert(iface, interface);
        for addr in gone {
            self.forget(iface, addr, actions);
        }
        if up {
            self.announce_own(iface, actions);
        }
    }

    fn known_on(&self, iface: IfIndex) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.table.keys().filter(move |(i, _)| *i == iface).map(|(_, addr)| *addr)
    }

    /// RFC 5227 section 2.3, one announcement each.
    fn announce_own(&self, iface: IfIndex, actions: &mut Vec<Action>) {
        let Some(i) = self.interfaces.get(&iface) else { return };
        for address in &i.config.addresses {
            self.announce(iface, address.addr(), i.config.mac, Operation::Request, actions);
        }
    }

    fn announce(
        &self,
        iface: IfIndex,
        addr: Ipv4Addr,
        mac: Mac,
        operation: Operation,
        actions: &mut Vec<Action>,
    ) {
        // RFC 2281 section 5.6, I, and IOS: a reply tells everyone of a virtual address, to the broadcast address.
        let target_mac = if operation == Operation::Reply { Mac::BROADCAST } else { Mac::default() };
        let arp = Arp { operation, target_mac, ..Arp::announcement(addr, mac) };
        self.send(iface, mac, Mac::BROADCAST, arp, actions);
    }

    fn send(&self, iface: IfIndex, src_mac: Mac, dst_mac: Mac, arp: Arp, actions: &mut Vec<Action>) {
        if self.interfaces.get(&iface).is_some_and(|i| i.up) {
            actions.push(Action::Trace(Trace { iface, what: What::Sent(arp) }));
            actions.push(Action::Send { iface, src_mac, dst_mac, arp });
        }
    }

    fn set_up(&mut self, iface: IfIndex, up: bool, actions: &mut Vec<Action>) {
        let Some(i) = self.interfaces.get_mut(&iface) else { return };
        if std::mem::replace(&mut i.up, up) == up {
            return;
        }
        if up {
            self.announce_own(iface, actions);
        } else {
            let gone: Vec<Ipv4Addr> = self.known_on(iface).collect();
            for addr in gone {
                self.forget(iface, addr, actions);
            }
        }
    }

    fn set_virtual(&mut self, iface: IfIndex, addr: Ipv4Addr, mac: Option<Mac>, actions: &mut Vec<Action>) {
        let Some(i) = self.interfaces.get_mut(&iface) else { return };
        match mac {
            Some(mac) => {
                i.virtuals.insert(addr, mac);
                // Who had it before was a neighbour; now it is ourselves.
                self.forget(iface, addr, actions);
            }
            None => {
                i.virtuals.remove(&addr);
            }
        }
    }

    /// RFC 826's reception, with RFC 5227's probes and conflicts.
    fn packet(&mut self, now: Instant, iface: IfIndex, payload: &[u8], actions: &mut Vec<Action>) {
        let Some(i) = self.interfaces.get(&iface).filter(|i| i.up) else { return };
        let Ok(arp) = Arp::parse(payload) else { return self.counters.malformed += 1 };
        // RFC 1812 section 3.3.2: no station is at a broadcast or multicast link address.
        if arp.sender_mac.is_multicast() || arp.sender_mac == Mac::default() {
            return self.counters.malformed += 1;
        }
        actions.push(Action::Trace(Trace { iface, what: What::Received(arp) }));
        let ours = i.owned(arp.target);
        if let Some(mac) = i.owned(arp.sender) {
            if mac != arp.sender_mac {
                self.conflict(now, iface, &arp, mac, actions);
            }
            return;
        }
        // A probe (RFC 5227 section 1.1) tells nothing of its sender, but is answered.
        let probe = arp.sender.is_unspecified();
        if !probe {
            if i.address_for(arp.sender).is_none() {
                return self.counters.off_link += 1;
            }
            let wanted = ours.is_some() && arp.operation == Operation::Request;
            self.learn(now, iface, arp.sender, arp.sender_mac, wanted, actions);
        }
        if let (Some(mac), Operation::Request) = (ours, arp.operation) {
            let reply = Arp {
                operation: Operation::Reply,
                sender_mac: mac,
                sender: arp.target,
                target_mac: arp.sender_mac,
                target: arp.sender,
            };
            self.send(iface, mac, arp.sender_mac, reply, actions);
        }
    }

    /// RFC 5227 section 2.4 (b): say so, and defend the address by announcing it, at most every ten seconds.
    fn conflict(&mut self, now: Instant, iface: IfIndex, arp: &Arp, mac: Mac, actions: &mut Vec<Action>) {
        self.counters.conflicts += 1;
        let Some(i) = self.interfaces.get_mut(&iface) else { return };
        if i.defended.is_some_and(|at| now - at < DEFEND_INTERVAL) {
            return;
        }
        i.defended = Some(now);
        let (addr, by) = (arp.sender, arp.sender_mac);
        actions.push(Action::Trace(Trace { iface, what: What::Duplicate { addr, by } }));
        self.announce(iface, addr, mac, Operation::Request, actions);
    }
}

impl Machine for ArpMachine {
    type Event = Event;
    type Action = Action;

    fn on(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Configure(config) => self.configure(config, actions),
            Event::InterfaceUp { iface } => self.set_up(iface, true, actions),
            Event::InterfaceDown { iface } => self.set_up(iface, false, actions),
            Event::Virtual { iface, addr, mac, active } => {
                self.set_virtual(iface, addr, active.then_some(mac), actions);
            }
            Event::Announce { iface, addr, mac } => {
                self.announce(iface, addr, mac, Operation::Reply, actions);
            }
            Event::Packet { iface, payload } => self.packet(now, iface, &payload, actions),
            Event::Need { iface, addr } => self.need(now, iface, addr, None, actions),
            Event::Resolve { iface, addr, packet } => self.need(now, iface, addr, Some(packet), actions),
        }
    }

    fn timer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let due = |(key, e): (&(IfIndex, Ipv4Addr), &Entry)| (e.deadline <= now).then_some(*key);
        let due: Vec<_> = self.table.iter().filter_map(due).collect();
        for (iface, addr) in due {
            self.expire(now, iface, addr, actions);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.table.values().map(|e| e.deadline).min()
    }
}

/// The dataplane's word for a neighbour that is gone.
fn drop_neighbour(iface: IfIndex, addr: Ipv4Addr) -> Action {
    Action::Command(Command::DropNeighbour { iface, addr: IpAddr::V4(addr) })
}
