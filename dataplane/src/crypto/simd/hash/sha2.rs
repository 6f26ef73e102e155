//! SHA-2's compression (FIPS 180-4 section 6), which is one for words of 32 and of 64 bits: `compress!` writes the
//! function where a module has given names to its intrinsics (`add`, `ternary`, `turn`, `shift`, `all`, `Signed`) and to
//! its constants (`K`, `BIG_0`, `BIG_1`, `SMALL_0`, `SMALL_1`, as section 4.1 names the functions).

/// Three rotations, added without carry.
macro_rules! turned {
    ($x:expr, $by:ident) => {{
        let x = $x;
        ternary::<0x96>(turn::<{ $by[0] }>(x), turn::<{ $by[1] }>(x), turn::<{ $by[2] }>(x))
    }};
}

/// Two rotations and a shift, added without carry.
macro_rules! shifted {
    ($x:expr, $by:ident, $shift:ident) => {{
        let x = $x;
        ternary::<0x96>(turn::<{ $by[0] }>(x), turn::<{ $by[1] }>(x), shift::<$shift>(x))
    }};
}

macro_rules! round {
    ($a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident, $k:expr, $w:expr) => {
        let known = add($h, add($w, all(K[$k] as Signed)));
        let choice = ternary::<0xca>($e, $f, $g);
        let t = add(add(known, choice), turned!($e, BIG_1));
        $d = add($d, t);
        let majority = ternary::<0xe8>($a, $b, $c);
        $h = add(add(t, majority), turned!($a, BIG_0));
    };
}

macro_rules! compress {
    ($register:ty, $features:literal) => {
        #[inline]
        #[target_feature(enable = $features)]
        fn compress(rows: &mut [$register; 8], w: &mut [$register; 16]) {
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *rows;
            for k in (0..K.len()).step_by(16) {
                if k > 0 {
                    for n in 0..16 {
                        let late = shifted!(w[(n + 14) & 15], SMALL_1, SHIFT_1);
                        let early = shifted!(w[(n + 1) & 15], SMALL_0, SHIFT_0);
                        w[n] = add(add(w[n], w[(n + 9) & 15]), add(early, late));
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
            for (row, new) in rows.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                *row = add(*row, new);
            }
        }
    };
}

pub(super) use {compress, round, shifted, turned};
