//! Main mode's messages (RFC 2409 section 5.4). The order in which they come is [`super::phase1::main_mode`]'s.

use std::net::{Ipv4Addr, SocketAddrV4};

use espalier_wire::ike::{Attribute, attribute};
use espalier_wire::ike::{Builder, Chain, Cookie, ExchangeKind, IdKind, Identification};
use espalier_wire::ike::{Notification, NotifyType, PayloadKind, Protocol, SaBody, responder_lifetime};
use espalier_wire::{Cause, Duration};

use super::event::Rejection;
use super::keys::{Exchanged, Keys};
use super::phase1::{MainInput, MainMode, MainStep, Phase1, main_mode};
use super::trace::Isakmp;
use super::{ConnectionId, Cx, Env, Ike, NAT_PORT, PORT, Received, Trace, clear_chain, nat, offer};

/// Bytes of our nonces; others may have 8 to 256 (RFC 2409 section 5).
pub(super) const NONCE_LEN: usize = 20;

/// A nonce of an allowed length.
pub(super) fn nonce<'a>(chain: &Chain<'a>) -> Result<&'a [u8], Rejection> {
    let nonce = chain.one(PayloadKind::NONCE).map_err(|_| Rejection::Malformed)?;
    if (8..=256).contains(&nonce.len()) { Ok(nonce) } else { Err(Rejection::BadKeyExchange) }
}

impl Ike {
    pub(super) fn main_mode(&mut self, cx: &mut Cx<'_>, r: &Received<'_>) -> Result<(), Rejection> {
        let Some(id) = self.find(r) else { return self.first_message(cx, r) };
        let Self { env, phase1, pairs, .. } = self;
        let Some(p) = phase1.get_mut(&id) else { return Err(Rejection::UnknownCookies) };
        if p.received == r.message {
            cx.isakmp(id, Isakmp::Duplicate);
            p.repeat(cx);
            return Err(Rejection::Duplicate);
        }
        let input = input(r)?;
        let before = p.state;
        p.trace_received(cx);
        let result = match main_mode(p.state, input) {
            MainStep::SendKe => p.send_ke(cx, env, r),
            MainStep::AnswerKe => p.answer_ke(cx, env, r),
            MainStep::SendAuth => {
                let (local, peer) = (*p.local.ip(), *p.remote.ip());
                let first = !pairs.values().any(|pair| pair.is_between(local, peer));
                let alone = self.established(local, peer).is_none();
                let Self { env, phase1, .. } = self;
                let Some(p) = phase1.get_mut(&id) else { return Err(Rejection::UnknownCookies) };
                p.send_auth(cx, env, r, first && alone)
            }
            MainStep::AnswerAuth => p.answer_auth(cx, env, r),
            MainStep::Establish => p.establish(env, r),
            MainStep::Ignore => return Err(Rejection::Unexpected),
        };
        self.concluded(cx, id, before, result)
    }

    /// What follows from a main mode message: for the tables, the entries and the peer.
    fn concluded(
        &mut self,
        cx: &mut Cx<'_>,
        id: ConnectionId,
        before: MainMode,
        result: Result<bool, Rejection>,
    ) -> Result<(), Rejection> {
        let Some(p) = self.phase1.get(&id) else { return Err(Rejection::UnknownCookies) };
        let (local, peer) = (*p.local.ip(), *p.remote.ip());
        if p.state != before {
            let (old, new, initiator) = (before, p.state, p.initiator());
            cx.isakmp(id, Isakmp::State { peer, old, new, initiator });
        }
        match result {
            Ok(initial_contact) => {
                if p.is_established() {
                    self.phase1_up(cx, id, initial_contact);
                }
                Ok(())
            }
            Err(Rejection::NoProposal) => {
                self.phase1.remove(&id);
                self.fail(cx, local, peer, Cause::NoProposal);
                Err(Rejection::NoProposal)
            }
            Err(reason @ (Rejection::Undecipherable | Rejection::WrongHash)) => {
                // Another pre-shared key makes another SKEYID_e: all that shows is garbage.
                p.notify_clear(cx, &mut self.env, NotifyType::PAYLOAD_MALFORMED);
                cx.isakmp(id, Isakmp::BadMessage { peer });
                self.fail(cx, local, peer, Cause::Authentication);
                Err(reason)
            }
            Err(reason) => Err(reason),
        }
    }

    /// The first message of a negotiation that the peer starts.
    fn first_message(&mut self, cx: &mut Cx<'_>, r: &Received<'_>) -> Result<(), Rejection> {
        let cookies = (r.header.exchange.initiator, r.header.exchange.responder);
        if cookies.1 != Cookie::NONE || cookies.0 == Cookie::NONE || r.header.exchange.message_id != 0 {
            return Err(Rejection::UnknownCookies);
        }
        let chain = clear_chain(r)?;
        let body = chain.one(PayloadKind::SA).map_err(|_| Rejection::Malformed)?;
        let sa = SaBody::read(body).map_err(|_| Rejection::Malformed)?;
        let (local, peer) = (*r.local.ip(), *r.remote.ip());
        let secret = self.env.config.key_for(peer).cloned().ok_or(Rejection::NoKey)?;
        self.bound_half_open();
        let id = self.free_connection();
        let mut p = Phase1::new(id, false, r.local, r.remote, (cx.now, secret));
        p.cookies = (cookies.0, self.env.cookie());
        p.trace_received(cx);
        let Some((policy, answer)) = offer::phase1_choice(&self.env.config.policies, &sa) else {
            cx.isakmp(id, Isakmp::NotAcceptable);
            p.notify_clear(cx, &mut self.env, NotifyType::NO_PROPOSAL_CHOSEN);
            self.fail(cx, local, peer, Cause::NoProposal);
            return Err(Rejection::NoProposal);
        };
        cx.isakmp(id, Isakmp::Acceptable);
        (p.policy, p.offer, p.received) = (policy, body.to_vec(), r.message.to_vec());
        nat::heed(&mut p, &chain, &self.env.config);
        let chain = Builder::new().payload(PayloadKind::SA, &answer.bytes());
        let message = nat::announce(chain, &self.env.config).message(p.exchange(ExchangeKind::MAIN_MODE, 0));
        p.trace_sending(cx);
        p.send(cx, &self.env.config, message, true);
        self.phase1.insert(id, p);
        Ok(())
    }

    /// Make room: the oldest negotiation that somebody else began and that has come no further than its first
    /// message goes, when there are too many.
    fn bound_half_open(&mut self) {
        let half_open = || self.phase1.values().filter(|p| !p.initiator() && !p.is_established());
        if half_open().count() >= self.env.config.half_open.max(1) {
            let oldest = half_open().min_by_key(|p| (p.state, p.started, p.id)).map(|p| p.id);
            oldest.map(|id| self.phase1.remove(&id));
            self.env.reject(Rejection::HalfOpen);
        }
    }

    /// Start main mode.
    pub(super) fn initiate(&mut self, cx: &mut Cx<'_>, local: Ipv4Addr, peer: Ipv4Addr) {
        let Some(secret) = self.env.config.key_for(peer).cloned() else {
            return self.fail(cx, local, peer, Cause::Authentication);
        };
        if self.env.config.policies.is_empty() {
            return self.fail(cx, local, peer, Cause::NoProposal);
        }
        let id = self.free_connection();
        let ends = (SocketAddrV4::new(local, PORT), SocketAddrV4::new(peer, PORT));
        let mut p = Phase1::new(id, true, ends.0, ends.1, (cx.now, secret));
        p.cookies = (self.env.cookie(), Cookie::NONE);
        p.offer = offer::phase1_offer(&self.env.config.policies).bytes();
        let chain = Builder::new().payload(PayloadKind::SA, &p.offer);
        let message = nat::announce(chain, &self.env.config).message(p.exchange(ExchangeKind::MAIN_MODE, 0));
        cx.isakmp(id, Isakmp::Beginning);
        p.trace_sending(cx);
        p.send(cx, &self.env.config, message, true);
        self.phase1.insert(id, p);
    }
}

fn input(r: &Received<'_>) -> Result<MainInput, Rejection> {
    if r.header.flags.encryption {
        return Ok(MainInput::Auth);
    }
    let chain = clear_chain(r)?;
    if chain.find(PayloadKind::SA).is_some() {
        Ok(MainInput::Sa)
    } else if chain.find(PayloadKind::KEY_EXCHANGE).is_some() {
        Ok(MainInput::Ke)
    } else {
        Err(Rejection::Malformed)
    }
}

impl Phase1 {
    fn next(&mut self, state: MainMode, r: &Received<'_>) {
        self.state = state;
        self.received = r.message.to_vec();
    }

    /// Second message: the responder's choice. Third: KE, Ni.
    fn send_ke(&mut self, cx: &mut Cx<'_>, env: &mut Env, r: &Received<'_>) -> Result<bool, Rejection> {
        let chain = clear_chain(r)?;
        let body = chain.one(PayloadKind::SA).map_err(|_| Rejection::Malformed)?;
        let answer = SaBody::read(body).map_err(|_| Rejection::Malformed)?;
        let policies = &env.config.policies;
        self.policy = offer::phase1_answer(policies, &answer).ok_or(Rejection::NoProposal)?;
        cx.isakmp(self.id, Isakmp::Acceptable);
        self.cookies.1 = r.header.exchange.responder;
        nat::heed(self, &chain, &env.config);
        let pair = self.policy.group.generate(&mut env.random);
        self.publics.0.clone_from(&pair.public);
        self.nonces.0 = env.bytes(NONCE_LEN);
        let chain = Builder::new()
            .payload(PayloadKind::KEY_EXCHANGE, &self.publics.0)
            .payload(PayloadKind::NONCE, &self.nonces.0);
        self.pair = Some(pair);
        let message = nat::detect(chain, self).message(self.exchange(ExchangeKind::MAIN_MODE, 0));
        self.next(MainMode::KeSent, r);
        self.trace_sending(cx);
        self.send(cx, &env.config, message, true);
        Ok(false)
    }

    /// Third message: KE, Ni. Fourth: KE, Nr.
    fn answer_ke(&mut self, cx: &mut Cx<'_>, env: &mut Env, r: &Received<'_>) -> Result<bool, Rejection> {
        let chain = clear_chain(r)?;
        let public = chain.one(PayloadKind::KEY_EXCHANGE).map_err(|_| Rejection::Malformed)?;
        let theirs = nonce(&chain)?;
        let pair = self.policy.group.generate(&mut env.random);
        let shared = pair.shared(public).ok_or(Rejection::BadKeyExchange)?;
        self.publics = (public.to_vec(), pair.public.clone());
        self.nonces = (theirs.to_vec(), env.bytes(NONCE_LEN));
        self.derive(cx, &shared);
        self.nat = nat::found(self, &chain);
        let chain = Builder::new()
            .payload(PayloadKind::KEY_EXCHANGE, &self.publics.1)
            .payload(PayloadKind::NONCE, &self.nonces.1);
        let message = nat::detect(chain, self).message(self.exchange(ExchangeKind::MAIN_MODE, 0));
        self.next(MainMode::KeAnswered, r);
        self.trace_sending(cx);
        self.send(cx, &env.config, message, true);
        Ok(false)
    }

    /// Fourth message: KE, Nr. Fifth, encrypted: IDii, HASH_I, and INITIAL-CONTACT when we have nothing with the
    /// peer.
    fn send_auth(
        &mut self,
        cx: &mut Cx<'_>,
        env: &mut Env,
        r: &Received<'_>,
        first_contact: bool,
    ) -> Result<bool, Rejection> {
        let chain = clear_chain(r)?;
        let public = chain.one(PayloadKind::KEY_EXCHANGE).map_err(|_| Rejection::Malformed)?;
        let theirs = nonce(&chain)?;
        let shared = self.pair.as_ref().and_then(|p| p.shared(public)).ok_or(Rejection::BadKeyExchange)?;
        self.publics.1 = public.to_vec();
        self.nonces.1 = theirs.to_vec();
        self.derive(cx, &shared);
        self.nat = nat::found(self, &chain);
        if self.nat.found() {
            // RFC 3947 section 4: the initiator floats with its next message.
            self.local.set_port(NAT_PORT);
            self.remote.set_port(NAT_PORT);
        }
        let id = self.identity().bytes();
        let hash = self.authentication(true, &id);
        let mut chain =
            Builder::new().payload(PayloadKind::IDENTIFICATION, &id).payload(PayloadKind::HASH, &hash);
        if first_contact && env.config.initial_contact {
            cx.isakmp(self.id, Isakmp::SendingInitialContact);
            chain = chain.payload(
                PayloadKind::NOTIFICATION,
                &self.own_notification(NotifyType::INITIAL_CONTACT, Vec::new()),
            );
        }
        let message = self.seal_main(&chain);
        self.next(MainMode::AuthSent, r);
        self.trace_sending(cx);
        self.send(cx, &env.config, message, true);
        Ok(false)
    }

    /// Fifth message: the initiator proves itself. Sixth: so do we. `true`: it said INITIAL-CONTACT.
    fn answer_auth(&mut self, cx: &mut Cx<'_>, env: &mut Env, r: &Received<'_>) -> Result<bool, Rejection> {
        let (text, iv) = self.open_main(r)?;
        let initial_contact = self.check_auth(r, &text, true)?;
        self.iv = iv;
        // RFC 3947 section 4: from here on we answer where the message came from.
        (self.local, self.remote) = (r.local, r.remote);
        let id = self.identity().bytes();
        let hash = self.authentication(false, &id);
        let mut chain =
            Builder::new().payload(PayloadKind::IDENTIFICATION, &id).payload(PayloadKind::HASH, &hash);
        // RFC 2407 section 4.6.3.1: the attributes had to go back unchanged; the truth goes here.
        let seconds = self.policy.lifetime.as_whole_s();
        let data = Attribute::write_all(&[
            Attribute::number(attribute::LIFE_TYPE, attribute::SECONDS),
            Attribute::number(attribute::LIFE_DURATION, seconds),
        ]);
        if self.offered_more(seconds) {
            chain = chain.payload(
                PayloadKind::NOTIFICATION,
                &self.own_notification(NotifyType::RESPONDER_LIFETIME, data),
            );
        }
        let message = self.seal_main(&chain);
        self.next(MainMode::Established, r);
        self.trace_sending(cx);
        self.send(cx, &env.config, message, false);
        Ok(initial_contact)
    }

    /// Sixth message: the responder proves itself.
    fn establish(&mut self, _env: &mut Env, r: &Received<'_>) -> Result<bool, Rejection> {
        let (text, iv) = self.open_main(r)?;
        let initial_contact = self.check_auth(r, &text, false)?;
        self.iv = iv;
        self.remote = r.remote;
        self.next(MainMode::Established, r);
        // The last message needs no answer: two ends that answered each other's copies would never stop.
        self.sent = None;
        Ok(initial_contact)
    }

    fn open_main(&self, r: &Received<'_>) -> Result<(Vec<u8>, Vec<u8>), Rejection> {
        let keys = self.keys.as_ref().ok_or(Rejection::Unexpected)?;
        keys.open(&r.header, r.body, &self.iv).ok_or(Rejection::Malformed)
    }

    /// Check ID and HASH; take a RESPONDER-LIFETIME in. `true`: INITIAL-CONTACT was said.
    fn check_auth(&mut self, r: &Received<'_>, text: &[u8], of_initiator: bool) -> Result<bool, Rejection> {
        let chain = Chain::new_checked(r.header.first, text).map_err(|_| Rejection::Undecipherable)?;
        let id = chain.one(PayloadKind::IDENTIFICATION).map_err(|_| Rejection::Undecipherable)?;
        Identification::read(id).map_err(|_| Rejection::Undecipherable)?;
        let hash = chain.one(PayloadKind::HASH).map_err(|_| Rejection::Undecipherable)?;
        if hash != self.authentication(of_initiator, id) {
            return Err(Rejection::WrongHash);
        }
        let mut initial_contact = false;
        for n in chain.all(PayloadKind::NOTIFICATION).filter_map(|n| Notification::read(n).ok()) {
            initial_contact |= n.kind == NotifyType::INITIAL_CONTACT;
            if n.kind == NotifyType::RESPONDER_LIFETIME
                && let Ok((Some(seconds), _)) = responder_lifetime(&n.data, true)
            {
                self.policy.lifetime = self.policy.lifetime.min(Duration::from_s(seconds));
            }
        }
        Ok(initial_contact)
    }

    fn derive(&mut self, cx: &mut Cx<'_>, shared: &espalier_wire::plane::Secret) {
        let exchanged = Exchanged {
            nonces: (&self.nonces.0, &self.nonces.1),
            publics: (&self.publics.0, &self.publics.1),
            cookies: self.cookies,
            shared,
        };
        let keys = Keys::derive(&self.policy, self.secret.bytes(), &exchanged);
        cx.isakmp(self.id, Isakmp::SkeyidGenerated);
        cx.trace(Trace::Key { initiator: self.cookies.0, key: keys.key.clone() });
        self.iv.clone_from(&keys.iv);
        self.keys = Some(keys);
    }

    /// HASH_I or HASH_R over an identity (RFC 2409 section 5).
    fn authentication(&self, of_initiator: bool, id: &[u8]) -> Vec<u8> {
        let (publics, cookies) = (&self.publics, self.cookies);
        let Some(keys) = &self.keys else { return Vec::new() };
        if of_initiator {
            keys.authentication((&publics.0, &publics.1), cookies, &self.offer, id)
        } else {
            keys.authentication((&publics.1, &publics.0), (cookies.1, cookies.0), &self.offer, id)
        }
    }

    fn seal_main(&mut self, chain: &Builder) -> Vec<u8> {
        let Some(keys) = &self.keys else { return Vec::new() };
        let exchange = self.exchange(ExchangeKind::MAIN_MODE, 0);
        let (message, next) = keys.seal(exchange, chain.first(), chain.bytes(), &self.iv);
        self.iv = next;
        message
    }

    /// Ourselves by address; port 500 but behind a NAT (RFC 2407 section 4.6.2, RFC 3947 section 4).
    fn identity(&self) -> Identification {
        let (protocol, port) = if self.nat.found() { (0, 0) } else { (17, PORT) };
        Identification { kind: IdKind::Address(*self.local.ip()), protocol, port }
    }

    fn own_notification(&self, kind: NotifyType, data: Vec<u8>) -> Vec<u8> {
        Notification { protocol: Protocol::ISAKMP, kind, spi: self.spi(), data }.bytes()
    }

    fn offered_more(&self, seconds: u64) -> bool {
        let Ok(offer) = SaBody::read(&self.offer) else { return false };
        offer
            .proposals
            .iter()
            .flat_map(|p| &p.transforms)
            .filter_map(|t| t.number_of(attribute::LIFE_DURATION))
            .any(|s| s > seconds)
    }

    /// A notification in clear, while there is no key (RFC 2408 section 4.8): a hint that the peer may not trust.
    fn notify_clear(&self, cx: &mut Cx<'_>, env: &mut Env, kind: NotifyType) {
        let message_id = env.random.u32();
        let exchange = self.exchange(ExchangeKind::INFORMATIONAL, message_id);
        let body = self.own_notification(kind, Vec::new());
        let message = Builder::new().payload(PayloadKind::NOTIFICATION, &body).message(exchange);
        self.trace_sending(cx);
        self.transmit(cx, &message);
    }

    pub(super) fn trace_received(&self, cx: &mut Cx<'_>) {
        let (peer, initiator, state) = (*self.remote.ip(), self.initiator(), self.state);
        cx.isakmp(self.id, Isakmp::Received { peer, initiator, state: Some(state) });
    }

    pub(super) fn trace_sending(&self, cx: &mut Cx<'_>) {
        let (peer, initiator, state) = (*self.remote.ip(), self.initiator(), self.state);
        cx.isakmp(self.id, Isakmp::Sending { peer, initiator, state: Some(state) });
    }
}
