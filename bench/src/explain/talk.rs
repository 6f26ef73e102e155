//! What the routers say to each other, in one capture: each message compared with its sender's last one, so that only what
//! changes is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use espalier_wire::arp::Arp;
use espalier_wire::hsrp::{self, OpCode, State};
use espalier_wire::ike::{Cookie, ExchangeKind, Header};
use espalier_wire::ospf::{Body, Lsa, LsaBody, LsaKey, MAX_AGE, MetricType, View};
use espalier_wire::{Duration, Instant, Mac};

use super::lanes::{Key, Said};
use super::{Event, Milestone};

/// The protocol number of VRRP (RFC 5798 section 5.1.1.4).
pub(super) const VRRP: u8 = 112;

#[derive(Debug)]
struct Speaker {
    state: State,
    last: Instant,
    hold: Duration,
}

/// A phase 1, or a quick mode: who began it, how far it has come, and its last message.
#[derive(Debug)]
struct Exchange {
    initiator: Ipv4Addr,
    peer: Ipv4Addr,
    step: u8,
    again: u32,
    last: Instant,
}

/// An OSPF router's last Hello.
#[derive(Debug)]
struct Greeting {
    hears: BTreeSet<Ipv4Addr>,
    designated: Option<Ipv4Addr>,
    last: Instant,
    dead: Duration,
}

/// One capture's talk.
#[derive(Debug, Default)]
pub(super) struct Talk {
    events: Vec<Event>,
    said: Vec<Said>,
    now: Instant,
    hsrp: BTreeMap<(Ipv4Addr, u16), Speaker>,
    masters: BTreeMap<u8, (Ipv4Addr, Instant)>,
    arp: BTreeMap<Ipv4Addr, Mac>,
    main: BTreeMap<Cookie, Exchange>,
    quick: BTreeMap<(Cookie, u32), Exchange>,
    hellos: BTreeMap<Ipv4Addr, Greeting>,
    lsas: BTreeMap<LsaKey, (i32, bool)>,
}

impl Talk {
    fn tell(&mut self, at: Instant, source: &'static str, milestone: Option<Milestone>, text: String) {
        self.events.push(Event { at, source, milestone, text });
    }

    /// A state of `node`'s, or its end.
    fn says(
        &mut self,
        at: Instant,
        who: (Ipv4Addr, &'static str, String),
        slot: String,
        state: Option<&str>,
    ) {
        let (node, machine, name) = who;
        let key = Key { node, machine, name };
        self.said.push(Said { at, key, slot, state: state.map(str::to_owned) });
    }

    pub(super) fn hsrp(&mut self, at: Instant, src: Ipv4Addr, payload: &[u8]) {
        self.now = self.now.max(at);
        let Ok(hsrp::Packet::Message(m)) = hsrp::Packet::parse(payload) else { return };
        let group = m.group;
        match m.op {
            OpCode::Hello => {}
            OpCode::Coup => {
                self.tell(at, "hsrp", None, format!("group {group}: coup of {src}, priority {}", m.priority))
            }
            OpCode::Resign => self.tell(at, "hsrp", None, format!("group {group}: {src} resigns")),
        }
        let new = Speaker { state: m.state, last: at, hold: m.hold_time };
        let was = self.hsrp.insert((src, group), new);
        let silent = was.as_ref().filter(|w| !w.hold.is_zero() && at - w.last > w.hold).map(|w| at - w.last);
        let whose = || (src, "hsrp", format!("group {group}"));
        if let (Some(_), Some(was)) = (silent, &was) {
            self.says(was.last, whose(), String::new(), None);
        }
        self.says(at, whose(), String::new(), Some(&format!("{:?}", m.state)));
        if let Some(silent) = silent {
            self.tell(at, "hsrp", None, format!("group {group}: {src} is heard again after {silent}"));
        }
        if was.as_ref().is_none_or(|w| w.state != m.state) {
            let before = was.map_or_else(|| "first heard".to_owned(), |w| format!("was {:?}", w.state));
            let active = (m.state == State::Active).then_some(Milestone::Active);
            let text = format!("group {group}: {src} is {:?} ({before}), priority {}", m.state, m.priority);
            self.tell(at, "hsrp", active, text);
        }
    }

    pub(super) fn vrrp(&mut self, at: Instant, src: Ipv4Addr, payload: &[u8]) {
        // Version 2 or 3, type 1: an advertisement; then the router's number and its priority.
        let [kind @ (0x21 | 0x31), id, priority, ..] = *payload else { return };
        self.now = self.now.max(at);
        let whose = |who: Ipv4Addr| (who, "vrrp", format!("router {id}"));
        if priority == 0 {
            self.says(at, whose(src), String::new(), None);
            return self.tell(at, "vrrp", None, format!("router {id}: {src} resigns"));
        }
        let before = self.masters.insert(id, (src, at));
        if let Some((old, last)) = before.filter(|(old, _)| *old != src) {
            self.says(last, whose(old), String::new(), None);
        }
        self.says(at, whose(src), String::new(), Some("Master"));
        if before.is_none_or(|(old, _)| old != src) {
            let text = format!("router {id}: {src} is master, priority {priority}, version {}", kind >> 4);
            self.tell(at, "vrrp", Some(Milestone::Active), text);
        }
    }

    /// Announcements: ARP packets about their own sender.
    pub(super) fn arp(&mut self, at: Instant, packet: &Arp) {
        let (address, mac) = (packet.sender, packet.sender_mac);
        if packet.target == address && !address.is_unspecified() {
            let moved = self.arp.insert(address, mac) != Some(mac);
            let word = if moved { "is at" } else { "is still at" };
            self.tell(at, "arp", None, format!("{address} {word} {mac}"));
        }
    }

    pub(super) fn ike(&mut self, at: Instant, src: Ipv4Addr, dst: Ipv4Addr, message: &[u8]) {
        let Ok((header, _)) = Header::read(message) else { return };
        let e = header.exchange;
        if let Some(exchange) = self.main.get_mut(&e.initiator) {
            exchange.last = at;
        }
        self.now = self.now.max(at);
        match e.kind {
            ExchangeKind::MAIN_MODE => self.main_mode(at, (src, dst), e.initiator, &header),
            ExchangeKind::QUICK_MODE => self.quick_mode(at, (src, dst), (e.initiator, e.message_id)),
            ExchangeKind::INFORMATIONAL if !header.flags.encryption => {
                self.tell(at, "ike", None, format!("{src} notifies {dst} in clear"));
            }
            // Keepalives, deletes and notifications look all alike from outside.
            ExchangeKind(_) => {}
        }
    }

    fn main_mode(&mut self, at: Instant, (src, dst): (Ipv4Addr, Ipv4Addr), cookie: Cookie, header: &Header) {
        let whose = |node: Ipv4Addr, peer: Ipv4Addr| (node, "ike", format!("with {peer}"));
        if header.exchange.responder == Cookie::NONE {
            let fresh = || Exchange { initiator: src, peer: dst, step: 0, again: 0, last: at };
            let exchange = self.main.entry(cookie).or_insert_with(fresh);
            let again = exchange.again;
            exchange.again += 1;
            exchange.last = at;
            let begins = (again == 0).then_some(Milestone::IkeBegins);
            let times = if again == 0 { String::new() } else { format!(", again ({again})") };
            self.says(at, whose(src, dst), slot(cookie), Some("main mode"));
            return self.tell(at, "ike", begins, format!("main mode {src} -> {dst} begins{times}"));
        }
        // The responder's encrypted message is the last one (RFC 2409 section 5).
        let fresh = || Exchange { initiator: dst, peer: src, step: 0, again: 0, last: at };
        let exchange = self.main.entry(cookie).or_insert_with(fresh);
        exchange.last = at;
        if header.flags.encryption && src != exchange.initiator && exchange.step == 0 {
            exchange.step = 1;
            self.says(at, whose(dst, src), slot(cookie), Some("phase 1"));
            self.tell(at, "ike", None, format!("phase 1 of {dst} with {src} stands"));
        }
    }

    fn quick_mode(&mut self, at: Instant, (src, dst): (Ipv4Addr, Ipv4Addr), key: (Cookie, u32)) {
        let known = self.quick.contains_key(&key);
        let fresh = Exchange { initiator: src, peer: dst, step: 1, again: 0, last: at };
        let exchange = self.quick.entry(key).or_insert(fresh);
        exchange.last = at;
        let ours = src == exchange.initiator;
        let whose = (src, "ike", format!("with {dst}"));
        let slot = format!("{} {:08x}", slot(key.0), key.1);
        match (exchange.step, ours) {
            (1, true) if !known => {
                self.says(at, whose, slot, Some("quick mode"));
                self.tell(at, "ike", None, format!("quick mode {src} -> {dst} begins"));
            }
            (1, false) => exchange.step = 2,
            (2, true) => {
                exchange.step = 3;
                self.says(at, whose, slot, None);
                let text = format!("quick mode {src} -> {dst} is over: new SAs");
                self.tell(at, "ike", Some(Milestone::SaUp), text);
            }
            _ => {}
        }
    }

    pub(super) fn ospf(&mut self, at: Instant, src: Ipv4Addr, payload: &[u8]) {
        let Ok(packet) = View::new_checked(payload).and_then(|view| view.parse()) else { return };
        self.now = self.now.max(at);
        match packet.body {
            Body::Hello(hello) => {
                let hears = hello.neighbours.iter().map(|r| r.0).collect();
                let dead = Duration::from_s(hello.dead_interval.into());
                self.hello(at, src, Greeting { hears, designated: hello.designated, last: at, dead });
            }
            Body::LinkStateUpdate(lsas) => lsas.iter().for_each(|lsa| self.lsa(at, lsa)),
            Body::DatabaseDescription(_) | Body::LinkStateRequest(_) | Body::LinkStateAck(_) => {}
        }
    }

    fn hello(&mut self, at: Instant, src: Ipv4Addr, new: Greeting) {
        let whose = |id: Ipv4Addr| (src, "neighbour", format!("hears {id}"));
        let (hears, designated) = (new.hears.clone(), new.designated);
        let was = self.hellos.insert(src, new);
        if was.is_none() {
            self.tell(at, "ospf", None, format!("{src} is first heard"));
        }
        let silent = was.as_ref().filter(|w| at - w.last > w.dead).map(|w| w.last);
        let before = was.as_ref().map_or_else(BTreeSet::new, |w| w.hears.clone());
        for id in &before {
            if let Some(last) = silent {
                self.says(last, whose(*id), String::new(), None);
            }
        }
        for id in &hears {
            self.says(at, whose(*id), String::new(), Some("heard"));
        }
        let Some(was) = was else { return };
        for id in hears.difference(&before) {
            self.tell(at, "ospf", None, format!("{src} hears {id}"));
        }
        for id in before.difference(&hears) {
            self.says(at, whose(*id), String::new(), None);
            self.tell(at, "ospf", None, format!("{src} hears {id} no longer"));
        }
        if was.designated != designated {
            let whom = designated.map_or_else(|| "nobody".to_owned(), |dr| dr.to_string());
            self.tell(at, "ospf", None, format!("{src} holds {whom} for designated"));
        }
    }

    fn lsa(&mut self, at: Instant, lsa: &Lsa) {
        let (key, dead) = (lsa.header.key, lsa.header.age == MAX_AGE);
        if self.lsas.insert(key, (lsa.header.sequence, dead)) == Some((lsa.header.sequence, dead)) {
            return;
        }
        let router = key.router.0;
        let verb = if dead { "withdraws" } else { "announces" };
        match lsa.body() {
            Ok(LsaBody::AsExternal(external)) => {
                let kind = if external.metric_type == MetricType::E1 { "E1" } else { "E2" };
                let text = format!("{router} {verb} {}/{} ({kind})", key.id, external.prefix_len);
                let whose = (router, "route", format!("{}/{}", key.id, external.prefix_len));
                self.says(at, whose, String::new(), (!dead).then_some("announced"));
                self.tell(at, "ospf", (!dead).then_some(Milestone::Announced), text);
            }
            Ok(LsaBody::Router(_)) => self.tell(at, "ospf", None, format!("{router} {verb} its links")),
            Ok(LsaBody::Network(_)) => {
                self.tell(at, "ospf", None, format!("{router} {verb} the network of {}", key.id));
            }
            _ => {}
        }
    }

    /// The capture is over: everything told, and who fell silent for good; and the states.
    pub(super) fn end(mut self) -> (Vec<Event>, Vec<Said>) {
        for ((src, group), speaker) in std::mem::take(&mut self.hsrp) {
            let over = speaker.last + speaker.hold;
            if !speaker.hold.is_zero() && over < self.now && speaker.state != State::Initial {
                let text =
                    format!("group {group}: {src} is heard no more, its last word was {}", speaker.hold);
                self.tell(over, "hsrp", None, format!("{text} before"));
                self.says(speaker.last, (src, "hsrp", format!("group {group}")), String::new(), None);
            }
        }
        for (src, greeting) in std::mem::take(&mut self.hellos) {
            let silent = greeting.last + greeting.dead < self.now;
            for id in greeting.hears.iter().filter(|_| silent) {
                self.says(greeting.last, (src, "neighbour", format!("hears {id}")), String::new(), None);
            }
        }
        // A phase 1 lasts at least as long as what it carries is heard of.
        let mut main = std::mem::take(&mut self.main);
        for ((cookie, id), exchange) in std::mem::take(&mut self.quick) {
            if let Some(phase1) = main.get_mut(&cookie) {
                phase1.last = phase1.last.max(exchange.last);
            }
            let whose = (exchange.initiator, "ike", format!("with {}", exchange.peer));
            self.says(exchange.last, whose, format!("{} {id:08x}", slot(cookie)), None);
        }
        for (cookie, exchange) in main {
            let whose = (exchange.initiator, "ike", format!("with {}", exchange.peer));
            self.says(exchange.last, whose, slot(cookie), None);
        }
        (self.events, self.said)
    }
}

/// What tells one negotiation from another.
fn slot(cookie: Cookie) -> String {
    cookie.0.iter().map(|b| format!("{b:02x}")).collect()
}
