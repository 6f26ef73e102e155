//! Ethernet II with any number of 802.1Q or 802.1ad tags. 802.3 length frames are told apart, not parsed.

use crate::bytes::{array_at, u16_at};
use crate::{Mac, Malformed};

/// Bytes of an untagged header.
pub const HEADER_LEN: usize = 14;
/// Bytes of a tag.
pub const TAG_LEN: usize = 4;
/// The shortest payload that Ethernet carries; shorter ones are padded.
pub const MIN_PAYLOAD: usize = 46;

/// An EtherType (or, below 0x600, an 802.3 length).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EtherType(pub u16);

#[allow(missing_docs, reason = "names say it")]
impl EtherType {
    pub const IPV4: Self = Self(0x0800);
    pub const ARP: Self = Self(0x0806);
    pub const IPV6: Self = Self(0x86dd);
    pub const VLAN: Self = Self(0x8100);
    pub const QINQ: Self = Self(0x88a8);

    /// Whether four more bytes of tag follow.
    pub const fn is_tag(self) -> bool {
        self.0 == Self::VLAN.0 || self.0 == Self::QINQ.0 || self.0 == 0x9100
    }
}

/// A frame whose header, tags included, is there.
#[derive(Debug, Clone, Copy)]
pub struct Ethernet<'a> {
    bytes: &'a [u8],
    payload: usize,
}

impl<'a> Ethernet<'a> {
    /// Check `bytes`, which end where the frame ends (padding included, FCS not).
    ///
    /// # Errors
    /// A header or a tag that is cut off.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Malformed::need("Ethernet", HEADER_LEN, bytes.len())?;
        let mut payload = HEADER_LEN;
        while EtherType(u16_at(bytes, payload - 2)).is_tag() {
            payload += TAG_LEN;
            Malformed::need("802.1Q", payload, bytes.len())?;
        }
        Ok(Self { bytes, payload })
    }

    /// Who it is for.
    pub fn dst(&self) -> Mac {
        Mac(array_at(self.bytes, 0))
    }

    /// Who sent it.
    pub fn src(&self) -> Mac {
        Mac(array_at(self.bytes, 6))
    }

    /// What the payload is, behind all tags.
    pub fn ethertype(&self) -> EtherType {
        EtherType(u16_at(self.bytes, self.payload - 2))
    }

    /// The outermost tag's VLAN id, if there is a tag.
    pub fn vlan(&self) -> Option<u16> {
        (self.payload > HEADER_LEN).then(|| u16_at(self.bytes, HEADER_LEN) & 0x0fff)
    }

    /// Bytes of header and tags.
    pub fn header_len(&self) -> usize {
        self.payload
    }

    /// What follows the header, padding included.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.payload..]
    }
}

/// The 14 bytes of an untagged header.
pub fn header(dst: Mac, src: Mac, ethertype: EtherType) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..6].copy_from_slice(&dst.0);
    bytes[6..12].copy_from_slice(&src.0);
    bytes[12..].copy_from_slice(&ethertype.0.to_be_bytes());
    bytes
}

/// A whole frame, padded to Ethernet's minimum.
pub fn frame(dst: Mac, src: Mac, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN + payload.len().max(MIN_PAYLOAD));
    bytes.extend_from_slice(&header(dst, src, ethertype));
    bytes.extend_from_slice(payload);
    bytes.resize(bytes.len().max(HEADER_LEN + MIN_PAYLOAD), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tags_are_skipped_and_told() {
        let mut bytes =
            frame(Mac::BROADCAST, Mac([2, 0, 0, 0, 0, 1]), EtherType::VLAN, &[0x20, 0x05, 0x08, 0x00, 7]);
        let view = Ethernet::new_checked(&bytes).unwrap();
        assert_eq!((view.vlan(), view.ethertype(), view.header_len()), (Some(5), EtherType::IPV4, 18));
        assert_eq!((view.dst(), view.payload()[0]), (Mac::BROADCAST, 7));
        bytes.truncate(17);
        assert!(Ethernet::new_checked(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(v) = Ethernet::new_checked(&bytes) {
                let _ = (v.dst(), v.src(), v.ethertype(), v.vlan(), v.payload());
            }
        }
    }
}
