//! A chain of payloads (RFC 2408 section 3.2): each begins with the kind of the next and its own length.

use super::number::PayloadKind;
use crate::Malformed;

/// The most payloads a message may have here; a real one has fewer than 20.
pub const MAX_PAYLOADS: usize = 64;

/// One payload: its kind, its body without the generic header, and the whole of it with the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    /// What it is.
    pub kind: PayloadKind,
    /// What follows the four bytes of generic header.
    pub body: &'a [u8],
    /// Where the body begins, counted from the first byte of the chain.
    pub at: usize,
}

/// A chain whose every length has been checked.
#[derive(Debug, Clone)]
pub struct Chain<'a> {
    payloads: Vec<Payload<'a>>,
    length: usize,
}

impl<'a> Chain<'a> {
    /// Walk the chain that begins with a payload of kind `first`. Bytes after the last payload (the padding of an
    /// encrypted message) are allowed and left out of [`Chain::length`].
    ///
    /// # Errors
    /// A length under 4 or past the end, or more than [`MAX_PAYLOADS`].
    pub fn new_checked(first: PayloadKind, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut payloads, mut kind, mut at) = (Vec::new(), first, 0);
        while kind != PayloadKind::NONE {
            if payloads.len() == MAX_PAYLOADS {
                return Err(Malformed::field("ISAKMP", "number of payloads"));
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let Some((&[next, _, high, low], _)) = rest.split_first_chunk::<4>() else {
                return Err(Malformed::Truncated { format: "ISAKMP payload", need: 4, have: rest.len() });
            };
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < 4 {
                return Err(Malformed::field("ISAKMP payload", "payload length"));
            }
            let body = rest.get(4..length).ok_or(Malformed::Truncated {
                format: "ISAKMP payload",
                need: length,
                have: rest.len(),
            })?;
            payloads.push(Payload { kind, body, at: at + 4 });
            kind = PayloadKind(next);
            at += length;
        }
        Ok(Self { payloads, length: at })
    }

    /// The payloads in order.
    pub fn iter(&self) -> impl Iterator<Item = &Payload<'a>> {
        self.payloads.iter()
    }

    /// The kind of the first payload.
    pub fn first(&self) -> Option<PayloadKind> {
        self.payloads.first().map(|p| p.kind)
    }

    /// The bodies of every payload of this kind.
    pub fn all(&self, kind: PayloadKind) -> impl Iterator<Item = &'a [u8]> {
        self.payloads.iter().filter(move |p| p.kind == kind).map(|p| p.body)
    }

    /// The body of the first payload of this kind.
    pub fn find(&self, kind: PayloadKind) -> Option<&'a [u8]> {
        self.payloads.iter().find(|p| p.kind == kind).map(|p| p.body)
    }

    /// The body of the one payload of this kind.
    ///
    /// # Errors
    /// None there, or several.
    pub fn one(&self, kind: PayloadKind) -> Result<&'a [u8], Malformed> {
        let mut all = self.all(kind);
        match (all.next(), all.next()) {
            (Some(body), None) => Ok(body),
            (None, _) | (Some(_), Some(_)) => {
                Err(Malformed::field("ISAKMP", kind.name().unwrap_or("payload")))
            }
        }
    }

    /// Bytes from the first payload's header to the last payload's end.
    pub fn length(&self) -> usize {
        self.length
    }
}
