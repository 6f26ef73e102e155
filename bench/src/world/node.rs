//! One router of the world: its control plane, its dataplane, its ports.

use std::collections::{BTreeMap, BTreeSet};

use espalier_control::Machine as _;
use espalier_control::ios;
use espalier_control::profile::Profile;
use espalier_control::router::{self, Input, Router};
use espalier_dataplane::crypto::Choice;
use espalier_dataplane::fate;
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::plane::{Command, Rule, RuleAction, Selector};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Mac, Spi};

use crate::measure::ledger::PacketId;
use crate::measure::topology::InterfaceFigure;
use crate::world::signs::Signs;

/// A router, on or off.
pub struct Node {
    /// Its hostname.
    pub name: String,
    /// What it boots with.
    pub startup: ios::Config,
    /// The control plane; `None`: it is off.
    pub router: Option<Router>,
    /// The dataplane; empty while it is off.
    pub worker: Worker,
    /// What the dataplane put out and nobody took yet.
    pub out: fate::Output,
    /// What the control plane wants and nobody did yet.
    pub actions: Vec<router::Output>,
    /// By interface: segment and port.
    pub ports: Vec<Option<(usize, usize)>>,
    /// The question that is being answered: the next packet born here is its answer.
    pub answering: Option<PacketId>,
    /// The SPIs of the inbound SAs.
    pub spis: BTreeSet<Spi>,
    /// When something is due.
    pub deadline: Option<Instant>,
    profile: Profile,
    macs: Vec<Mac>,
    random: Random,
    boots: u64,
    control_deadline: Option<Instant>,
    protected: BTreeMap<IfIndex, Vec<Rule>>,
    accepted: BTreeMap<Spi, Vec<u64>>,
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
            worker: worker(&profile, FRAMES, random.fork("off")),
            out: fate::Output::default(),
            actions: Vec::new(),
            ports: vec![None; interfaces],
            answering: None,
            spis: BTreeSet::new(),
            deadline: None,
            macs,
            boots: 0,
            control_deadline: None,
            protected: BTreeMap::new(),
            accepted: BTreeMap::new(),
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
        self.worker = worker(&self.profile, FRAMES, random.fork("dataplane"));
        let control = random.fork("control");
        let mut router = Router::new(self.startup.clone(), self.profile.clone(), self.macs.clone(), control)?;
        router.on(now, Input::Boot, &mut self.actions);
        self.router = Some(router);
        Ok(())
    }

    /// Switch it off: everything it knew is gone.
    pub fn power_off(&mut self) {
        self.router = None;
        self.worker = worker(&self.profile, FRAMES, self.random.fork("off"));
        self.out = fate::Output::default();
        self.actions.clear();
        self.spis.clear();
        self.protected.clear();
        self.accepted.clear();
        self.signs.forget();
        (self.deadline, self.control_deadline) = (None, None);
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
        if self.worker.next_deadline().is_some_and(|at| at <= now) {
            self.worker.tick(now, &mut self.out);
        }
    }

    /// Look again when something is due.
    pub fn look_ahead(&mut self) {
        let control = self.router.as_ref().and(self.control_deadline);
        self.deadline = control.into_iter().chain(self.worker.next_deadline()).min();
    }

    /// The control plane was asked something else than by [`Node::tell`].
    pub fn booted(&mut self) {
        self.control_deadline = self.router.as_ref().and_then(espalier_control::Machine::next_deadline);
    }

    /// Obey a command, and watch: two inbound SAs with one SPI are a fault of the control plane.
    ///
    /// # Errors
    /// What is wrong with the command.
    pub fn command(&mut self, now: Instant, command: Command) -> Result<(), String> {
        self.signs.obeyed(&command);
        match &command {
            Command::InstallInbound { sa, .. } if !self.spis.insert(sa.spi) => {
                return Err(format!("{}: a second inbound SA with SPI {}", self.name, sa.spi));
            }
            Command::DropInbound { spi } => {
                self.spis.remove(spi);
                self.accepted.remove(spi);
            }
            Command::Policy { iface, rules } => {
                self.protected.insert(*iface, rules.clone());
            }
            _ => {}
        }
        self.worker.command(now, command).map_err(|e| format!("{}: {e}", self.name))
    }

    /// Tell the control plane which policies' peers were sent to, and heard from, since the last look: what keepalives
    /// on demand live by. Looks only once in a while, so that it may be called whenever something happens.
    pub fn watch_traffic(&mut self, now: Instant) {
        if self.signs.due().is_some_and(|at| at <= now) {
            self.signs.look(now);
            for (policy, outbound) in self.signs.compare(&self.worker.counters()) {
                self.tell(now, Input::Traffic { policy, outbound });
            }
        }
    }

    /// Whether policy says that a packet with these ends must not leave by `iface` in clear. Rules that look at ports
    /// are not looked at.
    pub fn must_protect(&self, iface: IfIndex, src: std::net::Ipv4Addr, dst: std::net::Ipv4Addr) -> bool {
        let (src, dst) = (std::net::IpAddr::V4(src), std::net::IpAddr::V4(dst));
        let all = |s: &Selector| *s == Selector::between(s.src, s.dst);
        let rules = self.protected.get(&iface).map_or(&[][..], Vec::as_slice);
        let first = rules.iter().find(|r| r.selector.src.contains(&src) && r.selector.dst.contains(&dst));
        first.is_some_and(|r| all(&r.selector) && matches!(r.action, RuleAction::Protect(_)))
    }

    /// Remember that the sequence number of an ESP packet was accepted; false when it had been before.
    pub fn accept(&mut self, spi: Spi, sequence: u32) -> bool {
        let seen = self.accepted.entry(spi).or_default();
        let (word, bit) = (sequence as usize / 64, 1u64 << (sequence % 64));
        if seen.len() <= word {
            seen.resize(word + 1, 0);
        }
        let first = seen[word] & bit == 0;
        seen[word] |= bit;
        first
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
