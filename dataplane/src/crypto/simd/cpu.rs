//! What the CPU has, found once. `ESPALIER_CPU=avx2` or `ESPALIER_CPU=sse2` makes it look like less, so that the ways
//! of lesser CPUs can be tested and measured on a greater one. A word that is neither makes it look like the least: a
//! slip of the pen is never faster than what was meant.

use std::ffi::OsStr;
use std::sync::OnceLock;

/// The sets of instructions that kernels are written for, each with all of those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Level {
    /// What every CPU of the architecture has.
    Base,
    /// AVX2 and AES-NI.
    Avx2,
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

/// The level that a word of the environment allows; empty is as if it were not there.
fn most(word: &OsStr) -> Level {
    match word.to_str() {
        Some("") => Level::Avx512,
        Some("avx2") => Level::Avx2,
        _ => Level::Base,
    }
}

#[cfg(target_arch = "x86_64")]
fn found() -> Level {
    macro_rules! has {
        ($($feature:tt)*) => { $(std::arch::is_x86_feature_detected!($feature))&&* };
    }
    if !has!("avx2" "aes" "pclmulqdq") {
        return Level::Base;
    }
    let wide =
        has!("avx512f" "avx512bw" "avx512vl" "avx512dq" "avx512vbmi" "avx512ifma" "vaes" "vpclmulqdq" "gfni");
    if wide { Level::Avx512 } else { Level::Avx2 }
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
        for (word, allowed) in
            [("sse2", Level::Base), ("avx2", Level::Avx2), ("avx-2", Level::Base), ("", Level::Avx512)]
        {
            assert_eq!(most(OsStr::new(word)), allowed, "{word:?}");
        }
        assert!(level() <= found());
    }
}
