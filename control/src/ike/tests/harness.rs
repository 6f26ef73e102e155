//! The wire, the clock and a dataplane that holds what it is told: two machines named 0 and 1.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use espalier_wire::plane::{Command, DfBit, Fragmentation, Mode, PolicyId, SaSpec, Secret, Selector};
use espalier_wire::random::Random;
use espalier_wire::{Cause, Duration, Instant, Spi, Transform};

use super::super::*;

pub(super) const A: Ipv4Addr = Ipv4Addr::new(172, 16, 172, 53);
pub(super) const B: Ipv4Addr = Ipv4Addr::new(172, 16, 172, 69);
pub(super) const POLICY: PolicyId = PolicyId(1);
pub(super) const DELAY: Duration = Duration::from_ms(1);

/// A datagram under way.
#[derive(Debug, Clone)]
pub(super) struct Datagram {
    pub(super) from: usize,
    pub(super) local: SocketAddrV4,
    pub(super) remote: SocketAddrV4,
    pub(super) payload: Vec<u8>,
}

/// What the wire does to one datagram: when each copy arrives, none at all when it is lost.
pub(super) type Fate = Box<dyn FnMut(usize, &Datagram) -> Vec<Duration>>;

/// A dataplane's tables.
#[derive(Default)]
pub(super) struct Plane {
    pub(super) inbound: BTreeMap<Spi, SaSpec>,
    pub(super) outbound: BTreeMap<PolicyId, SaSpec>,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) ikes: [Ike; 2],
    pub(super) planes: [Plane; 2],
    pub(super) ups: [usize; 2],
    pub(super) downs: [Vec<Why>; 2],
    pub(super) failed: [Vec<Cause>; 2],
    pub(super) lines: [Vec<String>; 2],
    pub(super) keys: Vec<(espalier_wire::ike::Cookie, Secret)>,
    /// Everything sent, lost or not.
    pub(super) sent: Vec<(Instant, Datagram)>,
    pub(super) fate: Fate,
    wire: BTreeMap<(Instant, usize), Datagram>,
    copies: usize,
}

pub(super) fn config() -> Config {
    Config {
        policies: vec![IsakmpPolicy { hash: Hash::Md5, ..IsakmpPolicy::default() }],
        keys: vec![PeerKey { peer: "0.0.0.0/0".parse().unwrap(), secret: Secret::new(b"cisco123".to_vec()) }],
        ..Config::default()
    }
}

pub(super) fn entry(side: usize) -> Entry {
    let (local, peer) = if side == 0 { (A, B) } else { (B, A) };
    let ours = Selector::between("99.99.99.99/32".parse().unwrap(), "20.1.1.0/24".parse().unwrap());
    Entry {
        policy: POLICY,
        local,
        peers: vec![peer],
        selector: if side == 0 { ours } else { ours.mirrored() },
        transforms: vec![(Transform::DesMd5, Mode::Tunnel)],
        pfs: None,
        seconds: 3600,
        kilobytes: Some(4_608_000),
        replay_window: 64,
        df_bit: DfBit::Copy,
        mtu: Some(1500),
        fragmentation: Fragmentation::BeforeEncryption,
    }
}

impl World {
    pub(super) fn new(configs: [Config; 2], entries: [Entry; 2], seed: u64) -> Self {
        let random = Random::from_seed(seed);
        let [a, b] = configs;
        let ikes = [Ike::new(a, random.fork("a")), Ike::new(b, random.fork("b"))];
        let mut world = Self {
            now: Instant::ZERO,
            ikes,
            planes: Default::default(),
            ups: [0; 2],
            downs: Default::default(),
            failed: Default::default(),
            lines: Default::default(),
            keys: Vec::new(),
            sent: Vec::new(),
            fate: Box::new(|_, _| vec![DELAY]),
            wire: BTreeMap::new(),
            copies: 0,
        };
        for (side, entry) in entries.into_iter().enumerate() {
            world.event(side, Event::EntryUp(Box::new(entry)));
        }
        world
    }

    pub(super) fn plain() -> Self {
        Self::new([config(), config()], [entry(0), entry(1)], 1)
    }

    pub(super) fn event(&mut self, side: usize, event: Event) {
        let mut actions = Vec::new();
        self.ikes[side].on(self.now, event, &mut actions);
        self.carry_out(side, actions);
    }

    pub(super) fn need(&mut self, side: usize) {
        self.event(side, Event::Need { policy: POLICY });
    }

    fn carry_out(&mut self, side: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { local, remote, payload } => {
                    let datagram = Datagram { from: side, local, remote, payload };
                    let number = self.sent.len();
                    self.sent.push((self.now, datagram.clone()));
                    for after in (self.fate)(number, &datagram) {
                        self.copies += 1;
                        self.wire.insert((self.now + after, self.copies), datagram.clone());
                    }
                }
                Action::Command(command) => self.command(side, command),
                Action::Up { .. } => self.ups[side] += 1,
                Action::Down { why, .. } => self.downs[side].push(why),
                Action::Failed { cause, .. } => self.failed[side].push(cause),
                Action::Trace(Trace::Key { initiator, key }) => self.keys.push((initiator, key)),
                Action::Trace(trace) => self.lines[side].extend(trace.lines()),
            }
        }
    }

    fn command(&mut self, side: usize, command: Command) {
        let plane = &mut self.planes[side];
        match command {
            Command::InstallInbound { sa, .. } => {
                assert!(plane.inbound.insert(sa.spi, *sa).is_none(), "one SPI, one SA");
            }
            Command::DropInbound { spi } => assert!(plane.inbound.remove(&spi).is_some(), "dropped once"),
            Command::SwapOutbound { policy, sa } => {
                plane.outbound.insert(policy, *sa);
            }
            Command::DropOutbound { policy, spi } => {
                if plane.outbound.get(&policy).is_some_and(|sa| sa.spi == spi) {
                    plane.outbound.remove(&policy);
                }
            }
            other => panic!("IKE never says {other:?}"),
        }
    }

    fn next(&self) -> Option<Instant> {
        let wire = self.wire.keys().next().map(|(at, _)| *at);
        self.ikes.iter().filter_map(Machine::next_deadline).chain(wire).min()
    }

    /// Let time pass.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut steps = 0;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            steps += 1;
            assert!(steps < 1_000_000, "time stands still at {at}");
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    fn step(&mut self) {
        for side in 0..2 {
            let mut actions = Vec::new();
            self.ikes[side].timer(self.now, &mut actions);
            self.carry_out(side, actions);
        }
        while let Some(entry) = self.wire.first_entry().filter(|e| e.key().0 <= self.now) {
            let d = entry.remove();
            let event = Event::Packet { local: d.remote, remote: d.local, payload: d.payload };
            self.event(1 - d.from, event);
        }
    }

    pub(super) fn s(&mut self, seconds: u64) {
        self.run(Duration::from_s(seconds));
    }

    /// What one side seals with its outbound SA, the other opens.
    pub(super) fn carries(&self, from: usize) -> bool {
        let Some(out) = self.planes[from].outbound.get(&POLICY) else { return false };
        let Some(inn) = self.planes[1 - from].inbound.get(&out.spi) else { return false };
        assert_eq!((&out.key, &out.auth_key, out.transform), (&inn.key, &inn.auth_key, inn.transform));
        assert_eq!((out.src, out.dst, out.mode, out.udp_encap), (inn.src, inn.dst, inn.mode, inn.udp_encap));
        assert_eq!(out.selector, inn.selector);
        true
    }

    pub(super) fn both_carry(&self) -> bool {
        self.carries(0) && self.carries(1)
    }

    pub(super) fn rejected(&self, side: usize, reason: Rejection) -> u64 {
        self.ikes[side].rejected().find(|(r, _)| *r == reason).map_or(0, |(_, n)| n)
    }
}
