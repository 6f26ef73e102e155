//! The router's control plane: its machines and timers, what it says, and the messages to and from its dataplane, which
//! runs on another thread ([`super::plane`]).

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::thread::JoinHandle;

use espalier_control::Machine as _;
use espalier_control::event::{Event, Level};
use espalier_control::ios::{Config, Diagnostic, Exec};
use espalier_control::router::{Input, Output, Router};
use espalier_wire::cause::CauseCounts;
use espalier_wire::plane::{Command, Counters, SaSpec};
use espalier_wire::{Cause, Duration, IfIndex, Instant, Spi};

use super::mailbox::Mailbox;
use super::plane::{News, Order, Remains};
use super::port::Link;
use super::{Clock, Cores, Ended, Error, PortSession, Said, Session, socket};
use crate::live::Count;
use crate::measure::recording::Shown;
use crate::wireshark::IkeKey;
use crate::world::signs::Signs;

/// Events kept for the report; a router that runs for months says more.
const EVENTS: usize = 100_000;
/// Packets that may wait for room in the ring to the dataplane; commands wait however many they are.
const PACKETS: usize = 1024;
/// Messages heard between two looks at the timers.
const HEARD: usize = 256;
/// How soon to look whether there is room again.
const SOON: Duration = Duration::from_ms(1);
/// The same, while nothing else is done.
const STEP: std::time::Duration = std::time::Duration::from_millis(1);
/// How long the dataplane may take to say what it counted. It never does; a `show` must not hang on it.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// The dataplane's thread, and the ways to it and from it.
pub(super) struct Dataplane {
    pub(super) thread: JoinHandle<Remains>,
    pub(super) orders: Mailbox<Order>,
    pub(super) news: Mailbox<News>,
}

/// A router, its dataplane elsewhere.
pub(super) struct Gateway<'a> {
    name: String,
    router: Router,
    links: Vec<Link>,
    plane: Dataplane,
    /// What found no room in the ring yet, in order.
    unsent: VecDeque<Order>,
    /// What came while something else was waited for.
    unheard: VecDeque<News>,
    actions: Vec<Output>,
    /// What the dataplane had counted when it was last asked.
    counters: Counters,
    /// By port, what its device and its queue had lost then.
    port_losses: Vec<(IfIndex, u64)>,
    signs: Signs,
    spis: BTreeSet<Spi>,
    lost: CauseCounts,
    clock: Clock,
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
    /// A router that is off; `keep_keys`: for Wireshark.
    pub(super) fn new(
        startup: &Config,
        router: Router,
        links: Vec<Link>,
        plane: Dataplane,
        (clock, keep_keys): (Clock, bool),
        say: &'a mut dyn FnMut(Said<'_>),
    ) -> Self {
        Self {
            name: startup.hostname().to_owned(),
            router,
            links,
            plane,
            unsent: VecDeque::new(),
            unheard: VecDeque::new(),
            actions: Vec::new(),
            counters: Counters::default(),
            port_losses: Vec::new(),
            signs: Signs::default(),
            spis: BTreeSet::new(),
            lost: CauseCounts::default(),
            clock,
            say,
            events: Vec::new(),
            events_left_out: 0,
            shows: Vec::new(),
            keep_keys,
            sas: Vec::new(),
            ike_keys: Vec::new(),
            violations: Vec::new(),
        }
    }

    pub(super) fn power_on(&mut self, now: Instant) {
        self.tell(now, Input::Boot);
    }

    /// What becomes readable when the dataplane has something to say to a sleeper.
    pub(super) fn source(&self) -> BorrowedFd<'_> {
        self.plane.news.as_fd()
    }

    /// About to sleep. `false`: there is something to do.
    pub(super) fn may_sleep(&self) -> bool {
        self.unheard.is_empty() && self.plane.news.may_sleep()
    }

    /// Awake; `rung`: by the dataplane.
    pub(super) fn awake(&self, rung: bool) {
        self.plane.news.awake(rung);
    }

    /// The dataplane broke down: nothing goes on without it.
    pub(super) fn is_headless(&self) -> bool {
        self.plane.thread.is_finished()
    }

    /// By port what came, went and was lost there until now; then the router's own losses.
    pub(super) fn counts(&mut self) -> Vec<Count> {
        self.count();
        let count = |name: &str, [received, sent, lost]: [u64; 3]| Count {
            name: name.to_owned(),
            packets: [received, sent, lost],
            drawn: received + sent,
        };
        let port = |link: &Link| {
            let of = self.counters.interfaces.iter().find(|(iface, _)| *iface == link.iface);
            let of = of.map(|(_, c)| *c).unwrap_or_default();
            let lost = self.port_losses.iter().find(|(iface, _)| *iface == link.iface);
            count(&link.name, [of.in_packets, of.out_packets, lost.map_or(0, |(_, n)| *n)])
        };
        let router = count("forwarding", [0, 0, self.counters.dropped.iter().map(|(_, n)| n).sum()]);
        self.links.iter().map(port).chain([router]).collect()
    }

    /// When something is due.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let room = (!self.unsent.is_empty()).then(|| now + SOON);
        [self.router.next_deadline(), self.signs.due(), room].into_iter().flatten().min()
    }

    /// Take in what the dataplane says.
    pub(super) fn hear(&mut self, now: Instant) {
        self.send_waiting();
        for _ in 0..HEARD {
            let Some(news) = self.unheard.pop_front().or_else(|| self.plane.news.take()) else { return };
            match news {
                News::Packet { iface, src_mac, why, packet } => {
                    self.tell(now, Input::Packet { iface, src_mac, why, packet });
                }
                News::Notice(notice) => self.tell(now, Input::Notice(notice)),
                News::Counters(counters, losses) => {
                    self.port_losses = losses;
                    self.counted(now, *counters);
                }
                News::Refused(why) => self.violations.push(format!("{}: {why}", self.name)),
            }
        }
    }

    fn counted(&mut self, now: Instant, counters: Counters) {
        self.counters = counters;
        for (policy, outbound) in self.signs.compare(&self.counters) {
            self.tell(now, Input::Traffic { policy, outbound });
        }
    }

    pub(super) fn timers(&mut self, now: Instant) {
        if self.signs.due().is_some_and(|at| at <= now) {
            self.signs.look(now);
            self.order(Order::Count);
        }
        if self.router.next_deadline().is_some_and(|at| at <= now) {
            self.router.timer(now, &mut self.actions);
            self.settle(now);
        }
    }

    /// Some link changed: see whose, and tell the router.
    pub(super) fn look_at_links(&mut self, now: Instant) {
        for at in 0..self.links.len() {
            let Some(link) = self.links.get_mut(at) else { continue };
            let before = link.is_up();
            link.look();
            let (up, iface) = (link.is_up(), link.iface);
            if up != before {
                self.tell(now, Input::Carrier { iface, up });
            }
        }
    }

    /// Ask the dataplane what it has counted until now, and wait for it. What else it says meanwhile is heard later.
    fn count(&mut self) {
        self.order(Order::Count);
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            self.send_waiting();
            while let Some(news) = self.plane.news.take() {
                match news {
                    News::Counters(counters, losses) => {
                        (self.counters, self.port_losses) = (*counters, losses);
                        return;
                    }
                    other => self.unheard.push_back(other),
                }
            }
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() || self.is_headless() {
                return;
            }
            // An order that found no room is asked of nobody yet, and nobody rings when there is.
            let left = if self.unsent.is_empty() { left } else { left.min(STEP) };
            if self.plane.news.may_sleep() {
                let rung = socket::wait(&[self.plane.news.as_fd()], Some(left));
                self.plane.news.awake(rung.first() == Some(&true));
            }
        }
    }

    pub(super) fn show(&mut self, at: Instant, command: &str, exec: &Exec) {
        self.count();
        let text = self.router.show(at, exec, &self.counters);
        let shown = Shown { at, router: self.name.clone(), command: command.to_owned(), text };
        (self.say)(Said::Answer(at - self.clock.epoch, &shown));
        if self.shows.len() < EVENTS {
            self.shows.push(shown);
        }
    }

    pub(super) fn configure(&mut self, now: Instant, lines: String) {
        let origin = "console".to_owned();
        self.tell(now, Input::Configure { origin, under: None, lines });
    }

    pub(super) fn clear_sa(&mut self, now: Instant) {
        self.tell(now, Input::ClearSa);
    }

    pub(super) fn prompt(&mut self) {
        (self.say)(Said::Prompt);
    }

    pub(super) fn refuse(&mut self, why: String) {
        (self.say)(Said::Refused(why));
    }

    /// End in good order: HSRP resigns, OSPF flushes, IKE deletes.
    pub(super) fn shutdown(&mut self, now: Instant) {
        self.tell(now, Input::Shutdown);
    }

    /// Tell the router, and carry out what follows.
    fn tell(&mut self, now: Instant, input: Input) {
        self.router.on(now, input, &mut self.actions);
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        while !self.actions.is_empty() {
            for action in mem::take(&mut self.actions) {
                self.act(now, action);
            }
        }
    }

    /// Send an order, or keep it until there is room.
    fn order(&mut self, order: Order) {
        let is_packet = matches!(order, Order::Frame(..) | Order::Packet(_));
        if is_packet && self.unsent.len() >= PACKETS {
            return self.lost.add(Cause::RingFull);
        }
        self.unsent.push_back(order);
        self.send_waiting();
    }

    fn send_waiting(&mut self) {
        while let Some(order) = self.unsent.pop_front() {
            if let Err(order) = self.plane.orders.post(order) {
                return self.unsent.push_front(order);
            }
        }
    }

    fn act(&mut self, now: Instant, action: Output) {
        match action {
            Output::Command(command) => self.command(command),
            Output::Transmit { iface, frame } => self.order(Order::Frame(iface, frame)),
            Output::Originate { packet } => self.order(Order::Packet(packet)),
            Output::Port { iface, up } => self.port(now, iface, up),
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

    fn port(&mut self, now: Instant, iface: IfIndex, up: bool) {
        let link = self.links.iter_mut().find(|link| link.iface == iface);
        // A port that is bound to nothing never has a link.
        let running = link.is_some_and(|link| {
            link.enabled = up;
            link.is_up()
        });
        self.order(Order::Port(iface, up));
        self.router.on(now, Input::Carrier { iface, up: running }, &mut self.actions);
    }

    fn command(&mut self, command: Command) {
        self.signs.obeyed(&command);
        match &command {
            Command::InstallInbound { sa, .. } if !self.spis.insert(sa.spi) => {
                self.violations.push(format!("{}: a second inbound SA with SPI {}", self.name, sa.spi));
            }
            Command::DropInbound { spi } => {
                self.spis.remove(spi);
            }
            _ => {}
        }
        if let (Command::InstallInbound { sa, .. } | Command::SwapOutbound { sa, .. }, true) =
            (&command, self.keep_keys)
        {
            self.sas.push(SaSpec::clone(sa));
        }
        self.order(Order::Command(command));
    }

    fn said(&mut self, now: Instant, event: Event) {
        (self.say)(Said::Event(now - self.clock.epoch, &event));
        if event.level == Level::Debug && event.mark.is_none() {
            return;
        }
        if self.events.len() < EVENTS {
            self.events.push((now, event));
        } else {
            self.events_left_out += 1;
        }
    }

    /// The run is over: the dataplane sends what it has, and ends.
    pub(super) fn into_session(mut self, now: Instant, ended: Ended, cores: Cores) -> Result<Session, Error> {
        self.order(Order::End);
        while !self.unsent.is_empty() && !self.is_headless() {
            std::thread::sleep(STEP);
            self.send_waiting();
        }
        let broken = |_| io::Error::other(format!("the dataplane of {} broke down", self.name));
        let remains = self.plane.thread.join().map_err(broken)?;
        if let Some(error) = remains.failed {
            return Err(error.into());
        }
        // What it said to the very end, in order; nobody acts on it any more.
        let said = self.unheard.into_iter().chain(std::iter::from_fn(|| self.plane.news.take()));
        for news in said.chain(remains.owed) {
            if let News::Refused(why) = news {
                self.violations.push(format!("{}: {why}", self.name));
            }
        }
        let mut dropped = remains.counters.dropped.clone();
        for (cause, n) in remains.lost.iter().chain(self.lost.iter()) {
            dropped.add_many(cause, n);
        }
        let of = |link: Link| {
            let counters = remains.counters.interfaces.iter().find(|(iface, _)| *iface == link.iface);
            let overflowed = remains.overflowed.iter().find(|(iface, _)| *iface == link.iface);
            PortSession {
                name: link.name,
                kind: link.place.kind,
                host: link.place.host,
                mac: link.mac,
                counters: counters.map(|(_, c)| *c).unwrap_or_default(),
                overflowed: overflowed.map_or(0, |(_, n)| *n),
            }
        };
        Ok(Session {
            ports: self.links.into_iter().map(of).collect(),
            router: self.name,
            started: self.clock.epoch,
            length: now - self.clock.epoch,
            ended,
            cores,
            events: self.events,
            events_left_out: self.events_left_out,
            shows: self.shows,
            dropped,
            sas: self.sas,
            ike_keys: self.ike_keys,
            violations: self.violations,
        })
    }
}
