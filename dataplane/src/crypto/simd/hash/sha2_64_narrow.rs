//! SHA-384 and SHA-512 (FIPS 180-4) in the 4 lanes of AVX2.

use std::arch::x86_64::{
    __m256i, _mm_set_epi32, _mm256_add_epi64 as add, _mm256_and_si256 as and, _mm256_broadcastsi128_si256,
    _mm256_load_si256, _mm256_loadu_si256, _mm256_or_si256 as or, _mm256_permute2x128_si256,
    _mm256_set1_epi64x as all, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sllv_epi64,
    _mm256_srlv_epi64, _mm256_store_si256, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
    _mm256_xor_si256 as xor,
};

use super::State;
use super::lanes::Algorithm;
use super::sha2::{compress, round, shifted, turned};
use super::sha2_64::{BIG_0, BIG_1, K, SHA384, SHA512, SHIFT_0, SHIFT_1, SMALL_0, SMALL_1, Signed};
use super::transpose::bytes;

/// With a digest of so many words: 8 of SHA-512, 6 of SHA-384.
pub(super) struct Four<const DIGEST: usize>;

impl<const DIGEST: usize> Algorithm for Four<DIGEST> {
    const WORD: usize = 8;
    const LANES: usize = 4;
    const OUTER: bool = true;
    const GROUPS: usize = 1;
    const BLOCK: usize = 128;
    const DIGEST_WORDS: usize = DIGEST;
    const BIG_ENDIAN: bool = true;

    fn worth() -> usize {
        2
    }

    fn initial() -> [u8; 64] {
        bytes(if DIGEST == 6 { SHA384 } else { SHA512 }.map(u64::to_ne_bytes))
    }

    unsafe fn blocks(states: &mut [State], next: &mut [*const u8], steps: usize) {
        if let ([state, ..], Ok(next)) = (states, next.try_into()) {
            // SAFETY: the caller's.
            unsafe { blocks(state, next, steps) };
        }
    }

    unsafe fn outer(states: &mut [State], keys: &[State]) {
        if let ([state, ..], [keys, ..]) = (states, keys) {
            // SAFETY: the caller's.
            unsafe { outer::<DIGEST>(state, keys) };
        }
    }
}

/// A function of three bits by its table of truth, of those that the hash functions use.
#[inline]
#[target_feature(enable = "avx2")]
fn ternary<const TRUTH: i32>(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    match TRUTH {
        // The second where the first is set, else the third.
        0xca => xor(c, and(a, xor(b, c))),
        // What two of them are.
        0xe8 => or(and(a, b), and(c, or(a, b))),
        // The sum.
        _ => xor(a, xor(b, c)),
    }
}

// Amounts that are known: they become part of the instructions.

#[inline]
#[target_feature(enable = "avx2")]
fn turn<const N: i32>(x: __m256i) -> __m256i {
    or(_mm256_srlv_epi64(x, all(i64::from(N))), _mm256_sllv_epi64(x, all(i64::from(64 - N))))
}

#[inline]
#[target_feature(enable = "avx2")]
fn shift<const N: u32>(x: __m256i) -> __m256i {
    _mm256_srlv_epi64(x, all(i64::from(N)))
}

compress!(__m256i, "avx2");

/// Hash `steps` blocks of each lane.
///
/// # Safety
/// Each pointer has `steps` blocks to be read.
#[target_feature(enable = "avx2")]
unsafe fn blocks(state: &mut State, next: &mut [*const u8; 4], steps: usize) {
    let mut rows = load(state);
    for _ in 0..steps {
        // SAFETY: the caller's.
        let mut w = unsafe { words(next) };
        compress(&mut rows, &mut w);
    }
    store(state, &rows);
}

/// The digests in the lanes become those of HMAC's outer hash: what is hashed are the rows as they are.
#[target_feature(enable = "avx2")]
fn outer<const DIGEST: usize>(state: &mut State, keys: &State) {
    let mut w = [_mm256_setzero_si256(); 16];
    w[..DIGEST].copy_from_slice(&load(state)[..DIGEST]);
    w[DIGEST] = all(i64::MIN);
    w[15] = all(8 * (128 + 8 * DIGEST as i64));
    let mut rows = load(keys);
    compress(&mut rows, &mut w);
    store(state, &rows);
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(state: &State) -> [__m256i; 8] {
    let mut rows = [_mm256_setzero_si256(); 8];
    for (row, from) in rows.iter_mut().zip(&state.0) {
        // SAFETY: 32 aligned bytes of 64.
        *row = unsafe { _mm256_load_si256(from.as_ptr().cast()) };
    }
    rows
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(state: &mut State, rows: &[__m256i; 8]) {
    for (to, row) in state.0.iter_mut().zip(rows) {
        // SAFETY: 32 aligned bytes of 64.
        unsafe { _mm256_store_si256(to.as_mut_ptr().cast(), *row) };
    }
}

/// Word w of four blocks of 128 bytes, highest byte first, for each w; then moves the pointers on.
///
/// # Safety
/// Each pointer has 128 bytes to be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn words(next: &mut [*const u8; 4]) -> [__m256i; 16] {
    let order =
        _mm256_broadcastsi128_si256(_mm_set_epi32(0x0809_0a0b, 0x0c0d_0e0f, 0x0001_0203, 0x0405_0607));
    let mut words = [_mm256_setzero_si256(); 16];
    for quarter in 0..4 {
        let mut rows = [_mm256_setzero_si256(); 4];
        for (row, next) in rows.iter_mut().zip(&*next) {
            // SAFETY: the caller's.
            *row = _mm256_shuffle_epi8(unsafe { _mm256_loadu_si256(next.add(32 * quarter).cast()) }, order);
        }
        let [a, b, c, d] = rows;
        let (even, odd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        let (even2, odd2) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
        words[4 * quarter] = _mm256_permute2x128_si256::<0x20>(even, even2);
        words[4 * quarter + 1] = _mm256_permute2x128_si256::<0x20>(odd, odd2);
        words[4 * quarter + 2] = _mm256_permute2x128_si256::<0x31>(even, even2);
        words[4 * quarter + 3] = _mm256_permute2x128_si256::<0x31>(odd, odd2);
    }
    for next in next {
        // SAFETY: the caller's: the end of the block.
        *next = unsafe { next.add(128) };
    }
    words
}
