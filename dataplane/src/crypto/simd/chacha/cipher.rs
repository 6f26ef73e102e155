//! ChaCha20's key stream (RFC 8439 section 2.3): each lane of sixteen registers a block, of whatever packet and key.

use std::arch::asm;
use std::arch::x86_64::*;

use super::ChaChaKey;
use crate::crypto::simd::cpu;

/// The most lanes there are.
const LANES_MAX: usize = 16;

/// "expand 32-byte k"
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// One word of every lane.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Row([u32; LANES_MAX]);

/// Blocks that wait until all lanes have one. Each is added to the bytes it is for, 64 or fewer.
pub(super) struct Stream<'a> {
    rows: [Row; 16],
    places: [Option<&'a mut [u8]>; LANES_MAX],
    used: usize,
    lanes: usize,
    /// The key of all lanes, while it is one.
    only: Option<&'a ChaChaKey>,
}

impl<'a> Stream<'a> {
    pub(super) fn new() -> Self {
        let lanes = if cpu::level() == cpu::Level::Avx512 { 16 } else { 8 };
        Self {
            rows: [Row([0; LANES_MAX]); 16],
            places: [const { None }; LANES_MAX],
            used: 0,
            lanes,
            only: None,
        }
    }

    /// Add the block of this counter to `place`, now or later.
    #[inline]
    pub(super) fn push(&mut self, key: &'a ChaChaKey, iv: [u32; 2], counter: u32, place: &'a mut [u8]) {
        let lane = self.used;
        match self.only {
            _ if lane == 0 => self.only = Some(key),
            Some(only) if std::ptr::eq(only, key) => {}
            Some(only) => {
                (0..lane).for_each(|lane| self.set_key(lane, only));
                self.only = None;
                self.set_key(lane, key);
            }
            None => self.set_key(lane, key),
        }
        self.rows[12].0[lane] = counter;
        self.rows[14].0[lane] = iv[0];
        self.rows[15].0[lane] = iv[1];
        self.places[lane] = Some(place);
        self.used += 1;
        if self.used == self.lanes {
            self.end();
        }
    }

    fn set_key(&mut self, lane: usize, key: &ChaChaKey) {
        for (row, word) in self.rows[4..].iter_mut().zip(key.words) {
            row.0[lane] = word;
        }
        self.rows[13].0[lane] = key.salt;
    }

    /// Nothing waits any more.
    pub(super) fn end(&mut self) {
        if self.used == 0 {
            return;
        }
        if let Some(key) = self.only {
            for (row, word) in self.rows[4..].iter_mut().zip(key.words) {
                row.0 = [word; LANES_MAX];
            }
            self.rows[13].0 = [key.salt; LANES_MAX];
        }
        for (row, word) in self.rows.iter_mut().zip(CONSTANTS) {
            row.0 = [word; LANES_MAX];
        }
        let places = &mut self.places[..self.used];
        // SAFETY: keys of this engine are made only where `covers` found AVX2; sixteen lanes only with AVX-512.
        unsafe {
            match self.lanes {
                16 => sixteen(&self.rows, places),
                _ => eight(&self.rows, places),
            }
        }
        self.used = 0;
    }
}

/// A quarter round for each of four columns or diagonals, step by step side by side. `$d` is a dollar sign, which the inner
/// macro's repetitions want.
macro_rules! rounds {
    ($d:tt $x:ident, $add:ident, $xor:ident, $turn16:expr, $turn12:expr, $turn8:expr, $turn7:expr) => {
        macro_rules! quarters {
            ($d($d a:literal $d b:literal $d c:literal $d e:literal)*) => {
                $d($x[$d a] = $add($x[$d a], $x[$d b]);)*
                $d($x[$d e] = $turn16($xor($x[$d e], $x[$d a]));)*
                $d($x[$d c] = $add($x[$d c], $x[$d e]);)*
                $d($x[$d b] = $turn12($xor($x[$d b], $x[$d c]));)*
                $d($x[$d a] = $add($x[$d a], $x[$d b]);)*
                $d($x[$d e] = $turn8($xor($x[$d e], $x[$d a]));)*
                $d($x[$d c] = $add($x[$d c], $x[$d e]);)*
                $d($x[$d b] = $turn7($xor($x[$d b], $x[$d c]));)*
            };
        }
        for _ in 0..10 {
            quarters!(0 4 8 12 1 5 9 13 2 6 10 14 3 7 11 15);
            quarters!(0 5 10 15 1 6 11 12 2 7 8 13 3 4 9 14);
        }
    };
}

/// Sixteen blocks, each added to its place.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
fn sixteen(rows: &[Row; 16], places: &mut [Option<&mut [u8]>]) {
    let mut x = [_mm512_setzero_si512(); 16];
    for (x, row) in x.iter_mut().zip(rows) {
        // SAFETY: 64 aligned bytes.
        *x = unsafe { _mm512_load_si512(row.0.as_ptr().cast()) };
    }
    rounds!(
        $ x,
        _mm512_add_epi32,
        _mm512_xor_si512,
        _mm512_rol_epi32::<16>,
        _mm512_rol_epi32::<12>,
        _mm512_rol_epi32::<8>,
        _mm512_rol_epi32::<7>
    );
    for (x, row) in x.iter_mut().zip(rows) {
        // SAFETY: 64 aligned bytes.
        *x = _mm512_add_epi32(*x, unsafe { _mm512_load_si512(row.0.as_ptr().cast()) });
    }
    let blocks = transposed(&x);
    for (block, place) in blocks.iter().zip(places) {
        let Some(place) = place.take() else { continue };
        let mask = _bzhi_u64(u64::MAX, place.len() as u32);
        // SAFETY: only bytes that are there are read and written.
        unsafe {
            let text = _mm512_maskz_loadu_epi8(mask, place.as_ptr().cast());
            _mm512_mask_storeu_epi8(place.as_mut_ptr().cast(), mask, _mm512_xor_si512(text, *block));
        }
    }
}

/// Words of lanes become lanes of words.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(rows: &[__m512i; 16]) -> [__m512i; 16] {
    let mut by_two = *rows;
    for n in 0..8 {
        let (a, b) = (rows[2 * n], rows[2 * n + 1]);
        (by_two[2 * n], by_two[2 * n + 1]) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
    let mut by_four = by_two;
    for n in 0..4 {
        let [a, b, c, d] = [by_two[4 * n], by_two[4 * n + 1], by_two[4 * n + 2], by_two[4 * n + 3]];
        by_four[4 * n] = _mm512_unpacklo_epi64(a, c);
        by_four[4 * n + 1] = _mm512_unpackhi_epi64(a, c);
        by_four[4 * n + 2] = _mm512_unpacklo_epi64(b, d);
        by_four[4 * n + 3] = _mm512_unpackhi_epi64(b, d);
    }
    super::super::hash::quarters(&by_four)
}

/// The order of a register's bytes.
#[repr(C, align(32))]
struct Order([u8; 32]);

/// Words turned left by 16 bits, and by 8.
static BY_TWO: Order = turned(2);
static BY_ONE: Order = turned(1);

const fn turned(bytes: usize) -> Order {
    let mut order = Order([0; 32]);
    let mut n = 0;
    while n < 32 {
        order.0[n] = (n % 16 / 4 * 4 + (n + 4 - bytes) % 4) as u8;
        n += 1;
    }
    order
}

/// In assembler, as the compiler makes two shuffles of one, or keeps the orders in registers that there are too few of.
#[inline]
#[target_feature(enable = "avx2")]
fn shuffled(x: __m256i, by: &Order) -> __m256i {
    let shuffled;
    // SAFETY: 32 aligned bytes are read.
    unsafe {
        asm!("vpshufb {}, {}, [{}]", out(ymm_reg) shuffled, in(ymm_reg) x, in(reg) by, options(pure, readonly, nostack, preserves_flags));
    }
    shuffled
}

/// Eight blocks, each added to its place.
#[target_feature(enable = "avx2")]
fn eight(rows: &[Row; 16], places: &mut [Option<&mut [u8]>]) {
    let mut x = [_mm256_setzero_si256(); 16];
    for (x, row) in x.iter_mut().zip(rows) {
        // SAFETY: 32 aligned bytes of 64.
        *x = unsafe { _mm256_load_si256(row.0.as_ptr().cast()) };
    }
    macro_rules! turn {
        ($left:literal, $right:literal) => {
            |x| _mm256_or_si256(_mm256_slli_epi32::<$left>(x), _mm256_srli_epi32::<$right>(x))
        };
    }
    rounds!(
        $ x,
        _mm256_add_epi32,
        _mm256_xor_si256,
        (|x| shuffled(x, &BY_TWO)),
        (turn!(12, 20)),
        (|x| shuffled(x, &BY_ONE)),
        (turn!(7, 25))
    );
    for (x, row) in x.iter_mut().zip(rows) {
        // SAFETY: 32 aligned bytes of 64.
        *x = _mm256_add_epi32(*x, unsafe { _mm256_load_si256(row.0.as_ptr().cast()) });
    }
    let mut halves = [[_mm256_setzero_si256(); 8]; 2];
    for (n, half) in halves.iter_mut().enumerate() {
        half.copy_from_slice(&x[8 * n..8 * n + 8]);
        *half = super::super::hash::eighths(half);
    }
    for (lane, place) in places.iter_mut().enumerate() {
        let Some(place) = place.take() else { continue };
        match place.as_chunks_mut::<32>() {
            ([low, high], []) => {
                add32(low, halves[0][lane]);
                add32(high, halves[1][lane]);
            }
            ([low], rest) => {
                add32(low, halves[0][lane]);
                add_part(rest, halves[1][lane]);
            }
            (_, rest) => add_part(rest, halves[0][lane]),
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add32(place: &mut [u8; 32], block: __m256i) {
    let at = place.as_mut_ptr().cast();
    // SAFETY: 32 bytes.
    unsafe { _mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), block)) };
}

/// Fewer bytes than 32.
#[inline]
#[target_feature(enable = "avx2")]
fn add_part(place: &mut [u8], block: __m256i) {
    let mut low = _mm256_castsi256_si128(block);
    let (first, rest) = place.as_chunks_mut::<16>();
    if let [first] = first {
        let at = first.as_mut_ptr().cast();
        // SAFETY: 16 bytes.
        unsafe { _mm_storeu_si128(at, _mm_xor_si128(_mm_loadu_si128(at), low)) };
        low = _mm256_extracti128_si256::<1>(block);
    }
    let mut word = _mm_cvtsi128_si64(low) as u64;
    let (first, rest) = rest.as_chunks_mut::<8>();
    if let [first] = first {
        *first = (u64::from_le_bytes(*first) ^ word).to_le_bytes();
        word = _mm_extract_epi64::<1>(low) as u64;
    }
    let (first, rest) = rest.as_chunks_mut::<4>();
    if let [first] = first {
        *first = (u32::from_le_bytes(*first) ^ word as u32).to_le_bytes();
        word >>= 32;
    }
    for (byte, key) in rest.iter_mut().zip(word.to_le_bytes()) {
        *byte ^= key;
    }
}
