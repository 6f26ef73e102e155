//! A key of AES-GCM: round keys, the powers of H, and the states of the counters after AES's first round.
//!
//! **Powers.** A block's two halves are multiplied each by a power of 128 bits: the high one by H^k, the low one by
//! H^k x^-64. Both products have 192 bits and the same place, so one folding of 64 bits reduces them.
//!
//! **First round.** Its bytes do not mix until they are added, so that what the counter makes of them is the same for
//! all packets of the key, and what the nonce makes of them is the same for all blocks of the packet:
//! state = (of the nonce, with the second round key) + (of the counter).

use std::arch::x86_64::*;

use zeroize::Zeroize;

use super::super::aes::{ROUND_KEYS_MAX, RoundKeys};
use super::super::wide::{Kernel, One, Wide};
use super::sums::Sums;

/// Powers of H, and so the blocks between two reductions.
pub(super) const POWERS: usize = 100;

/// A key for both directions. Zeroised on drop.
#[repr(C, align(64))]
pub(in super::super::super) struct GcmKey {
    /// Each round key as often as the widest register has blocks: a load instead of a broadcast.
    wide: [Quad; ROUND_KEYS_MAX],
    /// What the bytes of a packet's first register become for GHASH: those of the additional data, or zeros.
    pub(super) first_order: [u8; 64],
    /// What counters 1, 2, … add to the state after the first round. The last three are only read.
    states: [u128; POWERS + 4],
    /// H to the hundredth, and so on down to H, then zeros.
    high: [u128; POWERS + 4],
    /// Those times x^-64.
    low: [u128; POWERS + 4],
    /// The first round key and the salt.
    head: u128,
    /// The salt, and a counter of zero.
    pub(super) salt: u128,
    /// What the length of the additional data is for GHASH, in the order of the tag.
    pub(super) aad_len: u128,
    pub(super) rounds: usize,
    pub(super) esn: bool,
}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Quad([[u8; 16]; 4]);

impl Drop for GcmKey {
    fn drop(&mut self) {
        self.wide.iter_mut().for_each(|wide| wide.0.zeroize());
        self.states.zeroize();
        self.high.zeroize();
        self.low.zeroize();
        self.head.zeroize();
        self.salt.zeroize();
        self.aad_len.zeroize();
    }
}

impl GcmKey {
    /// `key` is the cipher's key, then the salt. `esn`: whether the high half of sequence numbers is authenticated.
    pub(in super::super) fn new(key: &[u8], esn: bool) -> Option<Self> {
        let (key, salt) = key.split_last_chunk::<4>()?;
        let aes = RoundKeys::encryption(key)?;
        let salt = u128::from(u32::from_le_bytes(*salt));
        let mut made = Self {
            wide: aes.keys.map(|key| Quad([key; 4])),
            first_order: first_order(esn),
            states: [0; POWERS + 4],
            high: [0; POWERS + 4],
            low: [0; POWERS + 4],
            head: u128::from_le_bytes(aes.keys[0]) ^ salt,
            salt,
            aad_len: 0,
            rounds: aes.rounds,
            esn,
        };
        // SAFETY: keys of this engine are made only where `covers` found AES and carry-less multiplication.
        unsafe { One::call(Raise { key: &mut made, round_keys: &aes }) };
        Some(made)
    }

    /// A round key in each place.
    #[inline(always)]
    pub(super) fn round_key<V: Wide>(&self, n: usize) -> V {
        // SAFETY: four blocks, no register has more.
        unsafe { V::load(self.wide[n].0.as_ptr().cast()) }
    }

    /// What the nonce makes of a packet's states after the first round; `head` is the packet's first 16 bytes, with the
    /// IV in the second half.
    #[inline(always)]
    pub(super) fn nonce_state(&self, head: __m128i) -> __m128i {
        // SAFETY: of kernels, where the instructions are; a round key and a u128 are 16 bytes.
        unsafe {
            // The salt's place, the IV, the counter's place.
            let places = _mm_set_epi64x(0x8080_8080_0f0e_0d0c_u64 as i64, 0x0b0a_0908_8080_8080_u64 as i64);
            let block = _mm_xor_si128(_mm_shuffle_epi8(head, places), load(&self.head));
            _mm_aesenc_si128(block, _mm_load_si128(self.wide[1].0.as_ptr().cast()))
        }
    }

    /// What `V::BLOCKS` counters from `n` + 1 on make of them.
    #[inline(always)]
    pub(super) fn counter_states<V: Wide>(&self, n: usize) -> V {
        debug_assert!(n + V::BLOCKS <= POWERS + 4);
        // SAFETY: within the table, as the callers' windows are.
        unsafe { V::load(self.states.as_ptr().add(n).cast()) }
    }

    /// The powers from the `n`th on, for the high and for the low halves.
    #[inline(always)]
    pub(super) fn powers<V: Wide>(&self, n: usize) -> (V, V) {
        debug_assert!(n + V::BLOCKS <= POWERS + 4);
        // SAFETY: within the tables, as the callers' windows are.
        unsafe { (V::load(self.high.as_ptr().add(n).cast()), V::load(self.low.as_ptr().add(n).cast())) }
    }

    /// H alone, in the lowest place of a register: for the block of lengths, which is the last.
    #[inline(always)]
    pub(super) fn last_power(&self) -> (__m128i, __m128i) {
        (load(&self.high[POWERS - 1]), load(&self.low[POWERS - 1]))
    }
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

/// The first block is SPI, sequence number and IV: of it GHASH gets SPI and sequence number, the latter's high half
/// between them with ESN, and each block backwards.
fn first_order(esn: bool) -> [u8; 64] {
    let mut order: [u8; 64] = std::array::from_fn(|n| 15 - n as u8 % 16);
    order[..8].fill(0x80);
    if esn {
        order[4..8].copy_from_slice(&[7, 6, 5, 4]);
        order[8..12].fill(0x80);
    }
    order
}

/// Fill the tables.
struct Raise<'a> {
    key: &'a mut GcmKey,
    round_keys: &'a RoundKeys,
}

impl Kernel for Raise<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let Self { key, round_keys } = self;
        let round_key = |n: usize| load(&u128::from_le_bytes(round_keys.keys[n]));
        // SAFETY: within `Wide::call`.
        let (h, first) = unsafe {
            let mut block = round_key(0);
            for n in 1..round_keys.rounds {
                block = _mm_aesenc_si128(block, round_key(n));
            }
            let zero = _mm_setzero_si128();
            (_mm_aesenclast_si128(block, round_key(round_keys.rounds)), _mm_aesenc_si128(round_key(0), zero))
        };
        let h = doubled(number(h).swap_bytes());
        let (mut power, mut low) = (h, of_x64(h));
        for n in (0..POWERS).rev() {
            (key.high[n], key.low[n]) = (power, of_x64(power));
            power = product(power, h, low);
        }
        for (n, state) in key.states.iter_mut().enumerate() {
            let counter = (n as u128 + 1).swap_bytes();
            // SAFETY: within `Wide::call`.
            *state = number(unsafe {
                let block = _mm_xor_si128(load(&counter), round_key(0));
                _mm_xor_si128(_mm_aesenc_si128(block, _mm_setzero_si128()), first)
            });
        }
        let aad_bits = if key.esn { 96 } else { 64 };
        key.aad_len = product(aad_bits << 64, h, low).swap_bytes();
        low.zeroize();
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

/// Times x^-64: what the halves change places, and the low one times the polynomial.
#[inline(always)]
fn of_x64(h: u128) -> u128 {
    let mut sums = Sums::<One>::new();
    sums.add(One::lowest(load(&1)), One::zero(), One::lowest(load(&h)));
    number(sums.reduce())
}

/// A product in the field; `b_low` is `b` times x^-64.
#[inline(always)]
fn product(a: u128, b: u128, b_low: u128) -> u128 {
    let mut sums = Sums::<One>::new();
    sums.add(One::lowest(load(&a)), One::lowest(load(&b)), One::lowest(load(&b_low)));
    number(sums.reduce())
}
