//! SHA-256 (FIPS 180-4) in 8 or 16 lanes.

use std::marker::PhantomData;

use super::State;
use super::lanes::Algorithm;
use super::rows::{Blocks, Compress, Outer};
use super::transpose::bytes;
use super::words::Words;

/// Words of the state.
const ROWS: usize = 8;

/// The first bits of the cube roots of the first 64 primes.
#[rustfmt::skip]
pub(super) const K: [u32; 64] = [
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
pub(super) const SHA256: [u32; 8] = [
    0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a,
    0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19,
];

pub(super) struct Sha256<V>(PhantomData<V>);

impl<V: Words> Algorithm for Sha256<V> {
    const WORD: usize = 4;
    const LANES: usize = V::LANES;
    const GROUPS: usize = 1;
    const TOGETHER: bool = true;
    const BLOCK: usize = 64;
    const DIGEST_WORDS: usize = 8;
    const BIG_ENDIAN: bool = true;

    fn worth() -> usize {
        6
    }

    fn initial() -> [u8; 64] {
        bytes(SHA256.map(u32::to_ne_bytes))
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

/// FIPS 180-4 section 4.1.2: three rotations, added without carry.
macro_rules! turned {
    ($x:expr, $a:literal $b:literal $c:literal) => {{
        let x = $x;
        x.right::<$a>().ternary::<0x96>(x.right::<$b>(), x.right::<$c>())
    }};
}

/// Two rotations and a shift.
macro_rules! shifted {
    ($x:expr, $a:literal $b:literal, $shift:literal) => {{
        let x = $x;
        x.right::<$a>().ternary::<0x96>(x.right::<$b>(), x.shifted::<$shift>())
    }};
}

#[inline(always)]
fn compress<V: Words>(rows: &mut [V; ROWS], w: &mut [V; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *rows;
    macro_rules! round {
        ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $k:expr, $w:expr) => {
            let known = $h.add($w.add(V::all(K[$k])));
            let t = known.add($e.ternary::<0xca>($f, $g)).add(turned!($e, 6 11 25));
            $d = $d.add(t);
            $h = t.add($a.ternary::<0xe8>($b, $c)).add(turned!($a, 2 13 22));
        };
    }
    for k in (0..K.len()).step_by(16) {
        if k > 0 {
            for n in 0..16 {
                let late = shifted!(w[(n + 14) & 15], 17 19, 10);
                let early = shifted!(w[(n + 1) & 15], 7 18, 3);
                w[n] = w[n].add(w[(n + 9) & 15]).add(early.add(late));
            }
        }
        for n in [0, 8] {
            round!(a b c d e f g h, k + n, w[n]);
            round!(h a b c d e f g, k + n + 1, w[n + 1]);
            round!(g h a b c d e f, k + n + 2, w[n + 2]);
            round!(f g h a b c d e, k + n + 3, w[n + 3]);
            round!(e f g h a b c d, k + n + 4, w[n + 4]);
            round!(d e f g h a b c, k + n + 5, w[n + 5]);
            round!(c d e f g h a b, k + n + 6, w[n + 6]);
            round!(b c d e f g h a, k + n + 7, w[n + 7]);
        }
    }
    let [p, q, r, s, t, u, v, x] = *rows;
    *rows = [p.add(a), q.add(b), r.add(c), s.add(d), t.add(e), u.add(f), v.add(g), x.add(h)];
}
