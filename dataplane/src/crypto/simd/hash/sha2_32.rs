//! SHA-256 (FIPS 180-4) in 16 lanes.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32 as add, _mm512_ror_epi32 as turn, _mm512_set1_epi32 as all,
    _mm512_srli_epi32 as shift, _mm512_ternarylogic_epi32 as ternary,
};

use super::State;
use super::lanes::Algorithm;
use super::sha2::{compress, round, shifted, turned};
use super::transpose::{bytes, load, store, words32};

type Signed = i32;

// FIPS 180-4 section 4.1.2.
const BIG_0: [i32; 3] = [2, 13, 22];
const BIG_1: [i32; 3] = [6, 11, 25];
const SMALL_0: [i32; 2] = [7, 18];
const SHIFT_0: u32 = 3;
const SMALL_1: [i32; 2] = [17, 19];
const SHIFT_1: u32 = 10;

/// The first bits of the cube roots of the first 64 primes.
#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1,
    0x923f_82a4, 0xab1c_5ed5, 0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3,
    0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174, 0xe49b_69c1, 0xefbe_4786,
    0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147,
    0x06ca_6351, 0x1429_2967, 0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13,
    0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85, 0xa2bf_e8a1, 0xa81a_664b,
    0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a,
    0x5b9c_ca4f, 0x682e_6ff3, 0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208,
    0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// The first bits of the square roots of the first eight primes.
#[rustfmt::skip]
const SHA256: [u32; 8] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
];

pub(super) struct Sha256;

impl Algorithm for Sha256 {
    const WORD: usize = 4;
    const GROUPS: usize = 1;
    const BLOCK: usize = 64;
    const DIGEST_WORDS: usize = 8;
    const BIG_ENDIAN: bool = true;
    const WORTH: usize = 6;

    fn initial() -> [u8; 64] {
        bytes(SHA256.map(u32::to_ne_bytes))
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
    let mut rows = load::<8>(state);
    for _ in 0..steps {
        // SAFETY: the caller's.
        let mut w = unsafe { words32(next, true) };
        compress(&mut rows, &mut w);
    }
    store(state, &rows);
}

compress!();
