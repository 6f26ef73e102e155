//! The router itself between its ports: what a world does for its routers, done for one, without books of traffic.

use std::mem;

use espalier_control::event::{Event, Level};
use espalier_control::ios::{Config, Diagnostic, Exec};
use espalier_control::profile::Profile;
use espalier_control::router::{Input, Output, Punted};
use espalier_dataplane::batch::Batch;
use espalier_dataplane::fate::{self, Why};
use espalier_dataplane::frame::Frame;
use espalier_dataplane::mem::Pool;
use espalier_wire::cause::CauseCounts;
use espalier_wire::ether;
use espalier_wire::plane::{Command, SaSpec};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Mac};

use super::port::Port;
use super::socket::Received;
use super::{Ended, Error, PortSession, Said, Session};
use crate::live::Count;
use crate::measure::recording::Shown;
use crate::wireshark::IkeKey;
use crate::world::node::{Node, macs};
use crate::world::plane::{self, Job};

/// Events kept for the report; a router that runs for months says more.
const EVENTS: usize = 100_000;
/// Bytes of Ethernet header before a punted packet.
const ETHERNET: usize = ether::HEADER_LEN;

/// A router and its ports.
pub(super) struct Gateway<'a> {
    node: Node,
    ports: Vec<Port>,
    pool: Pool,
    batch: Vec<Frame>,
    spare: plane::Said,
    started: Instant,
    say: &'a mut dyn FnMut(Said<'_>),
    events: Vec<(Instant, Event)>,
    events_left_out: u64,
    shows: Vec<Shown>,
    keep_keys: bool,
    sas: Vec<SaSpec>,
    ike_keys: Vec<IkeKey>,
    violations: Vec<String>,
}

impl<'a> Gateway<'a> {
    /// A router that is off. `when`: the start, and whether keys are kept.
    pub(super) fn new(
        startup: Config,
        profile: Profile,
        random: Random,
        ports: Vec<Port>,
        when: (Instant, bool),
        say: &'a mut dyn FnMut(Said<'_>),
    ) -> Self {
        let mut macs = macs(0, startup.interfaces.len());
        for port in &ports {
            if let Some(mac) = macs.get_mut(usize::from(port.iface.0)) {
                *mac = port.mac;
            }
        }
        let name = startup.hostname().to_owned();
        Self {
            node: Node::new(&name, macs, startup, profile, random).unwatched(),
            ports,
            pool: Pool::new(4096),
            batch: Vec::new(),
            spare: plane::Said::default(),
            started: when.0,
            say,
            events: Vec::new(),
            events_left_out: 0,
            shows: Vec::new(),
            keep_keys: when.1,
            sas: Vec::new(),
            ike_keys: Vec::new(),
            violations: Vec::new(),
        }
    }

    pub(super) fn ports(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter()
    }

    pub(super) fn power_on(&mut self, now: Instant) -> Result<(), Vec<Diagnostic>> {
        self.node.power_on(now)?;
        self.node.booted();
        self.settle(now);
        Ok(())
    }

    /// By port what came, went and was lost there; then the router's own losses.
    pub(super) fn counts(&self) -> Vec<Count> {
        let counters = self.node.counters();
        let count = |name: &str, [received, sent, lost]: [u64; 3]| Count {
            name: name.to_owned(),
            packets: [received, sent, lost],
            drawn: received + sent,
        };
        let port = |port: &Port| {
            let of = counters.interfaces.iter().find(|(iface, _)| *iface == port.iface);
            let of = of.map(|(_, c)| *c).unwrap_or_default();
            count(&port.name, [of.in_packets, of.out_packets, port.lost.iter().map(|(_, n)| n).sum()])
        };
        let router = count("forwarding", [0, 0, counters.dropped.iter().map(|(_, n)| n).sum()]);
        self.ports.iter().map(port).chain([router]).collect()
    }

    /// When something is due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.node.deadline
    }

    /// Take in what the ports have, a batch of each.
    pub(super) fn receive(&mut self, now: Instant, memory: &mut Received) {
        for at in 0..self.ports.len() {
            let Some(port) = self.ports.get_mut(at) else { continue };
            let mut batch = mem::take(&mut self.batch);
            port.receive(now, memory, &mut self.pool, &mut batch);
            let iface = port.iface;
            if !batch.is_empty() {
                self.node.perform(now, Job::Receive(iface), &mut batch);
                self.settle(now);
            }
            self.batch = batch;
        }
    }

    pub(super) fn timers(&mut self, now: Instant) {
        self.node.watch_traffic(now);
        self.node.timers(now);
        self.settle(now);
    }

    /// Send what waits.
    pub(super) fn flush(&mut self) {
        for port in &mut self.ports {
            port.flush(&mut self.pool);
        }
    }

    /// Some link changed: see whose, and tell the router.
    pub(super) fn look_at_links(&mut self, now: Instant) {
        for at in 0..self.ports.len() {
            let Some(port) = self.ports.get_mut(at) else { continue };
            let before = port.is_up();
            port.look();
            let (up, iface) = (port.is_up(), port.iface);
            if up != before {
                self.node.tell(now, Input::Carrier { iface, up });
                self.settle(now);
            }
        }
    }

    pub(super) fn show(&mut self, at: Instant, command: &str, exec: &Exec) {
        let Some(router) = &self.node.router else { return };
        let text = router.show(at, exec, &self.node.counters());
        let shown = Shown { at, router: self.node.name.clone(), command: command.to_owned(), text };
        (self.say)(Said::Answer(at - self.started, &shown));
        if self.shows.len() < EVENTS {
            self.shows.push(shown);
        }
    }

    pub(super) fn configure(&mut self, now: Instant, lines: String) {
        let origin = "console".to_owned();
        self.node.tell(now, Input::Configure { origin, under: None, lines });
        self.settle(now);
    }

    pub(super) fn clear_sa(&mut self, now: Instant) {
        self.node.tell(now, Input::ClearSa);
        self.settle(now);
    }

    pub(super) fn prompt(&mut self) {
        (self.say)(Said::Prompt);
    }

    pub(super) fn refuse(&mut self, why: String) {
        (self.say)(Said::Refused(why));
    }

    /// End in good order: HSRP resigns, OSPF flushes, IKE deletes.
    pub(super) fn shutdown(&mut self, now: Instant) {
        self.node.tell(now, Input::Shutdown);
        self.settle(now);
        self.flush();
    }

    /// Carry out everything the router put out, until it is quiet.
    fn settle(&mut self, now: Instant) {
        loop {
            if self.node.is_pressing() {
                self.node.perform(now, Job::Tick, &mut Batch::new());
            }
            let mut said = mem::take(&mut self.spare);
            mem::swap(&mut said, &mut self.node.said);
            let actions = mem::take(&mut self.node.actions);
            let quiet = actions.is_empty() && said.is_empty();
            let out = &mut said.out;
            for (iface, frame) in out.transmit.drain(..) {
                self.send(now, iface, frame);
            }
            // The worker has counted them.
            for dropped in out.drops.drain(..) {
                self.pool.put(dropped.frame);
            }
            for punt in out.punts.drain(..) {
                self.punt(now, punt);
            }
            for notice in out.notices.drain(..) {
                self.node.tell(now, Input::Notice(notice));
            }
            self.violations.append(&mut said.violations);
            self.spare = said;
            for action in actions {
                self.act(now, action);
            }
            if quiet {
                break;
            }
        }
        self.node.look_ahead();
    }

    fn port(&mut self, iface: IfIndex) -> Option<&mut Port> {
        self.ports.iter_mut().find(|p| p.iface == iface)
    }

    fn send(&mut self, now: Instant, iface: IfIndex, frame: Frame) {
        match self.port(iface) {
            Some(port) => port.send(now, frame),
            None => self.pool.put(frame),
        }
    }

    fn punt(&mut self, now: Instant, punt: fate::Punt) {
        let fate::Punt { iface, mut frame, why } = punt;
        let why = match why {
            Why::Arp => Punted::Arp,
            Why::Local => Punted::Local,
            Why::Multicast => Punted::Multicast,
            Why::Ike => Punted::Ike,
            Why::Keepalive => Punted::Keepalive,
        };
        let packet = frame.bytes().to_vec();
        let src_mac = if frame.meta.opened { Mac::default() } else { sender(&mut frame) };
        self.node.tell(now, Input::Packet { iface, src_mac, why, packet });
        self.pool.put(frame);
    }

    fn act(&mut self, now: Instant, action: Output) {
        match action {
            Output::Command(command) => self.command(now, command),
            Output::Transmit { iface, frame } => {
                if let Some(frame) = self.pool.copy_of(&frame) {
                    self.node.perform(now, Job::Link(iface), &mut vec![frame]);
                }
            }
            Output::Originate { packet } => {
                if let Some(frame) = self.pool.copy_of(&packet) {
                    self.node.perform(now, Job::Originate, &mut vec![frame]);
                }
            }
            Output::Port { iface, up } => {
                let running = self.port(iface).map(|port| {
                    port.enabled = up;
                    port.is_up()
                });
                // A port that is bound to nothing never has a link.
                self.node.tell(now, Input::Carrier { iface, up: running.unwrap_or(false) });
            }
            Output::Event(event) => self.said(now, event),
            Output::IkeKey { initiator, key } if self.keep_keys => {
                self.ike_keys.push(IkeKey { initiator_cookie: initiator, encryption_key: key });
            }
            Output::IkeKey { .. } => {}
            Output::Refused(diagnostics) => {
                let lines: Vec<String> = diagnostics.iter().map(Diagnostic::pretty).collect();
                self.refuse(lines.join("\n"));
            }
        }
    }

    fn command(&mut self, now: Instant, command: Command) {
        if let (Command::InstallInbound { sa, .. } | Command::SwapOutbound { sa, .. }, true) =
            (&command, self.keep_keys)
        {
            self.sas.push(SaSpec::clone(sa));
        }
        self.node.command(now, command);
    }

    fn said(&mut self, now: Instant, event: Event) {
        (self.say)(Said::Event(now - self.started, &event));
        if event.level == Level::Debug && event.mark.is_none() {
            return;
        }
        if self.events.len() < EVENTS {
            self.events.push((now, event));
        } else {
            self.events_left_out += 1;
        }
    }

    /// The run is over.
    pub(super) fn into_session(mut self, now: Instant, ended: Ended) -> Result<Session, Error> {
        let counters = self.node.counters();
        let mut dropped: CauseCounts = counters.dropped.clone();
        let mut ports = Vec::new();
        for port in &mut self.ports {
            port.close()?;
            for (cause, n) in port.lost.iter() {
                dropped.add_many(cause, n);
            }
            let of = counters.interfaces.iter().find(|(iface, _)| *iface == port.iface);
            let (name, host, mac) = (port.name.clone(), port.host.clone(), port.mac);
            ports.push(PortSession { name, host, mac, counters: of.map(|(_, c)| *c).unwrap_or_default() });
        }
        Ok(Session {
            router: self.node.name,
            started: self.started,
            length: now - self.started,
            ended,
            events: self.events,
            events_left_out: self.events_left_out,
            shows: self.shows,
            ports,
            dropped,
            sas: self.sas,
            ike_keys: self.ike_keys,
            violations: self.violations,
        })
    }
}

/// The source of the frame that a punted packet came in: its header still lies before the packet. (Of a packet put
/// together from fragments there is no one frame; nothing that asks for a sender comes in fragments.)
fn sender(frame: &mut Frame) -> Mac {
    if !frame.grow_front(ETHERNET) {
        return Mac::default();
    }
    frame.bytes().get(6..).and_then(|b| b.first_chunk::<6>()).map_or(Mac::default(), |m| Mac(*m))
}
