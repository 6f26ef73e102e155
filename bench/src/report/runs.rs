//! The file of a sweep's runs, read: its plan in the first line, then one line of JSON a run. What was cut off in the
//! middle of a line is left out.

use super::sweep::{Plan, Run, SCHEMA};
use crate::place::{Mistake, Place};
use crate::scenario::vary::{Space, Vary};

/// A file of runs.
#[derive(Debug, Clone)]
pub struct RunsFile {
    /// What the sweep was asked for.
    pub plan: Plan,
    /// What that spans.
    pub space: Space,
    /// In the order of the file.
    pub runs: Vec<Run>,
    /// Bytes of whole lines.
    pub whole: usize,
}

/// Read the bytes of the file called `name`.
///
/// # Errors
/// The first line that is none of such a file's, and why.
pub fn read(name: &str, bytes: &[u8]) -> Result<RunsFile, Mistake> {
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let lines = bytes.get(..whole).unwrap_or_default().split(|b| *b == b'\n');
    let mut lines = lines.enumerate().filter(|(_, line)| !line.is_empty());
    let place = |line: usize, column: usize| Place { line: line + 1, column, ..Place::start(name) };
    let mistake = |line: usize, e: &serde_json::Error| {
        place(line, e.column().max(1)).says(format!("is no file of a sweep's runs: {e}"))
    };
    let (at, first) = lines.next().unwrap_or_default();
    let plan: Plan = serde_json::from_slice(first).map_err(|e| mistake(at, &e))?;
    if plan.schema != SCHEMA {
        return Err(place(at, 1).says(format!("\"{}\" is not {SCHEMA}", plan.schema)));
    }
    let vary = plan.vary.iter().map(|v| v.parse::<Vary>()).collect::<Result<Vec<_>, _>>();
    let space = vary.and_then(Space::new).map_err(|why| place(at, 1).says(why))?;
    let mut runs = Vec::new();
    for (at, line) in lines {
        let run: Run = serde_json::from_slice(line).map_err(|e| mistake(at, &e))?;
        let seed = run.seed.checked_sub(plan.seed).filter(|n| *n < plan.seeds);
        if run.point >= space.points || seed.is_none() {
            return Err(place(at, 1).says("is a run that the plan in the first line does not have"));
        }
        runs.push(run);
    }
    Ok(RunsFile { plan, space, runs, whole })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAN: &str = r#"{"schema":"espalier.sweep/1","scenario":"s","set":[],"vary":["a={1,2}"],"seed":5,"seeds":3,"figure":"f"}"#;

    fn line(point: usize, seed: u64) -> String {
        format!(r#"{{"point":{point},"seed":{seed},"value":1.5,"lost":2,"never_recovered":0}}"#)
    }

    #[test]
    fn a_line_that_is_cut_off_is_left_out() {
        let text = format!("{PLAN}\n{}\n{}", line(1, 7), &line(0, 5)[..20]);
        let read = read("runs.jsonl", text.as_bytes()).unwrap();
        assert_eq!((read.runs.len(), read.runs[0].point, read.space.points), (1, 1, 2));
        assert!(text[read.whole..].starts_with("{\"point\":0"));
    }

    #[test]
    fn what_the_plan_does_not_have_is_refused_with_its_line() {
        for (text, place) in [
            (format!("{PLAN}\n\n{}\n", line(2, 5)), "runs.jsonl:3:1: "),
            (format!("{PLAN}\n{}\n{}\n", line(0, 5), line(0, 8)), "runs.jsonl:3:1: "),
            (format!("{PLAN}\n{}\n", line(0, 4)), "runs.jsonl:2:1: "),
            (format!("{}\n", PLAN.replace("sweep/1", "sweep/2")), "runs.jsonl:1:1: "),
            (format!("{}\n", PLAN.replace("{1,2}", "{1")), "runs.jsonl:1:1: "),
            (format!("{PLAN}\nx\n"), "runs.jsonl:2:1: "),
            (String::new(), "runs.jsonl:1:1: "),
        ] {
            let said = read("runs.jsonl", text.as_bytes()).unwrap_err().to_string();
            assert!(said.starts_with(place), "{text}: {said}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_runs_or_a_mistake(head in any::<bool>(), bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = if head { [PLAN.as_bytes(), b"\n", &bytes].concat() } else { bytes };
            let _ = read("f", &text);
        }
    }
}
