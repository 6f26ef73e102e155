//! HSRP messages: version 1 (RFC 2281 section 5.1) and version 2 (a sequence of TLVs), read into and built from one
//! value. What a message means to a router is not known here.
//!
//! | | version 1 | version 2 |
//! |---|---|---|
//! | to | 224.0.0.2, UDP 1985, TTL 1 | 224.0.0.102, UDP 1985, TTL 1 |
//! | times | whole seconds, 8 bits | milliseconds, 32 bits |
//! | group | 0 to 255 | 0 to 4095 |
//! | virtual MAC | 0000.0c07.acXX | 0000.0c9f.fggg |
//! | priority, state numbers | 8 bits; 0 1 2 4 8 16 | 32 bits; 1 to 6 |
//!
//! Version 2 has no RFC; its layout is what IOS sends and Wireshark prints.

#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::net::Ipv4Addr;

use crate::{Duration, Mac, Malformed};

/// The UDP port, source and destination.
pub const PORT: u16 = 1985;
/// The TTL of every message.
pub const TTL: u8 = 1;
/// The highest group number of version 1.
pub const MAX_GROUP_V1: u16 = 255;
/// The highest group number of version 2.
pub const MAX_GROUP_V2: u16 = 4095;

/// Which protocol a router speaks on an interface; the two do not understand each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(missing_docs, reason = "names say it")]
pub enum Version {
    #[default]
    V1,
    V2,
}

impl Version {
    /// Where messages go.
    pub const fn destination(self) -> Ipv4Addr {
        match self {
            Self::V1 => Ipv4Addr::new(224, 0, 0, 2),
            Self::V2 => Ipv4Addr::new(224, 0, 0, 102),
        }
    }

    /// The group's virtual MAC address (RFC 2281 section 6.1); a group beyond the version's range loses its high bits.
    pub const fn virtual_mac(self, group: u16) -> Mac {
        let [high, low] = group.to_be_bytes();
        match self {
            Self::V1 => Mac([0x00, 0x00, 0x0c, 0x07, 0xac, low]),
            Self::V2 => Mac([0x00, 0x00, 0x0c, 0x9f, 0xf0 | (high & 0x0f), low]),
        }
    }

    /// The highest group number.
    pub const fn max_group(self) -> u16 {
        match self {
            Self::V1 => MAX_GROUP_V1,
            Self::V2 => MAX_GROUP_V2,
        }
    }
}

/// What a message is for (RFC 2281 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpCode {
    /// "I run, and could be active or standby."
    Hello,
    /// "I become the active router."
    Coup,
    /// "I no longer want to be the active router."
    Resign,
}

impl OpCode {
    const fn number(self) -> u8 {
        self as u8
    }

    const fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Hello),
            1 => Some(Self::Coup),
            2 => Some(Self::Resign),
            _ => None,
        }
    }
}

/// The state of a router in a group (RFC 2281 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// HSRP does not run.
    Initial,
    /// The virtual address is not known yet.
    Learn,
    /// Neither active nor standby.
    Listen,
    /// Takes part in the election.
    Speak,
    /// The next active router.
    Standby,
    /// Forwards what is sent to the virtual MAC address.
    Active,
}

impl State {
    /// Every state, in the order of RFC 2281.
    pub const ALL: [Self; 6] =
        [Self::Initial, Self::Learn, Self::Listen, Self::Speak, Self::Standby, Self::Active];
}

/// The eight bytes of plain-text authentication, padded with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Password(pub [u8; 8]);

impl Default for Password {
    /// "cisco" (RFC 2281 section 5.1).
    fn default() -> Self {
        Self(*b"cisco\0\0\0")
    }
}

impl Password {
    /// The password of at most eight bytes; `None` when `text` is longer.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self(bytes))
    }
}

/// The digest that IOS appends for MD5 authentication. It is carried, not checked, here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Md5 {
    /// Flags, as they came.
    pub flags: u16,
    /// The address of the sender.
    pub sender: Ipv4Addr,
    /// Which key of the key chain.
    pub key_id: u32,
    /// The digest.
    pub digest: [u8; 16],
}

/// A Hello, Coup or Resign of one group, of either version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// On which version's wire.
    pub version: Version,
    /// What it is for.
    pub op: OpCode,
    /// The sender's state.
    pub state: State,
    /// The sender's hello time; zero: not told. Version 1 tells whole seconds up to 255 only.
    pub hello_time: Duration,
    /// How long this message is valid; zero: not told. Version 1 tells whole seconds up to 255 only.
    pub hold_time: Duration,
    /// The sender's priority, 0 to 255 in either version.
    pub priority: u8,
    /// The group.
    pub group: u16,
    /// The sender's own MAC address; version 2 only, zero in version 1.
    pub identifier: Mac,
    /// The virtual address; 0.0.0.0: the sender does not know it.
    pub virtual_address: Ipv4Addr,
    /// Plain-text authentication; always there in version 1.
    pub password: Option<Password>,
    /// MD5 authentication, behind the message.
    pub md5: Option<Md5>,
}

/// What IOS tells about all groups of an interface together, so that others know whether it may redirect there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertisement {
    /// On which version's wire.
    pub version: Version,
    /// 1: no group is active or standby any more, 2: passive, 3: active. Version 1 only, zero in version 2.
    pub state: u8,
    /// Groups in which the sender is active.
    pub active_groups: u16,
    /// Groups in which it takes part without being active.
    pub passive_groups: u16,
    /// Reserved bytes, as they came; version 1 only.
    pub reserved: [u8; 5],
}

/// One UDP payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet {
    /// About one group.
    Message(Message),
    /// About an interface.
    Advertisement(Advertisement),
}

impl Packet {
    /// Read a UDP payload of port 1985. Version 2 begins with a TLV type above 0, version 1 with its version, 0. TLVs
    /// of other types are skipped.
    ///
    /// # Errors
    /// Cut off, or a version, op code, state, group or priority that no version has.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        match payload.first() {
            None => Err(Malformed::Truncated { format: "HSRP", need: 1, have: 0 }),
            Some(0) => v1::parse(payload),
            Some(_) => v2::parse(payload),
        }
    }

    /// The UDP payload.
    pub fn emit(&self) -> Vec<u8> {
        match self {
            Self::Message(m) => m.emit(),
            Self::Advertisement(a) => match a.version {
                Version::V1 => v1::emit_advertisement(a),
                Version::V2 => v2::emit_advertisement(a),
            },
        }
    }
}

impl Message {
    /// The UDP payload.
    pub fn emit(&self) -> Vec<u8> {
        match self.version {
            Version::V1 => v1::emit(self),
            Version::V2 => v2::emit(self),
        }
    }
}

const MD5_TLV: u8 = 4;
const MD5_LEN: usize = 28;

/// The value of an MD5 TLV: algorithm 1, padding, flags, sender, key id, digest.
fn parse_md5(value: &[u8]) -> Result<Md5, Malformed> {
    Malformed::need("HSRP", MD5_LEN, value.len())?;
    if value[0] != 1 {
        return Err(Malformed::field("HSRP", "MD5 algorithm"));
    }
    Ok(Md5 {
        flags: crate::bytes::u16_at(value, 2),
        sender: Ipv4Addr::from(crate::bytes::array_at::<4>(value, 4)),
        key_id: u32::from_be_bytes(crate::bytes::array_at(value, 8)),
        digest: crate::bytes::array_at(value, 12),
    })
}

fn emit_md5(md5: &Md5, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&[MD5_TLV, MD5_LEN as u8, 1, 0]);
    bytes.extend_from_slice(&md5.flags.to_be_bytes());
    bytes.extend_from_slice(&md5.sender.octets());
    bytes.extend_from_slice(&md5.key_id.to_be_bytes());
    bytes.extend_from_slice(&md5.digest);
}
