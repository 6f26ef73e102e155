//! Entries: what wants SAs, with which peer, and what becomes of that wish.

use std::net::Ipv4Addr;

use espalier_wire::plane::PolicyId;
use espalier_wire::{Cause, Instant, Spi};

use super::config::{Entry, Keepalive};
use super::dpd::Dpd;
use super::event::{Action, Why};
use super::phase1::MainMode;
use super::trace::Isakmp;
use super::{ConnectionId, Cx, Ike};

/// An entry and what it waits for.
#[derive(Debug)]
pub(super) struct EntryState {
    pub(super) entry: Entry,
    /// Which of its peers is tried.
    peer: usize,
    /// A quick mode is to follow as soon as there is a phase 1.
    pub(super) wanted: bool,
    /// After a refusal, traffic starts nothing before this.
    hold: Option<Instant>,
    failed: Option<Cause>,
}

impl EntryState {
    /// The peer that is tried now.
    pub(super) fn peer(&self) -> Option<Ipv4Addr> {
        self.entry.peers.get(self.peer).or(self.entry.peers.first()).copied()
    }

    pub(super) fn has(&self, local: Ipv4Addr, peer: Ipv4Addr) -> bool {
        self.entry.local == local && self.entry.peers.contains(&peer)
    }
}

impl Ike {
    pub(super) fn entry_up(&mut self, entry: Entry) {
        let state = EntryState { peer: 0, wanted: false, hold: None, failed: None, entry };
        self.entries.insert(state.entry.policy, state);
    }

    pub(super) fn entry_down(&mut self, cx: &mut Cx<'_>, policy: PolicyId, notify: bool) {
        let Some(state) = self.entries.remove(&policy) else { return };
        let local = state.entry.local;
        self.quick.retain(|_, q| q.policy != policy);
        let conns: Vec<u32> = self.pairs.values().filter(|p| p.policy == policy).map(|p| p.conn).collect();
        for conn in conns {
            if notify {
                self.delete_pair_notify(cx, conn);
            }
            self.drop_pair(cx, conn, Why::Withdrawn);
        }
        for peer in state.entry.peers {
            if !self.entries.values().any(|e| e.has(local, peer)) {
                self.drop_phase1s(cx, local, peer, notify);
            }
        }
    }

    /// Every ISAKMP SA between two addresses goes.
    fn drop_phase1s(&mut self, cx: &mut Cx<'_>, local: Ipv4Addr, peer: Ipv4Addr, notify: bool) {
        let ids: Vec<_> = self.phase1.values().filter(|p| p.is_between(local, peer)).map(|p| p.id).collect();
        for id in ids {
            if notify {
                self.delete_phase1_notify(cx, id);
            }
            self.forget_phase1(id);
        }
    }

    /// An ISAKMP SA and the quick modes under it, gone without a word.
    pub(super) fn forget_phase1(&mut self, id: ConnectionId) {
        self.phase1.remove(&id);
        self.quick.retain(|(phase1, _), _| *phase1 != id);
    }

    /// Traffic wants an SA.
    pub(super) fn need(&mut self, cx: &mut Cx<'_>, policy: PolicyId) {
        let served = self.pairs.values().any(|p| p.policy == policy && p.outbound_up);
        let negotiating = self.quick.values().any(|q| q.policy == policy && !q.done());
        let Some(state) = self.entries.get_mut(&policy) else { return };
        if served || negotiating || state.hold.is_some_and(|until| cx.now < until) {
            return;
        }
        if !state.wanted {
            state.wanted = true;
            if let Some(peer) = state.peer() {
                let entry = state.entry.clone();
                cx.trace(super::Trace::SaRequest { local: entry.local, peer, entry: Box::new(entry) });
            }
        }
        self.pursue(cx, policy);
    }

    /// Do the next thing an entry that wants an SA needs.
    pub(super) fn pursue(&mut self, cx: &mut Cx<'_>, policy: PolicyId) {
        let Some(state) = self.entries.get(&policy) else { return };
        let (local, Some(peer)) = (state.entry.local, state.peer()) else { return };
        if let Some(id) = self.established(local, peer) {
            return self.start_quick(cx, policy, id);
        }
        // A negotiation that the peer began counts once it has answered from where it says it is.
        let under_way = |p: &super::Phase1| {
            p.is_between(local, peer) && !p.is_established() && p.state != MainMode::SaAnswered
        };
        if !self.phase1.values().any(under_way) {
            self.initiate(cx, local, peer);
        }
    }

    /// A negotiation with a peer failed.
    pub(super) fn fail(&mut self, cx: &mut Cx<'_>, local: Ipv4Addr, peer: Ipv4Addr, cause: Cause) {
        let concerned: Vec<_> = self
            .entries
            .values()
            .filter(|e| e.has(local, peer) && (e.wanted || cause != Cause::NoSa))
            .map(|e| e.entry.policy)
            .collect();
        for policy in concerned {
            self.fail_policy(cx, policy, cause);
        }
    }

    /// A negotiation for one entry failed: it says so, turns to its next peer, and holds off when it was refused.
    pub(super) fn fail_policy(&mut self, cx: &mut Cx<'_>, policy: PolicyId, cause: Cause) {
        let served = self.pairs.values().any(|p| p.policy == policy && p.outbound_up);
        let hold = cx.now + self.env.config.retransmit;
        let Some(state) = self.entries.get_mut(&policy) else { return };
        state.wanted = false;
        state.peer = (state.peer + 1) % state.entry.peers.len().max(1);
        if state.entry.peers.len() < 2 && cause != Cause::NoSa {
            state.hold = Some(hold);
        }
        if !served && state.failed != Some(cause) {
            state.failed = Some(cause);
            cx.actions.push(Action::Failed { policy, cause });
        }
    }

    /// An entry has what it wanted.
    pub(super) fn satisfied(&mut self, policy: PolicyId) {
        if let Some(state) = self.entries.get_mut(&policy) {
            (state.wanted, state.hold, state.failed) = (false, None, None);
        }
    }

    /// A phase 1 stands: forget what INITIAL-CONTACT says is gone, set its clocks, start what waited for it.
    pub(super) fn phase1_up(&mut self, cx: &mut Cx<'_>, id: ConnectionId, initial_contact: bool) {
        let Self { env, phase1, .. } = self;
        let Some(p) = phase1.get_mut(&id) else { return };
        let (local, peer, started) = (*p.local.ip(), *p.remote.ip(), p.started);
        p.established = Some(cx.now);
        p.expires = Some(cx.now + p.policy.lifetime);
        p.rekey = Some(cx.now + env.soft(p.policy.lifetime, p.initiator()));
        p.pair = None;
        if let Some(keepalive) = env.config.keepalive.filter(|_| p.peer_dpd) {
            let offset = env.random.below(keepalive.interval.as_ns());
            p.dpd = Some(Dpd::new(cx.now, espalier_wire::Duration::from_ns(offset), env.random.u32() >> 1));
        }
        p.nat_keepalive = p.nat.here.then_some(cx.now + env.config.nat_keepalive);
        let sa = p.handle();
        cx.isakmp(id, Isakmp::Authenticated { peer });
        if initial_contact {
            let what = "INITIAL_CONTACT";
            cx.isakmp(id, Isakmp::ProcessingNotify { what, protocol: 1, spi: 0, message_id: 0, sa });
            self.forget_older(cx, local, peer, started);
        }
        let waiting: Vec<_> = self
            .entries
            .values()
            .filter(|e| e.wanted && e.has(local, peer) && e.peer() == Some(peer))
            .map(|e| e.entry.policy)
            .collect();
        for policy in waiting {
            if !self.quick.values().any(|q| q.policy == policy && !q.done()) {
                self.start_quick(cx, policy, id);
            }
        }
    }

    /// INITIAL-CONTACT (RFC 2407 section 4.6.3.3): what stood with the peer before this negotiation began is gone.
    pub(super) fn forget_older(
        &mut self,
        cx: &mut Cx<'_>,
        local: Ipv4Addr,
        peer: Ipv4Addr,
        started: Instant,
    ) {
        let older: Vec<_> = self
            .phase1
            .values()
            .filter(|p| p.is_between(local, peer) && p.established.is_some_and(|at| at < started))
            .map(|p| p.id)
            .collect();
        older.into_iter().for_each(|id| self.forget_phase1(id));
        let pairs: Vec<_> = self
            .pairs
            .values()
            .filter(|p| p.is_between(local, peer) && p.created < started)
            .map(|p| p.conn)
            .collect();
        pairs.into_iter().for_each(|conn| self.drop_pair(cx, conn, Why::InitialContact));
    }

    /// ESP arrived with an SPI nobody has: tell the peer, if we can; with invalid-spi-recovery, negotiate so that we
    /// can.
    pub(super) fn unknown_spi(&mut self, cx: &mut Cx<'_>, spi: Spi, peer: Ipv4Addr, local: Ipv4Addr) {
        if let Some(id) = self.established(local, peer) {
            if self.told.is_none_or(|(last, at)| last != spi || at + super::TELL_AGAIN <= cx.now) {
                self.told = Some((spi, cx.now));
                self.invalid_spi_notify(cx, id, spi);
            }
        } else if self.env.config.invalid_spi_recovery {
            let concerned = self.entries.values().find(|e| e.has(local, peer)).map(|e| e.entry.policy);
            if let Some(policy) = concerned {
                self.need(cx, policy);
            }
        }
    }

    /// Everything goes, and the peers are told.
    pub(super) fn clear(&mut self, cx: &mut Cx<'_>, why: Why) {
        for conn in self.pairs.keys().copied().collect::<Vec<_>>() {
            self.delete_pair_notify(cx, conn);
            self.drop_pair(cx, conn, why);
        }
        for id in self.phase1.keys().copied().collect::<Vec<_>>() {
            self.delete_phase1_notify(cx, id);
            self.forget_phase1(id);
        }
        self.entries.values_mut().for_each(|e| e.wanted = false);
        if why == Why::Shutdown {
            self.entries.clear();
        }
    }

    /// Whether an entry's keepalives are on demand.
    pub(super) fn on_demand(&self) -> bool {
        self.env.config.keepalive.is_some_and(|k: Keepalive| k.on_demand)
    }
}
