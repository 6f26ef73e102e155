//! What the CPU has, found once. `ESPALIER_CPU=avx2` or `ESPALIER_CPU=sse2` makes it look like less, so that the ways
//! of lesser CPUs can be tested and measured on a greater one.

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
        let most = match std::env::var("ESPALIER_CPU").as_deref() {
            Ok("sse2") => Level::Base,
            Ok("avx2") => Level::Avx2,
            _ => Level::Avx512,
        };
        found().min(most)
    })
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
