//! Fragment: cut an IP packet that is too long for its way (RFC 791 section 3.2, RFC 8200 section 4.5).

use espalier_wire::{Cause, checksum, ipv4, ipv6};

use super::classify::{Headers, Part};
use crate::frame::Frame;
use crate::mem::Pool;

const IPV6_FRAGMENT: u8 = 44;
const FRAGMENT_HEADER_LEN: usize = 8;

/// Cut `frame`, an IP packet with nothing behind it, into fragments of at most `max` bytes, in order, onto `out`. The
/// first keeps the frame itself; all keep its tag. IPv6 is cut only as its source may: `identification` is what the
/// fragment header gets.
///
/// # Errors
/// The frame, untouched, and `too-big`: no 8 bytes of payload fit, or an IPv6 packet that is already a fragment.
pub fn cut(
    frame: Frame,
    headers: &Headers,
    max: usize,
    identification: u32,
    pool: &mut Pool,
    out: &mut Vec<Frame>,
) -> Result<(), (Frame, Cause)> {
    let own = headers.upper as usize;
    let extra = if headers.flow.ipv4 { 0 } else { FRAGMENT_HEADER_LEN };
    let step = max.saturating_sub(own + extra) & !7;
    if step == 0 || (!headers.flow.ipv4 && headers.part != Part::Whole) || frame.len() != headers.len as usize
    {
        return Err((frame, Cause::TooBig));
    }
    if headers.flow.ipv4 {
        cut_ipv4(frame, own, step, pool, out);
        Ok(())
    } else {
        cut_ipv6(frame, headers, step, identification, pool, out)
    }
}

/// Copy `header` and `payload` into a frame of its own, leaving room for `extra` bytes between them.
fn piece(pool: &mut Pool, whole: &Frame, header: &[u8], extra: usize, payload: &[u8]) -> Option<Frame> {
    let mut frame = pool.take(header.len() + extra + payload.len())?;
    frame.meta = whole.meta;
    if !frame.grow_back(header.len() + extra + payload.len()) {
        return None;
    }
    let bytes = frame.bytes_mut();
    bytes[..header.len()].copy_from_slice(header);
    bytes[header.len() + extra..].copy_from_slice(payload);
    Some(frame)
}

fn cut_ipv4(mut frame: Frame, own: usize, step: usize, pool: &mut Pool, out: &mut Vec<Frame>) {
    let (header, payload) = frame.bytes().split_at(own);
    let word = u16::from_be_bytes([header[6], header[7]]);
    let (flags, offset) = (word & ipv4::MF, word & ipv4::OFFSET);
    let later = later_header(header);
    let first = out.len();
    let mut at = step;
    while at < payload.len() {
        let end = (at + step).min(payload.len());
        let more = if end < payload.len() { ipv4::MF } else { flags };
        if let Some(mut next) = piece(pool, &frame, &later, 0, &payload[at..end]) {
            stamp_ipv4(next.bytes_mut(), later.len(), more | (offset + (at / 8) as u16));
            out.push(next);
        }
        at = end;
    }
    frame.truncate(own + step);
    stamp_ipv4(frame.bytes_mut(), own, ipv4::MF | offset);
    out.insert(first, frame);
}

/// The header of later fragments: only the options whose copied flag is set (RFC 791 section 3.1).
fn later_header(header: &[u8]) -> arrayvec::ArrayVec<u8, 60> {
    let mut kept: arrayvec::ArrayVec<u8, 60> = header[..ipv4::HEADER_LEN].iter().copied().collect();
    let mut options = &header[ipv4::HEADER_LEN..];
    while let Some(kind) = options.first().copied() {
        // 0 ends the list, 1 is one byte of padding, all others say their length.
        let len = match kind {
            0 => break,
            1 => 1,
            _ => options.get(1).map_or(0, |len| usize::from(*len)),
        };
        let Some((option, rest)) = options.split_at_checked(len) else { break };
        if len == 0 {
            break;
        }
        if kind & 0x80 != 0 {
            kept.extend(option.iter().copied());
        }
        options = rest;
    }
    while kept.len() % 4 != 0 {
        kept.push(0);
    }
    kept[0] = 0x40 | (kept.len() / 4) as u8;
    kept
}

/// Total length, flags and offset, checksum.
fn stamp_ipv4(packet: &mut [u8], own: usize, word: u16) {
    let len = (packet.len() as u16).to_be_bytes();
    packet[2..4].copy_from_slice(&len);
    packet[6..8].copy_from_slice(&word.to_be_bytes());
    packet[10..12].fill(0);
    let sum = checksum::checksum(&packet[..own]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn cut_ipv6(
    frame: Frame,
    headers: &Headers,
    step: usize,
    identification: u32,
    pool: &mut Pool,
    out: &mut Vec<Frame>,
) -> Result<(), (Frame, Cause)> {
    let (own, first) = (headers.upper as usize, out.len());
    let (header, payload) = frame.bytes().split_at(own);
    let mut at = 0;
    while at < payload.len() {
        let end = (at + step).min(payload.len());
        let Some(mut next) = piece(pool, &frame, header, FRAGMENT_HEADER_LEN, &payload[at..end]) else {
            out.truncate(first);
            return Err((frame, Cause::TooBig));
        };
        let packet = next.bytes_mut();
        let word = at as u16 | u16::from(end < payload.len());
        let len = (packet.len() - ipv6::HEADER_LEN) as u16;
        packet[own] = headers.flow.protocol;
        packet[own + 1] = 0;
        packet[own + 2..own + 4].copy_from_slice(&word.to_be_bytes());
        packet[own + 4..own + 8].copy_from_slice(&identification.to_be_bytes());
        packet[headers.next_at as usize] = IPV6_FRAGMENT;
        packet[4..6].copy_from_slice(&len.to_be_bytes());
        out.push(next);
        at = end;
    }
    pool.put(frame);
    Ok(())
}

#[cfg(test)]
mod tests {
    use espalier_wire::ipv4::Ipv4;

    use super::*;
    use crate::testing;

    fn cut_all(packet: &[u8], max: usize) -> Vec<Vec<u8>> {
        let (mut pool, mut out) = (Pool::new(64), Vec::new());
        let frame = pool.copy_of(packet).unwrap();
        let headers = Headers::read(packet).unwrap();
        cut(frame, &headers, max, 9, &mut pool, &mut out).unwrap();
        out.iter().map(|frame| frame.bytes().to_vec()).collect()
    }

    #[test]
    fn ipv4_fragments_of_fragments_carry_every_byte_once() {
        let mut packet = testing::udp4([10, 1, 1, 1], [20, 1, 1, 1], 1, 2, 3000);
        packet[6..8].copy_from_slice(&(ipv4::MF | 8).to_be_bytes());
        testing::fix_checksum(&mut packet);
        let pieces = cut_all(&packet, 576);
        let mut expected = 64;
        for (n, bytes) in pieces.iter().enumerate() {
            let v = Ipv4::new_checked(bytes).unwrap();
            assert!(v.checksum_ok() && v.mf() && bytes.len() <= 576);
            assert_eq!(v.fragment_offset(), expected, "{n}");
            expected += v.payload().len();
        }
        let payload: Vec<u8> = pieces.iter().flat_map(|bytes| bytes[20..].to_vec()).collect();
        assert_eq!(payload, packet[20..]);
    }

    #[test]
    fn only_copied_options_go_into_later_fragments() {
        let mut packet = vec![0x47, 0, 0, 0, 0, 1, 0, 0, 64, 17, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2];
        packet.extend_from_slice(&[0x07, 3, 4, 0x83, 4, 4, 9, 0]);
        packet.extend_from_slice(&[7; 100]);
        packet[3] = packet.len() as u8;
        let pieces = cut_all(&packet, 76);
        assert_eq!((pieces[0][0], pieces[1][0], &pieces[1][20..24]), (0x47, 0x46, &[0x83, 4, 4, 9][..]));
    }

    #[test]
    fn ipv6_gets_a_fragment_header() {
        let packet = testing::udp6(5, 6, 3000);
        let pieces = cut_all(&packet, 1280);
        let parts: Vec<_> = pieces.iter().map(|bytes| Headers::read(bytes).unwrap()).collect();
        assert_eq!(parts.iter().map(|h| h.part).collect::<Vec<_>>(), [Part::First, Part::Later, Part::Later]);
        assert!(parts.iter().all(|h| h.len <= 1280 && h.flow.protocol == 17 && h.upper == 48));
    }
}
