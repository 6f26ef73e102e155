//! AES-GCM (RFC 4106) with VAES and VPCLMULQDQ, four blocks a register.
//!
//! The sixteen bytes before an ESP packet's text are its SPI, sequence number and IV. So the packet is taken as it lies,
//! in registers of four blocks from its SPI on: block 0's place in the counters belongs to J0, whose encryption masks
//! the tag, and its place in GHASH to the additional data. Behind the last block of text comes the block of lengths.
//!
//! GHASH multiplies each block by its own power of H, and reduces once for up to a hundred blocks (1568 bytes of text).

use std::arch::x86_64::*;
use std::hint::black_box;

use zeroize::Zeroize;

use super::super::Job;
use super::aes::{ROUND_KEYS_MAX, RoundKeys};
use super::material;

/// Powers of H, and so the blocks between two reductions.
const POWERS: usize = 100;
/// Registers of the later windows: whole groups of four.
const LATER: usize = 24;

/// A key for both directions. Zeroised on drop.
pub(in super::super) struct GcmKey {
    /// Each round key four times: a load instead of a broadcast.
    wide: [Wide; ROUND_KEYS_MAX],
    rounds: usize,
    salt: [u8; 4],
    /// H to the hundredth, and so on down to H, then zeros; each as [`doubled`] has it.
    powers: [u128; POWERS + 4],
}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Wide([[u8; 16]; 4]);

impl Wide {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(&self) -> __m512i {
        // SAFETY: 64 aligned bytes.
        unsafe { _mm512_load_si512(self.0.as_ptr().cast()) }
    }
}

impl Drop for GcmKey {
    fn drop(&mut self) {
        self.wide.iter_mut().for_each(|wide| wide.0.zeroize());
        self.salt.zeroize();
        self.powers.zeroize();
    }
}

impl GcmKey {
    /// `key` is the cipher's key, then the salt.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let (key, salt) = key.split_last_chunk::<4>()?;
        let aes = RoundKeys::encryption(key)?;
        let wide = aes.keys.map(|key| Wide([key; 4]));
        let mut made = Self { wide, rounds: aes.rounds, salt: *salt, powers: [0; POWERS + 4] };
        // SAFETY: keys of this engine are made only where `covers` found AES and carry-less multiplication.
        unsafe { made.raise() };
        Some(made)
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,aes,pclmulqdq,vaes,vpclmulqdq")]
    fn raise(&mut self) {
        let mut zero = [0u128; 4];
        let mut block = self.wide[0].load();
        for key in &self.wide[1..self.rounds] {
            block = _mm512_aesenc_epi128(block, key.load());
        }
        block = _mm512_aesenclast_epi128(block, self.wide[self.rounds].load());
        // SAFETY: 64 bytes.
        unsafe { _mm512_storeu_si512(zero.as_mut_ptr().cast(), block) };
        let h = doubled(u128::from_be_bytes(zero[0].to_ne_bytes()));
        zero.zeroize();
        let mut power = h;
        for place in self.powers[..POWERS].iter_mut().rev() {
            *place = power;
            power = product(power, h);
        }
    }
}

/// H times x in GHASH's field, which saves every product a shift (the polynomial's bits are reversed).
const fn doubled(h: u128) -> u128 {
    h << 1 ^ 0u128.wrapping_sub(h >> 127) & 0xc200_0000_0000_0000_0000_0000_0000_0001
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,vpclmulqdq")]
fn product(a: u128, b: u128) -> u128 {
    let mut sums = Sums::new();
    let wide = |n: u128| _mm_set_epi64x((n >> 64) as i64, n as i64);
    sums.add(_mm512_zextsi128_si512(wide(a)), _mm512_zextsi128_si512(wide(b)));
    let product = sums.reduce();
    (_mm_extract_epi64::<1>(product) as u64 as u128) << 64 | _mm_extract_epi64::<0>(product) as u64 as u128
}

/// Products not yet reduced: the low, middle and high parts of four lanes.
struct Sums {
    low: __m512i,
    middle: __m512i,
    high: __m512i,
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new() -> Self {
        let zero = _mm512_setzero_si512();
        Self { low: zero, middle: zero, high: zero }
    }

    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    fn add(&mut self, blocks: __m512i, powers: __m512i) {
        self.low = _mm512_xor_si512(self.low, _mm512_clmulepi64_epi128::<0x00>(blocks, powers));
        self.high = _mm512_xor_si512(self.high, _mm512_clmulepi64_epi128::<0x11>(blocks, powers));
        let (a, b) = (
            _mm512_clmulepi64_epi128::<0x01>(blocks, powers),
            _mm512_clmulepi64_epi128::<0x10>(blocks, powers),
        );
        self.middle = _mm512_ternarylogic_epi64::<0x96>(self.middle, a, b);
    }

    /// The sum of all lanes, modulo the polynomial.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    fn reduce(self) -> __m128i {
        let polynomial = _mm512_set1_epi64(0xc200_0000_0000_0000_u64 as i64);
        let folded = |x| _mm512_clmulepi64_epi128::<0x01>(polynomial, x);
        let swapped = |x| _mm512_shuffle_epi32::<0x4e>(x);
        let middle = _mm512_ternarylogic_epi64::<0x96>(self.middle, swapped(self.low), folded(self.low));
        let sum = _mm512_ternarylogic_epi64::<0x96>(self.high, swapped(middle), folded(middle));
        let half = _mm256_xor_si256(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64::<1>(sum));
        _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
    }
}

/// Seal or open the jobs of this engine whose keys are GCM's, in the key's direction. `SEAL`: which of the two is asked.
pub(super) fn run<const SEAL: bool>(jobs: &mut [Job<'_>]) {
    for job in jobs {
        let Some(super::Material::Gcm(key)) = material(job) else { continue };
        let esn = job.esn();
        job.verified = false;
        if super::is_outbound(job) != SEAL || job.bytes.len() < 32 {
            continue;
        }
        let Some((authed, icv)) = job.bytes.split_last_chunk_mut::<16>() else { continue };
        // SAFETY: keys of this engine are made only where `covers` found these features.
        let tag = unsafe {
            match key.rounds {
                10 => packet::<10, SEAL>(key, authed, esn),
                12 => packet::<12, SEAL>(key, authed, esn),
                _ => packet::<14, SEAL>(key, authed, esn),
            }
        };
        if SEAL {
            *icv = tag.to_ne_bytes();
            job.verified = true;
        } else {
            // The comparison is one of whole numbers: it takes the same time wherever they differ.
            job.verified = black_box(u128::from_ne_bytes(*icv) ^ tag) == 0;
        }
    }
}

/// What goes through a packet's registers.
struct Pass<'a, const ROUNDS: usize> {
    keys: &'a [Wide; ROUND_KEYS_MAX],
    /// The counters of the next register, each block reversed.
    counters: __m512i,
    reversal: __m512i,
    powers: &'a [u128; POWERS + 4],
    /// The place of the next register's first power.
    power: usize,
    sums: Sums,
    /// What the windows before came to, for the next register's first block.
    carry: __m512i,
}

impl<const ROUNDS: usize> Pass<'_, ROUNDS> {
    /// The key stream of the next `G` registers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes")]
    fn stream<const G: usize>(&mut self) -> [__m512i; G] {
        let four = _mm512_set4_epi32(0, 0, 0, 4);
        let mut blocks = [_mm512_setzero_si512(); G];
        for block in &mut blocks {
            let counters = _mm512_shuffle_epi8(self.counters, self.reversal);
            *block = _mm512_xor_si512(counters, self.keys[0].load());
            self.counters = _mm512_add_epi32(self.counters, four);
        }
        for key in &self.keys[1..ROUNDS] {
            for block in &mut blocks {
                *block = _mm512_aesenc_epi128(*block, key.load());
            }
        }
        for block in &mut blocks {
            *block = _mm512_aesenclast_epi128(*block, self.keys[ROUNDS].load());
        }
        blocks
    }

    /// Add four blocks to GHASH, as they lie in the packet.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
    fn hash(&mut self, blocks: __m512i) {
        self.hash_reversed(_mm512_shuffle_epi8(blocks, self.reversal));
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
    fn hash_reversed(&mut self, blocks: __m512i) {
        let place = &self.powers[self.power..self.power + 4];
        // SAFETY: four powers are 64 bytes.
        let powers = unsafe { _mm512_loadu_si512(place.as_ptr().cast()) };
        self.sums.add(_mm512_xor_si512(blocks, self.carry), powers);
        self.carry = _mm512_setzero_si512();
        self.power += 4;
    }

    /// A window begins: so many blocks are left, of which it takes at most so many.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
    fn begin_window(&mut self, left: usize, most: usize) {
        if most < POWERS {
            let sums = std::mem::replace(&mut self.sums, Sums::new());
            self.carry = _mm512_zextsi128_si512(sums.reduce());
        }
        self.power = POWERS - left.min(most);
    }
}

/// Encrypt or decrypt what follows the first 16 bytes, and the tag over all of it.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,aes,vaes,vpclmulqdq")]
fn packet<const ROUNDS: usize, const SEAL: bool>(key: &GcmKey, bytes: &mut [u8], esn: Option<u32>) -> u128 {
    let [head, iv] =
        [&bytes[..8], &bytes[8..16]].map(|b| b.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b)));
    let (aad, aad_bits) = match esn {
        None => (_mm_set_epi64x(0, head as i64), 64),
        Some(hi) => (
            _mm_set_epi64x(
                (head >> 32) as i64,
                (head & 0xffff_ffff | u64::from(hi.swap_bytes()) << 32) as i64,
            ),
            96,
        ),
    };
    let reversal = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f));
    let nonce = u128::from(u32::from_le_bytes(key.salt)) | u128::from(iv) << 32 | 1 << 120;
    let first = _mm512_broadcast_i32x4(_mm_set_epi64x((nonce >> 64) as i64, nonce as i64));
    let counters = _mm512_add_epi32(
        _mm512_shuffle_epi8(first, reversal),
        _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0),
    );
    let mut pass = Pass::<ROUNDS> {
        keys: &key.wide,
        counters,
        reversal,
        powers: &key.powers,
        power: 0,
        sums: Sums::new(),
        carry: _mm512_setzero_si512(),
    };
    let (registers, blocks) = (bytes.len().div_ceil(64), bytes.len().div_ceil(16) + 1);
    let lengths = _mm_set_epi64x(aad_bits, (bytes.len() - 16) as i64 * 8);
    pass.begin_window(blocks, POWERS);
    let mask = pass.first::<SEAL>(bytes, aad, (registers == 1).then_some((blocks, lengths)));
    let mut at = 1;
    while at < registers {
        if at >= POWERS / 4 && (at - POWERS / 4).is_multiple_of(LATER) {
            pass.begin_window(blocks - 4 * at, 4 * LATER);
        }
        if bytes.len() >= 64 * (at + 4) && at + 4 < registers {
            pass.four::<SEAL>(&mut bytes[64 * at..64 * (at + 4)]);
            at += 4;
        } else {
            let last = (at + 1 == registers).then_some((blocks, lengths));
            pass.one::<SEAL>(&mut bytes[64 * at..], last);
            at += 1;
        }
    }
    if blocks % 4 == 1 {
        // The lengths begin a register of their own.
        if at >= POWERS / 4 && (at - POWERS / 4).is_multiple_of(LATER) {
            pass.begin_window(1, 4 * LATER);
        }
        pass.hash_reversed(_mm512_zextsi128_si512(lengths));
    }
    let hash = _mm_shuffle_epi8(pass.sums.reduce(), _mm512_castsi512_si128(reversal));
    let tag = _mm_xor_si128(hash, mask);
    (_mm_extract_epi64::<1>(tag) as u64 as u128) << 64 | _mm_extract_epi64::<0>(tag) as u64 as u128
}

/// The count of all blocks and the block of lengths, for the register that holds the last block of text.
type Last = Option<(usize, __m128i)>;

impl<const ROUNDS: usize> Pass<'_, ROUNDS> {
    /// The register with the header in its first block: returns what masks the tag.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes,vpclmulqdq")]
    fn first<const SEAL: bool>(&mut self, bytes: &mut [u8], aad: __m128i, last: Last) -> __m128i {
        let valid = mask(bytes.len());
        // SAFETY: only bytes that are there are read and written.
        let text = unsafe { _mm512_maskz_loadu_epi8(valid, bytes.as_ptr().cast()) };
        let [stream] = self.stream::<1>();
        let crypted = _mm512_maskz_mov_epi8(valid, _mm512_xor_si512(text, stream));
        // SAFETY: as above; the header stays.
        unsafe { _mm512_mask_storeu_epi8(bytes.as_mut_ptr().cast(), valid & !0xffff, crypted) };
        let sent = if SEAL { crypted } else { text };
        self.hash_last(_mm512_mask_broadcast_i32x4(sent, 0x000f, aad), last);
        _mm512_castsi512_si128(stream)
    }

    /// Four whole registers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes,vpclmulqdq")]
    fn four<const SEAL: bool>(&mut self, bytes: &mut [u8]) {
        let stream = self.stream::<4>();
        for (bytes, stream) in bytes.as_chunks_mut::<64>().0.iter_mut().zip(stream) {
            // SAFETY: 64 bytes.
            let text = unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) };
            let crypted = _mm512_xor_si512(text, stream);
            // SAFETY: 64 bytes.
            unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), crypted) };
            self.hash(if SEAL { crypted } else { text });
        }
    }

    /// One register, which may not be whole.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vaes,vpclmulqdq")]
    fn one<const SEAL: bool>(&mut self, bytes: &mut [u8], last: Last) {
        let valid = mask(bytes.len());
        // SAFETY: only bytes that are there are read and written.
        let text = unsafe { _mm512_maskz_loadu_epi8(valid, bytes.as_ptr().cast()) };
        let [stream] = self.stream::<1>();
        let crypted = _mm512_maskz_mov_epi8(valid, _mm512_xor_si512(text, stream));
        // SAFETY: as above.
        unsafe { _mm512_mask_storeu_epi8(bytes.as_mut_ptr().cast(), valid, crypted) };
        self.hash_last(if SEAL { crypted } else { text }, last);
    }

    /// Hash a register; in the last one the lengths follow the text, where there is a place for them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,vpclmulqdq")]
    fn hash_last(&mut self, blocks: __m512i, last: Last) {
        let mut reversed = _mm512_shuffle_epi8(blocks, self.reversal);
        if let Some((count, lengths)) = last
            && count % 4 != 1
        {
            reversed = _mm512_mask_broadcast_i32x4(reversed, 0xf << (4 * ((count - 1) % 4)), lengths);
        }
        self.hash_reversed(reversed);
    }
}

/// The bytes of a register that `len` bytes fill.
fn mask(len: usize) -> u64 {
    if len >= 64 { u64::MAX } else { (1 << len) - 1 }
}
