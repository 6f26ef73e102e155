//! Four messages abreast by instructions that take a message each: from the rows of a state, a word of every lane in each,
//! to four words of a lane in a register, and back.

use std::arch::x86_64::*;

use super::State;

pub(super) const LANES: usize = 4;

/// The order of bytes that changes nothing.
pub(super) static AS_IT_IS: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// These four words of each lane.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn transposed(state: &State, rows: [usize; 4]) -> [__m128i; LANES] {
    let mut words = [_mm_setzero_si128(); 4];
    for (word, row) in words.iter_mut().zip(rows) {
        // SAFETY: 16 aligned bytes of 64.
        *word = unsafe { _mm_load_si128(state.0[row].as_ptr().cast()) };
    }
    four_by_four(&words)
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn four_by_four(rows: &[__m128i; 4]) -> [__m128i; 4] {
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
