//! One core's dataplane: it takes commands between batches, and batches between commands.
//!
//! A worker has no clock, no thread and no port. Whoever drives it gives it the time and the frames, and takes what it
//! puts out.

use std::net::IpAddr;

use espalier_wire::plane::{Command, Counters, Direction, Notice, PolicyId, SaSpec};
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant, Spi, esp};

use crate::crypto::Choice;
use crate::express::Express;
pub use crate::express::Helper;
use crate::frame::Frame;
use crate::lifetimes::{Lifetimes, Timer};
use crate::mem::Pool;
use crate::pipeline::{Security, Step};
use crate::policy::{PolicyRef, RuleSet, Verdict};
use crate::router::Links;
use crate::sa::{Inbound, IvSource, Outbound, SaError};
use crate::stage::classify::Flow;
use crate::stage::encap;
use crate::stage::punt::Local;
use crate::stage::reassemble::Reassembly;

/// What a worker can be told once, at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// TTL of outer headers and of packets born here. 64, as most stacks; Cisco's is 255.
    pub ttl: u8,
    /// Small frames the pool keeps.
    pub frames: usize,
    /// Flows whose way is remembered, 64 bytes each; 0: every packet is asked about anew.
    pub flows: usize,
    /// At most one ICMP error of a kind in this time (IOS `ip icmp rate-limit unreachable`).
    pub icmp_interval: Duration,
    /// Bytes of fragments that may wait for the rest of their packets.
    pub reassembly_bytes: usize,
    /// How long they wait (RFC 1122 section 3.3.2 asks for 60 to 120 s; IOS virtual reassembly gives 3).
    pub reassembly_time: Duration,
    /// Send an RFC 3948 keepalive on an outbound SA behind a NAT that was silent this long; `None`: never.
    pub keepalive: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ttl: 64,
            frames: 1024,
            flows: 16_384,
            icmp_interval: Duration::from_ms(500),
            reassembly_bytes: 4 << 20,
            reassembly_time: Duration::from_s(60),
            keepalive: None,
        }
    }
}

/// The dataplane of one core.
pub struct Worker {
    pub(crate) config: Config,
    pub(crate) security: Security,
    pub(crate) rules: Vec<RuleSet>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) counters: Counters,
    pub(crate) links: Links,
    /// Packets whose SA came while no output was at hand.
    pub(crate) released: Vec<(PolicyRef, IfIndex, Frame)>,
    /// Packets that wait no longer, not yet put out.
    pub(crate) gave_up: Vec<Frame>,
    /// Packets on their way in …
    pub(crate) inward: Vec<Step>,
    /// … and out: memory kept from batch to batch.
    pub(crate) steps: Vec<Step>,
    pub(crate) done: Vec<Step>,
    /// The way of packets that need no decision.
    pub(crate) express: Express,
}

impl Worker {
    /// A worker that knows nothing yet. `random` gives the IVs: it must be worth a secret where the traffic is.
    pub fn new(engine: Choice, random: Random, config: Config) -> Self {
        let pool = Pool::new(config.frames);
        let reassembly = Reassembly::new(config.reassembly_bytes, config.reassembly_time);
        Self {
            security: Security::new(engine, IvSource::new(random), pool, reassembly),
            rules: Vec::new(),
            lifetimes: Lifetimes::default(),
            counters: Counters::default(),
            links: Links::new(config.icmp_interval),
            released: Vec::new(),
            gave_up: Vec::new(),
            inward: Vec::new(),
            steps: Vec::new(),
            done: Vec::new(),
            express: Express::new(config.flows),
            config,
        }
    }

    /// The pool that the worker's frames come from: take from it what goes in, put back what came out.
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.security.pool
    }

    /// Obey a command. What helpers have is finished before; it comes out of the next call that puts out.
    ///
    /// # Errors
    /// An SA that cannot be installed. Nothing has changed then.
    pub fn command(&mut self, now: Instant, command: Command) -> Result<(), SaError> {
        self.settle_early(now);
        match command {
            Command::Policy { iface, rules } => {
                let at = usize::from(iface.0);
                if self.rules.len() <= at {
                    self.rules.resize_with(at + 1, RuleSet::default);
                }
                self.rules[at] = RuleSet::new(&rules, &mut self.security.policies);
            }
            Command::Unprotected { policy, state } => {
                if let Some(policy) = self.security.policies.named(policy) {
                    policy.unprotected = state;
                    let stay = usize::from(state.queue).min(policy.waiting.len());
                    self.gave_up.extend(policy.waiting.drain(stay..).map(|(_, frame)| frame));
                }
            }
            Command::InstallInbound { policy, sa } => self.install_inbound(now, policy, &sa)?,
            Command::SwapOutbound { policy, sa } => self.swap_outbound(now, policy, &sa)?,
            Command::DropInbound { spi } => {
                for place in self.security.inbound.with_spi(spi) {
                    self.security.remove(place);
                }
            }
            Command::DropOutbound { policy, spi } => {
                if let Some(policy) = self.security.policies.named(policy) {
                    policy.outbound.take_if(|sa| sa.spi == spi);
                }
            }
            Command::Interface(iface) => self.links.set(iface),
            Command::LocalAddresses(addresses) => self.live_at(&addresses),
            Command::Route { prefix, next_hops } => self.links.fib.insert(prefix, next_hops),
            Command::DropRoute { prefix } => self.links.fib.remove(prefix),
            Command::Neighbour { iface, addr, mac } => {
                self.links.neighbours.insert(iface, addr, mac);
                self.links.awaited.answer(iface, addr);
            }
            Command::DropNeighbour { iface, addr } => self.links.neighbours.remove(iface, addr),
        }
        Ok(())
    }

    /// These are the node's addresses. With any, it is a router, to whose port 4500 ESP may come at any time.
    fn live_at(&mut self, addresses: &[IpAddr]) {
        if self.links.local.is_empty() && !addresses.is_empty() {
            self.security.udp_ports.add(esp::UDP_PORT);
        }
        if !self.links.local.is_empty() && addresses.is_empty() {
            self.security.udp_ports.remove(esp::UDP_PORT);
        }
        self.links.local = Local::new(addresses);
    }

    fn install_inbound(&mut self, now: Instant, policy: PolicyId, spec: &SaSpec) -> Result<(), SaError> {
        let sa = Inbound::new(now, policy, spec, self.security.engine)?;
        let deadline = sa.meter.deadline();
        let place = self.security.install(sa);
        self.lifetimes.set(deadline, Timer::Inbound(place));
        Ok(())
    }

    fn swap_outbound(&mut self, now: Instant, id: PolicyId, spec: &SaSpec) -> Result<(), SaError> {
        let sa = Outbound::new(now, id, spec, self.security.engine, self.config.ttl)?;
        let place = self.security.policies.place(id);
        self.lifetimes.set(sa.meter.deadline(), Timer::Outbound(place, sa.spi));
        if let Some(silence) = self.silence().filter(|_| sa.template.udp_len() > 0) {
            self.lifetimes.set(now + silence, Timer::Keepalive(place, sa.spi));
        }
        if let Some(policy) = self.security.policies.at_mut(place) {
            let waiting = policy.waiting.drain(..);
            self.released.extend(waiting.map(|(iface, frame)| (place, iface, frame)));
            policy.outbound = Some(sa);
        }
        Ok(())
    }

    /// What the outbound policy of an interface says of a packet.
    pub(crate) fn verdict(&self, iface: IfIndex, flow: &Flow) -> Verdict {
        self.rules.get(usize::from(iface.0)).map_or(Verdict::NoMatch, |rules| rules.lookup(flow))
    }

    /// Tell of lifetimes that ended by `now`, and take the dead SAs away.
    pub(crate) fn expire(&mut self, now: Instant, notices: &mut Vec<Notice>) {
        while let Some(timer) = self.lifetimes.due(now) {
            if let Timer::Keepalive(place, spi) = timer {
                let next = self.keep_alive(now, place, spi);
                self.lifetimes.set(next.unwrap_or(Instant::MAX), timer);
                continue;
            }
            let Some((life, expiry)) = self.look(now, timer) else { continue };
            self.lifetimes.set(life, timer);
            if let Some(notice) = expiry {
                notices.push(notice);
            }
        }
        self.security.bury(notices);
    }

    /// How long an SA behind a NAT may be silent; never no time at all, which would be for ever due.
    fn silence(&self) -> Option<Duration> {
        self.config.keepalive.filter(|silence| !silence.is_zero())
    }

    /// Send a keepalive if the SA was silent; when to look again.
    fn keep_alive(&mut self, now: Instant, place: PolicyRef, spi: Spi) -> Option<Instant> {
        let silence = self.silence()?;
        let sa = self.security.policies.at_mut(place)?.outbound.as_mut().filter(|sa| sa.spi == spi)?;
        if now - sa.last_sent >= silence {
            sa.last_sent = now;
            let frame = encap::keepalive(sa, &mut self.security.pool)?;
            self.bear_keepalive(frame);
        }
        let sa = self.security.policies.at(place)?.outbound.as_ref()?;
        Some(sa.last_sent + silence)
    }

    /// Look at the SA a timer is for: its next deadline, and what to tell. `None` when it is gone or over.
    fn look(&mut self, now: Instant, timer: Timer) -> Option<(Instant, Option<Notice>)> {
        let (policy, spi, direction, reached, next, over, told) = match timer {
            Timer::Inbound(place) => {
                let sa = self.security.inbound.at_mut(place)?;
                let reached = sa.look(now);
                let (next, over) = (sa.meter.deadline(), sa.life.is_over());
                (sa.policy, sa.spi, Direction::Inbound, reached, next, over, &mut sa.told_over)
            }
            Timer::Outbound(place, spi) | Timer::Keepalive(place, spi) => {
                let policy = self.security.policies.at_mut(place)?;
                let sa = policy.outbound.as_mut().filter(|sa| sa.spi == spi)?;
                let reached = sa.look(now);
                let (next, over) = (sa.meter.deadline(), sa.life.is_over());
                (sa.policy, sa.spi, Direction::Outbound, reached, next, over, &mut sa.told_over)
            }
        };
        let expiry = reached.expiry().filter(|_| !*told);
        *told |= over;
        let deadline = if over { Instant::MAX } else { next };
        Some((deadline, expiry.map(|expiry| Notice::Expiry { policy, spi, direction, expiry })))
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        let outbound = self.security.policies.iter().filter_map(|policy| policy.outbound.as_ref());
        let outbound = outbound.map(|sa| (Direction::Outbound, sa.spi, sa.counters()));
        let inbound = self.security.inbound.iter().map(|sa| (Direction::Inbound, sa.spi, sa.counters()));
        Counters {
            interfaces: self.links.counters(),
            sas: inbound.chain(outbound).collect(),
            send_errors: self
                .security
                .policies
                .iter()
                .map(|policy| (policy.id, policy.send_errors))
                .collect(),
            ..self.counters.clone()
        }
    }

    /// How many frames are inside: waiting for an SA, a neighbour, or the rest of their fragments.
    pub fn held(&self) -> usize {
        let waiting: usize = self.security.policies.iter().map(|policy| policy.waiting.len()).sum();
        let given = self.released.len() + self.gave_up.len();
        waiting
            + given
            + self.express.under_way()
            + self.security.reassembly.frames()
            + self.links.awaited.len()
    }

    /// ICMP errors sent, and errors not sent because one of their kind just was.
    pub fn icmp_errors(&self) -> (u64, u64) {
        (self.links.limiter.sent, self.links.limiter.suppressed)
    }

    /// Let a policy's outbound SA go on from `seq`, as a node does that takes over from another, or as a test does
    /// that cannot wait for four billion packets.
    pub fn resume_outbound(&mut self, policy: PolicyId, spi: Spi, seq: u64) {
        let found = self.security.policies.named(policy).and_then(|policy| policy.outbound.as_mut());
        if let Some(sa) = found.filter(|sa| sa.spi == spi) {
            sa.resume_at(seq);
        }
    }
}
