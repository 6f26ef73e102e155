//! AES-GCM (RFC 4106) and AES-GMAC (RFC 4543) with as many blocks in a register as the CPU has room for.
//!
//! The sixteen bytes before an ESP packet's text are its SPI, sequence number and IV. So the packet is taken as it lies,
//! in whole registers from its SPI on: block 0's place in the counters belongs to J0, whose encryption masks the tag,
//! and its place in GHASH to the additional data. The block of lengths is added for itself.
//!
//! Short packets of the same count of registers go through together, whatever their SAs: one alone would wait for
//! its own rounds. Long ones fill the registers by themselves, and go one after the other.

mod gmac;
mod key;
mod long;
mod short;
mod sums;
#[cfg(test)]
mod tests;

use std::arch::x86_64::*;
use std::hint::black_box;

use super::super::Job;
use super::wide::{Four, Kernel, One, Two, Wide};
use super::{cpu, is_outbound, material};
pub(in super::super) use key::GcmKey;
use sums::Sums;

/// Counts of registers of short packets.
const SHORT: usize = 4;
/// Short packets that go through together.
const ABREAST: usize = 4;

/// A packet: its key, and where its bytes are.
#[derive(Clone, Copy)]
struct Packet<'a> {
    key: &'a GcmKey,
    /// From the SPI on; 16 bytes behind `len` are the ICV.
    bytes: *mut u8,
    /// Bytes up to the ICV, 16 at least.
    len: usize,
    seq_hi: u32,
}

/// Seal or open the jobs of this engine whose keys are GCM's, in the key's direction. `SEAL`: which of the two is asked.
pub(super) fn run<const SEAL: bool>(jobs: &mut [Job<'_>]) {
    // SAFETY: keys of this engine are made only where `covers` found AES and carry-less multiplication; at the greater
    // levels there are the greater registers.
    unsafe {
        match cpu::level() {
            cpu::Level::Avx512 => Four::call(Batch::<'_, '_, SEAL> { jobs }),
            cpu::Level::Vaes => Two::call(Batch::<'_, '_, SEAL> { jobs }),
            _ => One::call(Batch::<'_, '_, SEAL> { jobs }),
        }
    }
}

struct Batch<'j, 'a, const SEAL: bool> {
    jobs: &'j mut [Job<'a>],
}

/// Short packets that wait until there are enough of their kind, by number of their job.
#[derive(Clone, Copy)]
struct Waiting {
    jobs: [u32; ABREAST],
    count: usize,
}

impl<const SEAL: bool> Kernel for Batch<'_, '_, SEAL> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        let mut waiting = [[Waiting { jobs: [0; ABREAST], count: 0 }; SHORT]; 3];
        for n in 0..self.jobs.len() {
            let job = &mut self.jobs[n];
            let (key, gmac) = match material(job) {
                Some(super::Material::Gcm(key)) => (key, false),
                Some(super::Material::Gmac(key)) => (key, true),
                _ => continue,
            };
            job.verified = false;
            if is_outbound(job) != SEAL || job.bytes.len() < 32 {
                continue;
            }
            let registers = (job.bytes.len() - 16).div_ceil(V::BYTES);
            if gmac {
                let packet = Packet::new(key, job);
                // SAFETY: within `Wide::call`.
                job.verified = unsafe { V::call(gmac::Gmac::<SEAL>(packet)) };
            } else if registers > SHORT {
                let packet = Packet::new(key, job);
                // SAFETY: within `Wide::call`.
                job.verified = unsafe { V::call(long::Long::<SEAL>(packet)) };
            } else {
                let group = &mut waiting[(key.rounds - 10) / 2][registers - 1];
                group.jobs[group.count] = n as u32;
                group.count += 1;
                if group.count == ABREAST {
                    group.count = 0;
                    // SAFETY: within `Wide::call`.
                    unsafe { together::<V, SEAL, ABREAST>(self.jobs, &group.jobs, registers) };
                }
            }
        }
        for (registers, group) in waiting.iter().flat_map(|rounds| (1..).zip(rounds)) {
            for job in &group.jobs[..group.count] {
                // SAFETY: within `Wide::call`.
                unsafe { together::<V, SEAL, 1>(self.jobs, &[*job], registers) };
            }
        }
    }
}

/// Short packets of so many registers.
///
/// # Safety
/// Within `Wide::call`; each is a job of this module's, of so many registers, all with as many rounds.
#[inline(always)]
unsafe fn together<V: Wide, const SEAL: bool, const N: usize>(
    jobs: &mut [Job<'_>],
    numbers: &[u32; N],
    registers: usize,
) {
    let mut packets = [const { None }; N];
    for (packet, n) in packets.iter_mut().zip(numbers) {
        let job = &mut jobs[*n as usize];
        let Some(super::Material::Gcm(key)) = material(job) else { return };
        *packet = Some(Packet::new(key, job));
    }
    let packets = packets.map(|packet| match packet {
        Some(packet) => packet,
        None => unreachable!(),
    });
    // SAFETY: the caller's.
    let done = unsafe {
        match registers {
            1 => V::call(short::Short::<N, 1, SEAL>(packets)),
            2 => V::call(short::Short::<N, 2, SEAL>(packets)),
            3 => V::call(short::Short::<N, 3, SEAL>(packets)),
            _ => V::call(short::Short::<N, 4, SEAL>(packets)),
        }
    };
    for (n, done) in numbers.iter().zip(done) {
        jobs[*n as usize].verified = done;
    }
}

impl<'a> Packet<'a> {
    #[inline(always)]
    fn new(key: &'a GcmKey, job: &mut Job<'_>) -> Self {
        Self { key, bytes: job.bytes.as_mut_ptr(), len: job.bytes.len() - 16, seq_hi: job.seq_hi }
    }

    /// The packet's SPI, sequence number and IV.
    #[inline(always)]
    fn head(&self) -> __m128i {
        // SAFETY: a packet has them.
        unsafe { _mm_loadu_si128(self.bytes.cast()) }
    }

    /// The high half of the sequence number at its place in the additional data, which is backwards.
    #[inline(always)]
    fn high_sequence(&self) -> __m128i {
        // SAFETY: every CPU of the architecture has the instruction.
        unsafe { _mm_set_epi32(0, self.seq_hi as i32, 0, 0) }
    }

    /// GHASH's sums with the number of the text's bits.
    #[inline(always)]
    fn length<V: Wide>(&self) -> Sums<V> {
        // SAFETY: as above.
        let bits = unsafe { _mm_cvtsi64_si128(8 * (self.len as i64 - 16)) };
        Sums::of_low_half(V::lowest(bits), V::lowest(self.key.last_power().1))
    }

    /// The tag's mask and GHASH's sums are known: write the tag, or see whether it is that which is there. `received`:
    /// the ICV as it was before the text was written, which may have run over it.
    ///
    /// # Safety
    /// Within `Wide::call`.
    #[inline(always)]
    unsafe fn finish<V: Wide, const SEAL: bool>(
        &self,
        sums: Sums<V>,
        aad_len: __m128i,
        mask: __m128i,
        received: __m128i,
    ) -> bool {
        // SAFETY: the ICV's 16 bytes are behind the text.
        unsafe {
            let backwards = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
            let hash = _mm_shuffle_epi8(sums.reduce(), backwards);
            let tag = _mm_xor_si128(_mm_xor_si128(mask, aad_len), hash);
            let icv = self.bytes.add(self.len).cast();
            if SEAL {
                _mm_storeu_si128(icv, tag);
                return true;
            }
            _mm_storeu_si128(icv, received);
            // One instruction compares all of it, and takes the same time wherever the bits differ.
            let differ = _mm_xor_si128(tag, received);
            black_box(_mm_testz_si128(differ, differ)) == 1
        }
    }

    /// # Safety
    /// Only before the text is written.
    #[inline(always)]
    unsafe fn icv(&self) -> __m128i {
        // SAFETY: the ICV's 16 bytes are behind the text.
        unsafe { _mm_loadu_si128(self.bytes.add(self.len).cast()) }
    }
}

/// Which bytes of a block are where in a register: backwards.
static BACKWARDS: [u8; 64] = {
    let mut order = [0; 64];
    let mut n = 0;
    while n < 64 {
        order[n] = 15 - n as u8 % 16;
        n += 1;
    }
    order
};

/// The second and all later rounds.
#[inline(always)]
fn rounds<V: Wide, const N: usize, const G: usize>(keys: &[&GcmKey; N], states: &mut [[V; G]; N]) {
    let count = keys[0].rounds;
    macro_rules! round {
        ($n:expr) => {
            for p in 0..N {
                let key = keys[p].round_key($n);
                for g in 0..G {
                    states[p][g] = states[p][g].aes(key);
                }
            }
        };
    }
    round!(2);
    round!(3);
    round!(4);
    round!(5);
    round!(6);
    round!(7);
    round!(8);
    round!(9);
    if count > 10 {
        round!(10);
        round!(11);
        if count > 12 {
            round!(12);
            round!(13);
        }
    }
    for p in 0..N {
        let key = keys[p].round_key(count);
        for g in 0..G {
            states[p][g] = states[p][g].aes_last(key);
        }
    }
}
