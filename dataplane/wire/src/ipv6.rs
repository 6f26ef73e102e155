//! IPv6 (RFC 8200): the fixed header, and the walk over extension headers that ESP needs.

use std::net::Ipv6Addr;

use crate::Malformed;
use crate::bytes::{array_at, u16_at, u32_at};

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 40;

/// A packet whose fixed header and payload length are there.
#[derive(Debug, Clone, Copy)]
pub struct Ipv6<'a> {
    bytes: &'a [u8],
}

/// What stands behind the extension headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperLayer {
    /// Its protocol number.
    pub protocol: u8,
    /// Where it begins, in bytes from the start of the packet.
    pub offset: usize,
    /// Where the byte that names `protocol` is.
    pub next_header_at: usize,
    /// Whether the packet is a fragment other than a whole one; `(offset in bytes, more)`.
    pub fragment: Option<(usize, bool)>,
}

impl<'a> Ipv6<'a> {
    /// Check `bytes` and leave out what follows the payload length.
    ///
    /// # Errors
    /// Another version; anything cut off. Jumbograms (payload length 0 with an option) are read as empty.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Malformed::need("IPv6", HEADER_LEN, bytes.len())?;
        if bytes[0] >> 4 != 6 {
            return Err(Malformed::field("IPv6", "version"));
        }
        let total = HEADER_LEN + usize::from(u16_at(bytes, 4));
        Malformed::need("IPv6", total, bytes.len())?;
        Ok(Self { bytes: &bytes[..total] })
    }

    /// The packet, from its header to its payload length.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// DSCP and ECN.
    pub fn traffic_class(&self) -> u8 {
        (u16_at(self.bytes, 0) >> 4) as u8
    }

    /// The flow label, 20 bits.
    pub fn flow_label(&self) -> u32 {
        u32_at(self.bytes, 0) & 0x000f_ffff
    }

    /// The first header behind this one.
    pub fn next_header(&self) -> u8 {
        self.bytes[6]
    }

    /// Hops left.
    pub fn hop_limit(&self) -> u8 {
        self.bytes[7]
    }

    /// Who sent it.
    pub fn src(&self) -> Ipv6Addr {
        Ipv6Addr::from(array_at::<16>(self.bytes, 8))
    }

    /// Who it is for.
    pub fn dst(&self) -> Ipv6Addr {
        Ipv6Addr::from(array_at::<16>(self.bytes, 24))
    }

    /// What follows the fixed header.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// Walk the hop-by-hop, routing, destination and fragment headers (RFC 8200 section 4.1).
    ///
    /// # Errors
    /// A chain that runs past the packet.
    pub fn upper_layer(&self) -> Result<UpperLayer, Malformed> {
        let mut found = UpperLayer {
            protocol: self.next_header(),
            offset: HEADER_LEN,
            next_header_at: 6,
            fragment: None,
        };
        loop {
            let at = found.offset;
            let len = match found.protocol {
                0 | 43 | 60 => {
                    Malformed::need("IPv6", at + 8, self.bytes.len())?;
                    8 + usize::from(self.bytes[at + 1]) * 8
                }
                44 => {
                    Malformed::need("IPv6", at + 8, self.bytes.len())?;
                    let word = u16_at(self.bytes, at + 2);
                    if word & 0xfff9 != 0 {
                        found.fragment = Some((usize::from(word & 0xfff8), word & 1 != 0));
                    }
                    8
                }
                _ => return Ok(found),
            };
            Malformed::need("IPv6", at + len, self.bytes.len())?;
            found.protocol = self.bytes[at];
            found.next_header_at = at;
            found.offset = at + len;
            if found.fragment.is_some_and(|(offset, _)| offset > 0) {
                return Ok(found);
            }
        }
    }
}

/// A fixed header, as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 8200's names")]
pub struct Header {
    pub traffic_class: u8,
    pub flow_label: u32,
    pub next_header: u8,
    pub hop_limit: u8,
    pub src: Ipv6Addr,
    pub dst: Ipv6Addr,
}

impl Header {
    /// Its 40 bytes before `payload_len` bytes of payload (65,535 at most; more is cut to that).
    pub fn emit(&self, payload_len: usize) -> [u8; HEADER_LEN] {
        let word = 0x6000_0000 | (u32::from(self.traffic_class) << 20) | (self.flow_label & 0x000f_ffff);
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&word.to_be_bytes());
        bytes[4..6].copy_from_slice(&u16::try_from(payload_len).unwrap_or(u16::MAX).to_be_bytes());
        bytes[6] = self.next_header;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.src.octets());
        bytes[24..].copy_from_slice(&self.dst.octets());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(next_header: u8) -> Header {
        Header {
            traffic_class: 0xb8,
            flow_label: 0xabcde,
            next_header,
            hop_limit: 64,
            src: Ipv6Addr::LOCALHOST,
            dst: Ipv6Addr::UNSPECIFIED,
        }
    }

    #[test]
    fn a_built_header_reads_back() {
        let mut bytes = header(60).emit(16).to_vec();
        bytes.extend_from_slice(&[44, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[17, 0, 0x00, 0x09, 0, 0, 0, 1]);
        let v = Ipv6::new_checked(&bytes).unwrap();
        assert_eq!((v.traffic_class(), v.flow_label(), v.hop_limit()), (0xb8, 0xabcde, 64));
        let upper = v.upper_layer().unwrap();
        assert_eq!((upper.protocol, upper.offset, upper.next_header_at), (17, 56, 48));
        assert_eq!(upper.fragment, Some((8, true)));
    }

    proptest! {
        #[test]
        fn any_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), next in 0u8..64) {
            if bytes.len() >= 40 {
                let len = bytes.len() - 40;
                bytes[..40].copy_from_slice(&header(next).emit(len));
            }
            if let Ok(upper) = Ipv6::new_checked(&bytes).and_then(|v| v.upper_layer()) {
                prop_assert!(upper.offset <= bytes.len() && upper.next_header_at < bytes.len());
            }
        }
    }
}
