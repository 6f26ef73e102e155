//! A cipher and an HMAC of their own: all packets through the one, then all through the other.

use espalier_wire::plane::Direction;
use espalier_wire::{Cipher, Transform};

use super::super::Job;
use super::super::layout::Parts;
use super::aes::RoundKeys;
use super::des::{self, DesKey};
use super::hash::{self, HmacKey, Task};
use super::{Material, aes_cbc, material};

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
}

fn separate<'a>(job: &Job<'a>) -> Option<&'a SeparateKey> {
    match material(job)? {
        Material::Separate(key) => Some(key),
        Material::Gcm(_) | Material::Gmac(_) | Material::ChaCha(_) => None,
    }
}

/// The HMAC key of a job of this engine.
pub(super) fn mac<'a>(job: &Job<'a>) -> Option<&'a HmacKey> {
    separate(job).map(|key| &key.mac)
}

/// The DES key of a job of this engine.
pub(super) fn des<'a>(job: &Job<'a>) -> Option<&'a DesKey> {
    match &separate(job)?.cipher {
        CipherKey::Des(key) => Some(key),
        _ => None,
    }
}

fn aes<'a>(job: &Job<'a>) -> Option<&'a RoundKeys> {
    match &separate(job)?.cipher {
        CipherKey::Aes(key) => Some(key),
        _ => None,
    }
}

/// The jobs to be done whose AES keys have so many rounds; 0: any.
fn aes_texts<'j>(jobs: &'j mut [Job<'_>], rounds: usize) -> impl Iterator<Item = aes_cbc::Text<'j>> {
    jobs.iter_mut().filter(|job| job.verified).filter_map(move |job| {
        let key = aes(job).filter(|key| rounds == 0 || key.rounds == rounds)?;
        let authed = Parts::new(job.key.transform, job.bytes)?.authed;
        let bytes = authed.get_mut(8..).filter(|bytes| bytes.len() >= 16)?;
        Some(aes_cbc::Text { key, bytes })
    })
}

/// Encrypt, then authenticate what was encrypted (RFC 4303 section 3.3.2).
pub(super) fn seal(jobs: &mut [Job<'_>]) {
    let (mut has_des, mut has_aes) = (false, 0);
    for job in &mut *jobs {
        let Some(key) = separate(job) else { continue };
        match &key.cipher {
            CipherKey::Null => {}
            CipherKey::Des(_) => has_des = true,
            CipherKey::Aes(key) => has_aes |= 1 << key.rounds,
        }
        let fits = Parts::new(job.key.transform, job.bytes).is_some();
        job.verified = job.key.direction == Direction::Outbound && fits;
    }
    if has_des {
        des::encrypt(jobs);
    }
    for rounds in [10, 12, 14] {
        if has_aes & 1 << rounds != 0 {
            aes_cbc::encrypt(rounds, aes_texts(jobs, rounds));
        }
    }
    hash::run(Task::Sign, jobs);
}

/// Authenticate, and decrypt only what is authentic (RFC 4303 section 3.4.4).
pub(super) fn open(jobs: &mut [Job<'_>]) {
    hash::run(Task::Verify, jobs);
    if jobs.iter().any(|job| des(job).is_some()) {
        des::decrypt(jobs);
    }
    aes_cbc::decrypt(aes_texts(jobs, 0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::simd::gcm::GcmKey;

    /// What the engine's documentation says of keys.
    #[test]
    fn bytes_a_key() {
        assert_eq!(size_of::<GcmKey>(), 3776);
        assert_eq!(size_of::<RoundKeys>(), 248);
        for (key, bytes) in [(&[1; 8][..], 128), (&[1; 24], 384)] {
            for direction in [Direction::Inbound, Direction::Outbound] {
                assert_eq!(DesKey::new(direction, key).unwrap().bytes(), bytes);
            }
        }
    }
}
