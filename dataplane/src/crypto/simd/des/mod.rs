//! DES and 3DES in CBC mode (RFC 2405, RFC 2451) over the 64 lanes of `kernel` or, without AVX-512, the 32 of `shuffled`.
//! Encryption is serial within a packet: a lane is a packet. Decryption is not: a packet's blocks lie side by side in the lanes, and the next packet's after
//! them.

mod decrypt;
mod encrypt;
mod kernel;
mod placement;
mod shuffled;
mod tables;

use arrayvec::ArrayVec;
use espalier_wire::plane::Direction;
use zeroize::Zeroize;

use super::super::Job;
use super::super::layout::Parts;
use super::separate::des;
use super::widest;
use crate::mem::prefetch;
use kernel::{Blocks, LANES, RoundKeys};
use tables::Table;

/// Rounds of one DES.
const ROUNDS: usize = 16;

/// The round keys of one direction in the order they are used, in placed bytes: 128 bytes for DES, 384 for 3DES. Zeroised on
/// drop.
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
struct Repeated(ArrayVec<[u32; 8], { 3 * ROUNDS }>);

impl Repeated {
    fn new(key: &DesKey) -> Self {
        Self(key.rounds.iter().map(|round| round.map(|byte| u32::from(byte) * 0x0101_0101)).collect())
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        for round in &mut self.0 {
            // SAFETY: a place of its own. Volatile, so that it is not left out.
            unsafe { std::ptr::write_volatile(round, [0; 8]) };
        }
    }
}

const NO_KEY: [Table; 8] = [Table([0; LANES]); 8];

/// The keys of mixed SAs, each lane's in its byte. Wiped on drop.
struct Planes {
    tables: [[Table; 8]; 3 * ROUNDS],
    /// As many as a key of the batch has.
    rounds: usize,
}

impl Planes {
    fn new(rounds: usize) -> Self {
        Self { tables: [NO_KEY; 3 * ROUNDS], rounds }
    }

    /// Lanes `from..to` use `key`.
    fn set(&mut self, key: &DesKey, from: usize, to: usize) {
        // SAFETY: as for `crypt`.
        unsafe {
            if widest() {
                let lanes = u64::MAX >> (LANES - (to - from)) << from;
                return kernel::place(&mut self.tables, &key.rounds, lanes);
            }
            (from..to).for_each(|lane| shuffled::place(&mut self.tables, &key.rounds, lane));
        }
    }

    /// The keys of all lanes, as many as there are in use.
    fn set_all(&mut self, keys: &[&DesKey]) {
        if widest() {
            let mut from = 0;
            for run in keys.chunk_by(|a, b| std::ptr::eq(*a, *b)) {
                self.set(run[0], from, from + run.len());
                from += run.len();
            }
            return;
        }
        let mut rounds = [&[][..]; shuffled::LANES];
        for (rounds, key) in rounds.iter_mut().zip(keys) {
            *rounds = &key.rounds;
        }
        // SAFETY: as for `crypt`.
        unsafe { shuffled::fill(&mut self.tables[..self.rounds], &rounds[..keys.len()]) };
    }
}

impl Drop for Planes {
    fn drop(&mut self) {
        // Without AVX-512 a plane holds two rounds.
        let used = if widest() { self.rounds } else { self.rounds / 2 };
        for plane in &mut self.tables[..used] {
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

/// How many texts those are, and their one key, if it is one. Keys of several are fetched on the way.
fn survey<'a>(jobs: &[Job<'a>], rounds: usize) -> (usize, Option<&'a DesKey>) {
    let keys = jobs.iter().filter(|job| job.verified).filter_map(des);
    let (mut count, mut first, mut mixed) = (0, None, false);
    for key in keys.filter(|key| key.rounds.len() == rounds) {
        count += 1;
        let first = *first.get_or_insert(key);
        if !std::ptr::eq(key, first) {
            mixed = true;
            // A line holds eight rounds.
            key.rounds.iter().step_by(8).for_each(prefetch);
        }
    }
    (count, first.filter(|_| !mixed))
}

/// Encrypt the jobs that are `verified` so far.
pub(super) fn encrypt(jobs: &mut [Job<'_>]) {
    for rounds in [ROUNDS, 3 * ROUNDS] {
        let (count, only) = survey(jobs, rounds);
        if count > 0 {
            encrypt::encrypt(texts(jobs, rounds), only, rounds);
        }
    }
}

/// Decrypt the jobs that are `verified`.
pub(super) fn decrypt(jobs: &mut [Job<'_>]) {
    for rounds in [ROUNDS, 3 * ROUNDS] {
        let (count, only) = survey(jobs, rounds);
        if count > 0 {
            decrypt::decrypt(texts(jobs, rounds), only, rounds);
        }
    }
}
