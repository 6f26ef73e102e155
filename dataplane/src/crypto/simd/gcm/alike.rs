//! Short packets of one length, as the packets of a flow often are: what those have in common is worked out once for all
//! of them, and so is what they have of one key.
//!
//! Sealing, the packets before are hashed between the rounds of those that follow; opening, the packets themselves.

use std::arch::x86_64::*;
use std::hint::black_box;
use std::marker::PhantomData;

use super::super::super::Job;
use super::super::wide::{Kernel, Wide};
use super::key::{self, GcmKey, load};
use super::sums::Sums;
use super::{BACKWARDS, WOVEN, Weave, first_order, gcm_key, high_sequence, lows, rounds};

/// Where packets of `R` registers are that have one length and, if their SAs have ESN, all of them, and one high half of
/// sequence numbers.
pub(super) trait Packets<'a> {
    /// Whether they have one key as well.
    const ONE_KEY: bool;
    /// How many, one at least.
    fn count(&self) -> usize;
    /// One of them: its key, its bytes, its job's `verified`.
    ///
    /// # Safety
    /// There are more than `n`.
    unsafe fn packet(&mut self, n: usize) -> (&'a GcmKey, *mut u8, *mut bool);
    /// Fetch the key of a packet, if there is such a one.
    fn prefetch(&self, n: usize, blocks: usize);
    /// Bytes up to the ICV, and the high half of sequence numbers, zero without ESN.
    fn common(&self) -> (usize, u32);
}

/// Jobs of one key, by their number; or, with `MANY`, of any keys of GCM.
pub(super) struct Flow<'s, 'a, const MANY: bool> {
    /// The first one's.
    pub(super) key: &'a GcmKey,
    /// All jobs, which are this one's alone. No reference to all of them is made: packets' `verified` are written later.
    pub(super) jobs: *mut Job<'a>,
    pub(super) list: &'s [u8],
}

impl<'a, const MANY: bool> Packets<'a> for Flow<'_, 'a, MANY> {
    const ONE_KEY: bool = !MANY;

    #[inline(always)]
    fn count(&self) -> usize {
        self.list.len()
    }

    #[inline(always)]
    unsafe fn packet(&mut self, n: usize) -> (&'a GcmKey, *mut u8, *mut bool) {
        // SAFETY: the caller's; a list has numbers of jobs alone.
        unsafe {
            let job = self.jobs.add(usize::from(*self.list.get_unchecked(n)));
            let key = if MANY { gcm_key(&*job).unwrap_or(self.key) } else { self.key };
            (key, (*job).bytes.as_mut_ptr(), &raw mut (*job).verified)
        }
    }

    #[inline(always)]
    fn prefetch(&self, n: usize, blocks: usize) {
        if MANY
            && let Some(n) = self.list.get(n)
            // SAFETY: a list has numbers of jobs alone.
            && let Some(key) = gcm_key(unsafe { &*self.jobs.add(usize::from(*n)) })
        {
            key.prefetch_blocks(blocks, self.key.rounds > 10);
        }
    }

    #[inline(always)]
    fn common(&self) -> (usize, u32) {
        // SAFETY: a list has numbers of jobs alone.
        let first = unsafe { &*self.jobs.add(usize::from(self.list[0])) };
        (first.bytes.len() - 16, if self.key.esn == 1 { first.seq_hi } else { 0 })
    }
}

/// All of them.
pub(super) struct Alike<P, const R: usize, const SEAL: bool>(pub(super) P);

impl<'a, P: Packets<'a>, const R: usize, const SEAL: bool> Kernel for Alike<P, R, SEAL> {
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

/// How many packets before its turn a key is fetched.
const AHEAD: usize = 8;

/// What the packets have in common.
struct Common<V, const R: usize> {
    /// Bytes up to the ICV, and those of them in the last register.
    len: usize,
    rest: usize,
    /// Where the powers begin.
    origin: usize,
    /// Which bytes of the first register are where in GHASH, and what is added to them.
    order: V,
    more: V,
    /// The number of the text's bits, as the low half of the block of lengths.
    bits: V,
    /// Of the one key, if it is one.
    one: OneKey<V, R>,
}

/// What packets of one key have in common as well.
struct OneKey<V, const R: usize> {
    /// What is added to the nonces: the salt and the first round key.
    salted: V,
    /// What the counters add after the first round.
    counters: [V; R],
    /// The powers, and their halves added.
    powers: [V; R],
    added: [V; R],
    /// What the block of lengths adds to every tag.
    lengths: V,
}

impl<V: Wide, const R: usize> Common<V, R> {
    /// # Safety
    /// Within `Wide::call`.
    #[inline(always)]
    unsafe fn new<'a, P: Packets<'a>>(packets: &mut P) -> Self {
        let (len, seq_hi) = packets.common();
        // SAFETY: there is one at least; every CPU of the architecture has the instruction.
        let (key, bits) = unsafe { (packets.packet(0).0, _mm_cvtsi64_si128(8 * (len as i64 - 16))) };
        let origin = GcmKey::origin(len);
        let zeros = [V::zero(); R];
        let mut one =
            OneKey { salted: V::zero(), counters: zeros, powers: zeros, added: zeros, lengths: V::zero() };
        if P::ONE_KEY {
            one.salted = V::broadcast(key.salted());
            one.lengths = V::broadcast(key.lengths(bits));
            for r in 0..R {
                one.counters[r] = key.counters(V::BLOCKS * r);
                one.powers[r] = key.powers(origin + V::BLOCKS * r);
                one.added[r] = one.powers[r].xor(one.powers[r].swapped());
            }
        }
        Self {
            len,
            rest: len - V::BYTES * (R - 1),
            origin,
            // SAFETY: orders have the bytes of the widest register.
            order: unsafe { V::load(first_order(key).as_ptr()) },
            more: V::lowest(high_sequence(seq_hi)),
            bits: V::broadcast(bits),
            one,
        }
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

/// Packets: their keys, their bytes, their jobs' `verified`.
#[derive(Clone, Copy)]
struct Group<'a, const N: usize> {
    keys: [&'a GcmKey; N],
    bytes: [*mut u8; N],
    done: [*mut bool; N],
}

/// Packets whose text is written and whose tags are not; or that are to be opened.
struct Written<'a, V, const N: usize> {
    group: Group<'a, N>,
    masks: [__m128i; N],
    /// What each one's last register was sent as.
    last: [V; N],
}

impl<'a, P: Packets<'a>, const R: usize, const SEAL: bool> Alike<P, R, SEAL> {
    /// `N` packets at a time, then the rest one by one.
    #[inline(always)]
    unsafe fn groups<V: Wide, const N: usize>(mut self) {
        let count = self.0.count();
        let whole = count / N * N;
        // SAFETY: within `Wide::call`; there are so many packets, each with R registers.
        unsafe {
            for n in 0..AHEAD {
                self.0.prefetch(n, V::BLOCKS * R);
            }
            let common = Common::<V, R>::new(&mut self.0);
            if SEAL && whole > 0 {
                let first = self.group::<V, N>(0);
                let mut written = common.start::<P, N>(first);
                for n in (N..whole).step_by(N) {
                    written = common.next::<P, N>(self.group::<V, N>(n), &written);
                }
                common.last::<P, N>(&written);
            }
            if !SEAL {
                for n in (0..whole).step_by(N) {
                    common.open::<P, N>(self.group::<V, N>(n));
                }
            }
            for n in whole..count {
                let group = self.group::<V, 1>(n);
                match SEAL {
                    true => common.last::<P, 1>(&common.start::<P, 1>(group)),
                    false => common.open::<P, 1>(group),
                }
            }
        }
    }

    /// # Safety
    /// There are `n + N` packets.
    #[inline(always)]
    unsafe fn group<V: Wide, const N: usize>(&mut self, n: usize) -> Group<'a, N> {
        // SAFETY: the caller's.
        let packets: [_; N] = std::array::from_fn(|p| unsafe { self.0.packet(n + p) });
        for p in 0..N {
            self.0.prefetch(n + p + AHEAD, V::BLOCKS * R);
        }
        Group { keys: packets.map(|p| p.0), bytes: packets.map(|p| p.1), done: packets.map(|p| p.2) }
    }
}

impl<V: Wide, const R: usize> Common<V, R> {
    /// The states of all counters after the first round.
    ///
    /// # Safety
    /// Within `Wide::call`; a packet has 16 bytes.
    #[inline(always)]
    unsafe fn begin<'a, P: Packets<'a>, const N: usize>(&self, group: &Group<'a, N>) -> [[V; R]; N] {
        let mut states = [[V::zero(); R]; N];
        for from in (0..N).step_by(V::BLOCKS) {
            let count = V::BLOCKS.min(N - from);
            let (mut heads, mut salted) = ([V::zero().low(); 4], [V::zero().low(); 4]);
            for n in 0..count {
                // SAFETY: the caller's.
                heads[n] = unsafe { _mm_loadu_si128(group.bytes[from + n].cast()) };
                salted[n] = group.keys[from + n].salted();
            }
            let nonces = V::joined(&heads[..count]).order(V::broadcast(GcmKey::nonce_places()));
            let begun = match P::ONE_KEY {
                true => nonces.xor(self.one.salted).aes(group.keys[0].round_key(1)),
                false => nonces.xor(V::joined(&salted[..count])),
            };
            for n in 0..count {
                let begun = V::broadcast(begun.block(n));
                for r in 0..R {
                    states[from + n][r] = match P::ONE_KEY {
                        true => begun.xor(self.one.counters[r]),
                        false => {
                            begun.xor(key::counters(V::BLOCKS * r)).aes(group.keys[from + n].round_key(1))
                        }
                    };
                }
            }
        }
        states
    }

    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn start<'a, P: Packets<'a>, const N: usize>(&self, group: Group<'a, N>) -> Written<'a, V, N> {
        // SAFETY: the caller's.
        unsafe {
            let mut states = self.begin::<P, N>(&group);
            rounds(&group.keys, &mut states, &mut ());
            self.write(group, &states)
        }
    }

    /// Encrypt these, hash those before.
    ///
    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn next<'a, P: Packets<'a>, const N: usize>(
        &self,
        group: Group<'a, N>,
        before: &Written<'a, V, N>,
    ) -> Written<'a, V, N> {
        // SAFETY: the caller's.
        unsafe {
            let mut states = self.begin::<P, N>(&group);
            let mut hashing = Hashing::<V, P, N, R>::new(self, before);
            rounds(&group.keys, &mut states, &mut hashing);
            self.sign::<P, N>(before, &hashing.sums);
            self.write(group, &states)
        }
    }

    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn last<'a, P: Packets<'a>, const N: usize>(&self, before: &Written<'a, V, N>) {
        let mut hashing = Hashing::<V, P, N, R>::new(self, before);
        // SAFETY: the caller's.
        unsafe {
            for n in 0..WOVEN {
                hashing.part(n);
            }
            self.sign::<P, N>(before, &hashing.sums);
        }
    }

    /// Encrypt the texts with the key stream at hand.
    ///
    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn write<'a, const N: usize>(
        &self,
        group: Group<'a, N>,
        stream: &[[V; R]; N],
    ) -> Written<'a, V, N> {
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
    unsafe fn tags<'a, P: Packets<'a>>(&self, keys: &[&GcmKey], sums: &[Sums<V>], masks: &[__m128i]) -> V {
        let (mut sums, mut lengths) = (Sums::joined(sums), self.one.lengths);
        if !P::ONE_KEY {
            let (mut powers, mut aad_lens) = ([V::zero().low(); 4], [V::zero().low(); 4]);
            for (n, key) in keys.iter().enumerate() {
                (powers[n], aad_lens[n]) = (key.last_power(), load(&key.aad_len));
            }
            sums.add_low_halves(self.bits, V::joined(&powers[..keys.len()]));
            lengths = V::joined(&aad_lens[..keys.len()]);
        }
        // SAFETY: orders have the bytes of the widest register.
        let order = unsafe { V::load(BACKWARDS.as_ptr()) };
        sums.reduced().order(order).xor3(V::joined(masks), lengths)
    }

    /// # Safety
    /// Within `Wide::call`; the packets are such.
    #[inline(always)]
    unsafe fn sign<'a, P: Packets<'a>, const N: usize>(&self, of: &Written<'a, V, N>, sums: &[Sums<V>; N]) {
        for from in (0..N).step_by(V::BLOCKS) {
            let to = N.min(from + V::BLOCKS);
            // SAFETY: the ICV's 16 bytes are behind the text; the jobs are these packets' alone.
            unsafe {
                let tags = self.tags::<P>(&of.group.keys[from..to], &sums[from..to], &of.masks[from..to]);
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
    unsafe fn open<'a, P: Packets<'a>, const N: usize>(&self, group: Group<'a, N>) {
        // SAFETY: the text ends in the last register, and the ICV is behind it.
        unsafe {
            let mut states = self.begin::<P, N>(&group);
            let mut there = Written { group, masks: [V::zero().low(); N], last: [V::zero(); N] };
            for p in 0..N {
                let at = group.bytes[p].add(V::BYTES * (R - 1));
                there.last[p] = V::load_part(at, self.rest);
            }
            let mut hashing = Hashing::<V, P, N, R>::new(self, &there);
            rounds(&group.keys, &mut states, &mut hashing);
            let (sums, masks) = (hashing.sums, lows(&states));
            for from in (0..N).step_by(V::BLOCKS) {
                let to = N.min(from + V::BLOCKS);
                let mut received = [_mm_setzero_si128(); 4];
                for n in from..to {
                    received[n - from] = _mm_loadu_si128(group.bytes[n].add(self.len).cast());
                }
                let tags = self.tags::<P>(&group.keys[from..to], &sums[from..to], &masks[from..to]);
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

/// Packets whose registers are hashed, one or a few at a time.
struct Hashing<'w, 'a, V, P, const N: usize, const R: usize> {
    common: &'w Common<V, R>,
    of: &'w Written<'a, V, N>,
    sums: [Sums<V>; N],
    packets: PhantomData<P>,
}

impl<'w, 'a, V: Wide, P: Packets<'a>, const N: usize, const R: usize> Hashing<'w, 'a, V, P, N, R> {
    #[inline(always)]
    fn new(common: &'w Common<V, R>, of: &'w Written<'a, V, N>) -> Self {
        Self { common, of, sums: [Sums::new(); N], packets: PhantomData }
    }
}

impl<'a, V: Wide, P: Packets<'a>, const N: usize, const R: usize> Weave for Hashing<'_, 'a, V, P, N, R> {
    #[inline(always)]
    unsafe fn part(&mut self, n: usize) {
        let (common, group) = (self.common, &self.of.group);
        for n in n * N * R / WOVEN..(n + 1) * N * R / WOVEN {
            let (p, r) = (n / R, n % R);
            // SAFETY: a register of the text.
            let blocks = unsafe {
                let sent = match r < R - 1 {
                    true => V::load(group.bytes[p].add(V::BYTES * r)),
                    false => self.of.last[p],
                };
                common.ordered(r, sent)
            };
            match P::ONE_KEY {
                true => self.sums[p].add_prepared(blocks, common.one.powers[r], common.one.added[r]),
                false => self.sums[p].add(blocks, group.keys[p].powers(common.origin + V::BLOCKS * r)),
            }
        }
    }
}
