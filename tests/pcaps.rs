//! `pcaps/INDEX.toml` says of each capture what our own reader finds in it.

use std::fs;
use std::path::Path;

use espalier::capture::{Packet, Reader};
use espalier_tests::{hex, root};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Index {
    capture: Vec<Capture>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Capture {
    file: String,
    sha256: String,
    packets: u64,
    bytes: u64,
    recorded: String,
    kept_for: String,
}

fn count(path: &Path) -> (u64, u64) {
    let (mut reader, mut packet) = (Reader::open(path).unwrap(), Packet::default());
    let mut found = (0, 0);
    while reader.read(&mut packet).unwrap() {
        found.0 += 1;
        found.1 += packet.bytes.len() as u64;
    }
    found
}

#[test]
fn the_index_tells_the_truth_of_every_capture() {
    let folder = root().join("pcaps");
    let index: Index = toml::from_str(&fs::read_to_string(folder.join("INDEX.toml")).unwrap()).unwrap();
    for capture in &index.capture {
        let path = folder.join(&capture.file);
        let digest = Sha256::digest(fs::read(&path).unwrap());
        assert_eq!(hex(&digest), capture.sha256, "{}", capture.file);
        assert_eq!(count(&path), (capture.packets, capture.bytes), "{}", capture.file);
        assert!(!capture.recorded.is_empty() && !capture.kept_for.is_empty());
    }
    let is_capture = |name: &String| name.contains(".pcap");
    let names = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(is_capture).count(), index.capture.len(), "a capture is not in the index");
}
