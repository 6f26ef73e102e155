//! What became of a capture's packets, as JSON (`espalier.esp/1`) and as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use espalier_wire::Cause;
use espalier_wire::cause::CauseCounts;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Failure, Verb, truncation};
use crate::capture::Break;
use crate::manifest::Manifest;

/// The causes that are told even when they lost nothing.
const ALWAYS: [Cause; 6] = [
    Cause::UnknownSpi,
    Cause::Replay,
    Cause::Integrity,
    Cause::BadPadding,
    Cause::PolicyMismatch,
    Cause::Malformed,
];

/// Packets counted: `packets = passed + bypassed + dropped + joined`. A packet cut for its path MTU is written as
/// several and counted once.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub packets: u64,
    pub esp: u64,
    pub passed: u64,
    pub bypassed: u64,
    pub dropped: CauseCounts,
    /// Fragments that became part of another packet, which is counted in their stead.
    pub joined: u64,
}

/// Where a capture broke off.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Truncated {
    /// The number of the first packet that could not be read, from 1.
    pub packet: u64,
    /// Where its record starts, in bytes of the uncompressed file.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The output of `encap --json` and `decap --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub(in super::super) struct Report {
    /// `espalier.esp/1`.
    schema: &'static str,
    manifest: Manifest,
    /// Packets read.
    packets: u64,
    /// ESP packets: read (decap), or made (encap).
    esp: u64,
    /// Opened (decap) or sealed (encap), and written.
    passed: u64,
    /// Packets that no SA took.
    bypassed: u64,
    /// Packets lost, by cause.
    dropped: BTreeMap<&'static str, u64>,
    /// Fragments put together with others before they could be opened; each whole packet counts as its first fragment.
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<u64>,
    /// Where the capture broke off, if it did; what stood before is in the counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<Truncated>,
}

impl Report {
    pub(super) fn new(counts: Counts, broken: Option<&Break>) -> Self {
        let told = Cause::ALL.iter().filter(|c| ALWAYS.contains(c) || counts.dropped.count(**c) > 0);
        Self {
            schema: "espalier.esp/1",
            manifest: Manifest::here("virtual", None),
            packets: counts.packets,
            esp: counts.esp,
            passed: counts.passed,
            bypassed: counts.bypassed,
            dropped: told.map(|c| (c.name(), counts.dropped.count(*c))).collect(),
            joined: Some(counts.joined).filter(|n| *n > 0),
            truncated: broken.map(truncation),
        }
    }

    pub(super) fn json(&self) -> Result<String, Failure> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Failure::Check(e.to_string()))?;
        Ok(text + "\n")
    }

    pub(super) fn text(&self, verb: Verb, output: &Path) -> String {
        let (passed, total) = match verb {
            Verb::Encap => ("sealed", "ESP packets written"),
            Verb::Decap => ("opened", "ESP packets read"),
        };
        let mut text = String::new();
        let rows = [
            ("packets read", self.packets),
            (total, self.esp),
            (passed, self.passed),
            ("bypassed", self.bypassed),
        ];
        for (name, count) in rows {
            let _ = writeln!(text, "{count:>12}  {name}");
        }
        if let Some(count) = self.joined {
            let _ = writeln!(text, "{count:>12}  fragments put together with others");
        }
        for (cause, count) in self.dropped.iter().filter(|(_, count)| **count > 0) {
            let _ = writeln!(text, "{count:>12}  dropped: {cause}");
        }
        let _ = writeln!(text, "{} (keys for Wireshark: {0}.keys)", output.display());
        text
    }
}
