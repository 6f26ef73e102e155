//! The JSON of a router that ran on real interfaces: `espalier.attach/1`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::document::Answer;
use crate::manifest::Manifest;
use crate::measure::figures::Event;
use crate::measure::recording::Shown;

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.attach/1";

/// What the router did. Times are seconds since it was switched on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `espalier.attach/1`.
    pub schema: &'static str,
    /// Its name.
    pub router: String,
    /// How long it ran.
    pub duration_s: f64,
    /// What ended it: `time`, `SIGINT`, `SIGTERM`, `console` or `power-off`.
    pub ended: &'static str,
    /// The bound interfaces.
    pub interfaces: Vec<Port>,
    /// Where its threads ran.
    pub cores: Cores,
    /// Packets lost, by cause.
    pub dropped: BTreeMap<&'static str, u64>,
    /// What it said, debug lines left out.
    pub events: Vec<Event>,
    /// Events beyond those that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events_left_out: Option<u64>,
    /// What `show` answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<Answer>,
    /// Under which conditions.
    pub manifest: Manifest,
}

/// One interface.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Port {
    pub name: String,
    /// How frames are had: `packet`, `batch`, `tap` or `xdp`.
    pub kind: &'static str,
    /// The machine's interface.
    pub host: String,
    pub mac: String,
    pub in_packets: u64,
    pub in_bytes: u64,
    pub out_packets: u64,
    pub out_bytes: u64,
    /// Frames that arrived and that the kernel lost before the dataplane saw them; they are in `dropped`, too.
    pub overflowed: u64,
}

/// Numbers of cores; absent where the kernel chose.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Cores {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataplane: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<usize>,
}

/// An answer, its time counted from `started`.
pub fn answer(shown: &Shown, started: espalier_wire::Instant) -> Answer {
    Answer { t_s: (shown.at - started).as_s(), ..Answer::from(shown) }
}
