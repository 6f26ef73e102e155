//! Configuration text as lines and words that know where they stand. Nothing here knows a command.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The longest line taken, in bytes; IOS itself takes 254 characters.
pub const LINE_MAX: usize = 1000;

/// One line of a file (or of lines given at run time).
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The file's name as the user gave it, or what else the line came from (`--set`).
    pub file: Arc<str>,
    /// From 1.
    pub number: u32,
    /// The line without its line break.
    pub text: Box<str>,
}

/// Where in a file something was said.
///
/// All places are equal, so that two configurations that say the same are equal wherever they say it.
#[derive(Clone, Default)]
pub struct Place {
    line: Option<Arc<Line>>,
    start: usize,
    end: usize,
}

impl Place {
    /// The bytes `span` of `line`.
    pub fn new(line: &Arc<Line>, span: Range<usize>) -> Self {
        Self { line: Some(Arc::clone(line)), start: span.start, end: span.end }
    }

    /// The line, when this comes from text at all.
    pub fn line(&self) -> Option<&Line> {
        self.line.as_deref()
    }

    /// The bytes of the line that are meant.
    pub fn span(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The column, in characters from 1; 1 when this comes from no text.
    pub fn column(&self) -> u32 {
        let before = self.line().and_then(|line| line.text.get(..self.start)).unwrap_or("");
        u32::try_from(before.chars().count()).unwrap_or(u32::MAX).saturating_add(1)
    }
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line() {
            Some(line) => write!(f, "{}:{}:{}", line.file, line.number, self.column()),
            None => f.write_str("nowhere"),
        }
    }
}

/// The lines of `text`: LF, CRLF or CR ended, a byte order mark left out.
pub fn lines(file: &str, text: &str) -> Vec<Arc<Line>> {
    let file: Arc<str> = Arc::from(file);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let texts = text.split(['\n', '\r']).zip(1u32..);
    texts
        .map(|(text, number)| Arc::new(Line { file: Arc::clone(&file), number, text: text.into() }))
        .collect()
}

/// The spans of the words of `text`, which whitespace separates. A word that begins with `!` ends the line when it is
/// the first, and so does a word that begins with `!---` anywhere.
pub fn words(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut start = None;
    let ends = text.char_indices().map(|(at, c)| (at, c.is_whitespace())).chain([(text.len(), true)]);
    for (at, blank) in ends {
        match (start, blank) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                let word = text.get(from..at).unwrap_or("");
                if word.starts_with("!---") || (words.is_empty() && word.starts_with('!')) {
                    return words;
                }
                words.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_break_counts_once() {
        let numbers: Vec<_> =
            lines("f", "a\r\nb\rc\nd").iter().map(|l| (l.number, l.text.to_string())).collect();
        assert_eq!(numbers, [(1, "a".into()), (2, "b".into()), (3, "c".into()), (4, "d".into())]);
    }

    #[test]
    fn words_know_their_columns_and_comments_end_a_line() {
        assert_eq!(words(" ip\taddress  1.2.3.4 "), [1..3, 4..11, 13..20]);
        assert_eq!(words(" ! ip cef"), []);
        assert_eq!(words("ip cef !--- on"), [0..2, 3..6]);
        assert_eq!(words("key a!b !c"), [0..3, 4..7, 8..10]);
        let line = lines("f", "é x").remove(0);
        assert_eq!(Place::new(&line, 3..4).column(), 3);
    }
}
