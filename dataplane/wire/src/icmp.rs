//! ICMP (RFC 792): echo, and the errors a router sends.

use crate::bytes::u16_at;
use crate::{Malformed, checksum};

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;

/// A message as a value; what it carries stays outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icmp {
    /// Type 8.
    EchoRequest {
        /// Whose ping it is.
        identifier: u16,
        /// Which of its requests.
        sequence: u16,
    },
    /// Type 0.
    EchoReply {
        /// Whose ping it is.
        identifier: u16,
        /// Which of its requests.
        sequence: u16,
    },
    /// Type 3: network 0, host 1, protocol 2, port 3, administratively prohibited 13 …
    Unreachable {
        /// The code.
        code: u8,
    },
    /// Type 3 code 4: fragmentation needed and DF set (RFC 1191 section 4).
    FragmentationNeeded {
        /// Bytes of IP packet that would have fitted; 0 from routers older than RFC 1191.
        mtu: u16,
    },
    /// Type 11: TTL 0, reassembly 1.
    TimeExceeded {
        /// The code.
        code: u8,
    },
}

impl Icmp {
    /// Read a message (an IP payload): the value, and the bytes behind its header.
    ///
    /// # Errors
    /// Cut off, a wrong checksum, or a type that is none of the above.
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        Malformed::need("ICMP", HEADER_LEN, bytes.len())?;
        if checksum::sum(bytes) != 0xffff {
            return Err(Malformed::Checksum { format: "ICMP" });
        }
        let (identifier, sequence) = (u16_at(bytes, 4), u16_at(bytes, 6));
        let message = match (bytes[0], bytes[1]) {
            (8, _) => Self::EchoRequest { identifier, sequence },
            (0, _) => Self::EchoReply { identifier, sequence },
            (3, 4) => Self::FragmentationNeeded { mtu: sequence },
            (3, code) => Self::Unreachable { code },
            (11, code) => Self::TimeExceeded { code },
            _ => return Err(Malformed::field("ICMP", "type")),
        };
        Ok((message, &bytes[HEADER_LEN..]))
    }

    /// The message with `data` behind its header, checksum right.
    pub fn emit(&self, data: &[u8]) -> Vec<u8> {
        let (kind, code, first, second) = match *self {
            Self::EchoRequest { identifier, sequence } => (8, 0, identifier, sequence),
            Self::EchoReply { identifier, sequence } => (0, 0, identifier, sequence),
            Self::Unreachable { code } => (3, code, 0, 0),
            Self::FragmentationNeeded { mtu } => (3, 4, 0, mtu),
            Self::TimeExceeded { code } => (11, code, 0, 0),
        };
        let mut bytes = Vec::with_capacity(HEADER_LEN + data.len());
        bytes.extend_from_slice(&[kind, code, 0, 0]);
        bytes.extend_from_slice(&first.to_be_bytes());
        bytes.extend_from_slice(&second.to_be_bytes());
        bytes.extend_from_slice(data);
        let sum = checksum::checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Whether it reports an error; errors are never answered with errors (RFC 1122 section 3.2.2).
    pub const fn is_error(&self) -> bool {
        !matches!(self, Self::EchoRequest { .. } | Self::EchoReply { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_and_round_trip(data in proptest::collection::vec(any::<u8>(), 0..64), a: u16, b: u16, code in 5u8..20) {
            let _ = Icmp::parse(&data);
            for message in [
                Icmp::EchoRequest { identifier: a, sequence: b },
                Icmp::EchoReply { identifier: a, sequence: b },
                Icmp::Unreachable { code },
                Icmp::FragmentationNeeded { mtu: a },
                Icmp::TimeExceeded { code },
            ] {
                let mut bytes = message.emit(&data);
                prop_assert_eq!(Icmp::parse(&bytes), Ok((message, &data[..])));
                bytes[0] ^= 0x20;
                prop_assert!(Icmp::parse(&bytes).is_err());
            }
        }
    }
}
