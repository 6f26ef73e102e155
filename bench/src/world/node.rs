//! One router of the world: its control plane, its dataplane, its ports.

use std::mem;

use espalier_control::Machine as _;
use espalier_control::ios;
use espalier_control::profile::Profile;
use espalier_control::router::{self, Input, Punted, Router};
use espalier_dataplane::batch::Batch;
use espalier_dataplane::crypto::Choice;
use espalier_dataplane::fate::Why;
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::plane::{Command, Counters};
use espalier_wire::random::Random;
use espalier_wire::{Instant, Mac};

use super::plane::{Dataplane, Job, Said};
use crate::measure::topology::InterfaceFigure;
use crate::world::signs::Signs;

/// Why a dataplane hands a packet over, as the control plane has it.
pub fn punted(why: Why) -> Punted {
    match why {
        Why::Arp => Punted::Arp,
        Why::Local => Punted::Local,
        Why::Multicast => Punted::Multicast,
        Why::Ike => Punted::Ike,
        Why::Keepalive => Punted::Keepalive,
    }
}

/// A router, on or off.
pub struct Node {
    /// Its hostname.
    pub name: String,
    /// What it boots with.
    pub startup: ios::Config,
    /// The control plane; `None`: it is off.
    pub router: Option<Router>,
    /// The dataplane; empty while it is off, and unused while another thread has it.
    plane: Dataplane,
    /// Another thread has the dataplane.
    pub away: bool,
    /// Counts up whenever it is switched on or off.
    pub life: u64,
    /// What the dataplane said and nobody heard yet.
    pub said: Said,
    /// What the control plane wants and nobody did yet.
    pub actions: Vec<router::Output>,
    /// By interface: segment and port.
    pub ports: Vec<Option<(usize, usize)>>,
    /// When something is due.
    pub deadline: Option<Instant>,
    profile: Profile,
    macs: Vec<Mac>,
    random: Random,
    boots: u64,
    control_deadline: Option<Instant>,
    signs: Signs,
}

fn virtual_address(group: &ios::model::StandbyGroup) -> Option<String> {
    match group.ip {
        Some(ios::model::StandbyAddress::Configured(address)) => Some(address.to_string()),
        Some(ios::model::StandbyAddress::Learned) | None => None,
    }
}

impl Node {
    /// Its interfaces by index, as it boots with them.
    pub fn interfaces(&self) -> Vec<InterfaceFigure> {
        let one = |i: &ios::Interface| InterfaceFigure {
            name: i.name.to_string(),
            address: i.address.map(|a| a.to_string()),
            virtual_addresses: i.standby.groups.values().filter_map(virtual_address).collect(),
        };
        self.startup.interfaces.iter().map(one).collect()
    }

    /// A router that is off; `macs` are the addresses of its interfaces.
    pub fn new(name: &str, macs: Vec<Mac>, startup: ios::Config, profile: Profile, random: Random) -> Self {
        let interfaces = startup.interfaces.len();
        Self {
            name: name.to_owned(),
            router: None,
            plane: Dataplane::new(name, worker(&profile, FRAMES, random.fork("off"))),
            away: false,
            life: 0,
            said: Said::default(),
            actions: Vec::new(),
            ports: vec![None; interfaces],
            deadline: None,
            macs,
            boots: 0,
            control_deadline: None,
            signs: Signs::default(),
            startup,
            profile,
            random,
        }
    }

    /// Switch it on.
    ///
    /// # Errors
    /// What no machine does that its configuration asks for.
    pub fn power_on(&mut self, now: Instant) -> Result<(), Vec<ios::Diagnostic>> {
        self.boots += 1;
        let random = self.random.fork(&format!("boot {}", self.boots));
        self.plane = self.plane_of(random.fork("dataplane"));
        self.life += 1;
        let control = random.fork("control");
        let mut router = Router::new(self.startup.clone(), self.profile.clone(), self.macs.clone(), control)?;
        router.on(now, Input::Boot, &mut self.actions);
        self.router = Some(router);
        Ok(())
    }

    /// Switch it off: everything it knew is gone.
    pub fn power_off(&mut self) {
        self.router = None;
        self.plane = self.dead_plane();
        self.life += 1;
        self.said = Said::default();
        self.actions.clear();
        self.signs.forget();
        (self.deadline, self.control_deadline) = (None, None);
    }

    fn plane_of(&self, random: Random) -> Dataplane {
        Dataplane::new(&self.name, worker(&self.profile, FRAMES, random))
    }

    fn dead_plane(&self) -> Dataplane {
        self.plane_of(self.random.fork("off"))
    }

    /// The dataplane of this life, for the thread that has it.
    pub fn take_plane(&mut self) -> Dataplane {
        let dead = self.dead_plane();
        mem::replace(&mut self.plane, dead)
    }

    /// Have the dataplane do something; what it says is kept.
    pub fn perform(&mut self, now: Instant, job: Job, frames: &mut Batch) {
        self.plane.perform(now, job, frames, &mut self.said);
    }

    /// Whether the dataplane wants to be called at once.
    pub fn is_pressing(&self) -> bool {
        self.plane.next_deadline() == Some(Instant::ZERO)
    }

    /// What the dataplane counted.
    pub fn counters(&self) -> Counters {
        self.plane.counters()
    }

    /// Tell the control plane.
    pub fn tell(&mut self, now: Instant, input: Input) {
        if let Some(router) = &mut self.router {
            router.on(now, input, &mut self.actions);
            self.control_deadline = router.next_deadline();
        }
    }

    /// Let every timer fire that is due.
    pub fn timers(&mut self, now: Instant) {
        if let Some(router) = &mut self.router
            && self.control_deadline.is_some_and(|at| at <= now)
        {
            router.timer(now, &mut self.actions);
            self.control_deadline = router.next_deadline();
        }
        if self.plane.next_deadline().is_some_and(|at| at <= now) {
            self.perform(now, Job::Tick, &mut Batch::new());
        }
    }

    /// Look again when something is due.
    pub fn look_ahead(&mut self) {
        let control = self.router.as_ref().and(self.control_deadline);
        self.deadline = control.into_iter().chain(self.plane.next_deadline()).min();
    }

    /// The control plane was asked something else than by [`Node::tell`].
    pub fn booted(&mut self) {
        self.control_deadline = self.router.as_ref().and_then(espalier_control::Machine::next_deadline);
    }

    /// Have the dataplane obey a command.
    pub fn command(&mut self, now: Instant, command: Command) {
        self.count(&command);
        self.perform(now, Job::Command(command), &mut Batch::new());
    }

    /// Keep what [`Node::looked`] compares with.
    pub fn count(&mut self, command: &Command) {
        self.signs.obeyed(command);
    }

    /// Whether it is time for [`Node::looked`]. True only once in a while, so that it may be asked whenever something
    /// happens.
    pub fn wants_look(&mut self, now: Instant) -> bool {
        let wants = self.signs.due().is_some_and(|at| at <= now);
        if wants {
            self.signs.look(now);
        }
        wants
    }

    /// Tell the control plane which policies' peers were sent to, and heard from, since the last look: what keepalives
    /// on demand live by.
    pub fn looked(&mut self, now: Instant, counters: &Counters) {
        for (policy, outbound) in self.signs.compare(counters) {
            self.tell(now, Input::Traffic { policy, outbound });
        }
    }

    /// As [`Node::looked`], when it is time.
    pub fn watch_traffic(&mut self, now: Instant) {
        if self.wants_look(now) {
            self.looked(now, &self.plane.counters());
        }
    }
}

/// The addresses of a simulated router's interfaces: locally administered, and readable in a capture: "ESP", the
/// router, the interface.
pub fn macs(number: u8, interfaces: usize) -> Vec<Mac> {
    (0..interfaces).map(|i| Mac([0x02, b'E', b'S', b'P', number, i as u8])).collect()
}

/// Frames that a simulated router keeps.
const FRAMES: usize = 256;

/// A router's dataplane, which keeps so many `frames`.
pub fn worker(profile: &Profile, frames: usize, random: Random) -> Worker {
    let config = Config { ttl: 255, frames, icmp_interval: profile.icmp_interval, ..Config::default() };
    Worker::new(Choice::Auto, random, config)
}
