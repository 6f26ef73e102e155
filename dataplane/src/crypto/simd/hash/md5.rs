//! MD5 (RFC 1321) in 8 or 16 lanes, two registers of them at once: a step waits for the one before, and two chains fill the
//! wait.

use std::marker::PhantomData;

use super::State;
use super::lanes::Algorithm;
use super::rows::{load, store};
use super::transpose::bytes;
use super::words::{Body, Words};

pub(super) struct Md5<V>(PhantomData<V>);

/// floor(2^32 |sin(i + 1)|).
#[rustfmt::skip]
const K: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a,
    0xa830_4613, 0xfd46_9501, 0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be,
    0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821, 0xf61e_2562, 0xc040_b340,
    0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8,
    0x676f_02d9, 0x8d2a_4c8a, 0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c,
    0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70, 0x289b_7ec6, 0xeaa1_27fa,
    0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92,
    0xffef_f47d, 0x8584_5dd1, 0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1,
    0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

impl<V: Words> Algorithm for Md5<V> {
    const WORD: usize = 4;
    const LANES: usize = V::LANES;
    const GROUPS: usize = 2;
    const TOGETHER: bool = true;
    const BLOCK: usize = 64;
    const DIGEST_WORDS: usize = 4;
    const BIG_ENDIAN: bool = false;

    fn worth() -> usize {
        2
    }

    fn initial() -> [u8; 64] {
        bytes([0x6745_2301u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476].map(u32::to_ne_bytes))
    }

    unsafe fn blocks(states: &mut [State], next: &mut [*const u8], steps: usize) {
        // SAFETY: the caller's.
        unsafe {
            match next.len() > V::LANES {
                true => V::call(Blocks::<'_, 2> { states, next, steps }),
                false => V::call(Blocks::<'_, 1> { states, next, steps }),
            }
        }
    }

    unsafe fn outer(states: &mut [State], keys: &[State]) {
        // SAFETY: the caller's.
        unsafe { V::call(Outer { states, keys }) };
    }
}

/// The digests in all lanes of both registers become those of HMAC's outer hash.
struct Outer<'a> {
    states: &'a mut [State],
    /// The states behind the outer keys' blocks.
    keys: &'a [State],
}

impl Body for Outer<'_> {
    #[inline(always)]
    unsafe fn run<V: Words>(self) {
        let Self { states, keys } = self;
        let zero = V::all(0);
        let (mut state, mut w) = ([[zero; 4]; 2], [[zero; 16]; 2]);
        for g in 0..2 {
            let (inner, key) = (load::<V>(&states[g], 4), load::<V>(&keys[g], 4));
            w[g][..4].copy_from_slice(&inner[..4]);
            w[g][4] = V::all(0x80);
            w[g][14] = V::all(8 * (64 + 16));
            state[g].copy_from_slice(&key[..4]);
        }
        compress(&mut state, &w);
        for g in 0..2 {
            let mut rows = [zero; 8];
            rows[..4].copy_from_slice(&state[g]);
            store(&rows, &mut states[g], 4);
        }
    }
}

/// Hash `steps` blocks of each lane of `G` registers.
struct Blocks<'a, const G: usize> {
    states: &'a mut [State],
    next: &'a mut [*const u8],
    steps: usize,
}

impl<const G: usize> Body for Blocks<'_, G> {
    #[inline(always)]
    unsafe fn run<V: Words>(self) {
        let Self { states, next, steps } = self;
        let zero = V::all(0);
        let mut state = [[zero; 4]; G];
        for g in 0..G {
            for n in 0..4 {
                // SAFETY: a row of a state.
                state[g][n] = unsafe { V::load(states[g].0[n].as_ptr()) };
            }
        }
        for _ in 0..steps {
            let mut w = [[zero; 16]; G];
            for g in 0..G {
                // SAFETY: the caller's: each pointer has `steps` blocks to be read.
                w[g] = unsafe { V::blocks(&mut next[g * V::LANES..(g + 1) * V::LANES], false) };
            }
            compress(&mut state, &w);
        }
        for g in 0..G {
            for n in 0..4 {
                // SAFETY: a row of a state.
                unsafe { state[g][n].store(states[g].0[n].as_mut_ptr()) };
            }
        }
    }
}

#[inline(always)]
#[rustfmt::skip]
#[allow(clippy::too_many_lines, reason = "64 steps, each its own")]
fn compress<V: Words, const G: usize>(state: &mut [[V; 4]; G], w: &[[V; 16]; G]) {
    let zero = [V::all(0); G];
    let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
    for g in 0..G {
        [a[g], b[g], c[g], d[g]] = state[g];
    }
    // a = b + rotated(a + f(x, y, z) + w + k)
    macro_rules! step {
        ($f:literal, $a:ident $b:ident, $x:ident $y:ident $z:ident, $w:literal, $turn:literal, $k:literal) => {
            for g in 0..G {
                let f = $x[g].ternary::<$f>($y[g], $z[g]);
                let known = V::all(K[$k]).add(w[g][$w]);
                let sum = $a[g].add(known).add(f);
                $a[g] = $b[g].add(sum.left::<$turn>());
            }
        };
    }
    step!(0xca, a b, b c d,  0,  7,  0);
    step!(0xca, d a, a b c,  1, 12,  1);
    step!(0xca, c d, d a b,  2, 17,  2);
    step!(0xca, b c, c d a,  3, 22,  3);
    step!(0xca, a b, b c d,  4,  7,  4);
    step!(0xca, d a, a b c,  5, 12,  5);
    step!(0xca, c d, d a b,  6, 17,  6);
    step!(0xca, b c, c d a,  7, 22,  7);
    step!(0xca, a b, b c d,  8,  7,  8);
    step!(0xca, d a, a b c,  9, 12,  9);
    step!(0xca, c d, d a b, 10, 17, 10);
    step!(0xca, b c, c d a, 11, 22, 11);
    step!(0xca, a b, b c d, 12,  7, 12);
    step!(0xca, d a, a b c, 13, 12, 13);
    step!(0xca, c d, d a b, 14, 17, 14);
    step!(0xca, b c, c d a, 15, 22, 15);
    step!(0xca, a b, d b c,  1,  5, 16);
    step!(0xca, d a, c a b,  6,  9, 17);
    step!(0xca, c d, b d a, 11, 14, 18);
    step!(0xca, b c, a c d,  0, 20, 19);
    step!(0xca, a b, d b c,  5,  5, 20);
    step!(0xca, d a, c a b, 10,  9, 21);
    step!(0xca, c d, b d a, 15, 14, 22);
    step!(0xca, b c, a c d,  4, 20, 23);
    step!(0xca, a b, d b c,  9,  5, 24);
    step!(0xca, d a, c a b, 14,  9, 25);
    step!(0xca, c d, b d a,  3, 14, 26);
    step!(0xca, b c, a c d,  8, 20, 27);
    step!(0xca, a b, d b c, 13,  5, 28);
    step!(0xca, d a, c a b,  2,  9, 29);
    step!(0xca, c d, b d a,  7, 14, 30);
    step!(0xca, b c, a c d, 12, 20, 31);
    step!(0x96, a b, b c d,  5,  4, 32);
    step!(0x96, d a, a b c,  8, 11, 33);
    step!(0x96, c d, d a b, 11, 16, 34);
    step!(0x96, b c, c d a, 14, 23, 35);
    step!(0x96, a b, b c d,  1,  4, 36);
    step!(0x96, d a, a b c,  4, 11, 37);
    step!(0x96, c d, d a b,  7, 16, 38);
    step!(0x96, b c, c d a, 10, 23, 39);
    step!(0x96, a b, b c d, 13,  4, 40);
    step!(0x96, d a, a b c,  0, 11, 41);
    step!(0x96, c d, d a b,  3, 16, 42);
    step!(0x96, b c, c d a,  6, 23, 43);
    step!(0x96, a b, b c d,  9,  4, 44);
    step!(0x96, d a, a b c, 12, 11, 45);
    step!(0x96, c d, d a b, 15, 16, 46);
    step!(0x96, b c, c d a,  2, 23, 47);
    step!(0x39, a b, b c d,  0,  6, 48);
    step!(0x39, d a, a b c,  7, 10, 49);
    step!(0x39, c d, d a b, 14, 15, 50);
    step!(0x39, b c, c d a,  5, 21, 51);
    step!(0x39, a b, b c d, 12,  6, 52);
    step!(0x39, d a, a b c,  3, 10, 53);
    step!(0x39, c d, d a b, 10, 15, 54);
    step!(0x39, b c, c d a,  1, 21, 55);
    step!(0x39, a b, b c d,  8,  6, 56);
    step!(0x39, d a, a b c, 15, 10, 57);
    step!(0x39, c d, d a b,  6, 15, 58);
    step!(0x39, b c, c d a, 13, 21, 59);
    step!(0x39, a b, b c d,  4,  6, 60);
    step!(0x39, d a, a b c, 11, 10, 61);
    step!(0x39, c d, d a b,  2, 15, 62);
    step!(0x39, b c, c d a,  9, 21, 63);
    for g in 0..G {
        let [p, q, r, s] = state[g];
        state[g] = [p.add(a[g]), q.add(b[g]), r.add(c[g]), s.add(d[g])];
    }
}
