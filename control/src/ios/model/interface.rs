//! `interface …` and what stands under it. HSRP's part is in `standby`.

use espalier_wire::Ipv4Prefix;
use espalier_wire::plane::{DfBit, Secret};

use super::{Area, InterfaceName, Standby};
use crate::ios::text::Place;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: InterfaceName,
    /// Where it is first mentioned.
    pub place: Place,
    /// `description`.
    pub description: Option<String>,
    /// `ip address A M`: the address with the length of its prefix.
    pub address: Option<Ipv4Prefix>,
    /// Where the address is set.
    pub address_place: Place,
    /// `ip address A M secondary`, in order.
    pub secondary: Vec<Ipv4Prefix>,
    /// `shutdown`.
    pub shutdown: bool,
    /// `mtu`, bytes of an IP packet (64 to 9216).
    pub mtu: Option<u16>,
    /// `ip mtu`, bytes of an IP packet (68 to 9216).
    pub ip_mtu: Option<u16>,
    /// `bandwidth`, kbit/s.
    pub bandwidth_kbps: Option<u32>,
    /// `delay`, tens of microseconds: a metric, no actual delay.
    pub delay_10us: Option<u32>,
    /// `duplex`.
    pub duplex: Option<Duplex>,
    /// `speed`.
    pub speed: Option<Speed>,
    /// `ip unreachables` (on unless `no`).
    pub unreachables: Option<bool>,
    /// `standby …`.
    pub standby: Standby,
    /// `ip ospf …`.
    pub ospf: InterfaceOspf,
    /// `crypto map …`.
    pub crypto_map: Option<CryptoMapBinding>,
    /// `crypto ipsec df-bit`, over the global one.
    pub df_bit: Option<DfBit>,
}

/// `crypto map NAME [redundancy GROUP]` under an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptoMapBinding {
    /// The crypto map.
    pub map: String,
    /// The HSRP group whose virtual address the map takes and whose Active router it serves.
    pub redundancy: Option<String>,
    /// Where it is bound.
    pub place: Place,
}

/// `duplex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the word of the command")]
pub enum Duplex {
    Auto,
    Full,
    Half,
}

/// `speed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// Negotiated.
    Auto,
    /// Mbit/s: 10, 100 or 1000.
    Mbps(u16),
}

/// `ip ospf …` under an interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterfaceOspf {
    /// `ip ospf N area A`: process and area, over any `network` of the process.
    pub process: Option<(u16, Area)>,
    /// `ip ospf cost` (1 to 65535).
    pub cost: Option<u16>,
    /// `ip ospf hello-interval`, seconds.
    pub hello_interval_s: Option<u16>,
    /// `ip ospf dead-interval`, seconds.
    pub dead_interval_s: Option<u16>,
    /// `ip ospf retransmit-interval`, seconds.
    pub retransmit_interval_s: Option<u16>,
    /// `ip ospf transmit-delay`, seconds.
    pub transmit_delay_s: Option<u16>,
    /// `ip ospf priority`.
    pub priority: Option<u8>,
    /// `ip ospf network`.
    pub network: Option<OspfNetworkType>,
    /// `ip ospf mtu-ignore`.
    pub mtu_ignore: bool,
    /// `ip ospf authentication`, over the area's.
    pub authentication: Option<OspfAuthentication>,
    /// `ip ospf authentication-key`: the password of simple authentication.
    pub password: Option<Secret>,
    /// `ip ospf message-digest-key N md5 KEY`, in order; the one configured last is used.
    pub digest_keys: Vec<(u8, Secret)>,
    /// Where the last of these is set.
    pub place: Place,
}

/// `ip ospf authentication` and `area A authentication` (RFC 2328 appendix D).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OspfAuthentication {
    /// `null`.
    Null,
    /// A password in clear.
    Simple,
    /// `message-digest`: keyed MD5.
    MessageDigest,
}

/// `ip ospf network`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the word of the command")]
pub enum OspfNetworkType {
    Broadcast,
    PointToPoint,
}

impl Interface {
    /// An interface of which nothing but the name is said: up, without an address.
    pub fn new(name: InterfaceName, place: Place) -> Self {
        Self {
            name,
            place,
            description: None,
            address: None,
            address_place: Place::default(),
            secondary: Vec::new(),
            shutdown: false,
            mtu: None,
            ip_mtu: None,
            bandwidth_kbps: None,
            delay_10us: None,
            duplex: None,
            speed: None,
            unreachables: None,
            standby: Standby::default(),
            ospf: InterfaceOspf::default(),
            crypto_map: None,
            df_bit: None,
        }
    }

    /// The primary address and the secondary ones.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Prefix> + '_ {
        self.address.iter().chain(&self.secondary).copied()
    }

    /// Bytes of the longest IP packet that leaves whole; 1500 by default.
    pub fn ip_mtu(&self) -> u16 {
        let mtu = self.mtu.unwrap_or(1500);
        self.ip_mtu.unwrap_or(mtu).min(mtu)
    }

    /// Bits per second as metrics see it: `bandwidth`, or `speed`, or what the kind has.
    pub fn bandwidth_bps(&self) -> u64 {
        match (self.bandwidth_kbps, self.speed) {
            (Some(kbps), _) => u64::from(kbps) * 1000,
            (None, Some(Speed::Mbps(mbps))) => u64::from(mbps) * 1_000_000,
            _ => self.name.kind().bandwidth_bps(),
        }
    }

    /// Whether ICMP unreachables leave through it; on by default.
    pub fn unreachables(&self) -> bool {
        self.unreachables.unwrap_or(true)
    }

    /// OSPF cost: the configured one, or reference bandwidth by bandwidth, 1 at least. A loopback comes out as 1, as
    /// IOS has it.
    pub fn ospf_cost(&self, reference_mbps: u32) -> u16 {
        let derived = u64::from(reference_mbps) * 1_000_000 / self.bandwidth_bps().max(1);
        self.ospf.cost.unwrap_or_else(|| u16::try_from(derived.max(1)).unwrap_or(u16::MAX))
    }
}

impl InterfaceOspf {
    /// Seconds between Hellos; 10 by default (broadcast and point-to-point alike).
    pub fn hello_interval_s(&self) -> u16 {
        self.hello_interval_s.unwrap_or(10)
    }

    /// Seconds of silence after which a neighbour is down; four hello intervals by default.
    pub fn dead_interval_s(&self) -> u16 {
        self.dead_interval_s.unwrap_or_else(|| self.hello_interval_s().saturating_mul(4))
    }

    /// Seconds between retransmissions; 5 by default.
    pub fn retransmit_interval_s(&self) -> u16 {
        self.retransmit_interval_s.unwrap_or(5)
    }

    /// Seconds that an LSA ages on this link; 1 by default.
    pub fn transmit_delay_s(&self) -> u16 {
        self.transmit_delay_s.unwrap_or(1)
    }

    /// Priority in the election of the designated router; 1 by default.
    pub fn priority(&self) -> u8 {
        self.priority.unwrap_or(1)
    }

    /// The network type; broadcast by default (Ethernet).
    pub fn network(&self) -> OspfNetworkType {
        self.network.unwrap_or(OspfNetworkType::Broadcast)
    }
}
