//! DES and 3DES on 64 blocks at once, byte-sliced: AVX-512 with VBMI (one `vpermb` is 64 look-ups in an S-box of 64
//! entries, whatever the bits: no access depends on data) and GFNI (moves bits within bytes).

use std::arch::x86_64::*;

use super::tables::{BOXES, MATRICES, PLACEMENT, Table};

/// Blocks that one pass takes.
pub(crate) const LANES: usize = 64;

/// The blocks of a pass as they lie in memory; `shuffled` takes the first half of them.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Blocks(pub(crate) [u64; LANES]);

/// Round keys in the order they are used: one set for all lanes, or each lane its own.
pub(crate) trait RoundKeys {
    /// How many rounds: 16 a stage.
    fn rounds(&self) -> usize;
    /// Box `j`'s key bits of a round, for each lane.
    fn at(&self, round: usize, j: usize) -> __m512i;
    /// The key byte j of a round, for each of the first 32 lanes.
    fn narrow(&self, round: usize, j: usize) -> __m256i;
}

/// The same key in all lanes; each placed key byte stands four times, which a broadcast load wants.
pub(crate) struct Shared<'a>(pub(crate) &'a [[u32; 8]]);

impl RoundKeys for Shared<'_> {
    #[inline(always)]
    fn rounds(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn at(&self, round: usize, j: usize) -> __m512i {
        // SAFETY: only called from the kernels below, which run where AVX-512F is present.
        unsafe { _mm512_set1_epi32(self.0[round][j] as i32) }
    }

    #[inline(always)]
    fn narrow(&self, round: usize, j: usize) -> __m256i {
        // SAFETY: only called from `shuffled`, whose functions run where AVX2 is present.
        unsafe { _mm256_set1_epi32(self.0[round][j] as i32) }
    }
}

/// Each lane its own key: 64 placed key bytes for each round and box, or 32 of one round and 32 of the next.
pub(crate) struct PerLane<'a>(pub(crate) &'a [[Table; 8]]);

impl RoundKeys for PerLane<'_> {
    #[inline(always)]
    fn rounds(&self) -> usize {
        self.0.len()
    }

    #[inline(always)]
    fn at(&self, round: usize, j: usize) -> __m512i {
        // SAFETY: a table is 64 aligned bytes; only called from the kernels below, where AVX-512F is present.
        unsafe { _mm512_load_si512(self.0[round][j].0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn narrow(&self, round: usize, j: usize) -> __m256i {
        let half = &self.0[round / 2][j].0[round % 2 * 32..][..32];
        // SAFETY: 32 aligned bytes; only called from `shuffled`, whose functions run where AVX2 is present.
        unsafe { _mm256_load_si256(half.as_ptr().cast()) }
    }
}

/// Put a key's round keys into the planes of these lanes.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn place(planes: &mut [[Table; 8]], rounds: &[[u8; 8]], lanes: u64) {
    for (plane, round) in planes.iter_mut().zip(rounds) {
        for (table, byte) in plane.iter_mut().zip(round) {
            let key = _mm512_set1_epi8(*byte as i8);
            // SAFETY: 64 bytes, of which the lanes' are written.
            unsafe { _mm512_mask_storeu_epi8(table.0.as_mut_ptr().cast(), lanes, key) };
        }
    }
}

type Half = [__m512i; 8];

/// Run `body` for 0 to 7, written out: a loop would keep the registers in memory.
macro_rules! eight {
    ($n:ident => $body:expr) => {{
        eight!(@ $n $body; 0 1 2 3 4 5 6 7)
    }};
    (@ $n:ident $body:expr; $($i:literal)*) => {{ $({ const $n: usize = $i; $body; })* }};
}

/// One round: `left` ^= P(S(E(right) ^ key)).
macro_rules! round {
    ($left:ident, $right:ident, $keys:ident, $n:expr, $boxes:ident, $masks:ident) => {{
        let mut s = [_mm512_setzero_si512(); 8];
        eight!(I => {
            s[I] = _mm512_permutexvar_epi8(_mm512_xor_si512($right[I], $keys.at($n, I)), $boxes[I]);
        });
        eight!(J => {
            const FROM: [u8; 8] = PLACEMENT.source[J];
            // 0x78: a ^ (b & c).
            $left[J] = _mm512_ternarylogic_epi32::<0x78>($left[J], s[FROM[0] as usize], $masks[0]);
            $left[J] = _mm512_ternarylogic_epi32::<0x78>($left[J], s[FROM[1] as usize], $masks[1]);
            $left[J] = _mm512_ternarylogic_epi32::<0x78>($left[J], s[FROM[2] as usize], $masks[2]);
            $left[J] = _mm512_ternarylogic_epi32::<0x78>($left[J], s[FROM[3] as usize], $masks[3]);
            $left[J] = _mm512_ternarylogic_epi32::<0x78>($left[J], s[FROM[4] as usize], $masks[4]);
            $left[J] = _mm512_ternarylogic_epi32::<0x78>($left[J], s[FROM[5] as usize], $masks[5]);
        });
    }};
}

/// Encrypt or decrypt 64 blocks, as the order of the round keys says.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,gfni")]
pub(crate) fn crypt(blocks: &mut Blocks, keys: &impl RoundKeys) {
    let mut rows = [_mm512_setzero_si512(); 8];
    for (row, block) in rows.iter_mut().zip(blocks.0.chunks_exact(8)) {
        // SAFETY: eight blocks are 64 bytes.
        *row = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
    }
    slice(&mut rows);
    let (mut right, mut left) = halves(&rows);
    let mut boxes = [_mm512_setzero_si512(); 8];
    for (table, register) in BOXES.iter().zip(&mut boxes) {
        // SAFETY: a table is 64 aligned bytes.
        *register = unsafe { _mm512_load_si512(table.0.as_ptr().cast()) };
    }
    let mut masks = [_mm512_setzero_si512(); 6];
    for (bit, mask) in masks.iter_mut().enumerate() {
        *mask = _mm512_set1_epi8(1 << bit);
    }
    for stage in (0..keys.rounds()).step_by(16) {
        for n in (stage..stage + 16).step_by(2) {
            round!(left, right, keys, n, boxes, masks);
            round!(right, left, keys, n + 1, boxes, masks);
        }
        // The halves change places at the end, and the final and initial permutations of adjoining stages cancel.
        std::mem::swap(&mut left, &mut right);
    }
    join(&mut rows, &right, &left);
    unslice(&mut rows);
    for (row, block) in rows.iter().zip(blocks.0.chunks_exact_mut(8)) {
        // SAFETY: eight blocks are 64 bytes.
        unsafe { _mm512_storeu_si512(block.as_mut_ptr().cast(), *row) };
    }
}

/// The bytes of a block that is seen as 8 x 8 bits and turned: byte q is bit 7 - q of each byte, which is DES's initial
/// permutation but for the bytes' order. Turning again turns back.
const TURN: i64 = 0x0102_0408_1020_4080;

/// From eight registers of eight blocks to eight registers of 64 bytes, byte q of every block in register q.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,gfni")]
fn slice(rows: &mut [__m512i; 8]) {
    let (turn, gather) = (_mm512_set1_epi64(TURN), transposed_bytes());
    eight!(M => rows[M] = _mm512_permutexvar_epi8(gather, _mm512_gf2p8affine_epi64_epi8::<0>(turn, rows[M])));
    transpose(rows);
}

/// The way back.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,gfni")]
fn unslice(rows: &mut [__m512i; 8]) {
    transpose(rows);
    let (turn, gather) = (_mm512_set1_epi64(TURN), transposed_bytes());
    eight!(M => rows[M] = _mm512_gf2p8affine_epi64_epi8::<0>(turn, _mm512_permutexvar_epi8(gather, rows[M])));
}

/// Byte 8 b + q from byte 8 q + b.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed_bytes() -> __m512i {
    const INDEX: Table = {
        let mut index = Table([0; 64]);
        let mut n = 0;
        while n < 64 {
            index.0[n] = (8 * (n % 8) + n / 8) as u8;
            n += 1;
        }
        index
    };
    // SAFETY: a table is 64 aligned bytes.
    unsafe { _mm512_load_si512(INDEX.0.as_ptr().cast()) }
}

/// 8 x 8 quadwords over eight registers; its own inverse.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(rows: &mut [__m512i; 8]) {
    let low2 = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
    let high2 = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    let low4 = _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11);
    let high4 = _mm512_setr_epi64(4, 5, 6, 7, 12, 13, 14, 15);
    for (a, b) in [(0, 1), (2, 3), (4, 5), (6, 7)] {
        let (x, y) = (rows[a], rows[b]);
        (rows[a], rows[b]) = (_mm512_unpacklo_epi64(x, y), _mm512_unpackhi_epi64(x, y));
    }
    for (a, b) in [(0, 2), (1, 3), (4, 6), (5, 7)] {
        let (x, y) = (rows[a], rows[b]);
        (rows[a], rows[b]) = (_mm512_permutex2var_epi64(x, low2, y), _mm512_permutex2var_epi64(x, high2, y));
    }
    for (a, b) in [(0, 4), (1, 5), (2, 6), (3, 7)] {
        let (x, y) = (rows[a], rows[b]);
        (rows[a], rows[b]) = (_mm512_permutex2var_epi64(x, low4, y), _mm512_permutex2var_epi64(x, high4, y));
    }
}

/// The halves in placed bytes, right then left: the turned block has the right half in its even bytes.
#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn halves(rows: &[__m512i; 8]) -> (Half, Half) {
    let mut halves = [[_mm512_setzero_si512(); 8]; 2];
    for (side, half) in halves.iter_mut().enumerate() {
        eight!(J => {
            const FAR: usize = if J.is_multiple_of(2) { (J / 2 + 3) % 4 } else { (J / 2 + 1) % 4 };
            let near = affine(rows[2 * (J / 2) + side], MATRICES.near[J]);
            half[J] = _mm512_xor_si512(near, affine(rows[2 * FAR + side], MATRICES.far[J]));
        });
    }
    let [right, left] = halves;
    (right, left)
}

/// The way back.
#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn join(rows: &mut [__m512i; 8], right: &Half, left: &Half) {
    for (side, half) in [right, left].into_iter().enumerate() {
        for r in 0..4 {
            let even = affine(half[2 * r], MATRICES.back[2 * r]);
            let odd = affine(half[2 * r + 1], MATRICES.back[2 * r + 1]);
            rows[2 * r + side] = _mm512_xor_si512(even, odd);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn affine(bytes: __m512i, matrix: u64) -> __m512i {
    _mm512_gf2p8affine_epi64_epi8::<0>(bytes, _mm512_set1_epi64(matrix as i64))
}
