//! A run beside a stored one, cell by cell: which differences are larger than the noise.
//!
//! Samples of two runs were made minutes or months apart, so a machine that was slower throughout looks like a slower
//! program: the middle of all ratios is shown, and each cell is judged beside it as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::bench::Varied;
use crate::measure::throughput::{Run, Sample};

/// A stored run, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Stored {
    schema: String,
    runs: Vec<StoredRun>,
}

#[derive(Debug, Deserialize)]
struct StoredRun {
    transform: String,
    engine: String,
    direction: String,
    size: String,
    layout: String,
    sas: usize,
    burst: usize,
    scope: String,
    samples: Vec<Sample>,
}

type Key = (String, String, String, String, String, usize, usize, String);

/// The samples of a stored run, by what was measured.
#[derive(Debug)]
pub struct Baseline(BTreeMap<Key, Vec<f64>>);

/// Read a stored run.
///
/// # Errors
/// A file that is no `espalier.bench/1`, with its name and the place of the fault.
pub fn read(path: &Path) -> Result<Baseline, String> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
    let stored: Stored =
        serde_json::from_str(&text).map_err(|e| format!("{name}:{}:{}: {e}", e.line(), e.column()))?;
    if stored.schema != super::bench::SCHEMA {
        return Err(format!("{name}:1:1: {} is not {}", stored.schema, super::bench::SCHEMA));
    }
    let entry = |run: StoredRun| {
        let ns = sorted(&run.samples);
        let StoredRun { transform, engine, direction, size, layout, sas, burst, scope, .. } = run;
        ((transform, engine, direction, size, layout, sas, burst, scope), ns)
    };
    Ok(Baseline(stored.runs.into_iter().map(entry).collect()))
}

fn sorted(samples: &[Sample]) -> Vec<f64> {
    let mut ns: Vec<f64> = samples.iter().map(Sample::ns_per_packet).collect();
    ns.sort_by(f64::total_cmp);
    ns
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What may be said of two sets of samples: nothing while their ranges, the outermost of each left out, overlap.
fn differ(before: &[f64], now: &[f64]) -> bool {
    let inner = |ns: &[f64]| match ns {
        [_, inner @ .., _] if !inner.is_empty() => Some((inner[0], inner[inner.len() - 1])),
        [first, .., last] => Some((*first, *last)),
        _ => None,
    };
    inner(before).zip(inner(now)).is_some_and(|(a, b)| a.1 < b.0 || b.1 < a.0)
}

/// A table of ratios: above 1 is faster than before.
pub fn text(before: &Baseline, runs: &[Run]) -> String {
    let mut text = String::from("\nagainst the baseline (above 1: faster now)\n");
    let (mut ratios, varied) = (Vec::new(), Varied::of(runs));
    for run in runs {
        let key: Key = (
            run.transform.to_owned(),
            run.engine.to_owned(),
            run.direction.to_owned(),
            run.size.clone(),
            run.layout.clone(),
            run.sas,
            run.burst,
            run.scope.to_owned(),
        );
        let mut name =
            format!("{} {} {} {} {}", run.transform, run.engine, run.direction, run.size, run.layout);
        if varied.sas {
            let _ = write!(name, ", {} SA", run.sas);
        }
        if varied.burst {
            let _ = write!(name, ", bursts of {}", run.burst);
        }
        let Some(old) = before.0.get(&key) else {
            let _ = writeln!(text, "  {name:<50} not in it");
            continue;
        };
        let now = sorted(&run.samples);
        let ratio = median(old) / median(&now);
        ratios.push(ratio);
        let verdict = match (differ(old, &now), ratio > 1.0) {
            (false, _) => "within the noise",
            (true, true) => "faster",
            (true, false) => "SLOWER",
        };
        let _ = writeln!(text, "  {name:<50} {ratio:>6.3}  {verdict}");
    }
    ratios.sort_by(f64::total_cmp);
    if ratios.len() > 1 {
        let _ = writeln!(
            text,
            "  the middle of all ratios is {:.3}: so far the machine itself may differ",
            median(&ratios)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_not_overlap_differs() {
        let base = [10.0, 10.1, 10.2, 10.3, 19.0];
        assert!(!differ(&base, &[9.0, 10.2, 10.4, 10.5, 11.0]));
        assert!(differ(&base, &[9.0, 10.4, 10.5, 10.6, 11.0]));
        assert!(!differ(&base, &[]));
    }

    #[test]
    fn what_is_no_run_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        fs::write(&path, "{\n  \"schema\": 3}").unwrap();
        assert!(read(&path).unwrap_err().contains("x.json:2:"));
        fs::write(&path, "{\"schema\": \"espalier.failover/1\", \"runs\": []}").unwrap();
        assert!(read(&path).unwrap_err().contains("espalier.failover/1 is not espalier.bench/1"));
    }
}
