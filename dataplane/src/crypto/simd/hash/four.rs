//! Four messages abreast by instructions that take a message each (SHA-NI). Between blocks a lane's state stays as the
//! instructions want it.
//!
//! No register of 256 bits here: where the upper half of any is not zero, these instructions, which know 128 bits alone, cost
//! hundreds of cycles on some CPUs (Zen 3).

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::State;
use super::even::Group;
use super::lanes::Algorithm;

pub(super) const LANES: usize = 4;

/// A lane's state.
pub(super) type Lane = [__m128i; 2];
/// The words of a block of each lane, four in a register.
pub(super) type Words = [[__m128i; 4]; LANES];

/// A hash function that has instructions of its own. Its functions are `inline(always)`, and only for the functions of
/// this module to call, which have the instructions: that is what makes them sound.
pub(super) trait Hash {
    const DIGEST_WORDS: usize;
    /// Where a register of words has its bytes from, as `_mm_set_epi32` takes them.
    const ORDER: [i32; 4];
    /// The state before the first block: eight words in the CPU's byte order.
    fn initial() -> [u8; 64];
    /// # Safety
    /// The CPU has the instructions.
    unsafe fn begin(words: [__m128i; 2]) -> Lane;
    /// The words of a state, the first in the lowest place, zeros behind the last.
    ///
    /// # Safety
    /// The CPU has the instructions.
    unsafe fn end(lane: Lane) -> [__m128i; 2];
    /// # Safety
    /// The CPU has the instructions.
    unsafe fn compress(lanes: &mut [Lane; LANES], w: Words);
}

/// A hash function's four lanes.
pub(super) struct Ni<H>(PhantomData<H>);

impl<H: Hash> Algorithm for Ni<H> {
    const WORD: usize = 4;
    const LANES: usize = LANES;
    const GROUPS: usize = 1;
    const TOGETHER: bool = true;
    const BLOCK: usize = 64;
    const DIGEST_WORDS: usize = H::DIGEST_WORDS;
    const BIG_ENDIAN: bool = true;

    fn worth() -> usize {
        2
    }

    fn initial() -> [u8; 64] {
        H::initial()
    }

    unsafe fn blocks(states: &mut [State], next: &mut [*const u8], steps: usize) {
        if let ([state, ..], Ok(next)) = (states, next.try_into()) {
            // SAFETY: the caller's.
            unsafe { blocks::<H>(state, next, steps) };
        }
    }

    unsafe fn together(group: &mut Group<'_>) {
        // SAFETY: the caller's.
        unsafe { together::<H>(group) };
    }
}

/// Hash `steps` blocks of each lane.
///
/// # Safety
/// Each pointer has `steps` blocks to be read.
#[target_feature(enable = "avx2,sha")]
unsafe fn blocks<H: Hash>(state: &mut State, next: &mut [*const u8; LANES], steps: usize) {
    let (low, high) = (transposed(state, 0), transposed(state, 4));
    let mut lanes = [[_mm_setzero_si128(); 2]; LANES];
    for n in 0..LANES {
        // SAFETY: the instructions are there.
        lanes[n] = unsafe { H::begin([low[n], high[n]]) };
    }
    // SAFETY: the caller's.
    unsafe { hash::<H>(&mut lanes, next, steps) };
    let (mut low, mut high) = (low, high);
    for n in 0..LANES {
        // SAFETY: the instructions are there.
        [low[n], high[n]] = unsafe { H::end(lanes[n]) };
    }
    let words = [four_by_four(&low), four_by_four(&high)];
    for (row, word) in state.0.iter_mut().zip(words.as_flattened()) {
        // SAFETY: 16 aligned bytes of 64.
        unsafe { _mm_store_si128(row.as_mut_ptr().cast(), *word) };
    }
}

/// The HMACs of a group: three times the same loop, over the messages, their tails and the digests, as it is too large to
/// stand there three times.
///
/// # Safety
/// As for [`Algorithm::together`].
#[target_feature(enable = "avx2,sha")]
unsafe fn together<H: Hash>(group: &mut Group<'_>) {
    let padding = const { padding(4 * H::DIGEST_WORDS) };
    let order = _mm_set_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut lanes = [[_mm_setzero_si128(); 2]; LANES];
    let mut next = [group.next[0], group.next[1], group.next[2], group.next[3]];
    for n in 0..LANES {
        // SAFETY: the instructions are there.
        lanes[n] = unsafe { H::begin(load(&group.keys[n].inner)) };
    }
    for pass in 0..3 {
        let steps = [group.whole, group.tail_blocks, 1][pass];
        for n in 0..LANES {
            let tail = group.tails[n].as_mut_ptr().cast::<__m128i>();
            if pass > 0 {
                next[n] = tail.cast();
            }
            if pass == 2 {
                // SAFETY: the instructions are there; a block of a tail, and of the padding.
                unsafe {
                    let [low, high] = H::end(lanes[n]);
                    let high = _mm_shuffle_epi8(high, order);
                    let pad = padding.as_ptr().cast::<__m128i>();
                    _mm_storeu_si128(tail, _mm_shuffle_epi8(low, order));
                    _mm_storeu_si128(tail.add(1), _mm_or_si128(high, _mm_loadu_si128(pad.add(1))));
                    _mm_storeu_si128(tail.add(2), _mm_loadu_si128(pad.add(2)));
                    _mm_storeu_si128(tail.add(3), _mm_loadu_si128(pad.add(3)));
                    lanes[n] = H::begin(load(&group.keys[n].outer));
                }
            }
        }
        // SAFETY: the caller's, and the outer hash's block that was just written.
        unsafe { hash::<H>(&mut lanes, &mut next, steps) };
    }
    for n in 0..LANES {
        let digest = group.digests[n].as_mut_ptr().cast::<__m128i>();
        // SAFETY: the instructions are there; 32 bytes of 64.
        unsafe {
            let [low, high] = H::end(lanes[n]);
            _mm_storeu_si128(digest, _mm_shuffle_epi8(low, order));
            _mm_storeu_si128(digest.add(1), _mm_shuffle_epi8(high, order));
        }
    }
}

/// What is behind a digest in the outer hash's block: the bits of a block and the digest at its end.
const fn padding(digest_len: usize) -> [u8; 64] {
    let mut block = [0; 64];
    block[digest_len] = 0x80;
    let bits = 8 * (64 + digest_len);
    (block[62], block[63]) = ((bits >> 8) as u8, bits as u8);
    block
}

/// Part of its callers, so that lanes stay in registers from block to block.
///
/// # Safety
/// The CPU has the instructions; each pointer has `steps` blocks to be read.
#[inline(always)]
unsafe fn hash<H: Hash>(lanes: &mut [Lane; LANES], next: &mut [*const u8; LANES], steps: usize) {
    // SAFETY: the caller's.
    let order = unsafe { _mm_set_epi32(H::ORDER[0], H::ORDER[1], H::ORDER[2], H::ORDER[3]) };
    for _ in 0..steps {
        let mut w = [[order; 4]; LANES];
        for n in 0..LANES {
            for quarter in 0..4 {
                // SAFETY: the caller's.
                unsafe {
                    let bytes = _mm_loadu_si128(next[n].cast::<__m128i>().add(quarter));
                    w[n][quarter] = _mm_shuffle_epi8(bytes, order);
                }
            }
            next[n] = next[n].wrapping_add(64);
        }
        // SAFETY: the instructions are there.
        unsafe { H::compress(lanes, w) };
    }
}

/// The words of a state.
#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u8; 64]) -> [__m128i; 2] {
    // SAFETY: 32 bytes of 64.
    unsafe {
        let at = words.as_ptr().cast::<__m128i>();
        [_mm_loadu_si128(at), _mm_loadu_si128(at.add(1))]
    }
}

/// Four words of each lane, from this row on.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(state: &State, row: usize) -> [__m128i; LANES] {
    let mut words = [_mm_setzero_si128(); 4];
    for (word, row) in words.iter_mut().zip(&state.0[row..]) {
        // SAFETY: 16 aligned bytes of 64.
        *word = unsafe { _mm_load_si128(row.as_ptr().cast()) };
    }
    four_by_four(&words)
}

#[inline]
#[target_feature(enable = "avx2")]
fn four_by_four(rows: &[__m128i; 4]) -> [__m128i; 4] {
    let [a, b, c, d] = *rows;
    let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
    let (ab2, cd2) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
    [
        _mm_unpacklo_epi64(ab, cd),
        _mm_unpackhi_epi64(ab, cd),
        _mm_unpacklo_epi64(ab2, cd2),
        _mm_unpackhi_epi64(ab2, cd2),
    ]
}
