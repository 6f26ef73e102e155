//! SHA-1 (FIPS 180-4) in 8 or 16 lanes.

use std::marker::PhantomData;

use super::State;
use super::lanes::Algorithm;
use super::rows::{Blocks, Compress, Outer};
use super::transpose::bytes;
use super::words::Words;

/// Words of the state.
const ROWS: usize = 5;

/// The state before the first block.
pub(super) const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

pub(super) struct Sha1<V>(PhantomData<V>);

impl<V: Words> Algorithm for Sha1<V> {
    const WORD: usize = 4;
    const LANES: usize = V::LANES;
    const GROUPS: usize = 1;
    const TOGETHER: bool = true;
    const BLOCK: usize = 64;
    const DIGEST_WORDS: usize = 5;
    const BIG_ENDIAN: bool = true;

    fn worth() -> usize {
        5
    }

    fn initial() -> [u8; 64] {
        bytes(INITIAL.map(u32::to_ne_bytes))
    }

    unsafe fn blocks(states: &mut [State], next: &mut [*const u8], steps: usize) {
        // SAFETY: the caller's.
        unsafe { V::call(Blocks { state: &mut states[0], next, steps, rounds: PhantomData::<Rounds> }) };
    }

    unsafe fn outer(states: &mut [State], keys: &[State]) {
        // SAFETY: the caller's.
        unsafe { V::call(Outer { state: &mut states[0], keys: &keys[0], rounds: PhantomData::<Rounds> }) };
    }
}

struct Rounds;

impl Compress for Rounds {
    const ROWS: usize = ROWS;

    #[inline(always)]
    fn compress<V: Words>(rows: &mut [V; 8], w: &mut [V; 16]) {
        compress(rows, w);
    }
}

#[inline(always)]
fn compress<V: Words>(rows: &mut [V; 8], w: &mut [V; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, ..] = *rows;
    // e += f(b, c, d) + k + w + a turned by 5; b is turned by 30.
    macro_rules! round {
        ($f:literal, $k:literal, $n:expr, $a:ident $b:ident $c:ident $d:ident $e:ident) => {
            let n = $n & 15;
            if $n >= 16 {
                let three = w[(n + 13) & 15].ternary::<0x96>(w[(n + 8) & 15], w[(n + 2) & 15]);
                w[n] = w[n].xor(three).left::<1>();
            }
            let known = $e.add(V::all($k)).add(w[n]);
            let choice = known.add($b.ternary::<$f>($c, $d));
            $e = choice.add($a.left::<5>());
            $b = $b.left::<30>();
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
        *row = row.add(new);
    }
}
