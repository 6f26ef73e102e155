//! Keepalives: RFC 3706 on the wire, in the rhythm of IOS's `crypto isakmp keepalive`.
//!
//! ```text
//!   tick, every interval:  nothing outstanding = Ask          answered: wait for the next tick
//!   retry, every R:        unanswered          = AskAgain     the fifth time: Dead
//! ```

use espalier_wire::ike::{Builder, Notification, NotifyType, PayloadKind, Protocol};
use espalier_wire::plane::PolicyId;
use espalier_wire::{Duration, Instant};

use super::config::Keepalive;
use super::event::{Rejection, Why};
use super::trace::Isakmp;
use super::{ConnectionId, Cx, Ike};

/// What a keepalive timer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    Ask,
    AskAgain,
    Dead,
    /// On demand, and there is no reason to ask.
    Rest,
}

/// One ISAKMP SA's keepalives.
#[derive(Debug)]
pub(super) struct Dpd {
    /// The tick after which, and in whose step, all others come.
    tick: Instant,
    /// The next retry, while a question is unanswered.
    retry: Option<Instant>,
    errors: u8,
    sequence: u32,
    /// Last sign of life.
    heard: Instant,
    /// Last protected packet out.
    addressed: Option<Instant>,
}

impl Dpd {
    pub(super) fn new(now: Instant, offset: Duration, sequence: u32) -> Self {
        Self { tick: now + offset, retry: None, errors: 0, sequence, heard: now, addressed: None }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.retry.unwrap_or(self.tick)
    }

    /// The timer fired.
    pub(super) fn beat(&mut self, now: Instant, k: Keepalive) -> Beat {
        if self.retry.is_some() {
            self.errors += 1;
            if self.errors >= Keepalive::TRIES {
                return Beat::Dead;
            }
            self.retry = Some(now + k.retry);
            return Beat::AskAgain;
        }
        // An interval of nothing would tick forever.
        let step = k.interval.max(Duration::from_ms(1));
        while self.tick <= now {
            self.tick += step;
        }
        // RFC 3706 section 5.5: ask only when something went out and nothing came back.
        let quiet = self.heard + k.interval <= now;
        let asked = self.addressed.is_some_and(|at| at >= self.heard);
        if k.on_demand && !(quiet && asked) {
            return Beat::Rest;
        }
        // RFC 3706 section 6.1: the sequence number grows by one with each new question.
        self.sequence = self.sequence.wrapping_add(1);
        (self.retry, self.errors) = (Some(now + k.retry), 0);
        Beat::Ask
    }

    /// A sign of life.
    fn alive(&mut self, now: Instant) {
        (self.heard, self.retry, self.errors) = (now, None, 0);
    }
}

impl Ike {
    /// A keepalive timer of this SA fired.
    pub(super) fn keepalive(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let Some(k) = self.env.config.keepalive else { return };
        let Some(p) = self.phase1.get_mut(&id) else { return };
        let Some(dpd) = &mut p.dpd else { return };
        let beat = dpd.beat(cx.now, k);
        let sequence = dpd.sequence;
        match beat {
            Beat::Rest => {}
            Beat::Ask => self.send_keepalive(cx, id, NotifyType::R_U_THERE, sequence),
            Beat::AskAgain => {
                cx.isakmp(id, Isakmp::ErrorCounter);
                self.send_keepalive(cx, id, NotifyType::R_U_THERE, sequence);
            }
            Beat::Dead => {
                cx.isakmp(id, Isakmp::ErrorCounter);
                cx.isakmp(id, Isakmp::NotResponding);
                self.phase1_gone(cx, id, Why::PeerDead);
            }
        }
    }

    fn send_keepalive(&mut self, cx: &mut Cx<'_>, id: ConnectionId, kind: NotifyType, sequence: u32) {
        let Some(p) = self.phase1.get(&id) else { return };
        let data = sequence.to_be_bytes().to_vec();
        let n = Notification { protocol: Protocol::ISAKMP, kind, spi: p.spi(), data };
        self.inform(cx, id, &Builder::new().payload(PayloadKind::NOTIFICATION, &n.bytes()));
    }

    /// R-U-THERE: answered when its sequence number is not an old one (RFC 3706 section 7.2).
    pub(super) fn asked(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        n: &Notification,
    ) -> Result<(), Rejection> {
        let Some(p) = self.phase1.get_mut(&id) else { return Ok(()) };
        let sequence = sequence(p, n)?;
        if p.peer_sequence.is_some_and(|last| sequence.wrapping_sub(last) > u32::MAX / 2) {
            return Err(Rejection::Sequence);
        }
        p.peer_sequence = Some(sequence);
        if let Some(dpd) = &mut p.dpd {
            dpd.heard = cx.now;
        }
        self.send_keepalive(cx, id, NotifyType::R_U_THERE_ACK, sequence);
        Ok(())
    }

    /// R-U-THERE-ACK: good when it answers the question that is open.
    pub(super) fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        n: &Notification,
    ) -> Result<(), Rejection> {
        let Some(p) = self.phase1.get_mut(&id) else { return Ok(()) };
        let sequence = sequence(p, n)?;
        match &mut p.dpd {
            Some(dpd) if dpd.sequence == sequence => {
                dpd.alive(cx.now);
                Ok(())
            }
            Some(_) | None => Err(Rejection::Sequence),
        }
    }

    /// Protected traffic came from, or went to, a policy's peer.
    pub(super) fn traffic(&mut self, cx: &Cx<'_>, policy: PolicyId, inbound: bool) {
        let Some(pair) = self.current(policy).filter(|_| self.on_demand()) else { return };
        let ends = (*pair.local.ip(), *pair.remote.ip());
        for p in self.phase1.values_mut().filter(|p| p.is_between(ends.0, ends.1)) {
            match &mut p.dpd {
                Some(dpd) if inbound => dpd.alive(cx.now),
                Some(dpd) => dpd.addressed = Some(cx.now),
                None => {}
            }
        }
    }
}

/// The sequence number of a keepalive that is about this SA (RFC 3706 section 5.4).
fn sequence(p: &super::Phase1, n: &Notification) -> Result<u32, Rejection> {
    let data = <[u8; 4]>::try_from(n.data.as_slice()).map_err(|_| Rejection::Malformed)?;
    if n.spi != p.spi() {
        return Err(Rejection::UnknownCookies);
    }
    Ok(u32::from_be_bytes(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_unanswered_questions_two_seconds_apart_mean_dead() {
        let k = Keepalive::every(Duration::from_s(10));
        let mut dpd = Dpd::new(Instant::ZERO, Duration::from_s(3), 7);
        let mut beats = Vec::new();
        for _ in 0..6 {
            let now = dpd.deadline();
            beats.push((now.since(Instant::ZERO).as_whole_s(), dpd.beat(now, k)));
        }
        let again = Beat::AskAgain;
        let expect = [(3, Beat::Ask), (5, again), (7, again), (9, again), (11, again), (13, Beat::Dead)];
        assert_eq!(beats, expect);
    }

    #[test]
    fn answers_keep_the_rhythm() {
        let k = Keepalive::every(Duration::from_s(10));
        let mut dpd = Dpd::new(Instant::ZERO, Duration::from_s(3), 7);
        for tick in [3, 13, 23, 33] {
            let now = dpd.deadline();
            assert_eq!((now.since(Instant::ZERO).as_whole_s(), dpd.beat(now, k)), (tick, Beat::Ask));
            dpd.alive(now + Duration::from_ms(1));
        }
    }

    #[test]
    fn on_demand_asks_only_when_traffic_is_unanswered() {
        let k = Keepalive { on_demand: true, ..Keepalive::every(Duration::from_s(10)) };
        let mut dpd = Dpd::new(Instant::ZERO, Duration::from_s(3), 7);
        assert_eq!(dpd.beat(dpd.deadline(), k), Beat::Rest);
        dpd.addressed = Some(Instant::ZERO + Duration::from_s(4));
        assert_eq!(dpd.beat(dpd.deadline(), k), Beat::Ask);
    }
}
