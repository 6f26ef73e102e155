//! A block of each lane, turned into registers that hold one word of every lane.
//!
//! Here and in the kernels intrinsics stand in loops, never in closures: a closure given to a function that is compiled
//! without the CPU's features is not inlined, and every register goes through memory.

use std::arch::x86_64::*;

/// Word w of sixteen blocks of 64 bytes, for each w; then moves the pointers on.
///
/// # Safety
/// Each pointer has 64 bytes to be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn words32(next: &mut [*const u8; 16], swap: bool) -> [__m512i; 16] {
    let mut rows = [_mm512_setzero_si512(); 16];
    for (row, next) in rows.iter_mut().zip(next) {
        // SAFETY: the caller's.
        unsafe {
            *row = _mm512_loadu_si512(next.cast());
            *next = next.add(64);
        }
    }
    if swap {
        let order = _mm512_broadcast_i32x4(_mm_set_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203));
        for row in &mut rows {
            *row = _mm512_shuffle_epi8(*row, order);
        }
    }
    let mut by_two = rows;
    for n in 0..8 {
        let (a, b) = (rows[2 * n], rows[2 * n + 1]);
        (by_two[2 * n], by_two[2 * n + 1]) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
    let mut by_four = by_two;
    for n in 0..4 {
        let [a, b, c, d] = [by_two[4 * n], by_two[4 * n + 1], by_two[4 * n + 2], by_two[4 * n + 3]];
        by_four[4 * n] = _mm512_unpacklo_epi64(a, c);
        by_four[4 * n + 1] = _mm512_unpackhi_epi64(a, c);
        by_four[4 * n + 2] = _mm512_unpacklo_epi64(b, d);
        by_four[4 * n + 3] = _mm512_unpackhi_epi64(b, d);
    }
    quarters(&by_four)
}

/// Registers n, n + 4, n + 8 and n + 12 hold lanes 4 k to 4 k + 3 of words n, n + 4, n + 8 and n + 12: a 4 x 4
/// transposition of quarters.
#[inline]
#[target_feature(enable = "avx512f")]
pub(in super::super) fn quarters(rows: &[__m512i; 16]) -> [__m512i; 16] {
    let mut words = *rows;
    for n in 0..4 {
        let [a, b, c, d] = [rows[n], rows[n + 4], rows[n + 8], rows[n + 12]];
        let even = _mm512_shuffle_i32x4::<0x88>(a, b);
        let odd = _mm512_shuffle_i32x4::<0xdd>(a, b);
        let even2 = _mm512_shuffle_i32x4::<0x88>(c, d);
        let odd2 = _mm512_shuffle_i32x4::<0xdd>(c, d);
        words[n] = _mm512_shuffle_i32x4::<0x88>(even, even2);
        words[n + 8] = _mm512_shuffle_i32x4::<0xdd>(even, even2);
        words[n + 4] = _mm512_shuffle_i32x4::<0x88>(odd, odd2);
        words[n + 12] = _mm512_shuffle_i32x4::<0xdd>(odd, odd2);
    }
    words
}

/// Word w of eight blocks of 128 bytes, highest byte first, for each w; then moves the pointers on.
///
/// # Safety
/// Each pointer has 128 bytes to be read.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn words64(next: &mut [*const u8; 8]) -> [__m512i; 16] {
    let order = _mm512_broadcast_i32x4(_mm_set_epi32(0x0809_0a0b, 0x0c0d_0e0f, 0x0001_0203, 0x0405_0607));
    let mut words = [_mm512_setzero_si512(); 16];
    for half in 0..2 {
        let mut rows = [_mm512_setzero_si512(); 8];
        for (row, next) in rows.iter_mut().zip(&*next) {
            // SAFETY: the caller's.
            *row = _mm512_shuffle_epi8(unsafe { _mm512_loadu_si512(next.add(64 * half).cast()) }, order);
        }
        let mut by_two = rows;
        for n in 0..4 {
            let (a, b) = (rows[2 * n], rows[2 * n + 1]);
            (by_two[2 * n], by_two[2 * n + 1]) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
        }
        for n in 0..2 {
            let [a, b, c, d] = [by_two[n], by_two[n + 2], by_two[n + 4], by_two[n + 6]];
            let even = _mm512_shuffle_i64x2::<0x88>(a, b);
            let odd = _mm512_shuffle_i64x2::<0xdd>(a, b);
            let even2 = _mm512_shuffle_i64x2::<0x88>(c, d);
            let odd2 = _mm512_shuffle_i64x2::<0xdd>(c, d);
            words[8 * half + n] = _mm512_shuffle_i64x2::<0x88>(even, even2);
            words[8 * half + n + 4] = _mm512_shuffle_i64x2::<0xdd>(even, even2);
            words[8 * half + n + 2] = _mm512_shuffle_i64x2::<0x88>(odd, odd2);
            words[8 * half + n + 6] = _mm512_shuffle_i64x2::<0xdd>(odd, odd2);
        }
    }
    for next in next {
        // SAFETY: the caller's: the end of the block.
        *next = unsafe { next.add(128) };
    }
    words
}

/// Half a block of each of eight lanes: word w of all of them, for each w.
///
/// # Safety
/// Each pointer has 32 bytes from `at` on to be read.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn half_words32(next: &[*const u8; 8], at: usize, swap: bool) -> [__m256i; 8] {
    let mut rows = [_mm256_setzero_si256(); 8];
    for (row, next) in rows.iter_mut().zip(next) {
        // SAFETY: the caller's.
        *row = unsafe { _mm256_loadu_si256(next.add(at).cast()) };
    }
    if swap {
        let order =
            _mm256_broadcastsi128_si256(_mm_set_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203));
        for row in &mut rows {
            *row = _mm256_shuffle_epi8(*row, order);
        }
    }
    eighths(&rows)
}

/// 8 x 8 words over eight registers.
#[inline]
#[target_feature(enable = "avx2")]
pub(in super::super) fn eighths(rows: &[__m256i; 8]) -> [__m256i; 8] {
    let mut by_two = *rows;
    for n in 0..4 {
        let (a, b) = (rows[2 * n], rows[2 * n + 1]);
        (by_two[2 * n], by_two[2 * n + 1]) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
    }
    let mut by_four = by_two;
    for n in 0..2 {
        let [a, b, c, d] = [by_two[4 * n], by_two[4 * n + 1], by_two[4 * n + 2], by_two[4 * n + 3]];
        by_four[4 * n] = _mm256_unpacklo_epi64(a, c);
        by_four[4 * n + 1] = _mm256_unpackhi_epi64(a, c);
        by_four[4 * n + 2] = _mm256_unpacklo_epi64(b, d);
        by_four[4 * n + 3] = _mm256_unpackhi_epi64(b, d);
    }
    let mut words = by_four;
    for n in 0..4 {
        words[n] = _mm256_permute2x128_si256::<0x20>(by_four[n], by_four[n + 4]);
        words[n + 4] = _mm256_permute2x128_si256::<0x31>(by_four[n], by_four[n + 4]);
    }
    words
}

/// The rows of a state as registers.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load<const N: usize>(state: &super::State) -> [__m512i; N] {
    let mut rows = [_mm512_setzero_si512(); N];
    for (row, from) in rows.iter_mut().zip(&state.0) {
        // SAFETY: a row is 64 aligned bytes.
        *row = unsafe { _mm512_load_si512(from.as_ptr().cast()) };
    }
    rows
}

/// The way back.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store<const N: usize>(state: &mut super::State, rows: &[__m512i; N]) {
    for (to, row) in state.0.iter_mut().zip(rows) {
        // SAFETY: a row is 64 aligned bytes.
        unsafe { _mm512_store_si512(to.as_mut_ptr().cast(), *row) };
    }
}

/// Words as the bytes of a state, and zeros.
pub(super) fn bytes<const N: usize, const W: usize>(words: [[u8; W]; N]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes.iter_mut().zip(words.as_flattened()).for_each(|(to, from)| *to = *from);
    bytes
}
