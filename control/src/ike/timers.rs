//! Time: every deadline of every table, and what happens when one is reached.

use espalier_wire::{Cause, Duration, Instant};

use super::event::Why;
use super::phase1::{MainMode, Sent};
use super::quick::QuickMode;
use super::trace::Isakmp;
use super::{ConnectionId, Cx, Env, Ike};

/// What a retransmission timer means.
enum Again {
    NotYet,
    Send(Vec<u8>),
    GiveUp,
}

impl Env {
    /// The message once more, or the end of patience.
    fn again(&self, now: Instant, sent: &mut Option<Sent>) -> Again {
        let Some(sent) = sent.as_mut().filter(|s| s.again.is_some_and(|at| at <= now)) else {
            return Again::NotYet;
        };
        if sent.copies >= self.config.tries {
            return Again::GiveUp;
        }
        sent.copies += 1;
        sent.again = Some(now + self.config.retransmit.max(Duration::from_ms(1)));
        Again::Send(sent.message.clone())
    }
}

impl Ike {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let phase1 = self.phase1.values().flat_map(super::Phase1::deadlines);
        let quick = self.quick.values().flat_map(super::Quick::deadlines);
        let pairs = self.pairs.values().flat_map(super::Pair::deadlines);
        phase1.chain(quick).chain(pairs).flatten().min()
    }

    /// Fire everything that is due.
    pub(super) fn fire(&mut self, cx: &mut Cx<'_>) {
        for key in self.quick.keys().copied().collect::<Vec<_>>() {
            self.fire_quick(cx, key);
        }
        for id in self.phase1.keys().copied().collect::<Vec<_>>() {
            self.fire_phase1(cx, id);
        }
        for conn in self.pairs.keys().copied().collect::<Vec<_>>() {
            self.fire_pair(cx, conn);
        }
    }

    fn fire_quick(&mut self, cx: &mut Cx<'_>, key: (ConnectionId, u32)) {
        let Self { env, quick, phase1, pairs, .. } = self;
        let (Some(q), Some(p)) = (quick.get_mut(&key), phase1.get(&key.0)) else { return };
        if q.purge.is_some_and(|at| at <= cx.now) {
            quick.remove(&key);
            return;
        }
        let since = |p: &super::Pair| p.policy == q.policy && p.outbound_up && p.created >= q.begun;
        let overtaken = q.state == QuickMode::OfferSent && pairs.values().any(since);
        match env.again(cx.now, &mut q.sent) {
            Again::NotYet => {}
            // The peer, who had an offer of its own under way, ignored ours: what ours was for stands by now. Said again,
            // it would make a second pair, under an ISAKMP SA that the peer may be about to drop with all that it made.
            Again::Send(_) if overtaken => {
                quick.remove(&key);
                cx.isakmp(key.0, Isakmp::DeletingNode { message_id: key.1 });
            }
            Again::Send(message) => {
                cx.isakmp(key.0, Isakmp::Retransmitting { message_id: key.1 });
                p.trace_sending(cx);
                p.transmit(cx, &message);
            }
            Again::GiveUp => {
                let (policy, state, conn) = (q.policy, q.state, q.conn);
                quick.remove(&key);
                match (state, conn) {
                    (QuickMode::AnswerSent, Some(conn)) => self.drop_pair(cx, conn, Why::Expired),
                    (QuickMode::OfferSent, _) => self.fail_policy(cx, policy, Cause::NoSa),
                    (QuickMode::AnswerSent, None) | (QuickMode::Done, _) => {}
                }
            }
        }
    }

    fn fire_phase1(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let Self { env, phase1, .. } = self;
        let Some(p) = phase1.get_mut(&id) else { return };
        while let Some((_, message_id)) = p.nodes.pop_front_if(|(at, _)| *at <= cx.now) {
            cx.isakmp(id, Isakmp::PurgingNode { message_id });
        }
        if p.nat_keepalive.is_some_and(|at| at <= cx.now) {
            // RFC 3948 section 2.3.
            p.nat_keepalive = Some(cx.now + env.config.nat_keepalive.max(Duration::from_ms(1)));
            let (local, remote) = (p.local, p.remote);
            cx.actions.push(super::Action::Send { local, remote, payload: vec![0xff] });
        }
        match env.again(cx.now, &mut p.sent) {
            Again::NotYet => {}
            Again::Send(message) => {
                cx.isakmp(id, Isakmp::Retransmitting { message_id: 0 });
                p.trace_sending(cx);
                p.transmit(cx, &message);
            }
            Again::GiveUp => return self.give_up(cx, id),
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= cx.now);
        let (keepalive, rekey) = (due(p.dpd.as_ref().map(super::Dpd::deadline)), due(p.rekey));
        if due(p.expires) {
            return self.phase1_gone(cx, id, Why::Expired);
        }
        if keepalive {
            self.keepalive(cx, id);
        }
        if rekey {
            self.rekey_phase1(cx, id);
        }
    }

    /// Main mode had no answer to all its copies.
    fn give_up(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let Some(p) = self.phase1.get(&id) else { return };
        let (local, peer, initiator) = (*p.local.ip(), *p.remote.ip(), p.initiator());
        // A peer that hinted it cannot read our identity has another key; silence alone says nothing.
        let cause = if p.doubted { Cause::Authentication } else { Cause::NoSa };
        cx.isakmp(id, Isakmp::DeathByRetransmission { initiator, state: p.state, peer });
        self.forget_phase1(id);
        if initiator {
            self.fail(cx, local, peer, cause);
        }
    }

    /// Replace an ISAKMP SA that serves somebody, unless another already stands or is on its way.
    fn rekey_phase1(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let Some(p) = self.phase1.get_mut(&id) else { return };
        p.rekey = None;
        let (local, peer, expires) = (*p.local.ip(), *p.remote.ip(), p.expires);
        let serves = self.pairs.values().any(|pair| pair.is_between(local, peer));
        let wanted = self.entries.values().any(|e| e.has(local, peer));
        let replaced = self.phase1.values().any(|p| {
            p.id != id
                && p.is_between(local, peer)
                && (p.expires > expires || !matches!(p.state, MainMode::SaAnswered | MainMode::Established))
        });
        if serves && wanted && !replaced {
            self.initiate(cx, local, peer);
        }
    }

    fn fire_pair(&mut self, cx: &mut Cx<'_>, conn: u32) {
        let Some(pair) = self.pairs.get(&conn) else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= cx.now);
        let (soft, hard, delete) = (due(pair.soft), due(Some(pair.hard)), due(pair.delete));
        if hard || delete {
            self.expire_pair(cx, conn);
        } else if soft {
            self.rekey_pair(cx, conn);
        }
    }
}
