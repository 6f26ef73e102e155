//! One long packet, four registers at a time, or eight where they are narrower.

use std::arch::x86_64::*;

use super::super::wide::{Kernel, Wide};
use super::key::{GcmKey, POWERS, load, number};
use super::sums::Sums;
use super::{BACKWARDS, Packet, rounds};

/// Blocks of the windows behind the first.
const LATER: usize = 96;

/// A packet of more registers than four.
pub(super) struct Long<'a, const SEAL: bool>(pub(super) Packet<'a>);

/// What goes from register to register.
struct Pass<'a, V> {
    key: &'a GcmKey,
    bytes: *mut u8,
    len: usize,
    seq_hi: __m128i,
    /// What the nonce makes of all states in the first window.
    nonce: V,
    /// The counters of the next register in later windows, each block backwards.
    counters: V,
    /// The encrypted J0.
    mask: __m128i,
    sums: Sums<V>,
    /// What the windows before came to, for the next register's first block.
    carry: __m128i,
    /// Where the powers would begin for the packet's first register, if this window's went so far.
    origin: usize,
}

impl<const SEAL: bool> Kernel for Long<'_, SEAL> {
    type Out = bool;

    #[inline(always)]
    unsafe fn run<V: Wide>(self) -> bool {
        let Self(packet) = self;
        let key = packet.key;
        let registers = packet.len.div_ceil(V::BYTES);
        let blocks = packet.len.div_ceil(16) + 1;
        // SAFETY: within `Wide::call`; a packet's ICV is behind its text.
        unsafe {
            let received = packet.icv();
            let mut pass = Pass::<V> {
                key,
                bytes: packet.bytes,
                len: packet.len,
                seq_hi: packet.high_sequence(),
                nonce: V::broadcast(key.nonce_state(packet.head())),
                counters: V::zero(),
                mask: _mm_setzero_si128(),
                sums: if blocks <= POWERS { packet.length() } else { Sums::new() },
                carry: _mm_setzero_si128(),
                origin: POWERS.wrapping_sub(blocks.min(POWERS)),
            };
            let first = registers.min(POWERS / V::BLOCKS);
            pass.window::<SEAL, true>(0, first, registers);
            if blocks > POWERS {
                pass.later_windows::<SEAL>(&packet, registers, blocks - POWERS);
            }
            packet.finish::<V, SEAL>(pass.sums, load(&key.aad_len), pass.mask, received)
        }
    }
}

impl<V: Wide> Pass<'_, V> {
    /// Registers `from..to`, of a packet of so many.
    #[inline(always)]
    unsafe fn window<const SEAL: bool, const FIRST: bool>(
        &mut self,
        from: usize,
        to: usize,
        registers: usize,
    ) {
        let mut at = from;
        // SAFETY: the caller's; only the packet's last register may not be whole.
        unsafe {
            // A round of the narrower registers takes four cycles, and two begin in each.
            while V::BLOCKS < 4 && at + 8 < to {
                self.some::<8, SEAL, FIRST, false>(at);
                at += 8;
            }
            while at + 4 < to {
                self.some::<4, SEAL, FIRST, false>(at);
                at += 4;
            }
            match (to - at, to == registers) {
                (1, true) => self.some::<1, SEAL, FIRST, true>(at),
                (2, true) => self.some::<2, SEAL, FIRST, true>(at),
                (3, true) => self.some::<3, SEAL, FIRST, true>(at),
                (_, true) => self.some::<4, SEAL, FIRST, true>(at),
                (1, false) => self.some::<1, SEAL, FIRST, false>(at),
                (2, false) => self.some::<2, SEAL, FIRST, false>(at),
                (3, false) => self.some::<3, SEAL, FIRST, false>(at),
                (_, false) => self.some::<4, SEAL, FIRST, false>(at),
            }
        }
    }

    /// What is behind the first window; so many blocks, the lengths with them.
    #[inline(always)]
    unsafe fn later_windows<const SEAL: bool>(
        &mut self,
        packet: &Packet<'_>,
        registers: usize,
        blocks: usize,
    ) {
        let (mut at, mut left) = (POWERS / V::BLOCKS, blocks);
        self.begin_counting(at);
        while left > 0 {
            let now = left.min(LATER);
            self.carry = self.sums.reduce();
            self.sums = if now == left { packet.length() } else { Sums::new() };
            self.origin = (POWERS - now).wrapping_sub(V::BLOCKS * at);
            let to = registers.min(at + LATER / V::BLOCKS);
            // SAFETY: the caller's.
            unsafe {
                match at < to {
                    true => self.window::<SEAL, false>(at, to, registers),
                    // Only the lengths are left.
                    false => self.hash(V::zero(), at),
                }
            }
            (at, left) = (to, left - now);
        }
    }

    /// The counters of this register and those behind it are to be counted.
    #[inline(always)]
    fn begin_counting(&mut self, at: usize) {
        // SAFETY: of a packet of this kernel's; registers of at most four blocks from as many.
        unsafe {
            let head = number(_mm_loadu_si128(self.bytes.cast_const().cast()));
            let first = (self.key.salt | head >> 64 << 32).swap_bytes() + (V::BLOCKS * at) as u128 + 1;
            let counters = [first, first + 1, first + 2, first + 3];
            self.counters = V::load(counters.as_ptr().cast());
        }
    }

    /// Some registers; `LAST`: the packet ends in the last of them.
    #[inline(always)]
    unsafe fn some<const G: usize, const SEAL: bool, const FIRST: bool, const LAST: bool>(
        &mut self,
        at: usize,
    ) {
        let mut states = [[V::zero(); G]; 1];
        for g in 0..G {
            states[0][g] = match FIRST {
                true => self.nonce.xor(self.key.counter_states(V::BLOCKS * (at + g))),
                false => self.count(),
            };
        }
        rounds(&[self.key], &mut states);
        let mut stream = states[0];
        if FIRST && at == 0 {
            self.mask = stream[0].low();
            // The header goes as it is.
            stream[0] = stream[0].but_lowest();
        }
        for g in 0..G {
            let last = LAST && g == G - 1;
            let rest = self.len - V::BYTES * (at + g);
            // SAFETY: the caller's: registers within the text, or that in which it ends with the ICV behind it.
            let sent = unsafe {
                let place = self.bytes.add(V::BYTES * (at + g));
                let text = if last { V::load_part(place, rest) } else { V::load(place) };
                let crypted = text.xor(stream[g]);
                match last {
                    true => crypted.store_part(place, rest),
                    false => crypted.store(place),
                }
                match (SEAL, last) {
                    (true, true) => crypted.cut(rest),
                    (true, false) => crypted,
                    (false, _) => text,
                }
            };
            self.hash(sent, at + g);
        }
    }

    /// The states of the next register after the first round.
    #[inline(always)]
    fn count(&mut self) -> V {
        // SAFETY: orders have the bytes of the widest register.
        let order = unsafe { V::load(BACKWARDS.as_ptr()) };
        let blocks = self.counters.order(order).xor(self.key.round_key(0));
        // SAFETY: every CPU of the architecture has the instruction.
        let step = unsafe { _mm_cvtsi32_si128(V::BLOCKS as i32) };
        self.counters = self.counters.add32(V::broadcast(step));
        blocks.aes(self.key.round_key(1))
    }

    /// Add a register to GHASH.
    #[inline(always)]
    fn hash(&mut self, sent: V, at: usize) {
        let order = if at == 0 { self.key.first_order.as_ptr() } else { BACKWARDS.as_ptr() };
        // SAFETY: orders have the bytes of the widest register.
        let mut blocks = sent.order(unsafe { V::load(order) });
        let (high, low) = self.key.powers(self.origin.wrapping_add(V::BLOCKS * at));
        if at == 0 && self.key.esn {
            blocks = blocks.xor(V::lowest(self.seq_hi));
        } else if at * V::BLOCKS >= POWERS {
            // SAFETY: every CPU of the architecture has the instruction.
            let none = unsafe { _mm_setzero_si128() };
            blocks = blocks.xor(V::lowest(std::mem::replace(&mut self.carry, none)));
        }
        self.sums.add(blocks, high, low);
    }
}
