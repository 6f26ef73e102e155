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
//! it with ESN (RFC 4106 section 5, RFC 4543 section 3.3, RFC 7634 section 2.1).

use espalier_wire::Transform;
use espalier_wire::plane::Direction;

/// One packet to seal or open.
pub struct Job<'a> {
    /// The SA's key, made by the engine that gets the job.
    pub key: &'a Key,
    /// From the SPI to the end of the ICV. Sealing: header, IV and padded text are in place, the ICV is room to be
    /// written. Opening: as received; the text is decrypted in place.
    pub bytes: &'a mut [u8],
    /// The high half of the sequence number; counts only when the key was made with ESN.
    pub seq_hi: u32,
    /// Set by `open`: the ICV was right. When it was not, what the text then holds is unspecified.
    pub verified: bool,
}

/// What an engine made of an SA's key material: expanded, precomputed, zeroised on drop.
pub struct Key {
    /// The SA's transform.
    pub transform: Transform,
    /// Whether `seq_hi` is authenticated.
    pub esn: bool,
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
        engine: &'static str,
        /// The transform.
        transform: Transform,
    },
}

/// A way of doing ESP's crypto. Engines are values chosen at run time by what the CPU has.
pub trait Engine: Send + Sync {
    /// `scalar`, `library`, `simd` …: what reports call it.
    fn name(&self) -> &'static str;

    /// Whether it can do this transform on this CPU.
    fn covers(&self, transform: Transform) -> bool;

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
    ) -> Result<Key, KeyError>;

    /// Encrypt in place and write the ICVs. The keys are this engine's own and outbound; jobs may mix SAs, transforms and lengths.
    fn seal(&self, jobs: &mut [Job<'_>]);

    /// Verify the ICVs, set `verified`, decrypt in place. The keys are this engine's own and inbound.
    fn open(&self, jobs: &mut [Job<'_>]);
}
