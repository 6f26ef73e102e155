//! HMAC (RFC 2104) of many messages at once: each lane of a register a message, whatever its length and its key. A
//! message that ends gives its lane to the next one that waits.
//!
//! ```text
//! lane:  whole blocks, read where they lie -> the rest and its padding -> the outer hash of the digest -> next message
//! ```
//!
//! Where few messages come together, `scalar` is faster and gets them. Without AVX-512, SHA-1 and SHA-256 are
//! done by the CPU's instructions for them, four messages abreast, where it has them.

mod even;
mod four;
mod lanes;
mod md5;
mod rows;
mod sha1;
mod sha1_ni;
mod sha256_ni;
mod sha2_32;
mod sha2_64;
mod sha2_64_narrow;
mod tail;
mod transpose;
mod words;

use espalier_wire::Integrity;
use espalier_wire::plane::Direction;
use zeroize::Zeroize;

use super::super::Job;
use super::super::layout::Parts;
use super::super::scalar::mac::MacKey;
use super::cpu;
use super::separate::mac;
use four::Ni;
use lanes::{Algorithm, Message};
use sha2_64_narrow::Four;
pub(super) use transpose::{eighths, quarters};
use words::{Eight, Sixteen};

/// The most lanes that an algorithm has.
const LANES_MAX: usize = 32;

/// The states of all lanes: word w of each is in row w, at the lane's place.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct State([[u8; 64]; 8]);

impl State {
    const ZERO: Self = Self([[0; 64]; 8]);
}

/// An HMAC key: the states after the key's two blocks, and the twin's for few messages. Zeroised on drop.
pub(super) struct HmacKey {
    integrity: Integrity,
    /// Eight words in the CPU's byte order.
    inner: [u8; 64],
    outer: [u8; 64],
    few: MacKey,
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl HmacKey {
    /// None when the combined modes are asked for, or the key is longer than a block.
    pub(super) fn new(integrity: Integrity, key: &[u8]) -> Option<Self> {
        let few = MacKey::new(integrity, key)?;
        let [inner, outer] = match (integrity, super::widest()) {
            (Integrity::Md5, true) => lanes::keyed::<md5::Md5<Sixteen>>(key)?,
            (Integrity::Md5, false) => lanes::keyed::<md5::Md5<Eight>>(key)?,
            (Integrity::Sha1, true) => lanes::keyed::<sha1::Sha1<Sixteen>>(key)?,
            (Integrity::Sha1, false) if cpu::sha() => lanes::keyed::<Ni<sha1_ni::Sha1>>(key)?,
            (Integrity::Sha1, false) => lanes::keyed::<sha1::Sha1<Eight>>(key)?,
            (Integrity::Sha256, true) => lanes::keyed::<sha2_32::Sha256<Sixteen>>(key)?,
            (Integrity::Sha256, false) if cpu::sha() => lanes::keyed::<Ni<sha256_ni::Sha256>>(key)?,
            (Integrity::Sha256, false) => lanes::keyed::<sha2_32::Sha256<Eight>>(key)?,
            (Integrity::Sha384, true) => lanes::keyed::<sha2_64::Sha384>(key)?,
            (Integrity::Sha384, false) => lanes::keyed::<Four<6>>(key)?,
            (Integrity::Sha512, true) => lanes::keyed::<sha2_64::Sha512>(key)?,
            (Integrity::Sha512, false) => lanes::keyed::<Four<8>>(key)?,
            (Integrity::Combined, _) => return None,
        };
        Some(Self { integrity, inner, outer, few })
    }
}

/// What to do with the ICVs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// Write those of the jobs that are `verified` so far.
    Sign,
    /// Compare, and set `verified`.
    Verify,
}

/// Sign or verify every job of this engine that has an HMAC.
pub(super) fn run(task: Task, jobs: &mut [Job<'_>]) {
    let mut counts = [0; Integrity::Combined as usize];
    for job in &*jobs {
        if let Some(mac) = mac(job)
            && let Some(count) = counts.get_mut(mac.integrity as usize)
        {
            *count += 1;
        }
    }
    for (count, integrity) in counts.into_iter().zip(ALL) {
        if count > 0 {
            let messages = messages(task, integrity, jobs);
            match (integrity, super::widest()) {
                (Integrity::Md5, true) => some::<md5::Md5<Sixteen>>(task, count, messages),
                (Integrity::Md5, false) => some::<md5::Md5<Eight>>(task, count, messages),
                (Integrity::Sha1, true) => some::<sha1::Sha1<Sixteen>>(task, count, messages),
                (Integrity::Sha1, false) if cpu::sha() => some::<Ni<sha1_ni::Sha1>>(task, count, messages),
                (Integrity::Sha1, false) => some::<sha1::Sha1<Eight>>(task, count, messages),
                (Integrity::Sha256, true) => some::<sha2_32::Sha256<Sixteen>>(task, count, messages),
                (Integrity::Sha256, false) if cpu::sha() => {
                    some::<Ni<sha256_ni::Sha256>>(task, count, messages)
                }
                (Integrity::Sha256, false) => some::<sha2_32::Sha256<Eight>>(task, count, messages),
                (Integrity::Sha384, true) => some::<sha2_64::Sha384>(task, count, messages),
                (Integrity::Sha384, false) => some::<Four<6>>(task, count, messages),
                (Integrity::Sha512, true) => some::<sha2_64::Sha512>(task, count, messages),
                (Integrity::Sha512, false) => some::<Four<8>>(task, count, messages),
                (Integrity::Combined, _) => {}
            }
        }
    }
}

/// In the order of their numbers.
const ALL: [Integrity; 5] =
    [Integrity::Md5, Integrity::Sha1, Integrity::Sha256, Integrity::Sha384, Integrity::Sha512];

fn messages<'j>(
    task: Task,
    integrity: Integrity,
    jobs: &'j mut [Job<'_>],
) -> impl Iterator<Item = Message<'j>> {
    jobs.iter_mut().filter_map(move |job| {
        let key = mac(job).filter(|mac| mac.integrity == integrity)?;
        let esn = job.esn();
        let wanted = match task {
            Task::Sign => job.verified,
            Task::Verify => job.key.direction == Direction::Inbound,
        };
        job.verified = false;
        let parts = Parts::new(job.key.transform, job.bytes).filter(|_| wanted)?;
        Some(Message { key, authed: parts.authed, esn, icv: parts.icv, verified: &mut job.verified })
    })
}

fn some<'j, A: Algorithm>(task: Task, count: usize, messages: impl Iterator<Item = Message<'j>>) {
    if count >= A::worth() {
        return even::run::<A>(task, messages);
    }
    for Message { key, authed, esn, icv, verified } in messages {
        *verified = match task {
            Task::Sign => key.few.sign(authed, esn, icv),
            Task::Verify => key.few.verify(authed, esn, icv),
        }
        .is_some();
    }
}
