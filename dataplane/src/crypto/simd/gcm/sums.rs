//! GHASH's products while they are not yet reduced: three of halves for each block (Karatsuba), since it is products that
//! the CPUs have the fewest ports for.

use std::arch::x86_64::__m128i;

use super::super::wide::Wide;

/// The polynomial without its highest and lowest bit, backwards.
const POLYNOMIAL: u64 = 0xc200_0000_0000_0000;

/// Sums of products of 256 bits: of the high halves, of the low ones, and of each factor's halves added.
#[derive(Clone, Copy)]
pub(super) struct Sums<V> {
    high: V,
    low: V,
    middle: V,
}

impl<V: Wide> Sums<V> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { high: V::zero(), low: V::zero(), middle: V::zero() }
    }

    /// Of some packets, each one's in a place of its own.
    #[inline(always)]
    pub(super) fn joined(of: &[Self]) -> Self {
        let mut parts = [[V::zero(); 4]; 3];
        for (n, sums) in of.iter().enumerate() {
            (parts[0][n], parts[1][n], parts[2][n]) = (sums.high, sums.low, sums.middle);
        }
        let n = of.len();
        Self { high: V::sums(&parts[0][..n]), low: V::sums(&parts[1][..n]), middle: V::sums(&parts[2][..n]) }
    }

    /// Add each block times its power. The multiplications stand together, as each is a few of the CPU's own steps, which
    /// are fetched apart from other instructions.
    #[inline(always)]
    pub(super) fn add(&mut self, blocks: V, powers: V) {
        self.add_prepared(blocks, powers, powers.xor(powers.swapped()));
    }

    /// The same with the powers' halves added before.
    #[inline(always)]
    pub(super) fn add_prepared(&mut self, blocks: V, powers: V, added: V) {
        let blocks_added = blocks.xor(blocks.swapped());
        let middle = blocks_added.product::<0x00>(added).pinned();
        let low = blocks.product::<0x00>(powers).pinned();
        let high = blocks.product::<0x11>(powers).pinned();
        self.middle = self.middle.xor(middle).pinned();
        self.low = self.low.xor(low).pinned();
        self.high = self.high.xor(high).pinned();
    }

    /// Add blocks that have only a low half, as a count of bits, times their powers.
    #[inline(always)]
    pub(super) fn add_low_halves(&mut self, halves: V, powers: V) {
        self.low = self.low.xor(halves.product::<0x00>(powers));
        self.middle = self.middle.xor(halves.product::<0x00>(powers.xor(powers.swapped())));
    }

    /// Each place modulo the polynomial.
    #[inline(always)]
    pub(super) fn reduced(self) -> V {
        let polynomial = V::splat(POLYNOMIAL);
        let middle = self.middle.xor3(self.high, self.low);
        let middle = middle.xor3(self.low.swapped(), self.low.product::<0x00>(polynomial));
        self.high.xor3(middle.swapped(), middle.product::<0x00>(polynomial))
    }

    /// All of it, modulo the polynomial.
    #[inline(always)]
    pub(super) fn reduce(self) -> __m128i {
        self.reduced().sum()
    }
}
