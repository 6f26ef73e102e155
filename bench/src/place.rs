//! Places in texts that users write, and the one shape of what is wrong there: `FILE:LINE:COLUMN: message`.

use std::fmt;
use std::sync::Arc;

/// A place in a text the user wrote; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Place {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

impl Place {
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
    pub fn says(&self, message: impl Into<String>) -> Mistake {
        Mistake { place: self.clone(), message: message.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
#[allow(missing_docs, reason = "names say it")]
pub struct Mistake {
    pub place: Place,
    pub message: String,
}

/// `; did you mean "X"?` for the nearest of `candidates`; nothing when none is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let distance = |c: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase());
    candidates
        .into_iter()
        .map(|c| (distance(c), c))
        .min()
        .filter(|(distance, c)| *distance <= 1 + c.len().max(word.len()) / 3)
        .map_or_else(String::new, |(_, c)| format!("; did you mean \"{c}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_from_one() {
        let place = Place::in_text(&"sa.toml".into(), "a = 1\nß = x\n", 10);
        assert_eq!(place.says("no").to_string(), "sa.toml:2:4: no");
        assert_eq!(nearest("des-md6", ["des-md5", "aes128-gcm"]), "; did you mean \"des-md5\"?");
        assert_eq!(nearest("qqqqqqqqqq", ["des-md5"]), "");
    }
}
