//! `espalier.sweep/1`: many runs of one scenario over settings and seeds; what each setting costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::seeds::Spread;
use super::text::Style;
use crate::manifest::Manifest;
use crate::measure::figures::Figures;
use crate::report::require::Figure;
use crate::scenario::vary::Space;

/// The name of this JSON.
pub const SCHEMA: &str = "espalier.sweep/1";

/// The first line of a sweep's file of runs: whoever goes on with it must want the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the options of the same names")]
pub struct Plan {
    pub schema: String,
    pub scenario: String,
    pub set: Vec<String>,
    pub vary: Vec<String>,
    pub seed: u64,
    pub seeds: u64,
    pub figure: String,
}

/// One run: a line of that file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Which combination of settings.
    pub point: usize,
    /// Which seed.
    pub seed: u64,
    /// The figure; absent: the flow never recovered, or the settings were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Packets lost of all flows.
    pub lost: u64,
    /// Of all flows, those that never recovered.
    pub never_recovered: u64,
    /// What the figure's outage was spent on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(String, f64)>,
    /// Why there was no run: what a scenario or a router refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What the checkers found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}

impl Run {
    /// What a sweep keeps of a run.
    pub fn of(point: usize, figures: &Figures, figure: &Figure) -> Self {
        let outage = figure.outage(figures);
        let parts = outage.map(|o| o.parts.iter().map(|p| (p.part.to_owned(), p.s)).collect());
        Self {
            point,
            seed: figures.seed,
            value: figure.of(figures).filter(|v| v.is_finite()),
            lost: figures.flows.iter().map(|f| f.lost).sum(),
            never_recovered: figures.flows.iter().filter(|f| !f.recovered).count() as u64,
            parts: parts.unwrap_or_default(),
            refused: None,
            broken: figures.check().err(),
        }
    }
}

/// What a sweep found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document {
    /// `espalier.sweep/1`.
    pub schema: &'static str,
    /// Which scenario.
    pub scenario: String,
    /// The figure of each run that all this is about, as `--require` writes it.
    pub figure: String,
    /// Runs there are.
    pub runs: usize,
    /// Runs that the sweep still lacks.
    pub missing: usize,
    /// By combination of settings.
    pub points: Vec<Point>,
    /// What is varied, the costliest first.
    pub factors: Vec<FactorEffect>,
    /// What the figure's seconds were spent on: means over all runs, the longest first.
    pub parts: Vec<MeanPart>,
    /// Under which conditions.
    pub manifest: Manifest,
}

/// One combination of settings.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Point {
    /// As `--set` takes them.
    pub settings: Vec<String>,
    /// The figure over its seeds; absent where no run has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// The figure of each run, in rising order.
    pub values: Vec<f64>,
    /// Runs without the figure: the flow never recovered.
    pub never_recovered: usize,
    /// Why there is no run: what was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// What one factor does.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct FactorEffect {
    /// The setting.
    pub setting: String,
    /// The mean of the figure by value, over seeds and those settings of the other factors that ran with every value.
    pub means: Vec<(String, f64)>,
    /// From the lowest to the highest mean.
    pub range: f64,
    /// What one more costs: the least squares slope, where the values are numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slope: Option<f64>,
}

/// The mean of a part.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct MeanPart {
    pub part: String,
    pub mean_s: f64,
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The number at a value's beginning: `60s` counts as 60.
fn number(value: &str) -> Option<f64> {
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    value.get(..end)?.parse().ok()
}

fn slope(means: &[(String, f64)]) -> Option<f64> {
    let points: Vec<(f64, f64)> = means.iter().map(|(v, m)| Some((number(v)?, *m))).collect::<Option<_>>()?;
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let over: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let under: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    (under > 0.0).then(|| over / under)
}

/// The figure by value of one factor, where the other factors' values are such that every value of this one has runs:
/// what was refused must not favour the rest. All of them, where no such combination is left.
fn means(space: &Space, runs: &[Run], own: usize, values: &[String]) -> Vec<(String, f64)> {
    let mut strata: BTreeMap<Vec<String>, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for run in runs {
        let mut others = space.values(run.point);
        if let Some(value) = run.value.filter(|_| own < others.len()) {
            let at = others.remove(own);
            strata.entry(others).or_default().entry(at).or_default().push(value);
        }
    }
    let ran: BTreeSet<&String> = strata.values().flat_map(BTreeMap::keys).collect();
    let whole: Vec<_> = strata.values().filter(|s| s.len() == ran.len()).collect();
    let chosen = if whole.is_empty() { strata.values().collect() } else { whole };
    let of = |value: &String| {
        let found: Vec<f64> = chosen.iter().filter_map(|s| s.get(value)).flatten().copied().collect();
        Some((value.clone(), mean(&found)?))
    };
    values.iter().filter_map(of).collect()
}

fn factors(space: &Space, runs: &[Run]) -> Vec<FactorEffect> {
    let effect = |(i, factor): (usize, &crate::scenario::vary::Factor)| {
        let means = means(space, runs, i, &factor.values);
        let (low, high) = means.iter().fold((f64::MAX, f64::MIN), |(a, b), m| (a.min(m.1), b.max(m.1)));
        let range = (high - low).max(0.0);
        FactorEffect { setting: factor.label.clone(), range, slope: slope(&means), means }
    };
    let mut all: Vec<FactorEffect> = space.factors.iter().enumerate().map(effect).collect();
    all.sort_by(|a, b| b.range.total_cmp(&a.range));
    all
}

fn parts(runs: &[Run]) -> Vec<MeanPart> {
    let counted = runs.iter().filter(|r| !r.parts.is_empty()).count().max(1) as f64;
    let mut all: Vec<MeanPart> = Vec::new();
    for (part, s) in runs.iter().flat_map(|r| &r.parts) {
        match all.iter_mut().find(|p| p.part == *part) {
            Some(found) => found.mean_s += s / counted,
            None => all.push(MeanPart { part: part.clone(), mean_s: s / counted }),
        }
    }
    all.sort_by(|a, b| b.mean_s.total_cmp(&a.mean_s));
    all
}

/// A setting without its path, where the rest says enough: an IOS line.
pub(super) fn brief(setting: &str) -> &str {
    setting.strip_prefix("config.").and_then(|s| s.split_once('=')).map_or(setting, |(_, line)| line)
}

impl Document {
    /// What these runs of that plan say.
    pub fn of(plan: &Plan, space: &Space, mut runs: Vec<Run>, manifest: Manifest) -> Self {
        runs.sort_by_key(|r| (r.point, r.seed));
        runs.dedup_by_key(|r| (r.point, r.seed));
        let point = |at: usize| {
            let from = runs.partition_point(|r| r.point < at);
            let own = || runs.get(from..).unwrap_or_default().iter().take_while(move |r| r.point == at);
            let mut values: Vec<f64> = own().filter_map(|r| r.value).collect();
            values.sort_by(f64::total_cmp);
            Point {
                settings: space.settings(at),
                spread: Spread::of(values.clone()),
                never_recovered: own().filter(|r| r.value.is_none() && r.refused.is_none()).count(),
                refused: own().find_map(|r| r.refused.clone()),
                values,
            }
        };
        let wanted = space.points.saturating_mul(usize::try_from(plan.seeds).unwrap_or(usize::MAX));
        Self {
            schema: SCHEMA,
            scenario: plan.scenario.clone(),
            figure: plan.figure.clone(),
            runs: runs.len(),
            missing: wanted.saturating_sub(runs.len()),
            points: (0..space.points).map(point).collect(),
            factors: factors(space, &runs),
            parts: parts(&runs),
            manifest,
        }
    }

    /// One line: how much each setting, and each part, costs.
    pub fn line(&self) -> String {
        let seconds = self.figure.ends_with("_s");
        let unit = if seconds { " s" } else { "" };
        let factor = |f: &FactorEffect| {
            let slope = f.slope.map(|s| format!(", {s:+.3}{unit} for each 1 more")).unwrap_or_default();
            format!("{} buys {:.3}{unit}{slope}", brief(&f.setting), f.range)
        };
        if !self.factors.is_empty() {
            return self.factors.iter().map(factor).collect::<Vec<_>>().join("; ");
        }
        let part = |p: &MeanPart| format!("{} {:.4} s", p.part, p.mean_s);
        format!("on average {}", self.parts.iter().map(part).collect::<Vec<_>>().join(", "))
    }
}

/// The summary on a terminal: the ranking, and the points from the best on.
pub fn text(document: &Document, style: Style) -> String {
    const MOST: usize = 20;
    let mut out = String::new();
    let Document { scenario, figure, runs, missing, points, .. } = document;
    let _ = writeln!(out, "{}  {figure} over {runs} runs", style.head(scenario));
    if *missing > 0 {
        let _ = writeln!(out, "{}", style.bad(&format!("{missing} runs are missing")));
    }
    let mut order: Vec<&Point> = points.iter().filter(|p| p.spread.is_some()).collect();
    let median = |p: &Point| p.spread.map_or(f64::INFINITY, |s| s.median);
    order.sort_by(|a, b| median(a).total_cmp(&median(b)));
    let _ =
        writeln!(out, "\n{:>10} {:>10} {:>10} {:>10} {:>10}  settings", "min", "p5", "median", "p95", "max");
    for p in order.iter().take(MOST) {
        let Some(s) = p.spread else { continue };
        let never = match p.never_recovered {
            0 => String::new(),
            n => style.bad(&format!("  {n} NEVER RECOVERED")),
        };
        let _ = writeln!(
            out,
            "{:>10.3} {:>10.3} {:>10.3} {:>10.3} {:>10.3}  {}{never}",
            s.min,
            s.p5,
            s.median,
            s.p95,
            s.max,
            p.settings.join("  ")
        );
    }
    if order.len() > MOST {
        let _ = writeln!(out, "… and {} more points", order.len() - MOST);
    }
    let dead = points.iter().filter(|p| p.spread.is_none());
    for p in dead.take(MOST) {
        let why = p.refused.as_deref().unwrap_or("never recovered in any run");
        let _ = writeln!(out, "{}  {}", style.bad(why.lines().next().unwrap_or(why)), p.settings.join("  "));
    }
    let _ = writeln!(out, "\n{}: {}", style.head("What it costs"), document.line());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::vary::Vary;

    #[test]
    fn the_factor_that_buys_most_comes_first() {
        let vary: Vary = "a={1..2} {3..10}".parse().unwrap();
        let space = Space::new(vec![vary]).unwrap();
        let run = |point: usize| {
            let v: Vec<f64> = space.values(point).iter().map(|v| v.parse().unwrap()).collect();
            let value = Some(v[1] * 0.9 + v[0] * 0.1);
            Run {
                point,
                seed: 1,
                value,
                lost: 0,
                never_recovered: 0,
                parts: Vec::new(),
                refused: None,
                broken: None,
            }
        };
        let runs: Vec<Run> = (0..space.points).map(run).collect();
        let effects = factors(&space, &runs);
        assert_eq!(effects[0].setting, "a=… {3..10}");
        assert!((effects[0].range - 6.3).abs() < 1e-9 && (effects[0].slope.unwrap() - 0.9).abs() < 1e-9);
        assert!((effects[1].slope.unwrap() - 0.1).abs() < 1e-9);
        assert_eq!(number("60s"), Some(60.0));
        assert_eq!(number("fast"), None);
    }
}
