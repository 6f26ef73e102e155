//! Quick mode (RFC 2409 section 5.5): its states, the initiator's half, and what both halves share. The responder's
//! half is [`super::quick_reply`].

use espalier_wire::ike::{Builder, Chain, ExchangeKind, Header, IdKind, Identification};
use espalier_wire::ike::{Notification, NotifyType, PayloadKind, Protocol, SaBody, responder_lifetime};
use espalier_wire::plane::{Mode, PolicyId};
use espalier_wire::{Cause, Instant, Spi};

use super::event::Rejection;
use super::group::KeyPair;
use super::keys::Keys;
use super::main_mode::{NONCE_LEN, nonce};
use super::phase1::{Phase1, Sent};
use super::trace::Isakmp;
use super::{ConnectionId, Cx, Ike, Received, ids, offer};

/// Where quick mode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuickMode {
    /// Initiator: HDR*, HASH(1), SA, Ni … sent.
    OfferSent,
    /// Responder: HDR*, HASH(2), SA, Nr … sent; the inbound SA stands.
    AnswerSent,
    /// Both SAs stand; kept for duplicates of the other's last message.
    Done,
}

/// What arrived, opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuickInput {
    /// With an SA payload.
    Answer,
    /// HASH alone.
    Confirmation,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuickStep {
    Confirm,
    SwitchOver,
    Ignore,
}

/// Quick mode, whole (RFC 2409 section 5.5; the first message makes the exchange and is not here):
///
/// ```text
///   HDR*, HASH(1), SA, Ni, …  -->                             (responder: inbound SA installed, then the answer)
///                             <--  HDR*, HASH(2), SA, Nr, …   OfferSent  + Answer       = Confirm
///   HDR*, HASH(3)             -->                             AnswerSent + Confirmation = SwitchOver
/// ```
/// Confirm installs the inbound SA, sends HASH(3) and swaps the outbound one; SwitchOver swaps the outbound one.
pub(super) const fn quick_mode(state: QuickMode, input: QuickInput) -> QuickStep {
    match (state, input) {
        (QuickMode::OfferSent, QuickInput::Answer) => QuickStep::Confirm,
        (QuickMode::AnswerSent, QuickInput::Confirmation) => QuickStep::SwitchOver,
        (QuickMode::OfferSent, QuickInput::Confirmation)
        | (QuickMode::AnswerSent, QuickInput::Answer)
        | (QuickMode::Done, QuickInput::Answer | QuickInput::Confirmation) => QuickStep::Ignore,
    }
}

/// One quick mode.
#[derive(Debug)]
pub(super) struct Quick {
    pub(super) state: QuickMode,
    pub(super) begun: Instant,
    pub(super) policy: PolicyId,
    /// Our inbound SPI.
    pub(super) spi: Spi,
    /// Ni_b | Nr_b, as far as known.
    pub(super) nonces: Vec<u8>,
    pub(super) pair: Option<KeyPair>,
    pub(super) iv: Vec<u8>,
    pub(super) sent: Option<Sent>,
    pub(super) received: Vec<u8>,
    /// The pair it made.
    pub(super) conn: Option<u32>,
    /// When a finished one is forgotten.
    pub(super) purge: Option<Instant>,
}

impl Quick {
    pub(super) fn done(&self) -> bool {
        self.state == QuickMode::Done
    }

    pub(super) fn deadlines(&self) -> [Option<Instant>; 2] {
        [self.sent.as_ref().and_then(|s| s.again), self.purge]
    }
}

/// An opened phase 2 message whose HASH is right: its text, and where the payloads behind HASH begin and end.
pub(super) struct Opened {
    pub(super) text: Vec<u8>,
    pub(super) iv: Vec<u8>,
    first: PayloadKind,
}

impl Opened {
    pub(super) fn chain(&self) -> Result<Chain<'_>, Rejection> {
        Chain::new_checked(self.first, &self.text).map_err(|_| Rejection::Undecipherable)
    }
}

/// Open a phase 2 message and check its HASH over the message id, `nonces` and what follows HASH (RFC 2409
/// section 5.5), or for the third message HASH(3), which covers no payload.
pub(super) fn open(
    keys: &Keys,
    header: &Header,
    body: &[u8],
    iv: &[u8],
    nonces: &[u8],
) -> Result<Opened, Rejection> {
    let (text, iv) = keys.open(header, body, iv).ok_or(Rejection::Malformed)?;
    let chain = Chain::new_checked(header.first, &text).map_err(|_| Rejection::Undecipherable)?;
    let first = chain.iter().next().filter(|p| p.kind == PayloadKind::HASH);
    let hash = first.ok_or(Rejection::Undecipherable)?;
    let rest = text.get(hash.at + hash.body.len()..chain.length()).unwrap_or_default();
    let id = header.exchange.message_id.to_be_bytes();
    let expected = if rest.is_empty() && header.exchange.kind == ExchangeKind::QUICK_MODE {
        keys.hash(&[&[0], &id, nonces])
    } else {
        keys.hash(&[&id, nonces, rest])
    };
    if hash.body != expected {
        return Err(Rejection::WrongHash);
    }
    Ok(Opened { first: header.first, iv, text })
}

impl Phase1 {
    /// HASH over the message id, `nonces` and the payloads; everything encrypted. The next IV comes with it.
    pub(super) fn seal_phase2(
        &self,
        kind: ExchangeKind,
        message_id: u32,
        (nonces, iv): (&[u8], Option<&[u8]>),
        rest: &Builder,
    ) -> (Vec<u8>, Vec<u8>) {
        let Some(keys) = &self.keys else { return (Vec::new(), Vec::new()) };
        let id = message_id.to_be_bytes();
        let hash = if rest.bytes().is_empty() {
            keys.hash(&[&[0], &id, nonces])
        } else {
            keys.hash(&[&id, nonces, rest.bytes()])
        };
        let chain = Builder::new().payload(PayloadKind::HASH, &hash).followed_by(rest);
        let fresh = keys.phase2_iv(&self.iv, message_id);
        keys.seal(self.exchange(kind, message_id), chain.first(), chain.bytes(), iv.unwrap_or(&fresh))
    }

    /// NAT-OA of both ends, initiator's first (RFC 3947 section 5.2); transport mode behind a NAT only.
    pub(super) fn original_addresses(&self, chain: Builder, mode: Mode, initiator: bool) -> Builder {
        if !self.nat.found() || mode != Mode::Transport {
            return chain;
        }
        let address = |a| Identification { kind: IdKind::Address(a), protocol: 0, port: 0 }.bytes();
        let (ours, theirs) = (address(*self.local.ip()), address(*self.remote.ip()));
        let (i, r) = if initiator { (ours, theirs) } else { (theirs, ours) };
        chain.payload(PayloadKind::NAT_OA, &i).payload(PayloadKind::NAT_OA, &r)
    }
}

impl Ike {
    /// A message id that this SA never saw.
    pub(super) fn fresh_message_id(&mut self, id: ConnectionId) -> u32 {
        let Self { env, phase1, .. } = self;
        loop {
            let message_id = env.random.u32();
            let fresh = phase1.get_mut(&id).is_none_or(|p| p.message_ids.insert(message_id));
            if message_id != 0 && fresh {
                return message_id;
            }
        }
    }

    /// Start quick mode for an entry under an established phase 1.
    pub(super) fn start_quick(&mut self, cx: &mut Cx<'_>, policy: PolicyId, id: ConnectionId) {
        let message_id = self.fresh_message_id(id);
        let spi = self.free_spi();
        let Self { env, entries, phase1, quick, .. } = self;
        let (Some(state), Some(p)) = (entries.get(&policy), phase1.get(&id)) else { return };
        let entry = &state.entry;
        let Some((source, destination)) = ids::identities(&entry.selector) else { return };
        let pair = entry.pfs.map(|g| g.generate(&mut env.random));
        let nonce = env.bytes(NONCE_LEN);
        let sa = offer::phase2_offer(entry, spi, p.nat.found());
        let mut chain =
            Builder::new().payload(PayloadKind::SA, &sa.bytes()).payload(PayloadKind::NONCE, &nonce);
        if let Some(pair) = &pair {
            chain = chain.payload(PayloadKind::KEY_EXCHANGE, &pair.public);
        }
        chain = chain
            .payload(PayloadKind::IDENTIFICATION, &source.bytes())
            .payload(PayloadKind::IDENTIFICATION, &destination.bytes());
        let mode = entry.transforms.first().map_or(Mode::Tunnel, |(_, mode)| *mode);
        chain = p.original_addresses(chain, mode, true);
        let (message, iv) = p.seal_phase2(ExchangeKind::QUICK_MODE, message_id, (&[], None), &chain);
        cx.isakmp(id, Isakmp::BeginningQuick { message_id });
        p.trace_sending(cx);
        p.transmit(cx, &message);
        let sent = Sent { message, again: Some(cx.now + env.config.retransmit), copies: 0 };
        let state = QuickMode::OfferSent;
        let nonces = nonce;
        let (received, conn, purge) = (Vec::new(), None, None);
        let begun = cx.now;
        let new =
            Quick { state, begun, policy, spi, nonces, pair, iv, sent: Some(sent), received, conn, purge };
        quick.insert((id, message_id), new);
    }

    pub(super) fn quick_mode(&mut self, cx: &mut Cx<'_>, r: &Received<'_>) -> Result<(), Rejection> {
        let id = self.find(r).ok_or(Rejection::UnknownCookies)?;
        let Some(p) = self.phase1.get_mut(&id) else { return Err(Rejection::UnknownCookies) };
        let message_id = r.header.exchange.message_id;
        let (true, Some(keys)) = (p.is_established() && message_id != 0, &p.keys) else {
            return Err(Rejection::Unexpected);
        };
        let Some(q) = self.quick.get_mut(&(id, message_id)) else {
            return self.quick_offer(cx, r, id);
        };
        if q.received == r.message {
            cx.isakmp(id, Isakmp::Duplicate);
            if let Some(sent) = &q.sent {
                p.transmit(cx, &sent.message);
            }
            return Err(Rejection::Duplicate);
        }
        let opened = open(keys, &r.header, r.body, &q.iv, &q.nonces)?;
        let chain = opened.chain()?;
        p.trace_received(cx);
        cx.isakmp(id, Isakmp::ProcessingHash { message_id });
        let input = match chain.find(PayloadKind::SA) {
            Some(_) => QuickInput::Answer,
            None => QuickInput::Confirmation,
        };
        match quick_mode(q.state, input) {
            QuickStep::Confirm => {
                let result = self.confirm(cx, r, (id, message_id), &chain, opened.iv.clone());
                if result == Err(Rejection::NoProposal)
                    && let Some(q) = self.quick.remove(&(id, message_id))
                {
                    self.fail_policy(cx, q.policy, Cause::NoProposal);
                }
                result
            }
            QuickStep::SwitchOver => {
                q.received = r.message.to_vec();
                self.switch_over(cx, (id, message_id));
                Ok(())
            }
            QuickStep::Ignore => Err(Rejection::Unexpected),
        }
    }

    /// Second message, at the initiator: inbound SA in, HASH(3) out, outbound SA swapped.
    fn confirm(
        &mut self,
        cx: &mut Cx<'_>,
        r: &Received<'_>,
        key: (ConnectionId, u32),
        chain: &Chain<'_>,
        iv: Vec<u8>,
    ) -> Result<(), Rejection> {
        let Self { env, entries, phase1, quick, .. } = self;
        let (Some(p), Some(q)) = (phase1.get(&key.0), quick.get_mut(&key)) else {
            return Err(Rejection::UnknownCookies);
        };
        let Some(state) = entries.get(&q.policy) else { return Err(Rejection::Unexpected) };
        let body = chain.one(PayloadKind::SA).map_err(|_| Rejection::Malformed)?;
        let answer = SaBody::read(body).map_err(|_| Rejection::Malformed)?;
        let agreed = offer::phase2_answer(&state.entry, &answer, p.nat.found());
        let mut agreed = agreed.ok_or(Rejection::NoProposal)?;
        let theirs = nonce(chain)?;
        let shared = match &q.pair {
            Some(pair) => {
                let public = chain.one(PayloadKind::KEY_EXCHANGE).map_err(|_| Rejection::Malformed)?;
                Some(pair.shared(public).ok_or(Rejection::BadKeyExchange)?)
            }
            None => None,
        };
        for n in chain.all(PayloadKind::NOTIFICATION).filter_map(|n| Notification::read(n).ok()) {
            if n.kind == NotifyType::RESPONDER_LIFETIME && n.protocol == Protocol::ESP {
                agreed.shorten(responder_lifetime(&n.data, false).unwrap_or_default());
            }
        }
        q.nonces.extend_from_slice(theirs);
        q.received = r.message.to_vec();
        (q.state, q.pair) = (QuickMode::Done, None);
        let (message, iv) =
            p.seal_phase2(ExchangeKind::QUICK_MODE, key.1, (&q.nonces, Some(&iv)), &Builder::new());
        q.iv = iv;
        q.sent = Some(Sent { message: message.clone(), again: None, copies: 0 });
        q.purge = Some(cx.now + env.patience());
        let conn = self.install(cx, key, &agreed, shared.as_ref(), true);
        if let Some(p) = self.phase1.get(&key.0) {
            p.trace_sending(cx);
            p.transmit(cx, &message);
        }
        if let Some(conn) = conn {
            self.bring_up(cx, conn);
        }
        Ok(())
    }
}
