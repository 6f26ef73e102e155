//! Four messages abreast by instructions that take a message each (SHA-NI). Between blocks a lane's state stays as the
//! instructions want it.
//!
//! The rounds are written down instruction by instruction. On Zen 3 instructions go by turns to the two halves of the
//! vector unit, each of which begins one `sha1rnds4` in four cycles: what the compiler makes of the same operations takes
//! a sixth longer.
//!
//! No register of 256 bits here: each change from instructions of 256 bits to these, which know 128 bits alone, costs hundreds
//! of cycles on some CPUs (Zen 3). So nothing here is compiled for AVX.

use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::State;
use super::even::Group;
use super::lanes::Algorithm;

pub(super) const LANES: usize = 4;

/// A lane's state.
pub(super) type Lane = [__m128i; 2];
/// Sixteen words of each lane, four in a register: the same four of each lane are side by side.
pub(super) struct Words(MaybeUninit<[[__m128i; LANES]; 4]>);

/// Bytes from the middle of the words to the register of lane n's four words that follow `behind` registers after the first:
/// at most as many as an instruction holds in one byte, as long instructions are fetched more slowly.
pub(super) const fn place(n: usize, behind: usize) -> isize {
    16 * (LANES * (behind % 4) + n) as isize - 128
}

impl Words {
    pub(super) const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// The middle of them.
    pub(super) fn middle(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast::<u8>().wrapping_add(128)
    }

    /// A quarter of each lane's block, its bytes in another order.
    ///
    /// # Safety
    /// The CPU has the instructions; each pointer has a block to be read.
    #[inline(always)]
    pub(super) unsafe fn take(
        &mut self,
        quarter: usize,
        at: &[*const u8; LANES],
        order: __m128i,
    ) -> [__m128i; LANES] {
        // SAFETY: the caller's; registers of these words.
        unsafe {
            let mut words = [order; LANES];
            for n in 0..LANES {
                let bytes = _mm_loadu_si128(at[n].cast::<__m128i>().add(quarter));
                words[n] = _mm_shuffle_epi8(bytes, order);
            }
            for n in 0..LANES {
                _mm_store_si128(self.middle().offset(place(n, quarter)).cast(), words[n]);
            }
            words
        }
    }
}

/// A hash function that has instructions of its own. Its functions are `inline(always)`, and only for the functions of
/// this module to call, which have the instructions: that is what makes them sound.
pub(super) trait Hash {
    const DIGEST_WORDS: usize;
    /// Where a register of words has its bytes from, as `_mm_set_epi32` takes them; and where the bytes are in one of words.
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
    /// The words of a digest as those of a block are.
    ///
    /// # Safety
    /// The CPU has the instructions.
    unsafe fn words(lane: Lane) -> [__m128i; 2];
    /// A block of each lane, whose bytes are taken in this order.
    ///
    /// # Safety
    /// The CPU has the instructions; each pointer has a block to be read.
    unsafe fn compress(lanes: &mut [Lane; LANES], at: &[*const u8; LANES], order: __m128i);
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

    unsafe fn together(group: &mut Group<'_, '_>) {
        // SAFETY: the caller's.
        unsafe { together::<H>(group) };
    }
}

/// Hash `steps` blocks of each lane.
///
/// # Safety
/// Each pointer has `steps` blocks to be read.
#[target_feature(enable = "ssse3,sha")]
unsafe fn blocks<H: Hash>(state: &mut State, next: &mut [*const u8; LANES], steps: usize) {
    let (low, high) = (transposed(state, 0), transposed(state, 4));
    let mut lanes = [[_mm_setzero_si128(); 2]; LANES];
    for n in 0..LANES {
        // SAFETY: the instructions are there.
        lanes[n] = unsafe { H::begin([low[n], high[n]]) };
    }
    // SAFETY: the caller's.
    unsafe { hash::<H>(&mut lanes, next, steps, order::<H>()) };
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
#[target_feature(enable = "ssse3,sha")]
unsafe fn together<H: Hash>(group: &mut Group<'_, '_>) {
    let order = order::<H>();
    let mut lanes = [[_mm_setzero_si128(); 2]; LANES];
    let mut next = [std::ptr::null(); LANES];
    let mut tails = [std::ptr::null_mut::<u8>(); LANES];
    let mut outer = [group.lane(0).0; LANES];
    for n in 0..LANES {
        let (key, first) = group.lane(n);
        (outer[n], next[n]) = (key, first);
        tails[n] = group.scratch.tails[n].blocks();
        // SAFETY: the instructions are there.
        lanes[n] = unsafe { H::begin(load(&key.inner)) };
    }
    for pass in 0..3 {
        let (steps, as_is) = [(group.whole, false), (group.tail_blocks, false), (1, true)][pass];
        if pass > 0 {
            next = tails.map(<*mut u8>::cast_const);
        }
        if pass == 2 {
            let padding = const { padding(4 * H::DIGEST_WORDS) }.as_ptr().cast::<__m128i>();
            let mut pad = [order; 4];
            for quarter in 1..4 {
                // SAFETY: 16 bytes of 64.
                pad[quarter] = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(padding.add(quarter)) }, order);
            }
            for n in 0..LANES {
                let tail = tails[n].cast::<__m128i>();
                // SAFETY: the instructions are there; a block of a tail. The words themselves, not their bytes.
                unsafe {
                    let [low, high] = H::words(lanes[n]);
                    _mm_storeu_si128(tail, low);
                    _mm_storeu_si128(tail.add(1), _mm_or_si128(high, pad[1]));
                    _mm_storeu_si128(tail.add(2), pad[2]);
                    _mm_storeu_si128(tail.add(3), pad[3]);
                    lanes[n] = H::begin(load(&outer[n].outer));
                }
            }
        }
        let order = match as_is {
            true => _mm_set_epi32(0x0f0e_0d0c, 0x0b0a_0908, 0x0706_0504, 0x0302_0100),
            false => order,
        };
        // SAFETY: the caller's, and the outer hash's block that was just written.
        unsafe { hash::<H>(&mut lanes, &mut next, steps, order) };
    }
    for n in 0..LANES {
        let digest = group.scratch.digests[n].as_mut_ptr().cast::<__m128i>();
        // SAFETY: the instructions are there; 32 bytes.
        unsafe {
            let [low, high] = H::words(lanes[n]);
            _mm_storeu_si128(digest, _mm_shuffle_epi8(low, order));
            _mm_storeu_si128(digest.add(1), _mm_shuffle_epi8(high, order));
        }
    }
}

#[inline]
#[target_feature(enable = "ssse3")]
fn order<H: Hash>() -> __m128i {
    _mm_set_epi32(H::ORDER[0], H::ORDER[1], H::ORDER[2], H::ORDER[3])
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
unsafe fn hash<H: Hash>(
    lanes: &mut [Lane; LANES],
    next: &mut [*const u8; LANES],
    steps: usize,
    order: __m128i,
) {
    for _ in 0..steps {
        // SAFETY: the caller's.
        unsafe { H::compress(lanes, next, order) };
        for next in &mut *next {
            *next = next.wrapping_add(64);
        }
    }
}

/// The words of a state.
#[inline]
#[target_feature(enable = "ssse3")]
fn load(words: &[u8; 64]) -> [__m128i; 2] {
    // SAFETY: 32 bytes of 64.
    unsafe {
        let at = words.as_ptr().cast::<__m128i>();
        [_mm_loadu_si128(at), _mm_loadu_si128(at.add(1))]
    }
}

/// Four words of each lane, from this row on.
#[inline]
#[target_feature(enable = "ssse3")]
fn transposed(state: &State, row: usize) -> [__m128i; LANES] {
    let mut words = [_mm_setzero_si128(); 4];
    for (word, row) in words.iter_mut().zip(&state.0[row..]) {
        // SAFETY: 16 aligned bytes of 64.
        *word = unsafe { _mm_load_si128(row.as_ptr().cast()) };
    }
    four_by_four(&words)
}

#[inline]
#[target_feature(enable = "ssse3")]
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
