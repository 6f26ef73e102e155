//! Link state advertisements as the flooding procedure sees them: header, identity, recency, checksum and body bytes.

use std::cmp::Ordering;
use std::fmt;
use std::net::Ipv4Addr;

use super::body::LsaBody;
use super::parse::Reader;
use crate::{Malformed, RouterId};

/// The age, in seconds, at which an LSA dies (RFC 2328 appendix B).
pub const MAX_AGE: u16 = 3600;
/// Two ages further apart than this, in seconds, tell two instances apart (RFC 2328 appendix B).
pub const MAX_AGE_DIFF: u16 = 900;
/// The sequence number of an LSA's first instance (RFC 2328 section 12.1.6).
pub const INITIAL_SEQUENCE: i32 = i32::MIN + 1;
/// The sequence number after which an LSA must be flushed before it is originated again.
pub const MAX_SEQUENCE: i32 = i32::MAX;

/// LS type (RFC 2328 section A.4.1; 7: RFC 3101; 9 to 11: RFC 5250).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub enum LsaType {
    Router,
    Network,
    SummaryNetwork,
    SummaryAsbr,
    AsExternal,
    Nssa,
    OpaqueLink,
    OpaqueArea,
    OpaqueAs,
    /// Any other number.
    Unknown(u8),
}

impl LsaType {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Router => 1,
            Self::Network => 2,
            Self::SummaryNetwork => 3,
            Self::SummaryAsbr => 4,
            Self::AsExternal => 5,
            Self::Nssa => 7,
            Self::OpaqueLink => 9,
            Self::OpaqueArea => 10,
            Self::OpaqueAs => 11,
            Self::Unknown(n) => n,
        }
    }

    /// The type with this number.
    pub const fn from_number(n: u8) -> Self {
        match n {
            1 => Self::Router,
            2 => Self::Network,
            3 => Self::SummaryNetwork,
            4 => Self::SummaryAsbr,
            5 => Self::AsExternal,
            7 => Self::Nssa,
            9 => Self::OpaqueLink,
            10 => Self::OpaqueArea,
            11 => Self::OpaqueAs,
            n => Self::Unknown(n),
        }
    }
}

/// What identifies an LSA, whatever its instance (RFC 2328 section 12.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LsaKey {
    /// LS type.
    pub kind: LsaType,
    /// Link State ID.
    pub id: Ipv4Addr,
    /// Advertising router.
    pub router: RouterId,
}

impl LsaKey {
    /// A key.
    pub const fn new(kind: LsaType, id: Ipv4Addr, router: RouterId) -> Self {
        Self { kind, id, router }
    }

    /// Bytes of one entry in a Link State Request.
    pub const REQUEST_LEN: usize = 12;

    /// As Link State Request packets carry it: the type in 32 bits (RFC 2328 section A.3.4).
    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = u8::try_from(r.u32()?).map_err(|_| Malformed::field("OSPF request", "LS type"))?;
        Ok(Self { kind: LsaType::from_number(kind), id: r.addr()?, router: r.router_id()? })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&u32::from(self.kind.number()).to_be_bytes());
        out.extend_from_slice(&self.id.octets());
        out.extend_from_slice(&self.router.0.octets());
    }
}

impl fmt::Display for LsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Type {}, LSID {}, Adv rtr {}", self.kind.number(), self.id, self.router)
    }
}

/// The 20 bytes every LSA begins with (RFC 2328 section A.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LsaHeader {
    /// Seconds since origination, 0 to [`MAX_AGE`].
    pub age: u16,
    /// The options of the originating router.
    pub options: u8,
    /// Identity.
    pub key: LsaKey,
    /// LS sequence number: a signed, linear space (RFC 2328 section 12.1.6).
    pub sequence: i32,
    /// Fletcher checksum of everything but the age.
    pub checksum: u16,
    /// Bytes, header included.
    pub length: u16,
}

impl LsaHeader {
    /// Bytes of a header.
    pub const LEN: usize = 20;

    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        // An age past MaxAge (a DoNotAge bit included) is no valid age here: taken as MaxAge.
        let age = r.u16()?.min(MAX_AGE);
        let options = r.u8()?;
        let kind = LsaType::from_number(r.u8()?);
        let key = LsaKey { kind, id: r.addr()?, router: r.router_id()? };
        let (sequence, checksum, length) = (r.u32()?.cast_signed(), r.u16()?, r.u16()?);
        Ok(Self { age, options, key, sequence, checksum, length })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.age.to_be_bytes());
        out.extend_from_slice(&[self.options, self.key.kind.number()]);
        out.extend_from_slice(&self.key.id.octets());
        out.extend_from_slice(&self.key.router.0.octets());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.checksum.to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
    }

    /// Which of two instances of one LSA is newer: `Greater` when `self` is (RFC 2328 section 13.1).
    pub fn recency(&self, other: &Self) -> Ordering {
        let aged = |h: &Self| h.age == MAX_AGE;
        self.sequence
            .cmp(&other.sequence)
            .then(self.checksum.cmp(&other.checksum))
            .then(aged(self).cmp(&aged(other)))
            .then(if self.age.abs_diff(other.age) > MAX_AGE_DIFF {
                other.age.cmp(&self.age)
            } else {
                Ordering::Equal
            })
    }
}

/// A whole LSA: its header, and its body's bytes as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lsa {
    /// The header.
    pub header: LsaHeader,
    bytes: Vec<u8>,
}

impl Lsa {
    /// A new instance of age 0, checksum and length filled in.
    pub fn new(key: LsaKey, options: u8, sequence: i32, body: &LsaBody) -> Self {
        let mut bytes = Vec::new();
        body.emit(&mut bytes);
        // Nothing we build comes near 64 KiB; a body that did would be cut by its own length field.
        bytes.truncate(usize::from(u16::MAX) - LsaHeader::LEN);
        let length = (LsaHeader::LEN + bytes.len()) as u16;
        let mut lsa =
            Self { header: LsaHeader { age: 0, options, key, sequence, checksum: 0, length }, bytes };
        lsa.header.checksum = lsa.fletcher();
        lsa
    }

    /// The body's bytes.
    pub fn body_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes on the wire.
    pub fn wire_len(&self) -> usize {
        LsaHeader::LEN + self.bytes.len()
    }

    /// What the body says; opaque and unknown types stay bytes.
    pub fn body(&self) -> Result<LsaBody, Malformed> {
        LsaBody::parse(self.header.key.kind, &self.bytes)
    }

    /// Whether the checksum is that of the bytes; a zero checksum never is (RFC 2328 section 12.1.7).
    pub fn checksum_ok(&self) -> bool {
        self.header.checksum != 0 && self.header.checksum == self.fletcher()
    }

    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let header = LsaHeader::parse(r)?;
        let length = usize::from(header.length);
        let body = length.checked_sub(LsaHeader::LEN).ok_or(Malformed::field("OSPF LSA", "length"))?;
        Ok(Self { header, bytes: r.bytes(body)?.to_vec() })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        self.header.emit(out);
        out.extend_from_slice(&self.bytes);
    }

    fn fletcher(&self) -> u16 {
        let mut all = Vec::with_capacity(self.wire_len());
        self.emit(&mut all);
        // Without the two bytes of age; the checksum field then stands at offset 14 (RFC 2328 section 12.1.7).
        fletcher(all.get(2..).unwrap_or_default(), 14)
    }
}

/// The Fletcher checksum of `bytes`, to be placed at offset `at` (RFC 905 annex B; ISO 8473's): whatever stands there
/// counts as zero.
fn fletcher(bytes: &[u8], at: usize) -> u16 {
    let (mut c0, mut c1) = (0i64, 0i64);
    for (i, byte) in bytes.iter().enumerate() {
        let byte = if i == at || i == at + 1 { 0 } else { i64::from(*byte) };
        c0 = (c0 + byte) % 255;
        c1 = (c1 + c0) % 255;
    }
    let after = bytes.len() as i64 - at as i64 - 1;
    // Of the two zeros of arithmetic modulo 255, the one that is not 0: zero says "not computed".
    let nonzero = |n: i64| if n.rem_euclid(255) == 0 { 255 } else { n.rem_euclid(255) as u16 };
    let x = nonzero(after * c0 - c1);
    let y = nonzero(c1 - (after + 1) * c0);
    x << 8 | y
}
