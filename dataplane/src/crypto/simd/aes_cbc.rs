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
    /// The block before the next one to be encrypted: what that is to be XORed with.
    before: [*mut u8; LANES_MAX],
    /// Blocks.
    left: [usize; LANES_MAX],
    key: [Option<&'a RoundKeys>; LANES_MAX],
}

/// The round keys of each lane, where they are not all the same, and whose they are.
struct LaneKeys<'a> {
    rounds: [Lane; ROUND_KEYS_MAX],
    of: [Option<&'a RoundKeys>; LANES_MAX],
}

/// What lanes do until one is through.
struct Leg<'a> {
    /// Lanes up to the last that is busy.
    busy: usize,
    /// Blocks that each of those has left.
    steps: usize,
    /// Any busy lane's key, and whether they all have it.
    key: &'a RoundKeys,
    alike: bool,
}

/// Encrypt every text; all have keys of `rounds` rounds.
pub(super) fn encrypt<'a>(rounds: usize, mut texts: impl Iterator<Item = Text<'a>>) {
    let level = cpu::level();
    let width = if level >= cpu::Level::Vaes { LANES_MAX } else { 8 };
    let mut lanes =
        Lanes { before: [std::ptr::null_mut(); LANES_MAX], left: [0; LANES_MAX], key: [None; LANES_MAX] };
    let mut lane_keys = None;
    while let Some(Leg { busy, steps, key, alike }) = lanes.fill(width, &mut texts) {
        let keys = match alike {
            true => Keys::Same(key),
            false => Keys::Each(lane_keys.get_or_insert_with(LaneKeys::new).load(&lanes.key[..width])),
        };
        // SAFETY: keys of this engine are made only where `covers` found AES-NI; the greater levels have the greater
        // registers. Each lane has `steps` blocks left in a text borrowed until the texts end, and one before them.
        unsafe {
            let before = &lanes.before;
            match (level, busy) {
                (cpu::Level::Avx512, ..=4) => Four::call(Encrypt::<'_, 1> { rounds, before, keys, steps }),
                (cpu::Level::Avx512, _) => Four::call(Encrypt::<'_, 4> { rounds, before, keys, steps }),
                (cpu::Level::Vaes, ..=8) => Two::call(Encrypt::<'_, 4> { rounds, before, keys, steps }),
                (cpu::Level::Vaes, _) => Two::call(Encrypt::<'_, 8> { rounds, before, keys, steps }),
                (_, ..=2) => One::call(Encrypt::<'_, 2> { rounds, before, keys, steps }),
                _ => One::call(Encrypt::<'_, 8> { rounds, before, keys, steps }),
            }
        }
        for (before, left) in lanes.before[..busy].iter_mut().zip(&mut lanes.left) {
            (*before, *left) = (before.wrapping_add(16 * steps), left.saturating_sub(steps));
        }
    }
}

impl<'a> Lanes<'a> {
    /// Give every idle lane a text, while there are any. Those that stay idle become twins of a busy one, which do
    /// again what it does: all read a block before any is written. None: all are idle.
    #[inline(always)]
    fn fill(&mut self, width: usize, texts: &mut impl Iterator<Item = Text<'a>>) -> Option<Leg<'a>> {
        let (mut leg, mut count) = (None::<Leg<'a>>, 0);
        for lane in 0..width {
            if self.left[lane] == 0 {
                let Some(Text { key, bytes }) = texts.next() else { continue };
                self.before[lane] = bytes.as_mut_ptr();
                self.left[lane] = bytes.len() / 16 - 1;
                self.key[lane] = Some(key);
            }
            let (left, Some(key)) = (self.left[lane], self.key[lane]) else { continue };
            count += 1;
            let leg = leg.get_or_insert(Leg { busy: 0, steps: left, key, alike: true });
            leg.busy = lane + 1;
            leg.steps = leg.steps.min(left);
            leg.alike &= std::ptr::eq(leg.key, key);
        }
        let twin = leg.as_ref()?.busy - 1;
        if count < width {
            for lane in (0..width).filter(|lane| self.left[*lane] == 0) {
                (self.before[lane], self.key[lane]) = (self.before[twin], self.key[twin]);
            }
        }
        leg
    }
}

impl<'a> LaneKeys<'a> {
    fn new() -> Self {
        Self { rounds: [Lane([[0; 16]; LANES_MAX]); ROUND_KEYS_MAX], of: [None; LANES_MAX] }
    }

    fn load(&mut self, keys: &[Option<&'a RoundKeys>]) -> &Self {
        for (lane, (of, key)) in self.of.iter_mut().zip(keys).enumerate() {
            let Some(key) = key.filter(|key| !of.is_some_and(|of| std::ptr::eq(of, *key))) else { continue };
            *of = Some(key);
            for (lanes, key) in self.rounds.iter_mut().zip(&key.keys[..=key.rounds]) {
                lanes.0[lane] = *key;
            }
        }
        self
    }
}

/// The keys of a leg.
#[derive(Clone, Copy)]
enum Keys<'l> {
    Same(&'l RoundKeys),
    Each(&'l LaneKeys<'l>),
}

/// Encrypt `steps` blocks of each lane of the first `G` registers.
struct Encrypt<'l, const G: usize> {
    rounds: usize,
    before: &'l [*mut u8; LANES_MAX],
    keys: Keys<'l>,
    steps: usize,
}

impl<const G: usize> Kernel for Encrypt<'_, G> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let Self { rounds, before, keys, steps } = self;
        // SAFETY: within `Wide::call`; the blocks are the lanes' own (see `encrypt`).
        unsafe {
            match (rounds, keys) {
                (10, Keys::Same(key)) => run::<V, 10, G, _>(before, key, steps),
                (12, Keys::Same(key)) => run::<V, 12, G, _>(before, key, steps),
                (_, Keys::Same(key)) => run::<V, 14, G, _>(before, key, steps),
                (10, Keys::Each(keys)) => run::<V, 10, G, _>(before, keys, steps),
                (12, Keys::Each(keys)) => run::<V, 12, G, _>(before, keys, steps),
                (_, Keys::Each(keys)) => run::<V, 14, G, _>(before, keys, steps),
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
/// Within `Wide::call`. Each lane has `steps` blocks that nothing else reads or writes, but lanes that are its twins, and
/// one before them.
#[inline(always)]
unsafe fn run<V: Wide, const ROUNDS: usize, const G: usize, K: KeyOf>(
    before: &[*mut u8; LANES_MAX],
    keys: &K,
    steps: usize,
) {
    let mut chain = [V::zero(); G];
    for g in 0..G {
        // SAFETY: the caller's.
        chain[g] = unsafe { V::gather(&before[g * V::BLOCKS..], 0) };
    }
    for step in 1..=steps {
        for g in 0..G {
            // SAFETY: the caller's.
            let text = unsafe { V::gather(&before[g * V::BLOCKS..], 16 * step) };
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
            unsafe { chain[g].scatter(&before[g * V::BLOCKS..], 16 * step) };
        }
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
    // SAFETY: keys of this engine are made only where `covers` found AES-NI; the greater levels have the greater
    // registers.
    unsafe {
        match cpu::level() {
            cpu::Level::Avx512 => Four::call(Decrypt(texts)),
            cpu::Level::Vaes => Two::call(Decrypt(texts)),
            _ => One::call(Decrypt(texts)),
        }
    }
}

/// Decrypt texts.
struct Decrypt<I>(I);

impl<'a, I: Iterator<Item = Text<'a>>> Kernel for Decrypt<I> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        for Text { key, bytes } in self.0 {
            match key.rounds {
                10 => one::<V, 10>(key, bytes),
                12 => one::<V, 12>(key, bytes),
                _ => one::<V, 14>(key, bytes),
            }
        }
    }
}

#[inline(always)]
fn one<V: Wide, const ROUNDS: usize>(key: &RoundKeys, bytes: &mut [u8]) {
    // The IV is block 0.
    let mut end = bytes.len() / 16;
    while end > 8 * V::BLOCKS {
        some::<V, ROUNDS, 8>(key, bytes, end);
        end -= 8 * V::BLOCKS;
    }
    if end > 4 * V::BLOCKS {
        some::<V, ROUNDS, 4>(key, bytes, end);
        end -= 4 * V::BLOCKS;
    }
    // Up to four of what is left, the first of which may have blocks in common with the second.
    match (end - 1).div_ceil(V::BLOCKS) {
        4.. => some::<V, ROUNDS, 4>(key, bytes, end),
        3 => some::<V, ROUNDS, 3>(key, bytes, end),
        2 => some::<V, ROUNDS, 2>(key, bytes, end),
        _ if end > V::BLOCKS => some::<V, ROUNDS, 1>(key, bytes, end),
        _ => {
            for end in (2..=end).rev() {
                some::<One, ROUNDS, 1>(key, bytes, end);
            }
        }
    }
}

/// Decrypt `G` registers of blocks before block `end`. The first register begins with block 1 at the least, even if that is
/// after the end of the one before; there is one register of blocks behind block 0 at the least.
#[inline(always)]
fn some<V: Wide, const ROUNDS: usize, const G: usize>(keys: &RoundKeys, bytes: &mut [u8], end: usize) {
    if end <= V::BLOCKS || end < V::BLOCKS * (G - 1) + 2 || bytes.len() < 16 * end {
        return;
    }
    let text = bytes.as_mut_ptr();
    let mut at = [text.wrapping_add(16 * end.saturating_sub(V::BLOCKS * G).max(1)); G];
    for g in 1..G {
        at[g] = text.wrapping_add(16 * end).wrapping_sub(V::BYTES * (G - g));
    }
    let mut blocks = [V::zero(); G];
    for g in 0..G {
        // SAFETY: a register within `bytes`, as was just seen.
        blocks[g] = unsafe { V::load(at[g]) }.xor(keys.key(0, g));
    }
    // SAFETY: 16 bytes before that are there.
    let chain = unsafe { V::load(at[0].sub(16)) };
    for round in 1..ROUNDS {
        for g in 0..G {
            blocks[g] = blocks[g].unaes(keys.key(round, g));
        }
    }
    // From the last on: what a register's first block needs is still there when the register before is not yet stored.
    for g in (0..G).rev() {
        // SAFETY: as above.
        unsafe {
            let before = if g == 0 { chain } else { V::load(at[g].sub(16)) };
            blocks[g].unaes_last(keys.key(ROUNDS, g)).xor(before).store(at[g]);
        }
    }
}
