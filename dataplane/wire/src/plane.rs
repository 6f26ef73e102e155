//! What the control plane tells the dataplane ([`Command`]) and what it hears back ([`Notice`], [`Counters`]).
//!
//! Commands are taken between batches, in order. A rekey is `InstallInbound`, then `SwapOutbound`, and later
//! `DropInbound` of the old SA: its order is visible in the commands and nowhere else.

use std::fmt;
use std::net::IpAddr;

use crate::{Cause, Duration, IfIndex, Mac, Prefix, Spi, Transform};

/// Key bytes: zeroised on drop, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<Vec<u8>>);

impl Secret {
    /// Take `bytes` in.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Which way a packet goes through an SA, seen from the node that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Encapsulated here.
    Outbound,
    /// Decapsulated here.
    Inbound,
}

/// Tunnel or transport mode (RFC 4303 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A whole IP packet inside another.
    Tunnel,
    /// ESP between the packet's own IP header and its payload.
    Transport,
}

/// What the outer header's DF bit becomes (RFC 4301 section 8.1; IOS `crypto ipsec df-bit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DfBit {
    /// The inner header's.
    #[default]
    Copy,
    /// Always set.
    Set,
    /// Always clear.
    Clear,
}

/// When a packet is too big for the tunnel's path MTU and may be fragmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Fragmentation {
    /// Fragment the inner packet, then seal each fragment (IOS's default).
    #[default]
    BeforeEncryption,
    /// Seal the whole packet, then fragment the outer one.
    AfterEncryption,
}

/// UDP ports of RFC 3948 encapsulation, as seen from the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub struct UdpPorts {
    pub src: u16,
    pub dst: u16,
}

/// An inclusive range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub struct PortRange {
    pub low: u16,
    pub high: u16,
}

impl PortRange {
    /// Every port, and packets that have none (other protocols, later fragments).
    pub const ANY: Self = Self { low: 0, high: u16::MAX };

    /// Just one port.
    pub const fn one(port: u16) -> Self {
        Self { low: port, high: port }
    }

    /// Whether `port` lies in the range.
    pub const fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }
}

/// Which packets: the five fields of RFC 4301 section 4.4.1.1, source and destination as the *sender* of the packet
/// sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub struct Selector {
    pub src: Prefix,
    pub dst: Prefix,
    /// IP protocol number; `None` is any.
    pub protocol: Option<u8>,
    pub src_ports: PortRange,
    pub dst_ports: PortRange,
}

impl Selector {
    /// All protocols and ports between two prefixes.
    pub const fn between(src: Prefix, dst: Prefix) -> Self {
        Self { src, dst, protocol: None, src_ports: PortRange::ANY, dst_ports: PortRange::ANY }
    }

    /// The same packets seen from the other side: the mirror entry of an access list.
    pub const fn mirrored(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            protocol: self.protocol,
            src_ports: self.dst_ports,
            dst_ports: self.src_ports,
        }
    }
}

/// One entry of a crypto policy on one router; what SAs are bound to. The control plane numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u32);

/// What a policy rule does with its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// Send in clear.
    Bypass,
    /// Lose them.
    Discard,
    /// Send through the policy's outbound SA.
    Protect(PolicyId),
}

/// One rule of an interface's outbound policy; the first that matches wins, and what none matches is sent in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Rule {
    pub selector: Selector,
    pub action: RuleAction,
}

/// What becomes of a policy's packets while it has no outbound SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unprotected {
    /// What they are lost to: `NoSa`, `Standby`, `NoProposal`, `Authentication` …
    pub cause: Cause,
    /// Whether each of them is a reason to tell the control plane [`Notice::NeedSa`].
    pub ask: bool,
    /// How many may wait for an SA instead; 0, as IOS, loses them at once.
    pub queue: u16,
}

/// A lifetime in time, in bytes, or both; `None` never ends. Bytes count what the SA protected (RFC 2407 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "names say it")]
pub struct Limit {
    pub time: Option<Duration>,
    pub bytes: Option<u64>,
}

/// When an SA asks to be replaced (soft) and when it ends (hard), counted from its installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "names say it")]
pub struct Lifetime {
    pub soft: Limit,
    pub hard: Limit,
}

/// Everything a security association is made of. Addresses are those of the outer header as it is on the wire: an
/// inbound SA's `dst` is our own address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaSpec {
    /// Security parameters index: ours for inbound, the peer's for outbound.
    pub spi: Spi,
    /// Outer source.
    pub src: IpAddr,
    /// Outer destination.
    pub dst: IpAddr,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Cipher and integrity.
    pub transform: Transform,
    /// The cipher's key, then its salt: [`Transform::key_len`] bytes.
    pub key: Secret,
    /// The integrity key: [`Transform::auth_key_len`] bytes.
    pub auth_key: Secret,
    /// Extended (64-bit) sequence numbers.
    pub esn: bool,
    /// Anti-replay window in packets, 0 to 8192; 0 is off. Inbound only.
    pub replay_window: u32,
    /// RFC 3948 encapsulation.
    pub udp_encap: Option<UdpPorts>,
    /// What may be inside, as the packet's sender sees it: checked after decapsulation. `None`: anything.
    pub selector: Option<Selector>,
    /// Path MTU of the tunnel in bytes of outer packet; `None`: do not fragment here.
    pub mtu: Option<u16>,
    /// The outer DF bit. Outbound tunnel mode only.
    pub df_bit: DfBit,
    /// Fragment before or after encryption.
    pub fragmentation: Fragmentation,
    /// Soft and hard lifetime.
    pub lifetime: Lifetime,
}

/// A resolved way out: the interface, and the neighbour on it (`None`: the destination itself is on the link).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub struct NextHop {
    pub iface: IfIndex,
    pub via: Option<IpAddr>,
}

/// An interface as the dataplane sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Interface {
    pub index: IfIndex,
    pub mac: Mac,
    /// Bytes of IP packet that fit.
    pub mtu: u16,
    pub up: bool,
    /// Other unicast or group addresses whose frames are taken in (HSRP's virtual MAC, multicast groups).
    pub also_accepts: Vec<Mac>,
}

/// From the control plane to the dataplane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Create or change an interface.
    Interface(Interface),
    /// The node's own addresses, all of them: packets for these are punted (or, if ESP, decapsulated).
    LocalAddresses(Vec<IpAddr>),
    /// Replace an interface's outbound policy. Clear packets that arrive on it and match the mirror of a `Protect`
    /// rule are lost to `policy-cleartext`.
    Policy {
        /// Whose policy.
        iface: IfIndex,
        /// First match wins.
        rules: Vec<Rule>,
    },
    /// What becomes of a policy's packets while it has no outbound SA.
    Unprotected {
        /// The policy.
        policy: PolicyId,
        /// What becomes of its packets.
        state: Unprotected,
    },
    /// Add an inbound SA. A second one with the same SPI and destination replaces the first.
    InstallInbound {
        /// The policy it serves.
        policy: PolicyId,
        /// The SA.
        sa: Box<SaSpec>,
    },
    /// Remove an inbound SA.
    DropInbound {
        /// Its SPI.
        spi: Spi,
    },
    /// Make this the policy's outbound SA, in place of the one before.
    SwapOutbound {
        /// The policy.
        policy: PolicyId,
        /// The SA.
        sa: Box<SaSpec>,
    },
    /// Take the policy's outbound SA away if it still has this SPI.
    DropOutbound {
        /// The policy.
        policy: PolicyId,
        /// Its SPI.
        spi: Spi,
    },
    /// Add or replace a route. Several next hops share flows by a hash of addresses, protocol and ports.
    Route {
        /// Destination.
        prefix: Prefix,
        /// At least one.
        next_hops: Vec<NextHop>,
    },
    /// Remove a route.
    DropRoute {
        /// Destination.
        prefix: Prefix,
    },
    /// A neighbour's link address is known.
    Neighbour {
        /// On which interface.
        iface: IfIndex,
        /// Who.
        addr: IpAddr,
        /// Where.
        mac: Mac,
    },
    /// A neighbour's link address is no longer known.
    DropNeighbour {
        /// On which interface.
        iface: IfIndex,
        /// Who.
        addr: IpAddr,
    },
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// The soft lifetime, in time or bytes: time to replace the SA.
    Soft,
    /// The hard lifetime: the dataplane has dropped the SA.
    Hard,
    /// Nine tenths of the sequence numbers are used.
    Sequence,
}

/// From the dataplane to the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A packet wants the policy's outbound SA, and there is none. At most one a batch and policy.
    NeedSa {
        /// The policy.
        policy: PolicyId,
        /// The packet's source.
        src: IpAddr,
        /// The packet's destination.
        dst: IpAddr,
    },
    /// ESP arrived for one of our addresses with an SPI no SA has. At most one a batch and SPI.
    UnknownSpi {
        /// The SPI.
        spi: Spi,
        /// Who sent it.
        src: IpAddr,
        /// To which of our addresses.
        dst: IpAddr,
    },
    /// An SA reached a limit; each is told once.
    Expiry {
        /// The SA's policy.
        policy: PolicyId,
        /// The SA's SPI.
        spi: Spi,
        /// Inbound or outbound.
        direction: Direction,
        /// Which limit.
        expiry: Expiry,
    },
    /// A packet wants a neighbour whose link address is not known. At most one a batch and neighbour.
    NeedNeighbour {
        /// On which interface.
        iface: IfIndex,
        /// Who.
        addr: IpAddr,
    },
}

/// What one SA did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SaCounters {
    /// Packets sealed or opened.
    pub packets: u64,
    /// Bytes of IP packet inside them.
    pub bytes: u64,
    /// Lost to `integrity`.
    pub integrity: u64,
    /// Lost to `replay`.
    pub replay: u64,
    /// Lost to any other cause of the SA's own.
    pub other: u64,
}

/// What one interface did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "names say it")]
pub struct IfCounters {
    pub in_packets: u64,
    pub in_bytes: u64,
    pub out_packets: u64,
    pub out_bytes: u64,
}

/// A snapshot of a dataplane's counters, for `show` commands and reports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// By interface.
    pub interfaces: Vec<(IfIndex, IfCounters)>,
    /// By SA.
    pub sas: Vec<(Direction, Spi, SaCounters)>,
    /// By policy: packets lost for want of an outbound SA (IOS's `#send errors`).
    pub send_errors: Vec<(PolicyId, u64)>,
    /// By cause, over all.
    pub dropped: crate::cause::CauseCounts,
}
