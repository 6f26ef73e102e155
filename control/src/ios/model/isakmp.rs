//! `crypto isakmp …`: IKE as configured.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::plane::Secret;

use crate::ios::text::Place;

/// All of `crypto isakmp`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Isakmp {
    /// `crypto isakmp policy N`: by priority, the lowest number offered first.
    pub policies: BTreeMap<u16, Policy>,
    /// `crypto isakmp key … address …`, in order.
    pub keys: Vec<PreSharedKey>,
    /// `crypto isakmp identity`.
    pub identity: Option<Identity>,
    /// `crypto isakmp keepalive`.
    pub keepalive: Option<Keepalive>,
    /// `crypto isakmp invalid-spi-recovery`.
    pub invalid_spi_recovery: bool,
    /// `crypto isakmp nat keepalive`, seconds (5 to 3600).
    pub nat_keepalive_s: Option<u16>,
}

/// `crypto isakmp policy N`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// `encr`.
    pub encryption: Option<Encryption>,
    /// `hash`.
    pub hash: Option<Hash>,
    /// `authentication`.
    pub authentication: Option<Authentication>,
    /// `group`.
    pub group: Option<Group>,
    /// `lifetime`, seconds (60 to 86400).
    pub lifetime_s: Option<u32>,
    /// Where the policy begins.
    pub place: Place,
}

/// The cipher of phase 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the word of the command")]
pub enum Encryption {
    Des,
    TripleDes,
    Aes128,
    Aes192,
    Aes256,
}

/// The hash of phase 1, which is also its PRF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the word of the command")]
pub enum Hash {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// How the peers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// `pre-share`.
    PreShare,
    /// `rsa-sig`: IOS's default, which nothing here can do.
    RsaSignature,
}

/// A Diffie-Hellman group by its number (RFC 2409 section 6, RFC 3526, RFC 5903).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group(pub u8);

/// `crypto isakmp key KEY address A [M] [no-xauth]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreSharedKey {
    /// The key, as bytes of its text.
    pub key: Secret,
    /// The peer's address.
    pub address: Ipv4Addr,
    /// The mask, when several peers share the key; 255.255.255.255 otherwise.
    pub mask: Ipv4Addr,
    /// `no-xauth`; there is no XAUTH here in any case.
    pub no_xauth: bool,
    /// Where it is said.
    pub place: Place,
}

/// `crypto isakmp identity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// `address`: ID_IPV4_ADDR of the local address, the default.
    Address,
    /// `hostname`: ID_FQDN.
    Hostname,
}

/// `crypto isakmp keepalive SECONDS [RETRY] [periodic|on-demand]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Seconds between keepalives (10 to 3600).
    pub interval_s: u16,
    /// Seconds between retries once one is unanswered (2 to 60).
    pub retry_s: Option<u16>,
    /// When they are sent.
    pub mode: Option<KeepaliveMode>,
}

/// When keepalives are sent (RFC 3706 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the word of the command")]
pub enum KeepaliveMode {
    Periodic,
    OnDemand,
}

impl Isakmp {
    /// The key for `peer`: the one with the longest mask, the first of equals.
    pub fn key_for(&self, peer: Ipv4Addr) -> Option<&PreSharedKey> {
        let serves = |key: &&PreSharedKey| {
            peer.to_bits() & key.mask.to_bits() == key.address.to_bits() & key.mask.to_bits()
        };
        self.keys.iter().rev().filter(serves).max_by_key(|key| key.mask.to_bits())
    }

    /// Identity; the address by default.
    pub fn identity(&self) -> Identity {
        self.identity.unwrap_or(Identity::Address)
    }
}

impl Policy {
    /// The cipher; DES by default.
    pub fn encryption(&self) -> Encryption {
        self.encryption.unwrap_or(Encryption::Des)
    }

    /// The hash; SHA-1 by default.
    pub fn hash(&self) -> Hash {
        self.hash.unwrap_or(Hash::Sha1)
    }

    /// The authentication; RSA signatures by default.
    pub fn authentication(&self) -> Authentication {
        self.authentication.unwrap_or(Authentication::RsaSignature)
    }

    /// The Diffie-Hellman group; 1 by default.
    pub fn group(&self) -> Group {
        self.group.unwrap_or(Group(1))
    }

    /// Lifetime in seconds; a day by default.
    pub fn lifetime_s(&self) -> u32 {
        self.lifetime_s.unwrap_or(86_400)
    }
}

impl Encryption {
    /// The words of the configuration.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::Des => "des",
            Self::TripleDes => "3des",
            Self::Aes128 => "aes",
            Self::Aes192 => "aes 192",
            Self::Aes256 => "aes 256",
        }
    }
}

impl Hash {
    /// The word of the configuration.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

impl Authentication {
    /// The word of the configuration.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::PreShare => "pre-share",
            Self::RsaSignature => "rsa-sig",
        }
    }
}

impl Group {
    /// Every group taken.
    pub const ALL: [Self; 8] = [Self(1), Self(2), Self(5), Self(14), Self(15), Self(16), Self(19), Self(20)];
}

impl Keepalive {
    /// Seconds between retries; 2 by default.
    pub fn retry_s(&self) -> u16 {
        self.retry_s.unwrap_or(2)
    }

    /// When they are sent; on demand by default where the peer speaks DPD. Profiles of old IOS send them periodically
    /// in any case.
    pub fn mode(&self) -> KeepaliveMode {
        self.mode.unwrap_or(KeepaliveMode::OnDemand)
    }
}
