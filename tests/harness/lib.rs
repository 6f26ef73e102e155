//! What the tests beside this crate share: where things are, and how a test says that a peer is missing.

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether a missing peer is a failure instead of a reason to ignore the test (`ESPALIER_REQUIRE_PEERS=1`).
pub fn peers_are_required() -> bool {
    std::env::var_os("ESPALIER_REQUIRE_PEERS").is_some_and(|v| v == "1")
}
