//! ESP (RFC 4303) as it stands on the wire, and its UDP encapsulation (RFC 3948). What is inside needs an SA.

use crate::bytes::u32_at;
use crate::{Malformed, Spi};

/// Bytes of SPI and sequence number.
pub const HEADER_LEN: usize = 8;
/// The UDP port of IKE and ESP behind a NAT (RFC 3948).
pub const UDP_PORT: u16 = 4500;

/// A packet whose SPI and sequence number are there.
#[derive(Debug, Clone, Copy)]
pub struct Esp<'a> {
    bytes: &'a [u8],
}

impl<'a> Esp<'a> {
    /// Check `bytes`, which end where the ICV ends.
    ///
    /// # Errors
    /// Fewer than 8 bytes; an SPI of 0, which is never on the wire (RFC 4303 section 2.1).
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Malformed::need("ESP", HEADER_LEN, bytes.len())?;
        if u32_at(bytes, 0) == 0 {
            return Err(Malformed::field("ESP", "SPI"));
        }
        Ok(Self { bytes })
    }

    /// The security parameters index.
    pub fn spi(&self) -> Spi {
        Spi(u32_at(self.bytes, 0))
    }

    /// The low 32 bits of the sequence number, all that is sent.
    pub fn sequence(&self) -> u32 {
        u32_at(self.bytes, 4)
    }

    /// IV, ciphertext and ICV.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }
}

/// What a datagram on UDP port 4500 is (RFC 3948 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpEncap<'a> {
    /// IKE: what follows the non-ESP marker of four zero bytes.
    Ike(&'a [u8]),
    /// ESP, from its SPI on.
    Esp(&'a [u8]),
    /// A NAT keepalive: the single byte 0xff.
    Keepalive,
}

impl<'a> UdpEncap<'a> {
    /// Tell the three apart.
    ///
    /// # Errors
    /// Fewer than 4 bytes that are no keepalive.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        if payload == [0xff] {
            return Ok(Self::Keepalive);
        }
        Malformed::need("UDP-encapsulated ESP", 4, payload.len())?;
        Ok(if u32_at(payload, 0) == 0 { Self::Ike(&payload[4..]) } else { Self::Esp(payload) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_marker_tells_ike_from_esp() {
        assert_eq!(UdpEncap::parse(&[0xff]), Ok(UdpEncap::Keepalive));
        assert_eq!(UdpEncap::parse(&[0, 0, 0, 0, 9]), Ok(UdpEncap::Ike(&[9])));
        assert_eq!(UdpEncap::parse(&[0, 0, 1, 0]), Ok(UdpEncap::Esp(&[0, 0, 1, 0])));
        assert!(UdpEncap::parse(&[0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = UdpEncap::parse(&bytes);
            if let Ok(v) = Esp::new_checked(&bytes) {
                let _ = (v.spi(), v.sequence(), v.body());
            }
        }
    }
}
