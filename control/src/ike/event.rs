//! What IKE hears and what it wants done.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use espalier_wire::plane::{Command, Direction, Expiry, PolicyId};
use espalier_wire::{Cause, Spi};

use super::config::Entry;
use super::trace::Trace;

/// What can happen to a router's IKE.
#[derive(Debug, Clone)]
pub enum Event {
    /// This entry may negotiate from now on. One with the same policy is replaced; its SAs stay.
    EntryUp(Box<Entry>),
    /// This entry may no longer negotiate, and its SAs go.
    EntryDown {
        /// Which.
        policy: PolicyId,
        /// Whether the peer is told (DELETE, from the entry's local address).
        notify: bool,
    },
    /// A UDP datagram for port 500 or 4500.
    Packet {
        /// Our address and port.
        local: SocketAddrV4,
        /// The sender's.
        remote: SocketAddrV4,
        /// The UDP payload; on 4500 with its non-ESP marker.
        payload: Vec<u8>,
    },
    /// Traffic wants the policy's SA.
    Need {
        /// Which.
        policy: PolicyId,
    },
    /// The dataplane says that an SA reached a limit.
    Expiry {
        /// The SA's policy.
        policy: PolicyId,
        /// Its SPI.
        spi: Spi,
        /// Inbound or outbound.
        direction: Direction,
        /// Which limit.
        expiry: Expiry,
    },
    /// ESP arrived with an SPI that nobody has.
    UnknownSpi {
        /// The SPI.
        spi: Spi,
        /// Its sender.
        src: Ipv4Addr,
        /// Our address.
        dst: Ipv4Addr,
    },
    /// Protected traffic arrived from the policy's peer (for on-demand keepalives).
    PeerSeen {
        /// Whose.
        policy: PolicyId,
    },
    /// Protected traffic went to the policy's peer (for on-demand keepalives).
    PeerAddressed {
        /// Whose.
        policy: PolicyId,
    },
    /// The operator clears every SA; peers are told.
    ClearSa,
    /// The router goes down in good order; peers are told.
    Shutdown,
}

/// Why SAs went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Their lifetime ended.
    Expired,
    /// The peer no longer answers keepalives.
    PeerDead,
    /// The peer deleted them.
    Deleted,
    /// The peer said INITIAL-CONTACT.
    InitialContact,
    /// The peer does not know their SPI.
    InvalidSpi,
    /// The operator cleared them.
    Cleared,
    /// The entry was taken away.
    Withdrawn,
    /// The router shuts down.
    Shutdown,
}

/// What a router's IKE wants done.
#[derive(Debug, Clone)]
pub enum Action {
    /// Send a UDP datagram.
    Send {
        /// From this address and port.
        local: SocketAddrV4,
        /// To this one.
        remote: SocketAddrV4,
        /// The UDP payload, non-ESP marker included.
        payload: Vec<u8>,
    },
    /// Tell the dataplane.
    Command(Command),
    /// A policy has an outbound SA now: the first, or another in place of an older one.
    Up {
        /// Which.
        policy: PolicyId,
        /// With whom.
        peer: Ipv4Addr,
        /// The new inbound SPI.
        inbound: Spi,
        /// The new outbound SPI.
        outbound: Spi,
        /// Whether it takes over from an older pair that still stands.
        rekey: bool,
    },
    /// A policy has no SA any more.
    Down {
        /// Which.
        policy: PolicyId,
        /// Why.
        why: Why,
    },
    /// A negotiation for the policy failed: what its packets are lost to meanwhile.
    Failed {
        /// Which.
        policy: PolicyId,
        /// `NoProposal`, `Authentication`, `PolicyMismatch` or `NoSa`.
        cause: Cause,
    },
    /// Something worth a debug or log line, or a key for a capture's reader.
    Trace(Trace),
}

/// Why a message was refused. Counted, never answered but where an RFC says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// Not ISAKMP, or its lengths do not fit.
    Malformed,
    /// An exchange this project does not speak (aggressive mode, IKEv2).
    UnsupportedExchange,
    /// No SA has these cookies.
    UnknownCookies,
    /// No pre-shared key for the sender.
    NoKey,
    /// Nothing to expect in this state.
    Unexpected,
    /// A copy of the last message: answered with a copy of the last reply.
    Duplicate,
    /// A message id that was used before.
    UsedMessageId,
    /// Decrypted, it makes no sense: another key, or damage.
    Undecipherable,
    /// Its HASH is wrong.
    WrongHash,
    /// A key exchange value that is no element of the group, or a nonce of an impossible length.
    BadKeyExchange,
    /// No proposal that both accept.
    NoProposal,
    /// Identities that no entry mirrors.
    PolicyMismatch,
    /// A notification in clear, good for a hint at most.
    Unauthenticated,
    /// A keepalive whose sequence number is not the expected one.
    Sequence,
    /// Too many half-open negotiations: the oldest was given up.
    HalfOpen,
}

impl Rejection {
    /// The stable name, in kebab case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnsupportedExchange => "unsupported-exchange",
            Self::UnknownCookies => "unknown-cookies",
            Self::NoKey => "no-key",
            Self::Unexpected => "unexpected",
            Self::Duplicate => "duplicate",
            Self::UsedMessageId => "used-message-id",
            Self::Undecipherable => "undecipherable",
            Self::WrongHash => "wrong-hash",
            Self::BadKeyExchange => "bad-key-exchange",
            Self::NoProposal => "no-proposal",
            Self::PolicyMismatch => "policy-mismatch",
            Self::Unauthenticated => "unauthenticated",
            Self::Sequence => "sequence",
            Self::HalfOpen => "half-open",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
