//! The lanes: which message is in each, and what comes next of it.

use std::hint::black_box;

use zeroize::Zeroize;

use super::even::{self, Group};
use super::tail::{BLOCK_MAX, Tail};
use super::{LANES_MAX, State, Task};
use crate::crypto::simd::separate::Packet;

/// A hash function over lanes.
pub(super) trait Algorithm {
    /// Bytes of a word of its state.
    const WORD: usize;
    /// Lanes of a register.
    const LANES: usize;
    /// Registers of lanes that are worked on together.
    const GROUPS: usize;
    /// Bytes of a block.
    const BLOCK: usize;
    /// Words of the state that make the digest.
    const DIGEST_WORDS: usize;
    /// Whether words and lengths are written with the highest byte first.
    const BIG_ENDIAN: bool;
    /// From so many messages on, this is faster than one after the other.
    fn worth() -> usize;
    /// The state before the first block: eight words in the CPU's byte order.
    fn initial() -> [u8; 64];

    /// Hash `steps` blocks of each lane. `next` points to a lane's block and is moved to the one behind the last.
    ///
    /// # Safety
    /// The CPU has the instructions of the lanes; `next` has `GROUPS` times as many places as a register lanes, or fewer whole
    /// registers of them, each with `steps` blocks to be read.
    unsafe fn blocks(states: &mut [State], next: &mut [*const u8], steps: usize);

    /// Whether messages of as many blocks, one for each lane, go through [`Self::together`].
    const TOGETHER: bool;

    /// In all lanes of all groups: the digest becomes that of HMAC's outer hash, begun with `keys`. Only for
    /// [`Self::together`] as it is here.
    ///
    /// # Safety
    /// The CPU has the instructions of the lanes; there are `GROUPS` states and as many keys.
    unsafe fn outer(_states: &mut [State], _keys: &[State]) {}

    /// The HMACs of a group.
    ///
    /// # Safety
    /// The CPU has the instructions of the lanes; the group has `GROUPS` times `LANES` lanes, each of them as many blocks as
    /// it says and a tail with as many. It writes as many digests.
    unsafe fn together(group: &mut Group<'_, '_>)
    where
        Self: Sized,
    {
        // SAFETY: the caller's.
        unsafe { even::by_rows::<Self>(group) };
    }
}

/// What a lane hashes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing: the next message begins.
    Idle,
    /// The message's whole blocks.
    Body,
    /// What is left of it, and the padding.
    Tail,
    /// The digest so far, under the outer key.
    Outer,
}

struct Lanes<'m, 'a> {
    messages: [Option<&'m mut Packet<'a>>; LANES_MAX],
    phase: [Phase; LANES_MAX],
    /// Blocks left of the phase.
    left: [usize; LANES_MAX],
    next: [*const u8; LANES_MAX],
    /// One a lane. A pointer, as `next` points into them from one call to the next.
    tails: *mut Tail,
    states: [State; 2],
}

/// Sign or verify every message.
pub(super) fn run<'m, 'a: 'm, A: Algorithm>(
    task: Task,
    mut messages: impl Iterator<Item = &'m mut Packet<'a>>,
) {
    let mut tails = [const { Tail::new() }; LANES_MAX];
    let mut lanes = Lanes {
        messages: [const { None }; LANES_MAX],
        phase: [Phase::Idle; LANES_MAX],
        left: [0; LANES_MAX],
        next: [std::ptr::null(); LANES_MAX],
        tails: tails.as_mut_ptr(),
        states: [State::ZERO; 2],
    };
    let width = A::LANES;
    loop {
        let mut busy = 0;
        for lane in 0..A::GROUPS * width {
            while lanes.left[lane] == 0 && lanes.advance::<A>(task, lane, &mut messages) {}
            if lanes.left[lane] > 0 {
                busy = lane + 1;
            }
        }
        if busy == 0 {
            return;
        }
        let used = busy.next_multiple_of(width);
        lanes.step::<A>(used);
    }
}

impl<'m, 'a> Lanes<'m, 'a> {
    /// As many blocks as the shortest phase has left, in every register that has a busy lane.
    fn step<A: Algorithm>(&mut self, used: usize) {
        let busy = self.left[..used].iter().copied().filter(|left| *left > 0);
        let Some(steps) = busy.min() else { return };
        let Some(any) = (0..used).find(|lane| self.left[*lane] > 0).map(|lane| self.next[lane]) else {
            return;
        };
        for (next, left) in self.next[..used].iter_mut().zip(&self.left) {
            // A lane without work goes over another's blocks, and nobody looks at what it makes of them.
            if *left == 0 {
                *next = any;
            }
        }
        // SAFETY: keys of this engine are made only where `covers` found the CPU to have them; each lane has `steps` blocks left in
        // the message or the tail that `advance` pointed it to, and both live as long as the phase.
        unsafe { A::blocks(&mut self.states, &mut self.next[..used], steps) };
        for left in self.left[..used].iter_mut().filter(|left| **left > 0) {
            *left -= steps;
        }
    }

    /// The next phase of a lane that is through with one; false when no message waits for it.
    fn advance<A: Algorithm>(
        &mut self,
        task: Task,
        lane: usize,
        messages: &mut impl Iterator<Item = &'m mut Packet<'a>>,
    ) -> bool {
        match self.phase[lane] {
            Phase::Idle => {
                let Some(message) = messages.next() else { return false };
                load::<A>(&mut self.states, lane, &message.mac.inner);
                (self.next[lane], self.left[lane]) =
                    (message.authed.as_ptr(), message.authed.len() / A::BLOCK);
                self.messages[lane] = Some(message);
                self.phase[lane] = Phase::Body;
            }
            Phase::Body => self.begin_tail::<A>(lane),
            Phase::Tail => self.begin_outer::<A>(lane),
            Phase::Outer => {
                if let Some(message) = self.messages[lane].take() {
                    finish(message, task, &digest::<A>(&self.states, lane));
                }
                self.phase[lane] = Phase::Idle;
            }
        }
        true
    }

    fn begin_tail<A: Algorithm>(&mut self, lane: usize) {
        let Some(message) = &self.messages[lane] else { return };
        // SAFETY: `covers` found AVX2; a tail of this lane, which `run` keeps; nobody hashes it now.
        unsafe {
            let tail = &mut *self.tails.add(lane);
            self.left[lane] = tail.write::<A>(message.authed, message.esn);
            self.next[lane] = tail.blocks();
        }
        self.phase[lane] = Phase::Tail;
    }

    fn begin_outer<A: Algorithm>(&mut self, lane: usize) {
        let (digest, len) = (digest::<A>(&self.states, lane), A::DIGEST_WORDS * A::WORD);
        let Some(message) = &self.messages[lane] else { return };
        // SAFETY: a block of this lane's tail, which `run` keeps, and `begin_tail` wrote; nobody hashes it now.
        let tail = unsafe { std::slice::from_raw_parts_mut((*self.tails.add(lane)).blocks(), A::BLOCK) };
        tail[..len].copy_from_slice(&digest[..len]);
        self.left[lane] = 1;
        pad::<A>(tail, len);
        self.next[lane] = tail.as_ptr();
        load::<A>(&mut self.states, lane, &message.mac.outer);
        self.phase[lane] = Phase::Outer;
    }
}

/// A lane's digest in the order of its bytes.
#[inline]
pub(super) fn digest<A: Algorithm>(states: &[State; 2], lane: usize) -> [u8; 64] {
    let mut digest = words::<A>(states, lane);
    if A::BIG_ENDIAN {
        digest.chunks_exact_mut(A::WORD).for_each(<[u8]>::reverse);
    }
    digest
}

/// A lane begins with these words.
pub(super) fn load<A: Algorithm>(states: &mut [State; 2], lane: usize, words: &[u8; 64]) {
    let (state, at) = (&mut states[lane / A::LANES], lane % A::LANES * A::WORD);
    for (row, word) in state.0.iter_mut().zip(words.chunks_exact(A::WORD)) {
        row[at..at + A::WORD].copy_from_slice(word);
    }
}

/// A lane's words, one after the other.
fn words<A: Algorithm>(states: &[State; 2], lane: usize) -> [u8; 64] {
    let (state, at, mut words) = (&states[lane / A::LANES], lane % A::LANES * A::WORD, [0; 64]);
    for (row, word) in state.0.iter().zip(words.chunks_exact_mut(A::WORD)) {
        word.copy_from_slice(&row[at..at + A::WORD]);
    }
    words
}

/// Padding of the outer hash's block behind a digest of `len` bytes.
fn pad<A: Algorithm>(block: &mut [u8], len: usize) {
    let bits = 8 * (A::BLOCK + len) as u64;
    block[len] = 0x80;
    block[len + 1..A::BLOCK].fill(0);
    block[A::BLOCK - 8..A::BLOCK].copy_from_slice(&if A::BIG_ENDIAN {
        bits.to_be_bytes()
    } else {
        bits.to_le_bytes()
    });
}

fn finish(packet: &mut Packet<'_>, task: Task, digest: &[u8; 64]) {
    *packet.verified = match packet.icv.len() {
        12 => sized::<12>(task, packet.icv, digest),
        16 => sized::<16>(task, packet.icv, digest),
        24 => sized::<24>(task, packet.icv, digest),
        _ => sized::<32>(task, packet.icv, digest),
    };
}

/// Write an ICV of N bytes, or compare it: whether it is there.
#[inline(always)]
pub(super) fn sized<const N: usize>(task: Task, icv: &mut [u8], digest: &[u8]) -> bool {
    let (Some(icv), Some(digest)) = (icv.first_chunk_mut::<N>(), digest.first_chunk::<N>()) else {
        return false;
    };
    match task {
        Task::Sign => {
            *icv = *digest;
            true
        }
        // Every byte is looked at, whatever the others were.
        Task::Verify => {
            let (icv, digest) = (icv.as_chunks().0.iter(), digest.as_chunks().0);
            let differ = icv.zip(digest).map(|(a, b)| u32::from_ne_bytes(*a) ^ u32::from_ne_bytes(*b));
            black_box(differ.fold(0, |all, differ| all | differ)) == 0
        }
    }
}

/// The states after the blocks of the inner and the outer key. None when the key is longer than a block.
pub(super) fn keyed<A: Algorithm>(key: &[u8]) -> Option<[[u8; 64]; 2]> {
    let mut states = [State::ZERO; 2];
    let mut blocks = [0x36, 0x5c].map(|pad: u8| {
        let mut block = [pad; BLOCK_MAX];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    });
    if key.len() > A::BLOCK {
        return None;
    }
    let initial = A::initial();
    for (row, word) in states[0].0.iter_mut().zip(initial.chunks_exact(A::WORD)) {
        row.chunks_exact_mut(A::WORD).for_each(|lane| lane.copy_from_slice(word));
    }
    let mut next = [blocks[0].as_ptr(); LANES_MAX];
    next[1] = blocks[1].as_ptr();
    // SAFETY: only asked for where `covers` found the CPU to have these lanes; every lane has one block.
    unsafe { A::blocks(&mut states, &mut next[..A::LANES], 1) };
    blocks.zeroize();
    Some([words::<A>(&states, 0), words::<A>(&states, 1)])
}
