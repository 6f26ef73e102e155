//! The network: routers, segments between them, traffic through them, and what happens to them.
//!
//! ```text
//!   offer ──▶ worker ──transmit──▶ segment ──▶ (later) worker ──punt──▶ delivered, or to the router
//!               ▲  │ notices                                                │
//!               │  ▼                                                        ▼
//!             router ◀──────────────────── packets of its own ◀─────────────┘
//! ```
//!
//! The world has no clock: whoever drives it says what time it is, and carries what is [`Later`] until then.

mod build;
mod ends;
mod fault;
pub mod node;
pub mod segment;
pub mod signs;
mod tap;
#[cfg(test)]
mod tests;
pub mod traffic;

use std::mem;

use espalier_control::event::Event;
use espalier_control::ios::{Diagnostic, Exec};
use espalier_control::router::{Input, Output, Punted};
use espalier_dataplane::fate::{self, Why};
use espalier_dataplane::frame::{Frame, Meta};
use espalier_dataplane::mem::Pool;
use espalier_wire::ether::{self, EtherType};
use espalier_wire::ipv4::{Ipv4, protocol};
use espalier_wire::plane::{Command, SaSpec};
use espalier_wire::{Cause, IfIndex, Instant, Mac, Spi, Tag};

use crate::capture::WriteError;
use crate::measure::ledger::{Ledger, PacketId};
use crate::measure::recording::{Happened, NodeId, Shown, Struck};
use crate::measure::topology::InterfaceFigure;
use crate::place::Mistake;
use crate::scenario::Scenario;
use crate::wireshark::IkeKey;
pub use ends::{destinations, paths};
use node::Node;
use segment::{Passage, Segment};
use tap::Tap;
use traffic::{Source, digest};

/// Something that will happen.
#[derive(Debug)]
pub enum Later {
    /// A frame reaches a router's port.
    Arrive {
        /// The segment it comes from.
        segment: usize,
        /// The port of it.
        port: usize,
        /// The frame.
        frame: Frame,
    },
    /// A router is switched on for the first time.
    FirstBoot(usize),
    /// A router is switched on again.
    PowerOn(usize),
}

/// Why a scenario cannot be run, or its run not be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario file.
    #[error("{0}")]
    Scenario(#[from] Mistake),
    /// A router's configuration.
    #[error("{}", .0.iter().map(Diagnostic::pretty).collect::<Vec<_>>().join("\n"))]
    Configuration(Vec<Diagnostic>),
    /// A capture that could not be written.
    #[error("cannot write the captures: {0}")]
    Write(#[from] WriteError),
}

/// Everything there is.
pub struct World {
    nodes: Vec<Node>,
    segments: Vec<Segment>,
    /// The traffic.
    pub sources: Vec<Source>,
    /// The books.
    pub ledger: Ledger,
    /// What the routers said.
    pub events: Vec<Happened>,
    /// What struck.
    pub struck: Vec<Struck>,
    /// What `show` answered.
    pub shown: Vec<Shown>,
    /// Every SA there was.
    pub sas: Vec<SaSpec>,
    /// Every phase 1 key.
    pub ike_keys: Vec<IkeKey>,
    /// What the checkers found.
    pub violations: Vec<String>,
    /// What will happen, for the driver to take.
    pub later: Vec<(Instant, Later)>,
    /// Configuration lines that a router refused: the run cannot go on.
    pub refused: Option<Vec<Diagnostic>>,
    tap: Tap,
    pool: Pool,
    packet: Vec<u8>,
    spare: fate::Output,
}

impl World {
    /// The scenario's network, every router off. With `out`, what is on the segments is written there.
    ///
    /// # Errors
    /// What is wrong with the scenario or a configuration, and where; a capture that cannot be written.
    pub fn new(scenario: &Scenario, out: Option<&std::path::Path>) -> Result<Self, Error> {
        build::world(scenario, out)
    }

    /// Routers, then segments.
    pub fn names(&self) -> Vec<String> {
        let routers = self.nodes.iter().map(|n| n.name.clone());
        routers.chain(self.segments.iter().map(|s| s.name.clone())).collect()
    }

    /// How many routers there are.
    pub fn routers(&self) -> usize {
        self.nodes.len()
    }

    /// The router of that name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.name == name)
    }

    /// By segment: `ROUTER:INTERFACE` of each port.
    pub fn attached(&self) -> Vec<Vec<String>> {
        let port = |p: &segment::Port| self.port_name(p.node, p.iface);
        self.segments.iter().map(|s| s.ports.iter().map(port).collect()).collect()
    }

    /// By router, its interfaces by index, as configured at the start.
    pub fn interfaces(&self) -> Vec<Vec<InterfaceFigure>> {
        self.nodes.iter().map(Node::interfaces).collect()
    }

    fn port_name(&self, node: usize, iface: IfIndex) -> String {
        let Some(node) = self.nodes.get(node) else { return String::new() };
        let name = node.startup.interface_at(iface).map_or_else(String::new, |i| i.name.to_string());
        format!("{}:{name}", node.name)
    }

    fn place_of(&self, segment: usize) -> NodeId {
        NodeId((self.nodes.len() + segment) as u16)
    }

    /// Switch a router on.
    pub fn power_on(&mut self, now: Instant, node: usize) {
        let Some(n) = self.nodes.get_mut(node) else { return };
        if n.router.is_some() {
            return;
        }
        if let Err(diagnostics) = n.power_on(now) {
            self.refused = Some(diagnostics);
        }
        if let Some(n) = self.nodes.get_mut(node) {
            n.booted();
        }
        self.settle(now, node);
    }

    /// When a router next has something due.
    pub fn next_timer(&self) -> Option<(Instant, usize)> {
        let due = |(i, n): (usize, &Node)| n.deadline.map(|at| (at, i));
        self.nodes.iter().enumerate().filter_map(due).min()
    }

    /// Let a router's timers fire.
    pub fn timers(&mut self, now: Instant, node: usize) {
        if let Some(n) = self.nodes.get_mut(node) {
            n.timers(now);
        }
        self.settle(now, node);
    }

    /// Offer the next packet of a traffic, which was due before now or is now.
    pub fn offer(&mut self, (due, now): (Instant, Instant), source: usize) {
        let mut packet = mem::take(&mut self.packet);
        if let Some(source) = self.sources.get_mut(source) {
            let offer = source.take(&mut packet);
            self.ledger.offer(offer.id, due, offer.digest);
            self.originate(now, offer.node, &packet, offer.id.tag());
            self.settle(now, offer.node);
        }
        self.packet = packet;
    }

    fn originate(&mut self, now: Instant, node: usize, packet: &[u8], tag: Tag) {
        let Some(n) = self.nodes.get_mut(node) else { return };
        if n.router.is_none() {
            return self.lose(tag, NodeId(node as u16), Cause::NodeDown);
        }
        let Some(mut frame) = self.pool.copy_of(packet) else {
            return self.lose(tag, NodeId(node as u16), Cause::NoFrame);
        };
        frame.meta.tag = tag;
        n.worker.originate(now, &mut vec![frame], &mut n.out);
    }

    fn lose(&mut self, tag: Tag, place: NodeId, cause: Cause) {
        if let Some(id) = PacketId::of(tag) {
            self.ledger.lose(id, place, cause);
        }
    }

    /// Something that was to happen, does.
    pub fn happen(&mut self, now: Instant, what: Later) {
        match what {
            Later::FirstBoot(node) => self.power_on(now, node),
            Later::PowerOn(node) => self.comes_back(now, node),
            Later::Arrive { segment, port, frame } => self.arrive(now, segment, port, frame),
        }
    }

    fn arrive(&mut self, now: Instant, segment: usize, port: usize, mut frame: Frame) {
        let Some(at) = self.segments.get(segment).and_then(|s| s.ports.get(port)).copied() else { return };
        let up = self.segments.get(segment).is_some_and(|s| s.is_up(port));
        let Some(n) = self.nodes.get_mut(at.node) else { return };
        let tag = frame.meta.tag;
        if n.router.is_none() || !up {
            let cause = if n.router.is_none() { Cause::NodeDown } else { Cause::InterfaceDown };
            self.pool.put(frame);
            return self.lose(tag, NodeId(at.node as u16), cause);
        }
        frame.meta = Meta { tag, ..Meta::default() };
        let src =
            frame.bytes().get(6..).and_then(|b| b.first_chunk::<6>()).map_or(Mac::default(), |m| Mac(*m));
        let sealed = esp_numbers(frame.bytes());
        n.worker.receive(now, at.iface, &mut vec![frame], &mut n.out);
        self.check_replay(at.node, sealed);
        self.drain(now, at.node, src);
    }

    /// A sequence number that was opened once must never be opened again.
    fn check_replay(&mut self, node: usize, sealed: Option<(Spi, u32)>) {
        let (Some((spi, sequence)), Some(n)) = (sealed, self.nodes.get_mut(node)) else { return };
        // Sent on, dropped, or not ours: only what an SA of ours opened counts.
        if n.spis.contains(&spi) && n.out.drops.is_empty() && !n.accept(spi, sequence) {
            let what = format!("{}: sequence number {sequence} of SPI {spi} was accepted twice", n.name);
            self.violations.push(what);
        }
    }

    /// Carry out everything a router put out, until it is quiet.
    fn settle(&mut self, now: Instant, node: usize) {
        self.drain(now, node, Mac::default());
    }

    fn drain(&mut self, now: Instant, node: usize, src_mac: Mac) {
        loop {
            let Some(n) = self.nodes.get_mut(node) else { return };
            if n.worker.next_deadline() == Some(Instant::ZERO) {
                n.worker.tick(now, &mut n.out);
            }
            let mut out = mem::take(&mut self.spare);
            mem::swap(&mut out, &mut n.out);
            let actions = mem::take(&mut n.actions);
            let quiet = actions.is_empty()
                && out.transmit.is_empty()
                && out.punts.is_empty()
                && out.drops.is_empty()
                && out.notices.is_empty();
            for (iface, frame) in out.transmit.drain(..) {
                self.send(now, node, iface, frame);
            }
            for dropped in out.drops.drain(..) {
                self.lose(dropped.frame.meta.tag, NodeId(node as u16), dropped.cause);
                self.pool.put(dropped.frame);
            }
            for punt in out.punts.drain(..) {
                self.punt(now, node, punt, src_mac);
            }
            for notice in out.notices.drain(..) {
                self.tell(now, node, Input::Notice(notice));
            }
            self.spare = out;
            for action in actions {
                self.act(now, node, action);
            }
            if quiet {
                break;
            }
        }
        if let Some(n) = self.nodes.get_mut(node) {
            n.watch_traffic(now);
            n.look_ahead();
        }
    }

    fn tell(&mut self, now: Instant, node: usize, input: Input) {
        if let Some(n) = self.nodes.get_mut(node) {
            n.tell(now, input);
        }
    }

    /// A packet for the router itself: the traffic's end, or the control plane's.
    fn punt(&mut self, now: Instant, node: usize, punt: fate::Punt, src_mac: Mac) {
        let fate::Punt { iface, frame, why } = punt;
        let why = match why {
            Why::Arp => Punted::Arp,
            Why::Local => Punted::Local,
            Why::Multicast => Punted::Multicast,
            Why::Ike => Punted::Ike,
            Why::Keepalive => Punted::Keepalive,
        };
        if let Some(id) = PacketId::of(frame.meta.tag) {
            self.deliver(now, node, id, &frame);
            if self.is_question(id, frame.bytes()) {
                let packet = frame.bytes().to_vec();
                self.answer(now, node, id, Input::Packet { iface, src_mac, why, packet });
            }
        } else {
            let packet = frame.bytes().to_vec();
            self.tell(now, node, Input::Packet { iface, src_mac, why, packet });
        }
        self.pool.put(frame);
    }

    fn deliver(&mut self, now: Instant, node: usize, id: PacketId, frame: &Frame) {
        let Some(source) = self.sources.get(usize::from(id.traffic)) else { return };
        let end = if id.reply { source.from.0 } else { source.to.0 };
        let place = NodeId(node as u16);
        if node == end {
            self.ledger.deliver(id, now, place, digest(frame.bytes()));
        } else {
            self.ledger.lose(id, place, Cause::Misdelivered);
        }
    }

    fn is_question(&self, id: PacketId, packet: &[u8]) -> bool {
        let echo = |ip: Ipv4<'_>| ip.protocol() == protocol::ICMP && ip.payload().first() == Some(&8);
        let generated = self.sources.get(usize::from(id.traffic)).is_some_and(Source::is_answered);
        generated && !id.reply && Ipv4::new_checked(packet).is_ok_and(echo)
    }

    /// Let the router's own stack answer; the answer is a packet of the flow's other direction.
    fn answer(&mut self, now: Instant, node: usize, id: PacketId, question: Input) {
        let Some(n) = self.nodes.get_mut(node) else { return };
        let before = n.actions.len();
        n.tell(now, question);
        for action in n.actions.split_off(before) {
            match action {
                Output::Originate { packet } => {
                    let reply = PacketId { reply: true, ..id };
                    self.ledger.offer(reply, now, digest(&packet));
                    self.originate(now, node, &packet, reply.tag());
                }
                other => self.act(now, node, other),
            }
        }
    }

    /// What a control plane wants done.
    fn act(&mut self, now: Instant, node: usize, action: Output) {
        match action {
            Output::Command(command) => self.command(now, node, command),
            Output::Transmit { iface, frame } => {
                let (Some(frame), Some(n)) = (self.pool.copy_of(&frame), self.nodes.get_mut(node)) else {
                    return;
                };
                n.worker.originate_link(iface, &mut vec![frame], &mut n.out);
            }
            Output::Originate { packet } => self.originate(now, node, &packet, Tag::NONE),
            Output::Port { iface, up } => self.port(now, node, iface, up),
            Output::Event(event) => self.said(now, node, event),
            Output::IkeKey { initiator, key } => {
                self.ike_keys.push(IkeKey { initiator_cookie: initiator, encryption_key: key });
            }
            Output::Refused(diagnostics) => self.refused = Some(diagnostics),
        }
    }

    fn said(&mut self, at: Instant, node: usize, event: Event) {
        self.events.push(Happened { at, node: NodeId(node as u16), event });
    }

    fn command(&mut self, now: Instant, node: usize, command: Command) {
        if let Command::InstallInbound { sa, .. } = &command {
            self.sas.push(SaSpec::clone(sa));
        }
        let Some(n) = self.nodes.get_mut(node) else { return };
        if let Err(what) = n.command(now, command) {
            self.violations.push(what);
        }
    }

    /// A port's link comes up, or goes.
    fn port(&mut self, now: Instant, node: usize, iface: IfIndex, up: bool) {
        let at = self.nodes.get(node).and_then(|n| n.ports.get(usize::from(iface.0)).copied().flatten());
        let Some((segment, port)) = at else { return };
        if let Some(segment) = self.segments.get_mut(segment) {
            segment.set_up(now, port, up);
        }
        self.tell(now, node, Input::Carrier { iface, up });
    }

    /// A frame leaves a router.
    fn send(&mut self, now: Instant, node: usize, iface: IfIndex, frame: Frame) {
        let tag = frame.meta.tag;
        let at = self.nodes.get(node).and_then(|n| n.ports.get(usize::from(iface.0)).copied().flatten());
        let Some((segment, port)) = at else {
            self.pool.put(frame);
            return self.lose(tag, NodeId(node as u16), Cause::InterfaceDown);
        };
        self.check_clear(node, iface, &frame);
        self.tap.frame(now, segment, port, frame.bytes());
        let place = self.place_of(segment);
        let Some(lan) = self.segments.get_mut(segment) else { return };
        match lan.pass(now, port, frame.bytes()) {
            Passage::Lost(cause) => self.lose(tag, place, cause),
            Passage::Arrives { copies, flooded } => {
                if flooded {
                    self.lose(tag, place, Cause::NoStation);
                }
                for (port, at) in copies {
                    let Some(mut copy) = self.pool.copy_of(frame.bytes()) else { continue };
                    copy.meta.tag = tag;
                    self.later.push((at, Later::Arrive { segment, port, frame: copy }));
                }
            }
        }
        self.pool.put(frame);
    }

    /// What policy protects must not be seen in clear.
    fn check_clear(&mut self, node: usize, iface: IfIndex, frame: &Frame) {
        if frame.meta.tag == Tag::NONE {
            return;
        }
        let Ok(ethernet) = ether::Ethernet::new_checked(frame.bytes()) else { return };
        let (EtherType::IPV4, Ok(ip)) = (ethernet.ethertype(), Ipv4::new_checked(ethernet.payload())) else {
            return;
        };
        let Some(n) = self.nodes.get(node) else { return };
        if n.must_protect(iface, ip.src(), ip.dst()) {
            let (src, dst) = (ip.src(), ip.dst());
            self.violations.push(format!("{}: {src} to {dst} left in clear", n.name));
        }
    }

    /// What a router answers.
    pub fn show(&mut self, at: Instant, node: usize, command: &str, exec: &Exec) {
        let Some(n) = self.nodes.get(node) else { return };
        let text = match &n.router {
            Some(router) => router.show(at, exec, &n.worker.counters()),
            None => "(switched off)\n".to_owned(),
        };
        let (router, command) = (n.name.clone(), command.to_owned());
        self.shown.push(Shown { at, router, command, text });
    }

    /// The run is over: books closed, captures ended. The digest of everything on the segments.
    ///
    /// # Errors
    /// A capture that could not be written.
    pub fn finish(&mut self, under_way: impl Iterator<Item = Later>) -> Result<[u8; 32], Error> {
        for later in under_way {
            if let Later::Arrive { segment, frame, .. } = later {
                let place = self.place_of(segment);
                self.lose(frame.meta.tag, place, Cause::EndOfRun);
            }
        }
        self.ledger.close(NodeId(0));
        let tap = mem::replace(&mut self.tap, Tap::deaf());
        Ok(tap.finish()?)
    }
}

/// The traffic of a scenario whose world could be built, its packets' bytes from `secret`.
///
/// # Errors
/// As of [`World::new`].
pub fn sources(scenario: &Scenario, secret: u64) -> Result<Vec<Source>, Error> {
    build::traffic(scenario, secret)
}

/// SPI and sequence number, when a frame carries a whole ESP packet.
fn esp_numbers(frame: &[u8]) -> Option<(Spi, u32)> {
    let ethernet = ether::Ethernet::new_checked(frame).ok()?;
    if ethernet.ethertype() != EtherType::IPV4 {
        return None;
    }
    let ip = Ipv4::new_checked(ethernet.payload()).ok()?;
    if ip.protocol() != protocol::ESP || ip.is_fragment() {
        return None;
    }
    let esp = ip.payload();
    let word = |at: usize| Some(u32::from_be_bytes(*esp.get(at..)?.first_chunk::<4>()?));
    Some((Spi(word(0)?), word(4)?))
}
