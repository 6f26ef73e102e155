//! What a sending kernel leaves to its hardware, done here: checksums finished, several segments in one frame taken
//! apart. A veth has no hardware, so such frames arrive as they are. Not a checker: whatever is odd passes as it came,
//! for the dataplane to judge.

use espalier_wire::checksum::{add, checksum, sum};

use super::socket::Offload;

/// `VIRTIO_NET_HDR_GSO_TCPV4` and `VIRTIO_NET_HDR_GSO_UDP_L4`.
const TCP_V4: u8 = 1;
const UDP_SEGMENTS: u8 = 5;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// FIN and PSH belong to the last segment, CWR to the first (RFC 9293 section 3.7, RFC 3168 section 6.1.2).
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// Give `each` the frame, or the frames, that it stands for. `false`: it stands for several, of a kind not known here.
pub(crate) fn complete(frame: &[u8], how: &Offload, mut each: impl FnMut(&[u8])) -> bool {
    match how.segments {
        None => {
            match how.checksum {
                Some(at) => each(&finished(frame, at)),
                None => each(frame),
            }
            true
        }
        Some((kind @ (TCP_V4 | UDP_SEGMENTS), size)) if size > 0 => {
            segment(frame, kind, size, each).is_some()
        }
        Some(_) => false,
    }
}

/// The field holds the sum of the pseudo-header; what it should hold is the checksum of everything from `start` on.
fn finished(frame: &[u8], (start, offset): (usize, usize)) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let value = checksum(frame.get(start..).unwrap_or_default());
    if let Some(field) = frame.get_mut(start + offset..).and_then(|rest| rest.get_mut(..2)) {
        // A UDP checksum of zero would mean none (RFC 768); TCP reads both zeros alike.
        let value = if value == 0 { 0xffff } else { value };
        field.copy_from_slice(&value.to_be_bytes());
    }
    frame
}

/// Where the headers of an IPv4 frame end.
struct Headers {
    transport: usize,
    payload: usize,
    protocol: u8,
}

fn headers(frame: &[u8], kind: u8) -> Option<Headers> {
    let protocol = *frame.get(ETHERNET + 9)?;
    let transport = ETHERNET + usize::from(*frame.get(ETHERNET)? & 0x0f) * 4;
    let length = match (kind, protocol) {
        (TCP_V4, TCP) => usize::from(*frame.get(transport + 12)? >> 4) * 4,
        (UDP_SEGMENTS, UDP) => 8,
        _ => return None,
    };
    let version = frame.get(12..ETHERNET)? == [0x08, 0x00];
    let payload = transport + length;
    let whole = transport >= ETHERNET + 20 && length >= 8 && frame.len() >= payload;
    (version && whole).then_some(Headers { transport, payload, protocol })
}

fn segment(frame: &[u8], kind: u8, size: usize, mut each: impl FnMut(&[u8])) -> Option<()> {
    let h = headers(frame, kind)?;
    let (head, payload) = frame.split_at(h.payload);
    let id = u16::from_be_bytes([head[ETHERNET + 4], head[ETHERNET + 5]]);
    let last = payload.len().div_ceil(size).saturating_sub(1);
    for (n, part) in payload.chunks(size).enumerate() {
        let mut one = [head, part].concat();
        let len = u16::try_from(one.len() - ETHERNET).ok()?;
        one[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&len.to_be_bytes());
        one[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&id.wrapping_add(n as u16).to_be_bytes());
        one[ETHERNET + 10..ETHERNET + 12].fill(0);
        let value = checksum(&one[ETHERNET..h.transport]);
        one[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&value.to_be_bytes());
        let t = h.transport;
        if h.protocol == TCP {
            let sequence = u32::from_be_bytes([head[t + 4], head[t + 5], head[t + 6], head[t + 7]]);
            let sequence = sequence.wrapping_add((n * size) as u32);
            one[t + 4..t + 8].copy_from_slice(&sequence.to_be_bytes());
            one[t + 13] &= if n == last { 0xff } else { !FIN_PSH } & if n == 0 { 0xff } else { !CWR };
        } else {
            let len = ((one.len() - t) as u16).to_be_bytes();
            one[t + 4..t + 6].copy_from_slice(&len);
        }
        transport_checksum(&mut one, &h);
        each(&one);
    }
    Some(())
}

fn transport_checksum(frame: &mut [u8], h: &Headers) {
    let field = h.transport + if h.protocol == TCP { 16 } else { 6 };
    frame[field..field + 2].fill(0);
    let len = (frame.len() - h.transport) as u16;
    let pseudo = add(sum(&frame[ETHERNET + 12..ETHERNET + 20]), add(u16::from(h.protocol), len));
    let value = !add(pseudo, sum(&frame[h.transport..]));
    let value = if value == 0 { 0xffff } else { value };
    frame[field..field + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ethernet frame with a TCP segment of `payload` bytes, PSH, FIN and CWR set, its checksums left open.
    fn tcp(payload: usize) -> Vec<u8> {
        let mut frame = [[2; 12].as_slice(), &[8, 0]].concat();
        frame.extend([0x45, 0, 0, 0, 0xff, 0xff, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        frame.extend([0, 80, 0, 81, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0, 1, 0x50, 0x99, 1, 0, 0, 0, 0, 0]);
        frame.extend((0..payload).map(|i| i as u8));
        frame
    }

    fn all(frame: &[u8], how: Offload) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        assert!(complete(frame, &how, |one| all.push(one.to_vec())));
        all
    }

    fn verifies(frame: &[u8]) -> bool {
        let len = (frame.len() - 34) as u16;
        let pseudo = add(sum(&frame[26..34]), add(6, len));
        sum(&frame[14..34]) == 0xffff && add(pseudo, sum(&frame[34..])) == 0xffff
    }

    #[test]
    fn a_frame_of_several_segments_becomes_them() {
        let frame = tcp(2500);
        let how = Offload { checksum: Some((34, 16)), segments: Some((TCP_V4, 1000)), vlan: None };
        let parts = all(&frame, how);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1054, 1054, 554]);
        assert!(parts.iter().all(|p| verifies(p)));
        let payload: Vec<u8> = parts.iter().flat_map(|p| p[54..].to_vec()).collect();
        assert_eq!(payload, frame[54..]);
        assert_eq!(parts.iter().map(|p| p[47]).collect::<Vec<_>>(), [0x90, 0x10, 0x19]);
        assert_eq!(parts[1][38..42], (0xffff_fff0_u32.wrapping_add(1000)).to_be_bytes());
        assert_eq!([parts[1][18], parts[1][19]], [0, 0], "the identification wraps");
    }

    #[test]
    fn a_missing_checksum_is_put_in() {
        let mut frame = tcp(11);
        let pseudo = add(sum(&frame[26..34]), add(6, 31));
        frame[50..52].copy_from_slice(&pseudo.to_be_bytes());
        let how = Offload { checksum: Some((34, 16)), ..Offload::default() };
        let done = &all(&frame, how)[0];
        assert_eq!(add(add(sum(&done[26..34]), add(6, 31)), sum(&done[34..])), 0xffff);
    }

    #[test]
    fn what_is_unknown_or_cut_is_said_to_be() {
        let how = |kind| Offload { segments: Some((kind, 100)), ..Offload::default() };
        assert!(!complete(&tcp(300), &how(4), |_| panic!("IPv6 is not taken apart")));
        assert!(!complete(&tcp(300)[..40], &how(TCP_V4), |_| panic!("no whole header")));
        let far = Offload { checksum: Some((60_000, 60_000)), ..Offload::default() };
        assert_eq!(all(&tcp(3), far), [tcp(3)]);
    }
}
