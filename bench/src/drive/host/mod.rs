//! One router on real interfaces: the router of a world, the wall clock saying what time it is. Its dataplane is fed from
//! the machine's interfaces on a thread of its own (`plane`); its control plane, timers, links and console are this one's.
//! The two know each other by messages over bounded rings (`mailbox`), and either sleeps when it has nothing to do.
//!
//! ```text
//!                    ┌──────────── orders ────────────▶┐
//!   signals, links,  │                                 │
//!   console ──▶ control plane                      dataplane ◀──▶ ports (device)
//!                    ▲                                 │
//!                    └◀── packets, notices, counters ──┘
//! ```

pub mod console;
pub(super) mod device;
mod gateway;
mod mailbox;
pub(super) mod offload;
mod plane;
mod port;
pub(crate) mod socket;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use espalier_control::event::Event;
use espalier_control::ios::{Config, Diagnostic, Exec};
use espalier_control::profile::Profile;
use espalier_control::router::Router;
use espalier_dataplane::worker::Worker;
use espalier_wire::cause::CauseCounts;
use espalier_wire::plane::{IfCounters, SaSpec};
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant, Mac};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::capture::WriteError;
use crate::drive::pin;
use crate::drive::topology::Topology;
use crate::live::Feed;
use crate::measure::recording::Shown;
use crate::wireshark::IkeKey;
use crate::world::node;
use console::{Console, Request};
pub use device::{Kind, NoPlace, Place};
use gateway::{Dataplane, Gateway};
use mailbox::Mailbox;
use plane::{MESSAGES, Plane};
pub use port::BindError;
use port::Port;
use socket::LinkNews;

/// Without any reason to wake, look around this often.
const LONGEST_WAIT: Duration = Duration::from_s(1);
/// Frames that the dataplane keeps.
const FRAMES: usize = 4096;

/// An interface of the configuration, and the machine's that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Binding {
    pub iface: IfIndex,
    pub place: Place,
}

/// What the dataplane does while nothing arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Poll {
    /// Look on for 50 µs after the last frame, then sleep until there is one: an idle router costs nothing, a busy one
    /// makes no system call to wait.
    #[default]
    Adaptive,
    /// Look, and never sleep: no wake-up delays a frame, and the core is never idle.
    Busy,
}

impl Poll {
    /// As reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Busy => "busy",
        }
    }
}

/// Which cores the two threads are pinned to; `None`: wherever the kernel runs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "names say it")]
pub struct Cores {
    pub dataplane: Option<usize>,
    pub control: Option<usize>,
}

impl Cores {
    /// The best core of this machine (or the one that is wanted) for the dataplane, the next best for the control plane;
    /// the same, where there is one only.
    ///
    /// # Errors
    /// The cores that there are, if the wanted one is not among them.
    pub fn best(wanted: Option<usize>) -> Result<Self, Vec<usize>> {
        let cores = Topology::here().cores;
        if wanted.is_some_and(|core| !cores.contains(&core)) {
            return Err(cores);
        }
        let dataplane = wanted.or(cores.first().copied());
        let other = cores.iter().copied().find(|core| Some(*core) != dataplane);
        Ok(Self { dataplane, control: other.or(dataplane) })
    }

    fn are_one(self) -> bool {
        self.dataplane.is_some() && self.dataplane == self.control
    }
}

/// What a run is asked for besides its router.
#[derive(Debug, Default)]
pub struct Options<'a> {
    /// How long; until told to end, where it is `None`.
    pub length: Option<Duration>,
    /// When, and the `show` command as typed and as understood.
    pub shows: Vec<(Duration, String, Exec)>,
    /// Take commands from there.
    pub console: Option<OwnedFd>,
    /// Leave SIGINT and SIGTERM to somebody else.
    pub deaf: bool,
    /// Where `INTERFACE.pcapng` of each bound interface goes: a folder, made if it is not there.
    pub out: Option<&'a Path>,
    /// What the dataplane does while nothing arrives.
    pub poll: Poll,
    /// Where its threads run.
    pub cores: Cores,
    /// Keep the keys of every SA.
    pub keys: bool,
    /// Whoever looks on; what the router says is not told there.
    pub feed: Option<Feed>,
}

/// What is said while it runs; times are those since the start.
#[derive(Debug)]
pub enum Said<'a> {
    /// The router speaks.
    Event(Duration, &'a Event),
    /// A `show` command is answered.
    Answer(Duration, &'a Shown),
    /// The console is ready for the next line.
    Prompt,
    /// A console line is refused.
    Refused(String),
}

/// Why a run cannot begin, or be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An interface.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The configuration.
    #[error("{}", .0.iter().map(Diagnostic::pretty).collect::<Vec<_>>().join("\n"))]
    Configuration(Vec<Diagnostic>),
    /// A capture.
    #[error("cannot write the captures: {0}")]
    Write(#[from] WriteError),
    /// The folder of the captures.
    #[error("{0}: {1}")]
    Folder(String, io::Error),
    /// Signals, netlink, or randomness.
    #[error("{0}")]
    Machine(#[from] io::Error),
}

/// What ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its time was over.
    Time,
    /// A signal of that number.
    Signal(i32),
    /// `exit` on the console.
    Console,
    /// `power off` there.
    PowerOff,
}

impl Ended {
    /// As reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Signal(SIGINT) => "SIGINT",
            Self::Signal(_) => "SIGTERM",
            Self::Console => "console",
            Self::PowerOff => "power-off",
        }
    }
}

/// What one interface did.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "names say it")]
pub struct PortSession {
    pub name: String,
    pub kind: Kind,
    pub host: String,
    pub mac: Mac,
    pub counters: IfCounters,
    /// Frames that arrived and that the kernel lost before the dataplane saw them.
    pub overflowed: u64,
}

/// A run, when it is over. Times are those since the Unix epoch; `started` is the first.
#[derive(Debug)]
pub struct Session {
    /// The router's name.
    pub router: String,
    /// When it was switched on.
    pub started: Instant,
    /// How long it ran.
    pub length: Duration,
    /// Why it ended.
    pub ended: Ended,
    /// Where its threads ran.
    pub cores: Cores,
    /// What the router said, debug lines left out.
    pub events: Vec<(Instant, Event)>,
    /// Events beyond those that are kept.
    pub events_left_out: u64,
    /// What `show` answered.
    pub shows: Vec<Shown>,
    /// The bound interfaces.
    pub ports: Vec<PortSession>,
    /// What was lost, by cause.
    pub dropped: CauseCounts,
    /// Every SA there was, where keys were asked for.
    pub sas: Vec<SaSpec>,
    /// Every phase 1 key, likewise.
    pub ike_keys: Vec<IkeKey>,
    /// Commands that the dataplane refused: the run fails when there is one.
    pub violations: Vec<String>,
}

/// The wall clock at the start, and steady time from there on: the same for all threads.
#[derive(Debug, Clone, Copy)]
struct Clock {
    epoch: Instant,
    start: std::time::Instant,
}

impl Clock {
    fn start() -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = Instant::from_ns(u64::try_from(epoch.as_nanos()).unwrap_or_default());
        Self { epoch, start: std::time::Instant::now() }
    }

    fn now(&self) -> Instant {
        self.epoch + Duration::from_ns(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// SIGINT and SIGTERM, as something to wait for.
struct Signals {
    number: Arc<AtomicUsize>,
    wake: UnixStream,
}

impl Signals {
    fn watch() -> io::Result<Self> {
        let number = Arc::new(AtomicUsize::new(0));
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_usize(signal, Arc::clone(&number), signal.unsigned_abs() as usize)?;
            signal_hook::low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Self { number, wake })
    }

    fn came(&self) -> Option<Ended> {
        match self.number.load(Ordering::Relaxed) {
            0 => None,
            n => Some(Ended::Signal(i32::try_from(n).unwrap_or(SIGTERM))),
        }
    }
}

struct Run<'a> {
    clock: Clock,
    gateway: Gateway<'a>,
    signals: Option<Signals>,
    news: LinkNews,
    console: Option<Console>,
    cores: Cores,
    shows: Vec<(Duration, String, Exec)>,
    length: Option<Duration>,
    feed: Option<Feed>,
}

/// Switch the router of `startup` on, on real interfaces, and run it to its end.
///
/// # Errors
/// What is wrong with the configuration or an interface: nothing was sent then, and nothing written. A capture that cannot
/// be written.
pub fn run(
    startup: Config,
    profile: Profile,
    bindings: &[Binding],
    options: Options<'_>,
    say: &mut dyn FnMut(Said<'_>),
) -> Result<Session, Error> {
    espalier_control::router::check(&startup).map_err(Error::Configuration)?;
    let signals = if options.deaf { None } else { Some(Signals::watch()?) };
    // Before any link is looked at: what changes after the look is heard.
    let news = LinkNews::listen()?;
    let (mut links, mut ports) = (Vec::new(), Vec::new());
    let mut macs = node::macs(0, startup.interfaces.len());
    for binding in bindings {
        let Some(interface) = startup.interface_at(binding.iface) else { continue };
        let (name, mtu) = (interface.name.to_string(), interface.ip_mtu());
        let (link, port) = port::bind(binding.iface, &name, &binding.place, mtu)?;
        if let Some(mac) = macs.get_mut(usize::from(binding.iface.0)) {
            *mac = link.mac;
        }
        links.push(link);
        ports.push(port);
    }
    if let Some(dir) = options.out {
        std::fs::create_dir_all(dir).map_err(|e| Error::Folder(dir.display().to_string(), e))?;
        for (port, link) in ports.iter_mut().zip(&links) {
            port.record(dir, startup.hostname(), link)?;
        }
    }
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let (clock, random) = (Clock::start(), Random::from_entropy(seed));
    let worker = node::worker(&profile, FRAMES, random.fork("dataplane"));
    let router = Router::new(startup.clone(), profile, macs, random.fork("control"));
    let router = router.map_err(Error::Configuration)?;
    let plane = start(worker, ports, clock, options.poll, options.cores)?;
    if let Some(core) = options.cores.control {
        pin::to_core(core);
    }
    let gateway = Gateway::new(&startup, router, links, plane, (clock, options.keys), say);
    let console = options.console.map(Console::on);
    let mut shows = options.shows;
    shows.sort_by_key(|show| std::cmp::Reverse(show.0));
    let (cores, length, feed) = (options.cores, options.length, options.feed);
    Run { clock, gateway, signals, news, console, cores, shows, length, feed }.through()
}

/// Start the dataplane's thread. It is in this thread's network namespace, as its sockets are.
fn start(
    worker: Worker,
    ports: Vec<Port>,
    clock: Clock,
    poll: Poll,
    cores: Cores,
) -> Result<Dataplane, Error> {
    let (orders, news) = (Mailbox::new(MESSAGES)?, Mailbox::new(MESSAGES)?);
    // Pinned to one, or there is no other.
    let shares = cores.are_one() || Topology::here().cores.len() < 2;
    let plane = Plane::new(worker, ports, clock, (poll, shares), (orders.clone(), news.clone()));
    let thread = std::thread::Builder::new().name("dataplane".to_owned()).spawn(move || {
        if let Some(core) = cores.dataplane {
            pin::to_core(core);
        }
        plane.run()
    })?;
    Ok(Dataplane { thread, orders, news })
}

impl Run<'_> {
    fn through(mut self) -> Result<Session, Error> {
        self.gateway.power_on(self.clock.now());
        let mut heard = Vec::new();
        let ended = loop {
            if let Some(ended) = self.turn(&heard) {
                break ended;
            }
            heard = self.wait();
        };
        let now = self.clock.now();
        if ended != Ended::PowerOff {
            self.gateway.shutdown(now);
        }
        self.gateway.into_session(now, ended, self.cores)
    }

    /// Everything that is to be done now. `heard` says what woke us, in the order of [`Run::sources`].
    fn turn(&mut self, heard: &[bool]) -> Option<Ended> {
        let now = self.clock.now();
        if heard.get(2) == Some(&true) && self.news.heard() {
            self.gateway.look_at_links(now);
        }
        self.gateway.hear(now);
        if heard.get(3) == Some(&true)
            && let Some(ended) = self.obey(now)
        {
            return Some(ended);
        }
        self.gateway.timers(now);
        let passed = now - self.clock.epoch;
        while self.shows.last().is_some_and(|show| show.0 <= passed)
            && let Some((_, command, exec)) = self.shows.pop()
        {
            self.gateway.show(now, &command, &exec);
        }
        if let Some(feed) = &mut self.feed {
            feed.tally(Instant::ZERO + passed, || self.gateway.counts());
        }
        let over = self.length.is_some_and(|length| passed >= length) || self.gateway.is_headless();
        self.signals.as_ref().and_then(Signals::came).or(over.then_some(Ended::Time))
    }

    /// Do what the console says.
    fn obey(&mut self, now: Instant) -> Option<Ended> {
        let Some(requests) = self.console.as_mut()?.read() else {
            self.console = None;
            return None;
        };
        for request in requests {
            match request {
                Request::Show(command, exec) => self.gateway.show(now, &command, &exec),
                Request::Configure(lines) => self.gateway.configure(now, lines),
                Request::ClearSa => self.gateway.clear_sa(now),
                Request::Prompt => self.gateway.prompt(),
                Request::Wrong(why) => self.gateway.refuse(why),
                Request::Exit => return Some(Ended::Console),
                Request::PowerOff => return Some(Ended::PowerOff),
            }
        }
        None
    }

    /// What can wake us: the dataplane, a signal, link news, the console (or its stand-in).
    fn sources(&self) -> [BorrowedFd<'_>; 4] {
        // Who is not there is stood in for by who is always.
        let news = self.news.as_fd();
        let signals = self.signals.as_ref().map_or(news, |s| s.wake.as_fd());
        let console = self.console.as_ref().map_or(news, Console::as_fd);
        [self.gateway.source(), signals, news, console]
    }

    fn wait(&self) -> Vec<bool> {
        let now = self.clock.now();
        let end = self.length.map(|length| self.clock.epoch + length);
        let show = self.shows.last().map(|show| self.clock.epoch + show.0);
        let look = self.feed.as_ref().map(|feed| self.clock.epoch + (feed.due() - Instant::ZERO));
        let due = [self.gateway.deadline(now), end, show, look].into_iter().flatten().min();
        let span = due.map_or(LONGEST_WAIT, |at| (at - now).min(LONGEST_WAIT));
        let span = if self.gateway.may_sleep() { span } else { Duration::ZERO };
        let heard = socket::wait(&self.sources(), Some(std::time::Duration::from_nanos(span.as_ns())));
        self.gateway.awake(heard.first() == Some(&true));
        heard
    }
}
