//! A whole scenario on this machine: a network namespace for each router, a bridge for each segment, our gateways attached
//! to them, strongSwan, FRR and Linux as the others, the traffic through the lot, the wall clock. Needs root. Instead of
//! ours, the gateways can be keepalived, strongSwan and FRR: the same network, traffic and faults, other programs.
//!
//! Loss is measured at the ends alone, as RFC 6414 has it; what the gateways say of it is what they say. Segments carry
//! frames as fast as the machine does: their delay is not imitated, and what a bridge cannot do is refused.

mod foreign;
pub(crate) mod namespaces;
mod record;
mod stack;
mod strongswan;
mod traffic;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::SystemTime;

use espalier_control::event::Event;
use espalier_control::ios::{self, Config};
use espalier_control::profile::Profile;
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant};

use super::host::{self, Binding, Kind, Place, Session, socket};
use crate::capture::WriteError;
use crate::live::{self, Feed, Mouth};
use crate::measure::recording::{Happened, NodeId, Recording, Struck};
use crate::place::Mistake;
use crate::scenario::{Endpoint, FaultAction, FaultSpec, Impairment, RouterSpec, Scenario};
use crate::world;
pub use foreign::Gateways;
use foreign::{Foreign, Role};
use namespaces::Space;
use record::Recorder;
use traffic::Traffic;

/// Whoever is loaded and connected by then is on its way up.
const HEAD_START: std::time::Duration = std::time::Duration::from_millis(300);

/// Why a scenario cannot be run so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The scenario or a configuration, as any drive finds it.
    #[error("{0}")]
    World(#[from] world::Error),
    /// Something in the scenario that this machine has no means for.
    #[error("{0}")]
    Scenario(#[from] Mistake),
    /// A router's machine.
    #[error("{0}")]
    Host(#[from] host::Error),
    /// A program that is not there.
    #[error("--drive host: {router} needs {what}")]
    Missing {
        /// Whom it was to play.
        router: String,
        /// What is not installed.
        what: &'static str,
    },
    /// A segment's capture.
    #[error("cannot write the captures: {0}")]
    Write(#[from] WriteError),
    /// Namespaces, daemons, sockets.
    #[error("--drive host needs root and network namespaces: {0}")]
    Machine(#[from] io::Error),
}

/// What a run is asked for besides its scenario.
#[derive(Default)]
pub struct Options<'a> {
    /// What the gateways are made of.
    pub gateways: Gateways,
    /// Where `SEGMENT.pcapng` of each segment goes.
    pub out: Option<&'a Path>,
    /// Keep the keys of every SA of our gateways.
    pub keys: bool,
    /// Whoever looks on.
    pub feed: Option<Feed>,
}

/// One router of the scenario.
struct Router {
    name: String,
    config: Config,
    profile: Profile,
    role: Role,
    /// By interface: segment and the port's name there.
    ports: BTreeMap<IfIndex, (usize, String)>,
    // Programs go before the namespace that they are in.
    foreign: Foreign,
    space: Space,
    gateway: Option<Running>,
    /// What it did before it was last switched off.
    past: Vec<Session>,
    /// Where what it says is told.
    mouth: Option<Said>,
}

/// What tells what a gateway says, by the run's clock.
#[derive(Clone)]
struct Said {
    mouth: Mouth,
    start: std::time::Instant,
    number: usize,
}

impl Said {
    fn say(&self, event: &Event) {
        let passed = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.mouth.say(Instant::from_ns(passed), self.number, event);
    }
}

/// A gateway of ours: a thread, and its console.
struct Running {
    thread: JoinHandle<Result<Session, host::Error>>,
    console: UnixStream,
}

struct Lab<'a> {
    scenario: &'a Scenario,
    options: Options<'a>,
    // In this order: who is attached goes before what it is attached to.
    routers: Vec<Router>,
    segments: Vec<Space>,
    recorders: Vec<Recorder>,
    struck: Vec<Struck>,
    start: std::time::Instant,
    epoch: Instant,
}

/// By router the program that plays it, where that is none of ours.
pub fn players(scenario: &Scenario, gateways: Gateways) -> Vec<Option<&'static str>> {
    let player = |spec: &RouterSpec| {
        let parsed = ios::parse(&spec.file, &spec.text).ok()?;
        Role::of(&parsed.config, gateways).program()
    };
    scenario.routers.iter().map(player).collect()
}

/// Run a scenario to its end, and tell the feed how it goes. Beside the recording, what whoever reads the captures must
/// know: frames that are missing there.
///
/// # Errors
/// What is wrong with it, or with the machine. Nothing is left behind.
pub fn run(scenario: &Scenario, options: Options<'_>) -> Result<(Recording, Vec<String>), Error> {
    // Everything that any drive would refuse, is refused here, in the same words.
    let world = world::World::new(scenario, None)?;
    for spec in &scenario.segments {
        let bridge = Impairment {
            delay: spec.impairment.delay,
            queue: spec.impairment.queue,
            ..Impairment::default()
        };
        if spec.impairment != bridge || spec.forward_delay != Duration::ZERO {
            return Err(spec
                .at
                .says("--drive host cannot impair a segment: leave rate, loss and the like out")
                .into());
        }
    }
    let mut lab = Lab::build(scenario, options)?;
    lab.check_faults()?;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let secret = Random::from_seed(u64::from_ne_bytes(seed)).u64();
    let sources = world::sources(scenario, secret)?;
    let names: Vec<String> = scenario.traffic.iter().map(|t| t.name.clone()).collect();
    lab.power_on()?;
    let space = |node: usize| lab.routers.get(node).map_or("", |r| r.space.name()).to_owned();
    // Entering a namespace is for good: a thread of its own does it.
    let mut traffic = std::thread::scope(|scope| {
        let opened = scope.spawn(|| Traffic::new(&names, sources, space)).join();
        opened.unwrap_or_else(|_| Err(io::Error::other("the traffic's sockets")))
    })?;
    lab.through(&mut traffic)?;
    let place = NodeId((scenario.routers.len() + scenario.segments.len()) as u16);
    traffic.close(place);
    let warnings = lab.finish_captures()?;
    Ok((lab.end(traffic, &world)?, warnings))
}

impl<'a> Lab<'a> {
    fn build(scenario: &'a Scenario, options: Options<'a>) -> Result<Self, Error> {
        let mut routers = Vec::new();
        for spec in &scenario.routers {
            let parsed = ios::parse(&spec.file, &spec.text).map_err(host::Error::Configuration)?;
            let profile = spec.profile.parse().map_err(|e| spec.at.says(format!("{e}")))?;
            let role = Role::of(&parsed.config, options.gateways);
            if let Some(what) = role.missing() {
                return Err(Error::Missing { router: spec.name.clone(), what });
            }
            routers.push((spec.name.clone(), parsed.config, profile, role));
        }
        let mut made = Vec::new();
        for (number, (name, config, profile, role)) in routers.into_iter().enumerate() {
            let space = Space::new(&format!("r{number}"))?;
            let (ports, foreign, past) = (BTreeMap::new(), Foreign::default(), Vec::new());
            let (gateway, mouth) = (None, None);
            made.push(Router { name, config, profile, role, space, ports, foreign, gateway, past, mouth });
        }
        let mut segments = Vec::new();
        for (at, spec) in scenario.segments.iter().enumerate() {
            let switch = Space::switch(&format!("s{at}"))?;
            for (n, end) in spec.attach.iter().enumerate() {
                let Some((node, iface)) = find(&made, end) else { continue };
                let Some(router) = made.get_mut(node) else { continue };
                let port = format!("p{n}");
                switch.plug(&port, &router.space, &format!("if{}", iface.0))?;
                router.ports.insert(iface, (at, port));
            }
            segments.push(switch);
        }
        let (start, epoch) = (std::time::Instant::now(), Instant::ZERO);
        let (recorders, struck) = (Vec::new(), Vec::new());
        Ok(Self { scenario, options, routers: made, segments, recorders, struck, start, epoch })
    }

    fn power_on(&mut self) -> Result<(), Error> {
        if let Some(dir) = self.options.out {
            let about = format!("espalier {}, on real interfaces", self.scenario.name);
            for (switch, spec) in self.segments.iter().zip(&self.scenario.segments) {
                self.recorders.push(Recorder::start(switch.name(), &spec.name, &about, dir)?);
            }
        }
        for router in self.routers.iter_mut().filter(|r| r.role != Role::Espalier) {
            router.foreign = foreign::start(&router.space, &router.config, router.role)?;
        }
        std::thread::sleep(HEAD_START);
        self.start = std::time::Instant::now();
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.epoch = Instant::from_ns(u64::try_from(epoch.as_nanos()).unwrap_or_default());
        let mouth = self.options.feed.as_ref().map(|feed| (feed.mouth(), self.start));
        for (number, router) in self.routers.iter_mut().enumerate() {
            router.mouth = mouth.clone().map(|(mouth, start)| Said { mouth, start, number });
            if router.role == Role::Espalier {
                router.boot(self.options.keys)?;
            }
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        Instant::ZERO + Duration::from_ns(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn through(&mut self, traffic: &mut Traffic) -> Result<(), Error> {
        let end = Instant::ZERO + self.scenario.duration;
        let mut faults = self.scenario.faults.iter().peekable();
        loop {
            let now = self.now();
            traffic.take(now);
            if let Some(feed) = &mut self.options.feed {
                feed.tally(now, || live::flows(&traffic.ledger, Some(now)));
            }
            if now >= end {
                return Ok(());
            }
            while let Some(fault) = faults.next_if(|f| f.at <= now) {
                // What was due before it, however late this thread is, goes before it.
                traffic.offer(fault.at);
                self.strike(fault)?;
            }
            traffic.offer(self.now());
            let look = self.options.feed.as_ref().map(Feed::due);
            let due = [traffic.next(), faults.peek().map(|f| f.at), Some(end), look];
            let due = due.into_iter().flatten().min();
            let span = due.map_or(Duration::ZERO, |at| at - self.now());
            socket::wait(&traffic.sources(), Some(std::time::Duration::from_nanos(span.as_ns())));
        }
    }

    /// Refuse before anything runs what cannot be done to a router that is not ours, or to a bridge.
    fn check_faults(&self) -> Result<(), Mistake> {
        for fault in &self.scenario.faults {
            let target = match &fault.action {
                FaultAction::Shutdown(_) | FaultAction::NoShutdown(_) => continue,
                FaultAction::Cut(_) | FaultAction::Restore(_) => continue,
                FaultAction::Impair { .. } => {
                    return Err(fault.place.says("--drive host cannot impair a segment"));
                }
                FaultAction::Crash(name)
                | FaultAction::Boot(name)
                | FaultAction::ClearSa(name)
                | FaultAction::Reload { router: name, .. }
                | FaultAction::Config { router: name, .. } => name,
            };
            let ours = |r: &&Router| r.name == *target && r.role == Role::Espalier;
            if !self.routers.iter().any(|r| ours(&r)) {
                let what =
                    format!("--drive host can only do this to a gateway of ours, which {target} is not");
                return Err(fault.place.says(what));
            }
            if matches!(fault.action, FaultAction::Reload { .. }) {
                return Err(fault.place.says("--drive host has no reload: crash, then boot"));
            }
        }
        Ok(())
    }

    fn strike(&mut self, fault: &FaultSpec) -> Result<(), Error> {
        let (action, target, at) = (fault.action.name(), fault.action.target(), self.now());
        let router = target.split(':').next().unwrap_or_default();
        let node = self.routers.iter().position(|r| r.name == router);
        let segment = self.scenario.segments.iter().position(|s| s.name == target);
        let place = node.or(segment.map(|s| s + self.routers.len())).unwrap_or(0);
        self.recorders.iter().for_each(|r| r.comment(&format!("{action} {target}")));
        let struck = Struck { at, action, target, node: NodeId(place as u16) };
        if let Some(feed) = &self.options.feed {
            feed.strike(&struck);
        }
        self.struck.push(struck);
        let keys = self.options.keys;
        let (Self { routers, segments, .. }, gateway) = (self, node.unwrap_or(usize::MAX));
        match &fault.action {
            FaultAction::Shutdown(end) => port(routers, segments, end, false)?,
            FaultAction::NoShutdown(end) => port(routers, segments, end, true)?,
            FaultAction::Cut(_) | FaultAction::Restore(_) => {
                let up = matches!(fault.action, FaultAction::Restore(_));
                if let Some(switch) = segment.and_then(|s| segments.get(s)) {
                    switch.link("br0", up)?;
                }
            }
            action => {
                if let Some(router) = routers.get_mut(gateway) {
                    router.suffer(action, segments, keys)?;
                }
            }
        }
        Ok(())
    }

    fn finish_captures(&mut self) -> Result<Vec<String>, Error> {
        let warnings = self.recorders.drain(..).map(Recorder::finish).collect::<Result<Vec<_>, _>>()?;
        Ok(warnings.into_iter().flatten().collect())
    }

    fn end(mut self, traffic: Traffic, world: &world::World) -> Result<Recording, Error> {
        let (mut events, mut sas, mut ike_keys) = (Vec::new(), Vec::new(), Vec::new());
        for (number, router) in self.routers.iter_mut().enumerate() {
            router.off("exit\n")?;
            for session in router.past.drain(..) {
                sas.extend(session.sas);
                ike_keys.extend(session.ike_keys);
                events.extend(session.events.into_iter().map(|(at, event)| {
                    let at = Instant::ZERO + (at - self.epoch);
                    Happened { at, node: NodeId(number as u16), event }
                }));
            }
        }
        let end = Instant::ZERO + self.scenario.duration;
        // What they said while being switched off is no part of the run.
        events.retain(|e| e.at < end);
        events.sort_by_key(|e| e.at);
        let mut nodes = world.names();
        nodes.push("network".to_owned());
        Ok(Recording {
            scenario: self.scenario.name.clone(),
            about: self.scenario.about.clone(),
            seed: self.scenario.seed,
            duration: self.scenario.duration,
            clock: "real",
            schedule: None,
            nodes,
            routers: self.routers.len(),
            attached: world.attached(),
            interfaces: world.interfaces(),
            paths: world::paths(self.scenario),
            destinations: world::destinations(self.scenario, &world.sources),
            skipped: traffic.skipped(),
            ledger: traffic.ledger,
            faults: self.struck,
            events,
            shows: Vec::new(),
            sas,
            ike_keys,
            digest: None,
            violations: Vec::new(),
        })
    }
}

impl Router {
    /// Switch a gateway on; `keys`: it keeps those of its SAs.
    fn boot(&mut self, keys: bool) -> io::Result<()> {
        if self.gateway.is_some() {
            return Ok(());
        }
        let (console, theirs) = UnixStream::pair()?;
        let place = |iface: &IfIndex| Place { kind: Kind::Packet, host: format!("if{}", iface.0) };
        let bind = |iface: &IfIndex| Binding { iface: *iface, place: place(iface) };
        let bindings: Vec<Binding> = self.ports.keys().map(bind).collect();
        let (config, profile, space) =
            (self.config.clone(), self.profile.clone(), self.space.name().to_owned());
        let said = self.mouth.clone();
        let thread = std::thread::spawn(move || {
            socket::enter(&space)?;
            let console = Some(theirs.into());
            let options = host::Options { console, deaf: true, keys, ..host::Options::default() };
            let mut say = |what: host::Said<'_>| {
                if let (Some(said), host::Said::Event(_, event)) = (&said, what) {
                    said.say(event);
                }
            };
            host::run(config, profile, &bindings, options, &mut say)
        });
        self.gateway = Some(Running { thread, console });
        Ok(())
    }

    /// Switch it off, with these last words of its console.
    fn off(&mut self, words: &str) -> Result<(), Error> {
        let Some(Running { thread, mut console }) = self.gateway.take() else { return Ok(()) };
        // A gateway that has ended by itself says why when it is joined.
        let _ = console.write_all(words.as_bytes());
        match thread.join() {
            Ok(session) => self.past.push(session?),
            Err(_) => return Err(io::Error::other(format!("{} broke down", self.name)).into()),
        }
        Ok(())
    }

    fn type_in(&mut self, lines: &str) -> io::Result<()> {
        match &mut self.gateway {
            Some(running) => running.console.write_all(lines.as_bytes()),
            None => Ok(()),
        }
    }

    fn suffer(&mut self, action: &FaultAction, segments: &[Space], keys: bool) -> Result<(), Error> {
        match action {
            FaultAction::Config { lines, .. } => {
                self.type_in(&format!("configure terminal\n{lines}\nend\n"))?;
            }
            FaultAction::ClearSa(_) => self.type_in("clear crypto sa\n")?,
            FaultAction::Crash(_) => {
                self.off("power off\n")?;
                self.power(segments, false)?;
            }
            FaultAction::Boot(_) => {
                self.power(segments, true)?;
                self.boot(keys)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// All power is gone, the links with it; or it is back.
    fn power(&self, segments: &[Space], on: bool) -> io::Result<()> {
        self.ports.values().try_for_each(|(segment, port)| match segments.get(*segment) {
            Some(switch) => switch.link(port, on),
            None => Ok(()),
        })
    }
}

/// An interface of a router is switched off, or on: on its console, and at its neighbour's end of the cable.
fn port(routers: &mut [Router], segments: &[Space], end: &Endpoint, up: bool) -> Result<(), Error> {
    let Some((node, iface)) = find(routers, end) else { return Ok(()) };
    let Some(router) = routers.get_mut(node) else { return Ok(()) };
    let line = if up { "no shutdown" } else { "shutdown" };
    router.type_in(&format!("configure terminal\ninterface {}\n{line}\nend\n", end.interface))?;
    if let Some((segment, port)) = router.ports.get(&iface)
        && let Some(switch) = segments.get(*segment)
    {
        switch.link(port, up)?;
    }
    Ok(())
}

fn find(routers: &[Router], end: &Endpoint) -> Option<(usize, IfIndex)> {
    let node = routers.iter().position(|r| r.name == end.router)?;
    let iface = routers.get(node)?.config.index_of(end.interface.parse().ok()?)?;
    Some((node, iface))
}
