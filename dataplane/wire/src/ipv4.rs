//! IPv4 (RFC 791): the header with its options, fragments and checksum.

use std::net::Ipv4Addr;

use crate::bytes::{array_at, u16_at};
use crate::{Malformed, checksum};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// "Don't fragment" in the flags-and-offset word.
pub const DF: u16 = 0x4000;
/// "More fragments" in the flags-and-offset word.
pub const MF: u16 = 0x2000;
/// The fragment offset, in units of 8 bytes, in the flags-and-offset word.
pub const OFFSET: u16 = 0x1fff;

/// IP protocol numbers, as IANA names them.
#[allow(missing_docs, reason = "names say it")]
pub mod protocol {
    pub const ICMP: u8 = 1;
    pub const IPV4: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const IPV6: u8 = 41;
    pub const ESP: u8 = 50;
    pub const ICMPV6: u8 = 58;
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const OSPF: u8 = 89;
}

/// A packet whose header and total length are there.
#[derive(Debug, Clone, Copy)]
pub struct Ipv4<'a> {
    bytes: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Check `bytes` and leave out what follows the total length (Ethernet's padding). The checksum is not looked at:
    /// see [`Ipv4::checksum_ok`].
    ///
    /// # Errors
    /// Another version, a header length under 20, anything cut off.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Malformed::need("IPv4", HEADER_LEN, bytes.len())?;
        if bytes[0] >> 4 != 4 {
            return Err(Malformed::field("IPv4", "version"));
        }
        let (header, total) = (usize::from(bytes[0] & 0x0f) * 4, usize::from(u16_at(bytes, 2)));
        if header < HEADER_LEN {
            return Err(Malformed::field("IPv4", "header length"));
        }
        if total < header {
            return Err(Malformed::field("IPv4", "total length"));
        }
        Malformed::need("IPv4", total, bytes.len())?;
        Ok(Self { bytes: &bytes[..total] })
    }

    /// The packet, from its header to its total length.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of header, options included.
    pub fn header_len(&self) -> usize {
        usize::from(self.bytes[0] & 0x0f) * 4
    }

    /// The options' bytes.
    pub fn options(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..self.header_len()]
    }

    /// DSCP and ECN.
    pub fn traffic_class(&self) -> u8 {
        self.bytes[1]
    }

    /// The identification of a packet's fragments.
    pub fn identification(&self) -> u16 {
        u16_at(self.bytes, 4)
    }

    /// Whether it must not be fragmented.
    pub fn df(&self) -> bool {
        u16_at(self.bytes, 6) & DF != 0
    }

    /// Whether more fragments follow.
    pub fn mf(&self) -> bool {
        u16_at(self.bytes, 6) & MF != 0
    }

    /// Where the payload lies in the unfragmented packet, in bytes.
    pub fn fragment_offset(&self) -> usize {
        usize::from(u16_at(self.bytes, 6) & OFFSET) * 8
    }

    /// Whether it is a fragment, the first included.
    pub fn is_fragment(&self) -> bool {
        u16_at(self.bytes, 6) & (MF | OFFSET) != 0
    }

    /// Hops left.
    pub fn ttl(&self) -> u8 {
        self.bytes[8]
    }

    /// What the payload is: see [`protocol`].
    pub fn protocol(&self) -> u8 {
        self.bytes[9]
    }

    /// Who sent it.
    pub fn src(&self) -> Ipv4Addr {
        Ipv4Addr::from(array_at::<4>(self.bytes, 12))
    }

    /// Who it is for.
    pub fn dst(&self) -> Ipv4Addr {
        Ipv4Addr::from(array_at::<4>(self.bytes, 16))
    }

    /// Whether the header's checksum is right.
    pub fn checksum_ok(&self) -> bool {
        checksum::sum(&self.bytes[..self.header_len()]) == 0xffff
    }

    /// What follows the header.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.header_len()..]
    }
}

/// A header without options, as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 791's names")]
pub struct Header {
    pub traffic_class: u8,
    pub identification: u16,
    pub df: bool,
    pub ttl: u8,
    pub protocol: u8,
    pub src: Ipv4Addr,
    pub dst: Ipv4Addr,
}

impl Header {
    /// Its 20 bytes before `payload_len` bytes of payload (65,515 at most; more is cut to that), checksum right.
    pub fn emit(&self, payload_len: usize) -> [u8; HEADER_LEN] {
        let total = u16::try_from(HEADER_LEN + payload_len).unwrap_or(u16::MAX);
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = 0x45;
        bytes[1] = self.traffic_class;
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.identification.to_be_bytes());
        bytes[6..8].copy_from_slice(&(if self.df { DF } else { 0 }).to_be_bytes());
        bytes[8] = self.ttl;
        bytes[9] = self.protocol;
        bytes[12..16].copy_from_slice(&self.src.octets());
        bytes[16..].copy_from_slice(&self.dst.octets());
        let sum = checksum::checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// A whole packet.
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len());
        bytes.extend_from_slice(&self.emit(payload.len()));
        bytes.extend_from_slice(payload);
        bytes
    }
}

/// The partial sum of the pseudo header that UDP and TCP checksums begin with (RFC 768).
pub fn pseudo_sum(src: Ipv4Addr, dst: Ipv4Addr, protocol: u8, len: usize) -> u16 {
    let mut sum = checksum::add(checksum::sum(&src.octets()), checksum::sum(&dst.octets()));
    sum = checksum::add(sum, u16::from(protocol));
    checksum::add(sum, u16::try_from(len).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn header() -> Header {
        Header {
            traffic_class: 0xb8,
            identification: 7,
            df: true,
            ttl: 64,
            protocol: protocol::UDP,
            src: Ipv4Addr::new(10, 1, 1, 3),
            dst: Ipv4Addr::new(20, 1, 1, 1),
        }
    }

    #[test]
    fn a_built_header_reads_back() {
        let mut bytes = header().packet(b"payload");
        bytes.extend_from_slice(&[0; 19]);
        let v = Ipv4::new_checked(&bytes).unwrap();
        assert!(v.checksum_ok() && v.df() && !v.is_fragment());
        assert_eq!((v.payload(), v.ttl(), v.traffic_class()), (&b"payload"[..], 64, 0xb8));
        assert_eq!((v.src(), v.dst(), v.protocol()), (header().src, header().dst, 17));
    }

    #[test]
    fn lies_are_refused() {
        let good = header().packet(b"payload");
        for (at, value) in [(0, 0x65), (0, 0x44), (2, 0xff), (3, 19)] {
            let mut bytes = good.clone();
            bytes[at] = value;
            assert!(Ipv4::new_checked(&bytes).is_err(), "byte {at} = {value}");
        }
        assert!(Ipv4::new_checked(&good[..26]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), honest: bool) {
            if honest && bytes.len() >= 20 {
                bytes[0] = 0x40 | (bytes[0] & 0x0f);
                bytes[2..4].copy_from_slice(&[0, 60]);
            }
            if let Ok(v) = Ipv4::new_checked(&bytes) {
                let _ = (v.options(), v.payload(), v.fragment_offset(), v.checksum_ok(), v.bytes());
            }
        }
    }
}
