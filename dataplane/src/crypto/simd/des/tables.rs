//! The tables of FIPS 46-3, and from them those of the byte-sliced kernel, made at compile time.
//!
//! *Byte-sliced*: a register holds one byte of each of 64 blocks. Half a block is eight such bytes, one for each S-box:
//! the six bits that E gives to that box. A bit of the half lies in one or two of them, so that E costs nothing, and P is
//! a matter of which bit of which table's result goes where.
//!
//! The six bits of a box come from six different boxes, and the results of a box go to six different boxes. Boxes that
//! send and boxes that receive are therefore the two sides of a graph in which each has six edges, and such a graph's
//! edges can be coloured with six colours so that none meets its own (Kőnig, 1916). The colour is the bit's position in
//! the byte, on both sides: P is then nothing but "take bit p from box i", without a shift.

use crate::crypto::des_tables::{P, round_keys};

pub(super) use crate::crypto::des_tables::S;

/// Where the bits of a half are, and whence they come.
pub(super) struct Placement {
    /// `position[j][t]`: the bit of box j's byte that holds the t-th of the six bits that E gives it.
    pub(super) position: [[u8; 6]; 8],
    /// `source[j][p]`: the box whose result gives bit p of box j's byte.
    pub(super) source: [[u8; 8]; 8],
}

/// The bit of the half, from 0, that is the t-th of the six that E gives to box j. Box j owns those of t from 1 to 4.
pub(super) const fn expanded(j: usize, t: usize) -> usize {
    (4 * j + t + 31) % 32
}

/// The box and its output bit (0 is its highest) that P brings to a bit of the half.
pub(super) const fn sender(bit: usize) -> (usize, usize) {
    let from = P[bit] as usize - 1;
    (from / 4, from % 4)
}

const NONE: u8 = 255;

/// Kőnig's colouring: edge by edge; where no colour is free at both ends, two colours change places along a path.
const fn place() -> Placement {
    // edge[side][box][colour]: the box at the other side.
    let mut sends = [[NONE; 6]; 8];
    let mut takes = [[NONE; 6]; 8];
    let mut edge = 0;
    while edge < 48 {
        let (j, t) = (edge / 6, edge % 6);
        let (i, _) = sender(expanded(j, t));
        let (a, b) = (free(&sends[i]), free(&takes[j]));
        if a != b {
            (sends, takes) = exchange(sends, takes, j, a, b);
        }
        sends[i][a] = j as u8;
        takes[j][a] = i as u8;
        edge += 1;
    }
    finish(&takes)
}

const fn free(colours: &[u8; 6]) -> usize {
    let mut colour = 0;
    while colours[colour] != NONE {
        colour += 1;
    }
    colour
}

type Edges = [[u8; 6]; 8];

/// Swap the colours `a` and `b` on the path that leaves the receiver `j` by `a`. It never comes to the sender that
/// lacks `a`, as the graph has two sides.
const fn exchange(mut sends: Edges, mut takes: Edges, j: usize, a: usize, b: usize) -> (Edges, Edges) {
    // The path's edges, alternately a and b, taken out and put back with the other colour.
    let mut path = [(0usize, 0usize, 0usize); 16];
    let (mut len, mut at, mut colour, mut receiver) = (0, j, a, true);
    loop {
        let next = if receiver { takes[at][colour] } else { sends[at][colour] };
        if next == NONE {
            break;
        }
        let next = next as usize;
        path[len] = if receiver { (next, at, colour) } else { (at, next, colour) };
        len += 1;
        at = next;
        receiver = !receiver;
        colour = if colour == a { b } else { a };
    }
    let mut n = 0;
    while n < len {
        let (i, j, colour) = path[n];
        sends[i][colour] = NONE;
        takes[j][colour] = NONE;
        n += 1;
    }
    n = 0;
    while n < len {
        let (i, j, colour) = path[n];
        let other = if colour == a { b } else { a };
        sends[i][other] = j as u8;
        takes[j][other] = i as u8;
        n += 1;
    }
    (sends, takes)
}

const fn finish(takes: &Edges) -> Placement {
    let mut done = Placement { position: [[0; 6]; 8], source: [[NONE; 8]; 8] };
    let mut j = 0;
    while j < 8 {
        let mut t = 0;
        while t < 6 {
            let (i, _) = sender(expanded(j, t));
            let mut colour = 0;
            while takes[j][colour] as usize != i {
                colour += 1;
            }
            done.position[j][t] = colour as u8;
            done.source[j][colour] = i as u8;
            t += 1;
        }
        j += 1;
    }
    done
}

/// The placement that the kernel uses.
pub(super) const PLACEMENT: Placement = place();

/// One S-box as a table of 64 bytes, in a register's form.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct Table(pub(super) [u8; 64]);

/// The S-boxes with P behind them.
pub(super) static BOXES: [Table; 8] = boxes();

const fn boxes() -> [Table; 8] {
    let mut tables = [Table([0; 64]); 8];
    let mut i = 0;
    while i < 8 {
        let mut x = 0;
        while x < 64 {
            tables[i].0[x] = result(i, x);
            x += 1;
        }
        i += 1;
    }
    tables
}

/// What box `i` gives for the placed bits `x`, each output bit at the places that its receivers have for it.
const fn result(i: usize, x: usize) -> u8 {
    let mut six = 0;
    let mut t = 0;
    while t < 6 {
        six = six << 1 | (x >> PLACEMENT.position[i][t] & 1);
        t += 1;
    }
    let (row, column) = ((six >> 5) << 1 | six & 1, six >> 1 & 15);
    let value = S[i][16 * row + column];
    let mut byte = 0;
    let mut edge = 0;
    while edge < 48 {
        let (j, t) = (edge / 6, edge % 6);
        let (from, bit) = sender(expanded(j, t));
        if from == i {
            byte |= (value >> (3 - bit) & 1) << PLACEMENT.position[j][t];
        }
        edge += 1;
    }
    byte
}

/// Matrices for `gf2p8affineqb` between a half in four bytes, bit n of the half at bit n % 8 of byte n / 8, and in
/// eight placed ones.
pub(super) struct Matrices {
    /// Box j's bits that lie in byte j / 2.
    pub(super) near: [u64; 8],
    /// Box j's one bit that lies in the byte before (even j) or after (odd j).
    pub(super) far: [u64; 8],
    /// From box j's byte to its four bits of byte j / 2.
    pub(super) back: [u64; 8],
}

/// Result bit `to` is source bit `from`.
const fn moved(from: usize, to: usize) -> u64 {
    1 << (8 * (7 - to) + from)
}

pub(super) static MATRICES: Matrices = matrices();

const fn matrices() -> Matrices {
    let mut m = Matrices { near: [0; 8], far: [0; 8], back: [0; 8] };
    let mut j = 0;
    while j < 8 {
        let mut t = 0;
        while t < 6 {
            let (bit, to) = (expanded(j, t), PLACEMENT.position[j][t] as usize);
            if bit / 8 == j / 2 {
                m.near[j] |= moved(bit % 8, to);
            } else {
                m.far[j] |= moved(bit % 8, to);
            }
            if 1 <= t && t <= 4 {
                m.back[j] |= moved(to, bit % 8);
            }
            t += 1;
        }
        j += 1;
    }
    m
}

/// The sixteen round keys of a DES key, placed as the boxes' bytes are. Parity bits count for nothing.
pub(super) fn schedule(key: [u8; 8]) -> [[u8; 8]; 16] {
    round_keys(key).map(|round| {
        let mut placed = [0; 8];
        for n in 0..48 {
            placed[n / 6] |= ((round >> (47 - n) & 1) as u8) << PLACEMENT.position[n / 6][n % 6];
        }
        placed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_has_a_place_of_its_own_on_both_sides() {
        for j in 0..8 {
            let mut places = PLACEMENT.position[j];
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3, 4, 5], "box {j} receives");
            let mut sent: Vec<usize> = Vec::new();
            for (to, sources) in PLACEMENT.source.iter().enumerate() {
                let from_j = (0..6).filter(|p| sources[*p] as usize == j);
                sent.extend(from_j.inspect(|p| {
                    assert!(sender(expanded(to, t_at(to, *p))).0 == j);
                }));
            }
            sent.sort_unstable();
            assert_eq!(sent, [0, 1, 2, 3, 4, 5], "box {j} sends");
        }
    }

    fn t_at(j: usize, p: usize) -> usize {
        PLACEMENT.position[j].iter().position(|place| *place as usize == p).unwrap()
    }
}
