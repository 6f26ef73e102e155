//! Poly1305 (RFC 8439 section 2.5), two packets abreast: a block waits for the one before, and two chains fill the wait.
//! Numbers are of 64, 64 and few bits. It is done in steps that anything else may be done between: `cipher` takes
//! them along with its rounds, as one uses the CPU's integers and the other its vectors.

use std::arch::x86_64::__m256i;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::ROUND;

/// The bits that r may have.
pub(super) const CLAMP: u128 = 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;

/// The first bytes of a packet's key stream: r, then s.
#[repr(C, align(32))]
#[derive(Clone, Copy)]
pub(super) struct OneTime(pub(super) [u8; 32]);

impl OneTime {
    /// Not yet a key.
    pub(super) const ZERO: Self = Self([0; 32]);

    /// The first half, without the bits that r has not.
    #[inline(always)]
    pub(super) fn clamped(&self) -> u128 {
        self.half(0) & CLAMP
    }

    #[inline(always)]
    fn half(&self, n: usize) -> u128 {
        let (halves, _) = self.0.as_chunks::<16>();
        u128::from_le_bytes(halves[n])
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
    /// So many bytes of additional data, and the text.
    #[inline]
    pub(super) fn new(aad: [u8; 16], aad_len: u64, bytes: &'a [u8]) -> Self {
        let (whole, rest) = bytes.as_chunks::<16>();
        let lengths = u128::from(aad_len) | (bytes.len() as u128) << 64;
        let mut tail = [lengths.to_le_bytes(); 2];
        if !rest.is_empty() {
            tail[0] = match bytes.last_chunk::<16>() {
                Some(last) => (u128::from_le_bytes(*last) >> (8 * (16 - rest.len()))).to_le_bytes(),
                None => {
                    let mut padded = [0; 16];
                    padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                    padded
                }
            };
        }
        Self { aad, whole, tail, tail_blocks: if rest.is_empty() { 1 } else { 2 } }
    }
}

/// What a chain reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Aad,
    Whole,
    Tail,
}

/// The sum so far, and the clamped r.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Sum {
    pub(super) h: [u64; 3],
    /// 5/4 of the upper half of r, whose lower two bits are zeros.
    r5: u64,
    pub(super) r: [u64; 2],
}

impl Sum {
    /// Of nothing, and without a key.
    pub(super) const NONE: Self = Self { h: [0; 3], r: [0; 2], r5: 0 };

    /// When r is there, and before the first block.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.r5 = self.r[1] + (self.r[1] >> 2);
    }

    /// Add a block and multiply by r.
    #[inline(always)]
    pub(super) fn block(&mut self, block: [u8; 16]) {
        let wide = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let Self { h, r5, r } = self;
        let (sum, carry) =
            (u128::from(h[0]) | u128::from(h[1]) << 64).overflowing_add(u128::from_le_bytes(block));
        let (h0, h1, h2) = (sum as u64, (sum >> 64) as u64, h[2] + u64::from(carry) + 1);
        // In this order: a multiplication has one factor in a register that is always the same.
        let (low, high) = (wide(h0, r[0]), wide(h0, r[1]));
        let (low, high) = (low + wide(h1, *r5), high + wide(h1, r[0]));
        // The top is small, and so are its products; r has its upper bits clear: nothing overflows.
        let middle = high + u128::from(h2 * *r5) + (low >> 64);
        let top = h2 * r[0] + (middle >> 64) as u64;
        // Four times 2^128 is five, modulo 2^130 - 5.
        let folded = u128::from(low as u64) | u128::from(middle as u64) << 64;
        let (folded, carry) = folded.overflowing_add(u128::from((top >> 2) * 5));
        *h = [folded as u64, (folded >> 64) as u64, (top & 3) + u64::from(carry)];
    }
}

/// Where the cipher keeps what finds no register.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Spare(pub(super) [__m256i; 4]);

impl Spare {
    /// With nothing in it.
    pub(super) const fn new() -> Self {
        // SAFETY: numbers, of which zero is one.
        unsafe { std::mem::zeroed() }
    }
}

/// What makes steps beside the rounds of the cipher.
pub(super) trait Steps {
    /// It lies at the beginning of all this: its address, which the cipher's assembler has, is one more that need not be
    /// kept, and makes it plain that nothing else of this need be kept in registers meanwhile.
    fn spare(&mut self) -> &mut Spare;
    /// A block of one chain, if it has one. Without a call or a panic, so that it can stand amid vector code.
    fn step<const CHAIN: usize>(&mut self);
}

/// A sum under way.
#[derive(Clone, Copy)]
struct Chain {
    sum: Sum,
    /// The next block of the phase, and how many are left.
    next: *const [u8; 16],
    left: usize,
    phase: Phase,
    /// Which text.
    text: usize,
}

impl Chain {
    const IDLE: Self = Self { sum: Sum::NONE, next: std::ptr::null(), left: 0, phase: Phase::Idle, text: 0 };

    fn begin(&mut self, text: usize, key: &OneTime) {
        let r = key.clamped();
        self.sum = Sum { h: [0; 3], r5: 0, r: [r as u64, (r >> 64) as u64] };
        self.sum.begin();
        self.text = text;
    }

    #[inline(always)]
    fn read(&mut self, phase: Phase, next: *const [u8; 16], left: usize) {
        (self.phase, self.next, self.left) = (phase, next, left);
    }
}

/// Chains, each with a text of its own.
const CHAINS: usize = 2;

/// Where the texts of a round lie: apart from the sums, as chains point into them.
pub(super) struct Room<'a>([MaybeUninit<Text<'a>>; ROUND]);

impl Room<'_> {
    pub(super) const fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; ROUND])
    }
}

/// The sums of the texts of a round, a step at a time.
#[repr(C)]
pub(super) struct Sums<'a> {
    spare: Spare,
    /// In a room that is lent to it. They are reached by this pointer alone, and none is changed once it is there.
    texts: *mut Text<'a>,
    /// How many there are.
    given: usize,
    _room: PhantomData<&'a mut [Text<'a>]>,
    /// As many keys; those of texts that are not there yet may still have to be made.
    pub(super) keys: [OneTime; ROUND],
    sums: [[u64; 3]; ROUND],
    /// Texts that a chain has taken.
    taken: usize,
    /// Blocks of the others.
    untaken: usize,
    /// A bit for each text whose sum there is.
    done: u64,
    chains: [Chain; CHAINS],
}

impl<'a> Sums<'a> {
    pub(super) fn new(room: &'a mut Room<'a>) -> Self {
        Self {
            spare: Spare::new(),
            texts: room.0.as_mut_ptr().cast(),
            given: 0,
            _room: PhantomData,
            keys: [OneTime::ZERO; ROUND],
            sums: [[0; 3]; ROUND],
            taken: 0,
            untaken: 0,
            done: 0,
            chains: [Chain::IDLE; CHAINS],
        }
    }

    /// The next text, whose key there is; a round has no more than there is room for.
    #[inline]
    pub(super) fn give(&mut self, text: Text<'a>) {
        assert!(self.given < ROUND);
        self.untaken += text.whole.len() + text.tail_blocks + 1;
        // SAFETY: a place in the room, which has no text yet.
        unsafe { self.texts.add(self.given).write(text) };
        self.given += 1;
    }

    /// All texts that are there.
    pub(super) fn texts(&self) -> &[Text<'a>] {
        // SAFETY: so many were written.
        unsafe { std::slice::from_raw_parts(self.texts, self.given) }
    }

    #[inline(always)]
    fn text(&self, n: usize) -> Option<*const Text<'a>> {
        // SAFETY: within the room.
        (n < self.given).then(|| unsafe { self.texts.add(n).cast_const() })
    }

    /// Blocks that wait, but for those around a text that a chain has.
    pub(super) fn waiting(&self) -> usize {
        self.chains.iter().map(|chain| chain.left).sum::<usize>() + self.untaken
    }

    /// The one-time key of a text.
    #[inline(always)]
    pub(super) fn key(&mut self, text: usize) -> &mut OneTime {
        &mut self.keys[text % ROUND]
    }

    /// A chain that is through with a phase begins the next. False when no text waits.
    #[inline(always)]
    fn advance(&mut self, n: usize) -> bool {
        let chain = &mut self.chains[n];
        if chain.phase == Phase::Tail {
            self.sums[chain.text % ROUND] = chain.sum.h;
            self.done |= 1 << (chain.text % ROUND);
            chain.phase = Phase::Idle;
        }
        let (idle, at) = (chain.phase == Phase::Idle, chain.text);
        let Some(text) = self.text(if idle { self.taken } else { at }) else { return false };
        let chain = &mut self.chains[n];
        // SAFETY: a text that was given; its parts are pointed to without a reference to the whole.
        unsafe {
            let (aad, tail) = (&raw const (*text).aad, (&raw const (*text).tail).cast());
            let (whole, tail_blocks) = ((*text).whole, (*text).tail_blocks);
            if idle {
                chain.begin(self.taken, &self.keys[self.taken % ROUND]);
                chain.read(Phase::Aad, aad, 1);
                self.taken += 1;
                self.untaken -= whole.len() + tail_blocks + 1;
            } else if chain.phase == Phase::Aad && !whole.is_empty() {
                chain.read(Phase::Whole, whole.as_ptr(), whole.len());
            } else {
                chain.read(Phase::Tail, tail, tail_blocks);
            }
        }
        true
    }

    /// The tag of a text that was given.
    #[inline]
    pub(super) fn tag(&mut self, text: usize) -> u128 {
        while self.done >> text & 1 == 0 {
            self.step::<0>();
            self.step::<1>();
        }
        number(self.sums[text], self.keys[text].half(1))
    }
}

impl Steps for Sums<'_> {
    #[inline(always)]
    fn spare(&mut self) -> &mut Spare {
        &mut self.spare
    }

    #[inline(always)]
    fn step<const CHAIN: usize>(&mut self) {
        if self.chains[CHAIN].left == 0 && !self.advance(CHAIN) {
            return;
        }
        let chain = &mut self.chains[CHAIN];
        // SAFETY: so many blocks are left of what `advance` pointed it to: the text's, or parts of it in the room.
        let block = unsafe { *chain.next };
        chain.next = chain.next.wrapping_add(1);
        chain.left -= 1;
        chain.sum.block(block);
    }
}

/// The tag that a sum of 64, 64 and few bits comes to.
pub(super) fn tag(h: [u64; 3], key: &OneTime) -> [u8; 16] {
    number(h, key.half(1)).to_le_bytes()
}

/// The same as a number, lowest byte first; of the upper half of the one-time key.
#[inline(always)]
pub(super) fn number(h: [u64; 3], s: u128) -> u128 {
    let sum = u128::from(h[0]) | u128::from(h[1]) << 64;
    // Minus 2^130 - 5, if that is not negative: plus 5, without what is above 2^128.
    let carry = sum.overflowing_add(5).1;
    let over = (h[2] + u64::from(carry)) >> 2;
    sum.wrapping_add(u128::from(over * 5)).wrapping_add(s)
}

/// The tags of all texts; as many keys as texts.
#[cfg(test)]
pub(super) fn tags(texts: &[Text<'_>], keys: &[OneTime], tags: &mut [[u8; 16]]) {
    for ((texts, keys), tags) in texts.chunks(ROUND).zip(keys.chunks(ROUND)).zip(tags.chunks_mut(ROUND)) {
        let mut room = Room::new();
        let mut sums = Sums::new(&mut room);
        sums.keys[..keys.len()].copy_from_slice(keys);
        texts.iter().for_each(|text| sums.give(*text));
        tags.iter_mut().enumerate().for_each(|(n, tag)| *tag = sums.tag(n).to_le_bytes());
    }
}
