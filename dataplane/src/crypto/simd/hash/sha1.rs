//! SHA-1 (FIPS 180-4) in 16 lanes.

use std::arch::x86_64::*;

use super::State;
use super::lanes::Algorithm;
use super::transpose::{bytes, load, store, words32};

pub(super) struct Sha1;

impl Algorithm for Sha1 {
    const WORD: usize = 4;
    const GROUPS: usize = 1;
    const BLOCK: usize = 64;
    const DIGEST_WORDS: usize = 5;
    const BIG_ENDIAN: bool = true;
    const WORTH: usize = 5;

    fn initial() -> [u8; 64] {
        let words = [0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        bytes(words.map(u32::to_ne_bytes))
    }

    unsafe fn blocks(states: &mut [State], next: &mut [*const u8], steps: usize) {
        if let ([state, ..], Ok(next)) = (states, next.try_into()) {
            // SAFETY: the caller's.
            unsafe { blocks(state, next, steps) };
        }
    }
}

/// Hash `steps` blocks of each lane.
///
/// # Safety
/// Each pointer has `steps` blocks to be read.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn blocks(state: &mut State, next: &mut [*const u8; 16], steps: usize) {
    let mut rows = load::<5>(state);
    for _ in 0..steps {
        // SAFETY: the caller's.
        let mut w = unsafe { words32(next, true) };
        compress(&mut rows, &mut w);
    }
    store(state, &rows);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn compress(rows: &mut [__m512i; 5], w: &mut [__m512i; 16]) {
    let [mut a, mut b, mut c, mut d, mut e] = *rows;
    // e += f(b, c, d) + k + w + a turned by 5; b is turned by 30.
    macro_rules! round {
        ($f:literal, $k:literal, $n:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
            let n = $n & 15;
            if $n >= 16 {
                let three =
                    _mm512_ternarylogic_epi32::<0x96>(w[(n + 13) & 15], w[(n + 8) & 15], w[(n + 2) & 15]);
                w[n] = _mm512_rol_epi32::<1>(_mm512_xor_si512(w[n], three));
            }
            let known = _mm512_add_epi32(_mm512_add_epi32($e, _mm512_set1_epi32($k as i32)), w[n]);
            let choice = _mm512_add_epi32(known, _mm512_ternarylogic_epi32::<$f>($b, $c, $d));
            $e = _mm512_add_epi32(choice, _mm512_rol_epi32::<5>($a));
            $b = _mm512_rol_epi32::<30>($b);
        };
    }
    macro_rules! five {
        ($f:literal, $k:literal, $n:expr) => {
            round!($f, $k, $n, a b c d e);
            round!($f, $k, $n + 1, e a b c d);
            round!($f, $k, $n + 2, d e a b c);
            round!($f, $k, $n + 3, c d e a b);
            round!($f, $k, $n + 4, b c d e a);
        };
    }
    macro_rules! twenty {
        ($f:literal, $k:literal, $n:literal) => {
            five!($f, $k, $n);
            five!($f, $k, $n + 5);
            five!($f, $k, $n + 10);
            five!($f, $k, $n + 15);
        };
    }
    twenty!(0xca, 0x5a82_7999u32, 0usize);
    twenty!(0x96, 0x6ed9_eba1u32, 20usize);
    twenty!(0xe8, 0x8f1b_bcdcu32, 40usize);
    twenty!(0x96, 0xca62_c1d6u32, 60usize);
    for (row, new) in rows.iter_mut().zip([a, b, c, d, e]) {
        *row = _mm512_add_epi32(*row, new);
    }
}
