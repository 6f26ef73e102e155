//! The ISAKMP header (RFC 2408 section 3.1): 28 bytes in front of every message. What follows it is [`super::Chain`]'s.

use std::fmt;

use super::number::{ExchangeKind, PayloadKind};
use crate::Malformed;

/// Bytes of the header.
pub const HEADER_LEN: usize = 28;

/// An initiator's or responder's cookie (RFC 2408 section 2.5.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cookie(pub [u8; 8]);

impl Cookie {
    /// What stands for the responder's cookie in the first message.
    pub const NONE: Self = Self([0; 8]);
}

impl fmt::Display for Cookie {
    /// As IOS prints it: `B57A9DC9 FA2D627B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = u64::from_be_bytes(self.0);
        write!(f, "{:08X} {:08X}", n >> 32, n & 0xffff_ffff)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The header's flags (RFC 2408 section 3.1). Other bits are ignored on receipt and sent as 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// Everything after the header is encrypted.
    pub encryption: bool,
    /// The sender wants to be told before the SA is used.
    pub commit: bool,
    /// Authenticated but not encrypted; informational exchanges only.
    pub authentication_only: bool,
}

/// Which exchange a message belongs to: the two cookies, the exchange's kind and the message id (0 in phase 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange {
    /// The initiator's cookie.
    pub initiator: Cookie,
    /// The responder's cookie.
    pub responder: Cookie,
    /// Main mode, quick mode, informational …
    pub kind: ExchangeKind,
    /// Message id.
    pub message_id: u32,
}

/// The header as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The exchange the message belongs to.
    pub exchange: Exchange,
    /// Kind of the first payload.
    pub first: PayloadKind,
    /// Flags.
    pub flags: Flags,
    /// Bytes of the message, header included.
    pub length: u32,
}

impl Header {
    /// Read the header at the start of `message`, and return with it the bytes that follow, to the header's length.
    /// Bytes past that length (padding of a careless sender) are left out.
    ///
    /// # Errors
    /// Too short, a version other than 1.0, or a length that the bytes do not have.
    pub fn read(message: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let Some((head, _)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Err(Malformed::Truncated { format: "ISAKMP", need: HEADER_LEN, have: message.len() });
        };
        let [i0, i1, i2, i3, i4, i5, i6, i7, r0, r1, r2, r3, r4, r5, r6, r7, rest @ ..] = *head;
        let [first, version, kind, flags, m0, m1, m2, m3, l0, l1, l2, l3] = rest;
        if version >> 4 != 1 {
            return Err(Malformed::field("ISAKMP", "major version"));
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let need = usize::try_from(length).unwrap_or(usize::MAX);
        if need < HEADER_LEN {
            return Err(Malformed::field("ISAKMP", "length"));
        }
        let body = message.get(HEADER_LEN..need).ok_or(Malformed::Truncated {
            format: "ISAKMP",
            need,
            have: message.len(),
        })?;
        let header = Self {
            exchange: Exchange {
                initiator: Cookie([i0, i1, i2, i3, i4, i5, i6, i7]),
                responder: Cookie([r0, r1, r2, r3, r4, r5, r6, r7]),
                kind: ExchangeKind(kind),
                message_id: u32::from_be_bytes([m0, m1, m2, m3]),
            },
            first: PayloadKind(first),
            flags: Flags {
                encryption: flags & 1 != 0,
                commit: flags & 2 != 0,
                authentication_only: flags & 4 != 0,
            },
            length,
        };
        Ok((header, body))
    }

    /// The 28 bytes.
    pub fn bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let e = &self.exchange;
        let flags = u8::from(self.flags.encryption)
            | u8::from(self.flags.commit) << 1
            | u8::from(self.flags.authentication_only) << 2;
        out[..8].copy_from_slice(&e.initiator.0);
        out[8..16].copy_from_slice(&e.responder.0);
        out[16..20].copy_from_slice(&[self.first.0, 0x10, e.kind.0, flags]);
        out[20..24].copy_from_slice(&e.message_id.to_be_bytes());
        out[24..].copy_from_slice(&self.length.to_be_bytes());
        out
    }
}
