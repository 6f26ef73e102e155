//! Into an IPv4 tunnel: number, headers, padding. The packet does not move; all that goes before it is written once, word by
//! word, and its places are known when this is compiled.

use espalier_wire::esp::HEADER_LEN;
use espalier_wire::ipv4::protocol;
use espalier_wire::{IfIndex, Instant, udp};

use super::classify::{len_of, part};
use super::flows::Adjacency;
use super::prepare::{Ready, Rows};
use super::work::{CLEAR, Row, Span, Task};
use super::{IP, LINK};
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::policy::PolicyRef;
use crate::sa::{IvSource, Outbound, Shape};
use crate::stage::forward;

/// Room for link, IPv4, UDP and ESP header and the longest IV, in whole words.
const ROOM: usize = 72;
/// The most that follows a payload: padding, trailer, ICV.
const BEHIND: usize = 64;

/// Padding as RFC 4303 section 2.4 wants it, and behind it the trailer of an IPv4 packet: a row for each length.
const TRAILERS: [[u8; 18]; 16] = {
    let mut rows = [[0; 18]; 16];
    let mut padding = 0;
    while padding < 16 {
        let mut at = 0;
        while at < padding {
            rows[padding][at] = at as u8 + 1;
            at += 1;
        }
        rows[padding][padding] = padding as u8;
        rows[padding][padding + 1] = protocol::IPV4;
        padding += 1;
    }
    rows
};

/// What packets take from elsewhere than their SA.
struct Supplies<'a> {
    now: Instant,
    ingress: IfIndex,
    ivs: &'a mut IvSource,
    identification: &'a mut u16,
}

impl Security {
    /// Make packets of one flow ready to be sealed, up to the first that takes the long way.
    #[inline(always)]
    pub(super) fn prepare_seal(
        &mut self,
        (now, ingress): (Instant, IfIndex),
        (policy, way): (PolicyRef, &Adjacency),
        rows: Rows<'_>,
    ) -> Ready {
        let Self { policies, ivs, identification, .. } = self;
        let sa = policies.at_mut(policy).and_then(|policy| policy.outbound.as_mut());
        let Some(sa) = sa else { return (CLEAR, 0) };
        sa.key.fetch();
        // CBC's ciphers have 8 or 16 bytes of IV, and those of 16 are random alone.
        let wrap = match (sa.template.udp_len() > 0, sa.shape.iv_len, sa.shape.random_iv) {
            (false, 8, false) => wrap::<0, 8, false>,
            (false, 8, true) => wrap::<0, 8, true>,
            (false, 16, true) => wrap::<0, 16, true>,
            (false, 0, false) => wrap::<0, 0, false>,
            (true, 8, false) => wrap::<{ udp::HEADER_LEN }, 8, false>,
            (true, 8, true) => wrap::<{ udp::HEADER_LEN }, 8, true>,
            (true, 16, true) => wrap::<{ udp::HEADER_LEN }, 16, true>,
            (true, 0, false) => wrap::<{ udp::HEADER_LEN }, 0, false>,
            _ => return (CLEAR, 0),
        };
        wrap((sa, way, policy), Supplies { now, ingress, ivs, identification }, rows)
    }
}

/// Write N bytes of a larger row.
#[inline(always)]
fn put<const N: usize, const M: usize>(row: &mut [u8; M], at: usize, bytes: [u8; N]) {
    if let Some(place) = row.get_mut(at..at + N) {
        place.copy_from_slice(&bytes);
    }
}

/// What goes before a tunnel's packets, as far as it is the same for all of one flow.
struct Tunnel {
    link: [u64; 2],
    template: [u8; IP + udp::HEADER_LEN],
    /// The sum of the IPv4 header as it stands there, and of its words the one behind the flags.
    sum: (u16, u64),
    spi: u64,
    shape: Shape,
}

impl Tunnel {
    #[inline(always)]
    fn new(sa: &Outbound, way: &Adjacency) -> Self {
        let (template, sum) = sa.template.ipv4();
        let ttl_and_protocol = u64::from(u16::from_be_bytes(*part::<8, 2, 28>(template)));
        let spi = u64::from(sa.spi.0) << 32;
        Self {
            link: link_words(way),
            template: *template,
            sum: (sum, ttl_and_protocol),
            spi,
            shape: sa.shape,
        }
    }

    /// Headers before a packet whose own begins with this word; no IV.
    #[inline(always)]
    fn write<const UDP: usize, const IV: usize>(
        &self,
        around: &mut [u8; ROOM + IP],
        first: u64,
        (total, id, seq): (u32, u16, u64),
    ) {
        let at = ROOM - (IP + UDP + HEADER_LEN + IV);
        let (class, flags) =
            ((first >> 8) as u8, ((first >> 48) as u8 & self.shape.keep_flags) | self.shape.set_flags);
        put(around, at - LINK, self.link[0].to_le_bytes());
        put(around, at - LINK + 8, (self.link[1] | u64::from(class) << 56).to_le_bytes());
        let (words, check) = outer([class, flags], total, id, self.sum);
        put(around, at + 2, words);
        put(around, at + 10, check);
        put(around, at + 12, *part::<12, 8, 28>(&self.template));
        if UDP > 0 {
            put(around, at + IP, with_length(&self.template, total));
        }
        put(around, at + IP + UDP, (self.spi | seq & 0xffff_ffff).to_be_bytes());
    }
}

/// Write the tunnel around packets of one flow, with so many bytes of UDP header and IV, which is `RANDOM` or a number: how
/// many, and how many bytes they came in. What they have in common is read before the first; number and counters are written
/// behind the last.
fn wrap<const UDP: usize, const IV: usize, const RANDOM: bool>(
    (sa, way, policy): (&mut Outbound, &Adjacency, PolicyRef),
    supplies: Supplies<'_>,
    rows: Rows<'_>,
) -> Ready {
    let Supplies { now, ingress, ivs, identification } = supplies;
    let front = IP + UDP + HEADER_LEN + IV;
    let at = ROOM - front;
    let (shape, mtu) = (sa.shape, u32::from(way.mtu));
    let tunnel = Tunnel::new(sa, way);
    let (fixed, block) = (front as u32 + 2 + u32::from(shape.icv_len), u32::from(shape.mask & 15));
    let budget = sa.budget(now);
    let (mut seq, mut spent, mut came, mut left, mut id) = (budget.seq, 0, 0, 0, *identification);
    for (frame, row) in rows.each {
        let Some(head) = frame.row::<12>(LINK as u32) else { break };
        let (first, hop) = (u64::from_le_bytes(*part::<0, 8, 12>(head)), *part::<8, 4, 12>(head));
        let payload = len_of(first);
        // The block is a power of two, so this is what is missing to its next multiple.
        let padding = (payload + 2).wrapping_neg() & block;
        let total = fixed + payload + padding;
        if seq >= budget.seq_end || spent >= budget.bytes || total > mtu {
            break;
        }
        let behind = LINK as u32 + payload;
        let around = frame.around_mut::<{ ROOM + IP }, BEHIND>(LINK as u32, ROOM as u32, behind);
        let Some((around, behind)) = around else { break };
        // What is too much lies where the ICV will be, or behind the packet.
        put(behind, 0, *part::<0, 16, 18>(&TRAILERS[padding as usize]));
        if IV == 16 {
            put(behind, 16, *part::<16, 2, 18>(&TRAILERS[padding as usize]));
        }
        id = id.wrapping_add(1);
        put(around, ROOM + 8, lose_hop(hop));
        tunnel.write::<UDP, IV>(around, first, (total, id, seq));
        if RANDOM {
            ivs.fill(&mut around[ROOM - IV..ROOM]);
        } else if IV == 8 {
            put(around, ROOM - 8, seq.to_be_bytes());
        }
        came += u64::from(frame.lie((LINK as u32, ROOM as u32), (at - LINK) as u32, LINK as u32 + total));
        frame.meta.ingress = ingress;
        *row = Row::new(seq, rows.span, total - (IP + UDP) as u32, 0);
        (seq, spent, left) = (seq + 1, spent + u64::from(payload), left + u64::from(total));
    }
    *identification = id;
    let packets = seq - budget.seq;
    sa.spend(packets, spent);
    // Only what is silent behind a NAT is asked when it last sent (RFC 3948).
    if UDP > 0 && packets > 0 {
        sa.last_sent = now;
    }
    let span = Span {
        place: policy.part(),
        count: packets as u32,
        bytes: left + packets * LINK as u64,
        iface: way.iface,
        task: Task::Seal,
        at: (LINK + IP + UDP) as u8,
        ..CLEAR
    };
    (span, came)
}

/// A link header and the first byte of an IPv4 header behind it, as two words.
#[inline(always)]
pub(super) fn link_words(way: &Adjacency) -> [u64; 2] {
    let [first, last] = [*part::<0, 8, 14>(&way.link), *part::<6, 8, 14>(&way.link)];
    [u64::from_le_bytes(first), u64::from_le_bytes(last) >> 16 | 0x45 << 48]
}

/// Of an outer header the words from the length to the protocol, and the checksum: by the sum of what is always the same.
#[inline(always)]
fn outer(
    [class, flags]: [u8; 2],
    total: u32,
    id: u16,
    (sum, ttl_and_protocol): (u16, u64),
) -> ([u8; 8], [u8; 2]) {
    let sum = u32::from(sum) + u32::from(class) + total + u32::from(id) + (u32::from(flags) << 8);
    let words = u64::from(total) << 48 | u64::from(id) << 32 | u64::from(flags) << 24 | ttl_and_protocol;
    (words.to_be_bytes(), (!fold(sum)).to_be_bytes())
}

/// The UDP header; its checksum is 0 over IPv4 (RFC 3948 section 2.1).
#[inline(always)]
fn with_length(template: &[u8; IP + udp::HEADER_LEN], total: u32) -> [u8; 8] {
    let ports = u64::from(u32::from_be_bytes(*part::<IP, 4, { IP + udp::HEADER_LEN }>(template)));
    (ports << 32 | u64::from(total - IP as u32) << 16).to_be_bytes()
}

/// The ones' complement sum of a sum of few words.
#[inline(always)]
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum + (sum >> 16)) as u16
}

/// TTL, protocol and checksum with one less of the TTL, which is more than one. The checksum follows by RFC 1624, where the
/// old word and its complement cancel each other out: it grows by 0x0100. Its bytes swapped (RFC 1071 section 2) that is 1,
/// and the carry from its first byte falls into its second.
#[inline(always)]
pub(super) fn lose_hop(bytes: [u8; 4]) -> [u8; 4] {
    const LAST: u32 = 0xfffe << 16;
    let word = u32::from_le_bytes(bytes) - 1;
    if word < LAST { (word + (1 << 16)).to_le_bytes() } else { past_the_end(word) }
}

/// Past the end and round: ones' complement has two zeros, and this is the one that is sent.
#[cold]
fn past_the_end(word: u32) -> [u8; 4] {
    let sum = if word >> 16 == 0xfffe { 0 } else { 1 };
    (word & 0xffff | sum << 16).to_le_bytes()
}

/// A hop less, another link header before the packet of `len` bytes at the frame's byte `at`; the frame then holds nothing
/// else. `false`: too long for the link, and nothing done.
#[inline(always)]
pub(super) fn leave_clear(frame: &mut Frame, at: u32, adjacency: &Adjacency, len: u16) -> bool {
    let begin = at.wrapping_sub(LINK as u32);
    if len > adjacency.mtu || !frame.reframe(begin, LINK as u32 + u32::from(len)) {
        return false;
    }
    if let Some(row) = frame.row_mut::<{ LINK + IP }>(0) {
        let (class, hop) = (row[LINK + 1], *part::<{ LINK + 8 }, 4, { LINK + IP }>(row));
        leave(row, link_words(adjacency), (class, hop));
    }
    forward::pad_short(frame);
    true
}

/// A hop less, and a link header, in a row that begins with room for it, and whose packet begins as all do here, with this
/// class and so many hops left.
#[inline(always)]
pub(super) fn leave<const N: usize>(row: &mut [u8; N], link: [u64; 2], (class, hop): (u8, [u8; 4])) {
    put(row, 0, link[0].to_le_bytes());
    put(row, 8, (link[1] | u64::from(class) << 56).to_le_bytes());
    put(row, LINK + 8, lose_hop(hop));
}

#[cfg(test)]
mod tests {
    use espalier_wire::checksum;

    use super::*;

    #[test]
    fn a_hop_less_is_what_rfc_1624_makes_of_it() {
        for sum in 0..=u16::MAX {
            for ttl in [2, 64, 255] {
                let ([hi, lo], proto) = (sum.to_be_bytes(), 17);
                let (before, after) =
                    (u16::from_be_bytes([ttl, proto]), u16::from_be_bytes([ttl - 1, proto]));
                let [new_hi, new_lo] = checksum::update(sum, before, after).to_be_bytes();
                assert_eq!(
                    lose_hop([ttl, proto, hi, lo]),
                    [ttl - 1, proto, new_hi, new_lo],
                    "{sum:04x} {ttl}"
                );
            }
        }
    }
}
