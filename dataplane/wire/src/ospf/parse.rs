//! A cursor over bytes that never panics: every read says what it needs and gets it, or a [`Malformed`].

use std::net::Ipv4Addr;

use crate::{Malformed, RouterId};

/// The rest of a format's bytes.
pub(super) struct Reader<'a> {
    format: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(format: &'static str, bytes: &'a [u8]) -> Self {
        Self { format, rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let truncated = Malformed::Truncated { format: self.format, need: n, have: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let truncated = Malformed::Truncated { format: self.format, need: N, have: self.rest.len() };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[b]| b)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn addr(&mut self) -> Result<Ipv4Addr, Malformed> {
        self.array::<4>().map(Ipv4Addr::from)
    }

    pub(super) fn router_id(&mut self) -> Result<RouterId, Malformed> {
        self.addr().map(RouterId)
    }

    /// A network mask as the length of its prefix; ones after a zero are an error.
    pub(super) fn mask(&mut self) -> Result<u8, Malformed> {
        let mask = self.u32()?;
        let len = mask.leading_ones();
        if mask.checked_shl(len).unwrap_or(0) != 0 {
            return Err(Malformed::field(self.format, "network mask"));
        }
        Ok(len as u8)
    }
}

/// The mask of a prefix `len` bits long.
pub(super) fn mask_bytes(len: u8) -> [u8; 4] {
    u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0).to_be_bytes()
}
