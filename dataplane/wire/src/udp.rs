//! UDP (RFC 768) over IPv4.

use std::net::Ipv4Addr;

use crate::bytes::u16_at;
use crate::ipv4::{protocol, pseudo_sum};
use crate::{Malformed, checksum};

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;

/// A datagram whose header and length are there.
#[derive(Debug, Clone, Copy)]
pub struct Udp<'a> {
    bytes: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Check `bytes` (an IP payload) and leave out what follows the length.
    ///
    /// # Errors
    /// Cut off, or a length under 8.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Malformed::need("UDP", HEADER_LEN, bytes.len())?;
        let len = usize::from(u16_at(bytes, 4));
        if len < HEADER_LEN {
            return Err(Malformed::field("UDP", "length"));
        }
        Malformed::need("UDP", len, bytes.len())?;
        Ok(Self { bytes: &bytes[..len] })
    }

    /// Source port.
    pub fn src_port(&self) -> u16 {
        u16_at(self.bytes, 0)
    }

    /// Destination port.
    pub fn dst_port(&self) -> u16 {
        u16_at(self.bytes, 2)
    }

    /// Whether the checksum is right or absent (0).
    pub fn checksum_ok(&self, src: Ipv4Addr, dst: Ipv4Addr) -> bool {
        let pseudo = pseudo_sum(src, dst, protocol::UDP, self.bytes.len());
        u16_at(self.bytes, 6) == 0 || checksum::add(pseudo, checksum::sum(self.bytes)) == 0xffff
    }

    /// What it carries.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }
}

/// The header before a payload, checksum right; over 65,507 bytes do not fit and make a header that says 65,535.
pub fn header(src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), payload: &[u8]) -> [u8; HEADER_LEN] {
    let len = HEADER_LEN + payload.len();
    let mut bytes = [0; HEADER_LEN];
    bytes[..2].copy_from_slice(&src.1.to_be_bytes());
    bytes[2..4].copy_from_slice(&dst.1.to_be_bytes());
    bytes[4..6].copy_from_slice(&u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
    let pseudo = pseudo_sum(src.0, dst.0, protocol::UDP, len);
    let sum = !checksum::add_all([pseudo, checksum::sum(&bytes), checksum::sum(payload)]);
    // A computed 0 is sent as 0xffff: 0 says "no checksum" (RFC 768).
    bytes[6..].copy_from_slice(&(if sum == 0 { 0xffff } else { sum }).to_be_bytes());
    bytes
}

/// A datagram: header and payload.
pub fn datagram(src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    [&header(src, dst, payload), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_and_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
            if let Ok(v) = Udp::new_checked(&bytes) {
                let _ = (v.payload(), v.checksum_ok(a, b));
            }
            let built = datagram((a, 500), (b, 4500), &bytes);
            let v = Udp::new_checked(&built).unwrap();
            prop_assert!(v.checksum_ok(a, b));
            prop_assert_eq!((v.src_port(), v.dst_port(), v.payload()), (500, 4500, &bytes[..]));
        }
    }
}
