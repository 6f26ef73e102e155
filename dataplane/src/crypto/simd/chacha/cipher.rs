//! ChaCha20's key stream (RFC 8439 section 2.3): each lane of sixteen registers a block, of whatever packet and key.
//! Blocks are listed first and made when many are: a register that was written lane by lane a moment ago cannot be read.

use std::arch::asm;
use std::arch::x86_64::*;

use super::ChaChaKey;
use super::poly::{OneTime, Spare, Steps, Sums};
use crate::crypto::simd::cpu;

/// Blocks that are listed before they are made; whole passes of 8 or 16.
pub(super) const ROOM: usize = 64;

/// "expand 32-byte k"
pub(super) const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// One word of every block.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Row([u32; ROOM]);

/// What a block is for.
#[derive(Clone, Copy)]
struct Place {
    /// It is added to these bytes, or is the one-time key of the text.
    at: *mut u8,
    /// At most 64; 0 for a one-time key.
    len: u8,
    text: u8,
    /// How many texts can be authenticated once it is done.
    ready: u8,
}

impl Place {
    const NONE: Self = Self { at: std::ptr::null_mut(), len: 0, text: 0, ready: 0 };
}

/// Blocks to be made.
pub(super) struct Stream<'a> {
    rows: [Row; 16],
    places: [Place; ROOM],
    used: usize,
    lanes: usize,
    /// The key of all blocks, while it is one.
    only: Option<&'a ChaChaKey>,
    /// Whether the rows have it already.
    filled: bool,
    mixed: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new() -> Self {
        let mut rows = [Row([0; ROOM]); 16];
        for (row, word) in rows.iter_mut().zip(CONSTANTS) {
            row.0 = [word; ROOM];
        }
        let lanes = if cpu::level() == cpu::Level::Avx512 { 16 } else { 8 };
        Self { rows, places: [Place::NONE; ROOM], used: 0, lanes, only: None, filled: false, mixed: false }
    }

    pub(super) fn is_full(&self) -> bool {
        self.used == ROOM
    }

    /// The one-time key of a text, which makes `ready` texts ready. There must be room.
    #[inline]
    pub(super) fn one_time(&mut self, key: &'a ChaChaKey, iv: [u32; 2], text: usize, ready: usize) {
        let place = Place { text: text as u8, ready: ready as u8, ..Place::NONE };
        self.push(key, iv, 0, place);
    }

    /// The block of this counter, to be added to as many bytes, 1 to 64. There must be room.
    ///
    /// # Safety
    /// Nothing else touches those bytes, and the 15 behind them, which may change too, until `run`.
    #[inline]
    pub(super) unsafe fn add(
        &mut self,
        key: &'a ChaChaKey,
        iv: [u32; 2],
        counter: u32,
        bytes: (*mut u8, usize),
        ready: usize,
    ) {
        let place = Place { at: bytes.0, len: bytes.1 as u8, text: 0, ready: ready as u8 };
        self.push(key, iv, counter, place);
    }

    #[inline]
    fn push(&mut self, key: &'a ChaChaKey, iv: [u32; 2], counter: u32, place: Place) {
        let at = self.used % ROOM;
        if self.mixed {
            self.set_key(at, key);
        } else if !self.only.is_some_and(|only| std::ptr::eq(only, key)) {
            self.other_key(at, key);
        }
        self.rows[12].0[at] = counter;
        self.rows[14].0[at] = iv[0];
        self.rows[15].0[at] = iv[1];
        self.places[at] = place;
        self.used = at + 1;
    }

    fn other_key(&mut self, at: usize, key: &'a ChaChaKey) {
        match self.only {
            Some(only) if at > 0 => {
                if !self.filled {
                    (0..at).for_each(|at| self.set_key(at, only));
                }
                self.mixed = true;
                self.set_key(at, key);
            }
            _ => self.filled = false,
        }
        self.only = Some(key);
    }

    fn set_key(&mut self, at: usize, key: &ChaChaKey) {
        for (row, word) in self.rows[4..].iter_mut().zip(key.words) {
            row.0[at] = word;
        }
        self.rows[13].0[at] = key.salt;
    }

    /// Make all blocks, and take steps of the sums meanwhile. `ready` hears how many texts can be authenticated.
    pub(super) fn run(&mut self, sums: &mut Sums<'a>, mut ready: impl FnMut(&mut Sums<'a>, usize)) {
        if let Some(key) = self.only.filter(|_| !self.mixed && !self.filled) {
            for (row, word) in self.rows[4..].iter_mut().zip(key.words) {
                row.0 = [word; ROOM];
            }
            self.rows[13].0 = [key.salt; ROOM];
            self.filled = true;
        }
        for first in (0..self.used).step_by(self.lanes) {
            let places = &self.places[first..self.used.min(first + self.lanes)];
            // SAFETY: keys of this engine are made only where `covers` found AVX2; sixteen lanes only with AVX-512. The
            // places are those that `add` was promised.
            unsafe {
                match self.lanes {
                    16 => sixteen(&self.rows, first, places, sums),
                    _ => match sums.waiting() {
                        0 => eight::<0>(&self.rows, first, places, sums),
                        1..=24 => eight::<1>(&self.rows, first, places, sums),
                        _ => eight::<2>(&self.rows, first, places, sums),
                    },
                }
            }
            if let Some(last) = places.last() {
                ready(sums, usize::from(last.ready));
            }
        }
        if self.mixed {
            (self.only, self.mixed, self.filled) = (None, false, false);
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

/// Sixteen blocks.
///
/// # Safety
/// The places are as `Stream::add` says.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
unsafe fn sixteen(rows: &[Row; 16], first: usize, places: &[Place], sums: &mut Sums<'_>) {
    let mut x = [_mm512_setzero_si512(); 16];
    for (x, row) in x.iter_mut().zip(rows) {
        // SAFETY: 64 aligned bytes.
        *x = unsafe { _mm512_load_si512(row.0[first..first + 16].as_ptr().cast()) };
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
        *x = _mm512_add_epi32(*x, unsafe { _mm512_load_si512(row.0[first..first + 16].as_ptr().cast()) });
    }
    let blocks = transposed(&x);
    for (block, place) in blocks.iter().zip(places) {
        if place.len == 0 {
            let OneTime(key) = sums.key(usize::from(place.text));
            // SAFETY: 32 bytes.
            unsafe { _mm256_storeu_si256(key.as_mut_ptr().cast(), _mm512_castsi512_si256(*block)) };
            continue;
        }
        let mask = _bzhi_u64(u64::MAX, u32::from(place.len));
        // SAFETY: only bytes that are there are read and written.
        unsafe {
            let text = _mm512_maskz_loadu_epi8(mask, place.at.cast());
            _mm512_mask_storeu_epi8(place.at.cast(), mask, _mm512_xor_si512(text, *block));
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

/// Two quarter rounds side by side, in assembler: sixteen words and what a turn needs besides are more registers than
/// there are. The first row is in the registers 0 to 3, the second in 4 to 7, the fourth in 10 to 13; of the third, two words
/// are in 8 and 9 and the other two in memory, from where the first addition takes them.
macro_rules! two_quarters {
    (@ $ins:literal $to:literal $by:literal) => {
        concat!($ins, " ymm", $to, ", ymm", $to, ", ", $by, "\n")
    };
    (@turn $x:literal $t:literal $left:literal $right:literal) => {
        concat!(
            "vpsrld ymm", $t, ", ymm", $x, ", ", $right, "\n",
            "vpslld ymm", $x, ", ymm", $x, ", ", $left, "\n",
            "vpor ymm", $x, ", ymm", $x, ", ymm", $t, "\n"
        )
    };
    (@half $by:literal $left:literal $right:literal $c0:literal $c1:literal
        $a:literal $b:literal $d:literal $e:literal $f:literal $g:literal) => {
        concat!(
            two_quarters!(@row "vpaddd" $a $b), two_quarters!(@row "vpaddd" $e $f),
            two_quarters!(@row "vpxor" $d $a), two_quarters!(@row "vpxor" $g $e),
            two_quarters!(@ "vpshufb" $d $by), two_quarters!(@ "vpshufb" $g $by),
            "vpaddd ymm8, ymm", $d, ", ", $c0, "\n",
            "vpaddd ymm9, ymm", $g, ", ", $c1, "\n",
            two_quarters!(@row "vpxor" $b "8"), two_quarters!(@row "vpxor" $f "9"),
            two_quarters!(@turn $b "14" $left $right), two_quarters!(@turn $f "15" $left $right)
        )
    };
    (@row $ins:literal $to:literal $by:literal) => {
        concat!($ins, " ymm", $to, ", ymm", $to, ", ymm", $by, "\n")
    };
    ($c0:literal $c1:literal: $a:literal $b:literal $d:literal, $e:literal $f:literal $g:literal) => {
        concat!(
            two_quarters!(@half "[rip + {by_two}]" "12" "20" $c0 $c1 $a $b $d $e $f $g),
            two_quarters!(@half "[rip + {by_one}]" "7" "25" "ymm8" "ymm9" $a $b $d $e $f $g)
        )
    };
}

/// Four quarter rounds: `$in_hand` is where the words of the third row go that are in registers first, and after which the
/// others take their place as they are added to.
macro_rules! four_quarters {
    ($x:ident, $spare:expr, $in_hand:literal, $first:expr, $second:expr) => {
        asm!(
            $first,
            concat!("vmovdqa [{spare} + ", $in_hand, "], ymm8"),
            concat!("vmovdqa [{spare} + ", $in_hand, " + 32], ymm9"),
            $second,
            inout("ymm0") $x[0], inout("ymm1") $x[1], inout("ymm2") $x[2], inout("ymm3") $x[3],
            inout("ymm4") $x[4], inout("ymm5") $x[5], inout("ymm6") $x[6], inout("ymm7") $x[7],
            inout("ymm8") $x[8], inout("ymm9") $x[9],
            inout("ymm10") $x[10], inout("ymm11") $x[11], inout("ymm12") $x[12], inout("ymm13") $x[13],
            out("ymm14") _, out("ymm15") _,
            spare = in(reg) $spare, by_two = sym BY_TWO, by_one = sym BY_ONE,
            options(nostack, preserves_flags)
        )
    };
}

/// Words of eight blocks from `first` on.
#[inline]
#[target_feature(enable = "avx2")]
fn eight_words(row: &Row, first: usize) -> __m256i {
    // SAFETY: 32 aligned bytes, as `first` is a multiple of 8.
    unsafe { _mm256_load_si256(row.0[first..first + 8].as_ptr().cast()) }
}

/// The rounds of eight blocks, and meanwhile steps of the sums: in each half of a double round one of one chain, or of two.
#[inline]
#[target_feature(enable = "avx2,bmi2")]
pub(super) fn mixed<const STEPS: usize>(
    row: impl Fn(usize) -> __m256i,
    sums: &mut impl Steps,
) -> [__m256i; 16] {
    // Without the last two words of the third row, which begin in memory.
    let mut x = [_mm256_setzero_si256(); 14];
    for n in 0..14 {
        x[n] = row(if n < 10 { n } else { n + 2 });
    }
    sums.spare().0[2..].copy_from_slice(&[row(10), row(11)]);
    for _ in 0..10 {
        // SAFETY: registers, and four of them in memory.
        unsafe {
            four_quarters!(
                x,
                sums.spare(),
                "0",
                two_quarters!("ymm8" "ymm9": "0" "4" "10", "1" "5" "11"),
                two_quarters!("[{spare} + 64]" "[{spare} + 96]": "2" "6" "12", "3" "7" "13")
            );
        }
        if STEPS > 0 {
            sums.step::<0>();
        }
        if STEPS > 1 {
            sums.step::<1>();
        }
        // SAFETY: likewise.
        unsafe {
            four_quarters!(
                x,
                sums.spare(),
                "64",
                two_quarters!("ymm8" "ymm9": "0" "5" "13", "1" "6" "10"),
                two_quarters!("[{spare}]" "[{spare} + 32]": "2" "7" "11", "3" "4" "12")
            );
        }
        if STEPS > 0 {
            sums.step::<1>();
        }
        if STEPS > 1 {
            sums.step::<0>();
        }
    }
    let Spare([_, _, c2, c3]) = *sums.spare();
    [x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], x[8], x[9], c2, c3, x[10], x[11], x[12], x[13]]
}

/// Eight blocks, each to its place.
///
/// # Safety
/// The places are as `Stream::add` says.
#[target_feature(enable = "avx2,bmi2")]
unsafe fn eight<const STEPS: usize>(rows: &[Row; 16], first: usize, places: &[Place], sums: &mut Sums<'_>) {
    let row = |n: usize| eight_words(&rows[n], first);
    let words = mixed::<STEPS>(row, sums);
    let mut low = [_mm256_setzero_si256(); 8];
    let mut high = low;
    for n in 0..8 {
        low[n] = _mm256_add_epi32(words[n], row(n));
        high[n] = _mm256_add_epi32(words[n + 8], row(n + 8));
    }
    let low = super::super::hash::eighths(&low);
    if STEPS > 1 {
        sums.step::<0>();
    }
    if places.iter().all(|place| place.len == 0) {
        for (place, low) in places.iter().zip(low) {
            keep(sums.key(usize::from(place.text)), low);
        }
        return;
    }
    let high = super::super::hash::eighths(&high);
    if STEPS > 1 {
        sums.step::<1>();
    }
    for (lane, place) in places.iter().enumerate() {
        match place.len {
            0 => keep(sums.key(usize::from(place.text)), low[lane]),
            // SAFETY: whole sixteens of bytes, of which the last may be behind the text, as is `add`'s to promise.
            len => unsafe { add(place.at, usize::from(len), low[lane], high[lane]) },
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn keep(OneTime(key): &mut OneTime, block: __m256i) {
    // SAFETY: 32 aligned bytes.
    unsafe { _mm256_store_si256(key.as_mut_ptr().cast(), block) };
}

/// Add a block to whole sixteens of bytes.
///
/// # Safety
/// `len` bytes and the 15 behind them can be read and written.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn add(at: *mut u8, len: usize, low: __m256i, high: __m256i) {
    // SAFETY: the caller's.
    unsafe {
        match len {
            49.. => {
                add32(at, low);
                add32(at.add(32), high);
            }
            33.. => {
                add32(at, low);
                add16(at.add(32), _mm256_castsi256_si128(high));
            }
            17.. => add32(at, low),
            _ => add16(at, _mm256_castsi256_si128(low)),
        }
    }
}

/// # Safety
/// 32 bytes can be read and written.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn add32(at: *mut u8, block: __m256i) {
    // SAFETY: the caller's.
    unsafe { _mm256_storeu_si256(at.cast(), _mm256_xor_si256(_mm256_loadu_si256(at.cast()), block)) };
}

/// # Safety
/// 16 bytes can be read and written.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn add16(at: *mut u8, block: __m128i) {
    // SAFETY: the caller's.
    unsafe { _mm_storeu_si128(at.cast(), _mm_xor_si128(_mm_loadu_si128(at.cast()), block)) };
}
