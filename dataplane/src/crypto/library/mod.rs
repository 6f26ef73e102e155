//! The `library` engine: aws-lc through its safe crate, one packet after the other, for what it does faster than
//! RustCrypto. The halves of a transform that it does not do, or not faster, are `scalar`'s.
//!
//! Its keys are larger than `scalar`'s: 48 bytes and, on the heap, some 600 for a combined mode, 504 for CBC, 1232 for
//! HMAC-SHA-384 and HMAC-SHA-512. A million inbound SAs of aes256-gcm are about 650 MB of keys, of aes128-sha1 680 MB.

use espalier_wire::plane::Direction;
use espalier_wire::{Cipher, Integrity, Transform};

use super::layout::Parts;
use super::{Engine, EngineId, Expanded, Job, Secrets};

pub(super) mod combined;
mod separate;

use combined::CombinedKey;
use separate::{CbcKey, MacKey};

/// The engine.
pub(super) struct Library;

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
    match material {
        Material::Separate { cipher, mac } => {
            let mut parts = Parts::new(job.key.transform, job.bytes)?;
            let (iv, text) = parts.iv_and_text()?;
            cipher.encrypt(iv, text)?;
            mac.sign(parts.authed, esn, parts.icv)
        }
        Material::Combined(key) => key.seal(job.key.transform, job.bytes, esn),
    }
}

/// Authenticate, and decrypt only what is authentic (RFC 4303 section 3.4.4).
fn open(material: &Material, job: &mut Job<'_>) -> Option<()> {
    let esn = job.esn();
    match material {
        Material::Separate { cipher, mac } => {
            let mut parts = Parts::new(job.key.transform, job.bytes)?;
            mac.verify(parts.authed, esn, parts.icv)?;
            let (iv, text) = parts.iv_and_text()?;
            cipher.decrypt(iv, text)
        }
        Material::Combined(key) => key.open(job.key.transform, job.bytes, esn),
    }
}

impl Engine for Library {
    fn id(&self) -> EngineId {
        EngineId::Library
    }

    fn covers(&self, transform: Transform) -> bool {
        transform.integrity() == Integrity::Combined
            || matches!(transform.cipher(), Cipher::Aes128Cbc | Cipher::Aes192Cbc | Cipher::Aes256Cbc)
    }

    fn expand(&self, secrets: &Secrets<'_>) -> Option<Expanded> {
        Some(Expanded(super::Material::Library(Material::new(secrets)?)))
    }

    fn seal(&self, jobs: &mut [Job<'_>]) {
        for job in jobs {
            if let super::Material::Library(material) = &job.key.material {
                job.verified = job.key.direction == Direction::Outbound && seal(material, job).is_some();
            }
        }
    }

    fn open(&self, jobs: &mut [Job<'_>]) {
        for job in jobs {
            if let super::Material::Library(material) = &job.key.material {
                job.verified = job.key.direction == Direction::Inbound && open(material, job).is_some();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::crypto::Key;

    /// Bytes of one direction's key that aws-lc has a part in.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn bytes_an_sa() {
        use aws_lc_rs::{cipher::DecryptingKey, hmac};
        assert_eq!(size_of::<Key>(), 48);
        assert_eq!([size_of::<DecryptingKey>(), size_of::<hmac::Key>()], [504, 1232]);
    }
}
