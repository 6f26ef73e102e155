//! SHA-256 (FIPS 180-4) by the CPU's instructions for it: an instruction takes four cycles, and one begins in each.

use std::arch::x86_64::*;

use super::four::{Hash, LANES, Lane, Words};
use super::sha2_32::{K, SHA256};
use super::transpose::bytes;

/// A lane has, from the lowest on, f, e, b, a, and h, g, d, c.
pub(super) struct Sha256;

impl Hash for Sha256 {
    const DIGEST_WORDS: usize = 8;
    /// Highest byte first.
    const ORDER: [i32; 4] = [0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203];

    fn initial() -> [u8; 64] {
        bytes(SHA256.map(u32::to_ne_bytes))
    }

    #[inline(always)]
    unsafe fn begin([abcd, efgh]: [__m128i; 2]) -> Lane {
        // SAFETY: the caller's.
        unsafe {
            let (badc, fehg) = (_mm_shuffle_epi32::<0xb1>(abcd), _mm_shuffle_epi32::<0xb1>(efgh));
            [_mm_unpacklo_epi64(fehg, badc), _mm_unpackhi_epi64(fehg, badc)]
        }
    }

    #[inline(always)]
    unsafe fn end([feba, hgdc]: Lane) -> [__m128i; 2] {
        // SAFETY: the caller's.
        unsafe {
            let (badc, fehg) = (_mm_unpackhi_epi64(feba, hgdc), _mm_unpacklo_epi64(feba, hgdc));
            [_mm_shuffle_epi32::<0xb1>(badc), _mm_shuffle_epi32::<0xb1>(fehg)]
        }
    }

    #[inline(always)]
    unsafe fn compress(lanes: &mut [Lane; LANES], mut w: Words) {
        let before = *lanes;
        macro_rules! four_rounds {
            ($($i:literal)*) => { $(
                for n in 0..LANES {
                    let ([abef, cdgh], w) = (lanes[n], &mut w[n]);
                    // SAFETY: the caller's; four words of K.
                    unsafe {
                        if $i >= 4 {
                            let (late, last) = (w[($i + 2) % 4], w[($i + 3) % 4]);
                            let early = _mm_sha256msg1_epu32(w[$i % 4], w[($i + 1) % 4]);
                            let early = _mm_add_epi32(early, _mm_alignr_epi8::<4>(last, late));
                            w[$i % 4] = _mm_sha256msg2_epu32(early, last);
                        }
                        let known = _mm_add_epi32(w[$i % 4], _mm_loadu_si128(K.as_ptr().add(4 * $i).cast()));
                        let later = _mm_shuffle_epi32::<0x0e>(known);
                        let efab = _mm_sha256rnds2_epu32(cdgh, abef, known);
                        lanes[n] = [_mm_sha256rnds2_epu32(abef, efab, later), efab];
                    }
                }
            )* };
        }
        four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for n in 0..LANES {
            for half in 0..2 {
                // SAFETY: the caller's.
                lanes[n][half] = unsafe { _mm_add_epi32(lanes[n][half], before[n][half]) };
            }
        }
    }
}
