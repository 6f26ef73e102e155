//! One router on real interfaces: the router of a world, its dataplane fed from raw sockets, the wall clock saying what
//! time it is. One thread does it all, in the order of a world's: frames, timers, what follows from them, frames.
//!
//! ```text
//!   wait ──▶ link news, signals, console ──▶ receive ──▶ timers ──▶ settle ──▶ flush ──▶ wait …
//! ```

pub mod console;
mod gateway;
pub(super) mod offload;
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
use espalier_wire::cause::CauseCounts;
use espalier_wire::plane::{IfCounters, SaSpec};
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant, Mac};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::capture::WriteError;
use crate::live::Feed;
use crate::measure::recording::Shown;
use crate::wireshark::IkeKey;
use console::{Console, Order};
use gateway::Gateway;
pub use port::BindError;
use port::Port;
use socket::{LinkNews, Received};

/// Without any reason to wake, look around this often.
const LONGEST_WAIT: Duration = Duration::from_s(1);

/// An interface of the configuration, and the machine's that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Binding {
    pub iface: IfIndex,
    pub host: String,
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
    /// Where `INTERFACE.pcapng` of each bound interface goes.
    pub out: Option<&'a Path>,
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
    pub host: String,
    pub mac: Mac,
    pub counters: IfCounters,
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

/// The wall clock at the start, and steady time from there on.
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
    memory: Received,
    shows: Vec<(Duration, String, Exec)>,
    length: Option<Duration>,
    feed: Option<Feed>,
}

/// Switch the router of `startup` on, on real interfaces, and run it to its end.
///
/// # Errors
/// What is wrong with the configuration or an interface: nothing was sent then. A capture that cannot be written.
pub fn run(
    startup: Config,
    profile: Profile,
    bindings: &[Binding],
    options: Options<'_>,
    say: &mut dyn FnMut(Said<'_>),
) -> Result<Session, Error> {
    espalier_control::router::check(&startup).map_err(Error::Configuration)?;
    let signals = if options.deaf { None } else { Some(Signals::watch()?) };
    let mut ports = Vec::new();
    for binding in bindings {
        let Some(interface) = startup.interface_at(binding.iface) else { continue };
        let mut port =
            Port::bind(binding.iface, &interface.name.to_string(), &binding.host, interface.ip_mtu())?;
        if let Some(dir) = options.out {
            port.record(dir, startup.hostname())?;
        }
        ports.push(port);
    }
    let news = LinkNews::listen()?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let clock = Clock::start();
    let random = Random::from_entropy(seed);
    let gateway = Gateway::new(startup, profile, random, ports, (clock.epoch, options.keys), say);
    let console = options.console.map(Console::on);
    let mut shows = options.shows;
    shows.sort_by_key(|show| std::cmp::Reverse(show.0));
    let (memory, length, feed) = (Received::new(), options.length, options.feed);
    Run { clock, gateway, signals, news, console, memory, shows, length, feed }.through()
}

impl Run<'_> {
    fn through(mut self) -> Result<Session, Error> {
        self.gateway.power_on(self.clock.now()).map_err(Error::Configuration)?;
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
        self.gateway.into_session(now, ended)
    }

    /// Everything that is to be done now. `heard` says what woke us, in the order of [`Run::sources`].
    fn turn(&mut self, heard: &[bool]) -> Option<Ended> {
        let now = self.clock.now();
        if heard.get(1) == Some(&true) && self.news.heard() {
            self.gateway.look_at_links(now);
        }
        if heard.get(2) == Some(&true)
            && let Some(ended) = self.obey(now)
        {
            return Some(ended);
        }
        self.gateway.receive(now, &mut self.memory);
        self.gateway.timers(now);
        let passed = now - self.clock.epoch;
        while self.shows.last().is_some_and(|show| show.0 <= passed)
            && let Some((_, command, exec)) = self.shows.pop()
        {
            self.gateway.show(now, &command, &exec);
        }
        self.gateway.flush();
        if let Some(feed) = &mut self.feed {
            feed.tally(Instant::ZERO + passed, || self.gateway.counts());
        }
        let over = self.length.is_some_and(|length| passed >= length);
        self.signals.as_ref().and_then(Signals::came).or(over.then_some(Ended::Time))
    }

    /// Do what the console says.
    fn obey(&mut self, now: Instant) -> Option<Ended> {
        let Some(orders) = self.console.as_mut()?.read() else {
            self.console = None;
            return None;
        };
        for order in orders {
            match order {
                Order::Show(command, exec) => self.gateway.show(now, &command, &exec),
                Order::Configure(lines) => self.gateway.configure(now, lines),
                Order::ClearSa => self.gateway.clear_sa(now),
                Order::Prompt => self.gateway.prompt(),
                Order::Wrong(why) => self.gateway.refuse(why),
                Order::Exit => return Some(Ended::Console),
                Order::PowerOff => return Some(Ended::PowerOff),
            }
        }
        None
    }

    /// What can wake us: a signal, link news, the console (or its signal's stand-in), the ports.
    fn sources(&self) -> Vec<BorrowedFd<'_>> {
        // Who is not there is stood in for by who is always.
        let news = self.news.as_fd();
        let signals = self.signals.as_ref().map_or(news, |s| s.wake.as_fd());
        let console = self.console.as_ref().map_or(news, Console::as_fd);
        let ports = self.gateway.ports().map(|p| p.socket.as_fd());
        [signals, news, console].into_iter().chain(ports).collect()
    }

    fn wait(&self) -> Vec<bool> {
        let now = self.clock.now();
        let end = self.length.map(|length| self.clock.epoch + length);
        let show = self.shows.last().map(|show| self.clock.epoch + show.0);
        let look = self.feed.as_ref().map(|feed| self.clock.epoch + (feed.due() - Instant::ZERO));
        let due = [self.gateway.deadline(), end, show, look].into_iter().flatten().min();
        let span = due.map_or(LONGEST_WAIT, |at| (at - now).min(LONGEST_WAIT));
        socket::wait(&self.sources(), Some(std::time::Duration::from_nanos(span.as_ns())))
    }
}
