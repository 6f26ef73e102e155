//! ARP for IPv4 over Ethernet (RFC 826), probes and announcements (RFC 5227) included.

use std::net::Ipv4Addr;

use crate::bytes::{array_at, u16_at};
use crate::{Mac, Malformed};

/// Bytes of a packet.
pub const LEN: usize = 28;

/// Request or reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// "Who has the target address?"
    Request,
    /// "The sender address is at the sender's link address."
    Reply,
}

/// An ARP packet as a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 826's names")]
pub struct Arp {
    pub operation: Operation,
    pub sender_mac: Mac,
    pub sender: Ipv4Addr,
    pub target_mac: Mac,
    pub target: Ipv4Addr,
}

impl Arp {
    /// Read a packet; bytes behind the 28 are Ethernet's padding.
    ///
    /// # Errors
    /// Truncated; not Ethernet and IPv4; an operation other than request and reply.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        Malformed::need("ARP", LEN, bytes.len())?;
        if bytes[..6] != [0, 1, 8, 0, 6, 4] {
            return Err(Malformed::field("ARP", "hardware or protocol type"));
        }
        let operation = match u16_at(bytes, 6) {
            1 => Operation::Request,
            2 => Operation::Reply,
            _ => return Err(Malformed::field("ARP", "operation")),
        };
        Ok(Self {
            operation,
            sender_mac: Mac(array_at(bytes, 8)),
            sender: Ipv4Addr::from(array_at::<4>(bytes, 14)),
            target_mac: Mac(array_at(bytes, 18)),
            target: Ipv4Addr::from(array_at::<4>(bytes, 24)),
        })
    }

    /// Its bytes.
    pub fn emit(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
        bytes[7] = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        bytes[8..14].copy_from_slice(&self.sender_mac.0);
        bytes[14..18].copy_from_slice(&self.sender.octets());
        bytes[18..24].copy_from_slice(&self.target_mac.0);
        bytes[24..].copy_from_slice(&self.target.octets());
        bytes
    }

    /// An announcement that `addr` is at `mac` (RFC 5227 section 2.3): a request for one's own address.
    pub fn announcement(addr: Ipv4Addr, mac: Mac) -> Self {
        Self {
            operation: Operation::Request,
            sender_mac: mac,
            sender: addr,
            target_mac: Mac::default(),
            target: addr,
        }
    }

    /// Whether it announces the sender's own address (gratuitous, as request or reply).
    pub fn is_announcement(&self) -> bool {
        self.sender == self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_and_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..40), reply: bool) {
            let mut bytes = bytes;
            let _ = Arp::parse(&bytes);
            bytes.resize(LEN, 9);
            bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, if reply { 2 } else { 1 }]);
            let arp = Arp::parse(&bytes).unwrap();
            prop_assert_eq!(&arp.emit()[..], &bytes[..]);
        }
    }

    #[test]
    fn refuses_what_is_not_ethernet_and_ipv4() {
        let mut bytes = Arp::announcement(Ipv4Addr::LOCALHOST, Mac::BROADCAST).emit();
        assert!(Arp::parse(&bytes).unwrap().is_announcement());
        bytes[1] = 6;
        assert!(Arp::parse(&bytes).is_err());
    }
}
