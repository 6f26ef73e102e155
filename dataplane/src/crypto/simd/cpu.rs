//! What the CPU has, found once. `ESPALIER_CPU=vaes`, `avx2` or `sse2` makes it look like less, so that the ways
//! of lesser CPUs can be tested and measured on a greater one. A word that is none of these makes it look like the least: a
//! slip of the pen is never faster than what was meant.

use std::ffi::OsStr;
use std::sync::OnceLock;

/// The sets of instructions that kernels are written for, each with all of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Level {
    /// What every CPU of the architecture has.
    Base,
    /// AVX2 with AES-NI and PCLMULQDQ.
    Avx2,
    /// The same on registers of 256 bits: VAES and VPCLMULQDQ. Zen 3, Alder Lake.
    Vaes,
    /// AVX-512 F, BW, VL, DQ, VBMI and IFMA with VAES, VPCLMULQDQ and GFNI: Ice Lake, Zen 4 and later.
    Avx512,
}

/// What this CPU has, or what the environment makes of it.
pub(in super::super) fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let most = std::env::var_os("ESPALIER_CPU").map_or(Level::Avx512, |word| most(&word));
        found().min(most)
    })
}

/// Whether there are instructions for SHA-1 and SHA-256. Made to look like a CPU with AVX2 alone, it is one without them.
#[cfg(target_arch = "x86_64")]
pub(in super::super) fn sha() -> bool {
    std::arch::is_x86_feature_detected!("sha") && (level() >= Level::Vaes || level() == found())
}

/// The level that a word of the environment allows; empty is as if it were not there.
fn most(word: &OsStr) -> Level {
    match word.to_str() {
        Some("") => Level::Avx512,
        Some("vaes") => Level::Vaes,
        Some("avx2") => Level::Avx2,
        _ => Level::Base,
    }
}

#[cfg(target_arch = "x86_64")]
fn found() -> Level {
    macro_rules! has {
        ($($feature:tt)*) => { $(std::arch::is_x86_feature_detected!($feature))&&* };
    }
    if !has!("avx2" "bmi2" "aes" "pclmulqdq") {
        return Level::Base;
    }
    if !has!("vaes" "vpclmulqdq") {
        return Level::Avx2;
    }
    match has!("avx512f" "avx512bw" "avx512vl" "avx512dq" "avx512vbmi" "avx512ifma" "gfni") {
        true => Level::Avx512,
        false => Level::Vaes,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn found() -> Level {
    Level::Base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_only_lowers() {
        for (word, allowed) in [
            ("sse2", Level::Base),
            ("avx2", Level::Avx2),
            ("vaes", Level::Vaes),
            ("avx-2", Level::Base),
            ("", Level::Avx512),
        ] {
            assert_eq!(most(OsStr::new(word)), allowed, "{word:?}");
        }
        assert!(level() <= found());
    }

    /// A run that is there for the sake of a level fails where it is not had: `ESPALIER_REQUIRE_CPU`.
    #[test]
    fn the_level_is_the_one_required() {
        if let Some(required) = std::env::var_os("ESPALIER_REQUIRE_CPU") {
            assert_eq!(format!("{:?}", level()).to_lowercase().as_str(), required);
        }
    }
}
