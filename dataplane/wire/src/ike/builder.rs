//! Building a chain of payloads: each payload's header is patched when the next is added.

use super::header::{Exchange, Flags, HEADER_LEN, Header};
use super::number::PayloadKind;

/// A chain being built.
#[derive(Debug, Clone)]
pub struct Builder {
    first: PayloadKind,
    /// Where the next-payload byte of the last payload is.
    last: Option<usize>,
    bytes: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty chain.
    pub const fn new() -> Self {
        Self { first: PayloadKind::NONE, last: None, bytes: Vec::new() }
    }

    /// Add a payload. A body over 65,531 bytes does not fit the format and is cut there.
    #[must_use]
    pub fn payload(mut self, kind: PayloadKind, body: &[u8]) -> Self {
        match self.last.and_then(|at| self.bytes.get_mut(at)) {
            Some(next) => *next = kind.0,
            None => self.first = kind,
        }
        self.last = Some(self.bytes.len());
        let body = body.get(..usize::from(u16::MAX) - 4).unwrap_or(body);
        let length = u16::try_from(body.len() + 4).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(body);
        self
    }

    /// Add a whole chain: what a HASH payload in front authenticates.
    #[must_use]
    pub fn followed_by(mut self, rest: &Self) -> Self {
        let Some(last) = rest.last else { return self };
        match self.last.and_then(|at| self.bytes.get_mut(at)) {
            Some(next) => *next = rest.first.0,
            None => self.first = rest.first,
        }
        self.last = Some(self.bytes.len() + last);
        self.bytes.extend_from_slice(&rest.bytes);
        self
    }

    /// Kind of the first payload.
    pub const fn first(&self) -> PayloadKind {
        self.first
    }

    /// The chain's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The whole message in clear.
    pub fn message(&self, exchange: Exchange) -> Vec<u8> {
        whole(exchange, self.first, Flags::default(), &self.bytes)
    }
}

/// A header and what follows it, of the right length.
pub fn whole(exchange: Exchange, first: PayloadKind, flags: Flags, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER_LEN + body.len()).unwrap_or(u32::MAX);
    let mut out = Header { exchange, first, flags, length }.bytes().to_vec();
    out.extend_from_slice(body);
    out
}
