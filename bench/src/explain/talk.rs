//! What the routers say to each other, in one capture: each message compared with its sender's last one, so that only what
//! changes is told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use espalier_wire::arp::Arp;
use espalier_wire::hsrp::{self, OpCode, State};
use espalier_wire::ike::{Cookie, ExchangeKind, Header};
use espalier_wire::ospf::{Body, Lsa, LsaBody, LsaKey, MAX_AGE, MetricType, View};
use espalier_wire::{Duration, Instant, Mac};

use super::{Event, Milestone};

/// The protocol number of VRRP (RFC 5798 section 5.1.1.4).
pub(super) const VRRP: u8 = 112;

#[derive(Debug)]
struct Speaker {
    state: State,
    last: Instant,
    hold: Duration,
}

/// A phase 1, or a quick mode: who began it, and how far it has come.
#[derive(Debug)]
struct Exchange {
    initiator: Ipv4Addr,
    step: u8,
    again: u32,
}

/// One capture's talk.
#[derive(Debug, Default)]
pub(super) struct Talk {
    events: Vec<Event>,
    now: Instant,
    hsrp: BTreeMap<(Ipv4Addr, u16), Speaker>,
    masters: BTreeMap<u8, Ipv4Addr>,
    arp: BTreeMap<Ipv4Addr, Mac>,
    main: BTreeMap<Cookie, Exchange>,
    quick: BTreeMap<(Cookie, u32), Exchange>,
    hellos: BTreeMap<Ipv4Addr, (BTreeSet<Ipv4Addr>, Option<Ipv4Addr>)>,
    lsas: BTreeMap<LsaKey, (i32, bool)>,
}

impl Talk {
    fn tell(&mut self, at: Instant, source: &'static str, milestone: Option<Milestone>, text: String) {
        self.events.push(Event { at, source, milestone, text });
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
        if priority == 0 {
            return self.tell(at, "vrrp", None, format!("router {id}: {src} resigns"));
        }
        if self.masters.insert(id, src) != Some(src) {
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
        if header.exchange.responder == Cookie::NONE {
            let fresh = || Exchange { initiator: src, step: 0, again: 0 };
            let exchange = self.main.entry(cookie).or_insert_with(fresh);
            let again = exchange.again;
            exchange.again += 1;
            let begins = (again == 0).then_some(Milestone::IkeBegins);
            let times = if again == 0 { String::new() } else { format!(", again ({again})") };
            return self.tell(at, "ike", begins, format!("main mode {src} -> {dst} begins{times}"));
        }
        // The responder's encrypted message is the last one (RFC 2409 section 5).
        let fresh = || Exchange { initiator: dst, step: 0, again: 0 };
        let exchange = self.main.entry(cookie).or_insert_with(fresh);
        if header.flags.encryption && src != exchange.initiator && exchange.step == 0 {
            exchange.step = 1;
            self.tell(at, "ike", None, format!("phase 1 of {dst} with {src} stands"));
        }
    }

    fn quick_mode(&mut self, at: Instant, (src, dst): (Ipv4Addr, Ipv4Addr), key: (Cookie, u32)) {
        let known = self.quick.contains_key(&key);
        let exchange = self.quick.entry(key).or_insert(Exchange { initiator: src, step: 1, again: 0 });
        let ours = src == exchange.initiator;
        match (exchange.step, ours) {
            (1, true) if !known => self.tell(at, "ike", None, format!("quick mode {src} -> {dst} begins")),
            (1, false) => exchange.step = 2,
            (2, true) => {
                exchange.step = 3;
                let text = format!("quick mode {src} -> {dst} is over: new SAs");
                self.tell(at, "ike", Some(Milestone::SaUp), text);
            }
            _ => {}
        }
    }

    pub(super) fn ospf(&mut self, at: Instant, src: Ipv4Addr, payload: &[u8]) {
        let Ok(packet) = View::new_checked(payload).and_then(|view| view.parse()) else { return };
        match packet.body {
            Body::Hello(hello) => {
                let now: BTreeSet<Ipv4Addr> = hello.neighbours.iter().map(|r| r.0).collect();
                let new = (now.clone(), hello.designated);
                let Some((before, dr)) = self.hellos.insert(src, new) else {
                    return self.tell(at, "ospf", None, format!("{src} is first heard"));
                };
                for id in now.difference(&before) {
                    self.tell(at, "ospf", None, format!("{src} hears {id}"));
                }
                for id in before.difference(&now) {
                    self.tell(at, "ospf", None, format!("{src} hears {id} no longer"));
                }
                if dr != hello.designated {
                    let whom = hello.designated.map_or_else(|| "nobody".to_owned(), |dr| dr.to_string());
                    self.tell(at, "ospf", None, format!("{src} holds {whom} for designated"));
                }
            }
            Body::LinkStateUpdate(lsas) => lsas.iter().for_each(|lsa| self.lsa(at, lsa)),
            Body::DatabaseDescription(_) | Body::LinkStateRequest(_) | Body::LinkStateAck(_) => {}
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
                self.tell(at, "ospf", (!dead).then_some(Milestone::Announced), text);
            }
            Ok(LsaBody::Router(_)) => self.tell(at, "ospf", None, format!("{router} {verb} its links")),
            Ok(LsaBody::Network(_)) => {
                self.tell(at, "ospf", None, format!("{router} {verb} the network of {}", key.id));
            }
            _ => {}
        }
    }

    /// The capture is over: everything told, and who fell silent for good.
    pub(super) fn end(mut self) -> Vec<Event> {
        for ((src, group), speaker) in &self.hsrp {
            let over = speaker.last + speaker.hold;
            if !speaker.hold.is_zero() && over < self.now && speaker.state != State::Initial {
                let text =
                    format!("group {group}: {src} is heard no more, its last word was {}", speaker.hold);
                let text = format!("{text} before");
                self.events.push(Event { at: over, source: "hsrp", milestone: None, text });
            }
        }
        self.events
    }
}
