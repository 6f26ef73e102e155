//! The crypto boundary: a batch of jobs over byte slices, sealed or opened in place by an engine.
//!
//! An engine knows ESP's layout inside one slice (below) and nothing of frames, SAs or rings. Framing, sequence
//! numbers, IVs and padding are the caller's.
//!
//! ```text
//! bytes: | SPI 4 | sequence 4 | IV iv_len | text (payload, padding, pad length, next header) | ICV icv_len |
//! ```
//!
//! What is authenticated: everything before the ICV, then (with ESN and a separate integrity algorithm) the high half
//! of the sequence number (RFC 4303 section 2.2.1); for combined modes the AAD is SPI and sequence number, 64 bits of
//! it with ESN (RFC 4106 section 5, RFC 7634 section 2.1), and for GMAC the IV and the text after it (RFC 4543).

//! ```text
//! choice ("auto", "scalar", …) -> key(transform, …) -> Key      once per SA and direction
//! seal(jobs) | open(jobs)                                       per batch: each job goes to the engine that made its key
//! ```

use espalier_wire::Transform;
use espalier_wire::plane::Direction;

mod des_keys;
mod des_tables;
mod engines;
#[cfg(feature = "ipsec-mb")]
mod ipsec_mb;
mod layout;
mod library;
mod scalar;
#[allow(unsafe_code, reason = "intrinsics; each block says why it is sound")]
mod simd;
#[cfg(test)]
mod tests;

pub use des_keys::{KeyWarning, key_warnings};
pub use engines::{Choice, EngineId, Engines, NoEngine, open, seal};

/// One packet to seal or open.
pub struct Job<'a> {
    /// The SA's key.
    pub key: &'a Key,
    /// From the SPI to the end of the ICV. Sealing: header, IV and padded text are in place, the ICV is room to be
    /// written. Opening: as received; the text is decrypted in place.
    pub bytes: &'a mut [u8],
    /// The high half of the sequence number; counts only when the key was made with ESN.
    pub seq_hi: u32,
    /// Set by `open`: the ICV was right. When it was not, what the text then holds is unspecified.
    /// Set by `seal`: the packet is sealed. When it is not (too short for its transform, a text that is not whole
    /// cipher blocks, an inbound key), it must not be sent: its text may still be plain.
    pub verified: bool,
}

impl<'a> Job<'a> {
    /// A job not yet done.
    pub fn new(key: &'a Key, bytes: &'a mut [u8], seq_hi: u32) -> Self {
        Self { key, bytes, seq_hi, verified: false }
    }

    /// The high half of the sequence number where it is authenticated.
    fn esn(&self) -> Option<u32> {
        self.key.esn.then_some(self.seq_hi)
    }
}

/// What an engine made of an SA's key material: expanded, precomputed, zeroised on drop, for one direction.
pub struct Key {
    /// The SA's transform.
    pub transform: Transform,
    /// Whether `seq_hi` is authenticated.
    pub esn: bool,
    /// Outbound keys seal, inbound keys open; neither does the other.
    pub direction: Direction,
    material: Material,
}

/// The closed set of what engines make of keys: a new engine is one more variant, told apart without a downcast.
enum Material {
    Scalar(scalar::Material),
    Library(library::Material),
    Simd(simd::Material),
    #[cfg(feature = "ipsec-mb")]
    IpsecMb(ipsec_mb::Material),
}

/// What an engine made of key material, for its own use.
pub struct Expanded(Material);

/// What a key is to be made of; lengths are the transform's own.
pub struct Secrets<'a> {
    transform: Transform,
    direction: Direction,
    key: &'a [u8],
    auth_key: &'a [u8],
    esn: bool,
}

impl Key {
    /// Fetch towards the core the first line of what a packet wants of it. The core waits where it does not know the page, for
    /// several at once when they are asked for in a row.
    #[inline(always)]
    pub(crate) fn fetch_first(&self) {
        if let Material::Simd(material) = &self.material {
            material.fetch_first();
        }
    }

    /// Fetch what a short packet needs, as far as it lies in one piece, some packets before the engine asks.
    #[inline(always)]
    pub(crate) fn fetch(&self) {
        if let Material::Simd(material) = &self.material {
            material.fetch();
        }
    }

    /// The engine that made it, and that its jobs go to.
    pub fn engine(&self) -> EngineId {
        match self.material {
            Material::Scalar(_) => EngineId::Scalar,
            Material::Library(_) => EngineId::Library,
            Material::Simd(_) => EngineId::Simd,
            #[cfg(feature = "ipsec-mb")]
            Material::IpsecMb(_) => EngineId::IpsecMb,
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("transform", &self.transform)
            .field("esn", &self.esn)
            .field("direction", &self.direction)
            .field("engine", &self.engine())
            .finish_non_exhaustive()
    }
}

/// Key material that does not fit its transform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Wrong length.
    #[error("{transform}: the {what} has {have} bytes, not {need}")]
    Length {
        /// The transform.
        transform: Transform,
        /// "key" or "auth key".
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes given.
        have: usize,
    },
    /// The engine does not cover the transform.
    #[error("engine {engine} does not cover {transform}")]
    NotCovered {
        /// The engine.
        engine: EngineId,
        /// The transform.
        transform: Transform,
    },
}

/// A way of doing ESP's crypto. Engines are values chosen at run time by what the CPU has.
pub trait Engine: Send + Sync {
    /// Which it is; its `Display` is what reports call it.
    fn id(&self) -> EngineId;

    /// Whether it can do this transform on this CPU.
    fn covers(&self, transform: Transform) -> bool;

    /// What it makes of key material whose lengths are right; none where it does not cover the transform.
    fn expand(&self, secrets: &Secrets<'_>) -> Option<Expanded>;

    /// Make a key for one direction of an SA. `key` is the cipher's key then its salt, `auth_key` the integrity key.
    ///
    /// # Errors
    /// Lengths that are not the transform's; a transform not covered.
    fn key(
        &self,
        transform: Transform,
        direction: Direction,
        key: &[u8],
        auth_key: &[u8],
        esn: bool,
    ) -> Result<Key, KeyError> {
        check_lengths(transform, key, auth_key)?;
        let not_covered = KeyError::NotCovered { engine: self.id(), transform };
        if !self.covers(transform) {
            return Err(not_covered);
        }
        let secrets = Secrets { transform, direction, key, auth_key, esn };
        let Expanded(material) = self.expand(&secrets).ok_or(not_covered)?;
        Ok(Key { transform, esn, direction, material })
    }

    /// Encrypt in place, write the ICVs, set `verified`. Jobs may mix SAs, transforms and lengths; those whose key
    /// another engine made are left alone, as they are another engine's to do.
    fn seal(&self, jobs: &mut [Job<'_>]);

    /// Verify the ICVs, set `verified`, decrypt in place what was right. Jobs may mix SAs, transforms and lengths;
    /// those whose key another engine made are left alone.
    fn open(&self, jobs: &mut [Job<'_>]);
}

/// Key lengths are the transform's own: what every engine checks before it makes a key.
fn check_lengths(transform: Transform, key: &[u8], auth_key: &[u8]) -> Result<(), KeyError> {
    let check = |what, need, have| match need == have {
        true => Ok(()),
        false => Err(KeyError::Length { transform, what, need, have }),
    };
    check("key", transform.key_len(), key.len())?;
    check("auth key", transform.auth_key_len(), auth_key.len())
}
