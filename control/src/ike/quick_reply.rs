//! Quick mode's responder: choosing an entry by its identities and a proposal by its transforms, answering, and
//! switching over when the initiator has confirmed.

use std::net::Ipv4Addr;

use espalier_wire::Cause;
use espalier_wire::ike::{Attribute, attribute};
use espalier_wire::ike::{Builder, Chain, ExchangeKind, Identification, Notification};
use espalier_wire::ike::{NotifyType, PayloadKind, Protocol, SaBody};
use espalier_wire::plane::{PolicyId, Secret, Selector};

use super::event::Rejection;
use super::ids;
use super::main_mode::{NONCE_LEN, nonce};
use super::offer::{self, Agreed};
use super::phase1::Sent;
use super::quick::{Quick, QuickMode, open};
use super::trace::Isakmp;
use super::{ConnectionId, Cx, Ike, Received};

/// What the first message asks for.
struct Asked {
    sa: SaBody,
    nonce: Vec<u8>,
    public: Option<Vec<u8>>,
    /// As the initiator sends packets.
    selector: Option<Selector>,
    /// The identities as they came.
    ids: Vec<Vec<u8>>,
}

impl Asked {
    fn read(chain: &Chain<'_>, initiator: Ipv4Addr, responder: Ipv4Addr) -> Result<Self, Rejection> {
        let body = chain.one(PayloadKind::SA).map_err(|_| Rejection::Malformed)?;
        let ids: Vec<Vec<u8>> = chain.all(PayloadKind::IDENTIFICATION).map(<[u8]>::to_vec).collect();
        let selector = match ids.as_slice() {
            [] => Some(ids::between_hosts(initiator, responder)),
            [source, destination] => {
                let source = Identification::read(source).map_err(|_| Rejection::Malformed)?;
                let destination = Identification::read(destination).map_err(|_| Rejection::Malformed)?;
                ids::selector(&source, &destination)
            }
            [..] => return Err(Rejection::Malformed),
        };
        Ok(Self {
            sa: SaBody::read(body).map_err(|_| Rejection::Malformed)?,
            nonce: nonce(chain)?.to_vec(),
            public: chain.find(PayloadKind::KEY_EXCHANGE).map(<[u8]>::to_vec),
            selector,
            ids,
        })
    }
}

impl Ike {
    /// First message, at the responder.
    pub(super) fn quick_offer(
        &mut self,
        cx: &mut Cx<'_>,
        r: &Received<'_>,
        id: ConnectionId,
    ) -> Result<(), Rejection> {
        let message_id = r.header.exchange.message_id;
        let Some(p) = self.phase1.get_mut(&id) else { return Err(Rejection::UnknownCookies) };
        let Some(keys) = &p.keys else { return Err(Rejection::Unexpected) };
        if p.message_ids.contains(message_id) {
            return Err(Rejection::UsedMessageId);
        }
        let iv = keys.phase2_iv(&p.iv, message_id);
        let opened = open(keys, &r.header, r.body, &iv, &[])?;
        let chain = opened.chain()?;
        p.message_ids.insert(message_id);
        // RFC 3947 section 4: a NAT may have moved the peer's port.
        p.remote.set_port(r.remote.port());
        p.trace_received(cx);
        cx.isakmp(id, Isakmp::ProcessingHash { message_id });
        let (local, peer) = (*p.local.ip(), *p.remote.ip());
        let asked = Asked::read(&chain, peer, local)?;
        let spi = asked.sa.proposals.first().map_or(Vec::new(), |p| p.spi.clone());
        let result = self.answer(cx, r, id, &asked, opened.iv.clone());
        let (kind, cause) = match result {
            Err(Rejection::NoProposal) => (NotifyType::NO_PROPOSAL_CHOSEN, Cause::NoProposal),
            Err(Rejection::PolicyMismatch) => (NotifyType::INVALID_ID_INFORMATION, Cause::PolicyMismatch),
            other => return other,
        };
        cx.isakmp(id, Isakmp::NotAcceptable);
        let refusal = Notification { protocol: Protocol::ESP, kind, spi, data: Vec::new() };
        self.inform(cx, id, &Builder::new().payload(PayloadKind::NOTIFICATION, &refusal.bytes()));
        self.fail(cx, local, peer, cause);
        result
    }

    /// The entry that mirrors what the peer asks for.
    fn mirroring(&self, local: Ipv4Addr, peer: Ipv4Addr, selector: &Selector) -> Option<PolicyId> {
        let ours = selector.mirrored();
        let mirrors = |e: &&super::EntryState| e.has(local, peer) && ids::normal(&e.entry.selector) == ours;
        self.entries.values().find(mirrors).map(|e| e.entry.policy)
    }

    fn answer(
        &mut self,
        cx: &mut Cx<'_>,
        r: &Received<'_>,
        id: ConnectionId,
        asked: &Asked,
        iv: Vec<u8>,
    ) -> Result<(), Rejection> {
        let spi = self.free_spi();
        let Some(p) = self.phase1.get(&id) else { return Err(Rejection::UnknownCookies) };
        let (local, peer) = (*p.local.ip(), *p.remote.ip());
        let selector = asked.selector.ok_or(Rejection::PolicyMismatch)?;
        let policy = self.mirroring(local, peer, &selector).ok_or(Rejection::PolicyMismatch)?;
        let Self { env, entries, phase1, quick, .. } = self;
        let (Some(state), Some(p)) = (entries.get(&policy), phase1.get(&id)) else {
            return Err(Rejection::PolicyMismatch);
        };
        let (agreed, answer) =
            offer::phase2_choice(&state.entry, &asked.sa, p.nat.found(), spi).ok_or(Rejection::NoProposal)?;
        let pair = agreed.pfs.map(|g| g.generate(&mut env.random));
        let shared = match (&pair, &asked.public) {
            (Some(pair), Some(public)) => Some(pair.shared(public).ok_or(Rejection::BadKeyExchange)?),
            (Some(_), None) => return Err(Rejection::BadKeyExchange),
            (None, _) => None,
        };
        let ours = env.bytes(NONCE_LEN);
        let mut chain =
            Builder::new().payload(PayloadKind::SA, &answer.bytes()).payload(PayloadKind::NONCE, &ours);
        if let Some(pair) = &pair {
            chain = chain.payload(PayloadKind::KEY_EXCHANGE, &pair.public);
        }
        for id in &asked.ids {
            chain = chain.payload(PayloadKind::IDENTIFICATION, id);
        }
        chain = p.original_addresses(chain, agreed.mode, false);
        if agreed.shortened {
            chain = chain.payload(PayloadKind::NOTIFICATION, &granted(&agreed, spi));
        }
        let message_id = r.header.exchange.message_id;
        let (message, iv) =
            p.seal_phase2(ExchangeKind::QUICK_MODE, message_id, (&asked.nonce, Some(&iv)), &chain);
        let sent = Sent { message, again: Some(cx.now + env.config.retransmit), copies: 0 };
        let nonces = [asked.nonce.as_slice(), &ours].concat();
        let (state, received) = (QuickMode::AnswerSent, r.message.to_vec());
        let (pair, conn, purge) = (None, None, None);
        let begun = cx.now;
        let new =
            Quick { state, begun, policy, spi, nonces, pair, iv, sent: Some(sent), received, conn, purge };
        quick.insert((id, message_id), new);
        self.send_answer(cx, (id, message_id), &agreed, shared.as_ref());
        Ok(())
    }

    /// The inbound SA stands before the initiator can use it; then the answer goes out.
    fn send_answer(
        &mut self,
        cx: &mut Cx<'_>,
        key: (ConnectionId, u32),
        agreed: &Agreed,
        shared: Option<&Secret>,
    ) {
        let conn = self.install(cx, key, agreed, shared, false);
        let (Some(q), Some(p)) = (self.quick.get_mut(&key), self.phase1.get(&key.0)) else { return };
        q.conn = conn;
        if let Some(sent) = &q.sent {
            p.trace_sending(cx);
            p.transmit(cx, &sent.message);
        }
    }

    /// Third message: the initiator has our answer, so the outbound SA may be used.
    pub(super) fn switch_over(&mut self, cx: &mut Cx<'_>, key: (ConnectionId, u32)) {
        let purge = cx.now + self.env.patience();
        let Some(q) = self.quick.get_mut(&key) else { return };
        (q.state, q.sent, q.purge) = (QuickMode::Done, None, Some(purge));
        if let Some(conn) = q.conn {
            self.bring_up(cx, conn);
        }
    }
}

/// RESPONDER-LIFETIME (RFC 2407 section 4.6.3.1): what we grant.
fn granted(agreed: &Agreed, spi: espalier_wire::Spi) -> Vec<u8> {
    let mut attributes = vec![
        Attribute::number(attribute::SA_LIFE_TYPE, attribute::SECONDS),
        Attribute::number(attribute::SA_LIFE_DURATION, agreed.seconds),
    ];
    if let Some(kilobytes) = agreed.kilobytes {
        attributes.push(Attribute::number(attribute::SA_LIFE_TYPE, attribute::KILOBYTES));
        attributes.push(Attribute::number(attribute::SA_LIFE_DURATION, kilobytes));
    }
    Notification {
        protocol: Protocol::ESP,
        kind: NotifyType::RESPONDER_LIFETIME,
        spi: spi.0.to_be_bytes().to_vec(),
        data: Attribute::write_all(&attributes),
    }
    .bytes()
}
