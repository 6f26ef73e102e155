//! GHASH's products while they are not yet reduced (see `key` for what is multiplied by what).

use std::arch::x86_64::__m128i;

use super::super::wide::Wide;

/// The polynomial without its highest and lowest bit, backwards.
const POLYNOMIAL: u64 = 0xc200_0000_0000_0000;

/// Sums of products of 192 bits: the lower 128 of them, and the upper 128.
#[derive(Clone, Copy)]
pub(super) struct Sums<V> {
    lower: V,
    upper: V,
}

impl<V: Wide> Sums<V> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { lower: V::zero(), upper: V::zero() }
    }

    /// Only the low half of one block, and the power for it: what a count of bits is.
    #[inline(always)]
    pub(super) fn of_low_half(half: V, low: V) -> Self {
        Self { lower: half.product::<0x00>(low), upper: half.product::<0x10>(low) }
    }

    /// Add each block times its power.
    #[inline(always)]
    pub(super) fn add(&mut self, blocks: V, high: V, low: V) {
        self.lower = self.lower.xor3(blocks.product::<0x01>(high), blocks.product::<0x00>(low));
        self.upper = self.upper.xor3(blocks.product::<0x11>(high), blocks.product::<0x10>(low));
    }

    /// All of it, modulo the polynomial.
    #[inline(always)]
    pub(super) fn reduce(self) -> __m128i {
        let folded = self.lower.product::<0x00>(V::splat(POLYNOMIAL));
        self.upper.xor3(self.lower.swapped(), folded).sum()
    }
}
