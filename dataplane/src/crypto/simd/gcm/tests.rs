//! The same kernels at every width, whatever this CPU's is: four blocks abreast also as four registers of one.

use espalier_wire::Transform;
use espalier_wire::plane::Direction;

use super::*;
use crate::crypto::{EngineId, Key};

/// Four registers of one block, in place of one of four.
#[derive(Clone, Copy)]
struct Quartet([One; 4]);

macro_rules! each {
    ($n:ident => $body:expr) => {{
        let mut blocks = [One::zero(); 4];
        for $n in 0..4 {
            blocks[$n] = $body;
        }
        Self(blocks)
    }};
}

impl Wide for Quartet {
    const BLOCKS: usize = 4;

    unsafe fn call<K: Kernel>(kernel: K) -> K::Out {
        #[target_feature(enable = "avx2,bmi2,aes,pclmulqdq")]
        fn inner<K: Kernel>(kernel: K) -> K::Out {
            // SAFETY: this is `call`.
            unsafe { kernel.run::<Quartet>() }
        }
        // SAFETY: the caller's.
        unsafe { inner(kernel) }
    }

    fn zero() -> Self {
        each!(_n => One::zero())
    }
    fn splat(bits: u64) -> Self {
        each!(_n => One::splat(bits))
    }
    fn broadcast(block: __m128i) -> Self {
        each!(_n => One::lowest(block))
    }
    fn lowest(block: __m128i) -> Self {
        each!(n => if n == 0 { One::lowest(block) } else { One::zero() })
    }
    fn low(self) -> __m128i {
        self.0[0].low()
    }
    fn block(self, n: usize) -> __m128i {
        self.0[n].low()
    }
    fn joined(blocks: &[__m128i]) -> Self {
        each!(n => blocks.get(n).map_or(One::zero(), |block| One::lowest(*block)))
    }
    fn sums(of: &[Self]) -> Self {
        each!(n => of.get(n).map_or(One::zero(), |x| One::lowest(x.sum())))
    }
    fn sum(self) -> __m128i {
        self.0[0].xor3(self.0[1], self.0[2]).xor(self.0[3]).low()
    }
    unsafe fn load(at: *const u8) -> Self {
        // SAFETY: the caller's.
        each!(n => unsafe { One::load(at.add(16 * n)) })
    }
    unsafe fn store(self, at: *mut u8) {
        for (n, block) in self.0.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { block.store(at.add(16 * n)) };
        }
    }
    unsafe fn load_ragged(at: *const u8, len: usize) -> Self {
        let mut bytes = [0; 64];
        // SAFETY: the caller's, and 64 bytes.
        unsafe {
            std::ptr::copy_nonoverlapping(at, bytes.as_mut_ptr(), len);
            Self::load(bytes.as_ptr())
        }
    }
    unsafe fn store_part(self, at: *mut u8, len: usize) {
        let mut bytes = [0; 64];
        // SAFETY: the caller's, and 64 bytes.
        unsafe {
            self.store(bytes.as_mut_ptr());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, len);
        }
    }
    fn cut(self, len: usize) -> Self {
        each!(n => self.0[n].cut(len.saturating_sub(16 * n).min(16)))
    }
    fn but_lowest(self) -> Self {
        each!(n => if n == 0 { One::zero() } else { self.0[n] })
    }
    fn xor(self, b: Self) -> Self {
        each!(n => self.0[n].xor(b.0[n]))
    }
    fn xor3(self, b: Self, c: Self) -> Self {
        each!(n => self.0[n].xor3(b.0[n], c.0[n]))
    }
    fn add32(self, b: Self) -> Self {
        each!(n => self.0[n].add32(b.0[n]))
    }
    fn aes(self, key: Self) -> Self {
        each!(n => self.0[n].aes(key.0[n]))
    }
    fn aes_last(self, key: Self) -> Self {
        each!(n => self.0[n].aes_last(key.0[n]))
    }
    fn unaes(self, key: Self) -> Self {
        each!(n => self.0[n].unaes(key.0[n]))
    }
    fn unaes_last(self, key: Self) -> Self {
        each!(n => self.0[n].unaes_last(key.0[n]))
    }
    unsafe fn gather(at: &[*mut u8], on: usize) -> Self {
        // SAFETY: the caller's.
        each!(n => unsafe { One::load(at[n].add(on)) })
    }
    unsafe fn scatter(self, at: &[*mut u8], on: usize) {
        for (block, at) in self.0.iter().zip(at) {
            // SAFETY: the caller's.
            unsafe { block.store(at.add(on)) };
        }
    }
    fn order(self, by: Self) -> Self {
        each!(n => self.0[n].order(by.0[n]))
    }
    fn product<const HALVES: i32>(self, b: Self) -> Self {
        each!(n => self.0[n].product::<HALVES>(b.0[n]))
    }
    fn pinned(self) -> Self {
        self
    }
    fn swapped(self) -> Self {
        each!(n => self.0[n].swapped())
    }
}

/// Sequence numbers whose high half changes now and then.
fn seq_hi(n: usize) -> u32 {
    5 + n as u32 / 23
}

/// One and the same batch, each packet with one of these keys in turn; what became of it.
fn batch<V: Wide, const SEAL: bool>(keys: &[Key], packets: &[Vec<u8>]) -> Vec<(Vec<u8>, bool)> {
    let mut packets = packets.to_vec();
    let places = packets.iter_mut().enumerate();
    let mut jobs: Vec<Job<'_>> =
        places.map(|(n, bytes)| Job::new(&keys[n % keys.len()], bytes, seq_hi(n))).collect();
    // SAFETY: keys of this engine are made only where AES-NI is; greater widths are asked for where they are.
    unsafe { V::call(Batch::<'_, '_, SEAL> { jobs: &mut jobs }) };
    let done: Vec<bool> = jobs.iter().map(|job| job.verified).collect();
    packets.into_iter().zip(done).collect()
}

fn check<V: Wide>(transform: Transform, lens: &[usize], rounds: usize) {
    let secret: Vec<u8> = (0..200).map(|n| (n * n / 3 + rounds) as u8).collect();
    let keys = |id: EngineId, direction| -> Vec<Key> {
        let key = |n: usize| &secret[n..n + transform.key_len()];
        let esn = |n: usize| (n / 2 + lens.len()).is_multiple_of(2);
        let make = |n: usize| id.engine().key(transform, direction, key(n), &[], esn(n)).unwrap();
        (0..1 + rounds).map(make).collect()
    };
    let plain: Vec<Vec<u8>> =
        lens.iter().map(|len| (0..*len).map(|n| (n * 7 + len) as u8).collect()).collect();
    let sealed = batch::<V, true>(&keys(EngineId::Simd, Direction::Outbound), &plain);
    let twins = keys(EngineId::Scalar, Direction::Outbound);
    for (n, (plain, (sealed, done))) in plain.iter().zip(&sealed).enumerate() {
        let mut twin = plain.clone();
        let mut jobs = [Job::new(&twins[n % twins.len()], &mut twin, seq_hi(n))];
        crate::crypto::seal(&mut jobs);
        assert_eq!(jobs[0].verified, *done);
        assert!(twin == *sealed, "{transform} {} bytes at {} blocks", plain.len(), V::BLOCKS);
    }
    let mut damaged: Vec<Vec<u8>> = sealed.into_iter().map(|(bytes, _)| bytes).collect();
    for bytes in damaged.iter_mut().step_by(3) {
        let at = bytes.len() / 2;
        bytes[at] ^= 4;
    }
    let opened = batch::<V, false>(&keys(EngineId::Simd, Direction::Inbound), &damaged);
    for (n, (bytes, done)) in opened.iter().enumerate() {
        let text = bytes.len() - 16;
        assert_eq!(*done, n % 3 != 0);
        assert!(!done || bytes[..text] == plain[n][..text]);
    }
}

#[test]
fn all_widths_are_the_twins() {
    if cpu::level() < cpu::Level::Avx2 {
        // No key of this engine can be made, so that nothing can go wrong with one.
        return;
    }
    let all: Vec<usize> = (32..420).collect();
    let long: Vec<usize> = (0..60).map(|n| 1500 + 29 * n).chain([4000, 9000, 8999, 9001]).collect();
    for transform in TRANSFORMS {
        for (rounds, lens) in [(0, &all), (3, &all), (3, &long)] {
            check_widths(transform, lens, rounds);
        }
    }
}

/// Packets that have a length in common, and perhaps a key, alone and among others.
#[test]
fn flows_are_the_twins() {
    if cpu::level() < cpu::Level::Avx2 {
        return;
    }
    for transform in TRANSFORMS {
        for len in 32..290 {
            for rounds in [0, 1, 3] {
                check_widths(transform, &vec![len; 1 + (len + rounds) % 9], rounds);
            }
            // As many that they have one high half of sequence numbers, with ESN (see `check`) or without.
            let mixed = (0..21 + len / 2 % 2).map(|n| if n % 4 == 1 { 1500 } else { len });
            let mixed: Vec<usize> = mixed.collect();
            check_widths(transform, &mixed, len % 2);
        }
    }
}

const TRANSFORMS: [Transform; 4] =
    [Transform::Aes128Gcm, Transform::Aes192Gcm, Transform::Aes256Gcm, Transform::Aes128Gmac];

fn check_widths(transform: Transform, lens: &[usize], rounds: usize) {
    check::<One>(transform, lens, rounds);
    check::<Quartet>(transform, lens, rounds);
    if cpu::level() >= cpu::Level::Vaes {
        check::<Two>(transform, lens, rounds);
    }
    if cpu::level() >= cpu::Level::Avx512 {
        check::<Four>(transform, lens, rounds);
    }
}
