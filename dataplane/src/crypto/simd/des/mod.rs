//! DES and 3DES in CBC mode (RFC 2405, RFC 2451) over the 64 lanes of `kernel` or, without AVX-512, the 32 of `shuffled`.
//! Encryption is serial within a packet: a lane is a packet. Decryption is not: a packet's blocks lie side by side in the lanes, and the next packet's after
//! them.

mod decrypt;
mod encrypt;
mod kernel;
mod placement;
mod shuffled;
mod tables;

use espalier_wire::plane::Direction;
use zeroize::Zeroize;

use super::super::Job;
use super::super::layout::Parts;
use super::separate::des;
use super::widest;
use kernel::{Blocks, LANES, RoundKeys};
use tables::Table;

/// Rounds of one DES.
const ROUNDS: usize = 16;

/// The round keys of one direction in the order they are used, in placed bytes: 128 bytes for DES, 384 for 3DES. Zeroised
/// on drop.
pub(in super::super) struct DesKey {
    rounds: Vec<[u8; 8]>,
}

impl DesKey {
    /// `key` is one DES key, or the three of EDE. None for other lengths.
    pub(super) fn new(direction: Direction, key: &[u8]) -> Option<Self> {
        let (keys, rest) = key.as_chunks::<8>();
        if !rest.is_empty() || !matches!(keys.len(), 1 | 3) {
            return None;
        }
        let mut rounds = Vec::with_capacity(keys.len() * ROUNDS);
        for (n, key) in keys.iter().enumerate() {
            let mut schedule = match widest() {
                true => tables::schedule(*key),
                false => placement::schedule(*key),
            };
            if n == 1 {
                schedule.reverse();
            }
            rounds.extend(schedule);
            schedule.zeroize();
        }
        if direction == Direction::Inbound {
            rounds.reverse();
        }
        Some(Self { rounds })
    }
}

#[cfg(test)]
impl DesKey {
    /// Bytes of heap.
    pub(super) fn bytes(&self) -> usize {
        self.rounds.capacity() * size_of::<[u8; 8]>()
    }
}

impl Drop for DesKey {
    fn drop(&mut self) {
        self.rounds.zeroize();
    }
}

/// Blocks that one pass takes on this CPU.
fn lanes() -> usize {
    if widest() { LANES } else { shuffled::LANES }
}

/// Encrypt or decrypt as many blocks, as the order of the round keys says.
fn crypt(blocks: &mut Blocks, keys: &impl RoundKeys) {
    // SAFETY: keys of this kind are made only where `covers` found AVX2, and `widest` is AVX-512 with VBMI and GFNI.
    unsafe {
        match widest() {
            true => kernel::crypt(blocks, keys),
            false => shuffled::crypt(blocks, keys),
        }
    }
}

/// The round keys of all lanes, where they have the same: each byte four times, which a broadcast load wants. Wiped on drop.
struct Repeated([[u32; 8]; 3 * ROUNDS]);

impl Repeated {
    fn new(key: &DesKey) -> Self {
        let mut made = Self([[0; 8]; 3 * ROUNDS]);
        for (to, round) in made.0.iter_mut().zip(&key.rounds) {
            *to = round.map(|byte| u32::from(byte) * 0x0101_0101);
        }
        made
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        // SAFETY: a place of its own. Volatile, so that it is not left out.
        unsafe { std::ptr::write_volatile(&mut self.0, [[0; 8]; 3 * ROUNDS]) };
    }
}

const NO_KEY: [Table; 8] = [Table([0; LANES]); 8];

/// The keys of mixed SAs, each lane's in its byte. Wiped on drop.
struct Planes([[Table; 8]; 3 * ROUNDS]);

impl Planes {
    fn new() -> Self {
        Self([NO_KEY; 3 * ROUNDS])
    }

    /// Lanes `from..to` use `key`.
    fn set(&mut self, key: &DesKey, from: usize, to: usize) {
        // SAFETY: as for `crypt`.
        unsafe {
            match widest() {
                true => kernel::place(&mut self.0, &key.rounds, u64::MAX >> (LANES - (to - from)) << from),
                false => shuffled::place(&mut self.0, &key.rounds, from, to),
            }
        }
    }
}

impl Drop for Planes {
    fn drop(&mut self) {
        for plane in &mut self.0 {
            // SAFETY: a place of its own. Volatile, so that it is not left out; `zeroize` would go byte by byte, here on
            // the way of every mixed batch.
            unsafe { std::ptr::write_volatile(plane, NO_KEY) };
        }
    }
}

/// A packet's text, whole blocks, and the block before its first.
struct Text<'a> {
    key: &'a DesKey,
    iv: u64,
    bytes: &'a mut [u8],
}

/// The texts of the jobs that are to be done and have keys of so many rounds.
fn texts<'j, 'a>(jobs: &'j mut [Job<'a>], rounds: usize) -> impl Iterator<Item = Text<'j>> {
    jobs.iter_mut().filter(|job| job.verified).filter_map(move |job| {
        let key = des(job).filter(|key| key.rounds.len() == rounds)?;
        let Parts { authed, .. } = Parts::new(job.key.transform, job.bytes)?;
        let (head, bytes) = authed.split_at_mut_checked(16)?;
        let iv = u64::from_ne_bytes(*head.last_chunk()?);
        Some(Text { key, iv, bytes })
    })
}

/// The one key of all those texts, if it is one.
fn only_key<'a>(jobs: &[Job<'a>], rounds: usize) -> Option<&'a DesKey> {
    let keys = jobs.iter().filter(|job| job.verified).filter_map(des);
    let mut keys = keys.filter(|key| key.rounds.len() == rounds);
    let first = keys.next()?;
    keys.all(|key| std::ptr::eq(key, first)).then_some(first)
}

/// Encrypt the jobs that are `verified` so far.
pub(super) fn encrypt(jobs: &mut [Job<'_>]) {
    for rounds in [ROUNDS, 3 * ROUNDS] {
        let only = only_key(jobs, rounds);
        encrypt::encrypt(texts(jobs, rounds), only, rounds);
    }
}

/// Decrypt the jobs that are `verified`.
pub(super) fn decrypt(jobs: &mut [Job<'_>]) {
    for rounds in [ROUNDS, 3 * ROUNDS] {
        let only = only_key(jobs, rounds);
        decrypt::decrypt(texts(jobs, rounds), only, rounds);
    }
}
