//! A key of AES-GCM: the powers of H, the round keys, and the states of the counters after AES's first round.
//!
//! What a short packet needs lies together, so that a key that is not in the nearest cache costs as few lines as can be:
//! the lowest powers, the salt with the first round key, the others (with AES-128 five lines of 64 bytes for six blocks and
//! the lengths', six for ten).
//!
//! **First round.** Its bytes do not mix until they are added, so that what the counter makes of them is the same for
//! all packets of the key, and what the nonce makes of them is the same for all blocks of the packet:
//! state = (of the nonce, with the second round key) + (of the counter). Only the widest registers have a table of that: the
//! others have time for the round, and so touch less.

use std::arch::x86_64::*;

use zeroize::Zeroize;

use super::super::aes::{ROUND_KEYS_MAX, RoundKeys};
use super::super::cpu;
use super::super::wide::{Kernel, One, Wide};
use super::BACKWARDS;
use super::sums::Sums;
use crate::mem::{prefetch, prefetch_line, prefetch_lines};

/// Powers of H, and so the blocks between two reductions.
pub(super) const POWERS: usize = 100;
/// The largest count of registers that a long packet begins at once has so many blocks.
const SPARE: usize = 16;

/// A key for both directions. Zeroised on drop.
#[repr(C, align(64))]
pub(in super::super::super) struct GcmKey {
    /// The salt, and a counter of zero.
    pub(super) salt: u128,
    first_round_key: u128,
    /// What counters 1, 2, … add to the state after the first round. The last are only read. For the widest registers.
    states: Box<[Line]>,
    /// H to the hundredth, and so on down to H. Windows may run over the end, with blocks that are zero.
    powers: [u128; POWERS],
    /// What the length of the additional data is for GHASH, in the order of the tag.
    pub(super) aad_len: u128,
    pub(super) rounds: u64,
    /// 1 with ESN, else 0.
    pub(super) esn: u64,
    /// Of which the first has the salt added.
    round_keys: [u128; ROUND_KEYS_MAX],
}

/// Four blocks that no load of a register finds in two lines.
#[derive(Clone)]
#[repr(align(64))]
struct Line([u128; 4]);

/// What a short packet needs begins a line. A key is an even number of lines: where an allocator adds one, keys one behind
/// the other are an odd number apart, and do not all fall into the same few sets of the caches.
const _: () = assert!((size_of::<GcmKey>() / 64).is_multiple_of(2));
const _: () = assert!((std::mem::offset_of!(GcmKey, powers) + 16 * (POWERS - 7)).is_multiple_of(64));

/// Counters 1, 2, … as they stand in a block whose other bytes are zero.
static COUNTERS: [[u8; 16]; POWERS + SPARE] = {
    let mut counters = [[0; 16]; POWERS + SPARE];
    let mut n = 0;
    while n < counters.len() {
        counters[n][15] = n as u8 + 1;
        n += 1;
    }
    counters
};

impl Drop for GcmKey {
    fn drop(&mut self) {
        self.salt.zeroize();
        self.first_round_key.zeroize();
        self.powers.zeroize();
        self.aad_len.zeroize();
        self.round_keys.zeroize();
        self.states.iter_mut().for_each(|line| line.0.zeroize());
    }
}

impl GcmKey {
    /// `key` is the cipher's key, then the salt. `esn`: whether the high half of sequence numbers is authenticated.
    pub(in super::super) fn new(key: &[u8], esn: bool) -> Option<Self> {
        let (key, salt) = key.split_last_chunk::<4>()?;
        let aes = RoundKeys::encryption(key)?;
        let salt = u128::from(u32::from_le_bytes(*salt));
        let mut round_keys = aes.keys.map(u128::from_le_bytes);
        let first_round_key = round_keys[0];
        round_keys[0] ^= salt;
        // Tests have stand-ins for the widest registers.
        let widest = cfg!(test) || cpu::level() == cpu::Level::Avx512;
        let states = if widest { (POWERS + SPARE) / 4 } else { 0 };
        let mut made = Self {
            salt,
            first_round_key,
            states: vec![Line([0; 4]); states].into_boxed_slice(),
            powers: [0; POWERS],
            aad_len: 0,
            rounds: aes.rounds as u64,
            esn: u64::from(esn),
            round_keys,
        };
        // SAFETY: keys of this engine are made only where `covers` found AES and carry-less multiplication.
        unsafe { One::call(Raise { key: &mut made }) };
        Some(made)
    }

    /// A round key in each place; not that before the first round.
    #[inline(always)]
    pub(super) fn round_key<V: Wide>(&self, n: usize) -> V {
        V::broadcast(self.one_round_key(n))
    }

    /// The one before the first round, in each place.
    #[inline(always)]
    pub(super) fn first_round_key<V: Wide>(&self) -> V {
        V::broadcast(load(&self.first_round_key))
    }

    /// Not that before the first round.
    #[inline(always)]
    pub(super) fn one_round_key(&self, n: usize) -> __m128i {
        debug_assert!(n > 0);
        load(&self.round_keys[n])
    }

    /// A packet's blocks without their counters, the first round key added; `head` is the packet's first 16 bytes, with
    /// the IV in the second half.
    #[inline(always)]
    pub(super) fn nonce(&self, head: __m128i) -> __m128i {
        // SAFETY: of kernels, where the instructions are.
        unsafe { _mm_xor_si128(_mm_shuffle_epi8(head, Self::nonce_places()), self.salted()) }
    }

    /// Where a packet's first bytes are in its blocks: none in the salt's place, the IV, none in the counter's.
    #[inline(always)]
    pub(super) fn nonce_places() -> __m128i {
        // SAFETY: every CPU of the architecture has the instruction.
        unsafe { _mm_set_epi64x(0x8080_8080_0f0e_0d0c_u64 as i64, 0x0b0a_0908_8080_8080_u64 as i64) }
    }

    /// The salt, and the first round key added.
    #[inline(always)]
    pub(super) fn salted(&self) -> __m128i {
        load(&self.round_keys[0])
    }

    /// What the counters from `n` + 1 on add to the state after the first round.
    #[inline(always)]
    pub(super) fn counters<V: Wide>(&self, n: usize) -> V {
        if V::BLOCKS < 4 {
            let (key, zero) = (self.first_round_key::<V>(), V::zero());
            return counters::<V>(n).xor(key).aes(zero).xor(key.aes(zero));
        }
        debug_assert!(n + V::BLOCKS <= 4 * self.states.len());
        // SAFETY: within the table, which keys have where there are such registers.
        unsafe { V::load(self.states.as_ptr().cast::<u128>().add(n).cast()) }
    }

    /// What the block of lengths adds to a tag, of a text of so many bits.
    #[inline(always)]
    pub(super) fn lengths(&self, bits: __m128i) -> __m128i {
        let mut sums = Sums::<One>::new();
        sums.add_low_halves(One::lowest(bits), One::lowest(self.last_power()));
        // SAFETY: of kernels, where the instructions are; orders have the bytes of the widest register.
        unsafe {
            let order = _mm_loadu_si128(BACKWARDS.as_ptr().cast());
            _mm_xor_si128(_mm_shuffle_epi8(sums.reduce(), order), load(&self.aad_len))
        }
    }

    /// Where the powers of a short packet begin.
    #[inline(always)]
    pub(super) fn origin(len: usize) -> usize {
        POWERS - 1 - len.div_ceil(16)
    }

    /// What all blocks of a packet have in common when `first_round` begins.
    #[inline(always)]
    pub(super) fn begin<V: Wide>(&self, head: __m128i) -> V {
        let nonce = self.nonce(head);
        match V::BLOCKS < 4 {
            true => V::broadcast(nonce),
            // SAFETY: of kernels, where the instruction is.
            false => V::broadcast(unsafe { _mm_aesenc_si128(nonce, self.one_round_key(1)) }),
        }
    }

    /// The states of the counters from `n` + 1 on after the first round.
    #[inline(always)]
    pub(super) fn first_round<V: Wide>(&self, begun: V, n: usize) -> V {
        match V::BLOCKS < 4 {
            true => begun.xor(counters(n)).aes(self.round_key(1)),
            false => begun.xor(self.counters(n)),
        }
    }

    /// The powers from the `n`th on.
    #[inline(always)]
    pub(super) fn powers<V: Wide>(&self, n: usize) -> V {
        debug_assert!(n < POWERS);
        // SAFETY: at most three blocks behind the powers, and there is more than that of the key.
        unsafe {
            let powers = std::mem::offset_of!(Self, powers) + 16 * n;
            V::load(std::ptr::from_ref(self).cast::<u8>().add(powers))
        }
    }

    /// Fetch the first line of what a short packet needs: with it the page.
    #[inline(always)]
    pub(in super::super) fn prefetch_first(&self) {
        prefetch(&self.powers[POWERS - 7]);
    }

    /// Fetch what a short packet needs: five lines, six with a larger key.
    #[inline(always)]
    pub(in super::super) fn prefetch(&self) {
        prefetch_lines::<6, _>(&self.powers[POWERS - 7]);
    }

    /// Fetch where the table of first rounds is, for registers that read it.
    #[inline(always)]
    pub(super) fn prefetch_table<V: Wide>(&self) {
        if V::BLOCKS >= 4 {
            prefetch(&self.states);
        }
    }

    /// Fetch what a packet of so many blocks needs, 16 at most. `larger`: a key of more than 128 bits.
    #[inline(always)]
    pub(super) fn prefetch_blocks(&self, blocks: usize, larger: bool) {
        if blocks > 14 {
            prefetch_line::<0, _>(&self.powers[POWERS - 19]);
        }
        if blocks > 10 {
            prefetch_line::<0, _>(&self.powers[POWERS - 15]);
        }
        if blocks > 6 {
            prefetch_line::<0, _>(&self.powers[POWERS - 11]);
        }
        prefetch_lines::<5, _>(&self.powers[POWERS - 7]);
        if larger {
            prefetch_line::<5, _>(&self.powers[POWERS - 7]);
        }
    }

    /// H alone: for the block of lengths, which is the last.
    #[inline(always)]
    pub(super) fn last_power(&self) -> __m128i {
        load(&self.powers[POWERS - 1])
    }
}

/// Counters from `n` + 1 on as they stand in blocks.
#[inline(always)]
pub(super) fn counters<V: Wide>(n: usize) -> V {
    debug_assert!(n + V::BLOCKS <= POWERS + SPARE);
    // SAFETY: within the table, as the callers' windows are.
    unsafe { V::load(COUNTERS.as_ptr().add(n).cast()) }
}

/// A number as a register.
#[inline(always)]
pub(super) fn load(n: &u128) -> __m128i {
    // SAFETY: 16 bytes; every CPU of the architecture has the instruction.
    unsafe { _mm_loadu_si128(std::ptr::from_ref(n).cast()) }
}

/// H times x in GHASH's field, which saves every product a shift (the polynomial's bits are reversed).
const fn doubled(h: u128) -> u128 {
    h << 1 ^ 0u128.wrapping_sub(h >> 127) & 0xc200_0000_0000_0000_0000_0000_0000_0001
}

/// Fill the tables.
struct Raise<'a> {
    key: &'a mut GcmKey,
}

impl Kernel for Raise<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let Self { key } = self;
        // SAFETY: within `Wide::call`.
        let (h, first) = unsafe {
            let zero = _mm_setzero_si128();
            let mut block = load(&key.first_round_key);
            for n in 1..key.rounds as usize {
                block = _mm_aesenc_si128(block, key.one_round_key(n));
            }
            let h = _mm_aesenclast_si128(block, key.one_round_key(key.rounds as usize));
            (h, _mm_aesenc_si128(load(&key.first_round_key), zero))
        };
        let h = doubled(number(h).swap_bytes());
        let mut power = h;
        for n in (0..POWERS).rev() {
            key.powers[n] = power;
            power = product(power, h);
        }
        for n in 0..4 * key.states.len() {
            let counter = (n as u128 + 1).swap_bytes();
            // SAFETY: within `Wide::call`.
            key.states[n / 4].0[n % 4] = number(unsafe {
                let block = _mm_xor_si128(load(&counter), load(&key.first_round_key));
                _mm_xor_si128(_mm_aesenc_si128(block, _mm_setzero_si128()), first)
            });
        }
        let aad_bits = if key.esn == 1 { 96 } else { 64 };
        key.aad_len = product(aad_bits << 64, h).swap_bytes();
        power.zeroize();
    }
}

/// A register as a number.
#[inline(always)]
pub(super) fn number(x: __m128i) -> u128 {
    let mut bytes = [0; 16];
    // SAFETY: 16 bytes.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), x) };
    u128::from_le_bytes(bytes)
}

/// A product in the field.
#[inline(always)]
fn product(a: u128, b: u128) -> u128 {
    let mut sums = Sums::<One>::new();
    sums.add(One::lowest(load(&a)), One::lowest(load(&b)));
    number(sums.reduce())
}
