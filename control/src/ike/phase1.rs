//! An ISAKMP SA: its state, its keys, what it sent last. The handlers are in [`super::main_mode`].

use std::collections::{BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use espalier_wire::ike::{Cookie, Exchange, ExchangeKind};
use espalier_wire::plane::Secret;
use espalier_wire::{Duration, Instant};

use super::config::{Config, IsakmpPolicy};
use super::dpd::Dpd;
use super::event::Action;
use super::group::KeyPair;
use super::keys::Keys;
use super::{ConnectionId, Cx, NAT_PORT};

/// Where main mode stands (RFC 2409 section 5.4). The initiator's three states, the responder's two, and the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MainMode {
    /// Initiator: HDR, SA sent.
    SaSent,
    /// Initiator: HDR, KE, Ni sent.
    KeSent,
    /// Initiator: HDR*, IDii, HASH_I sent.
    AuthSent,
    /// Responder: HDR, SA sent in answer.
    SaAnswered,
    /// Responder: HDR, KE, Nr sent in answer.
    KeAnswered,
    /// Both have proven themselves.
    Established,
}

/// What arrived in main mode, as far as it shows without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MainInput {
    /// In clear, with an SA payload.
    Sa,
    /// In clear, with a KE payload.
    Ke,
    /// Encrypted.
    Auth,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MainStep {
    SendKe,
    AnswerKe,
    SendAuth,
    AnswerAuth,
    Establish,
    Ignore,
}

/// Main mode, whole (RFC 2409 section 5.4; the first message makes the SA and is not here):
///
/// ```text
///   HDR, SA             -->
///                       <--   HDR, SA              SaSent     + Sa   = SendKe
///   HDR, KE, Ni         -->                        SaAnswered + Ke   = AnswerKe
///                       <--   HDR, KE, Nr          KeSent     + Ke   = SendAuth
///   HDR*, IDii, HASH_I  -->                        KeAnswered + Auth = AnswerAuth
///                       <--   HDR*, IDir, HASH_R   AuthSent   + Auth = Establish
/// ```
/// Duplicates never get here: they are answered with the last reply (RFC 2408 section 5.1).
pub(super) const fn main_mode(state: MainMode, input: MainInput) -> MainStep {
    use MainInput::{Auth, Ke, Sa};
    use MainMode::{AuthSent, Established, KeAnswered, KeSent, SaAnswered, SaSent};
    match (state, input) {
        (SaSent, Sa) => MainStep::SendKe,
        (SaAnswered, Ke) => MainStep::AnswerKe,
        (KeSent, Ke) => MainStep::SendAuth,
        (KeAnswered, Auth) => MainStep::AnswerAuth,
        (AuthSent, Auth) => MainStep::Establish,
        (SaSent, Ke | Auth)
        | (SaAnswered, Sa | Auth)
        | (KeSent, Sa | Auth)
        | (KeAnswered | AuthSent, Sa | Ke)
        | (Established, Sa | Ke | Auth) => MainStep::Ignore,
    }
}

/// The last message of an exchange, to be sent again.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) message: Vec<u8>,
    /// When to send it again; `None`: only in answer to a duplicate.
    pub(super) again: Option<Instant>,
    pub(super) copies: u8,
}

/// How many message ids an SA remembers: a day of keepalives every ten seconds, three times over.
const REMEMBERED: usize = 65_536;

/// Message ids used, so that an old message played again is known (RFC 2409 section 5.7: they are unique).
#[derive(Debug, Default)]
pub(super) struct MessageIds {
    known: BTreeSet<u32>,
    order: VecDeque<u32>,
}

impl MessageIds {
    pub(super) fn contains(&self, id: u32) -> bool {
        self.known.contains(&id)
    }

    /// Whether it is new; it is known from now on.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        let new = self.known.insert(id);
        if new {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(old) = self.order.pop_front()
        {
            self.known.remove(&old);
        }
        new
    }
}

/// What the NAT detection of RFC 3947 found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Nat {
    /// The peer speaks RFC 3947.
    pub(super) supported: bool,
    /// We are behind a NAT.
    pub(super) here: bool,
    /// The peer is.
    pub(super) there: bool,
}

impl Nat {
    pub(super) const fn found(self) -> bool {
        self.here || self.there
    }
}

/// One ISAKMP SA, or the negotiation of one.
#[derive(Debug)]
pub(super) struct Phase1 {
    pub(super) id: ConnectionId,
    pub(super) state: MainMode,
    pub(super) local: SocketAddrV4,
    pub(super) remote: SocketAddrV4,
    /// Initiator's, responder's.
    pub(super) cookies: (Cookie, Cookie),
    initiator: bool,
    pub(super) secret: Secret,
    pub(super) policy: IsakmpPolicy,
    /// The body of the initiator's SA payload (SAi_b).
    pub(super) offer: Vec<u8>,
    /// Ni_b, Nr_b.
    pub(super) nonces: (Vec<u8>, Vec<u8>),
    /// g^xi, g^xr.
    pub(super) publics: (Vec<u8>, Vec<u8>),
    pub(super) pair: Option<KeyPair>,
    pub(super) keys: Option<Keys>,
    /// The next message's IV in main mode; after it, its last CBC block.
    pub(super) iv: Vec<u8>,
    pub(super) sent: Option<Sent>,
    /// The last message taken in.
    pub(super) received: Vec<u8>,
    pub(super) message_ids: MessageIds,
    pub(super) nat: Nat,
    pub(super) nat_keepalive: Option<Instant>,
    /// The peer answers R-U-THERE.
    pub(super) peer_dpd: bool,
    pub(super) dpd: Option<Dpd>,
    /// The R-U-THERE sequence number last heard.
    pub(super) peer_sequence: Option<u32>,
    pub(super) started: Instant,
    pub(super) established: Option<Instant>,
    pub(super) rekey: Option<Instant>,
    pub(super) expires: Option<Instant>,
    /// The peer hinted, unauthenticated, that it cannot read us.
    pub(super) doubted: bool,
    /// Nodes of received informational messages to be purged (debug lines alone).
    pub(super) nodes: VecDeque<(Instant, u32)>,
}

impl Phase1 {
    pub(super) fn new(
        id: ConnectionId,
        initiator: bool,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        (now, secret): (Instant, Secret),
    ) -> Self {
        Self {
            id,
            state: if initiator { MainMode::SaSent } else { MainMode::SaAnswered },
            local,
            remote,
            cookies: (Cookie::NONE, Cookie::NONE),
            initiator,
            secret,
            policy: IsakmpPolicy::default(),
            offer: Vec::new(),
            nonces: (Vec::new(), Vec::new()),
            publics: (Vec::new(), Vec::new()),
            pair: None,
            keys: None,
            iv: Vec::new(),
            sent: None,
            received: Vec::new(),
            message_ids: MessageIds::default(),
            nat: Nat::default(),
            nat_keepalive: None,
            peer_dpd: false,
            dpd: None,
            peer_sequence: None,
            started: now,
            established: None,
            rekey: None,
            expires: None,
            doubted: false,
            nodes: VecDeque::new(),
        }
    }

    pub(super) const fn initiator(&self) -> bool {
        self.initiator
    }

    pub(super) fn is_established(&self) -> bool {
        self.state == MainMode::Established
    }

    pub(super) fn is_between(&self, local: Ipv4Addr, peer: Ipv4Addr) -> bool {
        *self.local.ip() == local && *self.remote.ip() == peer
    }

    pub(super) const fn exchange(&self, kind: ExchangeKind, message_id: u32) -> Exchange {
        Exchange { initiator: self.cookies.0, responder: self.cookies.1, kind, message_id }
    }

    /// The SPI of ISAKMP: both cookies (RFC 2407 section 4.6.3).
    pub(super) fn spi(&self) -> Vec<u8> {
        [self.cookies.0.0, self.cookies.1.0].concat()
    }

    /// Put a message on the wire.
    pub(super) fn transmit(&self, cx: &mut Cx<'_>, message: &[u8]) {
        let payload =
            if self.local.port() == NAT_PORT { [&[0; 4], message].concat() } else { message.to_vec() };
        cx.actions.push(Action::Send { local: self.local, remote: self.remote, payload });
    }

    /// Send main mode's next message, and again until something comes back.
    pub(super) fn send(&mut self, cx: &mut Cx<'_>, config: &Config, message: Vec<u8>, expect_answer: bool) {
        self.transmit(cx, &message);
        let again = expect_answer.then_some(cx.now + config.retransmit);
        self.sent = Some(Sent { message, again, copies: 0 });
    }

    /// Send the last message once more, in answer to a duplicate.
    pub(super) fn repeat(&self, cx: &mut Cx<'_>) {
        if let Some(sent) = &self.sent {
            self.transmit(cx, &sent.message);
        }
    }

    /// What is left of the lifetime.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        self.expires.map_or(Duration::ZERO, |at| at - now)
    }

    /// What stands for IOS's address of the SA in debug lines: the first word of the initiator's cookie.
    pub(super) fn handle(&self) -> u32 {
        (u64::from_be_bytes(self.cookies.0.0) >> 32) as u32
    }

    /// Every deadline it has.
    pub(super) fn deadlines(&self) -> [Option<Instant>; 6] {
        [
            self.sent.as_ref().and_then(|s| s.again),
            self.rekey,
            self.expires,
            self.dpd.as_ref().map(Dpd::deadline),
            self.nat_keepalive,
            self.nodes.front().map(|(at, _)| *at),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_are_remembered_and_bounded() {
        let mut ids = MessageIds::default();
        assert!(ids.insert(1) && !ids.insert(1) && ids.contains(1));
        for id in 2..=65_537 {
            ids.insert(id);
        }
        assert!(!ids.contains(1) && ids.contains(2) && ids.known.len() == REMEMBERED);
    }
}
