//! Where the bits of a half lie for the kernel of `shuffled`, and from that its tables, made at compile time.
//!
//! Half a block is 32 bits in four registers of bytes. Box j owns the bits 4 j to 4 j + 3, which are a nibble of register
//! j / 2 and the index of a 16-byte shuffle; the two that E adds are its neighbours' and choose between four such tables.
//! Those lie at the top of their nibbles, so that a shift of four and a doubling bring each where a blend looks for it.
//!
//! The results of two boxes fill a register's eight bits. P then is, for every position in the byte, one of the
//! permutations of four registers that a butterfly of two stages can make: `MERGED` and `LOW` are one of the choices that
//! allow it (there are 2432, found by trying all), and the order within the nibbles is searched here.

use super::tables::{expanded, sender};
use crate::crypto::des_tables::{S, round_keys};

/// Which of the four merged results a box is in.
const MERGED: [usize; 8] = [3, 3, 2, 2, 1, 1, 0, 0];
/// The box in the low nibble of each register; the other of its two is in the high one.
const LOW: [usize; 4] = [0, 2, 5, 6];

/// The butterfly of one position: whether each of its switches crosses, (0, 1) and (2, 3), then (0, 2) and (1, 3).
type Switches = [bool; 4];

const fn crossed(switches: Switches) -> [usize; 4] {
    let mut u = [0, 1, 2, 3];
    let pairs = [(0, 1), (2, 3), (0, 2), (1, 3)];
    let mut n = 0;
    while n < 4 {
        if switches[n] {
            let (a, b) = pairs[n];
            (u[a], u[b]) = (u[b], u[a]);
        }
        n += 1;
    }
    u
}

/// The switches that bring `wanted[k]` to each register k, if there are any.
const fn switches(wanted: [usize; 4]) -> Option<Switches> {
    let mut n = 0;
    while n < 16 {
        let switches = [n & 1 != 0, n & 2 != 0, n & 4 != 0, n & 8 != 0];
        let got = crossed(switches);
        if got[0] == wanted[0] && got[1] == wanted[1] && got[2] == wanted[2] && got[3] == wanted[3] {
            return Some(switches);
        }
        n += 1;
    }
    None
}

pub(super) struct Placement {
    /// `bit[k][p]`: the bit of the half at position p of register k's bytes.
    pub(super) bit: [[usize; 8]; 4],
    /// For each position.
    pub(super) switches: [Switches; 8],
}

/// The bit of box j at each place of its nibble, for one of four orders: its inner two below its outer two.
const fn nibble(j: usize, order: usize) -> [usize; 4] {
    let (inner, outer) = (order & 1, order >> 1 & 1);
    [
        expanded(j, 2 + inner),
        expanded(j, 3 - inner),
        expanded(j, if outer == 0 { 1 } else { 4 }),
        expanded(j, if outer == 0 { 4 } else { 1 }),
    ]
}

/// The orders for which P is a butterfly.
const fn place() -> Placement {
    let mut placed = Placement { bit: [[0; 8]; 4], switches: [[false; 4]; 8] };
    let mut side = 0;
    while side < 2 {
        let mut orders = 0;
        while !try_orders(&mut placed, side, orders) {
            orders += 1;
            assert!(orders < 256, "some orders make P a butterfly");
        }
        side += 1;
    }
    placed
}

/// Two bits of `orders` for each register's nibble of this side.
const fn try_orders(placed: &mut Placement, side: usize, orders: usize) -> bool {
    let mut nibbles = [[0; 4]; 4];
    let mut k = 0;
    while k < 4 {
        let j = if side == 0 { LOW[k] } else { 4 * k + 1 - LOW[k] };
        nibbles[k] = nibble(j, orders >> (2 * k) & 3);
        k += 1;
    }
    let mut p = 0;
    while p < 4 {
        let mut wanted = [0; 4];
        k = 0;
        while k < 4 {
            wanted[k] = MERGED[sender(nibbles[k][p]).0];
            placed.bit[k][4 * side + p] = nibbles[k][p];
            k += 1;
        }
        match switches(wanted) {
            Some(found) => placed.switches[4 * side + p] = found,
            None => return false,
        }
        p += 1;
    }
    true
}

pub(super) const PLACEMENT: Placement = place();

/// Register and position of a bit of the half.
pub(super) const fn position(bit: usize) -> (usize, usize) {
    let k = bit / 8;
    let mut p = 0;
    while PLACEMENT.bit[k][p] != bit {
        p += 1;
    }
    (k, p)
}

/// A box's index, and the two bits that choose its table.
#[derive(Clone, Copy)]
pub(super) struct Taps {
    /// Register, and whether the high nibble.
    pub(super) index: (usize, bool),
    /// Register and position of E's first and last bit.
    pub(super) first: (usize, usize),
    pub(super) last: (usize, usize),
    /// Which merged result it goes to.
    pub(super) merged: usize,
}

pub(super) const TAPS: [Taps; 8] = {
    let none = Taps { index: (0, false), first: (0, 0), last: (0, 0), merged: 0 };
    let mut taps = [none; 8];
    let mut j = 0;
    while j < 8 {
        taps[j] = Taps {
            index: (j / 2, LOW[j / 2] != j),
            first: position(expanded(j, 0)),
            last: position(expanded(j, 5)),
            merged: MERGED[j],
        };
        j += 1;
    }
    taps
};

/// A table of 16 for each half of a register.
#[repr(C, align(32))]
#[derive(Clone, Copy)]
pub(super) struct Nibbles(pub(super) [u8; 32]);

const fn twice(half: [u8; 16]) -> Nibbles {
    let mut table = Nibbles([0; 32]);
    let mut n = 0;
    while n < 32 {
        table.0[n] = half[n % 16];
        n += 1;
    }
    table
}

/// `BOXES[j][2 * first + last]`: box j by its nibble, its output bits at the positions where P wants them.
pub(super) static BOXES: [[Nibbles; 4]; 8] = {
    let mut boxes = [[Nibbles([0; 32]); 4]; 8];
    let mut n = 0;
    while n < 32 {
        let (j, choice) = (n / 4, n % 4);
        let mut half = [0; 16];
        let mut index = 0;
        while index < 16 {
            half[index] = result(j, choice, index);
            index += 1;
        }
        boxes[j][choice] = twice(half);
        n += 1;
    }
    boxes
};

const fn result(j: usize, choice: usize, index: usize) -> u8 {
    let (k, high) = TAPS[j].index;
    let mut six = (choice >> 1) << 5 | choice & 1;
    let mut p = 0;
    while p < 4 {
        // The t-th bit of the six is worth 2^(5 - t); the box's own are of t from 1 to 4.
        let t = PLACEMENT.bit[k][if high { 4 + p } else { p }] - 4 * j + 1;
        six |= (index >> p & 1) << (5 - t);
        p += 1;
    }
    let (row, column) = ((six >> 5) << 1 | six & 1, six >> 1 & 15);
    let value = S[j][16 * row + column];
    let (mut byte, mut bit) = (0, 0);
    while bit < 32 {
        let (from, output) = sender(bit);
        if from == j {
            byte |= (value >> (3 - output) & 1) << position(bit).1;
        }
        bit += 1;
    }
    byte
}

/// The positions at which each switch crosses.
pub(super) const CROSSES: [u8; 4] = {
    let mut masks = [0; 4];
    let mut n = 0;
    while n < 32 {
        if PLACEMENT.switches[n / 4][n % 4] {
            masks[n % 4] |= 1 << (n / 4);
        }
        n += 1;
    }
    masks
};

/// Byte m of a half as DES's initial permutation gives it, its highest bit the half's bit 8 m, becomes register m by two
/// tables, of its low and of its high nibble; `BACK` is the way back.
pub(super) static INTO: [[Nibbles; 2]; 4] = moves(false);
pub(super) static BACK: [[Nibbles; 2]; 4] = moves(true);

const fn moves(back: bool) -> [[Nibbles; 2]; 4] {
    let mut all = [[Nibbles([0; 32]); 2]; 4];
    let mut n = 0;
    while n < 8 {
        let (m, high) = (n / 2, n % 2);
        let mut half = [0; 16];
        let mut index = 0;
        while index < 16 {
            let mut q = 0;
            while q < 4 {
                let at = 4 * high + q;
                let to = if back { 7 - (PLACEMENT.bit[m][at] - 8 * m) } else { position(8 * m + 7 - at).1 };
                half[index] |= ((index >> q & 1) as u8) << to;
                q += 1;
            }
            index += 1;
        }
        all[m][high] = twice(half);
        n += 1;
    }
    all
}

/// The sixteen round keys of a DES key: four bytes for the bits as their boxes use them, and four for the outer ones as
/// the neighbours do. Parity bits count for nothing.
pub(super) fn schedule(key: [u8; 8]) -> [[u8; 8]; 16] {
    round_keys(key).map(|round| {
        let mut placed = [0; 8];
        for n in 0..48 {
            let (j, t) = (n / 6, n % 6);
            let (k, p) = position(expanded(j, t));
            let neighbours = matches!(t, 0 | 5);
            placed[k + 4 * usize::from(neighbours)] |= ((round >> (47 - n) & 1) as u8) << p;
        }
        placed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel takes for granted of the search's result.
    #[test]
    fn every_bit_has_a_place_and_every_choice_lies_where_a_blend_finds_it() {
        let mut bits: Vec<usize> = PLACEMENT.bit.as_flattened().to_vec();
        bits.sort_unstable();
        assert!(bits.iter().copied().eq(0..32));
        for (j, taps) in TAPS.iter().enumerate() {
            for (k, p) in [taps.first, taps.last] {
                assert!(p % 4 >= 2 && k != j / 2 || p / 4 != usize::from(taps.index.1), "box {j}");
            }
        }
        for (p, switches) in PLACEMENT.switches.iter().enumerate() {
            for (k, from) in crossed(*switches).into_iter().enumerate() {
                assert_eq!(from, MERGED[sender(PLACEMENT.bit[k][p]).0], "register {k}, position {p}");
            }
        }
    }
}
