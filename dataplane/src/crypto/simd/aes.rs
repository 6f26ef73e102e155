//! AES round keys (FIPS 197 section 5.2), made with the CPU's own S-box.

use std::arch::x86_64::*;

use zeroize::Zeroize;

/// Most rounds there are: 14 for AES-256, and the key before the first.
pub(super) const ROUND_KEYS_MAX: usize = 15;

/// Round keys in the order they are used. Zeroised on drop.
pub(super) struct RoundKeys {
    pub(super) keys: [[u8; 16]; ROUND_KEYS_MAX],
    /// 10, 12 or 14.
    pub(super) rounds: usize,
}

impl Drop for RoundKeys {
    fn drop(&mut self) {
        self.keys.zeroize();
    }
}

impl RoundKeys {
    /// For encryption. None when `key` is not 16, 24 or 32 bytes long.
    pub(super) fn encryption(key: &[u8]) -> Option<Self> {
        let n = key.len() / 4;
        if !matches!(key.len(), 16 | 24 | 32) {
            return None;
        }
        let rounds = n + 6;
        let mut words = [0u32; 4 * ROUND_KEYS_MAX];
        for (word, bytes) in words.iter_mut().zip(key.chunks_exact(4)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        }
        let mut constant = 1u32;
        for i in n..4 * (rounds + 1) {
            let mut word = words[i - 1];
            if i % n == 0 {
                word = substituted(word).rotate_right(8) ^ constant;
                constant = constant << 1 ^ if constant >= 0x80 { 0x11b } else { 0 };
            } else if n > 6 && i % n == 4 {
                word = substituted(word);
            }
            words[i] = words[i - n] ^ word;
        }
        let mut keys = [[0; 16]; ROUND_KEYS_MAX];
        for (bytes, word) in keys.as_flattened_mut().chunks_exact_mut(4).zip(&words) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        words.zeroize();
        Some(Self { keys, rounds })
    }

    /// For decryption by the equivalent inverse cipher (FIPS 197 section 5.3.5).
    pub(super) fn decryption(key: &[u8]) -> Option<Self> {
        let mut keys = Self::encryption(key)?;
        let rounds = keys.rounds;
        keys.keys[..=rounds].reverse();
        for key in &mut keys.keys[1..rounds] {
            *key = mixed(*key);
        }
        Some(keys)
    }
}

/// The S-box over the four bytes of a word.
fn substituted(word: u32) -> u32 {
    // SAFETY: keys of this engine are made only where `covers` found AES instructions. With four equal columns the
    // shift of rows changes nothing.
    unsafe {
        _mm_cvtsi128_si32(_mm_aesenclast_si128(_mm_set1_epi32(word as i32), _mm_setzero_si128())) as u32
    }
}

/// A round key with its columns inversely mixed.
fn mixed(key: [u8; 16]) -> [u8; 16] {
    let mut mixed = [0; 16];
    // SAFETY: as above; both are 16 bytes.
    unsafe {
        let key = _mm_aesimc_si128(_mm_loadu_si128(key.as_ptr().cast()));
        _mm_storeu_si128(mixed.as_mut_ptr().cast(), key);
    }
    mixed
}
