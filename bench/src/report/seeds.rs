//! The spread of a scenario's figures over many seeds.

use schemars::JsonSchema;
use serde::Serialize;

use crate::measure::figures::Figures;

/// Many runs of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Runs {
    /// How many.
    pub count: usize,
    /// By flow and kind of outage.
    pub spreads: Vec<FlowSpread>,
    /// Every outage of every run.
    pub outages: Vec<RunOutage>,
}

/// One kind of outage of one flow over all runs.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct FlowSpread {
    pub flow: String,
    pub kind: &'static str,
    /// Outages there were.
    pub outages: usize,
    /// Of them, those that never ended.
    pub never_recovered: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tbm_s: Option<Spread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Spread>,
}

/// Order statistics (nearest rank).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Spread {
    pub min: f64,
    pub p5: f64,
    pub median: f64,
    pub p95: f64,
    pub max: f64,
}

/// An outage of one run.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct RunOutage {
    pub seed: u64,
    pub flow: String,
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<usize>,
    pub start_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tbm_s: Option<f64>,
    pub lost: u64,
}

impl Spread {
    /// Of some values; `None` of none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let at = (share * values.len() as f64).ceil() as usize;
            values.get(at.saturating_sub(1)).copied()
        };
        let (min, max) = (*values.first()?, *values.last()?);
        Some(Self { min, p5: rank(0.05)?, median: rank(0.5)?, p95: rank(0.95)?, max })
    }
}

impl Runs {
    /// The spread of these runs.
    pub fn of(runs: &[Figures]) -> Self {
        let mut outages = Vec::new();
        for run in runs {
            for flow in &run.flows {
                outages.extend(flow.outages.iter().map(|o| RunOutage {
                    seed: run.seed,
                    flow: flow.name.clone(),
                    kind: o.kind,
                    fault: o.fault,
                    start_s: o.start_s,
                    end_s: o.end_s,
                    tbm_s: o.tbm_s,
                    lost: o.lost,
                }));
            }
        }
        let mut keys: Vec<(String, &'static str)> = Vec::new();
        for o in &outages {
            if !keys.iter().any(|(flow, kind)| (flow, *kind) == (&o.flow, o.kind)) {
                keys.push((o.flow.clone(), o.kind));
            }
        }
        let spread = |(flow, kind): (String, &'static str)| {
            let own: Vec<&RunOutage> =
                outages.iter().filter(|o| (&o.flow, o.kind) == (&flow, kind)).collect();
            FlowSpread {
                kind,
                outages: own.len(),
                never_recovered: own.iter().filter(|o| o.end_s.is_none()).count(),
                tbm_s: Spread::of(own.iter().filter_map(|o| o.tbm_s).collect()),
                lost: Spread::of(own.iter().map(|o| o.lost as f64).collect()),
                flow,
            }
        };
        let spreads = keys.into_iter().map(spread).collect();
        Self { count: runs.len(), spreads, outages }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_ranks() {
        let spread = Spread::of((1..=100).rev().map(f64::from).collect()).unwrap();
        assert_eq!(
            (spread.min, spread.p5, spread.median, spread.p95, spread.max),
            (1.0, 5.0, 50.0, 95.0, 100.0)
        );
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
