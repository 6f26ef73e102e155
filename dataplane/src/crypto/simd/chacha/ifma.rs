//! Poly1305 of sixteen packets abreast: each 64-bit lane of two registers a packet, its numbers in limbs of 44, 44 and 42
//! bits, multiplied by AVX-512's IFMA. A packet that ends gives its lane to the next one that waits.
//!
//! The arithmetic is written over [`Limbs`], so that a test can run it, and the lanes' bookkeeping, on any CPU.

use std::arch::x86_64::*;

use super::poly::{self, OneTime, Text};

/// Lanes of a register.
const WIDTH: usize = 8;
/// Registers of lanes.
const GROUPS: usize = 2;
const LANES: usize = WIDTH * GROUPS;
/// From so many texts on this is faster than two after two.
pub(super) const WORTH: usize = 4;

const MASK44: u64 = (1 << 44) - 1;
const MASK42: u64 = (1 << 42) - 1;

/// Eight numbers of 64 bits.
trait Limbs: Copy {
    fn all(n: u64) -> Self;
    fn load(from: &[u64; WIDTH]) -> Self;
    fn store(self, to: &mut [u64; WIDTH]);
    /// The lower and the upper halves of eight blocks.
    ///
    /// # Safety
    /// Each pointer has 16 bytes to be read.
    unsafe fn blocks(at: &[*const u8; WIDTH]) -> [Self; 2];
    fn plus(self, b: Self) -> Self;
    fn and(self, b: Self) -> Self;
    fn left<const N: u32>(self) -> Self;
    fn right<const N: u32>(self) -> Self;
    /// Plus the lower 52 bits of the product of the lower 52 bits of each.
    fn plus_low(self, a: Self, b: Self) -> Self;
    /// Plus the upper 52 bits of that product.
    fn plus_high(self, a: Self, b: Self) -> Self;
}

#[derive(Clone, Copy)]
struct Wide(__m512i);

impl Limbs for Wide {
    #[inline(always)]
    fn all(n: u64) -> Self {
        // SAFETY: these values are made only within `run`, which has the features.
        unsafe { Self(_mm512_set1_epi64(n as i64)) }
    }

    #[inline(always)]
    fn load(from: &[u64; WIDTH]) -> Self {
        // SAFETY: as above; eight numbers.
        unsafe { Self(_mm512_loadu_si512(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store(self, to: &mut [u64; WIDTH]) {
        // SAFETY: as above; eight numbers.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), self.0) };
    }

    #[inline(always)]
    unsafe fn blocks(at: &[*const u8; WIDTH]) -> [Self; 2] {
        // SAFETY: the caller's; as above. Lane n of the even lanes' register lies beside lane n of the odd ones'.
        unsafe {
            let four = |n: usize| {
                let x = _mm512_castsi128_si512(_mm_loadu_si128(at[n].cast()));
                let x = _mm512_inserti32x4::<1>(x, _mm_loadu_si128(at[n + 2].cast()));
                let x = _mm512_inserti32x4::<2>(x, _mm_loadu_si128(at[n + 4].cast()));
                _mm512_inserti32x4::<3>(x, _mm_loadu_si128(at[n + 6].cast()))
            };
            let (even, odd) = (four(0), four(1));
            [Self(_mm512_unpacklo_epi64(even, odd)), Self(_mm512_unpackhi_epi64(even, odd))]
        }
    }

    #[inline(always)]
    fn plus(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_add_epi64(self.0, b.0)) }
    }

    #[inline(always)]
    fn and(self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_and_si512(self.0, b.0)) }
    }

    #[inline(always)]
    fn left<const N: u32>(self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_slli_epi64::<N>(self.0)) }
    }

    #[inline(always)]
    fn right<const N: u32>(self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_srli_epi64::<N>(self.0)) }
    }

    #[inline(always)]
    fn plus_low(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_madd52lo_epu64(self.0, a.0, b.0)) }
    }

    #[inline(always)]
    fn plus_high(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm512_madd52hi_epu64(self.0, a.0, b.0)) }
    }
}

/// Limb by limb, lane by lane: the sums, the multipliers, and 20 times their upper limbs.
#[derive(Clone, Copy)]
struct Group {
    h: [[u64; WIDTH]; 3],
    r: [[u64; WIDTH]; 3],
    r20: [[u64; WIDTH]; 3],
}

/// What a lane reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Aad,
    Text,
    Tail,
}

struct Lanes<'a, 't> {
    texts: &'a [Text<'t>],
    keys: &'a [OneTime],
    tags: &'a mut [[u8; 16]],
    groups: [Group; GROUPS],
    phase: [Phase; LANES],
    /// Which text.
    text: [usize; LANES],
    next: [*const u8; LANES],
    /// Blocks left of the phase.
    left: [usize; LANES],
    /// The first text that waits.
    waiting: usize,
}

/// The tags of all texts; as many keys as texts.
pub(super) fn tags(texts: &[Text<'_>], keys: &[OneTime], tags: &mut [[u8; 16]]) {
    // SAFETY: sixteen packets are given to this only where the level is that of AVX-512 with IFMA.
    unsafe { run(texts, keys, tags) };
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512ifma")]
fn run(texts: &[Text<'_>], keys: &[OneTime], tags: &mut [[u8; 16]]) {
    all::<Wide>(texts, keys, tags);
}

#[inline(always)]
fn all<L: Limbs>(texts: &[Text<'_>], keys: &[OneTime], tags: &mut [[u8; 16]]) {
    let nothing = [0u8; 16];
    let zero = Group { h: [[0; WIDTH]; 3], r: [[0; WIDTH]; 3], r20: [[0; WIDTH]; 3] };
    let mut lanes = Lanes {
        texts,
        keys,
        tags,
        groups: [zero; GROUPS],
        phase: [Phase::Idle; LANES],
        text: [0; LANES],
        next: [nothing.as_ptr(); LANES],
        left: [0; LANES],
        waiting: 0,
    };
    while let Some(steps) = lanes.advance() {
        let mut stride = [16; LANES];
        for lane in 0..LANES {
            if lanes.left[lane] == 0 {
                // It goes over one block again and again, and nobody looks at what it makes of it.
                (lanes.next[lane], stride[lane]) = (nothing.as_ptr(), 0);
            }
        }
        // SAFETY: each lane with work has so many blocks left of what `advance` pointed it to, which the texts keep;
        // the others stay where they are.
        unsafe { blocks::<L>(&mut lanes.groups, &mut lanes.next, &stride, steps) };
        for left in lanes.left.iter_mut().filter(|left| **left > 0) {
            *left -= steps;
        }
    }
}

impl Lanes<'_, '_> {
    /// Lanes that are through with a phase begin the next; the blocks that the shortest has left then.
    fn advance(&mut self) -> Option<usize> {
        let mut steps = usize::MAX;
        for lane in 0..LANES {
            while self.left[lane] == 0 && self.next_phase(lane) {}
            if self.left[lane] > 0 {
                steps = steps.min(self.left[lane]);
            }
        }
        (steps < usize::MAX).then_some(steps)
    }

    /// False when there is none.
    fn next_phase(&mut self, lane: usize) -> bool {
        match self.phase[lane] {
            Phase::Idle => {
                let Some(text) = self.texts.get(self.waiting) else { return false };
                self.begin(lane);
                self.text[lane] = self.waiting;
                self.waiting += 1;
                (self.next[lane], self.left[lane]) = (text.aad.as_ptr(), 1);
                self.phase[lane] = Phase::Aad;
            }
            Phase::Aad => {
                let text = &self.texts[self.text[lane]];
                (self.next[lane], self.left[lane]) = (text.whole.as_ptr().cast(), text.whole.len());
                self.phase[lane] = Phase::Text;
            }
            Phase::Text => {
                let text = &self.texts[self.text[lane]];
                (self.next[lane], self.left[lane]) = (text.tail.as_ptr().cast(), text.tail_blocks);
                self.phase[lane] = Phase::Tail;
            }
            Phase::Tail => {
                let text = self.text[lane];
                let h = self.groups[lane / WIDTH].h.map(|limb| limb[lane % WIDTH]);
                self.tags[text] = poly::tag(sum(h), &self.keys[text]);
                self.phase[lane] = Phase::Idle;
            }
        }
        true
    }

    /// A lane gets the key of the next text.
    fn begin(&mut self, lane: usize) {
        let (group, place) = (&mut self.groups[lane / WIDTH], lane % WIDTH);
        let r = self.keys[self.waiting].clamped();
        let limbs = [r as u64 & MASK44, (r >> 44) as u64 & MASK44, (r >> 88) as u64];
        for (n, limb) in limbs.into_iter().enumerate() {
            group.h[n][place] = 0;
            group.r[n][place] = limb;
            group.r20[n][place] = 20 * limb;
        }
    }
}

/// From limbs that are nearly reduced to 64, 64 and few bits.
fn sum(h: [u64; 3]) -> [u64; 3] {
    let low = u128::from(h[0]) + (u128::from(h[1]) << 44);
    let (low, carry) = low.overflowing_add(u128::from(h[2]) << 88);
    let high = (h[2] >> 40) + u64::from(carry);
    // What is above 2^130 comes back five times.
    let (low, carry) = low.overflowing_add(u128::from(5 * (high >> 2)));
    [low as u64, (low >> 64) as u64, (high & 3) + u64::from(carry)]
}

/// `steps` blocks of each lane.
///
/// # Safety
/// Each pointer has so many blocks, a `stride` apart.
#[inline(always)]
unsafe fn blocks<L: Limbs>(
    groups: &mut [Group; GROUPS],
    next: &mut [*const u8; LANES],
    stride: &[usize; LANES],
    steps: usize,
) {
    let mut h = [[L::all(0); 3]; GROUPS];
    let mut keys = [[[L::all(0); 3]; 2]; GROUPS];
    for g in 0..GROUPS {
        for n in 0..3 {
            h[g][n] = L::load(&groups[g].h[n]);
            keys[g][0][n] = L::load(&groups[g].r[n]);
            keys[g][1][n] = L::load(&groups[g].r20[n]);
        }
    }
    for _ in 0..steps {
        for (g, next) in next.as_chunks::<WIDTH>().0.iter().enumerate() {
            // SAFETY: the caller's.
            let [low, high] = unsafe { L::blocks(next) };
            block(&mut h[g], low, high, &keys[g]);
        }
        for (next, stride) in next.iter_mut().zip(stride) {
            *next = next.wrapping_add(*stride);
        }
    }
    for g in 0..GROUPS {
        for n in 0..3 {
            h[g][n].store(&mut groups[g].h[n]);
        }
    }
}

/// Add a block to each sum and multiply it.
#[inline(always)]
fn block<L: Limbs>(h: &mut [L; 3], low: L, high: L, keys: &[[L; 3]; 2]) {
    let [r, r20] = keys;
    let (mask44, mask42) = (L::all(MASK44), L::all(MASK42));
    let middle = low.right::<44>().plus(high.left::<20>()).and(mask44);
    let top = high.right::<24>().plus(L::all(1 << 40));
    let [a, b, c] = [h[0].plus(low.and(mask44)), h[1].plus(middle), h[2].plus(top)];
    let zero = L::all(0);
    macro_rules! sums {
        ($of:ident) => {
            [
                zero.$of(a, r[0]).$of(b, r20[2]).$of(c, r20[1]),
                zero.$of(a, r[1]).$of(b, r[0]).$of(c, r20[2]),
                zero.$of(a, r[2]).$of(b, r[1]).$of(c, r[0]),
            ]
        };
    }
    let (lows, highs) = (sums!(plus_low), sums!(plus_high));
    // Upper parts are worth 2^52: 2^8 of the next limb.
    let one = lows[1].plus(highs[0].left::<8>()).plus(lows[0].right::<44>());
    let two = lows[2].plus(highs[1].left::<8>()).plus(one.right::<44>());
    // And above 2^130 whatever comes back five times.
    let over = two.right::<42>().plus(highs[2].left::<10>());
    let zeroth = lows[0].and(mask44).plus(over).plus(over.left::<2>());
    h[0] = zeroth.and(mask44);
    h[1] = one.and(mask44).plus(zeroth.right::<44>());
    h[2] = two.and(mask42);
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Limbs for [u64; WIDTH] {
        fn all(n: u64) -> Self {
            [n; WIDTH]
        }

        fn load(from: &Self) -> Self {
            *from
        }

        fn store(self, to: &mut Self) {
            *to = self;
        }

        unsafe fn blocks(at: &[*const u8; WIDTH]) -> [Self; 2] {
            // SAFETY: the caller's.
            let blocks = at.map(|at| unsafe { at.cast::<[u64; 2]>().read_unaligned() });
            [blocks.map(|block| block[0]), blocks.map(|block| block[1])]
        }

        fn plus(self, b: Self) -> Self {
            std::array::from_fn(|n| self[n] + b[n])
        }

        fn and(self, b: Self) -> Self {
            std::array::from_fn(|n| self[n] & b[n])
        }

        fn left<const N: u32>(self) -> Self {
            self.map(|n| n << N)
        }

        fn right<const N: u32>(self) -> Self {
            self.map(|n| n >> N)
        }

        fn plus_low(self, a: Self, b: Self) -> Self {
            self.plus(std::array::from_fn(|n| (product(a[n], b[n]) & ((1 << 52) - 1)) as u64))
        }

        fn plus_high(self, a: Self, b: Self) -> Self {
            self.plus(std::array::from_fn(|n| (product(a[n], b[n]) >> 52) as u64))
        }
    }

    /// No operand may have more than the 52 bits that the instruction looks at.
    fn product(a: u64, b: u64) -> u128 {
        assert!(a < 1 << 52 && b < 1 << 52);
        u128::from(a) * u128::from(b)
    }

    /// Against the other way of doing it: any number of texts, lengths, and keys and texts of ones only.
    #[test]
    fn lanes_make_the_tags_that_two_abreast_make() {
        let mut n = 1u64;
        let mut byte = move || {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (n >> 56) as u8
        };
        for count in 0..40 {
            let mut keys = vec![OneTime::ZERO; count];
            let mut bytes = vec![vec![]; count];
            for (i, (key, bytes)) in keys.iter_mut().zip(&mut bytes).enumerate() {
                let most = if i % 3 == 0 { 700 } else { 50 };
                bytes.resize_with(usize::from(byte()) * most / 255, &mut byte);
                key.0.fill_with(&mut byte);
                if i % 5 == 4 {
                    key.0.fill(0xff);
                    bytes.fill(0xff);
                }
            }
            let texts: Vec<Text<'_>> = bytes.iter().map(|bytes| Text::new([0xff; 16], 16, bytes)).collect();
            let mut found = vec![[0; 16]; count];
            all::<[u64; WIDTH]>(&texts, &keys, &mut found);
            let mut expected = vec![[0; 16]; count];
            poly::tags(&texts, &keys, &mut expected);
            assert_eq!(found, expected);
        }
    }
}
