//! IKEv1: main mode and quick mode with pre-shared keys, as one value per router (RFC 2407, 2408, 2409, 3706, 3947).
//!
//! ```text
//!  Need, soft lifetime ──> entry wants an SA ──> is there a phase 1 with the peer?
//!                                                  │ no: main mode            [main_mode, phase1]
//!                                                  ▼
//!                                                quick mode                   [quick, quick_reply]
//!                                                  ▼
//!                                    a pair of SAs: installed, swapped, dropped   [pairs]
//!  meanwhile: keepalives [dpd], DELETEs and notifications [informational], expiry and rekey [timers]
//! ```
//!
//! It knows addresses, not interfaces; entries (what may be negotiated, from which address) come and go by events, so
//! that redundancy is somebody else's affair. It touches no packet but IKE's own: SAs go out as
//! [`espalier_wire::plane::Command`]s.

pub mod config;
mod crypt;
mod dpd;
mod entries;
mod event;
mod group;
mod ids;
mod informational;
mod keys;
mod main_mode;
mod nat;
mod offer;
mod pairs;
mod phase1;
mod primes;
mod quick;
mod quick_reply;
pub mod show;
#[cfg(test)]
mod tests;
mod timers;
pub mod trace;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use espalier_wire::ike::{Chain, Cookie, ExchangeKind, Header};
use espalier_wire::plane::PolicyId;
use espalier_wire::random::Random;
use espalier_wire::{Duration, Instant, Spi};

use crate::Machine;
pub use config::{Config, Entry, IsakmpPolicy, Keepalive, PeerKey};
pub use crypt::{Encryption, Hash};
use dpd::Dpd;
use entries::EntryState;
pub use event::{Action, Event, Rejection, Why};
pub use group::Group;
use pairs::Pair;
pub use phase1::MainMode;
use phase1::Phase1;
use quick::Quick;
pub use trace::Trace;

/// The port of ISAKMP (RFC 2408 section 2.5.1).
pub const PORT: u16 = 500;
/// The port behind NATs (RFC 3947 section 4).
pub const NAT_PORT: u16 = 4500;

/// IKE's number of an ISAKMP SA: IOS's C-id, the smallest free from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

/// What every handler may use besides the tables.
#[derive(Debug)]
struct Env {
    config: Config,
    random: Random,
    rejected: BTreeMap<Rejection, u64>,
}

/// When, and where the consequences go.
struct Cx<'a> {
    now: Instant,
    actions: &'a mut Vec<Action>,
}

impl Cx<'_> {
    fn trace(&mut self, trace: Trace) {
        self.actions.push(Action::Trace(trace));
    }

    fn isakmp(&mut self, id: ConnectionId, what: trace::Isakmp) {
        self.trace(Trace::Isakmp { id, what });
    }
}

/// One router's IKE.
#[derive(Debug)]
pub struct Ike {
    env: Env,
    entries: BTreeMap<PolicyId, EntryState>,
    phase1: BTreeMap<ConnectionId, Phase1>,
    /// Quick modes under way, and finished ones whose last message may have to be sent again.
    quick: BTreeMap<(ConnectionId, u32), Quick>,
    /// Pairs of SAs by the conn id of the inbound one.
    pairs: BTreeMap<u32, Pair>,
    /// The last INVALID-SPI told, and when: packets of that SPI come faster than the peer can heed it.
    told: Option<(Spi, Instant)>,
}

/// An SPI is called invalid again after this long.
const TELL_AGAIN: Duration = Duration::from_s(1);

/// One message, opened as far as its header.
struct Received<'a> {
    local: SocketAddrV4,
    remote: SocketAddrV4,
    header: Header,
    body: &'a [u8],
    /// The whole message, to recognise a duplicate.
    message: &'a [u8],
}

impl Ike {
    /// A router's IKE with no entries. Cookies, nonces, keys, SPIs and jitter come from `random`.
    pub fn new(config: Config, random: Random) -> Self {
        Self {
            env: Env { config, random, rejected: BTreeMap::new() },
            entries: BTreeMap::new(),
            phase1: BTreeMap::new(),
            quick: BTreeMap::new(),
            pairs: BTreeMap::new(),
            told: None,
        }
    }

    /// What it was configured with.
    pub fn config(&self) -> &Config {
        &self.env.config
    }

    /// Change the configuration; SAs that stand are left standing.
    pub fn configure(&mut self, config: Config) {
        self.env.config = config;
    }

    /// Messages refused, by reason.
    pub fn rejected(&self) -> impl Iterator<Item = (Rejection, u64)> + '_ {
        self.env.rejected.iter().map(|(r, n)| (*r, *n))
    }

    fn packet(&mut self, cx: &mut Cx<'_>, local: SocketAddrV4, remote: SocketAddrV4, payload: &[u8]) {
        let message = if local.port() == NAT_PORT {
            // RFC 3948 section 2.2 and 2.3: four zero bytes before IKE, 0xff alone is a NAT keepalive.
            match payload.strip_prefix(&[0, 0, 0, 0]) {
                Some(message) => message,
                None if payload == [0xff] => return,
                None => return self.env.reject(Rejection::Malformed),
            }
        } else {
            payload
        };
        let Ok((header, body)) = Header::read(message) else {
            return self.env.reject(Rejection::Malformed);
        };
        let received = Received { local, remote, header, body, message };
        let result = match header.exchange.kind {
            ExchangeKind::MAIN_MODE => self.main_mode(cx, &received),
            ExchangeKind::QUICK_MODE => self.quick_mode(cx, &received),
            ExchangeKind::INFORMATIONAL => self.informational(cx, &received),
            ExchangeKind(_) => Err(Rejection::UnsupportedExchange),
        };
        if let Err(reason) = result {
            self.env.reject(reason);
        }
    }

    /// The ISAKMP SA with these cookies and this peer.
    fn find(&self, r: &Received<'_>) -> Option<ConnectionId> {
        let e = &r.header.exchange;
        let matches = |p: &&Phase1| {
            p.cookies.0 == e.initiator
                && p.remote.ip() == r.remote.ip()
                && p.local.ip() == r.local.ip()
                && (p.cookies.1 == e.responder
                    // The answer to our first message brings the responder's cookie; a copy of the first message
                    // still lacks it (RFC 2408 section 3.1).
                    || (p.state == MainMode::SaSent && e.responder != Cookie::NONE)
                    || (!p.initiator() && e.responder == Cookie::NONE))
        };
        self.phase1.values().find(matches).map(|p| p.id)
    }

    /// The newest established ISAKMP SA between two addresses.
    fn established(&self, local: Ipv4Addr, peer: Ipv4Addr) -> Option<ConnectionId> {
        let between = self.phase1.values().filter(|p| p.is_between(local, peer) && p.is_established());
        between.max_by_key(|p| (p.established, p.id)).map(|p| p.id)
    }

    fn free_connection(&self) -> ConnectionId {
        let mut id = ConnectionId(1);
        while self.phase1.contains_key(&id) {
            id.0 += 1;
        }
        id
    }
}

impl Env {
    fn reject(&mut self, reason: Rejection) {
        *self.rejected.entry(reason).or_default() += 1;
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut out = vec![0; length];
        self.random.fill(&mut out);
        out
    }

    fn cookie(&mut self) -> Cookie {
        // A cookie of zeros means "none yet".
        Cookie(self.random.u64().max(1).to_be_bytes())
    }
}

/// Open and check the chain of a message in clear.
fn clear_chain<'a>(r: &Received<'a>) -> Result<Chain<'a>, Rejection> {
    if r.header.flags.encryption {
        return Err(Rejection::Unexpected);
    }
    Chain::new_checked(r.header.first, r.body).map_err(|_| Rejection::Malformed)
}

impl Machine for Ike {
    type Event = Event;
    type Action = Action;

    fn on(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        let cx = &mut Cx { now, actions };
        match event {
            Event::EntryUp(entry) => self.entry_up(*entry),
            Event::EntryDown { policy, notify } => self.entry_down(cx, policy, notify),
            Event::Packet { local, remote, payload } => self.packet(cx, local, remote, &payload),
            Event::Need { policy } => self.need(cx, policy),
            Event::Expiry { policy, spi, direction, expiry } => {
                self.expiry(cx, policy, spi, direction, expiry);
            }
            Event::UnknownSpi { spi, src, dst } => self.unknown_spi(cx, spi, src, dst),
            Event::PeerSeen { policy } => self.traffic(cx, policy, true),
            Event::PeerAddressed { policy } => self.traffic(cx, policy, false),
            Event::ClearSa => self.clear(cx, Why::Cleared),
            Event::Shutdown => self.clear(cx, Why::Shutdown),
        }
    }

    fn timer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.fire(&mut Cx { now, actions });
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline()
    }
}
