//! Link headers: where the IP packet of a frame starts and ends, and the same header before another IP packet.
//!
//! 802.1Q and 802.1ad tags are looked through, in Ethernet and in Linux cooked frames. What carries IP in any other way
//! (PPPoE, MPLS, LLC/SNAP) is no IP packet here.

use std::ops::Range;

use super::LinkType;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// AF_INET, the same everywhere.
const FAMILY_IPV4: u32 = 2;
/// AF_INET6: BSD/OS and NetBSD and OpenBSD, FreeBSD, macOS, Linux. The first is what is written.
const FAMILIES_IPV6: [u32; 4] = [24, 28, 30, 10];

/// The IP packet inside a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Where it lies: what follows (Ethernet padding, FCS) is left out, as its own length says.
    pub ip: Range<usize>,
    /// Which bytes of the header name the protocol.
    names: Names,
}

/// How a link header says that IPv4 or IPv6 follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Nothing,
    EtherType { at: usize },
    FamilyLittle,
    FamilyBig,
}

/// Find the IP packet of a frame; `None` when it holds none, or its link type is none of ours.
pub fn locate(link: LinkType, frame: &[u8]) -> Option<Located> {
    let (start, names) = match link {
        l if l.is_raw_ip() => (0, Names::Nothing),
        LinkType::ETHERNET => behind_ethertype(frame, 12, 14)?,
        LinkType::LINUX_SLL => behind_ethertype(frame, 14, 16)?,
        LinkType::LINUX_SLL2 => behind_ethertype(frame, 0, 20)?,
        LinkType::NULL => (4, family(frame, true)?),
        LinkType::LOOP => (4, family(frame, false)?),
        _ => return None,
    };
    let packet = frame.get(start..).filter(|p| !p.is_empty())?;
    Some(Located { ip: start..start + ip_len(packet), names })
}

/// Follow tags from the EtherType at `at`; the header without tags ends at `end`.
fn behind_ethertype(frame: &[u8], mut at: usize, mut end: usize) -> Option<(usize, Names)> {
    loop {
        match u16_at(frame, at)? {
            IPV4 | IPV6 => return Some((end, Names::EtherType { at })),
            // IEEE 802.1Q, 802.1ad, and the number QinQ had before: a tag, then the next EtherType.
            0x8100 | 0x88a8 | 0x9100 => {
                at = end + 2;
                end += 4;
            }
            _ => return None,
        }
    }
}

fn family(frame: &[u8], either_order: bool) -> Option<Names> {
    let known = |family: u32| family == FAMILY_IPV4 || FAMILIES_IPV6.contains(&family);
    let bytes: [u8; 4] = frame.get(..4)?.try_into().ok()?;
    if known(u32::from_be_bytes(bytes)) {
        return Some(Names::FamilyBig);
    }
    (either_order && known(u32::from_le_bytes(bytes))).then_some(Names::FamilyLittle)
}

/// Bytes of the IP packet by its own header; all of them where that makes no sense (offloads leave a length of 0).
fn ip_len(packet: &[u8]) -> usize {
    let said = match packet.first().map(|b| b >> 4) {
        Some(4) => u16_at(packet, 2).map(usize::from).filter(|n| *n >= 20),
        Some(6) => u16_at(packet, 4).map(|n| usize::from(n) + 40),
        _ => None,
    };
    said.map_or(packet.len(), |n| n.min(packet.len()))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_be_bytes)
}

/// The link type that a frame of link type `link` is written under: raw IP has five numbers, and only one of them
/// holds both versions everywhere.
pub fn written(link: LinkType) -> LinkType {
    if link.is_raw_ip() { LinkType::RAW } else { link }
}

impl Located {
    /// The frame's link header, made to say what stands in `packet` (an IPv4 or IPv6 packet), into `header`.
    pub fn header_before(&self, frame: &[u8], packet: &[u8], header: &mut Vec<u8>) {
        header.clear();
        header.extend_from_slice(frame.get(..self.ip.start).unwrap_or(frame));
        let version = |bytes: Option<&u8>| bytes.map(|b| b >> 4);
        let v6 = version(packet.first()) == Some(6);
        if version(frame.get(self.ip.start)) == version(packet.first()) {
            return;
        }
        let family = if v6 { FAMILIES_IPV6[0] } else { FAMILY_IPV4 };
        match self.names {
            Names::Nothing => {}
            Names::EtherType { at } => overwrite(header, at, &(if v6 { IPV6 } else { IPV4 }).to_be_bytes()),
            Names::FamilyLittle => overwrite(header, 0, &family.to_le_bytes()),
            Names::FamilyBig => overwrite(header, 0, &family.to_be_bytes()),
        }
    }
}

fn overwrite(header: &mut [u8], at: usize, value: &[u8]) {
    if let Some(field) = header.get_mut(at..at + value.len()) {
        field.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An IPv4 packet of 21 bytes.
    fn ipv4() -> Vec<u8> {
        let mut p = vec![0x45, 0, 0, 21];
        p.resize(21, 7);
        p
    }

    fn ipv6() -> Vec<u8> {
        let mut p = vec![0x60, 0, 0, 0, 0, 1];
        p.resize(41, 7);
        p
    }

    /// Each link type's header before an IPv4 packet, and before an IPv6 one.
    fn headers() -> Vec<(LinkType, Vec<u8>, Vec<u8>)> {
        let ethernet = |rest: &[u8]| [&[0xaa; 12][..], rest].concat();
        let qinq = [0x88, 0xa8, 0, 5, 0x81, 0, 0, 6];
        let sll2 = |t: [u8; 2]| [&t[..], &[0; 18]].concat();
        vec![
            (LinkType::ETHERNET, ethernet(&[8, 0]), ethernet(&[0x86, 0xdd])),
            (
                LinkType::ETHERNET,
                ethernet(&[&qinq[..], &[8, 0]].concat()),
                ethernet(&[&qinq[..], &[0x86, 0xdd]].concat()),
            ),
            (LinkType::RAW, vec![], vec![]),
            (LinkType::IPV4, vec![], vec![]),
            (LinkType::LINUX_SLL, [&[0; 14][..], &[8, 0]].concat(), [&[0; 14][..], &[0x86, 0xdd]].concat()),
            (LinkType::LINUX_SLL2, sll2([8, 0]), sll2([0x86, 0xdd])),
            (LinkType::NULL, vec![2, 0, 0, 0], vec![24, 0, 0, 0]),
            (LinkType::NULL, vec![0, 0, 0, 2], vec![0, 0, 0, 24]),
            (LinkType::LOOP, vec![0, 0, 0, 2], vec![0, 0, 0, 24]),
        ]
    }

    #[test]
    fn every_link_type_is_found_trimmed_and_written_again() {
        for (link, four, six) in headers() {
            let frame = [&four[..], &ipv4(), &[0; 30]].concat();
            let found = locate(link, &frame).unwrap();
            assert_eq!(frame[found.ip.clone()], ipv4(), "{link}");
            let mut header = Vec::new();
            found.header_before(&frame, &ipv4(), &mut header);
            assert_eq!(header, four, "{link}");
            found.header_before(&frame, &ipv6(), &mut header);
            assert_eq!(header, six, "{link}");
            let again = [&six[..], &ipv6()].concat();
            assert_eq!(locate(link, &again).unwrap().ip, six.len()..again.len(), "{link}");
        }
    }

    #[test]
    fn what_is_not_ip_is_left_alone() {
        let arp = [&[0xff; 12][..], &[8, 6], &[0; 28]].concat();
        assert_eq!(locate(LinkType::ETHERNET, &arp), None);
        assert_eq!(locate(LinkType::LOOP, &[2, 0, 0, 0, 0x45]), None, "network order only");
        assert_eq!(locate(LinkType(105), &ipv4()), None, "802.11");
        assert_eq!(locate(LinkType::RAW, &[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_stay_inside_their_frame(link: u16, frame in proptest::collection::vec(any::<u8>(), 0..80)) {
            for link in [LinkType(link), LinkType::ETHERNET, LinkType::LINUX_SLL, LinkType::LINUX_SLL2,
                         LinkType::NULL, LinkType::LOOP, LinkType::RAW] {
                if let Some(found) = locate(link, &frame) {
                    prop_assert!(found.ip.start < found.ip.end && found.ip.end <= frame.len());
                    found.header_before(&frame, &[0x60], &mut Vec::new());
                }
            }
        }
    }
}
