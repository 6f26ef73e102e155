//! Puts the commit that is built into the binary; "unknown" outside a checkout.

use std::path::Path;
use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    // Without optional locks: refreshing the index would make the next build run this again.
    let output = Command::new("git").arg("--no-optional-locks").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Whether the checkout is this project's own, not one that a copy of the sources happens to lie in.
fn in_own_checkout() -> bool {
    let top = git(&["rev-parse", "--show-toplevel"]).and_then(|top| Path::new(&top).canonicalize().ok());
    top.is_some() && top == Path::new("..").canonicalize().ok()
}

fn commit() -> Option<String> {
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| in_own_checkout())?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no", "--", "*.rs", "*.toml", "*.lock"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit}-dirty") })
}

fn main() {
    println!("cargo::rustc-env=ESPALIER_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    // Whatever goes into the binary may make it "-dirty"; a commit moves HEAD or its log.
    for source in ["build.rs", "src", "Cargo.toml", "../dataplane", "../control", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={source}");
    }
    for what in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", what]).filter(|p| Path::new(p).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
}
