//! Real frames, mutated: the HSRP, IKE, ESP and OSPF messages of a capture that a victim heard, changed here and there. IP's
//! lengths and checksums are put right, UDP's checksum is left out and OSPF's often put right, so that the nonsense gets
//! as far as it can.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;

use espalier::capture::{Packet, Reader};
use espalier_wire::checksum::checksum;
use espalier_wire::random::Random;

const ETHERNET: usize = 14;
const UDP: u8 = 17;
const ESP: u8 = 50;
const OSPF: u8 = 89;
/// Mutations strike this early in a message: past it lies what is encrypted anyway.
const DEEP: usize = 80;

/// What a message is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// UDP 500.
    Ike,
    /// UDP 4500: IKE, and ESP in UDP.
    NatTraversal,
    /// UDP 1985.
    Hsrp,
    /// Protocol 50: ESP in UDP without the UDP.
    Esp,
    /// Protocol 89.
    Ospf,
}

/// All of them.
pub const KINDS: [Kind; 5] = [Kind::Ike, Kind::NatTraversal, Kind::Hsrp, Kind::Esp, Kind::Ospf];

/// Frames to mutate, by kind.
pub struct Seeds(BTreeMap<Kind, Vec<Vec<u8>>>);

impl Seeds {
    /// Those of a capture that went to `victim` or to a group. `victim`'s own words to a group seem to come from `peer`;
    /// all frames come from `mac`, so that a switch still finds everybody.
    pub fn read(capture: &Path, victim: Ipv4Addr, peer: Ipv4Addr, mac: [u8; 6]) -> Self {
        let mut reader = Reader::open(capture).unwrap();
        let (mut packet, mut seeds) = (Packet::default(), BTreeMap::<Kind, Vec<Vec<u8>>>::new());
        while reader.read(&mut packet).unwrap() {
            let mut frame = packet.bytes.clone();
            let to_group = frame[0] & 1 == 1;
            if frame.len() < ETHERNET + 28
                || frame[12..14] != [8, 0]
                || (frame[30..34] != victim.octets() && !to_group)
            {
                continue;
            }
            frame[6..12].copy_from_slice(&mac);
            if frame[26..30] == victim.octets() {
                frame[26..30].copy_from_slice(&peer.octets());
            }
            let Some(kind) = kind(&frame) else { continue };
            if kind == Kind::NatTraversal
                && let Some(bare) = without_udp(&frame)
            {
                seeds.entry(Kind::Esp).or_default().push(bare);
            }
            seeds.entry(kind).or_default().push(frame);
        }
        for kind in KINDS {
            assert!(seeds.contains_key(&kind), "no messages of {kind:?} in {}", capture.display());
        }
        Self(seeds)
    }

    /// A mutation of one of a kind.
    pub fn mutated(&self, kind: Kind, chance: &mut Random) -> Vec<u8> {
        let all = &self.0[&kind];
        mutate(&all[chance.below(all.len() as u64) as usize], chance)
    }
}

fn header(frame: &[u8]) -> usize {
    ETHERNET + usize::from(frame[ETHERNET] & 15) * 4
}

fn kind(frame: &[u8]) -> Option<Kind> {
    let start = header(frame);
    let port = u16::from_be_bytes([frame[start + 2], frame[start + 3]]);
    match (frame[23], port) {
        (ESP, _) => Some(Kind::Esp),
        (OSPF, _) => Some(Kind::Ospf),
        (UDP, 500) => Some(Kind::Ike),
        (UDP, 1985) => Some(Kind::Hsrp),
        (UDP, 4500) => Some(Kind::NatTraversal),
        _ => None,
    }
}

/// ESP in UDP as plain ESP; `None`: it is IKE.
fn without_udp(frame: &[u8]) -> Option<Vec<u8>> {
    let payload = header(frame) + 8;
    let esp = frame.get(payload..).filter(|esp| esp.len() > 8 && esp[..4] != [0; 4])?;
    let mut bare = frame[..payload - 8].to_vec();
    bare[23] = ESP;
    bare.extend(esp);
    Some(bare)
}

fn mutate(frame: &[u8], chance: &mut Random) -> Vec<u8> {
    let (start, protocol) = (header(frame), frame[23]);
    let udp = if protocol == UDP { 8 } else { 0 };
    let mut body = frame[start + udp..].to_vec();
    for _ in 0..=chance.below(4) {
        if body.is_empty() {
            break;
        }
        let at = chance.below(body.len().min(DEEP) as u64) as usize;
        body[at] = match chance.below(4) {
            0 => chance.u32() as u8,
            1 => 0,
            2 => 255,
            _ => body[at] ^ (1 << chance.below(8)),
        };
    }
    if chance.below(10) < 3 {
        body.truncate(chance.below(body.len() as u64 + 1) as usize);
    }
    if chance.below(10) == 0 {
        let mut more = vec![0; 1 + chance.below(60) as usize];
        chance.fill(&mut more);
        body.extend(more);
    }
    if protocol == OSPF && body.len() >= 24 && chance.below(10) < 7 {
        body[12..14].fill(0);
        let summed = [&body[..16], &body[24..]].concat();
        body[12..14].copy_from_slice(&checksum(&summed).to_be_bytes());
    }
    let mut out = frame[..start + udp].to_vec();
    let length = |n: usize| (n as u16).to_be_bytes();
    if udp > 0 {
        out[start + 4..start + 6].copy_from_slice(&length(body.len() + 8));
        out[start + 6..start + 8].fill(0);
    }
    out[16..18].copy_from_slice(&length(start - ETHERNET + udp + body.len()));
    out[24..26].fill(0);
    let sum = checksum(&out[ETHERNET..start]);
    out[24..26].copy_from_slice(&sum.to_be_bytes());
    out.extend(body);
    out
}
