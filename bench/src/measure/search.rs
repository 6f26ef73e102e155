//! The throughput of a core under load, by MLRsearch (draft-ietf-bmwg-mlrsearch): the load at which the share of trials
//! that lose more than a goal allows is no longer acceptable.
//!
//! A search goal has a loss ratio, a duration of its trials, a sum of their durations, the share of that sum that may
//! exceed the ratio, and a width. A load is a lower bound when no outcome of the trials still to come could make it
//! exceed, an upper bound when none could save it. What is reported is the relevant lower bound, and the throughput that
//! was forwarded at it in the median of its trials. RFC 2544's throughput is the goal with no loss, one trial of 60 s,
//! and no share that may exceed.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::load::{Load, Trial};
use super::rig::Refused;

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// `ndr`, `pdr`, `rfc2544`.
    pub name: &'static str,
    /// A trial that loses more exceeds.
    pub loss_ratio: f64,
    /// Of a trial.
    pub trial: Duration,
    /// Of all trials at a load.
    pub sum: Duration,
    /// The share of `sum` that may exceed.
    pub exceed: f64,
    /// How far the bounds may stand apart, as a part of the upper one.
    pub width: f64,
}

impl Goal {
    /// No loss.
    pub const NDR: Self = Self {
        name: "ndr",
        loss_ratio: 0.0,
        trial: Duration::from_secs(1),
        sum: Duration::from_secs(5),
        exceed: 0.5,
        width: 0.005,
    };
    /// Half a percent of loss.
    pub const PDR: Self = Self { name: "pdr", loss_ratio: 0.005, ..Self::NDR };
    /// The same with other trials, five of them at a load.
    pub fn with_trial(self, trial: Duration) -> Self {
        Self { trial, sum: trial * 5, ..self }
    }

    /// RFC 2544 section 26.1.
    pub const RFC_2544: Self = Self {
        name: "rfc2544",
        trial: Duration::from_secs(60),
        sum: Duration::from_secs(60),
        exceed: 0.0,
        ..Self::NDR
    };
}

/// What was found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Found {
    /// `ndr`, `pdr`, `rfc2544`.
    pub goal: &'static str,
    /// A trial that lost more exceeded.
    pub loss_ratio: f64,
    /// The relevant lower bound: packets a second offered. Absent when even the least load exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower_pps: Option<f64>,
    /// The relevant upper bound. Absent when even the greatest load did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper_pps: Option<f64>,
    /// Packets a second forwarded at the lower bound, in the median of its trials that did not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditional_pps: Option<f64>,
    /// Trials made.
    pub trials: usize,
}

/// What is known of one load.
#[derive(Debug, Default, Clone)]
struct Known {
    good: Duration,
    bad: Duration,
    forwarded: Vec<f64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Lower,
    Upper,
    Open,
}

impl Known {
    /// Whether the trials still to come could change anything.
    fn verdict(&self, goal: &Goal) -> Verdict {
        let rest = goal.sum.saturating_sub(self.good + self.bad);
        let allowed = goal.sum.mul_f64(goal.exceed);
        if self.bad > allowed {
            Verdict::Upper
        } else if self.bad + rest <= allowed || rest.is_zero() {
            Verdict::Lower
        } else {
            Verdict::Open
        }
    }
}

/// Search between `least` and `most` packets a second.
///
/// # Errors
/// As [`Load::offer`].
pub fn search(load: &mut Load, goal: &Goal, least: f64, most: f64) -> Result<Found, Refused> {
    search_by(|pps, trial| load.offer(pps, trial), goal, least, most)
}

fn search_by(
    mut offer: impl FnMut(f64, Duration) -> Result<Trial, Refused>,
    goal: &Goal,
    least: f64,
    most: f64,
) -> Result<Found, Refused> {
    let (mut known, mut trials) = (BTreeMap::<u64, Known>::new(), 0);
    let (mut lower, mut upper) = (None, None);
    let mut next = most;
    loop {
        // Loads are whole packets a second.
        let at = known.entry(next as u64).or_default();
        while at.verdict(goal) == Verdict::Open {
            let trial = offer(next, goal.trial)?;
            trials += 1;
            if trial.loss() > goal.loss_ratio {
                at.bad += goal.trial;
            } else {
                at.good += goal.trial;
                at.forwarded.push(trial.delivered as f64 / goal.trial.as_secs_f64());
            }
        }
        match at.verdict(goal) {
            Verdict::Upper => upper = Some(next),
            _ => lower = Some(next),
        }
        next = match (lower, upper) {
            (Some(_), None) => break,
            (None, Some(upper)) if upper <= least => break,
            (None, Some(upper)) => (upper / 2.0).max(least),
            (Some(lower), Some(upper)) if upper - lower <= upper * goal.width => break,
            (Some(lower), Some(upper)) => f64::midpoint(lower, upper),
            (None, None) => most,
        };
    }
    let conditional_pps = lower.and_then(|lower| {
        let mut forwarded = known.remove(&(lower as u64))?.forwarded;
        forwarded.sort_by(f64::total_cmp);
        forwarded.get(forwarded.len() / 2).copied()
    });
    let (goal, loss_ratio) = (goal.name, goal.loss_ratio);
    Ok(Found { goal, loss_ratio, lower_pps: lower, upper_pps: upper, conditional_pps, trials })
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    /// A device that takes `limit` packets a second, and every third trial loses one packet for no reason.
    fn device(limit: f64, flaky: bool) -> impl FnMut(f64, Duration) -> Result<Trial, Refused> {
        let mut trials = 0;
        move |pps, trial| {
            trials += 1;
            let offered = (pps * trial.as_secs_f64()) as u64;
            let lost = (offered.saturating_sub((limit * trial.as_secs_f64()) as u64))
                .max(u64::from(flaky && trials % 3 == 0));
            let latency = Histogram::new(3).unwrap();
            Ok(Trial { offered, delivered: offered - lost, elapsed_s: trial.as_secs_f64(), latency })
        }
    }

    #[test]
    fn the_bounds_enclose_the_limit() {
        let found = search_by(device(1e6, false), &Goal::NDR, 1e3, 3e6).unwrap();
        let (lower, upper) = (found.lower_pps.unwrap(), found.upper_pps.unwrap());
        assert!(lower <= 1e6 && upper >= 1e6 && upper - lower <= upper * 0.005, "{found:?}");
        let pdr = search_by(device(1e6, false), &Goal::PDR, 1e3, 3e6).unwrap();
        assert!(pdr.lower_pps.unwrap() > 1e6 && pdr.conditional_pps.unwrap() <= 1e6, "{pdr:?}");
    }

    #[test]
    fn a_third_of_bad_trials_is_forgiven_but_not_by_rfc_2544() {
        let found = search_by(device(1e6, true), &Goal::NDR, 1e3, 3e6).unwrap();
        assert!(found.lower_pps.unwrap() > 0.99e6, "{found:?}");
        let strict = search_by(device(1e6, true), &Goal::RFC_2544, 1e3, 3e6).unwrap();
        assert!(strict.lower_pps.unwrap() < 0.99e6, "{strict:?}");
    }

    #[test]
    fn a_device_that_takes_all_or_nothing_ends_the_search() {
        let all = search_by(device(1e9, false), &Goal::NDR, 1e3, 3e6).unwrap();
        assert_eq!((all.lower_pps, all.upper_pps), (Some(3e6), None));
        let nothing = search_by(device(0.0, false), &Goal::NDR, 1e3, 3e6).unwrap();
        assert_eq!((nothing.lower_pps, nothing.upper_pps), (None, Some(1e3)));
    }
}
