//! Long packets, four registers at a time, or eight where they are narrower: their rounds, and the hashing of others
//! between them. Opening, those are the same registers; sealing, the ones before, for a packet's first those that the
//! packet before it ended with.

use std::arch::x86_64::*;

use super::super::wide::{Kernel, Wide};
use super::key::{POWERS, number};
use super::sums::Sums;
use super::{BACKWARDS, LONG, Packet, Sorted, Weave, finish, rounds};

/// Blocks of the windows behind the first.
const LATER: usize = 96;

/// The packets of more registers than four.
pub(super) struct Long<'s, 'a, const SEAL: bool>(pub(super) &'s Sorted<'a>);

/// What goes from register to register.
struct Pass<'a, V> {
    packet: Packet<'a>,
    /// Of the whole packet.
    registers: usize,
    /// What all states of the first window begin with.
    begun: V,
    /// The counters of the next register in later windows, each block backwards.
    counters: V,
    /// The encrypted J0.
    mask: __m128i,
    /// The ICV as it was.
    received: __m128i,
    sums: Sums<V>,
    /// Which bytes of the next register are where in GHASH, and what is added to them: of the packet's first register
    /// only some, and in a later window's first what the windows before came to.
    order: &'static [u8; 64],
    more: V,
    /// Where the powers would begin for the packet's first register, if this window's went so far.
    origin: usize,
    /// The packet's last register as it was sent.
    last: V,
    /// Sealing: registers that are written, of those in a window's end, and those of them that are hashed as well.
    written: usize,
    hashed: usize,
}

impl<const SEAL: bool> Kernel for Long<'_, '_, SEAL> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let mut before = None;
        for n in &self.0.lists[LONG] {
            // SAFETY: within `Wide::call`; the list is of such packets.
            unsafe {
                let mut pass = Pass::<V>::new::<SEAL>(self.0.packets[usize::from(*n)]);
                pass.run::<SEAL>(&mut before);
                if let Some(before) = before {
                    before.finish::<SEAL>();
                }
                before = Some(pass);
            }
        }
        if let Some(mut before) = before {
            // SAFETY: as above.
            unsafe {
                before.hash_written();
                before.finish::<SEAL>();
            }
        }
    }
}

impl<'a, V: Wide> Pass<'a, V> {
    #[inline(always)]
    unsafe fn new<const SEAL: bool>(packet: Packet<'a>) -> Self {
        let registers = packet.len().div_ceil(V::BYTES);
        let blocks = packet.len().div_ceil(16) + 1;
        let (order, more) = packet.first();
        // SAFETY: within `Wide::call`; a packet's ICV is behind its text.
        unsafe {
            let mut pass = Self {
                packet,
                registers,
                begun: packet.key.begin(packet.head()),
                counters: V::zero(),
                mask: _mm_setzero_si128(),
                received: packet.icv(),
                order,
                more,
                sums: Sums::new(),
                origin: POWERS.wrapping_sub(blocks.min(POWERS)),
                last: V::zero(),
                written: 0,
                hashed: 0,
            };
            if !SEAL {
                pass.last = V::load_part(pass.place(registers - 1), pass.rest());
            }
            pass
        }
    }

    /// Everything but, when sealing, the hashing of the last registers.
    #[inline(always)]
    unsafe fn run<const SEAL: bool>(&mut self, before: &mut Option<Self>) {
        let first = self.registers.min(POWERS / V::BLOCKS);
        let blocks = self.packet.len().div_ceil(16) + 1;
        // SAFETY: the caller's.
        unsafe {
            self.window::<SEAL, true>(0, first, before);
            if blocks > POWERS {
                self.later_windows::<SEAL>(blocks - POWERS);
            }
        }
    }

    #[inline(always)]
    unsafe fn finish<const SEAL: bool>(&self) {
        // SAFETY: the caller's.
        unsafe { finish::<V, 1, SEAL>(&[&self.packet], &[self.sums], &[self.mask], &[self.received]) };
    }

    /// Where a register of the packet is.
    #[inline(always)]
    fn place(&self, register: usize) -> *mut u8 {
        self.packet.bytes.wrapping_add(V::BYTES * register)
    }

    /// Bytes in the last register.
    #[inline(always)]
    fn rest(&self) -> usize {
        self.packet.len() - V::BYTES * (self.registers - 1)
    }

    /// Registers `from..to`.
    #[inline(always)]
    unsafe fn window<const SEAL: bool, const FIRST: bool>(
        &mut self,
        from: usize,
        to: usize,
        before: &mut Option<Self>,
    ) {
        // SAFETY: the caller's. A round of the narrower registers takes four cycles, and two begin in each.
        unsafe {
            match V::BLOCKS < 4 {
                true => self.pieces::<8, SEAL, FIRST>(from, to, before),
                false => self.pieces::<4, SEAL, FIRST>(from, to, before),
            }
        }
    }

    #[inline(always)]
    unsafe fn pieces<const G: usize, const SEAL: bool, const FIRST: bool>(
        &mut self,
        from: usize,
        to: usize,
        before: &mut Option<Self>,
    ) {
        let mut at = from;
        // SAFETY: the caller's; only the packet's last register may not be whole.
        unsafe {
            if SEAL && at + G < to {
                self.whole::<G, 0, SEAL, FIRST>(at, before);
                at += G;
            }
            while at + G < to {
                self.whole::<G, G, SEAL, FIRST>(at, before);
                at += G;
            }
            match (SEAL && at == from, to - at) {
                (true, 1..=4) => self.rest_of_window::<4, 0, SEAL, FIRST>(at, to, before),
                (true, _) => self.rest_of_window::<G, 0, SEAL, FIRST>(at, to, before),
                (_, 1..=2) => self.rest_of_window::<2, G, SEAL, FIRST>(at, to, before),
                (_, 3..=4) => self.rest_of_window::<4, G, SEAL, FIRST>(at, to, before),
                (_, 5..=6) => self.rest_of_window::<6, G, SEAL, FIRST>(at, to, before),
                _ => self.rest_of_window::<G, G, SEAL, FIRST>(at, to, before),
            }
        }
    }

    /// What is behind the first window; so many blocks, the lengths with them.
    #[inline(always)]
    unsafe fn later_windows<const SEAL: bool>(&mut self, blocks: usize) {
        let (mut at, mut left) = (POWERS / V::BLOCKS, blocks);
        self.begin_counting(at);
        while left > 0 {
            let now = left.min(LATER);
            // SAFETY: the caller's.
            unsafe { self.hash_written() };
            self.more = V::lowest(self.sums.reduce());
            self.sums = Sums::new();
            self.origin = (POWERS - now).wrapping_sub(V::BLOCKS * at);
            let to = self.registers.min(at + LATER / V::BLOCKS);
            // SAFETY: the caller's.
            unsafe {
                match at < to {
                    true => self.window::<SEAL, false>(at, to, &mut None),
                    // Only the lengths are left.
                    false => self.hash(V::zero(), at),
                }
            }
            (at, left) = (to, left - now);
        }
    }

    /// Hash what is written and not yet hashed.
    #[inline(always)]
    unsafe fn hash_written(&mut self) {
        while self.hashed < self.written {
            // SAFETY: registers of the packet's.
            unsafe { self.hash_sent(self.hashed) };
            self.hashed += 1;
        }
    }

    /// The counters of this register and those behind it are to be counted.
    #[inline(always)]
    fn begin_counting(&mut self, at: usize) {
        // SAFETY: registers of at most four blocks from as many.
        unsafe {
            let head = number(self.packet.head());
            let first = (self.packet.key.salt | head >> 64 << 32).swap_bytes() + (V::BLOCKS * at) as u128 + 1;
            let counters = [first, first + 1, first + 2, first + 3];
            self.counters = V::load(counters.as_ptr().cast());
        }
    }

    /// The states of G registers after the first round.
    #[inline(always)]
    fn begin<const G: usize, const FIRST: bool>(&mut self, at: usize) -> [[V; G]; 1] {
        let mut states = [[V::zero(); G]; 1];
        for g in 0..G {
            states[0][g] = match FIRST {
                true => self.packet.key.first_round(self.begun, V::BLOCKS * (at + g)),
                false => self.count(),
            };
        }
        states
    }

    /// The states of the next register after the first round.
    #[inline(always)]
    fn count(&mut self) -> V {
        let key = self.packet.key;
        // SAFETY: orders have the bytes of the widest register.
        let order = unsafe { V::load(BACKWARDS.as_ptr()) };
        let blocks = self.counters.order(order).xor(key.first_round_key());
        // SAFETY: every CPU of the architecture has the instruction.
        let step = unsafe { _mm_cvtsi32_si128(V::BLOCKS as i32) };
        self.counters = self.counters.add32(V::broadcast(step));
        blocks.aes(key.round_key(1))
    }

    /// G whole registers, behind which there are more. Sealing, `UNHASHED` before them are yet to be hashed; or none, and
    /// perhaps some of the packet before.
    #[inline(always)]
    unsafe fn whole<const G: usize, const UNHASHED: usize, const SEAL: bool, const FIRST: bool>(
        &mut self,
        at: usize,
        before: &mut Option<Self>,
    ) {
        let mut states = self.begin::<G, FIRST>(at);
        let key = self.packet.key;
        // SAFETY: the caller's: whole registers.
        unsafe {
            match (SEAL, UNHASHED) {
                (false, _) => rounds(&[key], &mut states, &mut Whole::<V, G> { pass: self, from: at }),
                (_, 0) => rounds(&[key], &mut states, &mut Before(before)),
                _ => {
                    let from = at - UNHASHED;
                    rounds(&[key], &mut states, &mut Whole::<V, UNHASHED> { pass: self, from });
                }
            }
        }
        let mut stream = states[0];
        if FIRST && at == 0 {
            self.mask = stream[0].low();
            // The header goes as it is.
            stream[0] = stream[0].but_lowest();
        }
        for g in 0..G {
            let place = self.place(at + g);
            // SAFETY: the caller's: registers within the text.
            unsafe { V::load(place).xor(stream[g]).store(place) };
        }
    }

    /// The last registers of a window, G at most, of which the packet's last may be one; `UNHASHED` as above.
    #[inline(always)]
    unsafe fn rest_of_window<const G: usize, const UNHASHED: usize, const SEAL: bool, const FIRST: bool>(
        &mut self,
        at: usize,
        to: usize,
        before: &mut Option<Self>,
    ) {
        // Counters beyond the window would be counted: those are not wanted again.
        let counters = self.counters;
        let mut states = self.begin::<G, FIRST>(at);
        let key = self.packet.key;
        // SAFETY: the caller's.
        unsafe {
            match (SEAL, UNHASHED) {
                (false, _) => rounds(&[key], &mut states, &mut Rest { pass: self, from: at, to }),
                (_, 0) => rounds(&[key], &mut states, &mut Before(before)),
                _ => {
                    let from = at - UNHASHED;
                    rounds(&[key], &mut states, &mut Whole::<V, UNHASHED> { pass: self, from });
                }
            }
        }
        if FIRST && at == 0 {
            self.mask = states[0][0].low();
            states[0][0] = states[0][0].but_lowest();
        }
        let stream = states[0];
        // SAFETY: the caller's.
        unsafe { self.write_rest::<SEAL>(&stream, at, to) };
        if !FIRST {
            self.counters = counters;
            for _ in at..to {
                self.count();
            }
        }
    }

    /// # Safety
    /// Registers of the packet's.
    #[inline(always)]
    unsafe fn write_rest<const SEAL: bool>(&mut self, stream: &[V], at: usize, to: usize) {
        // SAFETY: the caller's; where the text ends the ICV is behind it.
        unsafe {
            for (register, stream) in (at..to).zip(stream) {
                let place = self.place(register);
                if register + 1 < self.registers {
                    V::load(place).xor(*stream).store(place);
                    continue;
                }
                let rest = self.rest();
                let text = if SEAL { V::load_part(place, rest) } else { self.last };
                let crypted = text.xor(*stream);
                crypted.store_part(place, rest);
                if SEAL {
                    self.last = crypted.cut(rest);
                }
            }
            if SEAL {
                (self.hashed, self.written) = (at, to);
            }
        }
    }

    /// Add a register to GHASH that may be the last.
    #[inline(always)]
    unsafe fn hash_sent(&mut self, register: usize) {
        let sent = match register + 1 < self.registers {
            // SAFETY: the caller's: a register of the packet's.
            true => unsafe { V::load(self.place(register)) },
            false => self.last,
        };
        self.hash(sent, register);
    }

    /// Add a register to GHASH.
    #[inline(always)]
    fn hash(&mut self, sent: V, at: usize) {
        let blocks = self.ordered(sent);
        self.sums.add(blocks, self.powers(at));
    }

    /// A register as GHASH takes it, which may be the packet's or the window's first.
    #[inline(always)]
    fn ordered(&mut self, sent: V) -> V {
        // SAFETY: orders have the bytes of the widest register.
        let blocks = sent.order(unsafe { V::load(self.order.as_ptr()) }).xor(self.more);
        (self.order, self.more) = (&BACKWARDS, V::zero());
        blocks
    }

    #[inline(always)]
    fn powers(&self, at: usize) -> V {
        self.packet.key.powers(self.origin.wrapping_add(V::BLOCKS * at))
    }
}

/// `G` whole registers to be hashed.
struct Whole<'p, 'a, V, const G: usize> {
    pass: &'p mut Pass<'a, V>,
    from: usize,
}

impl<V: Wide, const G: usize> Weave for Whole<'_, '_, V, G> {
    #[inline(always)]
    unsafe fn part(&mut self, n: usize) {
        if n >= G {
            return;
        }
        let register = self.from + n;
        // SAFETY: registers of the packet's; orders have the bytes of the widest register.
        let blocks = unsafe {
            let sent = V::load(self.pass.place(register));
            match n {
                0 => self.pass.ordered(sent),
                _ => sent.order(V::load(BACKWARDS.as_ptr())),
            }
        };
        let powers = self.pass.powers(register);
        self.pass.sums.add(blocks, powers);
    }
}

/// A few registers, with which the packet may end.
struct Rest<'p, 'a, V> {
    pass: &'p mut Pass<'a, V>,
    from: usize,
    to: usize,
}

impl<V: Wide> Weave for Rest<'_, '_, V> {
    #[inline(always)]
    unsafe fn part(&mut self, n: usize) {
        if self.from + n < self.to {
            // SAFETY: registers of the packet's.
            unsafe { self.pass.hash_sent(self.from + n) };
        }
    }
}

/// What the packet before ended with.
struct Before<'p, 'a, V>(&'p mut Option<Pass<'a, V>>);

impl<V: Wide> Weave for Before<'_, '_, V> {
    #[inline(always)]
    unsafe fn part(&mut self, _: usize) {
        if let Some(pass) = self.0.as_mut().filter(|pass| pass.hashed < pass.written) {
            // SAFETY: registers of the packet's.
            unsafe { pass.hash_sent(pass.hashed) };
            pass.hashed += 1;
        }
    }
}
