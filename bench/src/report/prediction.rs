//! Prediction beside measurement: the outages of one scenario in virtual time and on real interfaces.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use crate::measure::figures::{Figures, OutageFigures};

/// One flow's outage after one fault, both ways. What is absent did not happen, or never ended.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Compared {
    pub flow: String,
    pub fault: usize,
    pub kind: &'static str,
    /// RFC 6414's Timestamp-Based Method, in virtual time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_tbm_s: Option<f64>,
    /// The same, measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured_tbm_s: Option<f64>,
    pub predicted_lost: u64,
    pub measured_lost: u64,
}

fn found<'a>(figures: &'a Figures, flow: &str, fault: usize) -> impl Iterator<Item = &'a OutageFigures> {
    let flow = figures.flows.iter().filter(move |f| f.name == flow);
    let flow: Vec<_> = flow.collect();
    flow.into_iter().flat_map(|f| &f.outages).filter(move |o| o.fault == Some(fault))
}

/// Every flow and fault that either way had an outage of.
pub fn compare(predicted: &Figures, measured: &Figures) -> Vec<Compared> {
    let mut all = Vec::new();
    for flow in &measured.flows {
        for fault in 0..measured.faults.len() {
            let both = [predicted, measured];
            let [p, m] = both.map(|of| found(of, &flow.name, fault).collect::<Vec<_>>());
            let Some(first) = p.first().or(m.first()) else { continue };
            let tbm = |of: &[&OutageFigures]| of.iter().filter_map(|o| o.tbm_s).reduce(f64::max);
            let lost = |of: &[&OutageFigures]| of.iter().map(|o| o.lost).sum();
            all.push(Compared {
                flow: flow.name.clone(),
                fault,
                kind: first.kind,
                predicted_tbm_s: tbm(&p),
                measured_tbm_s: tbm(&m),
                predicted_lost: lost(&p),
                measured_lost: lost(&m),
            });
        }
    }
    all
}

/// As a table.
pub fn text(all: &[Compared]) -> String {
    let width = all.iter().map(|c| c.flow.len()).max().unwrap_or(0).max(4);
    let mut text = format!(
        "Predicted in virtual time, measured on real interfaces  (TBM, packets lost)\n  {:<width$}  fault  kind       {:>22}  {:>22}\n",
        "flow", "predicted", "measured"
    );
    for c in all {
        let side = |tbm: Option<f64>, lost: u64| {
            let none = if lost > 0 { "never back" } else { "-" };
            let tbm = tbm.map_or_else(|| none.to_owned(), |s| format!("{s:.3} s"));
            format!("{tbm:>12} {lost:>9}")
        };
        let (predicted, measured) =
            (side(c.predicted_tbm_s, c.predicted_lost), side(c.measured_tbm_s, c.measured_lost));
        let _ = writeln!(
            text,
            "  {:<width$}  {:>5}  {:<9}  {predicted:>22}  {measured:>22}",
            c.flow,
            c.fault + 1,
            c.kind
        );
    }
    text
}
