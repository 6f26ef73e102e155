//! Short packets, some abreast: a few registers each, in straight lines of code.
//!
//! Sealing, the packets before are hashed between the rounds of those that follow; opening, the packets themselves.

use std::arch::x86_64::*;

use super::super::wide::{Kernel, Wide};
use super::key::GcmKey;
use super::sums::Sums;
use super::{BACKWARDS, List, Packet, SHORT, Sorted, WOVEN, Weave, finish, lows, rounds};

/// All short packets of `R` registers, whose keys have as many rounds.
///
/// # Safety
/// Within `Wide::call`; the list's packets are such.
#[inline(always)]
pub(super) unsafe fn run<V: Wide, const R: usize, const SEAL: bool>(sorted: &Sorted<'_>, list: usize) {
    if !sorted.lists[list].is_empty() {
        // SAFETY: the caller's.
        unsafe { V::call(Short::<R, SEAL> { sorted, list: &sorted.lists[list], larger: list >= SHORT }) };
    }
}

struct Short<'s, 'a, const R: usize, const SEAL: bool> {
    sorted: &'s Sorted<'a>,
    list: &'s List,
    /// Whether the keys are of more than 128 bits.
    larger: bool,
}

impl<const R: usize, const SEAL: bool> Kernel for Short<'_, '_, R, SEAL> {
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

/// Packets whose text is written and whose tags are not.
struct Written<'s, 'a, V, const N: usize> {
    packets: [&'s Packet<'a>; N],
    masks: [__m128i; N],
    /// What each one's last register was written as.
    last: [V; N],
}

impl<'s, 'a, const R: usize, const SEAL: bool> Short<'s, 'a, R, SEAL> {
    /// `N` packets at a time, then the rest one by one.
    #[inline(always)]
    unsafe fn groups<V: Wide, const N: usize>(self) {
        let whole = self.list.len() / N * N;
        // SAFETY: within `Wide::call`; the packets have R registers.
        unsafe {
            if SEAL && whole > 0 {
                let mut written = start::<V, N, R>(self.group(0));
                for n in (N..whole).step_by(N) {
                    self.prefetch::<V, N>(n);
                    written = next::<V, N, R>(self.group(n), &written);
                }
                last::<V, N, R>(&written);
            }
            if !SEAL {
                for n in (0..whole).step_by(N) {
                    self.prefetch::<V, N>(n);
                    open::<V, N, R>(self.group(n));
                }
            }
            for n in whole..self.list.len() {
                match SEAL {
                    true => last::<V, 1, R>(&start::<V, 1, R>(self.group(n))),
                    false => open::<V, 1, R>(self.group(n)),
                }
            }
        }
    }

    #[inline(always)]
    fn packet(&self, n: usize) -> &'s Packet<'a> {
        // SAFETY: a list has numbers of its packets alone.
        unsafe { self.sorted.packets.get_unchecked(usize::from(*self.list.get_unchecked(n))) }
    }

    #[inline(always)]
    fn group<const N: usize>(&self, n: usize) -> [&'s Packet<'a>; N] {
        let mut packets = [self.packet(n); N];
        for p in 1..N {
            packets[p] = self.packet(n + p);
        }
        packets
    }

    /// What is wanted some packets later.
    #[inline(always)]
    fn prefetch<V: Wide, const N: usize>(&self, n: usize) {
        if self.sorted.many_keys && n + N + AHEAD <= self.list.len() {
            for p in n..n + N {
                let key = self.packet(p + AHEAD).key;
                key.prefetch_table::<V>();
                key.prefetch_blocks(V::BLOCKS * R, self.larger);
            }
        }
    }
}

/// How many packets before its turn a key is fetched.
const AHEAD: usize = 4;

/// The states of all counters after the first round.
#[inline(always)]
fn begin<V: Wide, const N: usize, const R: usize>(packets: &[&Packet<'_>; N]) -> [[V; R]; N] {
    let mut states = [[V::zero(); R]; N];
    for p in 0..N {
        let (key, begun) = (packets[p].key, packets[p].key.begin::<V>(packets[p].head()));
        for r in 0..R {
            states[p][r] = key.first_round(begun, V::BLOCKS * r);
        }
    }
    states
}

/// # Safety
/// Within `Wide::call`; the packets have R registers.
#[inline(always)]
unsafe fn start<'s, 'a, V: Wide, const N: usize, const R: usize>(
    packets: [&'s Packet<'a>; N],
) -> Written<'s, 'a, V, N> {
    let mut states = begin::<V, N, R>(&packets);
    // SAFETY: the caller's.
    unsafe {
        rounds(&keys(&packets), &mut states, &mut ());
        write(packets, &states)
    }
}

/// Encrypt these, hash those before.
///
/// # Safety
/// Within `Wide::call`; the packets have R registers.
#[inline(always)]
unsafe fn next<'s, 'a, V: Wide, const N: usize, const R: usize>(
    packets: [&'s Packet<'a>; N],
    before: &Written<'s, 'a, V, N>,
) -> Written<'s, 'a, V, N> {
    let mut states = begin::<V, N, R>(&packets);
    let mut hashing = Hashing::<V, N, R>::new(before);
    // SAFETY: the caller's.
    unsafe {
        rounds(&keys(&packets), &mut states, &mut hashing);
        finish::<V, N, true>(&before.packets, &hashing.sums, &before.masks, &before.masks);
        write(packets, &states)
    }
}

/// # Safety
/// Within `Wide::call`; the packets have R registers.
#[inline(always)]
unsafe fn last<V: Wide, const N: usize, const R: usize>(before: &Written<'_, '_, V, N>) {
    let mut hashing = Hashing::<V, N, R>::new(before);
    // SAFETY: the caller's.
    unsafe {
        for n in 0..WOVEN {
            hashing.part(n);
        }
        finish::<V, N, true>(&before.packets, &hashing.sums, &before.masks, &before.masks);
    }
}

/// Encrypt the texts with the key stream at hand.
///
/// # Safety
/// Within `Wide::call`; the packets have R registers.
#[inline(always)]
unsafe fn write<'s, 'a, V: Wide, const N: usize, const R: usize>(
    packets: [&'s Packet<'a>; N],
    stream: &[[V; R]; N],
) -> Written<'s, 'a, V, N> {
    let mut last = [V::zero(); N];
    for p in 0..N {
        // Read once: for all the compiler knows the text could be the packet's description.
        let (bytes, rest) = (packets[p].bytes, packets[p].len() - V::BYTES * (R - 1));
        for r in 0..R {
            // The header goes as it is.
            let stream = if r == 0 { stream[p][r].but_lowest() } else { stream[p][r] };
            // SAFETY: the text ends in the last register, and the ICV is behind it.
            unsafe {
                let at = bytes.add(V::BYTES * r);
                if r < R - 1 {
                    V::load(at).xor(stream).store(at);
                } else {
                    let crypted = V::load_part(at, rest).xor(stream);
                    crypted.store_part(at, rest);
                    last[p] = crypted.cut(rest);
                }
            }
        }
    }
    Written { masks: lows(stream), packets, last }
}

#[inline(always)]
fn keys<'a, const N: usize>(packets: &[&Packet<'a>; N]) -> [&'a GcmKey; N] {
    packets.map(|packet| packet.key)
}

/// Packets whose registers are hashed, one or a few at a time.
struct Hashing<'w, 's, 'a, V, const N: usize, const R: usize> {
    of: &'w Written<'s, 'a, V, N>,
    sums: [Sums<V>; N],
}

impl<'w, 's, 'a, V: Wide, const N: usize, const R: usize> Hashing<'w, 's, 'a, V, N, R> {
    #[inline(always)]
    fn new(of: &'w Written<'s, 'a, V, N>) -> Self {
        Self { of, sums: [Sums::new(); N] }
    }
}

impl<V: Wide, const N: usize, const R: usize> Weave for Hashing<'_, '_, '_, V, N, R> {
    #[inline(always)]
    unsafe fn part(&mut self, n: usize) {
        for n in n * N * R / WOVEN..(n + 1) * N * R / WOVEN {
            let (p, r) = (n / R, n % R);
            let packet = self.of.packets[p];
            // SAFETY: a register of the text; orders have the bytes of the widest register.
            let blocks = unsafe {
                let sent = match r < R - 1 {
                    true => V::load(packet.bytes.add(V::BYTES * r)),
                    false => self.of.last[p],
                };
                match r {
                    0 => {
                        let (order, more) = packet.first::<V>();
                        sent.order(V::load(order.as_ptr())).xor(more)
                    }
                    _ => sent.order(V::load(BACKWARDS.as_ptr())),
                }
            };
            self.sums[p].add(blocks, packet.key.powers(GcmKey::origin(packet.len()) + V::BLOCKS * r));
        }
    }
}

/// Hash and decrypt.
///
/// # Safety
/// Within `Wide::call`; the packets have R registers.
#[inline(always)]
unsafe fn open<V: Wide, const N: usize, const R: usize>(packets: [&Packet<'_>; N]) {
    let mut states = begin::<V, N, R>(&packets);
    // SAFETY: the text ends in the last register, and the ICV is behind it.
    unsafe {
        let none = V::zero().low();
        let (mut rest, mut received, mut last) = ([0; N], [none; N], [V::zero(); N]);
        for p in 0..N {
            rest[p] = packets[p].len() - V::BYTES * (R - 1);
            received[p] = packets[p].icv();
            last[p] = V::load_part(packets[p].bytes.add(V::BYTES * (R - 1)), rest[p]);
        }
        let there = Written { packets, masks: [none; N], last };
        let mut hashing = Hashing::<V, N, R>::new(&there);
        rounds(&keys(&packets), &mut states, &mut hashing);
        for p in 0..N {
            let bytes = packets[p].bytes;
            for r in 0..R {
                let stream = if r == 0 { states[p][r].but_lowest() } else { states[p][r] };
                let at = bytes.add(V::BYTES * r);
                match r < R - 1 {
                    true => V::load(at).xor(stream).store(at),
                    false => last[p].xor(stream).store_part(at, rest[p]),
                }
            }
        }
        finish::<V, N, false>(&packets, &hashing.sums, &lows(&states), &received);
    }
}
