//! OSPF version 2 (RFC 2328): one [`Ospf`] value is one process of one router in one area.
//!
//! ```text
//!  Packet ──► receive ──► hello     ──► neighbour (10.3) ◄──► interface (9.3) ──► election (9.4)
//!                    ├──► exchange  ──►     │ Full                 │ DR
//!                    └──► flood (13) ──► lsdb ◄── originate (12.4) ◄── Redistribute, Withdraw
//!                          │ acknowledge      │ changed
//!                          ▼                  ▼
//!                        Send             tree (16.1) ──► route (16.2, 16.4) ──► Routes
//! ```
//!
//! What it is not: an area border router (several areas are refused at construction; summaries of others are read and
//! used), no NSSA or stub areas, no virtual links, no NBMA networks, no opaque LSAs, no TOS. Pacing of floods: none.

mod acknowledge;
mod config;
mod election;
mod exchange;
mod flood;
mod hello;
mod interface;
mod lsdb;
mod neighbour;
mod originate;
mod receive;
mod route;
mod show;
mod timer;
mod trace;
mod tree;

#[cfg(test)]
mod tests;

pub use config::{Config, Error, ExternalCalculation, InterfaceConfig, NetworkKind, Profile, SpfTimers};
pub use interface::{InterfaceEvent, InterfaceState};
pub use neighbour::{NeighbourEvent, NeighbourState};
pub use originate::Redistributed;
pub use receive::Discard;
pub use route::{PathKind, Route, RouteChange};
pub use trace::Trace;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::ospf::{AreaId, Body, LsaKey, Options, Packet};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Ipv4Prefix};

use crate::Machine;
use interface::Interface;
use lsdb::Lsdb;
use originate::Originations;
use route::Spf;

/// Our options: AS-external-LSAs are welcome.
const OPTIONS: u8 = Options::E;

/// What can happen to a process.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "names say it")]
pub enum Event {
    /// The interface can send and receive.
    InterfaceUp { iface: IfIndex },
    /// It no longer can.
    InterfaceDown { iface: IfIndex },
    /// IP protocol 89 arrived, for one of our addresses or a group we joined.
    Packet { iface: IfIndex, src: Ipv4Addr, dst: Ipv4Addr, payload: Vec<u8> },
    /// Announce a route from elsewhere, or announce it anew.
    Redistribute { prefix: Ipv4Prefix, route: Redistributed },
    /// No longer announce it: its LSA is flushed at once.
    Withdraw { prefix: Ipv4Prefix },
    /// A new configuration. Interfaces that change their address, network, area or passivity start anew; other changes
    /// take effect in place. New interfaces are down until told otherwise; the router id cannot change.
    Configure(Box<Config>),
    /// End in good order: flush what is ours, say good-bye. Nothing happens afterwards.
    Shutdown,
}

/// What a process wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub enum Action {
    /// An IP packet of protocol 89 and TTL 1 from the interface's own address.
    Send { iface: IfIndex, dst: Ipv4Addr, payload: Vec<u8> },
    /// Changes of the routes that OSPF offers, networks of our own left out.
    Routes(Vec<RouteChange>),
    /// Join or leave 224.0.0.6 (224.0.0.5 is joined wherever OSPF runs and is not passive).
    JoinAllDRouters { iface: IfIndex, join: bool },
    /// What happened.
    Trace(Trace),
}

/// One OSPF process.
#[derive(Debug)]
pub struct Ospf {
    config: Config,
    area: AreaId,
    random: Random,
    /// The time of the event in hand.
    now: Instant,
    /// The actions of the event in hand.
    out: Vec<Action>,
    interfaces: BTreeMap<IfIndex, Interface>,
    lsdb: Lsdb,
    own: Originations,
    spf: Spf,
    stopped: bool,
}

/// A timer that is due.
enum Due {
    Interface(IfIndex, interface::Timer),
    Neighbour(IfIndex, Ipv4Addr, neighbour::Timer),
    Aged(LsaKey),
    Originate(LsaKey),
    Spf,
}

impl Ospf {
    /// A process whose interfaces are all down.
    ///
    /// # Errors
    /// What [`Config::check`] refuses: several areas, a zero router id, zero intervals, a tiny MTU.
    pub fn new(config: Config, random: Random) -> Result<Self, Error> {
        let area = config.check()?;
        let interfaces = config.interfaces.iter().map(|(i, c)| (*i, Interface::new(c.clone()))).collect();
        Ok(Self {
            config,
            area,
            random,
            now: Instant::ZERO,
            out: Vec::new(),
            interfaces,
            lsdb: Lsdb::default(),
            own: Originations::default(),
            spf: Spf::default(),
            stopped: false,
        })
    }

    /// Its configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The routes it offers, networks of our own left out.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.spf.table.values().filter(|r| !r.is_connected())
    }

    /// The state of the neighbour with this interface address, if it is known.
    pub fn neighbour_state(&self, iface: IfIndex, addr: Ipv4Addr) -> Option<NeighbourState> {
        self.neighbour(iface, addr).map(|n| n.state)
    }

    /// The state of an interface, if OSPF runs on it.
    pub fn interface_state(&self, iface: IfIndex) -> Option<InterfaceState> {
        self.interfaces.get(&iface).map(|i| i.state)
    }

    /// How many packets an interface did not take, by reason.
    pub fn discards(&self, iface: IfIndex) -> impl Iterator<Item = (Discard, u64)> {
        self.interfaces.get(&iface).into_iter().flat_map(|i| i.discards.iter().map(|(d, n)| (*d, *n)))
    }

    fn trace(&mut self, trace: Trace) {
        self.out.push(Action::Trace(trace));
    }

    fn send(&mut self, index: IfIndex, dst: Ipv4Addr, body: Body) {
        let Some(iface) = self.interfaces.get_mut(&index).filter(|i| i.speaks()) else { return };
        // Section D.3: never backwards, across restarts too as long as the clock goes on.
        let seconds = u32::try_from(self.now.as_ns() / 1_000_000_000).unwrap_or(u32::MAX);
        iface.auth_sequence = iface.auth_sequence.saturating_add(1).max(seconds);
        let packet = Packet { router: self.config.router_id, area: self.area, body };
        let payload = packet.emit(&iface.config.auth, iface.auth_sequence);
        self.out.push(Action::Send { iface: index, dst, payload });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::InterfaceUp { iface } => self.interface_event(iface, InterfaceEvent::InterfaceUp),
            Event::InterfaceDown { iface } => self.interface_event(iface, InterfaceEvent::InterfaceDown),
            Event::Packet { iface, src, dst, payload } => self.receive(iface, src, dst, &payload),
            Event::Redistribute { prefix, route } => self.redistribute(prefix, route),
            Event::Withdraw { prefix } => self.withdraw(prefix),
            Event::Configure(config) => self.configure(*config),
            Event::Shutdown => self.shutdown(),
        }
    }

    fn configure(&mut self, config: Config) {
        let checked = config.check();
        let area = match checked {
            Ok(area) if config.router_id == self.config.router_id => area,
            Ok(_) => return self.trace(Trace::Refused { reason: Error::RouterIdChanged }),
            Err(reason) => return self.trace(Trace::Refused { reason }),
        };
        for index in self.interfaces.keys().copied().collect::<Vec<_>>() {
            let Some(iface) = self.interfaces.get_mut(&index) else { continue };
            match config.interfaces.get(&index) {
                Some(new) if !iface.config.starts_anew(new) => iface.config = new.clone(),
                Some(new) => {
                    let up = iface.state != InterfaceState::Down;
                    let new = new.clone();
                    self.retire(index);
                    self.interfaces.insert(index, Interface::new(new));
                    if up {
                        self.interface_event(index, InterfaceEvent::InterfaceUp);
                    }
                }
                None => self.retire(index),
            }
        }
        for (index, new) in &config.interfaces {
            self.interfaces.entry(*index).or_insert_with(|| Interface::new(new.clone()));
        }
        (self.config, self.area) = (config, area);
        self.router_lsa_changed();
    }

    fn retire(&mut self, index: IfIndex) {
        self.interface_event(index, InterfaceEvent::InterfaceDown);
        // What its going down changed must be said while it is still known whose network it was.
        self.originate_changed();
        self.interfaces.remove(&index);
    }

    /// Flush what is ours, tell every neighbour so, and that we no longer hear it.
    fn shutdown(&mut self) {
        self.flush_all();
        self.send_floods();
        for index in self.interfaces.keys().copied().collect::<Vec<_>>() {
            self.send_hello_naming(index, Vec::new());
            self.interface_event(index, InterfaceEvent::InterfaceDown);
        }
        let gone: Vec<_> = self.routes().map(|r| RouteChange::Gone(r.prefix)).collect();
        if !gone.is_empty() {
            self.out.push(Action::Routes(gone));
        }
        self.spf = Spf::default();
        self.stopped = true;
        self.trace(Trace::Stopped);
    }

    fn take_due(&mut self) -> Option<Due> {
        let now = self.now;
        for (index, iface) in &mut self.interfaces {
            if let Some(timer) = iface.timers.take_due(now).and_then(interface::Timer::from_index) {
                return Some(Due::Interface(*index, timer));
            }
            for (addr, neighbour) in &mut iface.neighbours {
                if let Some(timer) = neighbour.timers.take_due(now).and_then(neighbour::Timer::from_index) {
                    return Some(Due::Neighbour(*index, *addr, timer));
                }
            }
        }
        if let Some(key) = self.lsdb.due(now) {
            return Some(Due::Aged(key));
        }
        if let Some(key) = self.own.due(now) {
            return Some(Due::Originate(key));
        }
        self.spf.scheduled.filter(|(at, _)| *at <= now).map(|_| Due::Spf)
    }

    /// What every event ends with, once its direct effects are known.
    fn finish(&mut self, actions: &mut Vec<Action>) {
        if !self.stopped {
            self.progress_requests();
            self.originate_changed();
            self.send_floods();
            self.send_direct_acks();
            self.remove_dead();
            // What was removed may be said anew.
            self.send_floods();
            self.tell_routes();
        }
        actions.append(&mut self.out);
    }
}

impl Machine for Ospf {
    type Event = Event;
    type Action = Action;

    fn on(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        self.now = now;
        if !self.stopped {
            self.handle(event);
        }
        self.finish(actions);
    }

    fn timer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.now = now;
        while !self.stopped
            && let Some(due) = self.take_due()
        {
            match due {
                Due::Interface(index, timer) => self.interface_timer(index, timer),
                Due::Neighbour(index, addr, timer) => self.neighbour_timer(index, addr, timer),
                Due::Aged(key) => self.aged(key),
                Due::Originate(key) => self.say(key),
                Due::Spf => self.run_spf(),
            }
            self.finish(actions);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let interfaces = self.interfaces.values().filter_map(Interface::next_deadline);
        let spf = self.spf.scheduled.map(|(at, _)| at);
        interfaces.chain(self.lsdb.next_deadline()).chain(self.own.next_deadline()).chain(spf).min()
    }
}
