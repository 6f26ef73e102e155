//! HSRP (RFC 2281, and version 2): START HERE. All groups of one router as one value.
//!
//! ```text
//!   InterfaceUp ──minimum delay──▶ a ┐
//!   InterfaceDown, Shutdown ──────▶ b │                 ┌─▶ Send, GratuitousArp, VirtualMac   the wire
//!   timers ───────────────────▶ c d e ├─▶ table.rs ─────┼─▶ Redundancy                        its clients
//!   Packet ──authenticated──▶ f … l   ┘   (state table) └─▶ Trace                             logs
//! ```
//!
//! `table.rs` is RFC 2281 section 5.7; `group.rs` carries its letters out; `voice.rs` sends and tells; `trace.rs` and
//! `show.rs` print. It knows neither ARP nor routes nor crypto maps, and not which text configured it.

pub mod config;
mod group;
pub mod show;
pub mod table;
#[cfg(test)]
mod tests;
pub mod trace;
mod voice;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use espalier_wire::hsrp::{Packet, State};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Mac};

use crate::Machine;
use crate::track::ObjectId;
use config::{GroupConfig, InterfaceConfig};
use group::{Context, Group, Heard, Timer};
use trace::{Api, Tally, What};

pub use trace::Trace;

/// A group's state in the words of its clients ("redundancy states").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the states of RFC 2281; Backup is Learn and Listen")]
pub enum GroupState {
    Init,
    Backup,
    Speak,
    Standby,
    Active,
}

/// What can happen to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The interface can carry packets.
    InterfaceUp {
        /// Which.
        iface: IfIndex,
    },
    /// It no longer can; nothing can be sent any more.
    InterfaceDown {
        /// Which.
        iface: IfIndex,
    },
    /// A datagram to UDP port 1985 came in.
    Packet {
        /// On which interface.
        iface: IfIndex,
        /// Its IP source.
        src: Ipv4Addr,
        /// Its frame's source.
        src_mac: Mac,
        /// The UDP payload.
        payload: Vec<u8>,
    },
    /// A tracked object changed. An object never told of is up.
    Tracked {
        /// Which.
        object: ObjectId,
        /// Up now.
        up: bool,
    },
    /// The configuration of an interface is this now; groups that are not in it go.
    Configure(InterfaceConfig),
    /// A client asks about the group of that name: the crypto map, once its SAs are gone after Init. (What it asks on
    /// Standby the machine traces by itself: see [`GroupConfig::client`].)
    Enquiry {
        /// `standby name`.
        name: String,
    },
    /// An orderly stop: an active router resigns.
    Shutdown,
}

/// What it wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram from and to UDP port 1985 with TTL 1.
    Send {
        /// By which interface.
        iface: IfIndex,
        /// From which MAC address: the interface's, or the virtual one (RFC 2281 section 6.1).
        src_mac: Mac,
        /// From which address.
        src: Ipv4Addr,
        /// To which group address.
        dst: Ipv4Addr,
        /// The UDP payload.
        payload: Vec<u8>,
    },
    /// Accept frames for the virtual MAC, and own the virtual address, from now on (or no longer).
    VirtualMac {
        /// On which interface.
        iface: IfIndex,
        /// Of which group.
        group: u16,
        /// The virtual MAC address.
        mac: Mac,
        /// The virtual address.
        address: Ipv4Addr,
        /// Active now.
        active: bool,
    },
    /// Broadcast an ARP reply that tells everyone (RFC 2281 section 5.6, I); the frame comes from `mac`, too.
    GratuitousArp {
        /// By which interface.
        iface: IfIndex,
        /// The virtual address.
        addr: Ipv4Addr,
        /// The virtual MAC address.
        mac: Mac,
    },
    /// The group's clients see another state.
    Redundancy {
        /// `standby name`, if there is one.
        name: Option<String>,
        /// On which interface.
        iface: IfIndex,
        /// Which group.
        group: u16,
        /// The virtual address, when it is known.
        address: Option<Ipv4Addr>,
        /// Its state now.
        state: GroupState,
    },
    /// Something to log.
    Trace(Trace),
}

/// Messages that led to nothing, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Not HSRP.
    pub malformed: u64,
    /// Of the other version.
    pub other_version: u64,
    /// Of a group, or on an interface, that does not run here.
    pub not_running: u64,
    /// Another password, or MD5.
    pub bad_authentication: u64,
    /// From our own address.
    pub own_address: u64,
    /// IOS's interface advertisements, which change nothing.
    pub advertisements: u64,
}

/// HSRP on one interface.
struct Interface {
    config: InterfaceConfig,
    groups: BTreeMap<u16, Group>,
    up: bool,
    /// The minimum delay's end, while it lasts.
    starts: Option<Instant>,
    /// The delay is over: groups run.
    running: bool,
    /// It was up before.
    seen: bool,
}

/// All HSRP groups of one router.
pub struct Hsrp {
    interfaces: BTreeMap<IfIndex, Interface>,
    /// The tracked objects that are down.
    down: BTreeSet<ObjectId>,
    counters: Counters,
    resign_to_hello: bool,
    random: Random,
}

impl Hsrp {
    /// No group yet: give it one [`Event::Configure`] per interface. `random` jitters the Hellos.
    pub fn new(random: Random) -> Self {
        Self {
            interfaces: BTreeMap::new(),
            down: BTreeSet::new(),
            counters: Counters::default(),
            resign_to_hello: true,
            random,
        }
    }

    /// Whether an active router that gives way to a better active router's *Hello* also sends a Resign, as the
    /// reference document's log shows (on by default). To a *Coup* it always does (RFC 2281 section 5.7).
    pub fn set_resign_to_hello(&mut self, on: bool) {
        self.resign_to_hello = on;
    }

    /// Messages that led to nothing.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// A group's state, if it is configured.
    pub fn state(&self, iface: IfIndex, group: u16) -> Option<State> {
        Some(self.interfaces.get(&iface)?.groups.get(&group)?.state)
    }

    /// The virtual addresses that this router answers for now: interface, address, virtual MAC.
    pub fn active_addresses(&self) -> impl Iterator<Item = (IfIndex, Ipv4Addr, Mac)> + '_ {
        self.interfaces.iter().flat_map(|(iface, i)| {
            let active = i.groups.values().filter(|g| g.state == State::Active);
            active.filter_map(|g| Some((*iface, g.address()?, i.config.version.virtual_mac(g.config.group))))
        })
    }

    /// The state of the group called `name`, its virtual address, and where it is.
    pub fn named(&self, name: &str) -> Option<(IfIndex, u16, GroupState, Option<Ipv4Addr>)> {
        self.interfaces.iter().find_map(|(iface, i)| {
            let g = i.groups.values().find(|g| g.config.name.as_deref() == Some(name))?;
            Some((*iface, g.config.group, GroupState::of(g.state), g.address()))
        })
    }

    fn interface(&mut self, iface: IfIndex) -> &mut Interface {
        self.interfaces.entry(iface).or_insert_with(|| Interface::new(iface))
    }

    /// Let `act` act on a group, if it is there.
    fn with(
        &mut self,
        now: Instant,
        (iface, group): (IfIndex, u16),
        actions: &mut Vec<Action>,
        act: impl FnOnce(&mut Group, &mut Context<'_>),
    ) {
        let Some(interface) = self.interfaces.get_mut(&iface) else { return };
        let tally = interface.groups.values().fold(Tally::default(), |t, g| t.with(g.state));
        let Some(g) = interface.groups.get_mut(&group) else { return };
        let mut cx = Context {
            now,
            config: &interface.config,
            link_up: interface.up,
            resign_to_hello: self.resign_to_hello,
            random: &mut self.random,
            tally,
            actions,
        };
        act(g, &mut cx);
    }

    /// `with`, for every group of an interface.
    fn each(
        &mut self,
        now: Instant,
        iface: IfIndex,
        actions: &mut Vec<Action>,
        mut act: impl FnMut(&mut Group, &mut Context<'_>),
    ) {
        let groups = self.interfaces.get(&iface).map(|i| i.groups.keys().copied().collect::<Vec<_>>());
        for group in groups.unwrap_or_default() {
            self.with(now, (iface, group), actions, &mut act);
        }
    }

    fn interface_up(&mut self, now: Instant, iface: IfIndex, actions: &mut Vec<Action>) {
        let i = self.interface(iface);
        if i.up {
            return;
        }
        i.up = true;
        let (seen, config) = (std::mem::replace(&mut i.seen, true), &i.config);
        let reload = config.reload_delay.filter(|_| !seen).unwrap_or_default();
        let delay = config.minimum_delay.max(reload);
        let said = !i.groups.is_empty();
        let mut say = |what| {
            if said {
                actions.push(Action::Trace(Trace { iface, group: None, what }));
            }
        };
        say(What::InterfaceUp);
        if delay.is_zero() || !said {
            self.start(now, iface, actions);
        } else {
            i.starts = Some(now + delay);
            say(What::DelayStarted(delay));
        }
    }

    /// Event a for all groups.
    fn start(&mut self, now: Instant, iface: IfIndex, actions: &mut Vec<Action>) {
        let i = self.interface(iface);
        (i.starts, i.running) = (None, true);
        self.each(now, iface, actions, |g, cx| g.apply(cx, table::Event::A, None));
    }

    fn delay_over(&mut self, now: Instant, iface: IfIndex, actions: &mut Vec<Action>) {
        actions.push(Action::Trace(Trace { iface, group: None, what: What::DelayExpired }));
        self.start(now, iface, actions);
    }

    /// Event b for all groups; with the link still up, an active router resigns.
    fn stop(&mut self, now: Instant, iface: IfIndex, actions: &mut Vec<Action>) {
        let i = self.interface(iface);
        (i.starts, i.running) = (None, false);
        self.each(now, iface, actions, |g, cx| g.apply(cx, table::Event::B, None));
    }

    fn interface_down(&mut self, now: Instant, iface: IfIndex, actions: &mut Vec<Action>) {
        let i = self.interface(iface);
        if !std::mem::replace(&mut i.up, false) {
            return;
        }
        if !i.groups.is_empty() {
            for what in [What::Api(Api::GoingDown), What::Api(Api::GoingDown), What::InterfaceDown] {
                actions.push(Action::Trace(Trace { iface, group: None, what }));
            }
        }
        self.stop(now, iface, actions);
    }

    fn packet(
        &mut self,
        now: Instant,
        iface: IfIndex,
        (src, src_mac): (Ipv4Addr, Mac),
        payload: &[u8],
        actions: &mut Vec<Action>,
    ) {
        let message = match Packet::parse(payload) {
            Ok(Packet::Message(message)) => message,
            Ok(Packet::Advertisement(_)) => return self.counters.advertisements += 1,
            Err(_) => return self.counters.malformed += 1,
        };
        let Some(i) = self.interfaces.get(&iface).filter(|i| i.running) else {
            return self.counters.not_running += 1;
        };
        let Some(g) = i.groups.get(&message.group) else {
            return self.counters.not_running += 1;
        };
        if message.version != i.config.version {
            return self.counters.other_version += 1;
        }
        if src == i.config.address {
            return self.counters.own_address += 1;
        }
        let (group, state) = (message.group, message.state);
        if message.md5.is_some() || message.password != Some(g.config.password) {
            self.counters.bad_authentication += 1;
            let what = What::BadAuthentication { from: src, state };
            return actions.push(Action::Trace(Trace { iface, group: Some(group), what }));
        }
        self.with(now, (iface, group), actions, |g, cx| {
            let heard = Heard { from: src, message };
            let takes_over = g.would_yield(cx, &heard);
            g.trace(cx, What::In { from: src, mac: src_mac, message, takes_over });
            g.hear(cx, &heard);
        });
    }

    fn tracked(&mut self, now: Instant, object: ObjectId, up: bool, actions: &mut Vec<Action>) {
        if up {
            self.down.remove(&object)
        } else {
            self.down.insert(object)
        };
        let interfaces: Vec<IfIndex> = self.interfaces.keys().copied().collect();
        for iface in interfaces {
            self.each(now, iface, actions, |g, cx| g.track(cx, object, up));
        }
    }

    fn configure(&mut self, now: Instant, new: InterfaceConfig, actions: &mut Vec<Action>) {
        let iface = new.iface;
        let old = &self.interface(iface).config;
        let moved = (old.mac, old.address, old.version) != (new.mac, new.address, new.version);
        let kept = |g: &GroupConfig| {
            !moved && new.groups.iter().any(|n| n.group == g.group && n.address == g.address)
        };
        self.each(now, iface, actions, |g, cx| {
            if !kept(&g.config) {
                g.apply(cx, table::Event::B, None);
            }
        });
        let groups = new.groups.clone();
        let i = self.interface(iface);
        i.config = new;
        i.groups.retain(|number, _| groups.iter().any(|n| n.group == *number));
        let running = i.running;
        for config in groups {
            let number = config.group;
            let down = self.down.clone();
            let new = || Group::new(config.clone(), down);
            self.interface(iface).groups.entry(number).or_insert_with(new);
            self.with(now, (iface, number), actions, |g, cx| {
                g.reconfigure(cx, config);
                if running {
                    g.apply(cx, table::Event::A, None);
                }
            });
        }
    }

    fn enquire(&mut self, now: Instant, name: &str, actions: &mut Vec<Action>) {
        let Some((iface, group, _, _)) = self.named(name) else { return };
        self.with(now, (iface, group), actions, |g, cx| g.enquire(cx));
    }

    /// What is due first.
    fn next(&self) -> Option<(Instant, Due)> {
        let timers = |iface: IfIndex, i: &Interface| {
            let groups = i.groups.iter().filter_map(move |(number, g)| {
                let (at, timer) = g.next_timer()?;
                Some((at, Due::Group(iface, *number, timer)))
            });
            groups.chain(i.starts.map(|at| (at, Due::Start(iface)))).min()
        };
        self.interfaces.iter().filter_map(|(iface, i)| timers(*iface, i)).min()
    }
}

/// Whose time has come. At one instant an interface's own delay ends before its groups' timers.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Start(IfIndex),
    Group(IfIndex, u16, Timer),
}

impl Interface {
    fn new(iface: IfIndex) -> Self {
        Self {
            config: InterfaceConfig::new(iface, Mac::default(), Ipv4Addr::UNSPECIFIED),
            groups: BTreeMap::new(),
            up: false,
            starts: None,
            running: false,
            seen: false,
        }
    }
}

impl Machine for Hsrp {
    type Event = Event;
    type Action = Action;

    fn on(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::InterfaceUp { iface } => self.interface_up(now, iface, actions),
            Event::InterfaceDown { iface } => self.interface_down(now, iface, actions),
            Event::Packet { iface, src, src_mac, payload } => {
                self.packet(now, iface, (src, src_mac), &payload, actions);
            }
            Event::Tracked { object, up } => self.tracked(now, object, up, actions),
            Event::Configure(config) => self.configure(now, config, actions),
            Event::Enquiry { name } => self.enquire(now, &name, actions),
            Event::Shutdown => {
                let interfaces: Vec<IfIndex> = self.interfaces.keys().copied().collect();
                for iface in interfaces {
                    self.stop(now, iface, actions);
                }
            }
        }
    }

    fn timer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some((_, due)) = self.next().filter(|(at, _)| *at <= now) {
            match due {
                Due::Group(iface, group, timer) => {
                    self.with(now, (iface, group), actions, |g, cx| g.expire(cx, timer));
                }
                Due::Start(iface) => self.delay_over(now, iface, actions),
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.next().map(|(at, _)| at)
    }
}
