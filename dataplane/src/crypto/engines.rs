//! The engines there are, by name; the choice a user makes of them; and the way of a mixed batch to them. What each
//! engine does is its own module's.

use std::fmt;
use std::str::FromStr;

use espalier_wire::Transform;
use espalier_wire::plane::Direction;

#[cfg(feature = "ipsec-mb")]
use super::ipsec_mb;
use super::{Engine, Job, Key, KeyError, library, scalar, simd};

/// An engine, whether this CPU has what it needs or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineId {
    /// RustCrypto: portable, and the twin every other engine is compared with.
    Scalar,
    /// aws-lc, where it beats RustCrypto.
    Library,
    /// Our own: many packets at once in wide registers.
    Simd,
    /// Intel's multi-buffer library, to be measured beside the others.
    #[cfg(feature = "ipsec-mb")]
    IpsecMb,
}

impl EngineId {
    /// Every engine, the most portable first.
    pub const ALL: &'static [Self] = &[
        Self::Scalar,
        Self::Library,
        Self::Simd,
        #[cfg(feature = "ipsec-mb")]
        Self::IpsecMb,
    ];

    /// The name in flags, tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Library => "library",
            Self::Simd => "simd",
            #[cfg(feature = "ipsec-mb")]
            Self::IpsecMb => IPSEC_MB,
        }
    }

    /// The engine itself. It may cover nothing on this CPU.
    pub fn engine(self) -> &'static dyn Engine {
        match self {
            Self::Scalar => &scalar::Scalar,
            Self::Library => &library::Library,
            Self::Simd => &simd::Simd,
            #[cfg(feature = "ipsec-mb")]
            Self::IpsecMb => &ipsec_mb::IpsecMb,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for EngineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of the engine that only builds with its feature have.
const IPSEC_MB: &str = "ipsec-mb";

/// What this build and this CPU have.
pub struct Engines;

impl Engines {
    /// The engines that cover at least one transform here; `scalar` comes first.
    pub fn all() -> impl Iterator<Item = &'static dyn Engine> {
        EngineId::ALL
            .iter()
            .map(|id| id.engine())
            .filter(|engine| Transform::ALL.iter().any(|t| engine.covers(*t)))
    }
}

/// Which engine is to make keys: `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The best there is for each transform.
    #[default]
    Auto,
    /// This one alone.
    Only(EngineId),
}

impl Choice {
    /// The engine for a transform; none when this CPU's engine, or the only one allowed, does not cover it.
    pub fn engine(self, transform: Transform) -> Option<&'static dyn Engine> {
        let covers = |id: &EngineId| id.engine().covers(transform);
        match self {
            Self::Only(id) => Some(id).filter(covers),
            Self::Auto => best(transform).iter().copied().find(covers),
        }
        .map(EngineId::engine)
    }

    /// Make a key for one direction of an SA. `key` is the cipher's key then its salt, `auth_key` the integrity key.
    ///
    /// # Errors
    /// Lengths that are not the transform's; a transform that the chosen engine does not cover.
    pub fn key(
        self,
        transform: Transform,
        direction: Direction,
        key: &[u8],
        auth_key: &[u8],
        esn: bool,
    ) -> Result<Key, KeyError> {
        let fallback = match self {
            Self::Auto => EngineId::Scalar,
            Self::Only(id) => id,
        };
        let engine = self.engine(transform).unwrap_or(fallback.engine());
        engine.key(transform, direction, key, auth_key, esn)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Only(id) => id.fmt(f),
        }
    }
}

/// The text is the name of no engine of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEngine {
    /// Of none at all.
    #[error("\"{0}\" is no engine (one of auto {list})", list = EngineId::ALL.iter().map(|e| e.name()).collect::<Vec<_>>().join(" "))]
    Unknown(String),
    /// Of one that other builds have.
    #[error(
        "this build has no engine ipsec-mb: build it with --features ipsec-mb, which needs Debian's libipsec-mb-dev"
    )]
    NotBuilt,
}

impl FromStr for Choice {
    type Err = NoEngine;
    fn from_str(s: &str) -> Result<Self, NoEngine> {
        if s == "auto" {
            return Ok(Self::Auto);
        }
        let id = EngineId::ALL.iter().find(|id| id.name() == s);
        id.map(|id| Self::Only(*id)).ok_or_else(|| match s {
            IPSEC_MB => NoEngine::NotBuilt,
            _ => NoEngine::Unknown(s.to_owned()),
        })
    }
}

/// How many times as fast as `scalar` the library is: sealing 64 and 1408 bytes, opening 64 and 1408 bytes. Measured with
/// the criterion bench `crypto` on an AMD EPYC of the Zen 4 class with SHA-NI, VAES and AVX-512, portable build, other
/// load on the machine: differences under a tenth say nothing. What has no row is `scalar`'s.
const LIBRARY_OVER_SCALAR: [(Transform, [f32; 4]); 14] = [
    (Transform::Aes128Md5, [1.13, 1.09, 1.17, 1.06]),
    (Transform::Aes128Sha1, [1.67, 1.17, 1.21, 1.15]),
    (Transform::Aes128Sha256, [1.16, 1.19, 1.18, 1.12]),
    (Transform::Aes192Sha1, [1.28, 1.16, 1.48, 1.13]),
    (Transform::Aes192Sha256, [1.18, 1.19, 1.24, 1.13]),
    (Transform::Aes256Sha1, [1.30, 1.24, 1.42, 1.19]),
    (Transform::Aes256Sha256, [1.21, 1.16, 1.56, 1.26]),
    (Transform::Aes256Sha384, [1.27, 1.28, 1.30, 1.44]),
    (Transform::Aes256Sha512, [1.34, 1.28, 1.26, 1.02]),
    (Transform::Aes128Gcm, [2.45, 2.81, 2.58, 2.81]),
    (Transform::Aes192Gcm, [2.61, 2.96, 2.45, 2.95]),
    (Transform::Aes256Gcm, [2.86, 2.97, 2.78, 2.99]),
    (Transform::Aes128Gmac, [1.10, 1.84, 1.24, 1.79]),
    (Transform::ChaCha20Poly1305, [8.91, 3.64, 8.89, 3.94]),
];

/// The engines for a transform, best first; the first that covers it on this CPU is taken. `simd` comes first wherever it
/// has kernels: in bursts of 64 it is ahead of the others or as fast in every transform, direction and size, with AVX-512
/// and without (results/engines, results/engines-avx2). A packet alone is another matter, because one lane does the work of
/// several: an HMAC with NULL or AES-CBC then takes up to 1.5 times as long as by `library`, encryption with DES 2.7 times
/// as long as by `scalar`.
fn best(transform: Transform) -> &'static [EngineId] {
    let row = LIBRARY_OVER_SCALAR.iter().find(|(t, _)| *t == transform);
    match row.is_some_and(|(_, gains)| gains.iter().sum::<f32>() > 4.0) {
        true => &[EngineId::Simd, EngineId::Library, EngineId::Scalar],
        false => &[EngineId::Simd, EngineId::Scalar, EngineId::Library],
    }
}

/// Encrypt in place and write the ICVs, each job by the engine that made its key; sets `verified` where it was done.
pub fn seal(jobs: &mut [Job<'_>]) {
    each_engine(jobs, |engine, jobs| engine.seal(jobs));
}

/// Verify the ICVs, set `verified`, decrypt in place what was right, each job by the engine that made its key.
pub fn open(jobs: &mut [Job<'_>]) {
    each_engine(jobs, |engine, jobs| engine.open(jobs));
}

/// Every engine that has a job gets the whole batch once, and leaves others' jobs alone: no reordering, no allocation,
/// and the multi-buffer engines see all their jobs together however they are mixed.
fn each_engine(jobs: &mut [Job<'_>], run: impl Fn(&dyn Engine, &mut [Job<'_>])) {
    let (mut present, mut last) = (0, None);
    for job in &mut *jobs {
        job.verified = false;
        let key = Some(std::ptr::from_ref(job.key));
        if key != last {
            present |= job.key.engine().bit();
            last = key;
        }
    }
    for id in EngineId::ALL.iter().filter(|id| present & id.bit() != 0) {
        run(id.engine(), jobs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the library covers has been measured, and nothing else has a row.
    #[test]
    fn every_choice_of_auto_has_a_figure() {
        for transform in Transform::ALL {
            let measured = LIBRARY_OVER_SCALAR.iter().any(|(t, _)| t == transform);
            assert_eq!(measured, EngineId::Library.engine().covers(*transform), "{transform}");
        }
        let auto = |t| Choice::Auto.engine(t).map(Engine::id);
        let or_else = |t, id| Some(if EngineId::Simd.engine().covers(t) { EngineId::Simd } else { id });
        for (transform, id) in [
            (Transform::DesMd5, EngineId::Scalar),
            (Transform::Aes128Gcm, EngineId::Library),
            (Transform::Aes128Gmac, EngineId::Library),
            (Transform::ChaCha20Poly1305, EngineId::Library),
        ] {
            assert_eq!(auto(transform), or_else(transform, id), "{transform}");
        }
    }
}
