//! DES and 3DES on 32 blocks at once, byte-sliced, with AVX2: a box of 64 entries is four shuffles of 16 and three blends,
//! whatever the bits: no access depends on data. Where the bits lie is `placement`'s to say.

use std::arch::asm;
use std::arch::x86_64::*;

use super::super::pin::align_frame;
use super::kernel::{Blocks, RoundKeys};
use super::placement::{BACK, BOXES, CROSSES, INTO, Nibbles, TAPS, Taps};
use super::tables::Table;

/// Blocks that one pass takes.
pub(super) const LANES: usize = 32;

type Half = [__m256i; 4];

/// Run `body` for 0 to 7, written out: a loop would keep the registers in memory.
macro_rules! eight {
    ($n:ident => $body:expr) => {{
        eight!(@ $n $body; 0 1 2 3 4 5 6 7)
    }};
    (@ $n:ident $body:expr; $($i:literal)*) => {{ $({ const $n: usize = $i; $body; })* }};
}

macro_rules! four {
    ($n:ident => $body:expr) => {{
        eight!(@ $n $body; 0 1 2 3)
    }};
}

#[inline]
#[target_feature(enable = "avx2")]
fn table(table: &Nibbles) -> __m256i {
    // SAFETY: a table is 32 aligned bytes.
    unsafe { _mm256_load_si256(table.0.as_ptr().cast()) }
}

/// The bits of `mask` change places between two registers.
macro_rules! switch {
    ($a:expr, $b:expr, $mask:literal) => {{
        const MASK: i8 = CROSSES[$mask] as i8;
        let differ = _mm256_and_si256(_mm256_xor_si256($a, $b), _mm256_set1_epi8(MASK));
        $a = _mm256_xor_si256($a, differ);
        $b = _mm256_xor_si256($b, differ);
    }};
}

/// The next lower bits where a blend looks. In assembler, as the compiler makes two instructions of it: it sees that one bit
/// alone counts and compares that.
#[inline]
#[target_feature(enable = "avx2")]
fn doubled(bits: __m256i) -> __m256i {
    let doubled;
    // SAFETY: registers alone.
    unsafe {
        asm!("vpaddb {}, {x}, {x}", out(ymm_reg) doubled, x = in(ymm_reg) bits, options(pure, nomem, nostack, preserves_flags));
    }
    doubled
}

/// The low nibble's bits where a blend looks, likewise.
#[inline]
#[target_feature(enable = "avx2")]
fn to_high_nibble(bits: __m256i) -> __m256i {
    let moved;
    // SAFETY: registers alone.
    unsafe {
        asm!("vpsllw {}, {}, 4", out(ymm_reg) moved, in(ymm_reg) bits, options(pure, nomem, nostack, preserves_flags));
    }
    moved
}

/// The bit at a position from 2 or 6 on where a blend looks for it.
#[inline]
#[target_feature(enable = "avx2")]
fn choice<const P: usize>(bits: __m256i) -> __m256i {
    match P {
        2 => doubled(to_high_nibble(bits)),
        3 => to_high_nibble(bits),
        6 => doubled(bits),
        _ => bits,
    }
}

/// A box's result, added to the one it is merged with.
macro_rules! look_up {
    ($($j:literal)*; $u:ident, $right:ident, $keys:ident, $n:ident) => {{ $({
        const TAP: Taps = TAPS[$j];
        let own = _mm256_xor_si256($right[TAP.index.0], $keys.narrow($n, TAP.index.0));
        let own = if TAP.index.1 { _mm256_srli_epi16::<4>(own) } else { own };
        let index = _mm256_and_si256(own, _mm256_set1_epi8(0x0f));
        let first = _mm256_xor_si256($right[TAP.first.0], $keys.narrow($n, 4 + TAP.first.0));
        let last = _mm256_xor_si256($right[TAP.last.0], $keys.narrow($n, 4 + TAP.last.0));
        let (first, last) = (choice::<{ TAP.first.1 }>(first), choice::<{ TAP.last.1 }>(last));
        let [a, b, c, d] = &BOXES[$j];
        let (a, b) = (_mm256_shuffle_epi8(table(a), index), _mm256_shuffle_epi8(table(b), index));
        let (c, d) = (_mm256_shuffle_epi8(table(c), index), _mm256_shuffle_epi8(table(d), index));
        let (ab, cd) = (_mm256_blendv_epi8(a, b, last), _mm256_blendv_epi8(c, d, last));
        $u[TAP.merged] = _mm256_xor_si256($u[TAP.merged], _mm256_blendv_epi8(ab, cd, first));
    })* }};
}

/// One round: `left` ^= P(S(E(right) ^ key)).
#[inline]
#[target_feature(enable = "avx2")]
fn round(left: &mut Half, right: &Half, keys: &impl RoundKeys, n: usize) {
    let mut u = [_mm256_setzero_si256(); 4];
    look_up!(0 1 2 3; u, right, keys, n);
    switch!(u[2], u[3], 1);
    look_up!(4 5 6 7; u, right, keys, n);
    switch!(u[0], u[1], 0);
    switch!(u[0], u[2], 2);
    switch!(u[1], u[3], 3);
    four!(K => left[K] = _mm256_xor_si256(left[K], u[K]));
}

/// Put a key's round keys into the planes of a lane, of the first 32.
#[target_feature(enable = "avx2")]
pub(super) fn place(planes: &mut [[Table; 8]], rounds: &[[u8; 8]], lane: usize) {
    for (n, round) in rounds.iter().enumerate() {
        for (table, byte) in planes[n / 2].iter_mut().zip(round) {
            table.0[n % 2 * LANES + lane] = *byte;
        }
    }
}

/// Which keys the lanes of a half register have, two at a time.
struct Pairs {
    /// The first round of each, of either half.
    keys: [[[*const [u8; 8]; 2]; 2]; 8],
    /// Where a lane finds its key's first byte, if it is one of these two.
    index: [Lanes; 8],
    used: usize,
}

#[repr(C, align(32))]
#[derive(Clone, Copy)]
struct Lanes([u8; LANES]);

impl Pairs {
    /// A key for each lane, at most 32. Neighbours may have the same.
    fn new(lanes: &[&[[u8; 8]]]) -> Self {
        let any = lanes[0].as_ptr();
        let mut pairs = Self { keys: [[[any; 2]; 2]; 8], index: [Lanes([0x80; LANES]); 8], used: 0 };
        for (half, keys) in lanes.chunks(16).enumerate() {
            let (mut runs, mut before) = (0, None);
            for (lane, key) in keys.iter().enumerate() {
                if before.replace(key.as_ptr()) != Some(key.as_ptr()) {
                    pairs.keys[runs / 2][half][runs % 2] = key.as_ptr();
                    runs += 1;
                }
                let run = runs - 1;
                pairs.index[run / 2].0[16 * half + lane] = 8 * (run % 2) as u8;
            }
            pairs.used = pairs.used.max(runs.div_ceil(2));
        }
        pairs
    }
}

/// Put the round keys of all lanes, at most 32, into the planes; each has as many rounds as there are planes, which are
/// even. A shuffle takes a byte of two keys to their lanes.
#[target_feature(enable = "avx2")]
pub(super) fn fill(planes: &mut [[Table; 8]], lanes: &[&[[u8; 8]]]) {
    assert!(lanes.iter().all(|rounds| rounds.len() >= planes.len()), "a key has all rounds");
    if lanes.is_empty() {
        return;
    }
    let pairs = Pairs::new(lanes);
    for n in (0..planes.len()).step_by(2) {
        // Of this round and of the next.
        let mut keys = [[_mm256_setzero_si256(); 2]; 8];
        for (keys, [low, high]) in keys.iter_mut().zip(&pairs.keys).take(pairs.used) {
            let both = |which: usize| {
                // SAFETY: 16 bytes of two rounds that the keys have.
                unsafe {
                    let low = _mm256_castsi128_si256(_mm_loadu_si128(low[which].add(n).cast()));
                    _mm256_inserti128_si256::<1>(low, _mm_loadu_si128(high[which].add(n).cast()))
                }
            };
            let (a, b) = (both(0), both(1));
            *keys = [_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)];
        }
        for (j, table) in planes[n / 2].iter_mut().enumerate() {
            let mut bytes = [_mm256_setzero_si256(); 2];
            for (keys, index) in keys.iter().zip(&pairs.index).take(pairs.used) {
                // SAFETY: 32 aligned bytes.
                let index = unsafe { _mm256_load_si256(index.0.as_ptr().cast()) };
                let at = _mm256_add_epi8(index, _mm256_set1_epi8(j as i8));
                for (bytes, keys) in bytes.iter_mut().zip(keys) {
                    *bytes = _mm256_or_si256(*bytes, _mm256_shuffle_epi8(*keys, at));
                }
            }
            // SAFETY: 64 aligned bytes.
            unsafe {
                _mm256_store_si256(table.0.as_mut_ptr().cast(), bytes[0]);
                _mm256_store_si256(table.0.as_mut_ptr().add(LANES).cast(), bytes[1]);
            }
        }
    }
}

/// Encrypt or decrypt 32 blocks, as the order of the round keys says.
#[target_feature(enable = "avx2")]
pub(super) fn crypt(blocks: &mut Blocks, keys: &impl RoundKeys) {
    align_frame();
    let mut rows = slice(blocks);
    turn(&mut rows);
    let (mut right, mut left) = ([_mm256_setzero_si256(); 4], [_mm256_setzero_si256(); 4]);
    four!(M => {
        left[M] = moved(rows[6 - 2 * M], &INTO[M]);
        right[M] = moved(rows[7 - 2 * M], &INTO[M]);
    });
    for stage in (0..keys.rounds()).step_by(16) {
        for n in (stage..stage + 16).step_by(2) {
            round(&mut left, &right, keys, n);
            round(&mut right, &left, keys, n + 1);
        }
        // The halves change places at the end, and the final and initial permutations of adjoining stages cancel.
        std::mem::swap(&mut left, &mut right);
    }
    four!(M => {
        rows[6 - 2 * M] = moved(left[M], &BACK[M]);
        rows[7 - 2 * M] = moved(right[M], &BACK[M]);
    });
    turn(&mut rows);
    unslice(rows, blocks);
}

/// Bits of each byte in another order.
#[inline]
#[target_feature(enable = "avx2")]
fn moved(bytes: __m256i, by: &[Nibbles; 2]) -> __m256i {
    let nibble = _mm256_set1_epi8(0x0f);
    let low = _mm256_shuffle_epi8(table(&by[0]), _mm256_and_si256(bytes, nibble));
    let high = _mm256_shuffle_epi8(table(&by[1]), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble));
    _mm256_xor_si256(low, high)
}

/// Bit q of register i becomes bit i of register q, in every byte: DES's initial permutation but for the order of rows.
#[inline]
#[target_feature(enable = "avx2")]
fn turn(rows: &mut [__m256i; 8]) {
    macro_rules! stage {
        ($by:literal, $mask:literal, $($a:literal $b:literal)*) => { $(
            let differ = _mm256_xor_si256(_mm256_srli_epi16::<$by>(rows[$a]), rows[$b]);
            let differ = _mm256_and_si256(differ, _mm256_set1_epi8($mask));
            rows[$b] = _mm256_xor_si256(rows[$b], differ);
            rows[$a] = _mm256_xor_si256(rows[$a], _mm256_slli_epi16::<$by>(differ));
        )* };
    }
    stage!(4, 0x0f, 0 4 1 5 2 6 3 7);
    stage!(2, 0x33, 0 2 1 3 4 6 5 7);
    stage!(1, 0x55, 0 1 2 3 4 5 6 7);
}

/// Bytes of two blocks in turn, and the way back.
const PAIRED: [i8; 16] = [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15];
const PARTED: [i8; 16] = [0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15];

#[inline]
#[target_feature(enable = "avx2")]
fn order(bytes: &[i8; 16]) -> __m256i {
    // SAFETY: 16 bytes.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// Byte q of every block in register q, block n at byte n.
#[inline]
#[target_feature(enable = "avx2")]
fn slice(blocks: &Blocks) -> [__m256i; 8] {
    let mut rows = [_mm256_setzero_si256(); 8];
    let paired = order(&PAIRED);
    for (n, row) in rows.iter_mut().enumerate() {
        // SAFETY: two blocks at the begin and two in the middle of the 32.
        *row = unsafe {
            let at = blocks.0.as_ptr().add(2 * n).cast();
            let low = _mm256_castsi128_si256(_mm_load_si128(at));
            _mm256_inserti128_si256::<1>(low, _mm_load_si128(at.add(8)))
        };
        *row = _mm256_shuffle_epi8(*row, paired);
    }
    transposed(&rows)
}

/// The way back.
#[inline]
#[target_feature(enable = "avx2")]
fn unslice(rows: [__m256i; 8], blocks: &mut Blocks) {
    let parted = order(&PARTED);
    for (n, row) in transposed(&rows).into_iter().enumerate() {
        let row = _mm256_shuffle_epi8(row, parted);
        // SAFETY: two blocks at the begin and two in the middle of the 32.
        unsafe {
            let at = blocks.0.as_mut_ptr().add(2 * n).cast();
            _mm_store_si128(at, _mm256_castsi256_si128(row));
            _mm_store_si128(at.add(8), _mm256_extracti128_si256::<1>(row));
        }
    }
}

/// 8 x 8 words of 16 bits in each half of eight registers; its own inverse.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(rows: &[__m256i; 8]) -> [__m256i; 8] {
    let mut by_two = *rows;
    for n in 0..4 {
        let (a, b) = (rows[2 * n], rows[2 * n + 1]);
        (by_two[n], by_two[n + 4]) = (_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b));
    }
    let mut by_four = by_two;
    for side in [0, 4] {
        for n in 0..2 {
            let (a, b) = (by_two[side + 2 * n], by_two[side + 2 * n + 1]);
            by_four[side + n] = _mm256_unpacklo_epi32(a, b);
            by_four[side + n + 2] = _mm256_unpackhi_epi32(a, b);
        }
    }
    let mut words = by_four;
    for n in 0..4 {
        let (a, b) = (by_four[2 * n], by_four[2 * n + 1]);
        (words[2 * n], words[2 * n + 1]) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::NO_KEY;
    use super::*;
    use crate::crypto::simd::cpu;

    /// However many lanes there are and whichever neighbours have the same key.
    #[test]
    fn each_lane_has_its_key() {
        if cpu::level() < cpu::Level::Avx2 {
            return;
        }
        let keys: Vec<[[u8; 8]; 16]> = (0..32u8)
            .map(|k| std::array::from_fn(|n| std::array::from_fn(|j| k.wrapping_mul(77) ^ (n * 8 + j) as u8)))
            .collect();
        for count in 1..=LANES {
            for run in [1, 2, 3, 9, 16, 32] {
                let lanes: Vec<&[[u8; 8]]> = (0..count).map(|lane| &keys[lane / run][..]).collect();
                let mut planes = [NO_KEY; 16];
                // SAFETY: the CPU has AVX2.
                unsafe { fill(&mut planes, &lanes) };
                for (n, j) in (0..16).flat_map(|n| (0..8).map(move |j| (n, j))) {
                    let bytes = &planes[n / 2][j].0[n % 2 * LANES..];
                    assert!((0..count).all(|lane| bytes[lane] == lanes[lane][n][j]));
                }
            }
        }
    }
}
