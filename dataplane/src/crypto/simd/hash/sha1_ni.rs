//! SHA-1 (FIPS 180-4) by the CPU's instructions for it, four messages abreast: four rounds take six cycles, and others'
//! begin every second one.

use std::arch::x86_64::*;

use super::State;
use super::four::{AS_IT_IS, LANES, four_by_four, transposed};
use super::lanes::Algorithm;
use super::sha1::INITIAL;
use super::transpose::bytes;

pub(super) struct Sha1Ni;

impl Algorithm for Sha1Ni {
    const WORD: usize = 4;
    const LANES: usize = LANES;
    const GROUPS: usize = 1;
    const OUTER: bool = true;
    const BLOCK: usize = 64;
    const DIGEST_WORDS: usize = 5;
    const BIG_ENDIAN: bool = true;

    fn worth() -> usize {
        2
    }

    fn initial() -> [u8; 64] {
        bytes(INITIAL.map(u32::to_ne_bytes))
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

/// A lane: the words of its state as the instructions want them, from the lowest on d, c, b, a and three zeros, e.
#[derive(Clone, Copy)]
struct Lane {
    abcd: __m128i,
    e: __m128i,
}

/// Hash `steps` blocks of each lane.
///
/// # Safety
/// Each pointer has `steps` blocks to be read.
#[target_feature(enable = "avx2,sha")]
unsafe fn blocks(state: &mut State, next: &mut [*const u8; LANES], steps: usize) {
    // Highest byte first, and the first word in the highest place.
    let order = _mm_set_epi32(0x0001_0203, 0x0405_0607, 0x0809_0a0b, 0x0c0d_0e0f);
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
    // Words as they are, the padding behind five of them, and the bits of a block and a digest.
    let mut texts = [[0u32; 16]; LANES];
    for (text, Lane { abcd, e }) in texts.iter_mut().zip(load(state)) {
        let at = text.as_mut_ptr().cast::<__m128i>();
        // SAFETY: 64 bytes.
        unsafe {
            _mm_storeu_si128(at, abcd);
            _mm_storeu_si128(at.add(1), _mm_or_si128(e, _mm_set_epi32(0, i32::MIN, 0, 0)));
            _mm_storeu_si128(at.add(3), _mm_set_epi32(0, 0, 0, 8 * (64 + 20)));
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
    // Which function and constant: of the first twenty rounds, the second, and so on.
    macro_rules! four_rounds {
        ($function:literal: $($i:literal)*) => { $(
            for n in 0..LANES {
                let (Lane { abcd, e }, w) = (&mut lanes[n], &mut w[n]);
                if $i < 4 {
                    // SAFETY: the caller's.
                    w[$i % 4] = _mm_shuffle_epi8(unsafe { _mm_loadu_si128(at[n].add(16 * $i).cast()) }, order);
                } else {
                    let early = _mm_sha1msg1_epu32(w[$i % 4], w[($i + 1) % 4]);
                    w[$i % 4] = _mm_sha1msg2_epu32(_mm_xor_si128(early, w[($i + 2) % 4]), w[($i + 3) % 4]);
                }
                // The first e is whole; later ones are an a that is not yet turned.
                let known = match $i {
                    0 => _mm_add_epi32(*e, w[0]),
                    _ => _mm_sha1nexte_epu32(*e, w[$i % 4]),
                };
                *e = *abcd;
                *abcd = _mm_sha1rnds4_epu32::<$function>(*abcd, known);
            }
        )* };
    }
    four_rounds!(0: 0 1 2 3 4);
    four_rounds!(1: 5 6 7 8 9);
    four_rounds!(2: 10 11 12 13 14);
    four_rounds!(3: 15 16 17 18 19);
    for n in 0..LANES {
        lanes[n].abcd = _mm_add_epi32(lanes[n].abcd, before[n].abcd);
        lanes[n].e = _mm_sha1nexte_epu32(lanes[n].e, before[n].e);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(state: &State) -> [Lane; LANES] {
    let zero = _mm_setzero_si128();
    // SAFETY: 16 aligned bytes of 64.
    let last = unsafe { _mm_load_si128(state.0[4].as_ptr().cast()) };
    let (abcd, e) = (transposed(state, [3, 2, 1, 0]), four_by_four(&[zero, zero, zero, last]));
    let mut lanes = [Lane { abcd: zero, e: zero }; LANES];
    for n in 0..LANES {
        lanes[n] = Lane { abcd: abcd[n], e: e[n] };
    }
    lanes
}

/// The way back.
#[inline]
#[target_feature(enable = "avx2")]
fn store(state: &mut State, lanes: &[Lane; LANES]) {
    let (mut abcd, mut e) = ([_mm_setzero_si128(); 4], [_mm_setzero_si128(); 4]);
    for n in 0..LANES {
        (abcd[n], e[n]) = (lanes[n].abcd, lanes[n].e);
    }
    let [d, c, b, a] = four_by_four(&abcd);
    let [.., e] = four_by_four(&e);
    for (row, word) in state.0.iter_mut().zip([a, b, c, d, e]) {
        // SAFETY: 16 aligned bytes of 64.
        unsafe { _mm_store_si128(row.as_mut_ptr().cast(), word) };
    }
}
