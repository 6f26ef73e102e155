//! SHA-384 and SHA-512 (FIPS 180-4) in the 4 lanes of AVX2.

use std::arch::x86_64::*;

use super::super::pin::align_frame;
use super::State;
use super::even::Group;
use super::lanes::Algorithm;
use super::sha2_64::{K, SHA384, SHA512};
use super::transpose::bytes;

/// With a digest of so many words: 8 of SHA-512, 6 of SHA-384.
pub(super) struct Four<const DIGEST: usize>;

const LANES: usize = 4;

impl<const DIGEST: usize> Algorithm for Four<DIGEST> {
    const WORD: usize = 8;
    const LANES: usize = LANES;
    const GROUPS: usize = 1;
    const TOGETHER: bool = true;
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

    unsafe fn together(group: &mut Group<'_, '_>) {
        // SAFETY: the caller's.
        unsafe { together::<DIGEST>(group) };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(a: __m256i, b: __m256i, c: __m256i, d: __m256i) -> __m256i {
    _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d))
}

/// x turned right by the first three amounts, added without carry: as six shifts, since a turn would be two and an `or`.
/// The last three are the first, less than 64.
macro_rules! turned {
    ($x:expr, $a:literal $b:literal $c:literal, $a2:literal $b2:literal $c2:literal) => {{
        const { assert!($a + $a2 == 64 && $b + $b2 == 64 && $c + $c2 == 64) };
        let x = $x;
        let a = _mm256_xor_si256(_mm256_srli_epi64::<$a>(x), _mm256_slli_epi64::<$a2>(x));
        let b = _mm256_xor_si256(_mm256_srli_epi64::<$b>(x), _mm256_slli_epi64::<$b2>(x));
        let c = _mm256_xor_si256(_mm256_srli_epi64::<$c>(x), _mm256_slli_epi64::<$c2>(x));
        _mm256_xor_si256(_mm256_xor_si256(a, b), c)
    }};
}

/// FIPS 180-4 section 4.1.3: turned by 1, by 8 (which a shuffle does) and shifted by 7.
#[inline]
#[target_feature(enable = "avx2")]
fn small_0(x: __m256i, by_8: __m256i) -> __m256i {
    let a = _mm256_xor_si256(_mm256_srli_epi64::<1>(x), _mm256_slli_epi64::<63>(x));
    let b = _mm256_xor_si256(_mm256_srli_epi64::<7>(x), _mm256_shuffle_epi8(x, by_8));
    _mm256_xor_si256(a, b)
}

/// Turned by 19, by 61 and shifted by 6.
#[inline]
#[target_feature(enable = "avx2")]
fn small_1(x: __m256i) -> __m256i {
    let a = _mm256_xor_si256(_mm256_srli_epi64::<19>(x), _mm256_slli_epi64::<45>(x));
    let b = _mm256_xor_si256(_mm256_srli_epi64::<61>(x), _mm256_slli_epi64::<3>(x));
    _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_srli_epi64::<6>(x))
}

/// A block of each lane. Each word of the next sixteen is made beside the round that needs the one it replaces: rounds
/// wait for each other, and words fill the wait.
#[inline]
#[target_feature(enable = "avx2")]
#[allow(unused_assignments, reason = "what the last round leaves to the next")]
fn compress(rows: &mut [__m256i; 8], w: &mut [__m256i; 16]) {
    let by_8 = _mm256_broadcastsi128_si256(_mm_set_epi32(0x080f_0e0d, 0x0c0b_0a09, 0x0007_0605, 0x0403_0201));
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *rows;
    // What two of a, b and c are: b, where a and b or b and c are the same. Their sum is the next round's b's and c's.
    let mut differ = _mm256_xor_si256(b, c);
    macro_rules! round {
        ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $k:expr, $w:expr) => {
            let known = _mm256_add_epi64($w, _mm256_set1_epi64x(K[$k] as i64));
            let choice = _mm256_xor_si256($g, _mm256_and_si256($e, _mm256_xor_si256($f, $g)));
            let t = sum($h, known, choice, turned!($e, 14 18 41, 50 46 23));
            $d = _mm256_add_epi64($d, t);
            let next = _mm256_xor_si256($a, $b);
            let majority = _mm256_xor_si256($b, _mm256_and_si256(next, differ));
            differ = next;
            $h = _mm256_add_epi64(_mm256_add_epi64(t, majority), turned!($a, 28 34 39, 36 30 25));
        };
    }
    // With numbers for the words' places, not with a loop's variable.
    macro_rules! sixteen {
        ($k:expr, $next:literal) => {
            sixteen!(eight $k, 0, $next);
            sixteen!(eight $k, 8, $next);
        };
        (eight $k:expr, $n:literal, $next:literal) => {
            sixteen!(round $k, $n + 0, $next, a b c d e f g h);
            sixteen!(round $k, $n + 1, $next, h a b c d e f g);
            sixteen!(round $k, $n + 2, $next, g h a b c d e f);
            sixteen!(round $k, $n + 3, $next, f g h a b c d e);
            sixteen!(round $k, $n + 4, $next, e f g h a b c d);
            sixteen!(round $k, $n + 5, $next, d e f g h a b c);
            sixteen!(round $k, $n + 6, $next, c d e f g h a b);
            sixteen!(round $k, $n + 7, $next, b c d e f g h a);
        };
        (round $k:expr, $n:expr, $next:literal, $($rows:ident)*) => {
            round!($($rows)*, $k + $n, w[$n]);
            if $next {
                let (early, late) = (small_0(w[($n + 1) & 15], by_8), small_1(w[($n + 14) & 15]));
                w[$n] = sum(w[$n], w[($n + 9) & 15], early, late);
            }
        };
    }
    for k in (0..64).step_by(16) {
        sixteen!(k, true);
    }
    sixteen!(64, false);
    for (row, new) in rows.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *row = _mm256_add_epi64(*row, new);
    }
}

/// Hash `steps` blocks of each lane.
///
/// # Safety
/// Each pointer has `steps` blocks to be read.
#[target_feature(enable = "avx2")]
unsafe fn blocks(state: &mut State, next: &mut [*const u8; LANES], steps: usize) {
    let mut rows = [_mm256_setzero_si256(); 8];
    for (row, from) in rows.iter_mut().zip(&state.0) {
        // SAFETY: 32 aligned bytes of 64.
        *row = unsafe { _mm256_load_si256(from.as_ptr().cast()) };
    }
    // SAFETY: the caller's.
    unsafe { hash(&mut rows, next, steps) };
    for (to, row) in state.0.iter_mut().zip(&rows) {
        // SAFETY: 32 aligned bytes of 64.
        unsafe { _mm256_store_si256(to.as_mut_ptr().cast(), *row) };
    }
}

/// The HMACs of a group: three times the same loop, over the messages, their tails and the digests, as it is too large to
/// stand there three times.
///
/// # Safety
/// As for [`Algorithm::together`].
#[target_feature(enable = "avx2")]
unsafe fn together<const DIGEST: usize>(group: &mut Group<'_, '_>) {
    let [mut inner, mut outer, mut next] = [[std::ptr::null::<u8>(); LANES]; 3];
    let mut tails = [std::ptr::null_mut::<u8>(); LANES];
    for n in 0..LANES {
        let (key, first) = group.lane(n);
        (inner[n], outer[n], next[n]) = (key.inner.as_ptr(), key.outer.as_ptr(), first);
        tails[n] = group.scratch.tails[n].blocks();
    }
    // SAFETY: a key's words.
    let mut rows = unsafe { words(&inner) };
    for pass in 0..3 {
        let steps = [group.whole, group.tail_blocks, 1][pass];
        if pass > 0 {
            next = tails.map(<*mut u8>::cast_const);
        }
        if pass == 2 {
            // SAFETY: a block of each tail; a key's words.
            unsafe {
                for tail in tails {
                    let tail = tail.cast::<__m256i>();
                    _mm256_storeu_si256(
                        tail.add(2),
                        _mm256_setr_epi64x(if DIGEST == 8 { 0x80 } else { 0 }, 0, 0, 0),
                    );
                    let bits = 8 * (128 + 8 * DIGEST as u64);
                    _mm256_storeu_si256(tail.add(3), _mm256_setr_epi64x(0, 0, 0, bits.swap_bytes() as i64));
                }
                write::<DIGEST, 2>(&rows, tails);
                rows = words(&outer);
            }
        }
        // SAFETY: the caller's, and the outer hash's block that was just written.
        unsafe { hash(&mut rows, &mut next, steps) };
    }
    let [a, b, c, d, ..] = &mut group.scratch.digests;
    // SAFETY: 32 bytes each.
    unsafe { write::<DIGEST, 1>(&rows, [a, b, c, d].map(|digest| digest.as_mut_ptr().cast())) };
}

/// Halves of each lane's digest, and behind that of SHA-384 the bit that begins its padding.
///
/// # Safety
/// Each pointer has 32 bytes for each half to be written.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn write<const DIGEST: usize, const HALVES: usize>(rows: &[__m256i; 8], to: [*mut u8; LANES]) {
    let order = order();
    let mut rows = *rows;
    if DIGEST == 6 {
        (rows[6], rows[7]) = (_mm256_set1_epi64x(i64::MIN), _mm256_setzero_si256());
    }
    let [a, b, c, d, e, f, g, h] = rows;
    for (half, rows) in [[a, b, c, d], [e, f, g, h]].into_iter().take(HALVES).enumerate() {
        for (words, to) in four_by_four(&rows).into_iter().zip(to) {
            // SAFETY: the caller's.
            unsafe { _mm256_storeu_si256(to.add(32 * half).cast(), _mm256_shuffle_epi8(words, order)) };
        }
    }
}

/// # Safety
/// Each pointer has `steps` blocks of 128 bytes to be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn hash(rows: &mut [__m256i; 8], next: &mut [*const u8; LANES], steps: usize) {
    align_frame();
    let order = order();
    for _ in 0..steps {
        let mut w = [_mm256_setzero_si256(); 16];
        for half in 0..2 {
            // SAFETY: the caller's: half a block.
            let words = unsafe { words(&next.map(|next| next.wrapping_add(64 * half))) };
            for n in 0..8 {
                w[8 * half + n] = _mm256_shuffle_epi8(words[n], order);
            }
        }
        for next in &mut *next {
            *next = next.wrapping_add(128);
        }
        compress(rows, &mut w);
    }
}

/// Highest byte of each word first.
#[inline]
#[target_feature(enable = "avx2")]
fn order() -> __m256i {
    _mm256_broadcastsi128_si256(_mm_set_epi32(0x0809_0a0b, 0x0c0d_0e0f, 0x0001_0203, 0x0405_0607))
}

/// Word w of 64 bytes of each lane, for each w.
///
/// # Safety
/// Each pointer has 64 bytes to be read.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn words(at: &[*const u8; LANES]) -> [__m256i; 8] {
    let mut words = [_mm256_setzero_si256(); 8];
    for half in 0..2 {
        let mut rows = [_mm256_setzero_si256(); 4];
        for n in 0..LANES {
            // SAFETY: the caller's.
            rows[n] = unsafe { _mm256_loadu_si256(at[n].add(32 * half).cast()) };
        }
        words[4 * half..4 * half + 4].copy_from_slice(&four_by_four(&rows));
    }
    words
}

#[inline]
#[target_feature(enable = "avx2")]
fn four_by_four(rows: &[__m256i; 4]) -> [__m256i; 4] {
    let [a, b, c, d] = *rows;
    let (even, odd) = (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    let (even2, odd2) = (_mm256_unpacklo_epi64(c, d), _mm256_unpackhi_epi64(c, d));
    [
        _mm256_permute2x128_si256::<0x20>(even, even2),
        _mm256_permute2x128_si256::<0x20>(odd, odd2),
        _mm256_permute2x128_si256::<0x31>(even, even2),
        _mm256_permute2x128_si256::<0x31>(odd, odd2),
    ]
}
