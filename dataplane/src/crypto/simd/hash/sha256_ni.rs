//! SHA-256 (FIPS 180-4) by the CPU's instructions for it, four messages abreast: an instruction takes four cycles, and one
//! begins in each.

use std::arch::x86_64::*;

use super::State;
use super::four::{AS_IT_IS, LANES, four_by_four, transposed};
use super::lanes::Algorithm;
use super::sha2_32::{K, SHA256};
use super::transpose::bytes;

pub(super) struct Sha256Ni;

impl Algorithm for Sha256Ni {
    const WORD: usize = 4;
    const LANES: usize = LANES;
    const GROUPS: usize = 1;
    const OUTER: bool = true;
    const BLOCK: usize = 64;
    const DIGEST_WORDS: usize = 8;
    const BIG_ENDIAN: bool = true;

    fn worth() -> usize {
        2
    }

    fn initial() -> [u8; 64] {
        bytes(SHA256.map(u32::to_ne_bytes))
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
            unsafe { outer(state, keys) };
        }
    }
}

/// A lane: the words of its state as the instructions want them, from the lowest on f, e, b, a and h, g, d, c.
#[derive(Clone, Copy)]
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
}

/// Hash `steps` blocks of each lane.
///
/// # Safety
/// Each pointer has `steps` blocks to be read.
#[target_feature(enable = "avx2,sha")]
unsafe fn blocks(state: &mut State, next: &mut [*const u8; LANES], steps: usize) {
    // Highest byte first.
    let order = _mm_set_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
    let mut lanes = load(state);
    for _ in 0..steps {
        // SAFETY: the caller's.
        unsafe { compress(&mut lanes, next, order) };
        for next in &mut *next {
            *next = next.wrapping_add(64);
        }
    }
    store(state, &lanes);
}

/// The digests in the lanes become those of HMAC's outer hash.
#[target_feature(enable = "avx2,sha")]
fn outer(state: &mut State, keys: &State) {
    // Words as they are, the padding behind eight of them, and the bits of two blocks less half a block.
    let mut texts = [[0u32; 16]; LANES];
    let (low, high) = (transposed(state, [0, 1, 2, 3]), transposed(state, [4, 5, 6, 7]));
    for (n, text) in texts.iter_mut().enumerate() {
        let at = text.as_mut_ptr().cast::<__m128i>();
        // SAFETY: 64 bytes.
        unsafe {
            _mm_storeu_si128(at, low[n]);
            _mm_storeu_si128(at.add(1), high[n]);
            _mm_storeu_si128(at.add(2), _mm_set_epi32(0, 0, 0, i32::MIN));
            _mm_storeu_si128(at.add(3), _mm_set_epi32(8 * (64 + 32), 0, 0, 0));
        }
    }
    // SAFETY: 16 bytes.
    let as_it_is = unsafe { _mm_loadu_si128(AS_IT_IS.as_ptr().cast()) };
    let mut lanes = load(keys);
    // SAFETY: a block each.
    unsafe { compress(&mut lanes, &texts.each_ref().map(|text| text.as_ptr().cast()), as_it_is) };
    store(state, &lanes);
}

/// A block of each lane.
///
/// # Safety
/// Each pointer has 64 bytes to be read.
#[inline]
#[target_feature(enable = "avx2,sha")]
unsafe fn compress(lanes: &mut [Lane; LANES], at: &[*const u8; LANES], order: __m128i) {
    let before = *lanes;
    // Four quarters of the last sixteen words of each lane's schedule.
    let mut w = [[_mm_setzero_si128(); 4]; LANES];
    macro_rules! four_rounds {
        ($($i:literal)*) => { $(
            // SAFETY: four words of K.
            let k = unsafe { _mm_loadu_si128(K.as_ptr().add(4 * $i).cast()) };
            for n in 0..LANES {
                let (Lane { abef, cdgh }, w) = (&mut lanes[n], &mut w[n]);
                if $i < 4 {
                    // SAFETY: the caller's.
                    w[$i % 4] = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(at[n].add(16 * $i).cast()) }, order);
                } else {
                    let (late, last) = (w[($i + 2) % 4], w[($i + 3) % 4]);
                    let early = _mm_sha256msg1_epu32(w[$i % 4], w[($i + 1) % 4]);
                    w[$i % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(early, _mm_alignr_epi8::<4>(last, late)), last);
                }
                let known = _mm_add_epi32(w[$i % 4], k);
                *cdgh = _mm_sha256rnds2_epu32(*cdgh, *abef, known);
                *abef = _mm_sha256rnds2_epu32(*abef, *cdgh, _mm_shuffle_epi32::<0x0e>(known));
            }
        )* };
    }
    four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    for n in 0..LANES {
        lanes[n].abef = _mm_add_epi32(lanes[n].abef, before[n].abef);
        lanes[n].cdgh = _mm_add_epi32(lanes[n].cdgh, before[n].cdgh);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(state: &State) -> [Lane; LANES] {
    let (abef, cdgh) = (transposed(state, [5, 4, 1, 0]), transposed(state, [7, 6, 3, 2]));
    let mut lanes = [Lane { abef: _mm_setzero_si128(), cdgh: _mm_setzero_si128() }; LANES];
    for n in 0..LANES {
        lanes[n] = Lane { abef: abef[n], cdgh: cdgh[n] };
    }
    lanes
}

/// The way back.
#[inline]
#[target_feature(enable = "avx2")]
fn store(state: &mut State, lanes: &[Lane; LANES]) {
    let (mut abef, mut cdgh) = ([_mm_setzero_si128(); 4], [_mm_setzero_si128(); 4]);
    for n in 0..LANES {
        (abef[n], cdgh[n]) = (lanes[n].abef, lanes[n].cdgh);
    }
    let rows = [([5, 4, 1, 0], four_by_four(&abef)), ([7, 6, 3, 2], four_by_four(&cdgh))];
    for (places, words) in rows {
        for (place, word) in places.into_iter().zip(words) {
            // SAFETY: 16 aligned bytes of 64.
            unsafe { _mm_store_si128(state.0[place].as_mut_ptr().cast(), word) };
        }
    }
}
