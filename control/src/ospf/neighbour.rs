//! The neighbour state machine (RFC 2328 section 10) and what is remembered of a neighbour.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

use espalier_wire::ospf::{DatabaseDescription, LsaHeader, LsaKey, Options};
use espalier_wire::{IfIndex, Instant, RouterId};

use super::election::Candidate;
use super::interface::InterfaceEvent;
use super::timer::Timers;
use super::{Ospf, Trace};

/// RFC 2328 section 10.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum NeighbourState {
    Down,
    Attempt,
    Init,
    TwoWay,
    ExStart,
    Exchange,
    Loading,
    Full,
}

/// RFC 2328 section 10.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum NeighbourEvent {
    HelloReceived,
    Start,
    TwoWayReceived,
    NegotiationDone,
    ExchangeDone,
    BadLsReq,
    LoadingDone,
    AdjOk,
    SeqNumberMismatch,
    OneWayReceived,
    KillNbr,
    InactivityTimer,
    LlDown,
}

/// What an event does to a neighbour's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    To(NeighbourState),
    /// ExStart if it should be adjacent (section 10.4), else 2-Way.
    Decide,
    /// 2-Way if it should no longer be adjacent, else no change.
    Keep,
}

/// The table of RFC 2328 section 10.3. ExchangeDone always passes through Loading, whose request list may be empty.
#[rustfmt::skip]
pub(super) const fn transition(state: NeighbourState, event: NeighbourEvent) -> Next {
    use NeighbourEvent as E;
    use NeighbourState as S;
    match (event, state) {
        (E::Start, S::Down) => Next::To(S::Attempt),
        (E::Start, S::Attempt | S::Init | S::TwoWay | S::ExStart | S::Exchange | S::Loading | S::Full) => Next::Stay,
        (E::HelloReceived, S::Down | S::Attempt) => Next::To(S::Init),
        (E::HelloReceived, S::Init | S::TwoWay | S::ExStart | S::Exchange | S::Loading | S::Full) => Next::Stay,
        (E::TwoWayReceived, S::Init) => Next::Decide,
        (E::TwoWayReceived, S::Down | S::Attempt | S::TwoWay | S::ExStart | S::Exchange | S::Loading | S::Full) => Next::Stay,
        (E::NegotiationDone, S::ExStart) => Next::To(S::Exchange),
        (E::NegotiationDone, S::Down | S::Attempt | S::Init | S::TwoWay | S::Exchange | S::Loading | S::Full) => Next::Stay,
        (E::ExchangeDone, S::Exchange) => Next::To(S::Loading),
        (E::ExchangeDone, S::Down | S::Attempt | S::Init | S::TwoWay | S::ExStart | S::Loading | S::Full) => Next::Stay,
        (E::LoadingDone, S::Loading) => Next::To(S::Full),
        (E::LoadingDone, S::Down | S::Attempt | S::Init | S::TwoWay | S::ExStart | S::Exchange | S::Full) => Next::Stay,
        (E::AdjOk, S::TwoWay) => Next::Decide,
        (E::AdjOk, S::ExStart | S::Exchange | S::Loading | S::Full) => Next::Keep,
        (E::AdjOk, S::Down | S::Attempt | S::Init) => Next::Stay,
        (E::SeqNumberMismatch | E::BadLsReq, S::Exchange | S::Loading | S::Full) => Next::To(S::ExStart),
        (E::SeqNumberMismatch | E::BadLsReq, S::Down | S::Attempt | S::Init | S::TwoWay | S::ExStart) => Next::Stay,
        (E::OneWayReceived, S::TwoWay | S::ExStart | S::Exchange | S::Loading | S::Full) => Next::To(S::Init),
        (E::OneWayReceived, S::Down | S::Attempt | S::Init) => Next::Stay,
        (E::KillNbr | E::LlDown | E::InactivityTimer,
            S::Down | S::Attempt | S::Init | S::TwoWay | S::ExStart | S::Exchange | S::Loading | S::Full) => Next::To(S::Down),
    }
}

/// Timers of a neighbour.
#[derive(Debug, Clone, Copy)]
pub(super) enum Timer {
    Inactivity,
    /// Retransmit the last Database Description (master, or ExStart).
    Description,
    /// Retransmit the outstanding Link State Request.
    Request,
    /// Retransmit what was flooded and not acknowledged.
    Retransmit,
}

impl Timer {
    const ALL: [Self; 4] = [Self::Inactivity, Self::Description, Self::Request, Self::Retransmit];

    pub(super) fn from_index(index: usize) -> Option<Self> {
        Self::ALL.get(index).copied()
    }
}

/// An LSA sent and not yet acknowledged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unacked {
    pub(super) header: LsaHeader,
    pub(super) due: Instant,
}

/// What tells one Database Description from another when it comes again (RFC 2328 section 10.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LastDescription {
    pub(super) init: bool,
    pub(super) more: bool,
    pub(super) master: bool,
    pub(super) options: Options,
    pub(super) sequence: u32,
}

/// A neighbour (RFC 2328 section 10).
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) id: RouterId,
    pub(super) addr: Ipv4Addr,
    pub(super) state: NeighbourState,
    /// Since when it is in this state.
    pub(super) since: Instant,
    pub(super) changes: u64,
    pub(super) priority: u8,
    pub(super) designated: Option<Ipv4Addr>,
    pub(super) backup: Option<Ipv4Addr>,
    pub(super) options: Options,
    /// Whether we lead the exchange.
    pub(super) we_lead: bool,
    pub(super) sequence: u32,
    pub(super) last_received: Option<LastDescription>,
    pub(super) last_sent: Option<DatabaseDescription>,
    /// What is still to be described.
    pub(super) summary: VecDeque<LsaKey>,
    /// What it has and we have not.
    pub(super) requests: BTreeMap<LsaKey, LsaHeader>,
    /// What the outstanding Link State Request asked for.
    pub(super) requested: BTreeSet<LsaKey>,
    pub(super) unacked: BTreeMap<LsaKey, Unacked>,
    pub(super) timers: Timers<4>,
    /// Its last cryptographic sequence number.
    pub(super) auth_sequence: Option<u32>,
}

impl Neighbour {
    pub(super) fn new(id: RouterId, addr: Ipv4Addr, now: Instant) -> Self {
        Self {
            id,
            addr,
            state: NeighbourState::Down,
            since: now,
            changes: 0,
            priority: 0,
            designated: None,
            backup: None,
            options: Options::default(),
            we_lead: true,
            sequence: 0,
            last_received: None,
            last_sent: None,
            summary: VecDeque::new(),
            requests: BTreeMap::new(),
            requested: BTreeSet::new(),
            unacked: BTreeMap::new(),
            timers: Timers::default(),
            auth_sequence: None,
        }
    }

    pub(super) const fn candidate(&self) -> Candidate {
        Candidate {
            id: self.id,
            addr: self.addr,
            priority: self.priority,
            designated: self.designated,
            backup: self.backup,
        }
    }

    /// Whether it is in an exchange of databases that is not over.
    pub(super) const fn is_synchronising(&self) -> bool {
        matches!(self.state, NeighbourState::Exchange | NeighbourState::Loading)
    }

    /// It acknowledged, or need not be told any more.
    pub(super) fn forget_unacked(&mut self, key: &LsaKey) {
        self.unacked.remove(key);
        if self.unacked.is_empty() {
            self.timers.stop(Timer::Retransmit as usize);
        }
    }

    /// Forget the exchange (RFC 2328 section 10.3: "the Link state retransmission list, Database summary list and Link
    /// state request list are cleared").
    fn clear_exchange(&mut self) {
        self.summary.clear();
        self.requests.clear();
        self.requested.clear();
        self.unacked.clear();
        self.last_received = None;
        self.last_sent = None;
        for timer in [Timer::Description, Timer::Request, Timer::Retransmit] {
            self.timers.stop(timer as usize);
        }
    }
}

impl Ospf {
    /// Run the neighbour state machine.
    pub(super) fn neighbour_event(&mut self, index: IfIndex, addr: Ipv4Addr, event: NeighbourEvent) {
        let Some(iface) = self.interfaces.get(&index) else { return };
        let Some(neighbour) = iface.neighbours.get(&addr) else { return };
        let state = neighbour.state;
        let adjacent = iface.should_be_adjacent(addr);
        match transition(state, event) {
            Next::Stay => {}
            Next::To(to) => self.move_neighbour(index, addr, to, event),
            Next::Decide if adjacent => self.move_neighbour(index, addr, NeighbourState::ExStart, event),
            Next::Decide => self.move_neighbour(index, addr, NeighbourState::TwoWay, event),
            Next::Keep if adjacent => {}
            Next::Keep => self.move_neighbour(index, addr, NeighbourState::TwoWay, event),
        }
    }

    fn move_neighbour(&mut self, index: IfIndex, addr: Ipv4Addr, to: NeighbourState, event: NeighbourEvent) {
        let now = self.now;
        let Some(neighbour) = self.neighbour_mut(index, addr) else { return };
        let from = std::mem::replace(&mut neighbour.state, to);
        if from == to {
            return;
        }
        (neighbour.since, neighbour.changes) = (now, neighbour.changes + 1);
        let id = neighbour.id;
        if to <= NeighbourState::ExStart {
            neighbour.clear_exchange();
        }
        self.trace(Trace::Neighbour { iface: index, id, addr, from, to, event });
        match to {
            NeighbourState::ExStart => self.begin_exchange(index, addr),
            NeighbourState::Exchange => self.list_database(index, addr),
            NeighbourState::Down => {
                self.interfaces.get_mut(&index).and_then(|i| i.neighbours.remove(&addr));
            }
            NeighbourState::Attempt
            | NeighbourState::Init
            | NeighbourState::TwoWay
            | NeighbourState::Loading
            | NeighbourState::Full => {}
        }
        if (from == NeighbourState::Full) != (to == NeighbourState::Full) {
            self.router_lsa_changed();
            self.network_lsa_changed(index);
        }
        let bidirectional = |s| s >= NeighbourState::TwoWay;
        // RFC 2328 section 9.2: NeighborChange, when bidirectional communication begins or ends.
        if bidirectional(from) != bidirectional(to) {
            self.interface_event(index, InterfaceEvent::NeighbourChange);
        }
    }

    /// One of a neighbour's timers fired.
    pub(super) fn neighbour_timer(&mut self, index: IfIndex, addr: Ipv4Addr, timer: Timer) {
        match timer {
            Timer::Inactivity => self.neighbour_event(index, addr, NeighbourEvent::InactivityTimer),
            Timer::Description => self.resend_description(index, addr),
            Timer::Request => self.send_request(index, addr),
            Timer::Retransmit => self.retransmit(index, addr),
        }
    }

    pub(super) fn neighbour(&self, index: IfIndex, addr: Ipv4Addr) -> Option<&Neighbour> {
        self.interfaces.get(&index)?.neighbours.get(&addr)
    }

    pub(super) fn neighbour_mut(&mut self, index: IfIndex, addr: Ipv4Addr) -> Option<&mut Neighbour> {
        self.interfaces.get_mut(&index)?.neighbours.get_mut(&addr)
    }
}
