//! Poly1305 (RFC 8439 section 2.5), two packets abreast: a block waits for the one before, and two chains fill the wait.
//! Numbers are of 64, 64 and few bits.

/// Packets abreast.
pub(super) const ABREAST: usize = 2;

/// The first block of a packet's key stream: of its 64 bytes 16 are r, and 16 are s.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct OneTime(pub(super) [u8; 64]);

impl OneTime {
    /// Not yet a key.
    pub(super) const ZERO: Self = Self([0; 64]);

    fn number(&self, at: usize) -> u128 {
        self.0[at..at + 16].iter().rev().fold(0, |n, byte| n << 8 | u128::from(*byte))
    }
}

/// What is authenticated, in blocks of 16 bytes.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) aad: [u8; 16],
    /// Padded to whole blocks.
    pub(super) bytes: &'a [u8],
    pub(super) lengths: [u8; 16],
}

impl Text<'_> {
    /// For a place without a packet.
    pub(super) const NONE: Self = Self { aad: [0; 16], bytes: &[], lengths: [0; 16] };
}

/// The sum so far, and the clamped r.
#[derive(Clone, Copy)]
struct State {
    h: [u64; 3],
    r: [u64; 2],
    /// 5/4 of the upper half of r, whose lower two bits are zeros.
    r5: u64,
}

impl State {
    fn new(key: &OneTime) -> Self {
        let r = key.number(0) & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;
        let r = [r as u64, (r >> 64) as u64];
        Self { h: [0; 3], r, r5: r[1] + (r[1] >> 2) }
    }

    /// Add a block and multiply by r.
    #[inline(always)]
    fn block(&mut self, block: [u8; 16]) {
        let wide = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let Self { h, r, r5 } = self;
        let (sum, carry) =
            (u128::from(h[0]) | u128::from(h[1]) << 64).overflowing_add(u128::from_le_bytes(block));
        let (h0, h1, h2) = (sum as u64, (sum >> 64) as u64, h[2] + u64::from(carry) + 1);
        let low = wide(h0, r[0]) + wide(h1, *r5);
        // The top is small, and so are its products; r has its upper bits clear: nothing overflows.
        let middle = wide(h0, r[1]) + wide(h1, r[0]) + u128::from(h2 * *r5) + (low >> 64);
        let top = h2 * r[0] + (middle >> 64) as u64;
        // Four times 2^128 is five, modulo 2^130 - 5.
        let folded = u128::from(low as u64) | u128::from(middle as u64) << 64;
        let (folded, carry) = folded.overflowing_add(u128::from((top >> 2) + (top & !3)));
        *h = [folded as u64, (folded >> 64) as u64, (top & 3) + u64::from(carry)];
    }

    fn tag(&self, key: &OneTime) -> [u8; 16] {
        let sum = u128::from(self.h[0]) | u128::from(self.h[1]) << 64;
        // Minus 2^130 - 5, if that is not negative; chosen without a branch.
        let (less, carry) = sum.overflowing_add(5);
        let reduced = 0u128.wrapping_sub(u128::from((self.h[2] + u64::from(carry)) >> 2 & 1));
        (less & reduced | sum & !reduced).wrapping_add(key.number(16)).to_le_bytes()
    }
}

/// The tags of two texts; there may be but one key, and then the second is of nothing.
pub(super) fn tags(texts: &[Text<'_>; ABREAST], keys: &[OneTime]) -> [[u8; 16]; ABREAST] {
    let keys = [&keys[0], keys.get(1).unwrap_or(&keys[0])];
    let mut states = keys.map(State::new);
    let [a, b] = &mut states;
    a.block(texts[0].aad);
    b.block(texts[1].aad);
    let blocks = [texts[0].bytes.as_chunks::<16>(), texts[1].bytes.as_chunks::<16>()];
    let together = blocks[0].0.len().min(blocks[1].0.len());
    for (x, y) in blocks[0].0.iter().zip(blocks[1].0) {
        a.block(*x);
        b.block(*y);
    }
    for (state, (whole, rest)) in states.iter_mut().zip(blocks) {
        for block in &whole[together..] {
            state.block(*block);
        }
        if !rest.is_empty() {
            let mut block = [0; 16];
            block[..rest.len()].copy_from_slice(rest);
            state.block(block);
        }
    }
    let [a, b] = &mut states;
    a.block(texts[0].lengths);
    b.block(texts[1].lengths);
    [states[0].tag(keys[0]), states[1].tag(keys[1])]
}
