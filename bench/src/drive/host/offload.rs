//! What a sending kernel leaves to its hardware, done here: checksums finished, several segments in one frame taken
//! apart. A veth has no hardware, so such frames arrive as they are. Not a checker: whatever is odd passes as it came,
//! for the dataplane to judge.

use espalier_wire::checksum::{add, checksum, sum};

/// `struct virtio_net_hdr`: flags, GSO type, header length, segment size, where the checksum begins, where it goes.
pub(super) const OFFLOAD: usize = 10;

/// How the sender's kernel left a frame unfinished (`struct virtio_net_hdr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::drive) struct Offload {
    /// The checksum from this byte on is missing, and goes that many bytes further.
    pub(super) checksum: Option<(usize, usize)>,
    /// Kind (`VIRTIO_NET_HDR_GSO_*`) and bytes of payload of each segment, when the frame is several in one.
    pub(super) segments: Option<(u8, usize)>,
    /// The VLAN whose tag the kernel took off.
    pub(super) vlan: Option<u16>,
}

impl Offload {
    /// As the kernel says it.
    pub(super) fn read(raw: [u8; OFFLOAD]) -> Self {
        let word = |at: usize| usize::from(u16::from_ne_bytes([raw[at], raw[at + 1]]));
        // VIRTIO_NET_HDR_F_NEEDS_CSUM; VIRTIO_NET_HDR_GSO_ECN says nothing that matters here.
        let (needs_checksum, kind) = (raw[0] & 1 == 1, raw[1] & 0x7f);
        Self {
            checksum: needs_checksum.then(|| (word(6), word(8))),
            segments: (kind != 0).then(|| (kind, word(4))),
            vlan: None,
        }
    }

    /// Of a frame that a virtual Ethernet handed over without a word: a TCP or UDP checksum that is the sum of the
    /// pseudo-header alone was left to the hardware. To finish one that was right is to compute it once more.
    pub(super) fn guess(frame: &[u8]) -> Self {
        Self { checksum: left_open(frame), ..Self::default() }
    }
}

fn left_open(frame: &[u8]) -> Option<(usize, usize)> {
    let part = u16::from_be_bytes(*frame.get(ETHERNET + 6..)?.first_chunk()?) & 0x3fff;
    let whole = frame.get(12..ETHERNET)? == [0x08, 0x00] && part == 0;
    let header = usize::from(*frame.get(ETHERNET)? & 0x0f) * 4;
    let protocol = *frame.get(ETHERNET + 9)?;
    let offset = match protocol {
        TCP => 16,
        UDP => 6,
        _ => return None,
    };
    let total = u16::from_be_bytes(*frame.get(ETHERNET + 2..)?.first_chunk()?);
    let len = total.checked_sub(header as u16)?;
    let start = ETHERNET + header;
    let field = frame.get(start + offset..start + offset + 2)?;
    let pseudo = add(sum(frame.get(ETHERNET + 12..ETHERNET + 20)?), add(u16::from(protocol), len));
    // A frame that is longer than its packet ends in padding, which no checksum covers.
    let exact = frame.len() == ETHERNET + usize::from(total);
    (whole && exact && field == pseudo.to_be_bytes()).then_some((start, offset))
}

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
pub(in crate::drive) fn complete(frame: &[u8], how: &Offload, mut each: impl FnMut(&[u8])) -> bool {
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
    fn what_nobody_said_was_left_open_is_guessed() {
        let mut frame = tcp(11);
        frame[16..18].copy_from_slice(&51_u16.to_be_bytes());
        (frame[20], frame[21]) = (0x40, 0);
        assert_eq!(Offload::guess(&frame), Offload::default());
        let pseudo = add(sum(&frame[26..34]), add(6, 31));
        frame[50..52].copy_from_slice(&pseudo.to_be_bytes());
        let how = Offload::guess(&frame);
        assert_eq!(how.checksum, Some((34, 16)));
        let done = &all(&frame, how)[0];
        assert_eq!(Offload::guess(done), Offload::default());
        for cut in 0..frame.len() {
            assert_eq!(Offload::guess(&frame[..cut]), Offload::default());
        }
        frame[20] = 0x20;
        assert_eq!(Offload::guess(&frame), Offload::default(), "a fragment has no checksum of its own");
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
