//! SHA-1 (FIPS 180-4) by the CPU's instructions for it: four rounds take six cycles, and others' begin every second one.

use std::arch::x86_64::*;

use super::four::{Hash, LANES, Lane, Words};
use super::sha1::INITIAL;
use super::transpose::bytes;

/// A lane has, from the lowest on, d, c, b, a, and three zeros, e.
pub(super) struct Sha1;

impl Hash for Sha1 {
    const DIGEST_WORDS: usize = 5;
    /// Highest byte first, and the first word in the highest place.
    const ORDER: [i32; 4] = [0x0001_0203, 0x0405_0607, 0x0809_0a0b, 0x0c0d_0e0f];

    fn initial() -> [u8; 64] {
        bytes(INITIAL.map(u32::to_ne_bytes))
    }

    #[inline(always)]
    unsafe fn begin([abcd, e]: [__m128i; 2]) -> Lane {
        // SAFETY: the caller's.
        unsafe { [_mm_shuffle_epi32::<0x1b>(abcd), _mm_slli_si128::<12>(e)] }
    }

    #[inline(always)]
    unsafe fn end([abcd, e]: Lane) -> [__m128i; 2] {
        // SAFETY: the caller's.
        unsafe { [_mm_shuffle_epi32::<0x1b>(abcd), _mm_srli_si128::<12>(e)] }
    }

    #[inline(always)]
    unsafe fn compress(lanes: &mut [Lane; LANES], mut w: Words) {
        let before = *lanes;
        // Which function and constant: of the first twenty rounds, the second, and so on. Words are made a step before
        // they are needed.
        macro_rules! four_rounds {
            ($function:literal: $($i:literal)*) => { $(
                for n in 0..LANES {
                    let ([abcd, e], w) = (lanes[n], &mut w[n]);
                    // SAFETY: the caller's.
                    unsafe {
                        // The first e is whole; later ones are an a that is not yet turned.
                        let known = match $i {
                            0 => _mm_add_epi32(e, w[0]),
                            _ => _mm_sha1nexte_epu32(e, w[$i % 4]),
                        };
                        lanes[n] = [_mm_sha1rnds4_epu32::<$function>(abcd, known), abcd];
                        if 3 <= $i && $i < 19 {
                            let early = _mm_sha1msg1_epu32(w[($i + 1) % 4], w[($i + 2) % 4]);
                            let early = _mm_xor_si128(early, w[($i + 3) % 4]);
                            w[($i + 1) % 4] = _mm_sha1msg2_epu32(early, w[$i % 4]);
                        }
                    }
                }
            )* };
        }
        four_rounds!(0: 0 1 2 3 4);
        four_rounds!(1: 5 6 7 8 9);
        four_rounds!(2: 10 11 12 13 14);
        four_rounds!(3: 15 16 17 18 19);
        for n in 0..LANES {
            // SAFETY: the caller's.
            unsafe {
                lanes[n][0] = _mm_add_epi32(lanes[n][0], before[n][0]);
                lanes[n][1] = _mm_sha1nexte_epu32(lanes[n][1], before[n][1]);
            }
        }
    }
}
