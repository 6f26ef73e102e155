//! Protocol cases as data: `conformance/MACHINE/CASE.txt`, read and judged here for any machine.
//!
//! ```text
//! # what the case shows, and which clause asks for it
//! setup A address 10.0.0.1              words for the machine, before time begins
//! hide sends Hello                      leave out output lines that contain these words
//! after 10                              leave out what comes before 10 s
//! @12.5 A down                          at 12.5 s: words for the machine
//! @60 end                               judge what came until here
//!
//! 12.500 A: Interface down              expected output, in order: an exact time,
//! 19.0..22.5 B: Standby -> Active       a window,
//! * B announces 10.0.0.9                or any time
//! ```
//!
//! A machine joins by implementing [`Subject`].

use std::fmt::Write as _;
use std::fs;

use espalier_wire::{Duration, Instant};

use crate::root;

/// What a case talks to: a machine, or several on a wire, with words in and lines out.
pub trait Subject {
    /// A `setup` line.
    fn setup(&mut self, words: &[&str]) -> Result<(), String>;
    /// An `@` line; what happens is pushed to `out`.
    fn input(&mut self, now: Instant, words: &[&str], out: &mut Vec<String>) -> Result<(), String>;
    /// Time has passed.
    fn timer(&mut self, now: Instant, out: &mut Vec<String>);
    /// When `timer` wants to be called.
    fn next_deadline(&self) -> Option<Instant>;
}

/// Run every case of `machine`, each on a new subject, and fail with all differences.
pub fn run<S: Subject>(machine: &str, new: impl Fn() -> S) {
    let folder = root().join("tests/conformance").join(machine);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no case", folder.display());
    let mut failures = String::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "txt")) {
        let name = file.file_stem().unwrap().to_string_lossy();
        if let Err(why) = judge(&fs::read_to_string(file).unwrap(), new()) {
            let _ = writeln!(failures, "{machine}/{name}: {why}");
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// When an expected line may come, in milliseconds, both ends included.
type Window = (u64, u64);

#[derive(Default)]
struct Case<'a> {
    setup: Vec<&'a str>,
    hide: Vec<&'a str>,
    /// Milliseconds.
    after: u64,
    inputs: Vec<(Instant, &'a str)>,
    expected: Vec<(Window, &'a str)>,
}

fn milliseconds(text: &str) -> Result<u64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is no time in seconds"))?;
    Ok((seconds * 1000.0).round() as u64)
}

fn window(text: &str) -> Result<Window, String> {
    if text == "*" {
        return Ok((0, u64::MAX));
    }
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    Ok((milliseconds(from)?, milliseconds(to)?))
}

fn read(text: &str) -> Result<Case<'_>, String> {
    let mut case = Case::default();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (first, rest) = line.split_once(' ').ok_or_else(|| format!("`{line}` says nothing"))?;
        let rest = rest.trim();
        match (first, first.strip_prefix('@')) {
            ("setup", _) => case.setup.push(rest),
            ("hide", _) => case.hide.push(rest),
            ("after", _) => case.after = milliseconds(rest)?,
            (_, Some(at)) => {
                case.inputs.push((Instant::ZERO + Duration::from_ms(milliseconds(at)?), rest));
            }
            (_, None) => case.expected.push((window(first)?, rest)),
        }
    }
    if case.inputs.last().is_none_or(|(_, words)| *words != "end") {
        return Err("no `@TIME end` as the last input".to_owned());
    }
    Ok(case)
}

fn judge(text: &str, mut subject: impl Subject) -> Result<(), String> {
    let case = read(text)?;
    for line in &case.setup {
        subject.setup(&line.split_whitespace().collect::<Vec<_>>())?;
    }
    let (mut seen, mut out) = (Vec::<(u64, String)>::new(), Vec::new());
    for (at, words) in &case.inputs {
        while let Some(due) = subject.next_deadline().filter(|due| due <= at) {
            subject.timer(due, &mut out);
            seen.extend(out.drain(..).map(|line| (due.as_ns() / 1_000_000, line)));
        }
        if *words != "end" {
            subject.input(*at, &words.split_whitespace().collect::<Vec<_>>(), &mut out)?;
            seen.extend(out.drain(..).map(|line| (at.as_ns() / 1_000_000, line)));
        }
    }
    seen.retain(|(at, line)| *at >= case.after && !case.hide.iter().any(|words| line.contains(words)));
    compare(&case.expected, &seen)
}

fn compare(expected: &[(Window, &str)], seen: &[(u64, String)]) -> Result<(), String> {
    let fits = |((from, to), line): &(Window, &str), (at, got): &(u64, String)| {
        from <= at && at <= to && line.split_whitespace().eq(got.split_whitespace())
    };
    let same = expected.iter().zip(seen).take_while(|(e, s)| fits(e, s)).count();
    if same == expected.len() && same == seen.len() {
        return Ok(());
    }
    let wanted = expected.get(same).map_or_else(|| "nothing more".to_owned(), |(w, l)| format!("{w:?} {l}"));
    let mut why = format!("after {same} lines, expected {wanted}; came\n");
    for (at, line) in &seen[same..] {
        let _ = writeln!(why, "{}.{:03} {line}", at / 1000, at % 1000);
    }
    Err(why)
}
