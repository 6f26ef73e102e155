//! What is wrong with a configuration, where, and what was probably meant. Finding it out is not done here.

use std::fmt::{self, Write as _};
use std::ops::Range;

use super::text::Place;

/// How bad a [`Diagnostic`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration works, but hardly as meant.
    Warning,
    /// The configuration is refused.
    Error,
}

/// One complaint about one place of a configuration. Displays as `FILE:LINE:COLUMN: message`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether the configuration is refused.
    pub severity: Severity,
    /// The file's name as it was given.
    pub file: String,
    /// From 1; 0 when no line is meant.
    pub line: u32,
    /// In characters from 1.
    pub column: u32,
    /// The bytes of `source` that are meant.
    pub span: Range<usize>,
    /// The line itself.
    pub source: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it, in one line.
    pub help: Option<String>,
}

impl std::error::Error for Diagnostic {}

impl Diagnostic {
    /// An error at `place`.
    pub fn error(place: &Place, message: impl Into<String>) -> Self {
        let line = place.line();
        Self {
            severity: Severity::Error,
            file: line.map_or_else(String::new, |line| line.file.to_string()),
            line: line.map_or(0, |line| line.number),
            column: place.column(),
            span: place.span(),
            source: line.map_or_else(String::new, |line| line.text.to_string()),
            message: message.into(),
            help: None,
        }
    }

    /// A warning at `place`.
    pub fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Several lines for a terminal: the message, the source line, a caret under what is meant, the help.
    pub fn pretty(&self) -> String {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = format!("{word}: {}\n", self.message);
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        // Tabs and control characters would move the caret: each is shown as one blank.
        let shown: String = self.source.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let width = self.source.get(self.span.clone()).map_or(1, |text| text.chars().count().max(1));
        let indent = " ".repeat(self.column.saturating_sub(1) as usize);
        let _ = writeln!(out, "{margin}--> {}:{}:{}", self.file, self.line, self.column);
        let _ = writeln!(out, "{margin} |\n{number} | {shown}\n{margin} | {indent}{}", "^".repeat(width));
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{margin} = help: {help}");
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// The candidates nearest to `word`, best first, at most three; none that would need more than a third of it changed.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_ascii_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> =
        candidates.into_iter().map(|c| (distance(&word, c), c)).filter(|(d, _)| *d <= limit).collect();
    near.sort_unstable();
    near.dedup();
    near.truncate(3);
    near.into_iter().map(|(_, candidate)| candidate).collect()
}

/// How many letters to insert, delete, replace or swap with their neighbour to make `b` of `a` (optimal string
/// alignment). Words far longer than any command are far from all of them.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut two_ago: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
            let replaced = at(&last, j) + usize::from(ca != cb);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(at(&two_ago, j - 1) + 1);
            }
            row.push(best);
        }
        two_ago = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("stanby", "standby"), 1);
        assert_eq!(distance("standyb", "standby"), 1);
        assert_eq!(distance("", "ip"), 2);
        assert_eq!(distance("crypto", "router"), 5);
        assert_eq!(nearest("priorty", ["preempt", "priority", "ip"]), ["priority"]);
        assert!(nearest("zzz", ["ip", "router"]).is_empty());
    }

    #[test]
    fn the_caret_stands_under_the_word() {
        let line = super::super::text::lines("r.cfg", "\tstanby 1 ip").remove(0);
        let d = Diagnostic::error(&Place::new(&line, 1..7), "unknown").help("did you mean `standby`?");
        assert_eq!(d.to_string(), "r.cfg:1:2: unknown");
        let want = "error: unknown\n --> r.cfg:1:2\n  |\n1 |  stanby 1 ip\n  |  ^^^^^^\n  = help: did you mean `standby`?\n";
        assert_eq!(d.pretty(), want);
    }
}
