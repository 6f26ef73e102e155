//! Reassemble: whole packets from the fragments that are for us, in bounded memory and time (RFC 791 section 3.2,
//! RFC 8200 section 4.5; overlaps lose the packet, RFC 5722).
//!
//! Fragments are kept in the frames they came in. A frame counts with all its buffer, so that many tiny fragments
//! cannot take more memory than they are allowed.

use std::collections::{BTreeMap, VecDeque};

use espalier_wire::ipv6::HEADER_LEN as IPV6_LEN;
use espalier_wire::{Cause, Duration, Instant, checksum, ipv4};

use super::classify::Headers;
use crate::frame::{Frame, PACKET_MAX};
use crate::mem::Pool;

/// What fragments of one packet have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    src: u128,
    dst: u128,
    identification: u32,
    /// IPv4: its protocol (RFC 791). IPv6 goes without (RFC 8200).
    protocol: Option<u8>,
}

/// One fragment as it reads.
#[derive(Debug, Clone, Copy)]
struct Field {
    key: Key,
    /// Where its payload begins in the frame.
    at: usize,
    /// IPv6: where the byte is that names the fragment header.
    next_at: usize,
    /// IPv6: what the fragment header says comes behind it.
    next: u8,
    start: usize,
    end: usize,
    more: bool,
}

struct Piece {
    field: Field,
    frame: Frame,
}

/// A packet that is not whole yet.
struct Partial {
    expires: Instant,
    /// In order, without overlap.
    pieces: Vec<Piece>,
    /// Fragments contradicted one another: none of them, nor those to come, make a packet (RFC 5722 section 3).
    conflict: bool,
    /// Its first fragment showed that it is for somebody else.
    foreign: bool,
}

/// The packets that are not whole yet.
pub struct Reassembly {
    partial: BTreeMap<Key, Partial>,
    /// In the order they began, which is that of their ends; some are done since.
    order: VecDeque<(Instant, Key)>,
    held: usize,
    frames: usize,
    bytes_max: usize,
    time: Duration,
}

/// What a packet that has begun counts beside its frames, so that memory is bounded in packets too.
const PARTIAL_COST: usize = 256;

/// Fragments that are lost.
pub type Lost = Vec<(Frame, Cause)>;

impl Reassembly {
    /// Nothing yet; at most `bytes_max` bytes of buffers, each packet for at most `time`.
    pub fn new(bytes_max: usize, time: Duration) -> Self {
        Self { partial: BTreeMap::new(), order: VecDeque::new(), held: 0, frames: 0, bytes_max, time }
    }

    /// How many frames are held.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// When the next packet gives up.
    pub fn deadline(&self) -> Option<Instant> {
        self.order.front().map(|(at, _)| *at)
    }

    /// Take a fragment. The whole packet when this was its last, with the first fragment's tag; what is lost goes to
    /// `lost`.
    pub fn take(
        &mut self,
        now: Instant,
        frame: Frame,
        headers: &Headers,
        pool: &mut Pool,
        lost: &mut Lost,
    ) -> Option<Frame> {
        let Some(field) = Field::read(frame.bytes(), headers) else {
            lost.push((frame, Cause::Malformed));
            return None;
        };
        let expires = now + self.time;
        let partial = self.partial.entry(field.key).or_insert_with(|| {
            self.order.push_back((expires, field.key));
            self.held += PARTIAL_COST;
            Partial { expires, pieces: Vec::new(), conflict: false, foreign: false }
        });
        self.held += frame.capacity();
        self.frames += 1;
        let whole = match partial.fit(Piece { field, frame }) {
            Fit::Kept => partial.is_whole(),
            Fit::Doubled(piece) => {
                self.release(&piece.frame);
                lost.push((piece.frame, Cause::ReassemblyConflict));
                false
            }
            Fit::Conflict(piece) => {
                let pieces = std::mem::take(&mut partial.pieces);
                for piece in pieces.into_iter().chain([piece]) {
                    self.release(&piece.frame);
                    lost.push((piece.frame, Cause::ReassemblyConflict));
                }
                false
            }
        };
        if whole {
            return self.complete(field.key, pool, lost);
        }
        self.make_room(lost);
        None
    }

    /// The first fragment of a packet says that the packet is for somebody else: what is held of it, in order. The
    /// rest [is foreign](Self::is_foreign) when it comes.
    pub fn release_foreign(
        &mut self,
        now: Instant,
        first: &Frame,
        headers: &Headers,
        lost: &mut Lost,
    ) -> Vec<Frame> {
        let Some(field) = Field::read(first.bytes(), headers) else { return Vec::new() };
        let expires = now + self.time;
        let partial = self.partial.entry(field.key).or_insert_with(|| {
            self.order.push_back((expires, field.key));
            self.held += PARTIAL_COST;
            Partial { expires, pieces: Vec::new(), conflict: false, foreign: false }
        });
        partial.foreign = true;
        let pieces = std::mem::take(&mut partial.pieces);
        pieces.iter().for_each(|piece| self.release(&piece.frame));
        self.make_room(lost);
        pieces.into_iter().map(|piece| piece.frame).collect()
    }

    /// Whether `fragment` is part of a packet whose first fragment was for somebody else.
    pub fn is_foreign(&self, fragment: &Frame, headers: &Headers) -> bool {
        !self.partial.is_empty()
            && Field::read(fragment.bytes(), headers)
                .and_then(|field| self.partial.get(&field.key))
                .is_some_and(|partial| partial.foreign)
    }

    /// Give up what is not whole by `now`.
    pub fn expire(&mut self, now: Instant, lost: &mut Lost) {
        while let Some((at, key)) = self.order.front().copied()
            && at <= now
        {
            self.order.pop_front();
            self.give_up(at, key, Cause::ReassemblyTimeout, lost);
        }
    }

    fn release(&mut self, frame: &Frame) {
        self.held -= frame.capacity();
        self.frames -= 1;
    }

    fn make_room(&mut self, lost: &mut Lost) {
        while self.held > self.bytes_max
            && let Some((at, key)) = self.order.pop_front()
        {
            self.give_up(at, key, Cause::ReassemblyOverflow, lost);
        }
    }

    fn give_up(&mut self, began: Instant, key: Key, cause: Cause, lost: &mut Lost) {
        // A packet done since may have been followed by another with its key.
        if self.partial.get(&key).is_some_and(|partial| partial.expires == began)
            && let Some(partial) = self.partial.remove(&key)
        {
            self.held -= PARTIAL_COST;
            for piece in partial.pieces {
                self.release(&piece.frame);
                lost.push((piece.frame, cause));
            }
        }
    }

    fn complete(&mut self, key: Key, pool: &mut Pool, lost: &mut Lost) -> Option<Frame> {
        let pieces = self.partial.remove(&key)?.pieces;
        self.held -= PARTIAL_COST;
        while let Some((at, key)) = self.order.front()
            && self.partial.get(key).is_none_or(|partial| partial.expires != *at)
        {
            self.order.pop_front();
        }
        let whole = join(&pieces, pool);
        for piece in pieces {
            self.release(&piece.frame);
            match whole {
                Some(_) => pool.put(piece.frame),
                None => lost.push((piece.frame, Cause::Malformed)),
            }
        }
        whole
    }
}

enum Fit {
    Kept,
    /// The same bytes at the same place: a duplicate.
    Doubled(Piece),
    Conflict(Piece),
}

impl Partial {
    fn fit(&mut self, piece: Piece) -> Fit {
        if self.conflict {
            return Fit::Doubled(piece);
        }
        let (start, end) = (piece.field.start, piece.field.end);
        let at = self.pieces.partition_point(|other| other.field.start < start);
        if let Some(same) = self.pieces.get(at)
            && same.field.start == start
            && same.field.more == piece.field.more
            && same.payload() == piece.payload()
        {
            return Fit::Doubled(piece);
        }
        let before = at.checked_sub(1).and_then(|at| self.pieces.get(at));
        let after = self.pieces.get(at);
        let overlaps = before.is_some_and(|before| before.field.end > start || !before.field.more)
            || after.is_some_and(|after| after.field.start < end || !piece.field.more);
        if overlaps {
            self.conflict = true;
            return Fit::Conflict(piece);
        }
        self.pieces.insert(at, piece);
        Fit::Kept
    }

    fn is_whole(&self) -> bool {
        let mut next = 0;
        for piece in &self.pieces {
            if piece.field.start != next {
                return false;
            }
            next = piece.field.end;
        }
        self.pieces.last().is_some_and(|last| !last.field.more)
    }
}

impl Piece {
    fn payload(&self) -> &[u8] {
        let len = self.field.end - self.field.start;
        self.frame.bytes().get(self.field.at..self.field.at + len).unwrap_or_default()
    }
}

impl Field {
    fn read(packet: &[u8], headers: &Headers) -> Option<Self> {
        let packet = packet.get(..headers.len as usize)?;
        let field =
            if headers.flow.ipv4 { Self::ipv4(packet, headers) } else { Self::ipv6(packet, headers) }?;
        let len = field.end - field.start;
        // All but the last are whole units of 8 bytes, and none is empty or ends behind the longest packet.
        let fits = len > 0 && field.end <= PACKET_MAX && (!field.more || len % 8 == 0);
        fits.then_some(field)
    }

    fn ipv4(packet: &[u8], headers: &Headers) -> Option<Self> {
        let view = ipv4::Ipv4::new_checked(packet).ok()?;
        let start = view.fragment_offset();
        let key = Key {
            src: headers.flow.src,
            dst: headers.flow.dst,
            identification: u32::from(view.identification()),
            protocol: Some(view.protocol()),
        };
        let (at, end) = (view.header_len(), start + view.payload().len());
        Some(Self { key, at, next_at: 9, next: view.protocol(), start, end, more: view.mf() })
    }

    fn ipv6(packet: &[u8], headers: &Headers) -> Option<Self> {
        let (mut next_at, mut at) = (6, IPV6_LEN);
        // The walk that read the headers passed the same way and found it sound.
        while matches!(packet.get(next_at)?, 0 | 43 | 60) {
            next_at = at;
            at += 8 + usize::from(*packet.get(at + 1)?) * 8;
        }
        if *packet.get(next_at)? != 44 {
            return None;
        }
        let [next, _, hi, lo, a, b, c, d] = *packet.get(at..)?.first_chunk()?;
        let word = u16::from_be_bytes([hi, lo]);
        let identification = u32::from_be_bytes([a, b, c, d]);
        let key = Key { src: headers.flow.src, dst: headers.flow.dst, identification, protocol: None };
        let start = usize::from(word & 0xfff8);
        let end = start + packet.len().checked_sub(at + 8)?;
        Some(Self { key, at: at + 8, next_at, next, start, end, more: word & 1 != 0 })
    }
}

/// One packet of pieces that fit: the first one's headers, without what said "fragment", and every payload.
fn join(pieces: &[Piece], pool: &mut Pool) -> Option<Frame> {
    let (first, last) = (pieces.first()?, pieces.last()?);
    let is_ipv4 = first.field.key.protocol.is_some();
    let own = if is_ipv4 { first.field.at } else { first.field.at - 8 };
    let total = own + last.field.end;
    // RFC 791's total length, and the same bound for IPv6's whole packet, which a frame has room for.
    let mut frame = pool.take(total)?;
    frame.meta = first.frame.meta;
    if total > PACKET_MAX || !frame.grow_back(total) {
        pool.put(frame);
        return None;
    }
    let bytes = frame.bytes_mut();
    bytes[..own].copy_from_slice(first.frame.bytes().get(..own)?);
    for piece in pieces {
        let (start, end) = (own + piece.field.start, own + piece.field.end);
        bytes.get_mut(start..end)?.copy_from_slice(piece.payload());
    }
    if is_ipv4 {
        bytes[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        bytes[6..8].fill(0);
        bytes[10..12].fill(0);
        let sum = checksum::checksum(&bytes[..own]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        bytes[first.field.next_at] = first.field.next;
        bytes[4..6].copy_from_slice(&((total - IPV6_LEN) as u16).to_be_bytes());
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stage::fragment;
    use crate::testing;

    fn cut(packet: &[u8], max: usize) -> Vec<Frame> {
        let (mut pool, mut out) = (Pool::new(8), Vec::new());
        let frame = pool.copy_of(packet).unwrap();
        fragment::cut(frame, &Headers::read(packet).unwrap(), max, 5, &mut pool, &mut out).unwrap();
        out
    }

    fn take(reassembly: &mut Reassembly, frame: Frame, lost: &mut Lost) -> Option<Vec<u8>> {
        let headers = Headers::read(frame.bytes()).unwrap();
        let whole = reassembly.take(Instant::ZERO, frame, &headers, &mut Pool::new(8), lost);
        whole.map(|frame| frame.bytes().to_vec())
    }

    fn reassembly() -> Reassembly {
        Reassembly::new(1 << 20, Duration::from_s(1))
    }

    fn causes(lost: &Lost) -> Vec<Cause> {
        lost.iter().map(|(_, cause)| *cause).collect()
    }

    proptest! {
        #[test]
        fn what_was_cut_is_whole_again_in_any_order(len in 600usize..9000, max in 100usize..600, turn in 0usize..50, v6: bool) {
            let mut packet = if v6 { testing::udp6(1, 2, len) } else { testing::udp4([10, 0, 0, 1], [10, 0, 0, 2], 1, 2, len) };
            if !v6 {
                testing::fix_checksum(&mut packet);
            }
            let mut pieces = cut(&packet, max);
            let count = pieces.len();
            pieces.rotate_left(turn % count);
            let (mut reassembly, mut lost) = (reassembly(), Vec::new());
            let wholes: Vec<_> = pieces.into_iter().filter_map(|piece| take(&mut reassembly, piece, &mut lost)).collect();
            prop_assert_eq!(wholes, vec![packet]);
            prop_assert!(lost.is_empty() && reassembly.frames() == 0 && reassembly.held == 0);
            prop_assert!(reassembly.deadline().is_none());
        }

        /// Any fragments at all: each is held, lost, or part of a whole.
        #[test]
        fn none_is_lost_sight_of(parts in proptest::collection::vec((0u16..40, any::<bool>(), 1usize..200, 0u16..3), 1..60)) {
            let mut reassembly = Reassembly::new(20 * 2112, Duration::from_s(1));
            let (mut lost, mut pool, mut merged) = (Vec::new(), Pool::new(64), 0);
            for (n, (offset, more, len, id)) in parts.iter().enumerate() {
                let mut packet = testing::udp4([1, 1, 1, 1], [2, 2, 2, 2], 1, 2, *len);
                packet[4..6].copy_from_slice(&id.to_be_bytes());
                packet[6..8].copy_from_slice(&(offset | if *more { ipv4::MF } else { 0 }).to_be_bytes());
                let frame = pool.copy_of(&packet).unwrap();
                let headers = Headers::read(&packet).unwrap();
                let before = reassembly.frames() + lost.len();
                if reassembly.take(Instant::from_ns(n as u64), frame, &headers, &mut pool, &mut lost).is_some() {
                    merged += before + 1 - reassembly.frames() - lost.len();
                }
                prop_assert_eq!(reassembly.frames() + lost.len() + merged, n + 1);
                prop_assert!(reassembly.held <= 20 * 2112);
            }
            reassembly.expire(Instant::MAX, &mut lost);
            prop_assert_eq!((lost.len() + merged, reassembly.frames(), reassembly.held), (parts.len(), 0, 0));
        }
    }

    #[test]
    fn overlaps_lose_the_packet_and_what_comes_of_it_later() {
        let packet = testing::udp4([10, 0, 0, 1], [10, 0, 0, 2], 1, 2, 1000);
        let (mut reassembly, mut lost) = (reassembly(), Vec::new());
        let mut pieces = cut(&packet, 300);
        let copy = Pool::new(1).copy_of(pieces[1].bytes()).unwrap();
        let late = pieces.pop().unwrap();
        for piece in pieces {
            assert!(take(&mut reassembly, piece, &mut lost).is_none());
        }
        assert!(take(&mut reassembly, copy, &mut lost).is_none());
        assert_eq!(causes(&lost), [Cause::ReassemblyConflict], "a duplicate is lost alone");
        let mut shifted = cut(&packet, 300).swap_remove(1);
        shifted.bytes_mut()[7] -= 1;
        take(&mut reassembly, shifted, &mut lost);
        assert_eq!((lost.len(), reassembly.frames()), (5, 0));
        take(&mut reassembly, late, &mut lost);
        assert_eq!(causes(&lost), [Cause::ReassemblyConflict; 6]);
        reassembly.expire(Instant::ZERO + Duration::from_s(1), &mut lost);
        assert_eq!((reassembly.deadline(), reassembly.held), (None, 0), "forgotten in the end");
    }

    #[test]
    fn time_and_memory_end() {
        let packet = testing::udp4([10, 0, 0, 1], [10, 0, 0, 2], 1, 2, 1000);
        let (mut reassembly, mut lost) =
            (Reassembly::new(2 * (2112 + PARTIAL_COST), Duration::from_s(1)), Vec::new());
        for id in 0..3u8 {
            let mut piece = cut(&packet, 300).swap_remove(0);
            piece.bytes_mut()[5] = id;
            take(&mut reassembly, piece, &mut lost);
        }
        assert_eq!(causes(&lost), [Cause::ReassemblyOverflow]);
        assert_eq!(reassembly.deadline(), Some(Instant::ZERO + Duration::from_s(1)));
        reassembly.expire(Instant::ZERO + Duration::from_s(1), &mut lost);
        assert_eq!(causes(&lost)[1..], [Cause::ReassemblyTimeout; 2]);
    }
}
