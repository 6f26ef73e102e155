//! Forward: what a hop does to a packet's own headers, and the link header it leaves with.

use espalier_wire::ether::{self, EtherType};
use espalier_wire::{Cause, Mac, checksum, ipv4};

use super::classify::Headers;
use crate::frame::Frame;

/// Ethernet's shortest frame, FCS not counted.
const FRAME_MIN: usize = ether::HEADER_LEN + ether::MIN_PAYLOAD;

/// Take one from the TTL or hop limit (RFC 1812 section 5.3.1); the checksum follows by RFC 1624.
///
/// # Errors
/// `ttl-expired`; the packet is then as it was.
pub fn take_hop(packet: &mut [u8], headers: &Headers) -> Result<(), Cause> {
    if headers.ttl <= 1 {
        return Err(Cause::TtlExpired);
    }
    if !headers.flow.ipv4 {
        if let Some(hops) = packet.get_mut(7) {
            *hops = headers.ttl - 1;
        }
    } else if let Some([ttl, protocol, hi, lo]) = packet.get_mut(8..12) {
        let before = u16::from_be_bytes([*ttl, *protocol]);
        *ttl = headers.ttl - 1;
        let after = u16::from_be_bytes([*ttl, *protocol]);
        [*hi, *lo] = checksum::update(u16::from_be_bytes([*hi, *lo]), before, after).to_be_bytes();
    }
    Ok(())
}

/// Put an Ethernet header before an IP packet, and padding behind a short one. `false`: the frame has no room.
pub fn write_link(frame: &mut Frame, dst: Mac, src: Mac, ipv4: bool) -> bool {
    if !frame.grow_front(ether::HEADER_LEN) {
        return false;
    }
    let kind = if ipv4 { EtherType::IPV4 } else { EtherType::IPV6 };
    if let Some(header) = frame.bytes_mut().first_chunk_mut() {
        *header = ether::header(dst, src, kind);
    }
    pad_short(frame);
    true
}

/// The most that is missing where the frame has an IPv4 header and eight bytes behind it.
const MISSING: usize = FRAME_MIN - ether::HEADER_LEN - ipv4::HEADER_LEN - 8;

/// [`pad`] for frames that are seldom shorter than that: what is written has one length, and may end behind the frame.
#[inline(always)]
pub fn pad_short(frame: &mut Frame) {
    let len = frame.len();
    if len >= FRAME_MIN {
        return;
    }
    match frame.row_mut::<MISSING>(len as u32) {
        Some(row) if len + MISSING >= FRAME_MIN => {
            *row = [0; MISSING];
            let fits = frame.grow_back(FRAME_MIN - len);
            debug_assert!(fits, "the row did");
        }
        _ => pad(frame),
    }
}

/// Zeros behind a frame that is too short for the link.
#[cold]
pub fn pad(frame: &mut Frame) {
    let len = frame.len();
    if len < FRAME_MIN && frame.grow_back(FRAME_MIN - len) {
        frame.part_mut(len, FRAME_MIN - len).fill(0);
    }
}

#[cfg(test)]
mod tests {
    use crate::frame::{Class, HEADROOM};

    use espalier_wire::ipv4::Ipv4;

    use super::*;
    use crate::mem::Pool;
    use crate::testing;

    #[test]
    fn both_ways_to_pad_do_the_same() {
        let capacity = Class::Small.capacity();
        for len in 0..70 {
            for head in [HEADROOM, capacity - 80, capacity - 62, capacity - 60, capacity - 59, capacity - len]
            {
                let [mut a, mut b] = [(); 2].map(|()| Frame::new(Class::Small));
                for frame in [&mut a, &mut b] {
                    assert_eq!(frame.fill(head, &vec![7; len]), head + len <= capacity);
                }
                pad(&mut a);
                pad_short(&mut b);
                assert_eq!((a.bytes(), a.headroom()), (b.bytes(), b.headroom()), "{len} at {head}");
            }
        }
    }

    #[test]
    fn a_hop_costs_one_and_the_checksum_stays_right() {
        let mut packet = testing::udp4([10, 0, 0, 1], [10, 0, 0, 2], 1, 2, 5);
        for left in (1..64).rev() {
            let headers = Headers::read(&packet).unwrap();
            take_hop(&mut packet, &headers).unwrap();
            let view = Ipv4::new_checked(&packet).unwrap();
            assert!(view.checksum_ok() && view.ttl() == left);
        }
        let headers = Headers::read(&packet).unwrap();
        assert_eq!(take_hop(&mut packet, &headers), Err(Cause::TtlExpired));
        let mut frame = Pool::new(1).copy_of(&packet).unwrap();
        assert!(write_link(&mut frame, Mac::BROADCAST, Mac([2; 6]), true));
        assert_eq!((frame.len(), frame.bytes()[59]), (60, 0));
    }
}
