//! Why a packet was lost: the one vocabulary of dataplane, control plane, world and reports.
//!
//! A cause names what a node (a router, a host or a segment) decided about one packet. Every drop has exactly one.

use std::fmt;
use std::str::FromStr;

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// Why a packet was lost. `name()` is stable: JSON, tables and tests use it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Cause { $($(#[doc = $doc])+ $variant,)+ }

        impl Cause {
            /// Every cause, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name, in kebab case.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What the cause means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

causes! {
    /// The headers are not what they claim to be: truncated, wrong version, impossible length.
    Malformed => "malformed",
    /// The IPv4 header checksum is wrong.
    Checksum => "checksum",
    /// The link-layer protocol is none that this node speaks.
    UnknownEthertype => "unknown-ethertype",
    /// The frame was addressed to another station.
    NotForUs => "not-for-us",
    /// The TTL or hop limit ran out here (RFC 1812 section 5.3.1).
    TtlExpired => "ttl-expired",
    /// No route to the destination.
    NoRoute => "no-route",
    /// Its route leads to Null0, where packets are discarded by design.
    NullRoute => "null-route",
    /// The next hop's link address is not known yet (ARP is asking).
    NoNeighbour => "no-neighbour",
    /// Arrived for one of the node's own addresses where nothing listens.
    NoListener => "no-listener",
    /// An IP packet too big for the link with DF set (RFC 1191), or for the path MTU of its tunnel.
    TooBig => "too-big",
    /// The packet leaves no room for an outer header: with it, it would exceed 65,535 bytes.
    NoRoom => "no-room",
    /// Fragments of one packet did not all arrive in time.
    ReassemblyTimeout => "reassembly-timeout",
    /// The memory bound of reassembly was reached.
    ReassemblyOverflow => "reassembly-overflow",
    /// Fragments that overlap or contradict one another (RFC 5722, RFC 1858).
    ReassemblyConflict => "reassembly-conflict",
    /// An access list or selector says discard.
    PolicyDiscard => "policy-discard",
    /// Arrived in clear although policy protects it.
    PolicyCleartext => "policy-cleartext",
    /// Decapsulated, but not what the SA's selector allows; or the peers' access lists do not mirror each other.
    PolicyMismatch => "policy-mismatch",
    /// Policy protects it and there is no SA yet: negotiation is under way.
    NoSa => "no-sa",
    /// Waited for an SA in a bounded queue that was full or gave up.
    SaQueue => "sa-queue",
    /// Negotiation failed: the peers share no proposal.
    NoProposal => "no-proposal",
    /// Negotiation failed: the peers do not authenticate each other (pre-shared keys differ).
    Authentication => "authentication-failed",
    /// Policy protects it, and this router is not the active one of its redundancy group.
    Standby => "standby",
    /// ESP with an SPI that no inbound SA here has.
    UnknownSpi => "unknown-spi",
    /// The ICV does not match.
    Integrity => "integrity",
    /// The sequence number was seen before, or lies left of the window.
    Replay => "replay",
    /// Opened, but its padding or next header is impossible.
    BadPadding => "bad-padding",
    /// Marked congestion-experienced on the way although its sender does not speak ECN (RFC 6040 section 4.2).
    Ecn => "ecn",
    /// The SA's hard lifetime is over.
    LifetimeExpired => "lifetime-expired",
    /// The SA's sequence numbers are used up.
    SequenceExhausted => "sequence-exhausted",
    /// A dummy packet (RFC 4303 section 2.6): discarded by design.
    Dummy => "dummy",
    /// A queue on the way was full: a segment's, or an interface's.
    QueueFull => "queue-full",
    /// A ring between cores was full.
    RingFull => "ring-full",
    /// No free frame in the pool.
    NoFrame => "no-frame",
    /// The interface it should leave by, or arrive at, is down.
    InterfaceDown => "interface-down",
    /// The node is switched off.
    NodeDown => "node-down",
    /// The segment is cut.
    SegmentDown => "segment-down",
    /// The segment's impairment lost it.
    SegmentLoss => "segment-loss",
    /// The switch port came up but does not forward yet.
    PortBlocked => "port-blocked",
    /// The frame's station is nowhere on the segment.
    NoStation => "no-station",
    /// Arrived at another place than the one it was meant for.
    Misdelivered => "misdelivered",
    /// Arrived with other bytes than were offered.
    Corrupted => "corrupted",
    /// Lost on a real network, where nobody saw it happen.
    Unseen => "unseen",
    /// Still under way when the run ended.
    EndOfRun => "end-of-run",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is the name of no cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no cause of loss")]
pub struct NoCause(String);

impl FromStr for Cause {
    type Err = NoCause;
    fn from_str(s: &str) -> Result<Self, NoCause> {
        Self::ALL.iter().copied().find(|c| c.name() == s).ok_or_else(|| NoCause(s.to_owned()))
    }
}

/// How many packets were lost to each cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CauseCounts([u64; Cause::ALL.len()]);

impl CauseCounts {
    /// Count one.
    pub fn add(&mut self, cause: Cause) {
        self.add_many(cause, 1);
    }

    /// Count `n`.
    pub fn add_many(&mut self, cause: Cause, n: u64) {
        self.0[cause as usize] += n;
    }

    /// Packets lost to `cause`.
    pub fn count(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Packets lost to any cause.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The causes that lost something, in the order of [`Cause::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL.iter().map(|c| (*c, self.count(*c))).filter(|(_, n)| *n > 0)
    }
}

impl Default for CauseCounts {
    fn default() -> Self {
        Self([0; Cause::ALL.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for c in Cause::ALL {
            assert_eq!(c.name().parse(), Ok(*c));
            assert!(c.meaning().ends_with('.'), "{c}");
        }
        assert!("".parse::<Cause>().is_err());
    }
}
