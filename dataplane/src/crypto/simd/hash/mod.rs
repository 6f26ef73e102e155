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
use zeroize::Zeroize;

use super::super::scalar::mac::MacKey;
use super::cpu;
use super::separate::Packet;
use four::Ni;
use lanes::Algorithm;
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
    /// Write them, and set `verified`.
    Sign,
    /// Compare, and set `verified` where they are right.
    Verify,
}

/// Which there are, a bit for each.
#[derive(Clone, Copy, Default)]
pub(super) struct Integrities(u8);

impl Integrities {
    pub(super) fn add(&mut self, key: &HmacKey) {
        self.0 |= 1 << key.integrity as u8;
    }
}

/// Sign or verify every packet.
pub(super) fn run(task: Task, present: Integrities, packets: &mut [Packet<'_>]) {
    for integrity in ALL.into_iter().filter(|integrity| present.0 >> *integrity as u8 & 1 != 0) {
        let run = match (integrity, super::widest()) {
            (Integrity::Md5, true) => some::<md5::Md5<Sixteen>>,
            (Integrity::Md5, false) => some::<md5::Md5<Eight>>,
            (Integrity::Sha1, true) => some::<sha1::Sha1<Sixteen>>,
            (Integrity::Sha1, false) if cpu::sha() => some::<Ni<sha1_ni::Sha1>>,
            (Integrity::Sha1, false) => some::<sha1::Sha1<Eight>>,
            (Integrity::Sha256, true) => some::<sha2_32::Sha256<Sixteen>>,
            (Integrity::Sha256, false) if cpu::sha() => some::<Ni<sha256_ni::Sha256>>,
            (Integrity::Sha256, false) => some::<sha2_32::Sha256<Eight>>,
            (Integrity::Sha384, true) => some::<sha2_64::Sha384>,
            (Integrity::Sha384, false) => some::<Four<6>>,
            (Integrity::Sha512, true) => some::<sha2_64::Sha512>,
            (Integrity::Sha512, false) => some::<Four<8>>,
            (Integrity::Combined, _) => continue,
        };
        run(task, integrity, packets);
    }
}

const ALL: [Integrity; 5] =
    [Integrity::Md5, Integrity::Sha1, Integrity::Sha256, Integrity::Sha384, Integrity::Sha512];

/// Those of one integrity.
fn some<A: Algorithm>(task: Task, integrity: Integrity, packets: &mut [Packet<'_>]) {
    let is_one = |packet: &&Packet<'_>| packet.mac.integrity == integrity;
    if packets.iter().filter(is_one).nth(A::worth() - 1).is_some() {
        return even::run::<A>(task, integrity, packets);
    }
    for Packet { mac, authed, esn, icv, verified, .. } in
        packets.iter_mut().filter(|packet| is_one(&&**packet))
    {
        **verified = match task {
            Task::Sign => mac.few.sign(authed, *esn, icv),
            Task::Verify => mac.few.verify(authed, *esn, icv),
        }
        .is_some();
    }
}
