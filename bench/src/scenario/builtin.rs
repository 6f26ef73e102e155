//! Where a scenario's files come from: a directory, or the ones embedded in the binary.

use std::path::{Component, Path, PathBuf};

use crate::place::{Mistake, Place, nearest};

/// A scenario embedded in the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// What `espalier failover NAME` calls it.
    pub name: &'static str,
    /// Its TOML text.
    pub text: &'static str,
}

impl BuiltIn {
    /// The one line that its file says about it.
    pub fn about(&self) -> &'static str {
        self.text
            .lines()
            .find_map(|l| l.strip_prefix("about = \""))
            .and_then(|l| l.strip_suffix('"'))
            .unwrap_or_default()
    }
}

macro_rules! embedded {
    ($($name:literal)+ ; $($file:literal)+) => {
        const BUILT_INS: &[BuiltIn] = &[$(BuiltIn {
            name: $name,
            text: include_str!(concat!("../../scenarios/", $name, "/", $name, ".toml")),
        },)+];
        const FILES: &[(&str, &[u8])] = &[
            $((concat!($name, "/", $name, ".toml"), include_bytes!(concat!("../../scenarios/", $name, "/", $name, ".toml"))),)+
            $(($file, include_bytes!(concat!("../../scenarios/", $file))),)+
        ];
    };
}

embedded! {
    "hsrp-ipsec" "tracked-interface" "crash" "planned" "subsecond" "rekey" "flap" "lossy" "remote-only"
    "inside-only" "document-log" ;
    "hsrp-ipsec/7204VXR-1.cfg" "hsrp-ipsec/7204VXR-2.cfg" "hsrp-ipsec/7206-1.cfg" "hsrp-ipsec/vpn7200.cfg"
    "hsrp-ipsec/provider.cfg" "hsrp-ipsec/voice.pcap"
}

/// Every built-in scenario, the default first.
pub fn built_ins() -> &'static [BuiltIn] {
    BUILT_INS
}

/// Who reads the files that a scenario names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    Embedded,
    Disk,
}

impl Files {
    /// The bytes of `path`.
    pub(super) fn read(self, path: &Path) -> Result<Vec<u8>, String> {
        match self {
            Self::Disk => std::fs::read(path).map_err(|e| e.to_string()),
            Self::Embedded => {
                let wanted = plain(path);
                let found = FILES.iter().find(|(name, _)| Path::new(name) == wanted);
                found.map(|(_, bytes)| bytes.to_vec()).ok_or_else(|| "is not embedded".to_owned())
            }
        }
    }
}

/// `path` without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Where the scenario called `which` is.
pub(super) fn locate(which: &str) -> Result<(Files, PathBuf), Mistake> {
    if BUILT_INS.iter().any(|b| b.name == which) {
        return Ok((Files::Embedded, PathBuf::from(format!("{which}/{which}.toml"))));
    }
    if which.ends_with(".toml") || Path::new(which).is_file() {
        return Ok((Files::Disk, PathBuf::from(which)));
    }
    let near = nearest(which, BUILT_INS.iter().map(|b| b.name));
    Err(Place::start(which).says(format!("is neither a built-in scenario nor a .toml file{near}")))
}
