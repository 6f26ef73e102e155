//! The table's entries: how a neighbour is asked for, found, aged, lost. What comes in and goes out is in `mod.rs`.

use std::net::{IpAddr, Ipv4Addr};

use espalier_wire::arp::{Arp, Operation};
use espalier_wire::plane::Command;
use espalier_wire::{IfIndex, Instant, Mac};

use super::text::{Trace, What};
use super::{Action, ArpMachine, drop_neighbour};

/// What is known of a neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Asked for `asked` times, without an answer yet.
    Incomplete { asked: u8, held: Vec<Vec<u8>> },
    /// Found.
    Known { mac: Mac, heard: Instant },
    /// Found, but silent for the whole age: asked for `asked` times at its own address.
    Probing { mac: Mac, heard: Instant, asked: u8 },
    /// It did not answer.
    Failed,
}

/// One neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub state: State,
    /// When the state ends by itself.
    pub deadline: Instant,
}

impl Entry {
    pub(super) fn mac(&self) -> Option<Mac> {
        match self.state {
            State::Known { mac, .. } | State::Probing { mac, .. } => Some(mac),
            State::Incomplete { .. } | State::Failed => None,
        }
    }
}

impl ArpMachine {
    /// Somebody here wants the neighbour, perhaps with a packet for it.
    pub(super) fn need(
        &mut self,
        now: Instant,
        iface: IfIndex,
        addr: Ipv4Addr,
        packet: Option<Vec<u8>>,
        actions: &mut Vec<Action>,
    ) {
        let lost = u64::from(packet.is_some());
        let reachable = self.interfaces.get(&iface).filter(|i| i.up && i.owned(addr).is_none());
        if reachable.and_then(|i| i.address_for(addr)).is_none() {
            return self.counters.held_lost += lost;
        }
        let full = self.table.len() >= self.settings.entries;
        match self.table.get_mut(&(iface, addr)).map(|e| &mut e.state) {
            Some(State::Known { mac, .. } | State::Probing { mac, .. }) => {
                let mac = *mac;
                actions.extend(packet.map(|p| Action::Release { iface, mac, packets: vec![p] }));
            }
            Some(State::Incomplete { held, .. }) => match packet {
                Some(packet) if held.len() < self.settings.hold => held.push(packet),
                _ => self.counters.held_lost += lost,
            },
            Some(State::Failed) => self.counters.held_lost += lost,
            None if full => {
                self.counters.table_full += 1;
                self.counters.held_lost += lost;
            }
            None => {
                let held: Vec<_> = packet.into_iter().take(self.settings.hold).collect();
                self.counters.held_lost += lost - held.len() as u64;
                let state = State::Incomplete { asked: 1, held };
                self.table.insert((iface, addr), Entry { state, deadline: now + self.settings.retry });
                actions.push(Action::Trace(Trace { iface, what: What::Incomplete(addr) }));
                self.ask(iface, addr, None, actions);
            }
        }
    }

    /// A request: broadcast, or to the MAC address that is in doubt.
    fn ask(&self, iface: IfIndex, addr: Ipv4Addr, mac: Option<Mac>, actions: &mut Vec<Action>) {
        let Some(i) = self.interfaces.get(&iface) else { return };
        let Some(sender) = i.address_for(addr) else { return };
        let arp = Arp {
            operation: Operation::Request,
            sender_mac: i.config.mac,
            sender,
            target_mac: Mac::default(),
            target: addr,
        };
        self.send(iface, i.config.mac, mac.unwrap_or(Mac::BROADCAST), arp, actions);
    }

    /// RFC 826: a pair that is in the table is updated whatever the packet was; a new one is added only when the
    /// packet was for us (`wanted`).
    pub(super) fn learn(
        &mut self,
        now: Instant,
        iface: IfIndex,
        addr: Ipv4Addr,
        mac: Mac,
        wanted: bool,
        actions: &mut Vec<Action>,
    ) {
        let (room, age) = (self.table.len() < self.settings.entries, self.settings.age);
        let known = self.table.get_mut(&(iface, addr));
        if known.is_none() && !wanted {
            return;
        }
        if known.is_none() && !room {
            return self.counters.table_full += 1;
        }
        let new = Entry { state: State::Known { mac, heard: now }, deadline: now + age };
        let old = self.table.insert((iface, addr), new);
        if old.as_ref().and_then(Entry::mac) != Some(mac) {
            actions.push(Action::Command(Command::Neighbour { iface, addr: IpAddr::V4(addr), mac }));
        }
        if let Some(Entry { state: State::Incomplete { held: packets, .. }, .. }) = old
            && !packets.is_empty()
        {
            actions.push(Action::Release { iface, mac, packets });
        }
    }

    /// An entry's state ends by itself.
    pub(super) fn expire(&mut self, now: Instant, iface: IfIndex, addr: Ipv4Addr, actions: &mut Vec<Action>) {
        let settings = self.settings;
        let Some(entry) = self.table.get_mut(&(iface, addr)) else { return };
        entry.deadline = now + settings.retry;
        match &mut entry.state {
            State::Incomplete { asked, .. } if *asked < settings.tries => {
                *asked += 1;
                self.ask(iface, addr, None, actions);
            }
            State::Incomplete { held, .. } => {
                self.counters.held_lost += held.len() as u64;
                entry.state = State::Failed;
                entry.deadline = now + settings.negative;
                actions.push(Action::Trace(Trace { iface, what: What::Failed(addr) }));
            }
            State::Known { mac, heard } => {
                let (mac, heard) = (*mac, *heard);
                entry.state = State::Probing { mac, heard, asked: 1 };
                self.ask(iface, addr, Some(mac), actions);
            }
            State::Probing { mac, asked, .. } if *asked < settings.tries => {
                *asked += 1;
                let mac = *mac;
                self.ask(iface, addr, Some(mac), actions);
            }
            State::Probing { .. } | State::Failed => self.forget(iface, addr, actions),
        }
    }

    /// Take an entry out; what waited for it is lost.
    pub(super) fn forget(&mut self, iface: IfIndex, addr: Ipv4Addr, actions: &mut Vec<Action>) {
        match self.table.remove(&(iface, addr)).map(|e| e.state) {
            Some(State::Known { .. } | State::Probing { .. }) => actions.push(drop_neighbour(iface, addr)),
            Some(State::Incomplete { held, .. }) => self.counters.held_lost += held.len() as u64,
            Some(State::Failed) | None => {}
        }
    }
}
