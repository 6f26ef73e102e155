//! AES-CBC (RFC 3602). Encryption is serial within a packet: eight or sixteen packets abreast, as many in a register as
//! it has blocks. Decryption is not: four registers of one packet abreast, from its end to its beginning, so that the
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

/// The packets in the lanes, and each lane's round keys.
struct Lanes {
    next: [*mut u8; LANES_MAX],
    left: [usize; LANES_MAX],
    chain: Lane,
    keys: [Lane; ROUND_KEYS_MAX],
}

/// Encrypt every text; all have keys of `rounds` rounds.
pub(super) fn encrypt<'a>(rounds: usize, mut texts: impl Iterator<Item = Text<'a>>) {
    let width = if cpu::level() >= cpu::Level::Vaes { LANES_MAX } else { 8 };
    let zero = Lane([[0; 16]; LANES_MAX]);
    let mut lanes = Lanes {
        next: [std::ptr::null_mut(); LANES_MAX],
        left: [0; LANES_MAX],
        chain: zero,
        keys: [zero; ROUND_KEYS_MAX],
    };
    // What idle lanes write to: one block a lane, over and over.
    let mut spare = [[0u8; 16]; LANES_MAX];
    loop {
        let mut busy = 0;
        for lane in 0..width {
            if lanes.left[lane] == 0
                && let Some(text) = texts.find(|text| text.bytes.len() > 16)
            {
                lanes.load(lane, text);
            }
            if lanes.left[lane] > 0 {
                busy = lane + 1;
            }
        }
        let Some(steps) = lanes.left.iter().copied().filter(|left| *left > 0).min() else { return };
        let mut stride = [16; LANES_MAX];
        for ((next, left), (stride, spare)) in
            lanes.next.iter_mut().zip(&lanes.left).zip(stride.iter_mut().zip(&mut spare))
        {
            if *left == 0 {
                (*next, *stride) = (spare.as_mut_ptr(), 0);
            }
        }
        let lanes = &mut lanes;
        // SAFETY: keys of this engine are made only where `covers` found AES-NI; the greater levels have the greater
        // registers. Each busy lane has `steps` blocks left in a text borrowed until the texts end, each idle lane
        // stays at its spare block.
        unsafe {
            match (cpu::level(), busy) {
                (cpu::Level::Avx512, ..=4) => {
                    Four::call(Encrypt::<'_, 1> { rounds, lanes: &mut *lanes, steps, stride });
                }
                (cpu::Level::Avx512, _) => {
                    Four::call(Encrypt::<'_, 4> { rounds, lanes: &mut *lanes, steps, stride });
                }
                (cpu::Level::Vaes, ..=8) => {
                    Two::call(Encrypt::<'_, 4> { rounds, lanes: &mut *lanes, steps, stride });
                }
                (cpu::Level::Vaes, _) => {
                    Two::call(Encrypt::<'_, 8> { rounds, lanes: &mut *lanes, steps, stride });
                }
                (_, ..=2) => One::call(Encrypt::<'_, 2> { rounds, lanes: &mut *lanes, steps, stride }),
                _ => One::call(Encrypt::<'_, 8> { rounds, lanes: &mut *lanes, steps, stride }),
            }
        }
        lanes.left.iter_mut().filter(|left| **left > 0).for_each(|left| *left -= steps);
    }
}

impl Lanes {
    fn load(&mut self, lane: usize, text: Text<'_>) {
        let (iv, text_bytes) = text.bytes.split_at_mut(16);
        self.next[lane] = text_bytes.as_mut_ptr();
        self.left[lane] = text_bytes.len() / 16;
        self.chain.0[lane].copy_from_slice(iv);
        for (lanes, key) in self.keys.iter_mut().zip(&text.key.keys) {
            lanes.0[lane] = *key;
        }
    }
}

/// Encrypt `steps` blocks, a `stride` apart, of each lane of the first `G` registers.
struct Encrypt<'a, const G: usize> {
    rounds: usize,
    lanes: &'a mut Lanes,
    steps: usize,
    stride: [usize; LANES_MAX],
}

impl<const G: usize> Kernel for Encrypt<'_, G> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let Self { rounds, lanes, steps, stride } = self;
        // SAFETY: within `Wide::call`; the blocks are the lanes' own (see `encrypt`).
        unsafe {
            match rounds {
                10 => run::<V, 10, G>(lanes, steps, &stride),
                12 => run::<V, 12, G>(lanes, steps, &stride),
                _ => run::<V, 14, G>(lanes, steps, &stride),
            }
        }
    }
}

/// # Safety
/// Within `Wide::call`. Each lane has `steps` blocks, a `stride` apart, that nothing else reads or writes.
#[inline(always)]
unsafe fn run<V: Wide, const ROUNDS: usize, const G: usize>(
    lanes: &mut Lanes,
    steps: usize,
    stride: &[usize; LANES_MAX],
) {
    let mut chain = [V::zero(); G];
    for g in 0..G {
        chain[g] = load(&lanes.chain, g);
    }
    for _ in 0..steps {
        for g in 0..G {
            // SAFETY: the caller's.
            let text = unsafe { V::gather(&lanes.next[g * V::BLOCKS..]) };
            chain[g] = chain[g].xor3(text, load(&lanes.keys[0], g));
        }
        for keys in &lanes.keys[1..ROUNDS] {
            for g in 0..G {
                chain[g] = chain[g].aes(load(keys, g));
            }
        }
        for g in 0..G {
            chain[g] = chain[g].aes_last(load(&lanes.keys[ROUNDS], g));
            // SAFETY: the caller's.
            unsafe { chain[g].scatter(&lanes.next[g * V::BLOCKS..]) };
        }
        for lane in 0..G * V::BLOCKS {
            lanes.next[lane] = lanes.next[lane].wrapping_add(stride[lane]);
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
    let mut keys = [V::zero(); ROUND_KEYS_MAX];
    let mut narrow = [One::zero(); ROUND_KEYS_MAX];
    for n in 0..=ROUNDS {
        // SAFETY: 16 bytes.
        narrow[n] = unsafe { One::load(key.keys[n].as_ptr()) };
        keys[n] = V::broadcast(narrow[n].low());
    }
    let mut end = bytes.len() / 16;
    // The IV is block 0.
    while end > V::BLOCKS {
        // Four registers, or what is left of them whole; the block before the first is there.
        let registers = ((end - 1) / V::BLOCKS).min(4);
        let from = end - V::BLOCKS * registers;
        match registers {
            4 => some::<V, ROUNDS, 4>(&keys, bytes, from),
            3 => some::<V, ROUNDS, 3>(&keys, bytes, from),
            2 => some::<V, ROUNDS, 2>(&keys, bytes, from),
            _ => some::<V, ROUNDS, 1>(&keys, bytes, from),
        }
        end = from;
    }
    while end > 1 {
        end -= 1;
        some::<One, ROUNDS, 1>(&narrow, bytes, end);
    }
}

/// Decrypt `G` registers of `bytes`, from block `from` on, which is not the first.
#[inline(always)]
fn some<V: Wide, const ROUNDS: usize, const G: usize>(
    keys: &[V; ROUND_KEYS_MAX],
    bytes: &mut [u8],
    from: usize,
) {
    if from == 0 || bytes.len() < 16 * from + V::BYTES * G {
        return;
    }
    let (mut blocks, mut before) = ([V::zero(); G], [V::zero(); G]);
    // SAFETY: registers within `bytes`, as was just seen, and 16 bytes before them.
    let text = unsafe { bytes.as_mut_ptr().add(16 * from) };
    for g in 0..G {
        // SAFETY: as above.
        unsafe {
            blocks[g] = V::load(text.add(V::BYTES * g)).xor(keys[0]);
            before[g] = V::load(text.add(V::BYTES * g).sub(16));
        }
    }
    for key in &keys[1..ROUNDS] {
        for g in 0..G {
            blocks[g] = blocks[g].unaes(*key);
        }
    }
    for g in 0..G {
        let plain = blocks[g].unaes_last(keys[ROUNDS]).xor(before[g]);
        // SAFETY: as above.
        unsafe { plain.store(text.add(V::BYTES * g)) };
    }
}
