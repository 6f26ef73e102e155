//! The `scalar` engine: RustCrypto, and for DES tables of ours, one packet after the other, on any CPU. It is the twin every other engine is
//! compared with, so it covers every transform and keeps to the plainest reading of the RFCs.
//!
//! A key costs 48 bytes and, boxed, its cipher and its integrity; the test below states them. A million inbound SAs of
//! des-md5 are 288 MB of keys, of aes256-gcm 432 MB, of the largest (aes256-sha512) 576 MB.

use espalier_wire::plane::Direction;
use espalier_wire::{Integrity, Transform};

use super::layout::Parts;
use super::{Engine, EngineId, Expanded, Job, Secrets};

pub(super) mod cbc;
pub(super) mod combined;
mod des;
pub(super) mod mac;

use cbc::CbcKey;
use combined::CombinedKey;
use mac::MacKey;

/// The engine.
pub(super) struct Scalar;

/// Expanded keys, boxed so that an SA that waits costs no more than its transform needs.
pub(super) enum Material {
    /// Encrypt, then authenticate.
    Separate { cipher: CbcKey, mac: MacKey },
    /// The cipher authenticates.
    Combined(CombinedKey),
}

impl Material {
    fn new(secrets: &Secrets<'_>) -> Option<Self> {
        let Secrets { transform, direction, key, auth_key, .. } = *secrets;
        Some(match transform.integrity() {
            Integrity::Combined => Self::Combined(CombinedKey::new(transform.cipher(), key)?),
            integrity => Self::Separate {
                cipher: CbcKey::new(transform.cipher(), direction, key)?,
                mac: MacKey::new(integrity, auth_key)?,
            },
        })
    }
}

/// Encrypt, then authenticate what was encrypted (RFC 4303 section 3.3.2).
fn seal(material: &Material, job: &mut Job<'_>) -> Option<()> {
    let esn = job.esn();
    let mut parts = Parts::new(job.key.transform, job.bytes)?;
    match material {
        Material::Separate { cipher, mac } => {
            let (iv, text) = parts.iv_and_text()?;
            cipher.encrypt(iv, text)?;
            mac.sign(parts.authed, esn, parts.icv)
        }
        Material::Combined(key) => key.seal(&mut parts, esn),
    }
}

/// Authenticate, and decrypt only what is authentic (RFC 4303 section 3.4.4).
fn open(material: &Material, job: &mut Job<'_>) -> Option<()> {
    let esn = job.esn();
    let mut parts = Parts::new(job.key.transform, job.bytes)?;
    match material {
        Material::Separate { cipher, mac } => {
            mac.verify(parts.authed, esn, parts.icv)?;
            let (iv, text) = parts.iv_and_text()?;
            cipher.decrypt(iv, text)
        }
        Material::Combined(key) => key.open(&mut parts, esn),
    }
}

impl Engine for Scalar {
    fn id(&self) -> EngineId {
        EngineId::Scalar
    }

    fn covers(&self, _: Transform) -> bool {
        true
    }

    fn expand(&self, secrets: &Secrets<'_>) -> Option<Expanded> {
        Some(Expanded(super::Material::Scalar(Material::new(secrets)?)))
    }

    fn seal(&self, jobs: &mut [Job<'_>]) {
        for job in jobs {
            if let super::Material::Scalar(material) = &job.key.material {
                job.verified = job.key.direction == Direction::Outbound && seal(material, job).is_some();
            }
        }
    }

    fn open(&self, jobs: &mut [Job<'_>]) {
        for job in jobs {
            if let super::Material::Scalar(material) = &job.key.material {
                job.verified = job.key.direction == Direction::Inbound && open(material, job).is_some();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use espalier_wire::Cipher;

    use super::*;

    /// Bytes of heap for one direction's key, on a CPU of 64 bits; the allocator's own not counted.
    fn boxed(transform: Transform) -> usize {
        let cipher = match transform.cipher() {
            Cipher::Null => 0,
            Cipher::DesCbc => size_of::<des::Des<1>>(),
            Cipher::TripleDesCbc => size_of::<des::Des<3>>(),
            Cipher::Aes128Cbc => size_of::<aes::Aes128Dec>(),
            Cipher::Aes192Cbc => size_of::<aes::Aes192Dec>(),
            Cipher::Aes256Cbc => size_of::<aes::Aes256Dec>(),
            combined => combined::boxed(combined),
        };
        cipher
            + match transform.integrity() {
                Integrity::Md5 => size_of::<hmac::Hmac<md5::Md5>>(),
                Integrity::Sha1 => size_of::<hmac::Hmac<sha1::Sha1>>(),
                Integrity::Sha256 => size_of::<hmac::Hmac<sha2::Sha256>>(),
                Integrity::Sha384 => size_of::<hmac::Hmac<sha2::Sha384>>(),
                Integrity::Sha512 => size_of::<hmac::Hmac<sha2::Sha512>>(),
                Integrity::Combined => 0,
            }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn bytes_an_sa() {
        assert_eq!(size_of::<crate::crypto::Key>(), 48);
        let sizes = [
            112, 128, 144, 240, 256, 496, 512, 528, 288, 304, 320, 336, 352, 368, 384, 528, 528, 320, 352,
            384, 320, 32,
        ];
        assert_eq!(sizes.len(), Transform::ALL.len());
        for (transform, bytes) in Transform::ALL.iter().zip(sizes) {
            assert_eq!(boxed(*transform), bytes, "{transform}");
        }
    }
}
