//! What the tests beside this crate share: where things are, scratch folders, SA files, captures read whole, and how a
//! test says that a peer is missing.

pub mod attached;
pub mod charon;
pub mod conformance;
pub mod frr;
pub mod hsrp_lan;
pub mod ike_opened;
pub mod ike_wire;
pub mod mutate;
pub mod namespaces;
pub mod network;
pub mod ospf_wire;
pub mod pluto;
pub mod sites;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use espalier::capture::link::locate;
use espalier::capture::{Packet, Reader};
use espalier_wire::Transform;

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file that others made and that may stand beside the checkout.
pub fn foreign(path: &str) -> PathBuf {
    root().join("../shared/captures").join(path)
}

/// Whether a missing peer is a failure instead of a reason to ignore the test (`ESPALIER_REQUIRE_PEERS=1`).
pub fn peers_are_required() -> bool {
    std::env::var_os("ESPALIER_REQUIRE_PEERS").is_some_and(|v| v == "1")
}

/// Why a peer program cannot be used, if it cannot: `probe` is a command line that succeeds where it can.
pub fn missing(probe: &[&str]) -> Option<String> {
    let works = Command::new(probe[0]).args(&probe[1..]).output().is_ok_and(|o| o.status.success());
    (!works).then(|| format!("`{}` does not run here", probe.join(" ")))
}

/// A folder that goes with the value.
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty folder.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("espalier-test-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file in it that holds `text`.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A key of `len` bytes for tests: distinct bytes of odd parity, so that DES has nothing to warn about.
pub fn key(len: usize, first: u8) -> Vec<u8> {
    let odd = |b: u8| if b.count_ones().is_multiple_of(2) { b ^ 1 } else { b };
    (0..len).map(|n| odd(first.wrapping_add((n as u8).wrapping_mul(37)))).collect()
}

/// Digits of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes of digits.
pub fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok().filter(|t| t.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    };
    let all: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    all.ok_or_else(|| format!("`{hex}` is no hex"))
}

/// An SA file of one SA, SPI 0x1000, between 198.51.100.1 and .2; `more` are further lines of it.
pub fn sa_toml(transform: Transform, more: &str) -> String {
    format!(
        "[[sa]]\nspi = 0x1000\nsrc = \"198.51.100.1\"\ndst = \"198.51.100.2\"\ntransform = \"{transform}\"\n\
         key = \"{}\"\nauth_key = \"{}\"\n{more}\n",
        hex(&key(transform.key_len(), 0x23)),
        hex(&key(transform.auth_key_len(), 0x61)),
    )
}

/// A captured packet as a comparison sees it: time in ns, and its bytes from the IP header on (all of the frame's,
/// where it holds no IP packet).
pub type Seen = (u64, Vec<u8>);

/// Every packet of a capture.
pub fn packets(path: &Path) -> Vec<Seen> {
    let mut reader = Reader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut packet, mut seen) = (Packet::default(), Vec::new());
    while reader.read(&mut packet).unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
        let link = reader.interfaces()[packet.interface].link;
        let ip = locate(link, &packet.bytes).map_or(0..packet.bytes.len(), |l| l.ip);
        seen.push((packet.time.as_ns(), packet.bytes[ip].to_vec()));
    }
    seen
}
