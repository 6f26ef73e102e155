//! A cipher and an HMAC of their own: all packets through the one, then all through the other.

use std::slice::IterMut;

use arrayvec::ArrayVec;
use espalier_wire::plane::Direction;
use espalier_wire::{Cipher, Transform};

use super::super::Job;
use super::super::layout::Parts;
use super::aes::RoundKeys;
use super::des::{self, DesKey};
use super::hash::{self, HmacKey, Task};
use super::{Material, aes_cbc, material};
use crate::mem::prefetch_lines;

/// A cipher's key and an HMAC's.
pub(in super::super) struct SeparateKey {
    cipher: CipherKey,
    mac: HmacKey,
}

enum CipherKey {
    Null,
    Des(DesKey),
    Aes(Box<RoundKeys>),
}

impl SeparateKey {
    pub(super) fn new(
        transform: Transform,
        direction: Direction,
        key: &[u8],
        auth_key: &[u8],
    ) -> Option<Self> {
        let cipher = match (transform.cipher(), direction) {
            (Cipher::Null, _) => CipherKey::Null,
            (Cipher::DesCbc | Cipher::TripleDesCbc, _) => CipherKey::Des(DesKey::new(direction, key)?),
            (_, Direction::Outbound) => CipherKey::Aes(Box::new(RoundKeys::encryption(key)?)),
            (_, Direction::Inbound) => CipherKey::Aes(Box::new(RoundKeys::decryption(key)?)),
        };
        Some(Self { cipher, mac: HmacKey::new(transform.integrity(), auth_key)? })
    }

    pub(super) fn is_des(&self) -> bool {
        matches!(self.cipher, CipherKey::Des(_))
    }

    fn aes(&self) -> Option<&RoundKeys> {
        match &self.cipher {
            CipherKey::Aes(key) => Some(key),
            _ => None,
        }
    }

    /// Fetch what a packet needs of it.
    #[inline(always)]
    fn prefetch(&self) {
        prefetch_lines::<3, _>(&self.mac);
        if let CipherKey::Aes(key) = &self.cipher {
            prefetch_lines::<4, _>(&**key);
        }
    }
}

fn separate<'a>(job: &Job<'a>) -> Option<&'a SeparateKey> {
    match material(job)? {
        Material::Separate(key) => Some(key),
        Material::Gcm(_) | Material::Gmac(_) | Material::ChaCha(_) => None,
    }
}

/// The DES key of a job of this engine.
pub(super) fn des<'a>(job: &Job<'a>) -> Option<&'a DesKey> {
    match &separate(job)?.cipher {
        CipherKey::Des(key) => Some(key),
        _ => None,
    }
}

/// Packets that are looked at together.
pub(super) const WINDOW: usize = 64;

/// A job taken apart, once for its cipher and its HMAC.
pub(super) struct Packet<'a> {
    pub(super) mac: &'a HmacKey,
    aes: Option<&'a RoundKeys>,
    /// Everything before the ICV.
    pub(super) authed: &'a mut [u8],
    /// The high half of the sequence number, behind it.
    pub(super) esn: Option<u32>,
    pub(super) icv: &'a mut [u8],
    pub(super) verified: &'a mut bool,
}

impl Packet<'_> {
    /// The text, if it is to be done by AES.
    fn text(&mut self) -> Option<aes_cbc::Text<'_>> {
        let bytes = self.authed.get_mut(8..).filter(|bytes| bytes.len() > 16)?;
        Some(aes_cbc::Text { key: self.aes?, bytes })
    }
}

/// Packets of one direction, and what they have of kinds.
struct Window<'a> {
    packets: ArrayVec<Packet<'a>, WINDOW>,
    /// A bit for each number of AES rounds.
    rounds: usize,
    integrities: hash::Integrities,
}

impl<'a> Window<'a> {
    fn new() -> Self {
        Self { packets: ArrayVec::new(), rounds: 0, integrities: hash::Integrities::default() }
    }

    /// As many jobs of this direction as there is room for; all that are passed are not `verified` then.
    fn fill<'b: 'a>(&mut self, direction: Direction, jobs: &mut IterMut<'a, Job<'b>>) {
        let mut last = None;
        while !self.packets.is_full()
            && let Some(job) = jobs.next()
        {
            let Some(key) = separate(job) else { continue };
            job.verified = false;
            let esn = job.esn();
            let parts = Parts::new(job.key.transform, job.bytes);
            let Some(Parts { authed, icv, .. }) = parts.filter(|_| job.key.direction == direction) else {
                continue;
            };
            if last.is_some_and(|last| !std::ptr::eq(key, last)) {
                key.prefetch();
            }
            last = Some(key);
            let aes = key.aes();
            self.rounds |= aes.map_or(0, |key| 1 << key.rounds);
            self.integrities.add(&key.mac);
            self.packets.push(Packet { mac: &key.mac, aes, authed, esn, icv, verified: &mut job.verified });
        }
    }
}

/// Encrypt, then authenticate what was encrypted (RFC 4303 section 3.3.2).
pub(super) fn seal(jobs: &mut [Job<'_>], has_des: bool) {
    if has_des {
        for job in jobs.iter_mut().filter(|job| des(job).is_some()) {
            let fits = Parts::new(job.key.transform, job.bytes).is_some();
            job.verified = job.key.direction == Direction::Outbound && fits;
        }
        des::encrypt(jobs);
    }
    let mut jobs = jobs.iter_mut();
    while !jobs.as_slice().is_empty() {
        let mut window = Window::new();
        window.fill(Direction::Outbound, &mut jobs);
        for rounds in [10, 12, 14] {
            if window.rounds & 1 << rounds != 0 {
                let packets = window.packets.iter_mut();
                let texts = packets.filter_map(Packet::text).filter(|text| text.key.rounds == rounds);
                aes_cbc::encrypt(rounds, texts);
            }
        }
        hash::run(Task::Sign, window.integrities, &mut window.packets);
    }
}

/// Authenticate, and decrypt only what is authentic (RFC 4303 section 3.4.4).
pub(super) fn open(jobs: &mut [Job<'_>], has_des: bool) {
    let mut rest = jobs.iter_mut();
    while !rest.as_slice().is_empty() {
        let mut window = Window::new();
        window.fill(Direction::Inbound, &mut rest);
        hash::run(Task::Verify, window.integrities, &mut window.packets);
        if window.rounds != 0 {
            let authentic = window.packets.iter_mut().filter(|packet| *packet.verified);
            aes_cbc::decrypt(authentic.filter_map(Packet::text));
        }
    }
    if has_des {
        des::decrypt(jobs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::simd::gcm::GcmKey;

    /// What the engine's documentation says of keys.
    #[test]
    fn bytes_a_key() {
        assert_eq!(size_of::<GcmKey>(), 1920);
        assert_eq!(size_of::<RoundKeys>(), 248);
        for (key, bytes) in [(&[1; 8][..], 128), (&[1; 24], 384)] {
            for direction in [Direction::Inbound, Direction::Outbound] {
                assert_eq!(DesKey::new(direction, key).unwrap().bytes(), bytes);
            }
        }
    }
}
