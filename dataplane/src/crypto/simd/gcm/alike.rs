//! Short packets of one key and one length, as the packets of a flow often are: what those have in common is worked out
//! once for all of them, and a packet costs its own blocks alone.
//!
//! Sealing, the packets before are hashed between the rounds of those that follow; opening, the packets themselves.

use std::arch::x86_64::*;
use std::hint::black_box;

use super::super::super::Job;
use super::super::wide::{Kernel, Wide};
use super::key::GcmKey;
use super::sums::Sums;
use super::{BACKWARDS, WOVEN, Weave, first_order, high_sequence, rounds};

/// The jobs of a list, of packets of `R` registers that have one key, one length and one high half of sequence numbers.
pub(super) struct Alike<'s, 'a, const R: usize, const SEAL: bool> {
    pub(super) key: &'a GcmKey,
    pub(super) jobs: &'s mut [Job<'a>],
    /// By their number, one at least.
    pub(super) list: &'s [u8],
}

impl<const R: usize, const SEAL: bool> Kernel for Alike<'_, '_, R, SEAL> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        // SAFETY: within `Wide::call`. Chains enough that none waits for its own rounds, and not many more.
        unsafe {
            match V::BLOCKS < 4 && R > 2 {
                true => self.groups::<V, 2>(),
                false => self.groups::<V, 4>(),
            }
        }
    }
}

/// What the packets have in common.
struct Common<'a, V, const R: usize> {
    key: &'a GcmKey,
    /// Bytes up to the ICV, and those of them in the last register.
    len: usize,
    rest: usize,
    /// What is added to the nonces: the salt and the first round key.
    salted: V,
    /// What the counters add after the first round.
    counters: [V; R],
    /// Which bytes of the first register are where in GHASH, and what is added to them.
    order: V,
    more: V,
    /// The powers, and their halves added.
    powers: [V; R],
    added: [V; R],
    /// What the block of lengths adds to every tag.
    lengths: V,
}

impl<'a, V: Wide, const R: usize> Common<'a, V, R> {
    /// # Safety
    /// Within `Wide::call`.
    #[inline(always)]
    unsafe fn new(key: &'a GcmKey, job: &Job<'_>) -> Self {
        let len = job.bytes.len() - 16;
        let mut common = Self {
            key,
            len,
            rest: len - V::BYTES * (R - 1),
            salted: V::broadcast(key.salted()),
            counters: [V::zero(); R],
            // SAFETY: orders have the bytes of the widest register.
            order: unsafe { V::load(first_order(key).as_ptr()) },
            more: V::lowest(high_sequence(if key.esn == 1 { job.seq_hi } else { 0 })),
            powers: [V::zero(); R],
            added: [V::zero(); R],
            lengths: V::broadcast(key.lengths(len)),
        };
        for r in 0..R {
            common.counters[r] = key.counters(V::BLOCKS * r);
            common.powers[r] = key.powers(key.origin(len) + V::BLOCKS * r);
            common.added[r] = common.powers[r].xor(common.powers[r].swapped());
        }
        common
    }

    /// A register as GHASH takes it.
    ///
    /// # Safety
    /// Within `Wide::call`.
    #[inline(always)]
    unsafe fn ordered(&self, r: usize, sent: V) -> V {
        match r {
            0 => sent.order(self.order).xor(self.more),
            // SAFETY: orders have the bytes of the widest register.
            _ => sent.order(unsafe { V::load(BACKWARDS.as_ptr()) }),
        }
    }
}

/// Packets, and their jobs' `verified`.
#[derive(Clone, Copy)]
struct Group<const N: usize> {
    bytes: [*mut u8; N],
    done: [*mut bool; N],
}

/// Packets whose text is written and whose tags are not; or that are to be opened.
struct Written<V, const N: usize> {
    group: Group<N>,
    masks: [__m128i; N],
    /// What each one's last register was sent as.
    last: [V; N],
}

impl<'a, const R: usize, const SEAL: bool> Alike<'_, 'a, R, SEAL> {
    /// `N` packets at a time, then the rest one by one.
    #[inline(always)]
    unsafe fn groups<V: Wide, const N: usize>(mut self) {
        let whole = self.list.len() / N * N;
        // SAFETY: within `Wide::call`; the list has numbers of jobs alone, each with R registers.
        unsafe {
            let first = &self.jobs[usize::from(self.list[0])];
            let common = Common::<V, R>::new(self.key, first);
            if SEAL && whole > 0 {
                let mut written = common.start(self.group::<N>(0));
                for n in (N..whole).step_by(N) {
                    written = common.next(self.group(n), &written);
                }
                common.last(&written);
            }
            if !SEAL {
                for n in (0..whole).step_by(N) {
                    common.open(self.group::<N>(n));
                }
            }
            for n in whole..self.list.len() {
                match SEAL {
                    true => common.last(&common.start(self.group::<1>(n))),
                    false => common.open(self.group::<1>(n)),
                }
            }
        }
    }

    /// # Safety
    /// `n + N` is within the list, which has numbers of jobs alone.
    #[inline(always)]
    unsafe fn group<const N: usize>(&mut self, n: usize) -> Group<N> {
        let mut group = Group { bytes: [std::ptr::null_mut(); N], done: [std::ptr::null_mut(); N] };
        for p in 0..N {
            // SAFETY: the caller's.
            let job = unsafe {
                let job = usize::from(*self.list.get_unchecked(n + p));
                self.jobs.get_unchecked_mut(job)
            };
            (group.bytes[p], group.done[p]) = (job.bytes.as_mut_ptr(), &mut job.verified);
        }
        group
    }
}

impl<V: Wide, const R: usize> Common<'_, V, R> {
    /// The states of all counters after the first round.
    ///
    /// # Safety
    /// Within `Wide::call`; a packet has 16 bytes.
    #[inline(always)]
    unsafe fn begin<const N: usize>(&self, group: &Group<N>) -> [[V; R]; N] {
        let mut states = [[V::zero(); R]; N];
        for from in (0..N).step_by(V::BLOCKS) {
            let count = V::BLOCKS.min(N - from);
            // SAFETY: every CPU of the architecture has the instruction.
            let mut heads = unsafe { [_mm_setzero_si128(); 4] };
            for n in 0..count {
                // SAFETY: the caller's.
                heads[n] = unsafe { _mm_loadu_si128(group.bytes[from + n].cast()) };
            }
            let nonces = V::joined(&heads[..count]).order(V::broadcast(GcmKey::nonce_places()));
            let begun = nonces.xor(self.salted).aes(self.key.round_key(1));
            for n in 0..count {
                let begun = V::broadcast(begun.block(n));
                for r in 0..R {
                    states[from + n][r] = begun.xor(self.counters[r]);
                }
            }
        }
        states
    }

    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn start<const N: usize>(&self, group: Group<N>) -> Written<V, N> {
        // SAFETY: the caller's.
        unsafe {
            let mut states = self.begin(&group);
            rounds(&[self.key; N], &mut states, &mut ());
            self.write(group, &states)
        }
    }

    /// Encrypt these, hash those before.
    ///
    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn next<const N: usize>(&self, group: Group<N>, before: &Written<V, N>) -> Written<V, N> {
        // SAFETY: the caller's.
        unsafe {
            let mut states = self.begin(&group);
            let mut hashing = Hashing { common: self, of: before, sums: [Sums::new(); N] };
            rounds(&[self.key; N], &mut states, &mut hashing);
            self.sign(before, &hashing.sums);
            self.write(group, &states)
        }
    }

    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn last<const N: usize>(&self, before: &Written<V, N>) {
        let mut hashing = Hashing { common: self, of: before, sums: [Sums::new(); N] };
        // SAFETY: the caller's.
        unsafe {
            for n in 0..WOVEN {
                hashing.part(n);
            }
            self.sign(before, &hashing.sums);
        }
    }

    /// Encrypt the texts with the key stream at hand.
    ///
    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn write<const N: usize>(&self, group: Group<N>, stream: &[[V; R]; N]) -> Written<V, N> {
        let mut last = [V::zero(); N];
        for p in 0..N {
            for r in 0..R {
                // SAFETY: the text ends in the last register, and the ICV is behind it.
                let sent = unsafe { self.crypt(group.bytes[p], r, stream[p][r]) };
                last[p] = if r == R - 1 { sent.cut(self.rest) } else { last[p] };
            }
        }
        Written { masks: lows(stream), group, last }
    }

    /// Encrypt or decrypt a register. What is behind the text stays as it is.
    ///
    /// # Safety
    /// Within `Wide::call`; a packet's bytes, and a register of it.
    #[inline(always)]
    unsafe fn crypt(&self, bytes: *mut u8, r: usize, stream: V) -> V {
        // The header goes as it is.
        let stream = if r == 0 { stream.but_lowest() } else { stream };
        // SAFETY: the caller's; the text ends in the last register, and the ICV is behind it.
        unsafe {
            let at = bytes.add(V::BYTES * r);
            if r < R - 1 {
                let crypted = V::load(at).xor(stream);
                crypted.store(at);
                return crypted;
            }
            let crypted = V::load_ragged(at, self.rest).xor(stream.cut(self.rest));
            crypted.store_part(at, self.rest);
            crypted
        }
    }

    /// The tags of some packets, as many as have a place in a register.
    ///
    /// # Safety
    /// Within `Wide::call`.
    #[inline(always)]
    unsafe fn tags(&self, sums: &[Sums<V>], masks: &[__m128i]) -> V {
        // SAFETY: orders have the bytes of the widest register.
        let order = unsafe { V::load(BACKWARDS.as_ptr()) };
        Sums::joined(sums).reduced().order(order).xor3(V::joined(masks), self.lengths)
    }

    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn sign<const N: usize>(&self, of: &Written<V, N>, sums: &[Sums<V>; N]) {
        for from in (0..N).step_by(V::BLOCKS) {
            let to = N.min(from + V::BLOCKS);
            // SAFETY: the ICV's 16 bytes are behind the text; the jobs are these packets' alone.
            unsafe {
                let tags = self.tags(&sums[from..to], &of.masks[from..to]);
                for n in from..to {
                    let icv = of.group.bytes[n].add(self.len).cast();
                    _mm_storeu_si128(icv, tags.block(n - from));
                    *of.group.done[n] = true;
                }
            }
        }
    }

    /// Hash and decrypt.
    ///
    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn open<const N: usize>(&self, group: Group<N>) {
        // SAFETY: the text ends in the last register, and the ICV is behind it.
        unsafe {
            let mut states = self.begin(&group);
            let mut there = Written { group, masks: [V::zero().low(); N], last: [V::zero(); N] };
            for p in 0..N {
                let at = group.bytes[p].add(V::BYTES * (R - 1));
                there.last[p] = V::load_part(at, self.rest);
            }
            let mut hashing = Hashing { common: self, of: &there, sums: [Sums::new(); N] };
            rounds(&[self.key; N], &mut states, &mut hashing);
            let (sums, masks) = (hashing.sums, lows(&states));
            for from in (0..N).step_by(V::BLOCKS) {
                let to = N.min(from + V::BLOCKS);
                let mut received = [_mm_setzero_si128(); 4];
                for n in from..to {
                    received[n - from] = _mm_loadu_si128(group.bytes[n].add(self.len).cast());
                }
                let tags = self.tags(&sums[from..to], &masks[from..to]);
                let differ = tags.xor(V::joined(&received[..to - from]));
                for n in from..to {
                    // One instruction compares all of it, and takes the same time wherever the bits differ.
                    let differ = differ.block(n - from);
                    *group.done[n] = black_box(_mm_testz_si128(differ, differ)) == 1;
                }
            }
            for p in 0..N {
                for r in 0..R {
                    self.crypt(group.bytes[p], r, states[p][r]);
                }
            }
        }
    }
}

/// The key stream's first blocks, which mask the tags.
#[inline(always)]
fn lows<V: Wide, const N: usize, const R: usize>(stream: &[[V; R]; N]) -> [__m128i; N] {
    let mut lows = [V::zero().low(); N];
    for p in 0..N {
        lows[p] = stream[p][0].low();
    }
    lows
}

/// Packets whose registers are hashed, one or a few at a time.
struct Hashing<'w, 'a, V, const N: usize, const R: usize> {
    common: &'w Common<'a, V, R>,
    of: &'w Written<V, N>,
    sums: [Sums<V>; N],
}

impl<V: Wide, const N: usize, const R: usize> Weave for Hashing<'_, '_, V, N, R> {
    #[inline(always)]
    unsafe fn part(&mut self, n: usize) {
        for n in n * N * R / WOVEN..(n + 1) * N * R / WOVEN {
            let (p, r) = (n / R, n % R);
            // SAFETY: a register of the text.
            let blocks = unsafe {
                let sent = match r < R - 1 {
                    true => V::load(self.of.group.bytes[p].add(V::BYTES * r)),
                    false => self.of.last[p],
                };
                self.common.ordered(r, sent)
            };
            self.sums[p].add_prepared(blocks, self.common.powers[r], self.common.added[r]);
        }
    }
}
