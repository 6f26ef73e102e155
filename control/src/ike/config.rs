//! What a router's IKE is told once: policies, keys, keepalives and the settings of its behaviour. Not the parser of
//! IOS text, and not the crypto map: entries come and go as events.

use std::net::Ipv4Addr;

use espalier_wire::plane::{DfBit, Fragmentation, Mode, PolicyId, Secret, Selector};
use espalier_wire::{Duration, Ipv4Prefix, Transform};

use super::crypt::{Encryption, Hash};
use super::group::Group;
use crate::profile::OldSas;

/// One `crypto isakmp policy` with pre-shared keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IsakmpPolicy {
    /// `encr`.
    pub encryption: Encryption,
    /// `hash`.
    pub hash: Hash,
    /// `group`.
    pub group: Group,
    /// `lifetime`; whole seconds.
    pub lifetime: Duration,
}

impl Default for IsakmpPolicy {
    /// IOS 12.3's default policy: des, sha, group 1, a day.
    fn default() -> Self {
        Self {
            encryption: Encryption::Des,
            hash: Hash::Sha1,
            group: Group::Modp768,
            lifetime: Duration::from_s(86_400),
        }
    }
}

/// `crypto isakmp key SECRET address PEER [MASK]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerKey {
    /// Which peers; the longest match wins.
    pub peer: Ipv4Prefix,
    /// The secret.
    pub secret: Secret,
}

/// `crypto isakmp keepalive S [R] [periodic|on-demand]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// From one question to the next while they are answered.
    pub interval: Duration,
    /// From an unanswered question to its repetition.
    pub retry: Duration,
    /// Ask only when there was traffic out and none in (RFC 3706 section 5.5), instead of always.
    pub on_demand: bool,
}

impl Keepalive {
    /// Unanswered questions that mean the peer is dead.
    pub const TRIES: u8 = 5;

    /// `keepalive interval`, as IOS completes it: retries every 2 s, periodic.
    pub const fn every(interval: Duration) -> Self {
        Self { interval, retry: Duration::from_s(2), on_demand: false }
    }
}

/// Everything IKE is told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Policies, best first.
    pub policies: Vec<IsakmpPolicy>,
    /// Pre-shared keys.
    pub keys: Vec<PeerKey>,
    /// Keepalives; `None`: off.
    pub keepalive: Option<Keepalive>,
    /// `crypto isakmp invalid-spi-recovery`: ESP of an unknown SPI from a peer starts a negotiation with it.
    pub invalid_spi_recovery: bool,
    /// RFC 3947 (`crypto ipsec nat-transparency udp-encapsulation`).
    pub nat_traversal: bool,
    /// From behind a NAT, a keepalive of RFC 3948 this often.
    pub nat_keepalive: Duration,
    /// Announce oneself to a peer with which one has no SA (RFC 2407 section 4.6.3.3).
    pub initial_contact: bool,
    /// From a message to its next copy.
    pub retransmit: Duration,
    /// Copies before giving up.
    pub tries: u8,
    /// What becomes of old IPsec SAs after a rekey.
    pub old_sas: OldSas,
    /// Half-open negotiations that others may have started at most.
    pub half_open: usize,
    /// Rekey of either phase: this long before the end. IOS: 30 seconds.
    pub margin: Duration,
    /// Up to this much more, drawn at random, so that two ends seldom rekey at once.
    pub margin_jitter: Duration,
    /// Rekey of phase 2: this many bytes before the end. IOS: 256 kilobytes. A line that carries them in less time than a
    /// quick mode takes (at 1 Gbit/s, 2 ms) loses what comes between to `lifetime-expired`, as IOS does: why it later got
    /// `lifetime kilobytes disable`.
    pub margin_bytes: u64,
    /// The volume lifetime is shortened by a random share up to this many thousandths (IOS prints 4504144 of 4608000
    /// kilobytes minutes after the start).
    pub volume_jitter: u64,
}

impl Default for Config {
    /// IOS's defaults, without policies, keys or keepalives.
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            keys: Vec::new(),
            keepalive: None,
            invalid_spi_recovery: false,
            nat_traversal: true,
            nat_keepalive: Duration::from_s(20),
            initial_contact: true,
            retransmit: Duration::from_s(10),
            tries: 5,
            old_sas: OldSas::KeepUntilExpiry,
            half_open: 64,
            margin: Duration::from_s(30),
            margin_jitter: Duration::from_s(5),
            margin_bytes: 256 * 1024,
            volume_jitter: 40,
        }
    }
}

impl Config {
    /// The pre-shared key for a peer: that of the longest prefix.
    pub fn key_for(&self, peer: Ipv4Addr) -> Option<&Secret> {
        let matching = self.keys.iter().filter(|k| k.peer.contains(&peer));
        matching.max_by_key(|k| k.peer.prefix_len()).map(|k| &k.secret)
    }
}

/// A crypto map entry that may negotiate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the dataplane.
    pub policy: PolicyId,
    /// Our end: the interface's address, or the redundancy group's virtual one.
    pub local: Ipv4Addr,
    /// `set peer`, in order.
    pub peers: Vec<Ipv4Addr>,
    /// What it protects, as our packets have it.
    pub selector: Selector,
    /// Transform sets in order.
    pub transforms: Vec<(Transform, Mode)>,
    /// `set pfs`.
    pub pfs: Option<Group>,
    /// Lifetime in seconds.
    pub seconds: u64,
    /// Lifetime in kilobytes; `None`: no limit.
    pub kilobytes: Option<u64>,
    /// Anti-replay window in packets; 0 is off.
    pub replay_window: u32,
    /// The outer DF bit.
    pub df_bit: DfBit,
    /// Path MTU of the tunnel.
    pub mtu: Option<u16>,
    /// Fragment before or after encryption.
    pub fragmentation: Fragmentation,
}
