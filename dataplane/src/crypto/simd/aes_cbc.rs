//! AES-CBC (RFC 3602). Encryption is serial within a packet: eight or sixteen packets abreast, as many in a register as
//! it has blocks. Decryption is not: eight registers of one packet abreast, from its end to its beginning, so that the
//! block before is still as it was received.

use super::aes::{ROUND_KEYS_MAX, RoundKeys};
use super::cpu;
use super::wide::{Four, Kernel, One, Two, Wide};

/// The most packets abreast.
const LANES_MAX: usize = 16;

/// A packet's IV and the text behind it, whole blocks.
pub(super) struct Text<'a> {
    pub(super) key: &'a RoundKeys,
    pub(super) bytes: &'a mut [u8],
}

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Lane([[u8; 16]; LANES_MAX]);

/// The packets in the lanes.
struct Lanes<'a> {
    next: [*mut u8; LANES_MAX],
    left: [usize; LANES_MAX],
    chain: Lane,
    key: [Option<&'a RoundKeys>; LANES_MAX],
}

/// The round keys of each lane, where they are not all the same, and whose they are.
struct LaneKeys<'a> {
    rounds: [Lane; ROUND_KEYS_MAX],
    of: [Option<&'a RoundKeys>; LANES_MAX],
}

/// Encrypt every text; all have keys of `rounds` rounds.
pub(super) fn encrypt<'a>(rounds: usize, mut texts: impl Iterator<Item = Text<'a>>) {
    let width = if cpu::level() >= cpu::Level::Vaes { LANES_MAX } else { 8 };
    let zero = Lane([[0; 16]; LANES_MAX]);
    let mut lanes = Lanes {
        next: [std::ptr::null_mut(); LANES_MAX],
        left: [0; LANES_MAX],
        chain: zero,
        key: [None; LANES_MAX],
    };
    let mut keys = LaneKeys { rounds: [zero; ROUND_KEYS_MAX], of: [None; LANES_MAX] };
    loop {
        for lane in 0..width {
            if lanes.left[lane] == 0
                && let Some(text) = texts.find(|text| text.bytes.len() > 16)
            {
                lanes.load(lane, text);
            }
        }
        let Some((busy, steps, key)) = lanes.all_busy(width) else { return };
        let key = match lanes.key[..width].iter().flatten().all(|other| std::ptr::eq(*other, key)) {
            true => Some(key),
            false => {
                keys.load(&lanes.key);
                None
            }
        };
        // SAFETY: keys of this engine are made only where `covers` found AES-NI; the greater levels have the greater
        // registers. Each lane has `steps` blocks left in a text borrowed until the texts end.
        unsafe {
            let (lanes, keys) = (&mut lanes, &keys);
            match (cpu::level(), busy) {
                (cpu::Level::Avx512, ..=4) => {
                    Four::call(Encrypt::<'_, '_, 1> { rounds, lanes, keys, key, steps });
                }
                (cpu::Level::Avx512, _) => {
                    Four::call(Encrypt::<'_, '_, 4> { rounds, lanes, keys, key, steps });
                }
                (cpu::Level::Vaes, ..=8) => {
                    Two::call(Encrypt::<'_, '_, 4> { rounds, lanes, keys, key, steps });
                }
                (cpu::Level::Vaes, _) => {
                    Two::call(Encrypt::<'_, '_, 8> { rounds, lanes, keys, key, steps });
                }
                (_, ..=2) => One::call(Encrypt::<'_, '_, 2> { rounds, lanes, keys, key, steps }),
                _ => One::call(Encrypt::<'_, '_, 8> { rounds, lanes, keys, key, steps }),
            }
        }
        for (next, left) in lanes.next.iter_mut().zip(&mut lanes.left) {
            (*next, *left) = (next.wrapping_add(16 * steps), left.saturating_sub(steps));
        }
    }
}

impl<'a> Lanes<'a> {
    fn load(&mut self, lane: usize, text: Text<'a>) {
        let (iv, text_bytes) = text.bytes.split_at_mut(16);
        self.next[lane] = text_bytes.as_mut_ptr();
        self.left[lane] = text_bytes.len() / 16;
        self.chain.0[lane].copy_from_slice(iv);
        self.key[lane] = Some(text.key);
    }

    /// The lanes up to the last that is busy, the blocks that each of them has left, and a busy one's key. Idle lanes
    /// become twins of a busy one, which do again what it does: all read a block before any is written.
    fn all_busy(&mut self, width: usize) -> Option<(usize, usize, &'a RoundKeys)> {
        let busy = self.left[..width].iter().rposition(|left| *left > 0)?;
        let steps = self.left[..width].iter().copied().filter(|left| *left > 0).min()?;
        for lane in 0..width {
            if self.left[lane] == 0 {
                (self.next[lane], self.key[lane]) = (self.next[busy], self.key[busy]);
                self.chain.0[lane] = self.chain.0[busy];
            }
        }
        Some((busy + 1, steps, self.key[busy]?))
    }
}

impl<'a> LaneKeys<'a> {
    fn load(&mut self, keys: &[Option<&'a RoundKeys>; LANES_MAX]) {
        for (lane, (of, key)) in self.of.iter_mut().zip(keys).enumerate() {
            let Some(key) = key.filter(|key| !of.is_some_and(|of| std::ptr::eq(of, *key))) else { continue };
            *of = Some(key);
            for (lanes, key) in self.rounds.iter_mut().zip(&key.keys) {
                lanes.0[lane] = *key;
            }
        }
    }
}

/// Encrypt `steps` blocks of each lane of the first `G` registers.
struct Encrypt<'l, 'a, const G: usize> {
    rounds: usize,
    lanes: &'l mut Lanes<'a>,
    keys: &'l LaneKeys<'a>,
    /// If all have the same.
    key: Option<&'a RoundKeys>,
    steps: usize,
}

impl<const G: usize> Kernel for Encrypt<'_, '_, G> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let Self { rounds, lanes, keys, key, steps } = self;
        // SAFETY: within `Wide::call`; the blocks are the lanes' own (see `encrypt`).
        unsafe {
            match (rounds, key) {
                (10, Some(key)) => run::<V, 10, G, _>(lanes, key, steps),
                (12, Some(key)) => run::<V, 12, G, _>(lanes, key, steps),
                (_, Some(key)) => run::<V, 14, G, _>(lanes, key, steps),
                (10, None) => run::<V, 10, G, _>(lanes, keys, steps),
                (12, None) => run::<V, 12, G, _>(lanes, keys, steps),
                (_, None) => run::<V, 14, G, _>(lanes, keys, steps),
            }
        }
    }
}

/// Where lanes have their round keys.
trait KeyOf {
    /// Register g's keys of a round. `inline(always)`: part of a kernel.
    fn key<V: Wide>(&self, round: usize, g: usize) -> V;
}

impl KeyOf for RoundKeys {
    #[inline(always)]
    fn key<V: Wide>(&self, round: usize, _: usize) -> V {
        // SAFETY: 16 bytes.
        V::broadcast(unsafe { One::load(self.keys[round].as_ptr()) }.low())
    }
}

impl KeyOf for LaneKeys<'_> {
    #[inline(always)]
    fn key<V: Wide>(&self, round: usize, g: usize) -> V {
        load(&self.rounds[round], g)
    }
}

/// # Safety
/// Within `Wide::call`. Each lane has `steps` blocks that nothing else reads or writes, but lanes that are its twins.
#[inline(always)]
unsafe fn run<V: Wide, const ROUNDS: usize, const G: usize, K: KeyOf>(
    lanes: &mut Lanes<'_>,
    keys: &K,
    steps: usize,
) {
    let mut chain = [V::zero(); G];
    for g in 0..G {
        chain[g] = load(&lanes.chain, g);
    }
    for step in 0..steps {
        for g in 0..G {
            // SAFETY: the caller's.
            let text = unsafe { V::gather(&lanes.next[g * V::BLOCKS..], 16 * step) };
            chain[g] = chain[g].xor3(text, keys.key(0, g));
        }
        for round in 1..ROUNDS {
            for g in 0..G {
                chain[g] = chain[g].aes(keys.key(round, g));
            }
        }
        for g in 0..G {
            chain[g] = chain[g].aes_last(keys.key(ROUNDS, g));
            // SAFETY: the caller's.
            unsafe { chain[g].scatter(&lanes.next[g * V::BLOCKS..], 16 * step) };
        }
    }
    for g in 0..G {
        // SAFETY: register g's blocks.
        unsafe { chain[g].store(lanes.chain.0.as_mut_ptr().add(g * V::BLOCKS).cast()) };
    }
}

/// Register g's blocks.
#[inline(always)]
fn load<V: Wide>(lanes: &Lane, g: usize) -> V {
    debug_assert!((g + 1) * V::BLOCKS <= LANES_MAX);
    // SAFETY: registers of all lanes are within.
    unsafe { V::load(lanes.0.as_ptr().add(g * V::BLOCKS).cast()) }
}

/// Decrypt every text in place.
pub(super) fn decrypt<'a>(texts: impl Iterator<Item = Text<'a>>) {
    for text in texts {
        // SAFETY: keys of this engine are made only where `covers` found AES-NI; the greater levels have the greater
        // registers.
        unsafe {
            match cpu::level() {
                cpu::Level::Avx512 => Four::call(Decrypt(text)),
                cpu::Level::Vaes => Two::call(Decrypt(text)),
                _ => One::call(Decrypt(text)),
            }
        }
    }
}

/// Decrypt a text.
struct Decrypt<'a>(Text<'a>);

impl Kernel for Decrypt<'_> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let Self(Text { key, bytes }) = self;
        match key.rounds {
            10 => one::<V, 10>(key, bytes),
            12 => one::<V, 12>(key, bytes),
            _ => one::<V, 14>(key, bytes),
        }
    }
}

#[inline(always)]
fn one<V: Wide, const ROUNDS: usize>(key: &RoundKeys, bytes: &mut [u8]) {
    let mut end = bytes.len() / 16;
    // The IV is block 0.
    while end > V::BLOCKS {
        // Eight registers, or up to four of what is left whole; the block before the first is there.
        let registers = match (end - 1) / V::BLOCKS {
            8.. => 8,
            left => left.min(4),
        };
        let from = end - V::BLOCKS * registers;
        match registers {
            8 => some::<V, ROUNDS, 8>(key, bytes, from),
            4 => some::<V, ROUNDS, 4>(key, bytes, from),
            3 => some::<V, ROUNDS, 3>(key, bytes, from),
            2 => some::<V, ROUNDS, 2>(key, bytes, from),
            _ => some::<V, ROUNDS, 1>(key, bytes, from),
        }
        end = from;
    }
    while end > 1 {
        end -= 1;
        some::<One, ROUNDS, 1>(key, bytes, end);
    }
}

/// Decrypt `G` registers of `bytes`, from block `from` on, which is not the first.
#[inline(always)]
fn some<V: Wide, const ROUNDS: usize, const G: usize>(keys: &RoundKeys, bytes: &mut [u8], from: usize) {
    if from == 0 || bytes.len() < 16 * from + V::BYTES * G {
        return;
    }
    let mut blocks = [V::zero(); G];
    // SAFETY: registers within `bytes`, as was just seen, and 16 bytes before them.
    let text = unsafe { bytes.as_mut_ptr().add(16 * from) };
    for g in 0..G {
        // SAFETY: as above.
        blocks[g] = unsafe { V::load(text.add(V::BYTES * g)) }.xor(keys.key(0, g));
    }
    for round in 1..ROUNDS {
        for g in 0..G {
            blocks[g] = blocks[g].unaes(keys.key(round, g));
        }
    }
    // From the last on: what a register's first block needs is still there when the register before is not yet stored.
    for g in (0..G).rev() {
        // SAFETY: as above.
        unsafe {
            let at = text.add(V::BYTES * g);
            let plain = blocks[g].unaes_last(keys.key(ROUNDS, g)).xor(V::load(at.sub(16)));
            plain.store(at);
        }
    }
}
