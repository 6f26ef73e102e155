//! The network: routers, segments between them, traffic through them, and what happens to them.
//!
//! ```text
//!   offer ──▶ dataplane ──transmit──▶ segment ──▶ (later) dataplane ──punt──▶ delivered, or to the router
//!                ▲  │ notices                                                     │
//!                │  ▼                                                             ▼
//!              router ◀──────────────────── packets of its own ◀──────────────────┘
//! ```
//!
//! The world has no clock and no thread: whoever drives it says what time it is, carries what is [`Later`] until then, and
//! may take dataplanes to other threads ([`plane::Line`]).

mod build;
pub mod carry;
mod ends;
mod fault;
pub mod node;
pub mod plane;
pub mod segment;
pub mod signs;
mod tap;
#[cfg(test)]
mod tests;
pub mod traffic;

use std::mem;

use espalier_control::event::Event;
use espalier_control::ios::{Diagnostic, Exec};
use espalier_control::router::{Input, Output};
use espalier_dataplane::batch::Batch;
use espalier_dataplane::mem::Pool;
use espalier_wire::plane::{Command, Counters, SaSpec};
use espalier_wire::{Cause, IfIndex, Instant, Mac, Tag};

use crate::capture::WriteError;
use crate::measure::ledger::Ledger;
use crate::measure::recording::{Happened, NodeId, Shown, Struck};
use crate::measure::topology::InterfaceFigure;
use crate::place::Mistake;
use crate::scenario::Scenario;
use crate::wireshark::IkeKey;
pub use ends::{destinations, paths};
use node::Node;
use plane::{Job, Line, Said};
use segment::Segment;
use tap::Tap;
use traffic::Source;

/// Something that will happen.
#[derive(Debug)]
pub enum Later {
    /// Frames reach a router's port.
    Arrive {
        /// The segment it comes from.
        segment: usize,
        /// The port of it.
        port: usize,
        /// The frames: one, or a run between two stations.
        frames: Batch,
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
    spare: Said,
    /// Empty batches.
    spares: Vec<Batch>,
    /// Frames move in runs.
    runs: bool,
    /// Where the dataplanes are that other threads have.
    line: Option<Box<dyn Line>>,
    /// `show` commands that wait for what a dataplane elsewhere counted: when, which node, as typed, as understood.
    asked: Vec<(Instant, usize, String, Exec)>,
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

    /// Frames that leave together arrive together: for a drive whose time is not exact anyway. No digest is made.
    pub fn in_runs(&mut self) {
        self.runs = true;
        self.tap.skip_digest();
    }

    /// Leave the traffic out of the captures.
    pub fn capture_control_only(&mut self) {
        self.tap.skip_traffic();
    }

    /// The dataplanes of these routers run elsewhere from now on; every router is off yet.
    pub fn send_away(&mut self, nodes: &[usize], line: Box<dyn Line>) {
        for node in nodes {
            if let Some(n) = self.nodes.get_mut(*node) {
                n.away = true;
            }
        }
        self.line = Some(line);
    }

    /// Whether a router seals and opens packets as it boots: whether a crypto map stands on an interface.
    pub fn is_gateway(&self, node: usize) -> bool {
        let interfaces = self.nodes.get(node).map(|n| &n.startup.interfaces);
        interfaces.is_some_and(|all| all.iter().any(|i| i.crypto_map.is_some()))
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
        self.replace_plane(now, node);
        self.settle(now, node);
    }

    /// The dataplane of another life takes the old one's place, where that runs elsewhere.
    fn replace_plane(&mut self, now: Instant, node: usize) {
        if let Some(n) = self.nodes.get_mut(node).filter(|n| n.away) {
            let job = Job::Replace(Box::new(n.take_plane()));
            self.hand(now, node, job, &mut Batch::new(), Mac::default());
        }
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

    /// Something that was to happen, does.
    pub fn happen(&mut self, now: Instant, what: Later) {
        match what {
            Later::FirstBoot(node) => self.power_on(now, node),
            Later::PowerOn(node) => self.comes_back(now, node),
            Later::Arrive { segment, port, frames } => self.arrive(now, segment, port, frames),
        }
    }

    fn tell(&mut self, now: Instant, node: usize, input: Input) {
        if let Some(n) = self.nodes.get_mut(node) {
            n.tell(now, input);
        }
    }

    /// See whether SAs had traffic, once in a while, and when the node has something due.
    fn look(&mut self, now: Instant, node: usize) {
        let Some(n) = self.nodes.get_mut(node) else { return };
        if !n.away {
            n.watch_traffic(now);
        }
        n.look_ahead();
        if n.away && n.wants_look(now) {
            self.hand(now, node, Job::Look, &mut Batch::new(), Mac::default());
        }
    }

    /// A dataplane elsewhere has counted.
    fn counted(&mut self, now: Instant, node: usize, counters: Counters) {
        self.answer_asked(node, &counters);
        if let Some(n) = self.nodes.get_mut(node) {
            n.looked(now, &counters);
        }
    }

    /// Answer what waits for a router's counters.
    fn answer_asked(&mut self, node: usize, counters: &Counters) {
        let asked = mem::take(&mut self.asked);
        let (answered, asked): (Vec<_>, Vec<_>) = asked.into_iter().partition(|a| a.1 == node);
        self.asked = asked;
        for (at, _, command, exec) in answered {
            self.answer_show(at, node, &command, &exec, counters);
        }
    }

    /// What a control plane wants done.
    fn act(&mut self, now: Instant, node: usize, action: Output) {
        match action {
            Output::Command(command) => self.command(now, node, command),
            Output::Transmit { iface, frame } => {
                let Some(frame) = self.pool.copy_of(&frame) else { return };
                self.hand(now, node, Job::Link(iface), &mut vec![frame], Mac::default());
            }
            Output::Originate { packet } => self.bear(now, node, &packet, Tag::NONE),
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
        n.count(&command);
        self.hand(now, node, Job::Command(command), &mut Batch::new(), Mac::default());
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

    /// What a router answers.
    pub fn show(&mut self, at: Instant, node: usize, command: &str, exec: &Exec) {
        let Some(n) = self.nodes.get(node) else { return };
        if n.away && n.router.is_some() {
            self.asked.push((at, node, command.to_owned(), *exec));
            return self.hand(at, node, Job::Look, &mut Batch::new(), Mac::default());
        }
        let counters = n.counters();
        self.answer_show(at, node, command, exec, &counters);
    }

    fn answer_show(&mut self, at: Instant, node: usize, command: &str, exec: &Exec, counters: &Counters) {
        let Some(n) = self.nodes.get(node) else { return };
        let text = match &n.router {
            Some(router) => router.show(at, exec, counters),
            None => "(switched off)\n".to_owned(),
        };
        let (router, command) = (n.name.clone(), command.to_owned());
        self.shown.push(Shown { at, router, command, text });
    }

    /// The run is over: books closed, captures ended. The digest of everything on the segments, if one was made.
    ///
    /// # Errors
    /// A capture that could not be written.
    pub fn finish(&mut self, under_way: impl Iterator<Item = Later>) -> Result<Option<[u8; 32]>, Error> {
        for later in under_way {
            let Later::Arrive { segment, frames, .. } = later else { continue };
            let place = self.place_of(segment);
            frames.iter().for_each(|frame| self.lose(frame.meta.tag, place, Cause::EndOfRun));
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
