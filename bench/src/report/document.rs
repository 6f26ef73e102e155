//! The JSON of a run: `espalier.failover/1`.

use schemars::JsonSchema;
use serde::Serialize;

use super::prediction::Compared;
use super::seeds::Runs;
use crate::manifest::Manifest;
use crate::measure::figures::Figures;
use crate::measure::recording::{Schedule, Shown};

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.failover/1";

/// Everything a run leaves behind, but for its captures.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document<'a> {
    /// `espalier.failover/1`.
    pub schema: &'static str,
    /// The figures.
    #[serde(flatten)]
    pub figures: &'a Figures,
    /// What `--show` asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<Answer>,
    /// With `--seeds`: the spread over all runs. The figures above are the first run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Runs>,
    /// With `--drive host`: the outages of virtual time beside the real ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<Vec<Compared>>,
    /// With `--drive pinned`: how late packets were offered, and what the cores did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<&'a Schedule>,
    /// Under which conditions.
    pub manifest: Manifest,
}

/// The answer to a `show` command.
#[derive(Debug, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Answer {
    pub t_s: f64,
    pub router: String,
    pub command: String,
    pub text: String,
}

impl From<&Shown> for Answer {
    fn from(shown: &Shown) -> Self {
        let Shown { at, router, command, text } = shown;
        Self { t_s: at.as_s(), router: router.clone(), command: command.clone(), text: text.clone() }
    }
}
