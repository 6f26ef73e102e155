//! The `simd` engine: many packets at once. What a batch holds is spread over the lanes of wide registers, so that the
//! serial ciphers and hashes of one packet run beside those of others.
//!
//! ```text
//! seal:  jobs -> cipher (des: 32 or 64 blocks abreast, aes_cbc: 8 or 16 packets) -> hash (4 to 32 messages) -> ICVs
//! open:  jobs -> hash -> those that are authentic -> cipher
//! gcm:   both at once; one, two or four blocks a register, short packets two or four abreast
//! chacha: 8 or 16 blocks of whatever packets, or of 8 short ones; 2 or 16 packets' Poly1305, the two of them between the
//!        rounds
//! ```
//!
//! A key is large, as it holds what makes a packet cheap: 128 bytes of hash states beside those of `scalar`, 128 or 384
//! for DES and 3DES, 248 for AES-CBC, 1920 for GCM (3776 with AVX-512), of which a packet touches what its length needs
//! (320 up to 96 bytes before the ICV with AES-128), and some 600 of aws-lc's for ChaCha20-Poly1305 without AVX-512. A
//! million SAs of aes128-gcm are 1.9 GB of keys for each direction (3.8 with AVX-512).
//!
//! Kernels live in a module for each cipher and hash; a transform without one is not covered, and goes to another
//! engine. Which CPU has what is `cpu`'s to say.

#![allow(
    clippy::needless_range_loop,
    reason = "kernels take arrays of registers apart by number, several at once"
)]

use espalier_wire::plane::Direction;
use espalier_wire::{Cipher, Integrity, Transform};

use super::{Engine, EngineId, Expanded, Job, Secrets};
#[cfg(target_arch = "x86_64")]
use crate::mem::{prefetch, prefetch_lines};

#[cfg(target_arch = "x86_64")]
mod aes;
#[cfg(target_arch = "x86_64")]
mod aes_cbc;
#[cfg(target_arch = "x86_64")]
mod chacha;
pub(super) mod cpu;
#[cfg(target_arch = "x86_64")]
mod des;
#[cfg(target_arch = "x86_64")]
mod gcm;
#[cfg(target_arch = "x86_64")]
mod hash;
#[cfg(target_arch = "x86_64")]
mod pin;
#[cfg(target_arch = "x86_64")]
mod separate;
#[cfg(target_arch = "x86_64")]
mod wide;

/// The engine.
pub(super) struct Simd;

/// Expanded keys.
#[cfg(target_arch = "x86_64")]
pub(super) enum Material {
    /// Encrypt, then authenticate.
    Separate(Box<separate::SeparateKey>),
    /// AES-GCM.
    Gcm(Box<gcm::GcmKey>),
    /// AES-GMAC.
    Gmac(Box<gcm::GcmKey>),
    /// ChaCha20-Poly1305.
    ChaCha(Box<chacha::ChaChaKey>),
}

#[cfg(target_arch = "x86_64")]
impl Material {
    fn new(secrets: &Secrets<'_>) -> Option<Self> {
        let Secrets { transform, direction, key, auth_key, esn } = *secrets;
        Some(match (transform.integrity(), transform.cipher()) {
            (Integrity::Combined, Cipher::Aes128Gmac) => Self::Gmac(Box::new(gcm::GcmKey::new(key, esn)?)),
            (Integrity::Combined, Cipher::ChaCha20Poly1305) => {
                Self::ChaCha(Box::new(chacha::ChaChaKey::new(key)?))
            }
            (Integrity::Combined, _) => Self::Gcm(Box::new(gcm::GcmKey::new(key, esn)?)),
            _ => Self::Separate(Box::new(separate::SeparateKey::new(transform, direction, key, auth_key)?)),
        })
    }

    /// Fetch towards the core the first line of what a short packet needs.
    #[inline(always)]
    pub(super) fn fetch_first(&self) {
        match self {
            Self::Gcm(key) | Self::Gmac(key) => key.prefetch_first(),
            Self::Separate(key) => prefetch(&**key),
            Self::ChaCha(key) => prefetch(&**key),
        }
    }

    /// What a short packet needs, as far as it lies in one piece.
    #[inline(always)]
    pub(super) fn fetch(&self) {
        match self {
            Self::Gcm(key) | Self::Gmac(key) => key.prefetch(),
            Self::Separate(key) => prefetch_lines::<6, _>(&**key),
            Self::ChaCha(key) => prefetch_lines::<6, _>(&**key),
        }
    }
}

/// Whether this CPU has the widest registers that there are kernels for.
fn widest() -> bool {
    cpu::level() == cpu::Level::Avx512
}

/// This engine's key of a job.
#[cfg(target_arch = "x86_64")]
fn material<'a>(job: &Job<'a>) -> Option<&'a Material> {
    match &job.key.material {
        super::Material::Simd(material) => Some(material),
        _ => None,
    }
}

/// What a batch has of this engine's: what it has not costs nothing then, which counts where few packets come together.
#[cfg(target_arch = "x86_64")]
#[derive(Default)]
struct Kinds {
    separate: bool,
    des: bool,
    gcm: bool,
    chacha: bool,
}

#[cfg(target_arch = "x86_64")]
impl Kinds {
    fn of(jobs: &[Job<'_>]) -> Self {
        let (mut kinds, mut last) = (Self::default(), None);
        for job in jobs {
            let key = Some(std::ptr::from_ref(job.key));
            if key == last {
                continue;
            }
            last = key;
            match material(job) {
                Some(Material::Separate(key)) => {
                    kinds.separate = true;
                    kinds.des |= key.is_des();
                }
                Some(Material::Gcm(_) | Material::Gmac(_)) => kinds.gcm = true,
                Some(Material::ChaCha(_)) => kinds.chacha = true,
                None => {}
            }
        }
        kinds
    }
}

#[cfg(target_arch = "x86_64")]
fn is_outbound(job: &Job<'_>) -> bool {
    job.key.direction == Direction::Outbound
}

/// No kernel, no key.
#[cfg(not(target_arch = "x86_64"))]
pub(super) enum Material {}

#[cfg(not(target_arch = "x86_64"))]
impl Material {
    fn new(_: &Secrets<'_>) -> Option<Self> {
        None
    }

    pub(super) fn fetch_first(&self) {}

    pub(super) fn fetch(&self) {}
}

impl Engine for Simd {
    fn id(&self) -> EngineId {
        EngineId::Simd
    }

    /// Every transform, where there are kernels at all.
    fn covers(&self, _: Transform) -> bool {
        cpu::level() >= cpu::Level::Avx2
    }

    fn expand(&self, secrets: &Secrets<'_>) -> Option<Expanded> {
        Some(Expanded(super::Material::Simd(Material::new(secrets)?)))
    }

    #[cfg(target_arch = "x86_64")]
    fn seal(&self, jobs: &mut [Job<'_>]) {
        let kinds = Kinds::of(jobs);
        if kinds.separate {
            separate::seal(jobs, kinds.des);
        }
        if kinds.gcm {
            gcm::run::<true>(jobs);
        }
        if kinds.chacha {
            chacha::run::<true>(jobs);
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn open(&self, jobs: &mut [Job<'_>]) {
        let kinds = Kinds::of(jobs);
        if kinds.separate {
            separate::open(jobs, kinds.des);
        }
        if kinds.gcm {
            gcm::run::<false>(jobs);
        }
        if kinds.chacha {
            chacha::run::<false>(jobs);
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn seal(&self, _: &mut [Job<'_>]) {}

    #[cfg(not(target_arch = "x86_64"))]
    fn open(&self, _: &mut [Job<'_>]) {}
}
