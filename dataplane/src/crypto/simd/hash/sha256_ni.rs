//! SHA-256 (FIPS 180-4) by the CPU's instructions for it: an instruction takes four cycles, and one begins in each.

use std::arch::asm;
use std::arch::x86_64::*;

use super::four::{Hash, LANES, Lane, Words, place};
use super::sha2_32::{K, SHA256};
use super::transpose::bytes;

/// Four rounds of a lane with the words of a step, which are in a register; the instructions before that make them.
macro_rules! four_rounds {
    ($step:literal, $lane:expr, $w:ident $(, $make:literal)* ; $($operands:tt)*) => {
        let [mut abef, mut cdgh] = $lane;
        asm!(
            $($make,)*
            "movdqu xmm0, [rcx + {known}]",
            concat!("paddd xmm0, {", stringify!($w), "}"),
            "sha256rnds2 {cdgh}, {abef}, xmm0",
            "punpckhqdq xmm0, xmm0",
            "sha256rnds2 {abef}, {cdgh}, xmm0",
            // The middle, likewise.
            in("rcx") K.as_ptr().add(32),
            known = const 16 * $step - 128,
            abef = inout(xmm_reg) abef,
            cdgh = inout(xmm_reg) cdgh,
            out("xmm0") _,
            $($operands)*
            options(nostack, preserves_flags),
        );
        $lane = [abef, cdgh];
    };
}

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
    unsafe fn words(lane: Lane) -> [__m128i; 2] {
        // SAFETY: the caller's.
        unsafe { Self::end(lane) }
    }

    #[inline(always)]
    #[allow(unused_assignments, reason = "what a step leaves to the next, which may read others")]
    unsafe fn compress(lanes: &mut [Lane; LANES], at: &[*const u8; LANES], order: __m128i) {
        let (before, mut words) = (*lanes, Words::new());
        let mut w = [before[0][0]; LANES];
        // SAFETY: the caller's; the words that were taken.
        unsafe {
            macro_rules! steps {
                (taken $($step:literal)*) => { $(
                    w = words.take($step, at, order);
                    for n in 0..LANES {
                        four_rounds!($step, lanes[n], w; w = in(xmm_reg) w[n],);
                    }
                )* };
                // Made of the words of the four steps before, the last of which are in a register; in the place of the first.
                ($all:ident $($step:literal)*) => { $(
                    steps!($all $step, lane 0);
                    steps!($all $step, lane 1);
                    steps!($all $step, lane 2);
                    steps!($all $step, lane 3);
                )* };
                ($all:ident $step:literal, lane $n:literal) => {
                    four_rounds!(
                        $step,
                        lanes[$n],
                        new,
                        "movdqa {new}, [rax + {first}]",
                        "sha256msg1 {new}, [rax + {second}]",
                        "movdqa xmm0, {w}",
                        "palignr xmm0, [rax + {third}], 4",
                        "paddd {new}, xmm0",
                        "sha256msg2 {new}, {w}",
                        "movdqa [rax + {first}], {new}";
                        in("rax") $all,
                        first = const place($n, $step),
                        second = const place($n, $step + 1),
                        third = const place($n, $step + 2),
                        w = in(xmm_reg) w[$n],
                        new = out(xmm_reg) w[$n],
                    );
                };
            }
            steps!(taken 0 1 2 3);
            let all = words.middle();
            steps!(all 4 5 6 7 8 9 10 11 12 13 14 15);
            for n in 0..LANES {
                for half in 0..2 {
                    lanes[n][half] = _mm_add_epi32(lanes[n][half], before[n][half]);
                }
            }
        }
    }
}
