//! Encap: turn an IP packet into ESP that only wants sealing (RFC 4303 section 3.3, RFC 4301 section 5.1.2).
//!
//! ```text
//! tunnel:     | outer IP | UDP? | SPI seq | IV | inner IP packet      | padding, length, next | ICV |
//! transport:  | own IP   | UDP? | SPI seq | IV | what it carried      | padding, length, next | ICV |
//! ```

use espalier_wire::esp::HEADER_LEN;
use espalier_wire::ipv4::protocol;
use espalier_wire::plane::{DfBit, Direction, Expiry, Fragmentation, Mode, Notice};
use espalier_wire::{Cause, Instant, checksum, ipv6, udp};

use super::classify::{Headers, Part};
use super::crypt::Plan;
use crate::frame::Frame;
use crate::mem::Pool;
use crate::sa::{IvSource, Outbound, Outer};

/// What encap draws on beside the SA.
pub struct Supplies<'a> {
    /// The batch's time.
    pub now: Instant,
    /// Unpredictable IVs.
    pub ivs: &'a mut IvSource,
    /// The next outer IPv4 identification.
    pub identification: &'a mut u16,
    /// Larger frames for packets whose own have no room left.
    pub pool: &'a mut Pool,
    /// Where events go.
    pub notices: &'a mut Vec<Notice>,
}

/// How a packet gets through a tunnel with a path MTU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// As it is.
    Whole,
    /// Cut into IPv4 fragments of at most this many bytes, each sealed by itself.
    CutBefore(usize),
    /// Sealed whole, then cut into fragments of at most this many bytes.
    CutAfter(usize),
    /// Not at all; a packet of this many bytes would (RFC 1191).
    TooBig(usize),
}

/// The shortest path MTU that IPv6 knows (RFC 8200 section 5).
const IPV6_MTU_MIN: usize = 1280;

/// The outer DF bit (RFC 4301 section 8.1). An IPv6 packet has none to copy.
fn outer_df(sa: &Outbound, headers: &Headers) -> bool {
    match (sa.mode, sa.df_bit) {
        (Mode::Transport, _) | (Mode::Tunnel, DfBit::Copy) => headers.df,
        (Mode::Tunnel, DfBit::Set) => true,
        (Mode::Tunnel, DfBit::Clear) => false,
    }
}

/// How a packet fits into `mtu` bytes of outer packet.
pub fn fit(sa: &Outbound, headers: &Headers, mtu: Option<usize>) -> Fit {
    let Some(mtu) = mtu else { return Fit::Whole };
    let own = match sa.mode {
        Mode::Tunnel => 0,
        Mode::Transport => headers.upper as usize,
    };
    let len = headers.len as usize;
    if own + sa.sealed_len(len - own) <= mtu {
        return Fit::Whole;
    }
    let inner = own + sa.payload_within(mtu.saturating_sub(own));
    let before = sa.mode == Mode::Tunnel && sa.fragmentation == Fragmentation::BeforeEncryption;
    match (before, headers.flow.ipv4) {
        (true, true) if headers.df => Fit::TooBig(inner),
        (true, true) => Fit::CutBefore(inner),
        // A router may not fragment IPv6, but the sender need not send less than 1280 bytes (RFC 2473 section 7.1).
        (true, false) if len > IPV6_MTU_MIN => Fit::TooBig(inner.max(IPV6_MTU_MIN)),
        _ if outer_df(sa, headers) => Fit::TooBig(inner),
        _ => Fit::CutAfter(mtu),
    }
}

/// Make `frame`, an IP packet with nothing behind it, ready to be sealed by `sa`.
///
/// # Errors
/// `lifetime-expired`, `sequence-exhausted`, `no-room`; `policy-mismatch` for a fragment in transport mode, which
/// takes only whole packets (RFC 4303 section 3.3.4). The frame is then as it was.
pub fn prepare(
    sa: &mut Outbound,
    frame: &mut Frame,
    headers: &Headers,
    supplies: &mut Supplies<'_>,
) -> Result<Plan, Cause> {
    let reached = sa.look(supplies.now);
    if !sa.told_over {
        sa.told_over = sa.life.is_over();
        tell(sa, supplies, reached.expiry());
    }
    if sa.life.is_over() {
        return Err(Cause::LifetimeExpired);
    }
    if sa.mode == Mode::Transport && headers.part != Part::Whole {
        return Err(Cause::PolicyMismatch);
    }
    let shape = Shape::of(sa, headers);
    if shape.total > sa_packet_max(sa, headers) || !make_room(frame, &shape, supplies.pool) {
        return Err(Cause::NoRoom);
    }
    let numbered = sa.number()?;
    tell(sa, supplies, numbered.expiry);
    sa.last_sent = supplies.now;
    sa.meter.count(headers.len);
    write_text_end(sa, frame, headers, &shape);
    write_front(sa, frame, headers, &shape, supplies);
    write_esp(sa, frame, numbered.seq, &shape, supplies.ivs);
    Ok(Plan {
        at: shape.esp as u32,
        len: (shape.total - shape.esp) as u32,
        seq_hi: (numbered.seq >> 32) as u32,
        done: false,
    })
}

/// Where everything will stand, in bytes from the first of the finished packet.
struct Shape {
    /// Bytes of the packet's own headers that stay in front (transport mode).
    own: usize,
    /// Where the SPI will be.
    esp: usize,
    /// Where the payload will be.
    text: usize,
    /// Bytes of payload.
    payload: usize,
    /// Bytes of padding.
    padding: usize,
    /// Bytes of the whole packet.
    total: usize,
    /// Bytes to grow in front.
    front: usize,
    /// Bytes to grow behind.
    back: usize,
}

impl Shape {
    fn of(sa: &Outbound, headers: &Headers) -> Self {
        let (own, esp) = match sa.mode {
            Mode::Tunnel => (0, sa.template.before_spi()),
            Mode::Transport => (headers.upper as usize, headers.upper as usize + sa.template.udp_len()),
        };
        let (transform, payload) = (sa.transform, headers.len as usize - own);
        let mask = transform.cipher().block_len() - 1;
        // The block is a power of two, so this is what is missing to its next multiple.
        let padding = (payload + 2).wrapping_neg() & mask;
        let text = esp + HEADER_LEN + transform.iv_len();
        let back = padding + 2 + transform.icv_len();
        Self { own, esp, text, payload, padding, total: text + payload + back, front: text - own, back }
    }
}

fn sa_packet_max(sa: &Outbound, headers: &Headers) -> usize {
    match sa.mode {
        Mode::Tunnel => sa.template.packet_max(),
        Mode::Transport if headers.flow.ipv4 => 65_535,
        Mode::Transport => 65_535 + ipv6::HEADER_LEN,
    }
}

/// Grow the frame at both ends, in a larger one if need be. `false`, and nothing done, when none is large enough.
fn make_room(frame: &mut Frame, shape: &Shape, pool: &mut Pool) -> bool {
    if frame.headroom() < shape.front || frame.tailroom() < shape.back {
        let Some(mut larger) = pool.copy_of(frame.bytes()) else { return false };
        if larger.headroom() < shape.front || larger.tailroom() < shape.back {
            pool.put(larger);
            return false;
        }
        larger.meta = frame.meta;
        pool.put(std::mem::replace(frame, larger));
    }
    frame.grow_front(shape.front) && frame.grow_back(shape.back)
}

/// RFC 4303 section 2.4: padding is 1, 2, 3 …; then its length, then what the payload is.
fn write_text_end(sa: &Outbound, frame: &mut Frame, headers: &Headers, shape: &Shape) {
    let next = match sa.mode {
        Mode::Tunnel if headers.flow.ipv4 => protocol::IPV4,
        Mode::Tunnel => protocol::IPV6,
        Mode::Transport => headers.flow.protocol,
    };
    let end = frame.part_mut(shape.text + shape.payload, shape.padding + 2);
    for (n, byte) in end.iter_mut().enumerate() {
        *byte = n as u8 + 1;
    }
    if let Some([len, kind]) = end.last_chunk_mut() {
        (*len, *kind) = (shape.padding as u8, next);
    }
}

fn write_front(
    sa: &Outbound,
    frame: &mut Frame,
    headers: &Headers,
    shape: &Shape,
    supplies: &mut Supplies<'_>,
) {
    match sa.mode {
        Mode::Tunnel => {
            *supplies.identification = supplies.identification.wrapping_add(1);
            let outer = Outer {
                traffic_class: headers.traffic_class,
                df: outer_df(sa, headers),
                identification: *supplies.identification,
            };
            sa.template.write(frame.bytes_mut(), outer);
        }
        Mode::Transport => {
            let packet = frame.bytes_mut();
            packet.copy_within(shape.front..shape.front + shape.own, 0);
            let next = if sa.template.udp_len() > 0 { protocol::UDP } else { protocol::ESP };
            retitle(packet, headers, next);
            sa.template.write_udp_at(packet, shape.own);
        }
    }
}

/// Give a packet whose length and upper layer changed the header that says so.
pub(super) fn retitle(packet: &mut [u8], headers: &Headers, next: u8) {
    let (len, next_at) = (packet.len(), headers.next_at as usize);
    if packet.len() < headers.upper as usize || next_at >= headers.upper as usize {
        return;
    }
    if !headers.flow.ipv4 {
        packet[next_at] = next;
        packet[4..6].copy_from_slice(&((len - ipv6::HEADER_LEN) as u16).to_be_bytes());
        return;
    }
    let word = |packet: &[u8], at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    let (old_len, old_next) = (word(packet, 2), word(packet, 8));
    packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
    packet[next_at] = next;
    let sum = checksum::update(word(packet, 10), old_len, len as u16);
    let sum = checksum::update(sum, old_next, word(packet, 8));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// SPI, sequence number, IV: random where the cipher needs it, else the sequence number, which is never used twice
/// with one key (RFC 4106 section 3.1, RFC 7634 section 2).
fn write_esp(sa: &Outbound, frame: &mut Frame, seq: u64, shape: &Shape, ivs: &mut IvSource) {
    let esp = frame.part_mut(shape.esp, shape.text - shape.esp);
    if let Some((header, iv)) = esp.split_at_mut_checked(HEADER_LEN) {
        header[..4].copy_from_slice(&sa.spi.0.to_be_bytes());
        header[4..].copy_from_slice(&(seq as u32).to_be_bytes());
        if sa.transform.cipher().needs_random_iv() {
            ivs.fill(iv);
        } else if iv.len() == 8 {
            iv.copy_from_slice(&seq.to_be_bytes());
        }
    }
}

/// What is left to do when the text is sealed: over IPv6, UDP has a checksum, and it covers the ciphertext.
pub fn finish(frame: &mut Frame, plan: &Plan) {
    let at = (plan.at as usize).wrapping_sub(udp::HEADER_LEN);
    let packet = frame.bytes_mut();
    let ipv6_udp = packet.first().is_some_and(|first| first >> 4 == 6)
        && at >= ipv6::HEADER_LEN
        && packet.get(6) == Some(&protocol::UDP);
    let Some((front, datagram)) = packet.split_at_mut_checked(at).filter(|_| ipv6_udp) else { return };
    let addresses = checksum::sum(&front[8..ipv6::HEADER_LEN]);
    let pseudo = checksum::add(addresses, checksum::add(u16::from(protocol::UDP), datagram.len() as u16));
    let sum = !checksum::add(pseudo, checksum::sum(datagram));
    datagram[6..8].copy_from_slice(&(if sum == 0 { 0xffff } else { sum }).to_be_bytes());
}

/// The packet that keeps a NAT's mapping alive: the SA's outer headers and one byte (RFC 3948 section 2.3). `None` for
/// an SA that is not in UDP.
pub fn keepalive(sa: &Outbound, pool: &mut Pool) -> Option<Frame> {
    let front = sa.template.before_spi();
    if sa.template.udp_len() == 0 {
        return None;
    }
    let mut frame = pool.take(front + 1)?;
    if !frame.grow_back(front + 1) {
        return None;
    }
    if let Some(last) = frame.bytes_mut().last_mut() {
        *last = 0xff;
    }
    sa.template.write(frame.bytes_mut(), Outer { traffic_class: 0, df: false, identification: 0 });
    finish(&mut frame, &Plan { at: front as u32, len: 1, seq_hi: 0, done: true });
    Some(frame)
}

fn tell(sa: &Outbound, supplies: &mut Supplies<'_>, expiry: Option<Expiry>) {
    if let Some(expiry) = expiry {
        let notice =
            Notice::Expiry { policy: sa.policy, spi: sa.spi, direction: Direction::Outbound, expiry };
        supplies.notices.push(notice);
    }
}
