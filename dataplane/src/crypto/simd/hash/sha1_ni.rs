//! SHA-1 (FIPS 180-4) by the CPU's instructions for it: four rounds take six cycles, and others' begin every second one.

use std::arch::asm;
use std::arch::x86_64::*;

use super::four::{Hash, LANES, Lane, Words, place};
use super::sha1::INITIAL;
use super::transpose::bytes;

/// Four rounds of each lane with the words `w`. With the number of the step, and all words of that and the three before: `w`
/// becomes those of the next step, which need no other, and takes the place of the oldest. Two lanes at a time.
macro_rules! four_rounds {
    ($known:literal, $function:literal, $lanes:ident, $w:ident $(, $all:ident $base:literal, $step:literal)?) => {
        four_rounds!(0, 1: $known, $function, $lanes, $w $(, $all $base, $step)?);
        four_rounds!(2, 3: $known, $function, $lanes, $w $(, $all $base, $step)?);
    };
    ($n:literal, $m:literal: $known:literal, $function:literal, $lanes:ident, $w:ident $(, $all:ident $base:literal, $step:literal)?) => {
        let ([mut a, e], [mut b, f]) = ($lanes[$n], $lanes[$m]);
        let (next_e, next_f);
        asm!(
            concat!($known, " {e}, {v}"),
            concat!($known, " {f}, {w}"),
            "movdqa {next_e}, {a}",
            "movdqa {next_f}, {b}",
            "sha1rnds4 {a}, {e}, {function}",
            "sha1rnds4 {b}, {f}, {function}",
            $(
                concat!("movdqa {e}, [", $base, " + {first}]"),
                concat!("movdqa {f}, [", $base, " + {first} + 16]"),
                concat!("sha1msg1 {e}, [", $base, " + {second}]"),
                concat!("sha1msg1 {f}, [", $base, " + {second} + 16]"),
                concat!("pxor {e}, [", $base, " + {third}]"),
                concat!("pxor {f}, [", $base, " + {third} + 16]"),
                "sha1msg2 {e}, {v}",
                "sha1msg2 {f}, {w}",
                concat!("movdqa [", $base, " + {first}], {e}"),
                concat!("movdqa [", $base, " + {first} + 16], {f}"),
            )?
            $(
                // The base, with which instructions are a byte or two shorter than with some others.
                in("rax") $all,
                first = const place($n, $step + 1),
                second = const place($n, $step + 2),
                third = const place($n, $step + 3),
            )?
            function = const $function,
            a = inout(xmm_reg) a,
            b = inout(xmm_reg) b,
            e = inout(xmm_reg) e => $w[$n],
            f = inout(xmm_reg) f => $w[$m],
            v = in(xmm_reg) $w[$n],
            w = in(xmm_reg) $w[$m],
            next_e = out(xmm_reg) next_e,
            next_f = out(xmm_reg) next_f,
            options(nostack, preserves_flags),
        );
        ($lanes[$n], $lanes[$m]) = ([a, next_e], [b, next_f]);
    };
}

/// Steps of one function after which there are more.
macro_rules! many_rounds {
    ($lanes:ident, $w:ident, $all:ident, $function:literal: $($step:literal)*) => {
        $( four_rounds!("sha1nexte", $function, $lanes, $w, $all "rax", $step); )*
    };
}

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
    unsafe fn words(lane: Lane) -> [__m128i; 2] {
        lane
    }

    #[inline(always)]
    #[allow(unused_assignments, reason = "what a step leaves to the next, which may read others")]
    unsafe fn compress(lanes: &mut [Lane; LANES], at: &[*const u8; LANES], order: __m128i) {
        let (before, mut words) = (*lanes, Words::new());
        // SAFETY: the caller's; the words that were taken.
        unsafe {
            let mut w = words.take(0, at, order);
            // The first e is whole; later ones are an a that is not yet turned.
            four_rounds!("paddd", 0, lanes, w);
            w = words.take(1, at, order);
            four_rounds!("sha1nexte", 0, lanes, w);
            w = words.take(2, at, order);
            four_rounds!("sha1nexte", 0, lanes, w);
            w = words.take(3, at, order);
            let all = words.middle();
            // Which function and constant: of the first twenty rounds, the second, and so on.
            many_rounds!(lanes, w, all, 0: 3 4);
            many_rounds!(lanes, w, all, 1: 5 6 7 8 9);
            many_rounds!(lanes, w, all, 2: 10 11 12 13 14);
            many_rounds!(lanes, w, all, 3: 15 16 17 18);
            four_rounds!("sha1nexte", 3, lanes, w);
            for n in 0..LANES {
                lanes[n][0] = _mm_add_epi32(lanes[n][0], before[n][0]);
                lanes[n][1] = _mm_sha1nexte_epu32(lanes[n][1], before[n][1]);
            }
        }
    }
}
