//! What a run shows of itself while it goes on: who runs it tells news through a [`Feed`], somebody on another thread
//! listens, folds them into a [`Status`] and draws that ([`frame::lines`]), or a bar. The run never waits for either.

pub mod frame;
mod spark;
mod status;

use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};

use espalier_control::event::{Event, Level};
use espalier_control::ios;
use espalier_wire::{Duration, Instant};

use crate::measure::ledger::Ledger;
use crate::measure::recording::Struck;
use crate::scenario::Scenario;
use crate::world::World;
pub use status::Status;

/// How often a run under the wall clock is counted.
pub const EVERY: Duration = Duration::from_ms(200);
/// What has not arrived after this long, where nobody sees losses, is taken for lost.
pub const PATIENCE: Duration = Duration::from_s(1);

/// What is run.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The scenario, or the router.
    pub title: String,
    /// How it is run, in the words of the screen's first line: "under the wall clock", "on real interfaces", "attached to
    /// real interfaces".
    pub how: &'static str,
    /// How long; of a router that is attached until somebody ends it, unknown.
    pub duration: Option<Duration>,
    /// The routers.
    pub routers: Vec<Name>,
    /// What the three numbers of a [`Count`] are.
    pub columns: [&'static str; 3],
}

/// A router.
#[derive(Debug, Clone, Default)]
pub struct Name {
    /// Its name.
    pub name: String,
    /// Its interfaces by index.
    pub interfaces: Vec<String>,
    /// The program that plays it, where it is none of ours: its states are not known.
    pub foreign: Option<&'static str>,
}

/// Packets of one flow, or of one interface, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Whose.
    pub name: String,
    /// Offered, delivered and lost; of an interface received, sent and lost.
    pub packets: [u64; 3],
    /// Those that the curve shows: delivered; received and sent.
    pub drawn: u64,
}

/// A queue between two threads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Ring {
    pub name: String,
    pub depth: usize,
    pub capacity: usize,
}

/// A core, and the share of the time since the last tally that it had work, from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Core {
    pub core: usize,
    pub busy: f64,
}

/// Everything counted at one moment. A drive without rings leaves them out.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Tally {
    pub at: Instant,
    pub counts: Vec<Count>,
    pub rings: Vec<Ring>,
    pub cores: Vec<Core>,
}

/// What is told. Times are those since the start of the run.
#[derive(Debug, Clone)]
pub enum News {
    /// A router, by its place in [`Network::routers`], said something.
    Said(Instant, usize, Event),
    /// A fault struck.
    Struck(Struck),
    /// What was counted.
    Tally(Tally),
    /// The run is over.
    Over,
}

/// What rings and cores show at a moment.
pub type Readout = Box<dyn FnMut(Instant) -> (Vec<Ring>, Vec<Core>) + Send>;

/// The end of a run that tells.
pub struct Feed {
    to: Sender<News>,
    every: Duration,
    next: Instant,
    /// Whether anybody listens to what routers say.
    talk: bool,
    told: (usize, usize),
    readout: Option<Readout>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("every", &self.every).field("next", &self.next).finish_non_exhaustive()
    }
}

/// A part of a feed that tells what routers say, from any thread.
#[derive(Debug, Clone)]
pub struct Mouth(Option<Sender<News>>);

impl Mouth {
    /// Tell what a router said, unless only `debug` prints it and it means nothing more. Whoever has stopped listening
    /// is not missed.
    pub fn say(&self, at: Instant, node: usize, event: &Event) {
        let is_told = event.level != Level::Debug || event.mark.is_some();
        if let Some(to) = self.0.as_ref().filter(|_| is_told) {
            let _ = to.send(News::Said(at, node, event.clone()));
        }
    }
}

impl Feed {
    /// A feed that counts every so often, and who listens to it. Without `talk` only tallies are told.
    pub fn new(every: Duration, talk: bool) -> (Self, Receiver<News>) {
        let (to, listener) = channel();
        (Self { to, every, next: Instant::ZERO, talk, told: (0, 0), readout: None }, listener)
    }

    /// Rings and cores are read there, whenever is counted.
    pub fn read(&mut self, readout: Readout) {
        self.readout = Some(readout);
    }

    /// For whoever tells what routers say from elsewhere than where is counted.
    pub fn mouth(&self) -> Mouth {
        Mouth(self.talk.then(|| self.to.clone()))
    }

    /// When it is time to count again.
    pub const fn due(&self) -> Instant {
        self.next
    }

    /// It is time to count again.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// Count, when it is time. Whoever has stopped listening is not missed.
    pub fn tally(&mut self, now: Instant, count: impl FnOnce() -> Vec<Count>) {
        if self.is_due(now) {
            self.next = now + self.every;
            let (rings, cores) = self.readout.as_mut().map(|read| read(now)).unwrap_or_default();
            let _ = self.to.send(News::Tally(Tally { at: now, rings, cores, counts: count() }));
        }
    }

    /// Tell that a fault struck.
    pub fn strike(&self, struck: &Struck) {
        if self.talk {
            let _ = self.to.send(News::Struck(struck.clone()));
        }
    }

    /// Tell what is new in a world, when it is time.
    pub fn look(&mut self, now: Instant, world: &World) {
        if !self.is_due(now) {
            return;
        }
        let ((said, struck), mouth) = (self.told, self.mouth());
        let mut faults = world.struck.iter().skip(struck).peekable();
        for e in world.events.iter().skip(said) {
            // A fault comes before what follows from it, a crash after whatever the router still said at that moment.
            let is_next = |fault: &&Struck| {
                fault.at < e.at || (fault.at == e.at && !matches!(fault.action, "crash" | "reload"))
            };
            while let Some(fault) = faults.next_if(is_next) {
                self.strike(fault);
            }
            mouth.say(e.at, usize::from(e.node.0), &e.event);
        }
        faults.for_each(|fault| self.strike(fault));
        self.told = (world.events.len(), world.struck.len());
        self.tally(now, || flows(&world.ledger, None));
    }

    /// Tell the last of a world, whatever time it is.
    pub fn close(mut self, now: Instant, world: &World) {
        self.next = Instant::ZERO;
        self.look(now, world);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = self.to.send(News::Over);
    }
}

/// The flows of the books. With `now` nobody saw where packets were lost: lost is what did not arrive in [`PATIENCE`].
pub fn flows(ledger: &Ledger, now: Option<Instant>) -> Vec<Count> {
    let one = |flow: &crate::measure::ledger::Flow| {
        let so_far = flow.so_far();
        let (offered, delivered) = (so_far.offered, so_far.delivered);
        let lost = now.map_or(so_far.lost, |now| {
            let young = flow.under_way(Instant::from_ns(now.as_ns().saturating_sub(PATIENCE.as_ns())));
            offered.saturating_sub(delivered + young)
        });
        Count { name: flow.name.clone(), packets: [offered, delivered, lost], drawn: delivered }
    };
    ledger.flows().map(one).collect()
}

impl Network {
    /// That of a scenario.
    pub fn of(scenario: &Scenario, how: &'static str) -> Self {
        let router = |spec: &crate::scenario::RouterSpec| {
            // What cannot be read is said by whoever runs it.
            let config = ios::parse(&spec.file, &spec.text).map(|parsed| parsed.config);
            Name {
                name: spec.name.clone(),
                interfaces: config.as_ref().map_or_else(|_| Vec::new(), names),
                foreign: None,
            }
        };
        Self {
            title: scenario.name.clone(),
            how,
            duration: Some(scenario.duration),
            routers: scenario.routers.iter().map(router).collect(),
            columns: ["offered", "delivered", "lost"],
        }
    }
}

/// The interfaces of a configuration, by index, in short.
pub fn names(config: &ios::Config) -> Vec<String> {
    config.interfaces.iter().map(|i| i.name.short()).collect()
}
