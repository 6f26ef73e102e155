//! AES-GCM (RFC 4106) and AES-GMAC (RFC 4543) with as many blocks in a register as the CPU has room for.
//!
//! The sixteen bytes before an ESP packet's text are its SPI, sequence number and IV. So the packet is taken as it lies,
//! in whole registers from its SPI on: block 0's place in the counters belongs to J0, whose encryption masks the tag,
//! and its place in GHASH to the additional data. The block of lengths is added for itself.
//!
//! Short packets of the same count of registers go through together, whatever their SAs: one alone would wait for
//! its own rounds. Those of one length go for themselves (`alike`): a batch that is nothing else is not even sorted. Long
//! ones fill the registers by themselves, and go one after the other.

mod alike;
mod gmac;
mod key;
mod long;
mod short;
mod sort;
mod sums;
#[cfg(test)]
mod tests;

use std::arch::x86_64::*;
use std::hint::black_box;

use super::super::Job;
use super::wide::{Four, Kernel, One, Two, Wide};
use super::{cpu, is_outbound, material};
use alike::{Alike, Flow, Packets};
pub(in super::super) use key::GcmKey;
use key::load;
use sort::{GMAC, Kind, LONG, List, Sorted};
use sums::Sums;

/// Counts of registers of short packets.
const SHORT: usize = 4;
/// Jobs that are sorted by length and count of rounds at once.
const SORTED: usize = 64;

/// A packet: its key, and where its bytes are.
#[derive(Clone, Copy)]
struct Packet<'a> {
    key: &'a GcmKey,
    /// From the SPI on; 16 bytes behind `len` are the ICV.
    bytes: *mut u8,
    /// Its job's `verified`.
    done: *mut bool,
    /// Bytes up to the ICV, 16 at least.
    len: u32,
    /// Zero without ESN.
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

impl<const SEAL: bool> Kernel for Batch<'_, '_, SEAL> {
    type Out = ();

    #[inline(always)]
    unsafe fn run<V: Wide>(self) {
        for jobs in self.jobs.chunks_mut(SORTED) {
            // SAFETY: within `Wide::call`.
            unsafe {
                match one_length::<V, SEAL>(jobs) {
                    Some(Alikeness { key, registers, one_key }) => {
                        let (list, jobs) = (&ALL[..jobs.len()], jobs.as_mut_ptr());
                        match one_key {
                            true => alike::<V, SEAL, _>(registers, Flow::<false> { key, jobs, list }),
                            false => alike::<V, SEAL, _>(registers, Flow::<true> { key, jobs, list }),
                        }
                    }
                    None => sort::<V, SEAL>(jobs),
                }
            }
        }
    }
}

/// All jobs of a batch, by their number.
static ALL: [u8; SORTED] = {
    let mut all = [0; SORTED];
    let mut n = 0;
    while n < SORTED {
        all[n] = n as u8;
        n += 1;
    }
    all
};

/// What short packets of one length have in common.
struct Alikeness<'a> {
    /// The first one's key.
    key: &'a GcmKey,
    registers: usize,
    one_key: bool,
}

/// Whether jobs are all of them short packets of one length, of one transform and as alike as `Packets` wants them.
#[inline(always)]
fn one_length<'a, V: Wide, const SEAL: bool>(jobs: &[Job<'a>]) -> Option<Alikeness<'a>> {
    let first = jobs.first()?;
    let key = gcm_key(first)?;
    let len = first.bytes.len();
    let registers = len.checked_sub(16)?.div_ceil(V::BYTES);
    if is_outbound(first) != SEAL || len < 32 || registers > SHORT {
        return None;
    }
    let mut one_key = true;
    let alike = jobs.iter().all(|job| {
        let same = std::ptr::eq(job.key, first.key);
        one_key &= same;
        job.bytes.len() == len
            && (!first.key.esn || job.seq_hi == first.seq_hi)
            && (same
                || (job.key.transform == first.key.transform
                    && job.key.direction == first.key.direction
                    && job.key.esn == first.key.esn
                    && gcm_key(job).is_some()))
    });
    alike.then_some(Alikeness { key, registers, one_key })
}

/// This engine's key of a job that is GCM's.
#[inline(always)]
fn gcm_key<'a>(job: &Job<'a>) -> Option<&'a GcmKey> {
    match material(job) {
        Some(super::Material::Gcm(key)) => Some(key),
        _ => None,
    }
}

/// # Safety
/// Within `Wide::call`; the packets are short ones of so many registers.
#[inline(always)]
unsafe fn alike<'a, V: Wide, const SEAL: bool, P: Packets<'a>>(registers: usize, packets: P) {
    // SAFETY: the caller's.
    unsafe {
        match registers {
            1 => V::call(Alike::<P, 1, SEAL>(packets)),
            2 => V::call(Alike::<P, 2, SEAL>(packets)),
            3 => V::call(Alike::<P, 3, SEAL>(packets)),
            _ => V::call(Alike::<P, 4, SEAL>(packets)),
        }
    }
}

/// Jobs of all kinds.
///
/// # Safety
/// Within `Wide::call`; at most `SORTED` jobs.
#[inline(always)]
unsafe fn sort<V: Wide, const SEAL: bool>(jobs: &mut [Job<'_>]) {
    let mut sorted = Sorted::new();
    let first = jobs.first().map(|job| &raw const *job.key);
    let one = jobs.iter().all(|job| first.is_some_and(|first| std::ptr::eq(job.key, first)));
    let kind = jobs.first().filter(|_| one).map(Kind::new::<SEAL>);
    for job in &mut *jobs {
        // SAFETY: at most as many as there are places.
        unsafe {
            match kind {
                Some(kind) => sorted.put::<V>(job, kind),
                None => sorted.add::<V, SEAL>(job),
            }
        }
    }
    let (mut short, mut flows) = (sorted.short, 0);
    // SAFETY: the caller's; the lists are of packets of those kinds.
    unsafe {
        while short != 0 {
            let n = short.trailing_zeros() as usize;
            short &= short - 1;
            // Alike, and each packet has its job's number.
            if sorted.packets.len() == jobs.len() && sorted.one_length(n) {
                flows |= 1 << n;
                continue;
            }
            match n % SHORT {
                0 => short::run::<V, 1, SEAL>(&sorted, n),
                1 => short::run::<V, 2, SEAL>(&sorted, n),
                2 => short::run::<V, 3, SEAL>(&sorted, n),
                _ => short::run::<V, 4, SEAL>(&sorted, n),
            }
        }
        if !sorted.lists[LONG].is_empty() {
            V::call(long::Long::<SEAL>(&sorted));
        }
        for n in &sorted.lists[GMAC] {
            V::call(gmac::Gmac::<SEAL>(sorted.packets[usize::from(*n)]));
        }
        while flows != 0 {
            let n = u32::trailing_zeros(flows) as usize;
            flows &= flows - 1;
            let (registers, list, key) = (n % SHORT + 1, &sorted.lists[n], sorted.packets[0].key);
            let jobs = jobs.as_mut_ptr();
            match sorted.many_keys {
                true => alike::<V, SEAL, _>(registers, Flow::<true> { key, jobs, list }),
                false => alike::<V, SEAL, _>(registers, Flow::<false> { key, jobs, list }),
            }
        }
    }
}

impl<'a> Packet<'a> {
    fn len(&self) -> usize {
        self.len as usize
    }

    /// The packet's SPI, sequence number and IV.
    #[inline(always)]
    fn head(&self) -> __m128i {
        // SAFETY: a packet has them.
        unsafe { _mm_loadu_si128(self.bytes.cast()) }
    }

    /// A block of lengths' low half: the number of the text's bits.
    #[inline(always)]
    fn text_bits(&self) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_cvtsi64_si128(8 * (i64::from(self.len) - 16)) }
    }

    /// Which bytes of the first register are where in GHASH, and what is added to them.
    #[inline(always)]
    fn first<V: Wide>(&self) -> (&'static [u8; 64], V) {
        (first_order(self.key), V::lowest(high_sequence(self.seq_hi)))
    }

    /// Write the tag, or say whether it is that which is there. `received`: the ICV as it was before the text was
    /// written, which may have run over it.
    ///
    /// # Safety
    /// Within `Wide::call`.
    #[inline(always)]
    unsafe fn settle<const SEAL: bool>(&self, tag: __m128i, received: __m128i) {
        // SAFETY: the ICV's 16 bytes are behind the text; the job is this packet's alone.
        unsafe {
            let icv = self.bytes.add(self.len()).cast();
            if SEAL {
                _mm_storeu_si128(icv, tag);
                *self.done = true;
                return;
            }
            _mm_storeu_si128(icv, received);
            // One instruction compares all of it, and takes the same time wherever the bits differ.
            let differ = _mm_xor_si128(tag, received);
            *self.done = black_box(_mm_testz_si128(differ, differ)) == 1;
        }
    }

    /// # Safety
    /// Only before the text is written.
    #[inline(always)]
    unsafe fn icv(&self) -> __m128i {
        // SAFETY: the ICV's 16 bytes are behind the text.
        unsafe { _mm_loadu_si128(self.bytes.add(self.len()).cast()) }
    }
}

/// The high half of a sequence number at its place in the additional data, which is backwards.
#[inline(always)]
fn high_sequence(seq_hi: u32) -> __m128i {
    // SAFETY: every CPU of the architecture has the instruction.
    unsafe { _mm_set_epi32(0, seq_hi as i32, 0, 0) }
}

/// Which bytes of a packet's first register are where in GHASH.
#[inline(always)]
fn first_order(key: &GcmKey) -> &'static [u8; 64] {
    &FIRST[key.esn as usize & 1]
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

/// The sums and the tags' masks of some packets are known: add the lengths and settle all of them.
///
/// # Safety
/// Within `Wide::call`.
#[inline(always)]
unsafe fn finish<V: Wide, const N: usize, const SEAL: bool>(
    packets: &[&Packet<'_>; N],
    sums: &[Sums<V>; N],
    masks: &[__m128i; N],
    received: &[__m128i; N],
) {
    for from in (0..N).step_by(V::BLOCKS) {
        let count = V::BLOCKS.min(N - from);
        // SAFETY: every CPU of the architecture has the instruction.
        let mut parts = unsafe { [[_mm_setzero_si128(); 4]; 4] };
        for n in 0..count {
            let packet = packets[from + n];
            parts[0][n] = packet.text_bits();
            parts[1][n] = packet.key.last_power();
            parts[2][n] = masks[from + n];
            parts[3][n] = load(&packet.key.aad_len);
        }
        let [bits, powers, masks, aad_lens] = [
            V::joined(&parts[0][..count]),
            V::joined(&parts[1][..count]),
            V::joined(&parts[2][..count]),
            V::joined(&parts[3][..count]),
        ];
        let mut joined = Sums::joined(&sums[from..from + count]);
        joined.add_low_halves(bits, powers);
        // SAFETY: orders have the bytes of the widest register; the packets are the caller's.
        unsafe {
            let tags = joined.reduced().order(V::load(BACKWARDS.as_ptr())).xor3(masks, aad_lens);
            for n in 0..count {
                packets[from + n].settle::<SEAL>(tags.block(n), received[from + n]);
            }
        }
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

/// The same for a packet's first register, without ESN and with it. The first block is SPI, sequence number and IV: of it
/// GHASH gets SPI and sequence number, the latter's high half between them with ESN.
static FIRST: [[u8; 64]; 2] = {
    let (mut plain, mut esn) = (BACKWARDS, BACKWARDS);
    let mut n = 0;
    while n < 8 {
        plain[n] = 0x80;
        esn[n] = if n < 4 { 0x80 } else { 11 - n as u8 };
        esn[n + 8] = if n < 4 { 0x80 } else { esn[n + 8] };
        n += 1;
    }
    [plain, esn]
};

/// Work that is done between rounds: what waits for multiplications and what waits for rounds then wait together.
///
/// (A trait and not a closure, which would not have the features of the function it is in.)
trait Weave {
    /// One of `WOVEN` parts, in order.
    ///
    /// # Safety
    /// Within `Wide::call`.
    unsafe fn part(&mut self, n: usize);
}

/// How many: after each of the rounds that all keys have, but the first.
const WOVEN: usize = 9;

/// No work.
impl Weave for () {
    #[inline(always)]
    unsafe fn part(&mut self, _: usize) {}
}

/// The second and all later rounds.
///
/// # Safety
/// Within `Wide::call`.
#[inline(always)]
unsafe fn rounds<V: Wide, const N: usize, const G: usize>(
    keys: &[&GcmKey; N],
    states: &mut [[V; G]; N],
    beside: &mut impl Weave,
) {
    let count = keys[0].rounds as usize;
    macro_rules! round {
        ($round:expr, $aes:ident) => {
            for p in 0..N {
                let key = keys[p].round_key($round);
                for g in 0..G {
                    states[p][g] = states[p][g].$aes(key).pinned();
                }
            }
        };
    }
    macro_rules! woven {
        ($($round:literal)*) => { $(
            round!($round, aes);
            // SAFETY: the caller's.
            unsafe { beside.part($round - 2) };
        )* };
    }
    woven!(2 3 4 5 6 7 8 9);
    if count > 10 {
        round!(10, aes);
        round!(11, aes);
        if count > 12 {
            round!(12, aes);
            round!(13, aes);
        }
    }
    round!(count, aes_last);
    // SAFETY: the caller's.
    unsafe { beside.part(WOVEN - 1) };
}
