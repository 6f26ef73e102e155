//! `crypto ipsec …` and `crypto map …` as configured.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::Transform;
use espalier_wire::plane::DfBit;

use super::{Group, InterfaceName};
use crate::ios::text::Place;

/// All of `crypto ipsec`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ipsec {
    /// `crypto ipsec security-association lifetime seconds` (120 to 86400).
    pub lifetime_s: Option<u32>,
    /// `crypto ipsec security-association lifetime kilobytes`.
    pub lifetime_kb: Option<KilobyteLifetime>,
    /// `crypto ipsec security-association replay`.
    pub replay: Option<ReplayWindow>,
    /// `crypto ipsec transform-set`, in order.
    pub transform_sets: Vec<TransformSet>,
    /// `crypto ipsec df-bit`.
    pub df_bit: Option<DfBit>,
    /// `crypto ipsec nat-transparency udp-encapsulation` (on unless `no`).
    pub nat_transparency: Option<bool>,
}

/// How much an SA may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KilobyteLifetime {
    /// `disable`: any amount.
    Disabled,
    /// Kilobytes (2560 to 536870912).
    Kilobytes(u32),
}

/// The anti-replay window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayWindow {
    /// `disable`.
    Disabled,
    /// Packets: 64, 128, 256, 512 or 1024.
    Packets(u16),
}

/// `crypto ipsec transform-set NAME …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformSet {
    /// Its name.
    pub name: String,
    /// What its words mean together.
    pub transform: Transform,
    /// `mode`.
    pub mode: Option<TransformMode>,
    /// Where it is defined.
    pub place: Place,
}

/// `mode` under a transform set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransformMode {
    /// Tunnel: the default.
    Tunnel,
    /// Transport where the traffic is the peers' own, tunnel otherwise.
    Transport,
    /// `transport require`: transport or nothing.
    TransportRequired,
}

/// `crypto map NAME …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CryptoMap {
    /// Its name.
    pub name: String,
    /// `crypto map NAME local-address INTERFACE`.
    pub local_address: Option<InterfaceName>,
    /// The entries by sequence number, the lowest tried first.
    pub entries: BTreeMap<u16, CryptoMapEntry>,
    /// Where it is first mentioned.
    pub place: Place,
}

/// `crypto map NAME N ipsec-isakmp`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CryptoMapEntry {
    /// `description`.
    pub description: Option<String>,
    /// `set peer`, in order of preference.
    pub peers: Vec<Ipv4Addr>,
    /// `set security-association lifetime seconds`.
    pub lifetime_s: Option<u32>,
    /// `set security-association lifetime kilobytes`.
    pub lifetime_kb: Option<KilobyteLifetime>,
    /// `set security-association replay`.
    pub replay: Option<ReplayWindow>,
    /// `set transform-set`: names, in order of preference.
    pub transform_sets: Vec<String>,
    /// `set pfs`.
    pub pfs: Option<Group>,
    /// `match address`: the name of an access list.
    pub access_list: Option<String>,
    /// `reverse-route`.
    pub reverse_route: Option<ReverseRoute>,
    /// Where the entry begins.
    pub place: Place,
    /// Where `set transform-set` stands.
    pub transform_sets_place: Place,
    /// Where `match address` stands.
    pub access_list_place: Place,
}

/// `reverse-route [static] [remote-peer A]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReverseRoute {
    /// `static`: routes stay whether or not there are SAs.
    pub is_static: bool,
    /// `remote-peer A`: via this next hop instead of the peer.
    pub remote_peer: Option<Ipv4Addr>,
    /// `remote-peer A gateway` or `… static` of older IOS: with a host route to the peer as well.
    pub gateway: bool,
    /// `tag`.
    pub tag: Option<u32>,
}

impl Ipsec {
    /// Lifetime in seconds; an hour by default.
    pub fn lifetime_s(&self) -> u32 {
        self.lifetime_s.unwrap_or(3600)
    }

    /// Lifetime in kilobytes; 4608000 by default; `None` when disabled.
    pub fn lifetime_kb(&self) -> Option<u32> {
        self.lifetime_kb.unwrap_or(KilobyteLifetime::Kilobytes(4_608_000)).kilobytes()
    }

    /// Packets of the anti-replay window; 64 by default; 0 when disabled.
    pub fn replay_window(&self) -> u16 {
        self.replay.unwrap_or(ReplayWindow::Packets(64)).packets()
    }

    /// What becomes of DF; the inner one by default.
    pub fn df_bit(&self) -> DfBit {
        self.df_bit.unwrap_or_default()
    }

    /// Whether NAT traversal is offered (RFC 3947); on by default.
    pub fn nat_transparency(&self) -> bool {
        self.nat_transparency.unwrap_or(true)
    }
}

impl CryptoMapEntry {
    /// Lifetime in seconds, `ipsec`'s by default.
    pub fn lifetime_s(&self, ipsec: &Ipsec) -> u32 {
        self.lifetime_s.unwrap_or_else(|| ipsec.lifetime_s())
    }

    /// Lifetime in kilobytes, `ipsec`'s by default; `None` when disabled.
    pub fn lifetime_kb(&self, ipsec: &Ipsec) -> Option<u32> {
        self.lifetime_kb.map_or_else(|| ipsec.lifetime_kb(), KilobyteLifetime::kilobytes)
    }

    /// Packets of the anti-replay window, `ipsec`'s by default; 0 when disabled.
    pub fn replay_window(&self, ipsec: &Ipsec) -> u16 {
        self.replay.map_or_else(|| ipsec.replay_window(), ReplayWindow::packets)
    }

    /// Whether it can negotiate: peer, transform set and access list are there. IOS calls an entry without "incomplete".
    pub fn is_complete(&self) -> bool {
        !self.peers.is_empty() && !self.transform_sets.is_empty() && self.access_list.is_some()
    }
}

impl KilobyteLifetime {
    /// Kilobytes; `None` when disabled.
    pub const fn kilobytes(self) -> Option<u32> {
        match self {
            Self::Disabled => None,
            Self::Kilobytes(kb) => Some(kb),
        }
    }
}

impl ReplayWindow {
    /// Packets; 0 when disabled.
    pub const fn packets(self) -> u16 {
        match self {
            Self::Disabled => 0,
            Self::Packets(packets) => packets,
        }
    }
}

impl TransformSet {
    /// The mode; tunnel by default.
    pub fn mode(&self) -> TransformMode {
        self.mode.unwrap_or(TransformMode::Tunnel)
    }
}
