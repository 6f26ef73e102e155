//! Poly1305 (RFC 8439 section 2.5), two packets abreast: a block waits for the one before, and two chains fill the wait.
//! Numbers are of 64, 64 and few bits.

/// The first block of a packet's key stream: of its 64 bytes 16 are r, and 16 are s.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(super) struct OneTime(pub(super) [u8; 64]);

impl OneTime {
    /// Not yet a key.
    pub(super) const ZERO: Self = Self([0; 64]);

    /// The first half, without the bits that r has not.
    pub(super) fn clamped(&self) -> u128 {
        self.number(0) & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff
    }

    fn number(&self, at: usize) -> u128 {
        self.0[at..at + 16].iter().rev().fold(0, |n, byte| n << 8 | u128::from(*byte))
    }
}

/// What is authenticated, in blocks of 16 bytes.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) aad: [u8; 16],
    pub(super) whole: &'a [[u8; 16]],
    /// What is left, padded, if anything is; then the lengths.
    pub(super) tail: [[u8; 16]; 2],
    pub(super) tail_blocks: usize,
}

impl<'a> Text<'a> {
    /// For a place without a packet.
    pub(super) const NONE: Self = Self { aad: [0; 16], whole: &[], tail: [[0; 16]; 2], tail_blocks: 0 };

    /// So many bytes of additional data, and the text.
    pub(super) fn new(aad: [u8; 16], aad_len: u64, bytes: &'a [u8]) -> Self {
        let (whole, rest) = bytes.as_chunks::<16>();
        let lengths = u128::from(aad_len) | (bytes.len() as u128) << 64;
        let mut tail = [lengths.to_le_bytes(); 2];
        if !rest.is_empty() {
            tail[0] = [0; 16];
            tail[0][..rest.len()].copy_from_slice(rest);
        }
        Self { aad, whole, tail, tail_blocks: if rest.is_empty() { 1 } else { 2 } }
    }
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
        let r = key.clamped();
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
}

/// The tag that a sum of 64, 64 and few bits comes to.
pub(super) fn tag(h: [u64; 3], key: &OneTime) -> [u8; 16] {
    let sum = u128::from(h[0]) | u128::from(h[1]) << 64;
    // Minus 2^130 - 5, if that is not negative; chosen without a branch.
    let (less, carry) = sum.overflowing_add(5);
    let reduced = 0u128.wrapping_sub(u128::from((h[2] + u64::from(carry)) >> 2 & 1));
    (less & reduced | sum & !reduced).wrapping_add(key.number(16)).to_le_bytes()
}

/// The tags of all texts; as many keys as texts.
pub(super) fn tags(texts: &[Text<'_>], keys: &[OneTime], tags: &mut [[u8; 16]]) {
    for ((texts, keys), tags) in texts.chunks(2).zip(keys.chunks(2)).zip(tags.chunks_mut(2)) {
        match (texts, keys, tags) {
            ([a, b], [k, l], [s, t]) => [*s, *t] = two([a, b], [k, l]),
            ([a], [k, ..], [s, ..]) => [*s, _] = two([a, &Text::NONE], [k, k]),
            _ => {}
        }
    }
}

fn two(texts: [&Text<'_>; 2], keys: [&OneTime; 2]) -> [[u8; 16]; 2] {
    let mut states = keys.map(State::new);
    let [a, b] = &mut states;
    a.block(texts[0].aad);
    b.block(texts[1].aad);
    let together = texts[0].whole.len().min(texts[1].whole.len());
    for (x, y) in texts[0].whole.iter().zip(texts[1].whole) {
        a.block(*x);
        b.block(*y);
    }
    for (state, text) in states.iter_mut().zip(texts) {
        for block in text.whole[together..].iter().chain(&text.tail[..text.tail_blocks]) {
            state.block(*block);
        }
    }
    [tag(states[0].h, keys[0]), tag(states[1].h, keys[1])]
}
