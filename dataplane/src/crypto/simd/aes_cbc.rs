//! AES-CBC (RFC 3602). Encryption is serial within a packet: sixteen packets abreast, four in a register. Decryption is
//! not: sixteen blocks of one packet abreast, from its end to its beginning, so that the block before is still as it was
//! received.

use std::arch::x86_64::*;

use super::aes::{ROUND_KEYS_MAX, RoundKeys};

/// Packets abreast.
const LANES: usize = 16;

/// A packet's text, whole blocks; the 16 bytes before it are its IV.
pub(super) struct Text<'a> {
    pub(super) key: &'a RoundKeys,
    pub(super) iv: [u8; 16],
    pub(super) bytes: &'a mut [u8],
}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Four([[u8; 16]; 4]);

/// The packets in the lanes, and each lane's round keys.
struct Lanes {
    next: [*mut u8; LANES],
    left: [usize; LANES],
    chain: [Four; 4],
    keys: [[Four; 4]; ROUND_KEYS_MAX],
}

/// Encrypt every text; all have keys of `rounds` rounds.
pub(super) fn encrypt<'a>(rounds: usize, mut texts: impl Iterator<Item = Text<'a>>) {
    let zero = Four([[0; 16]; 4]);
    let mut lanes = Lanes {
        next: [std::ptr::null_mut(); LANES],
        left: [0; LANES],
        chain: [zero; 4],
        keys: [[zero; 4]; ROUND_KEYS_MAX],
    };
    // What idle lanes write to: one block a lane, over and over.
    let mut spare = [[0u8; 16]; LANES];
    loop {
        let mut busy = 0;
        for lane in 0..LANES {
            if lanes.left[lane] == 0
                && let Some(text) = texts.find(|text| !text.bytes.is_empty())
            {
                lanes.load(lane, text);
            }
            if lanes.left[lane] > 0 {
                busy = lane + 1;
            }
        }
        let Some(steps) = lanes.left.iter().copied().filter(|left| *left > 0).min() else { return };
        let mut stride = [16; LANES];
        for ((next, left), (stride, spare)) in
            lanes.next.iter_mut().zip(&lanes.left).zip(stride.iter_mut().zip(&mut spare))
        {
            if *left == 0 {
                (*next, *stride) = (spare.as_mut_ptr(), 0);
            }
        }
        // SAFETY: keys of this engine are made only where `covers` found VAES. Each busy lane has `steps` blocks left in
        // a text borrowed until the texts end, each idle lane stays at its spare block.
        unsafe {
            match (rounds, busy) {
                (10, ..=4) => run::<10, 1>(&mut lanes, steps, &stride),
                (10, _) => run::<10, 4>(&mut lanes, steps, &stride),
                (12, _) => run::<12, 4>(&mut lanes, steps, &stride),
                _ => run::<14, 4>(&mut lanes, steps, &stride),
            }
        }
        lanes.left.iter_mut().filter(|left| **left > 0).for_each(|left| *left -= steps);
    }
}

impl Lanes {
    fn load(&mut self, lane: usize, text: Text<'_>) {
        let (register, place) = (lane / 4, lane % 4);
        self.next[lane] = text.bytes.as_mut_ptr();
        self.left[lane] = text.bytes.len() / 16;
        self.chain[register].0[place] = text.iv;
        for (four, key) in self.keys.iter_mut().zip(&text.key.keys) {
            four[register].0[place] = *key;
        }
    }
}

/// Encrypt `steps` blocks of each lane of the first `G` registers.
///
/// # Safety
/// Each lane has `steps` blocks, a `stride` apart, that nothing else reads or writes.
#[target_feature(enable = "avx512f,avx512bw,vaes")]
unsafe fn run<const ROUNDS: usize, const G: usize>(lanes: &mut Lanes, steps: usize, stride: &[usize; LANES]) {
    let mut chain = [_mm512_setzero_si512(); G];
    for (chain, four) in chain.iter_mut().zip(&lanes.chain) {
        *chain = load(four);
    }
    for _ in 0..steps {
        for (g, chain) in chain.iter_mut().enumerate() {
            let next = &lanes.next[4 * g..4 * g + 4];
            // SAFETY: the caller's.
            let text = unsafe {
                let text = _mm512_castsi128_si512(_mm_loadu_si128(next[0].cast()));
                let text = _mm512_inserti32x4::<1>(text, _mm_loadu_si128(next[1].cast()));
                let text = _mm512_inserti32x4::<2>(text, _mm_loadu_si128(next[2].cast()));
                _mm512_inserti32x4::<3>(text, _mm_loadu_si128(next[3].cast()))
            };
            *chain = _mm512_ternarylogic_epi32::<0x96>(*chain, text, load(&lanes.keys[0][g]));
        }
        for keys in &lanes.keys[1..ROUNDS] {
            for (chain, key) in chain.iter_mut().zip(keys) {
                *chain = _mm512_aesenc_epi128(*chain, load(key));
            }
        }
        for (g, chain) in chain.iter_mut().enumerate() {
            *chain = _mm512_aesenclast_epi128(*chain, load(&lanes.keys[ROUNDS][g]));
            let next = &mut lanes.next[4 * g..4 * g + 4];
            // SAFETY: the caller's.
            unsafe {
                _mm_storeu_si128(next[0].cast(), _mm512_castsi512_si128(*chain));
                _mm_storeu_si128(next[1].cast(), _mm512_extracti32x4_epi32::<1>(*chain));
                _mm_storeu_si128(next[2].cast(), _mm512_extracti32x4_epi32::<2>(*chain));
                _mm_storeu_si128(next[3].cast(), _mm512_extracti32x4_epi32::<3>(*chain));
                for (next, stride) in next.iter_mut().zip(&stride[4 * g..]) {
                    *next = next.add(*stride);
                }
            }
        }
    }
    for (to, chain) in lanes.chain.iter_mut().zip(&chain) {
        // SAFETY: four times 16 aligned bytes.
        unsafe { _mm512_store_si512(to.0.as_mut_ptr().cast(), *chain) };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(four: &Four) -> __m512i {
    // SAFETY: four times 16 aligned bytes.
    unsafe { _mm512_load_si512(four.0.as_ptr().cast()) }
}

/// Decrypt every text in place.
pub(super) fn decrypt<'a>(texts: impl Iterator<Item = Text<'a>>) {
    for Text { key, iv, bytes } in texts {
        // SAFETY: keys of this engine are made only where `covers` found VAES.
        unsafe {
            match key.rounds {
                10 => one::<10>(key, iv, bytes),
                12 => one::<12>(key, iv, bytes),
                _ => one::<14>(key, iv, bytes),
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes")]
fn one<const ROUNDS: usize>(key: &RoundKeys, iv: [u8; 16], bytes: &mut [u8]) {
    let mut keys = [_mm512_setzero_si512(); ROUND_KEYS_MAX];
    for (wide, key) in keys.iter_mut().zip(&key.keys) {
        // SAFETY: 16 bytes.
        *wide = _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(key.as_ptr().cast()) });
    }
    let mut end = bytes.len() / 16;
    while end >= 4 {
        // Sixteen blocks, or what is left of them in whole registers; the one before the first is there, or the IV.
        let registers = (end / 4).min(4);
        let from = end - 4 * registers;
        match registers {
            4 => some::<ROUNDS, 4>(&keys, iv, &mut bytes[..16 * end], from),
            3 => some::<ROUNDS, 3>(&keys, iv, &mut bytes[..16 * end], from),
            2 => some::<ROUNDS, 2>(&keys, iv, &mut bytes[..16 * end], from),
            _ => some::<ROUNDS, 1>(&keys, iv, &mut bytes[..16 * end], from),
        }
        end = from;
    }
    if end > 0 {
        let (mut four, text) = ([0u8; 64], &mut bytes[..16 * end]);
        four[..text.len()].copy_from_slice(text);
        some::<ROUNDS, 1>(&keys, iv, &mut four, 0);
        text.copy_from_slice(&four[..16 * end]);
    }
}

/// Decrypt the last `G` times four blocks of `bytes`, which begin with block `from`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,vaes")]
fn some<const ROUNDS: usize, const G: usize>(
    keys: &[__m512i; ROUND_KEYS_MAX],
    iv: [u8; 16],
    bytes: &mut [u8],
    from: usize,
) {
    if bytes.len() < 16 * from + 64 * G {
        return;
    }
    // SAFETY: registers of 64 bytes within `bytes`, as was just seen; 16 bytes earlier where a block stands before.
    let (text, received, before) = unsafe {
        let text = bytes.as_mut_ptr().add(16 * from);
        let mut received = [_mm512_setzero_si512(); G];
        for (g, received) in received.iter_mut().enumerate() {
            *received = _mm512_loadu_si512(text.add(64 * g).cast());
        }
        let mut before = received;
        for (g, before) in before.iter_mut().enumerate().skip(1) {
            *before = _mm512_loadu_si512(text.add(64 * g - 16).cast());
        }
        before[0] = if from > 0 {
            _mm512_loadu_si512(text.sub(16).cast())
        } else {
            let iv = _mm512_castsi128_si512(_mm_loadu_si128(iv.as_ptr().cast()));
            // The IV, then the first three blocks.
            _mm512_mask_permutexvar_epi64(iv, 0xfc, _mm512_setr_epi64(0, 0, 0, 1, 2, 3, 4, 5), received[0])
        };
        (text, received, before)
    };
    let mut blocks = received;
    for block in &mut blocks {
        *block = _mm512_xor_si512(*block, keys[0]);
    }
    for key in &keys[1..ROUNDS] {
        for block in &mut blocks {
            *block = _mm512_aesdec_epi128(*block, *key);
        }
    }
    for (g, (block, before)) in blocks.iter().zip(&before).enumerate() {
        let plain = _mm512_xor_si512(_mm512_aesdeclast_epi128(*block, keys[ROUNDS]), *before);
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(text.add(64 * g).cast(), plain) };
    }
}
