//! The one error of a scenario and of what it names: a place and a sentence, `FILE:LINE:COLUMN: message`.

use std::fmt;
use std::sync::Arc;

/// A place in a text the user wrote; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct At {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

impl At {
    /// The place `offset` bytes into `text`.
    pub fn in_text(file: &Arc<str>, text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Self { file: file.clone(), line, column }
    }

    /// The first character of `file`.
    pub fn start(file: &str) -> Self {
        Self { file: file.into(), line: 1, column: 1 }
    }

    /// This place with a sentence about it.
    pub fn says(&self, message: impl Into<String>) -> ScenarioError {
        ScenarioError { at: self.clone(), message: message.into() }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong with a scenario, a configuration or a capture it names, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {message}")]
#[allow(missing_docs, reason = "names say it")]
pub struct ScenarioError {
    pub at: At,
    pub message: String,
}

/// `; did you mean "X"?` for the nearest of `candidates`, or the list of them when none is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let best = candidates
        .iter()
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), *c))
        .min()
        .filter(|(distance, c)| *distance <= 1 + c.len().max(word.len()) / 3);
    match best {
        Some((_, c)) => format!("; did you mean \"{c}\"?"),
        None if candidates.is_empty() => String::new(),
        None => format!(" (there is: {})", candidates.join(", ")),
    }
}
