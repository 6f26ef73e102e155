//! `--require EXPR`: a figure made a gate.
//!
//! `failover.FLOW.tbm_s<10` looks at the worst outage of that kind and flow (none: 0; never recovered: infinite);
//! `FLOW.lost==0` at the flow itself.

use std::str::FromStr;

use crate::measure::figures::{Figures, FlowFigures, OutageFigures};

const KINDS: [&str; 4] = ["failover", "reversion", "rekey", "other"];
const OUTAGE: [&str; 4] = ["tbm_s", "tblm_s", "plbm_s", "lost"];
const FLOW: [&str; 8] =
    ["offered", "delivered", "lost", "duplicated", "reordered", "corrupted", "recovered", "outages"];

/// How a figure is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Other,
}

/// One figure of a run: `KIND.FLOW.FIELD` or `FLOW.FIELD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    kind: Option<&'static str>,
    flow: String,
    field: &'static str,
}

/// One requirement.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    text: String,
    figure: Figure,
    comparison: Comparison,
    limit: f64,
}

impl FromStr for Figure {
    type Err = String;

    fn from_str(path: &str) -> Result<Self, String> {
        let (rest, field) = path
            .trim()
            .rsplit_once('.')
            .ok_or("KIND.FLOW.FIELD or FLOW.FIELD is wanted, such as failover.inside-to-remote.tbm_s")?;
        let kind = KINDS.into_iter().find(|k| rest.strip_prefix(k).is_some_and(|r| r.starts_with('.')));
        let flow = kind.map_or(rest, |k| &rest[k.len() + 1..]).to_owned();
        let fields: &[&'static str] = if kind.is_some() { &OUTAGE } else { &FLOW };
        let field = fields.iter().find(|f| **f == field);
        let field = field.ok_or_else(|| format!("no such figure here (one of {})", fields.join(", ")))?;
        Ok(Self { kind, flow, field })
    }
}

impl Figure {
    /// The flow it is of.
    pub fn flow(&self) -> &str {
        &self.flow
    }

    /// The worst outage of its kind; none where it is a figure of the whole flow.
    pub fn outage<'a>(&self, run: &'a Figures) -> Option<&'a OutageFigures> {
        let (kind, flow) = (self.kind?, run.flows.iter().find(|f| f.name == self.flow)?);
        let own = flow.outages.iter().filter(|o| o.kind == kind);
        own.max_by(|a, b| outage(self.field, a).total_cmp(&outage(self.field, b)))
    }

    /// Its value in a run: 0 without such an outage, infinite where the flow never recovered; none where the run has
    /// no such flow.
    pub fn of(&self, run: &Figures) -> Option<f64> {
        let flow = run.flows.iter().find(|f| f.name == self.flow)?;
        Some(match self.kind {
            None => whole(self.field, flow),
            Some(_) => self.outage(run).map_or(0.0, |o| outage(self.field, o)),
        })
    }
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SIGNS: [(&str, Comparison); 6] = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("==", Comparison::Equal),
            ("!=", Comparison::Other),
            ("<", Comparison::Less),
            (">", Comparison::More),
        ];
        let found = SIGNS.iter().find_map(|(sign, comparison)| Some((text.split_once(sign)?, *comparison)));
        let Some(((path, limit), comparison)) = found else {
            return Err(format!("\"{text}\": FIGURE<NUMBER is wanted (also <= > >= == !=)"));
        };
        let limit = limit.trim();
        let limit = limit.parse().map_err(|_| format!("\"{text}\": \"{limit}\" is no number"))?;
        let figure = path.parse().map_err(|why: String| format!("\"{text}\": {why}"))?;
        Ok(Self { text: text.to_owned(), figure, comparison, limit })
    }
}

fn outage(field: &str, o: &OutageFigures) -> f64 {
    let never = f64::INFINITY;
    match field {
        "tbm_s" => o.tbm_s.unwrap_or(never),
        "tblm_s" => o.tblm_s.unwrap_or(never),
        "plbm_s" => o.plbm_s.unwrap_or(never),
        _ => o.lost as f64,
    }
}

fn whole(field: &str, flow: &FlowFigures) -> f64 {
    match field {
        "offered" => flow.offered as f64,
        "delivered" => flow.delivered as f64,
        "duplicated" => flow.duplicated as f64,
        "reordered" => flow.reordered as f64,
        "corrupted" => flow.corrupted as f64,
        "recovered" => f64::from(u8::from(flow.recovered)),
        "outages" => flow.outages.len() as f64,
        _ => flow.lost as f64,
    }
}

impl Requirement {
    /// Whether the run meets it; if not, why.
    ///
    /// # Errors
    /// The figure that does not, or a flow that the run does not have.
    pub fn check(&self, run: &Figures) -> Result<(), String> {
        let Some(value) = self.figure.of(run) else {
            return Err(format!("required {}: the run has no flow \"{}\"", self.text, self.figure.flow));
        };
        let met = match self.comparison {
            Comparison::Less => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::More => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
            Comparison::Equal => value == self.limit,
            Comparison::Other => value != self.limit,
        };
        let seed = run.seed;
        if met { Ok(()) } else { Err(format!("required {}: it is {value} (seed {seed})", self.text)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_whole_or_refused() {
        let read = |t: &str| t.parse::<Requirement>();
        let tbm = read("failover.inside-to-remote.tbm_s<10").unwrap();
        let Figure { kind, flow, field } = &tbm.figure;
        assert_eq!((*kind, flow.as_str(), *field), (Some("failover"), "inside-to-remote", "tbm_s"));
        let lost = read("ping/reply.lost == 0").unwrap();
        assert_eq!((lost.figure.kind, lost.figure.flow.as_str(), lost.limit), (None, "ping/reply", 0.0));
        for bad in ["", "x", "a.b<1", "failover.f.offered<1", "f.lost<many", "lost<1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
