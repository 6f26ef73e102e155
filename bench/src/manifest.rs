//! The conditions of a run: what every JSON carries under `manifest`, and the only part of it that may depend on the
//! machine or the wall clock of a virtual run.

use std::fs;

use schemars::JsonSchema;
use serde::Serialize;

/// The conditions under which a figure was made.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Manifest {
    /// The program's version.
    pub version: &'static str,
    /// The commit it was built from; `-dirty` with changes, `unknown` outside a checkout.
    pub commit: &'static str,
    /// The command line.
    pub command: Vec<String>,
    /// The seed, where there is randomness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The processor's name.
    pub cpu: String,
    /// Its features that matter here.
    pub cpu_features: Vec<&'static str>,
    /// The kernel's name and release.
    pub kernel: String,
    /// Processors this process may use.
    pub cores: usize,
    /// `virtual` or `real`.
    pub clock: &'static str,
}

impl Manifest {
    /// The conditions here and now.
    pub fn here(clock: &'static str, seed: Option<u64>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("ESPALIER_COMMIT"),
            command: std::env::args().collect(),
            seed,
            cpu: cpu(),
            cpu_features: cpu_features(),
            kernel: kernel(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            clock,
        }
    }
}

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.to_owned())
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim())
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    macro_rules! found {
        ($($feature:tt)*) => {
            [$(($feature, is_x86_feature_detected!($feature))),*]
        };
    }
    found!("aes" "pclmulqdq" "avx2" "sha" "gfni" "vaes" "vpclmulqdq" "avx512f" "avx512bw" "avx512vl" "avx512vbmi" "avx512ifma")
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    Vec::new()
}
