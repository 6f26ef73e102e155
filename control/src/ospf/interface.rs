//! The interface state machine (RFC 2328 section 9) and what an interface remembers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::ospf::{LsaHeader, LsaKey};
use espalier_wire::{Duration, IfIndex, Instant};

use super::config::{InterfaceConfig, NetworkKind};
use super::election::{self, Candidate, Elected};
use super::neighbour::{Neighbour, NeighbourEvent, NeighbourState};
use super::receive::Discard;
use super::timer::Timers;
use super::{Action, Ospf, Trace};

/// RFC 2328 section 9.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum InterfaceState {
    Down,
    Loopback,
    Waiting,
    PointToPoint,
    DrOther,
    Backup,
    Designated,
}

/// RFC 2328 section 9.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum InterfaceEvent {
    InterfaceUp,
    WaitTimer,
    BackupSeen,
    NeighbourChange,
    LoopInd,
    UnloopInd,
    InterfaceDown,
}

/// What an event does to an interface's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    To(InterfaceState),
    /// By the kind of network and the priority: Loopback, PointToPoint, DrOther or Waiting.
    Begin,
    /// As the election says: DrOther, Backup or Designated.
    Elect,
}

/// The table of RFC 2328 section 9.3.
#[rustfmt::skip]
pub(super) const fn transition(state: InterfaceState, event: InterfaceEvent) -> Next {
    use InterfaceEvent as E;
    use InterfaceState as S;
    match (event, state) {
        (E::InterfaceUp, S::Down) => Next::Begin,
        (E::InterfaceUp, S::Loopback | S::Waiting | S::PointToPoint | S::DrOther | S::Backup | S::Designated) => Next::Stay,
        (E::WaitTimer | E::BackupSeen, S::Waiting) => Next::Elect,
        (E::WaitTimer | E::BackupSeen, S::Down | S::Loopback | S::PointToPoint | S::DrOther | S::Backup | S::Designated) => Next::Stay,
        (E::NeighbourChange, S::DrOther | S::Backup | S::Designated) => Next::Elect,
        (E::NeighbourChange, S::Down | S::Loopback | S::Waiting | S::PointToPoint) => Next::Stay,
        (E::LoopInd, S::Down | S::Loopback | S::Waiting | S::PointToPoint | S::DrOther | S::Backup | S::Designated) => Next::To(S::Loopback),
        (E::UnloopInd, S::Loopback) => Next::To(S::Down),
        (E::UnloopInd, S::Down | S::Waiting | S::PointToPoint | S::DrOther | S::Backup | S::Designated) => Next::Stay,
        (E::InterfaceDown, S::Down | S::Loopback | S::Waiting | S::PointToPoint | S::DrOther | S::Backup | S::Designated) => Next::To(S::Down),
    }
}

/// Timers of an interface.
#[derive(Debug, Clone, Copy)]
pub(super) enum Timer {
    Hello,
    Wait,
    /// Delayed acknowledgements.
    Ack,
}

impl Timer {
    const ALL: [Self; 3] = [Self::Hello, Self::Wait, Self::Ack];

    pub(super) fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }
}

/// One interface of the process.
#[derive(Debug)]
pub(super) struct Interface {
    pub(super) config: InterfaceConfig,
    pub(super) state: InterfaceState,
    pub(super) elected: Elected,
    /// By interface address.
    pub(super) neighbours: BTreeMap<Ipv4Addr, Neighbour>,
    pub(super) timers: Timers<3>,
    pub(super) delayed_acks: Vec<LsaHeader>,
    /// To send when the event in hand is over.
    pub(super) direct_acks: BTreeMap<Ipv4Addr, Vec<LsaHeader>>,
    /// To send when the event in hand is over.
    pub(super) flood: Vec<LsaKey>,
    pub(super) auth_sequence: u32,
    /// Packets not taken, by reason.
    pub(super) discards: BTreeMap<Discard, u64>,
}

impl Interface {
    pub(super) fn new(config: InterfaceConfig) -> Self {
        Self {
            config,
            state: InterfaceState::Down,
            elected: Elected::default(),
            neighbours: BTreeMap::new(),
            timers: Timers::default(),
            delayed_acks: Vec::new(),
            direct_acks: BTreeMap::new(),
            flood: Vec::new(),
            auth_sequence: 0,
            discards: BTreeMap::new(),
        }
    }

    pub(super) const fn address(&self) -> Ipv4Addr {
        self.config.address.addr()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let neighbours = self.neighbours.values().filter_map(|n| n.timers.next());
        neighbours.chain(self.timers.next()).min()
    }

    /// Whether packets are sent and taken here.
    pub(super) const fn speaks(&self) -> bool {
        !self.config.passive && !matches!(self.state, InterfaceState::Down | InterfaceState::Loopback)
    }

    /// Whether we are the designated router or its backup.
    pub(super) const fn is_designated_or_backup(&self) -> bool {
        matches!(self.state, InterfaceState::Designated | InterfaceState::Backup)
    }

    /// Whether the neighbour at `addr` should be adjacent (RFC 2328 section 10.4).
    pub(super) fn should_be_adjacent(&self, addr: Ipv4Addr) -> bool {
        match self.config.network {
            NetworkKind::PointToPoint => true,
            NetworkKind::Loopback => false,
            NetworkKind::Broadcast => {
                self.is_designated_or_backup()
                    || self.elected.designated == Some(addr)
                    || self.elected.backup == Some(addr)
            }
        }
    }

    /// The dead interval.
    pub(super) fn dead_interval(&self) -> Duration {
        Duration::from_s(u64::from(self.config.dead_interval))
    }

    fn elect(&self, id: espalier_wire::RouterId) -> Elected {
        let us = Candidate {
            id,
            addr: self.address(),
            priority: self.config.priority,
            designated: self.elected.designated,
            backup: self.elected.backup,
        };
        let bidirectional = self.neighbours.values().filter(|n| n.state >= NeighbourState::TwoWay);
        let others: Vec<_> = bidirectional.map(Neighbour::candidate).collect();
        election::elect(us, &others)
    }
}

impl Ospf {
    /// Run the interface state machine.
    pub(super) fn interface_event(&mut self, index: IfIndex, event: InterfaceEvent) {
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        match transition(iface.state, event) {
            Next::Stay => {}
            Next::To(state) => {
                iface.elected = Elected::default();
                iface.timers = Timers::default();
                iface.delayed_acks.clear();
                for addr in iface.neighbours.keys().copied().collect::<Vec<_>>() {
                    self.neighbour_event(index, addr, NeighbourEvent::LlDown);
                }
                self.enter(index, state, event);
            }
            Next::Begin => self.begin(index, event),
            Next::Elect => self.run_election(index, event),
        }
    }

    /// RFC 2328 section 9.3: InterfaceUp in state Down.
    fn begin(&mut self, index: IfIndex, event: InterfaceEvent) {
        let now = self.now;
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        let state = match iface.config.network {
            NetworkKind::Loopback => InterfaceState::Loopback,
            NetworkKind::PointToPoint => InterfaceState::PointToPoint,
            NetworkKind::Broadcast if iface.config.priority == 0 => InterfaceState::DrOther,
            NetworkKind::Broadcast => {
                iface.timers.start(Timer::Wait as usize, now + iface.dead_interval());
                InterfaceState::Waiting
            }
        };
        self.enter(index, state, event);
        if state != InterfaceState::Loopback {
            self.send_hello(index);
        }
    }

    /// RFC 2328 section 9.4.
    fn run_election(&mut self, index: IfIndex, event: InterfaceEvent) {
        let id = self.config.router_id;
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        iface.timers.stop(Timer::Wait as usize);
        let (old, new) = (iface.elected, iface.elect(id));
        iface.elected = new;
        let us = Some(iface.address());
        let state = if new.designated == us {
            InterfaceState::Designated
        } else if new.backup == us {
            InterfaceState::Backup
        } else {
            InterfaceState::DrOther
        };
        self.enter(index, state, event);
        if old == new {
            return;
        }
        self.trace(Trace::Elected { iface: index, designated: new.designated, backup: new.backup });
        self.router_lsa_changed();
        // Step 7: who should be adjacent has changed.
        let Some(iface) = self.interfaces.get(&index) else { return };
        let two_way = |n: &&Neighbour| n.state >= NeighbourState::TwoWay;
        let addrs: Vec<_> = iface.neighbours.values().filter(two_way).map(|n| n.addr).collect();
        for addr in addrs {
            self.neighbour_event(index, addr, NeighbourEvent::AdjOk);
        }
    }

    fn enter(&mut self, index: IfIndex, state: InterfaceState, event: InterfaceEvent) {
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        let from = std::mem::replace(&mut iface.state, state);
        if from == state {
            return;
        }
        let passive = iface.config.passive;
        let listens = |s| matches!(s, InterfaceState::Designated | InterfaceState::Backup);
        self.trace(Trace::Interface { iface: index, from, to: state, event });
        if !passive && listens(from) != listens(state) {
            self.out.push(Action::JoinAllDRouters { iface: index, join: listens(state) });
        }
        self.router_lsa_changed();
        self.network_lsa_changed(index);
        // Whether a forwarding address lies on a network of ours depends on the interfaces that are up.
        self.forwarding_may_change(index);
    }

    /// One of an interface's timers fired.
    pub(super) fn interface_timer(&mut self, index: IfIndex, timer: Timer) {
        match timer {
            Timer::Hello => self.send_hello(index),
            Timer::Wait => self.interface_event(index, InterfaceEvent::WaitTimer),
            Timer::Ack => self.send_delayed_acks(index),
        }
    }
}
