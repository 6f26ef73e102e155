//! The `simd` engine: many packets at once. What a batch holds is spread over the lanes of wide registers, so that the
//! serial ciphers and hashes of one packet run beside those of others.
//!
//! ```text
//! jobs of a batch ── des: 64 blocks abreast (AVX-512 with VBMI and GFNI) ──┐
//!                 └─ hmac: one after the other, as `scalar` does           ┴── ICVs, in the jobs' order
//! ```
//!
//! Kernels live in a module for each cipher; a transform without one is not covered, and goes to another engine. Which
//! CPU has what is `cpu`'s to say.

use espalier_wire::plane::Direction;
use espalier_wire::{Cipher, Transform};

use super::{Engine, EngineId, Job, Key, KeyError, check_lengths};

mod cpu;
#[cfg(target_arch = "x86_64")]
mod des;

/// The engine.
pub(super) struct Simd;

/// Expanded keys.
#[cfg(target_arch = "x86_64")]
pub(super) enum Material {
    /// DES or 3DES in CBC mode, with an HMAC.
    Des(Box<des::DesKey>, super::scalar::mac::MacKey),
}

/// No kernel, no key.
#[cfg(not(target_arch = "x86_64"))]
pub(super) enum Material {}

impl Material {
    #[cfg(target_arch = "x86_64")]
    fn new(transform: Transform, direction: Direction, key: &[u8], auth_key: &[u8]) -> Option<Self> {
        let mac = super::scalar::mac::MacKey::new(transform.integrity(), auth_key)?;
        Some(Self::Des(Box::new(des::DesKey::new(direction, key)?), mac))
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn new(_: Transform, _: Direction, _: &[u8], _: &[u8]) -> Option<Self> {
        None
    }
}

impl Engine for Simd {
    fn id(&self) -> EngineId {
        EngineId::Simd
    }

    fn covers(&self, transform: Transform) -> bool {
        let des = matches!(transform.cipher(), Cipher::DesCbc | Cipher::TripleDesCbc);
        des && cpu::level() == cpu::Level::Avx512
    }

    fn key(
        &self,
        transform: Transform,
        direction: Direction,
        key: &[u8],
        auth_key: &[u8],
        esn: bool,
    ) -> Result<Key, KeyError> {
        check_lengths(transform, key, auth_key)?;
        let material = Some(transform)
            .filter(|t| self.covers(*t))
            .and_then(|t| Material::new(t, direction, key, auth_key))
            .ok_or(KeyError::NotCovered { engine: self.id(), transform })?;
        Ok(Key { transform, esn, direction, material: super::Material::Simd(material) })
    }

    #[cfg(target_arch = "x86_64")]
    fn seal(&self, jobs: &mut [Job<'_>]) {
        des::seal(jobs);
    }

    #[cfg(target_arch = "x86_64")]
    fn open(&self, jobs: &mut [Job<'_>]) {
        des::open(jobs);
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn seal(&self, _: &mut [Job<'_>]) {}

    #[cfg(not(target_arch = "x86_64"))]
    fn open(&self, _: &mut [Job<'_>]) {}
}
