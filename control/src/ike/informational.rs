//! Informational exchanges (RFC 2409 section 5.7): DELETEs, notifications, and what they do here.

use std::net::Ipv4Addr;

use espalier_wire::ike::{
    Builder, Chain, Delete, ExchangeKind, Notification, NotifyType, PayloadKind, Protocol,
};
use espalier_wire::{Cause, Duration, Spi};

use super::event::{Rejection, Why};
use super::phase1::MainMode;
use super::quick::{self, QuickMode};
use super::trace::Isakmp;
use super::{ConnectionId, Cx, Ike, Received, clear_chain};

/// How long IOS keeps the node of a received informational message.
const NODE_LIFE: Duration = Duration::from_s(50);

impl Ike {
    pub(super) fn informational(&mut self, cx: &mut Cx<'_>, r: &Received<'_>) -> Result<(), Rejection> {
        if !r.header.flags.encryption {
            return self.hint(cx, r);
        }
        let id = self.find(r).ok_or(Rejection::UnknownCookies)?;
        let Some(p) = self.phase1.get_mut(&id) else { return Err(Rejection::UnknownCookies) };
        let message_id = r.header.exchange.message_id;
        let (true, Some(keys)) = (p.is_established(), &p.keys) else { return Err(Rejection::Unexpected) };
        if p.message_ids.contains(message_id) {
            return Err(Rejection::UsedMessageId);
        }
        let iv = keys.phase2_iv(&p.iv, message_id);
        let opened = quick::open(keys, &r.header, r.body, &iv, &[])?;
        let chain = opened.chain()?;
        p.message_ids.insert(message_id);
        // RFC 3947 section 4: a NAT may have moved the peer's port.
        p.remote.set_port(r.remote.port());
        p.nodes.push_back((cx.now + NODE_LIFE, message_id));
        p.trace_received(cx);
        cx.isakmp(id, Isakmp::ProcessingHash { message_id });
        self.heed(cx, id, message_id, &chain)?;
        cx.isakmp(id, Isakmp::DeletingNode { message_id });
        Ok(())
    }

    /// Every notification and DELETE of an authenticated message.
    fn heed(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        message_id: u32,
        chain: &Chain<'_>,
    ) -> Result<(), Rejection> {
        let sa = self.phase1.get(&id).map_or(0, super::Phase1::handle);
        for body in chain.all(PayloadKind::NOTIFICATION) {
            let n = Notification::read(body).map_err(|_| Rejection::Malformed)?;
            let what = match n.kind {
                // IOS 12.3 has its own word for a keepalive.
                NotifyType::R_U_THERE | NotifyType::R_U_THERE_ACK => "ITS_ALIVE",
                other => other.name().unwrap_or("UNKNOWN"),
            };
            let spi = if n.protocol == Protocol::ESP { spi_of(&n.spi).map_or(0, |s| s.0) } else { 0 };
            cx.isakmp(id, Isakmp::ProcessingNotify { what, protocol: n.protocol.0, spi, message_id, sa });
            self.notified(cx, id, &n)?;
        }
        for body in chain.all(PayloadKind::DELETE) {
            let d = Delete::read(body).map_err(|_| Rejection::Malformed)?;
            cx.isakmp(id, Isakmp::ProcessingDelete { message_id });
            self.deleted(cx, id, &d);
        }
        Ok(())
    }

    fn notified(&mut self, cx: &mut Cx<'_>, id: ConnectionId, n: &Notification) -> Result<(), Rejection> {
        let Some(p) = self.phase1.get(&id) else { return Ok(()) };
        let (local, peer, started) = (*p.local.ip(), *p.remote.ip(), p.started);
        match n.kind {
            NotifyType::R_U_THERE => self.asked(cx, id, n),
            NotifyType::R_U_THERE_ACK => self.answered(cx, id, n),
            NotifyType::INITIAL_CONTACT => {
                self.forget_older(cx, local, peer, started);
                Ok(())
            }
            NotifyType::INVALID_SPI => {
                if let Some(spi) = spi_of(&n.spi).or(spi_of(&n.data)) {
                    self.peer_dropped(cx, (local, peer), spi, Why::InvalidSpi);
                }
                Ok(())
            }
            NotifyType::NO_PROPOSAL_CHOSEN => self.refused(cx, id, n, Cause::NoProposal),
            NotifyType::INVALID_ID_INFORMATION => self.refused(cx, id, n, Cause::PolicyMismatch),
            // Said and heard; nothing to do. CONNECTED answers a commit bit that we never set; a RESPONDER-LIFETIME
            // outside its exchange names no offer of ours (RFC 2407 section 4.6.3.1).
            NotifyType(_) => Ok(()),
        }
    }

    /// The peer refuses a quick mode of ours: the one with this SPI, or the only one.
    fn refused(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        n: &Notification,
        cause: Cause,
    ) -> Result<(), Rejection> {
        let ours = self.quick.iter().filter(|((p, _), q)| *p == id && q.state == QuickMode::OfferSent);
        let ours: Vec<_> = ours.map(|(key, q)| (*key, q.spi, q.policy)).collect();
        let named = ours.iter().find(|(_, spi, _)| spi_of(&n.spi) == Some(*spi));
        let Some((key, _, policy)) = named.or(ours.first().filter(|_| ours.len() == 1)) else {
            return Err(Rejection::Unexpected);
        };
        self.quick.remove(key);
        self.fail_policy(cx, *policy, cause);
        Ok(())
    }

    fn deleted(&mut self, cx: &mut Cx<'_>, id: ConnectionId, d: &Delete) {
        let Some(p) = self.phase1.get(&id) else { return };
        let ends = (*p.local.ip(), *p.remote.ip());
        if d.protocol == Protocol::ESP {
            for spi in d.spis.iter().filter_map(|s| spi_of(s)) {
                self.peer_dropped(cx, ends, spi, Why::Deleted);
            }
        } else if d.protocol == Protocol::ISAKMP {
            let named: Vec<_> = self
                .phase1
                .values()
                .filter(|p| p.is_between(ends.0, ends.1) && d.spis.contains(&p.spi()))
                .map(|p| p.id)
                .collect();
            for id in named {
                self.phase1_gone(cx, id, Why::Deleted);
            }
        }
    }

    /// The peer has no inbound SA with this SPI any more: our outbound one and its twin go.
    fn peer_dropped(&mut self, cx: &mut Cx<'_>, ends: (Ipv4Addr, Ipv4Addr), spi: Spi, why: Why) {
        let has = |p: &&super::Pair| p.is_between(ends.0, ends.1) && p.outbound.spi == spi;
        if let Some(conn) = self.pairs.values().find(has).map(|p| p.conn) {
            self.drop_pair(cx, conn, why);
        }
    }

    /// A notification in clear. Anyone on the path could have sent it, so it is a hint: it names a cause, and ends
    /// nothing but a negotiation that has no more to lose than its first message (RFC 2408 section 5.15 leaves it to
    /// local policy).
    fn hint(&mut self, cx: &mut Cx<'_>, r: &Received<'_>) -> Result<(), Rejection> {
        let chain = clear_chain(r)?;
        let body = chain.one(PayloadKind::NOTIFICATION).map_err(|_| Rejection::Malformed)?;
        let n = Notification::read(body).map_err(|_| Rejection::Malformed)?;
        let ours = |p: &&super::Phase1| {
            p.initiator()
                && p.cookies.0 == r.header.exchange.initiator
                && p.remote.ip() == r.remote.ip()
                && !p.is_established()
        };
        let id = self.phase1.values().find(ours).map(|p| p.id).ok_or(Rejection::Unauthenticated)?;
        let Some(p) = self.phase1.get_mut(&id) else { return Err(Rejection::Unauthenticated) };
        let (local, peer) = (*p.local.ip(), *p.remote.ip());
        match (n.kind, p.state) {
            (NotifyType::NO_PROPOSAL_CHOSEN, MainMode::SaSent) => {
                self.forget_phase1(id);
                self.fail(cx, local, peer, Cause::NoProposal);
                Ok(())
            }
            (
                NotifyType::PAYLOAD_MALFORMED
                | NotifyType::INVALID_HASH_INFORMATION
                | NotifyType::AUTHENTICATION_FAILED,
                MainMode::AuthSent,
            ) => {
                p.doubted = true;
                self.fail(cx, local, peer, Cause::Authentication);
                Ok(())
            }
            (NotifyType(_), _) => Err(Rejection::Unauthenticated),
        }
    }

    /// Send an authenticated informational message.
    pub(super) fn inform(&mut self, cx: &mut Cx<'_>, id: ConnectionId, chain: &Builder) {
        self.inform_as(cx, id, chain, false);
    }

    /// The same; `leaving` prints as IOS does when the SA is already marked deleted.
    pub(super) fn inform_as(&mut self, cx: &mut Cx<'_>, id: ConnectionId, chain: &Builder, leaving: bool) {
        if !self.phase1.get(&id).is_some_and(super::Phase1::is_established) {
            return;
        }
        let message_id = self.fresh_message_id(id);
        let Some(p) = self.phase1.get(&id) else { return };
        let (message, _) = p.seal_phase2(ExchangeKind::INFORMATIONAL, message_id, (&[], None), chain);
        let (peer, initiator, state) = (*p.remote.ip(), p.initiator(), p.state);
        cx.isakmp(id, Isakmp::Sending { peer, initiator, state: (!leaving).then_some(state) });
        p.transmit(cx, &message);
        cx.isakmp(id, Isakmp::PurgingNode { message_id });
    }

    /// Tell the peer that our inbound SA of a pair is gone.
    pub(super) fn delete_pair_notify(&mut self, cx: &mut Cx<'_>, conn: u32) {
        let Some(pair) = self.pairs.get(&conn) else { return };
        let Some(id) = self.established(*pair.local.ip(), *pair.remote.ip()) else { return };
        let delete =
            Delete { protocol: Protocol::ESP, spis: vec![pair.inbound.spi.0.to_be_bytes().to_vec()] };
        self.inform(cx, id, &Builder::new().payload(PayloadKind::DELETE, &delete.bytes()));
    }

    /// Tell the peer that an ISAKMP SA is gone.
    pub(super) fn delete_phase1_notify(&mut self, cx: &mut Cx<'_>, id: ConnectionId) {
        let Some(p) = self.phase1.get(&id) else { return };
        let delete = Delete { protocol: Protocol::ISAKMP, spis: vec![p.spi()] };
        self.inform_as(cx, id, &Builder::new().payload(PayloadKind::DELETE, &delete.bytes()), true);
    }

    /// Tell the peer that we have no SA with the SPI it uses (RFC 2408 section 3.14.1).
    pub(super) fn invalid_spi_notify(&mut self, cx: &mut Cx<'_>, id: ConnectionId, spi: Spi) {
        let n = Notification {
            protocol: Protocol::ESP,
            kind: NotifyType::INVALID_SPI,
            spi: spi.0.to_be_bytes().to_vec(),
            data: Vec::new(),
        };
        self.inform(cx, id, &Builder::new().payload(PayloadKind::NOTIFICATION, &n.bytes()));
    }

    /// An ISAKMP SA goes. With a peer that does keepalives, the last one takes the IPsec SAs along (IOS: "phase 1
    /// going away; let's be paranoid"), for nobody would watch over them.
    pub(super) fn phase1_gone(&mut self, cx: &mut Cx<'_>, id: ConnectionId, why: Why) {
        let Some(p) = self.phase1.get(&id) else { return };
        let (local, peer, watched) = (*p.local.ip(), *p.remote.ip(), p.dpd.is_some());
        let initiator = p.initiator();
        let last =
            !self.phase1.values().any(|p| p.id != id && p.is_between(local, peer) && p.is_established());
        if watched {
            cx.isakmp(id, Isakmp::GoingAway { last });
        }
        cx.isakmp(id, Isakmp::DeletingSa { why, initiator, peer });
        if last && watched {
            cx.trace(super::Trace::KeyEngineDelete { peer });
            let pairs: Vec<_> =
                self.pairs.values().filter(|p| p.is_between(local, peer)).map(|p| p.conn).collect();
            pairs.into_iter().for_each(|conn| self.drop_pair(cx, conn, why));
        }
        if why != Why::Deleted {
            self.delete_phase1_notify(cx, id);
        }
        if last && watched {
            cx.isakmp(id, Isakmp::Paranoid);
            cx.trace(super::Trace::KeyEngineDelete { peer });
        }
        self.forget_phase1(id);
    }
}

/// An ESP SPI.
fn spi_of(bytes: &[u8]) -> Option<Spi> {
    <[u8; 4]>::try_from(bytes).ok().map(|b| Spi(u32::from_be_bytes(b)))
}
