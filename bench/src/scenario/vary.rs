//! `--vary PATH=TEMPLATE`: settings of which braces hold lists or ranges, and the points that they span.
//!
//! `standby 1 timers {1..3} {3..10..1}` has two factors: 1, 2, 3 and 3 to 10. `{60s,120s}` is a list. Every combination of
//! every factor is a point.

use std::str::FromStr;

/// More points than this are a mistake.
const MOST_POINTS: usize = 1_000_000;
/// More values of one factor than this are a mistake.
const MOST_VALUES: usize = 10_000;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The values of a brace, and how it was written.
    Values(Vec<String>, String),
}

/// One `PATH=TEMPLATE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vary {
    text: String,
    pieces: Vec<Piece>,
}

/// One brace of one template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// The setting, other braces left out: `standby 1 timers … {3..10}`.
    pub label: String,
    /// Its values as they are put in.
    pub values: Vec<String>,
}

impl FromStr for Vary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("\"{text}\": {why}"));
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inside, behind)) = after.split_once('}') else { return wrong("a { has no }") };
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Values(
                values(inside).map_err(|why| format!("\"{text}\": {{{inside}}}: {why}"))?,
                inside.to_owned(),
            ));
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        // In a brace it would be of one value alone.
        if !pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('='))) {
            return wrong("PATH=VALUE is wanted, such as 'segment.outside.loss={0,0.01}'");
        }
        if pieces.len() == 1 {
            return wrong("nothing in it varies: {1..3} or {a,b} is wanted (--set sets one value)");
        }
        Ok(Self { text: text.to_owned(), pieces })
    }
}

/// `1..3`, `1..9..2`, or a list.
fn values(inside: &str) -> Result<Vec<String>, String> {
    if let Some((from, rest)) = inside.split_once("..") {
        let (to, by) = rest.split_once("..").unwrap_or((rest, "1"));
        let number = |t: &str| t.trim().parse::<f64>().map_err(|_| format!("\"{t}\" is no number"));
        let (from_n, to_n, by_n) = (number(from)?, number(to)?, number(by)?);
        if !(from_n.is_finite() && to_n.is_finite() && by_n.is_finite() && by_n > 0.0 && to_n >= from_n) {
            return Err("a range goes up: {FROM..TO} or {FROM..TO..STEP}".to_owned());
        }
        let count = ((to_n - from_n) / by_n + 1e-9).floor() + 1.0;
        if count > MOST_VALUES as f64 {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        // As many digits behind the point as were written, and mean something.
        let digits = [from, by]
            .iter()
            .filter_map(|t| Some(t.trim().split_once('.')?.1.len()))
            .max()
            .unwrap_or(0)
            .min(17);
        return Ok((0..count as usize).map(|i| format!("{:.digits$}", from_n + i as f64 * by_n)).collect());
    }
    let list: Vec<String> = inside.split(',').map(|v| v.trim().to_owned()).collect();
    if list.iter().any(String::is_empty) {
        return Err("a value is empty".to_owned());
    }
    Ok(list)
}

impl Vary {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn factors(&self) -> impl Iterator<Item = Factor> + '_ {
        let braces = self.pieces.iter().enumerate().filter(|(_, p)| matches!(p, Piece::Values(..)));
        braces.filter_map(|(own, piece)| {
            let Piece::Values(values, _) = piece else { return None };
            let label = self.pieces.iter().enumerate().map(|(i, piece)| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Values(_, written) if i == own => format!("{{{written}}}"),
                Piece::Values(..) => "…".to_owned(),
            });
            Some(Factor { label: label.collect(), values: values.clone() })
        })
    }

    /// The setting with these values in its braces.
    fn filled<'a>(&self, values: &mut impl Iterator<Item = &'a String>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Values(..) => values.next().cloned().unwrap_or_default(),
        };
        self.pieces.iter().map(piece).collect()
    }
}

/// All combinations of all factors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    vary: Vec<Vary>,
    /// The factors, in the order in which they were written.
    pub factors: Vec<Factor>,
    /// How many points there are: one without a factor.
    pub points: usize,
}

impl Space {
    /// What these span.
    ///
    /// # Errors
    /// There are too many points.
    pub fn new(vary: Vec<Vary>) -> Result<Self, String> {
        let factors: Vec<Factor> = vary.iter().flat_map(Vary::factors).collect();
        let product = factors.iter().try_fold(1usize, |n, f| n.checked_mul(f.values.len()));
        match product.filter(|n| *n <= MOST_POINTS) {
            Some(points) => Ok(Self { vary, factors, points }),
            None => Err(format!("these settings span more than {MOST_POINTS} points")),
        }
    }

    /// The value of each factor at a point; the last factor changes first.
    pub fn values(&self, point: usize) -> Vec<String> {
        let mut left = point;
        let mut values: Vec<String> = Vec::new();
        for factor in self.factors.iter().rev() {
            let n = factor.values.len().max(1);
            values.push(factor.values.get(left % n).cloned().unwrap_or_default());
            left /= n;
        }
        values.reverse();
        values
    }

    /// The settings of a point, as `--set` takes them.
    pub fn settings(&self, point: usize) -> Vec<String> {
        let values = self.values(point);
        let mut values = values.iter();
        self.vary.iter().map(|v| v.filled(&mut values)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn braces_span_a_space() {
        let vary: Vary = "config.r-*.f0=standby 1 timers {1..2} {3..9..3}".parse().unwrap();
        let loss: Vary = "segment.a.loss={0,0.01}".parse().unwrap();
        let space = Space::new(vec![vary, loss]).unwrap();
        assert_eq!(space.points, 2 * 3 * 2);
        assert_eq!(space.factors[1].label, "config.r-*.f0=standby 1 timers … {3..9..3}");
        assert_eq!(space.values(0), ["1", "3", "0"]);
        assert_eq!(space.settings(11), ["config.r-*.f0=standby 1 timers 2 9", "segment.a.loss=0.01"]);
        assert_eq!(Space::new(Vec::new()).unwrap().settings(0), Vec::<String>::new());
        assert_eq!(values("0.5..1..0.25").unwrap(), ["0.50", "0.75", "1.00"]);
    }

    #[test]
    fn what_does_not_vary_is_refused() {
        for bad in [
            "x",
            "a=1",
            "{a=1,b}",
            "a={",
            "a={}",
            "a={1,,2}",
            "a={3..1}",
            "a={1..x}",
            "a={0..1e99}",
            "a={1..2..0}",
        ] {
            assert!(bad.parse::<Vary>().is_err(), "{bad}");
        }
        let many: Vec<Vary> = (0..4).map(|_| "a={1..1000}".parse().unwrap()).collect();
        assert!(Space::new(many).is_err());
    }

    #[test]
    fn more_digits_than_a_number_has_are_cut() {
        let long = format!("a={{0.{}..1}}", "0".repeat(100_000));
        assert_eq!(Space::new(vec![long.parse().unwrap()]).unwrap().points, 2);
    }

    proptest! {
        #[test]
        fn any_text_spans_a_space_or_does_not(text in "a?=?([{},.=x-]|[0-9]{1,4}){0,24}") {
            if let Ok(space) = text.parse().and_then(|vary| Space::new(vec![vary])) {
                for point in [0, space.points - 1] {
                    prop_assert_eq!(space.values(point).len(), space.factors.len());
                    prop_assert!(space.settings(point)[0].contains('='));
                }
            }
        }
    }
}
