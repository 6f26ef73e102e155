//! Short packets: a lane is a packet, eight abreast. First the one-time keys of all eight, then the first blocks of their
//! texts, then the second ones; nothing is listed, and what is not wanted is not put in order.
//!
//! Poly1305 goes along with the rounds (`line`).
//!
//! ```text
//! seal:  keys 0, texts 0, keys 1, texts 1, …              sums of 0 beside 1
//! open:  keys 0, 1, 2, texts 0, keys 3, texts 1, …        sums of 0 beside keys 1 and 2, and before the texts 0 are written
//! ```

use std::arch::x86_64::*;
use std::hint::black_box;

use arrayvec::ArrayVec;

use super::cipher::{self, CONSTANTS};
use super::line::{CHUNK, Line, Pace, Room};
use super::poly::CLAMP;
use super::{Packet, ROUND};

pub(super) const LANES: usize = 8;
/// So few packets are done sooner by aws-lc one by one: of 64 bytes it takes 220 ns to seal each on a Zen 3, and three here
/// 213; to open it 206 and 196.
pub(super) const FEW: usize = 2;
/// Groups of a round.
const GROUPS: usize = ROUND.div_ceil(LANES);
/// Groups whose one-time keys are made before the first texts are opened.
const LEAD: usize = 3;
const _: () = assert!((LEAD + 1) * LANES <= Line::<true>::PLACES, "those, and the one that is written");

/// Seal packets with short texts, at most a round of them.
pub(super) fn seal(packets: &[Packet<'_>]) {
    // SAFETY: keys of this engine are made only where `covers` found AVX2.
    unsafe { seal_all(packets) };
}

/// Open packets with short texts, at most a round of them.
pub(super) fn open(packets: &[Packet<'_>]) {
    // SAFETY: likewise.
    unsafe { open_all(packets) };
}

#[target_feature(enable = "avx2,bmi2")]
fn seal_all(packets: &[Packet<'_>]) {
    let mut room = Room::new();
    let mut line = Line::<true>::new(packets, &mut room);
    let groups = packets.len().div_ceil(LANES);
    for n in 0..groups {
        let group = Group::new(packets, n);
        // The last group's second pass is for the beginnings of its own sums.
        let in_parts = n + 1 == groups && group.passes() > 2;
        let passes = if in_parts { 2 } else { group.passes() };
        // Their places in the line are those of the group of four turns ago.
        line.finish((n * LANES).saturating_sub(Line::<true>::PLACES - LANES));
        group.run(Pass::Keys, line.pace(n * LANES, passes), &mut line);
        group.run(Pass::First, line.pace(n * LANES, passes - 1), &mut line);
        if in_parts {
            line.give_beginnings(group.packets.len());
            group.run(Pass::Second, Pace::Two, &mut line);
            line.drain();
            line.give_rest();
            break;
        }
        if passes > 2 {
            group.run(Pass::Second, line.pace(n * LANES, 1), &mut line);
        }
        line.give(group.packets.len());
    }
    line.drain();
    packets.iter().for_each(|packet| packet.verified.set(true));
}

#[target_feature(enable = "avx2,bmi2")]
fn open_all(packets: &[Packet<'_>]) {
    let mut room = Room::new();
    let mut line = Line::<false>::new(packets, &mut room);
    let mut groups = ArrayVec::<Group<'_, '_>, GROUPS>::new();
    let count = packets.len().div_ceil(LANES);
    for n in 0..count {
        let end = (n + 1) * LANES;
        while groups.len() < count.min(n + LEAD) {
            let left = count.min(n + LEAD) - groups.len() + 1;
            groups.push(Group::new(packets, groups.len()));
            if let Some(group) = groups.last() {
                group.run(Pass::Keys, line.pace(end, left), &mut line);
                line.give(group.packets.len());
            }
        }
        let group = &groups[n];
        group.run(Pass::First, line.pace(end, 1), &mut line);
        if group.passes() > 2 {
            let left = if groups.len() < count { 3 } else { 2 };
            group.run(Pass::Second, line.pace(end + LANES, left), &mut line);
        }
    }
}

/// What is made of eight packets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// The one-time keys.
    Keys,
    First,
    Second,
}

/// Up to eight packets.
struct Group<'p, 'j> {
    packets: &'p [Packet<'j>],
    /// The first one's number in the round.
    first: usize,
    /// The state of each, but for the counter, word by word.
    rows: [__m256i; 16],
    shortest: usize,
    longest: usize,
}

impl<'p, 'j> Group<'p, 'j> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(packets: &'p [Packet<'j>], n: usize) -> Self {
        let first = n * LANES;
        let packets = &packets[first..packets.len().min(first + LANES)];
        // Lanes without a packet do one another time, and nobody looks at what they make.
        let mut lanes = [&packets[0]; LANES];
        for (lane, packet) in lanes.iter_mut().zip(packets) {
            *lane = packet;
        }
        let mut rows = [_mm256_setzero_si256(); 16];
        for n in 0..4 {
            rows[n] = _mm256_set1_epi32(CONSTANTS[n] as i32);
        }
        if lanes.iter().all(|lane| std::ptr::eq(lane.key, lanes[0].key)) {
            for n in 0..8 {
                rows[4 + n] = _mm256_set1_epi32(lanes[0].key.words[n] as i32);
            }
            rows[13] = _mm256_set1_epi32(lanes[0].key.salt as i32);
        } else {
            let mut keys = [_mm256_setzero_si256(); LANES];
            for n in 0..LANES {
                // SAFETY: 32 bytes.
                keys[n] = unsafe { _mm256_loadu_si256(lanes[n].key.words.as_ptr().cast()) };
            }
            rows[4..12].copy_from_slice(&super::super::hash::eighths(&keys));
            let [a, b, c, d, e, f, g, h] = lanes.map(|lane| lane.key.salt as i32);
            rows[13] = _mm256_setr_epi32(a, b, c, d, e, f, g, h);
        }
        let mut heads = [_mm_setzero_si128(); LANES];
        for n in 0..LANES {
            // SAFETY: the first 16 bytes of a packet, of which the upper half is the IV.
            heads[n] = unsafe { _mm_loadu_si128(lanes[n].bytes.cast()) };
        }
        let mut pairs = [_mm256_setzero_si256(); 4];
        for n in 0..4 {
            pairs[n] = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(heads[n]), heads[n + 4]);
        }
        let [a, b, c, d] = pairs;
        let (ab, cd) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        rows[14] = _mm256_unpacklo_epi64(ab, cd);
        rows[15] = _mm256_unpackhi_epi64(ab, cd);
        let (mut shortest, mut longest) = (usize::MAX, 0);
        for packet in packets {
            (shortest, longest) = (shortest.min(packet.text_len), longest.max(packet.text_len));
        }
        Self { packets, first, rows, shortest, longest }
    }

    fn passes(&self) -> usize {
        if self.longest > CHUNK { 3 } else { 2 }
    }

    #[inline]
    #[target_feature(enable = "avx2,bmi2")]
    fn run<const SEAL: bool>(&self, pass: Pass, pace: Pace, line: &mut Line<'_, '_, SEAL>) {
        match pace {
            Pace::One => self.blocks::<SEAL, 1>(pass, line),
            Pace::Two => self.blocks::<SEAL, 2>(pass, line),
        }
    }

    /// A block of each packet, and meanwhile steps of the line.
    #[target_feature(enable = "avx2,bmi2")]
    fn blocks<const SEAL: bool, const STEPS: usize>(&self, pass: Pass, line: &mut Line<'_, '_, SEAL>) {
        let counter = _mm256_set1_epi32(match pass {
            Pass::Keys => 0,
            Pass::First => 1,
            Pass::Second => 2,
        });
        let row = |n: usize| if n == 12 { counter } else { self.rows[n] };
        let words = cipher::mixed::<STEPS>(row, line);
        // Read again where they lie, instead of kept aside meanwhile.
        let rows = black_box(&self.rows);
        let sum = |n: usize| _mm256_add_epi32(words[n], if n == 12 { counter } else { rows[n] });
        let eight = |first: usize| {
            let mut sums = [_mm256_setzero_si256(); 8];
            for n in 0..8 {
                sums[n] = sum(first + n);
            }
            super::super::hash::eighths(&sums)
        };
        match pass {
            Pass::Keys => {
                let r = CLAMP as u64 as i64;
                let clamp = _mm256_setr_epi64x(r, (CLAMP >> 64) as i64, -1, -1);
                let keys = eight(0);
                for n in 0..self.packets.len() {
                    let key = line.key(self.first + n);
                    // SAFETY: 32 bytes, aligned, of a place in the line that no chain reads.
                    unsafe { _mm256_store_si256(key.cast(), _mm256_and_si256(keys[n], clamp)) };
                }
            }
            Pass::First => {
                line.settle(self.first, self.packets);
                match <&[Packet<'_>; LANES]>::try_from(self.packets) {
                    Ok(packets) if self.shortest > CHUNK - 16 && is_all::<SEAL>(packets) => {
                        self.add_whole(packets, eight(0), 0);
                        self.add_whole(packets, eight(8), 32);
                    }
                    _ => self.add::<SEAL>(0, eight(0), eight(8)),
                }
            }
            Pass::Second => match <&[Packet<'_>; LANES]>::try_from(self.packets) {
                Ok(packets)
                    if self.shortest > CHUNK && self.longest <= CHUNK + 16 && is_all::<SEAL>(packets) =>
                {
                    let mut four = [_mm256_setzero_si256(); 4];
                    for n in 0..4 {
                        four[n] = sum(n);
                    }
                    self.add_sixteen(packets, four);
                }
                _ => self.add::<SEAL>(CHUNK, eight(0), eight(8)),
            },
        }
    }

    /// Add 32 bytes to each text.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add_whole(&self, packets: &[Packet<'_>; LANES], blocks: [__m256i; 8], at: usize) {
        for n in 0..LANES {
            // SAFETY: texts of more than 48 bytes, and behind them the ICV's 16, that is written or was read.
            unsafe { cipher::add32(packets[n].bytes.add(16 + at), blocks[n]) };
        }
    }

    /// Add the first four words of the second block to each text.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn add_sixteen(&self, packets: &[Packet<'_>; LANES], words: [__m256i; 4]) {
        let [a, b, c, d] = words;
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let (high_ab, high_cd) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        let pairs = [
            _mm256_unpacklo_epi64(ab, cd),
            _mm256_unpackhi_epi64(ab, cd),
            _mm256_unpacklo_epi64(high_ab, high_cd),
            _mm256_unpackhi_epi64(high_ab, high_cd),
        ];
        for n in 0..4 {
            // SAFETY: texts of more than 64 bytes, and behind them the ICV's 16.
            unsafe {
                let at = |n: usize| packets[n].bytes.add(16 + CHUNK);
                cipher::add16(at(n), _mm256_castsi256_si128(pairs[n]));
                cipher::add16(at(n + 4), _mm256_extracti128_si256::<1>(pairs[n]));
            }
        }
    }

    /// Add a block to each text that is to be written and goes on there.
    #[target_feature(enable = "avx2")]
    fn add<const SEAL: bool>(&self, at: usize, low: [__m256i; 8], high: [__m256i; 8]) {
        for (n, packet) in self.packets.iter().enumerate() {
            if packet.text_len > at && (SEAL || packet.verified.get()) {
                let len = (packet.text_len - at).min(CHUNK);
                // SAFETY: bytes of the text; the 15 behind them are too, or the ICV's.
                unsafe { cipher::add(packet.bytes.add(16 + at), len, low[n], high[n]) };
            }
        }
    }
}

/// Whether all are to be written.
#[inline(always)]
fn is_all<const SEAL: bool>(packets: &[Packet<'_>; LANES]) -> bool {
    SEAL || packets.iter().all(|packet| packet.verified.get())
}
