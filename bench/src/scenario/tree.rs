//! A TOML document as a tree in which every value knows its place, and the reading of one table field by field: a
//! key that no such table has is an error that names the nearest one, a key that has no meaning beside the others too.

use std::sync::Arc;

use espalier_wire::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::quantity;
use crate::place::{Mistake, Place, nearest};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Value>),
    Table(Table),
}

/// A table in the order it was written.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) at: Place,
    pub(super) entries: Vec<(String, Place, Value)>,
}

/// Parse `text`, whose errors will name `file`.
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Table, Mistake> {
    let document = DeTable::parse(text).map_err(|e| {
        let offset = e.span().map_or(0, |s| s.start);
        Place::in_text(file, text, offset).says(e.message().trim().replace('\n', "; "))
    })?;
    table(file, text, document.span().start, document.into_inner())
}

fn table(file: &Arc<str>, text: &str, at: usize, source: DeTable<'_>) -> Result<Table, Mistake> {
    let mut entries = Vec::new();
    for (key, found) in source {
        let key_at = Place::in_text(file, text, key.span().start);
        entries.push((key.into_inner().into_owned(), key_at, value(file, text, found)?));
    }
    // The parser's map is sorted by key; the writer's order is what a later table refers to.
    entries.sort_by_key(|(_, at, _)| (at.line, at.column));
    Ok(Table { at: Place::in_text(file, text, at), entries })
}

fn value(file: &Arc<str>, text: &str, source: Spanned<DeValue<'_>>) -> Result<Value, Mistake> {
    let start = source.span().start;
    let at = Place::in_text(file, text, start);
    let kind = match source.into_inner() {
        DeValue::String(s) => Kind::Text(s.into_owned()),
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix())
            .map(Kind::Integer)
            .map_err(|_| at.says(format!("{} does not fit 64 bits", i.as_str())))?,
        DeValue::Float(f) => f
            .as_str()
            .parse()
            .map(Kind::Float)
            .map_err(|_| at.says(format!("{} is no number", f.as_str())))?,
        DeValue::Boolean(b) => Kind::Boolean(b),
        DeValue::Datetime(_) => return Err(at.says("a date has no place in a scenario")),
        DeValue::Array(items) => {
            let items: Result<_, _> = items.into_iter().map(|item| value(file, text, item)).collect();
            Kind::Array(items?)
        }
        DeValue::Table(inner) => Kind::Table(table(file, text, start, inner)?),
    };
    Ok(Value { at, kind })
}

impl Table {
    pub(super) fn position(&self, key: &str) -> Option<usize> {
        self.entries.iter().position(|(name, _, _)| name == key)
    }

    pub(super) fn find(&self, key: &str) -> Option<&Value> {
        self.position(key).map(|i| &self.entries[i].2)
    }

    /// The text under `key`, if it is text.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.find(key).and_then(|v| if let Kind::Text(t) = &v.kind { Some(t.as_str()) } else { None })
    }

    /// Put `value` under `key`, in place of what was there.
    pub(super) fn put(&mut self, key: &str, value: Value) {
        match self.position(key) {
            Some(i) => self.entries[i].2 = value,
            None => self.entries.push((key.to_owned(), value.at.clone(), value)),
        }
    }
}

/// The fields of one table while it is read.
pub(super) struct Fields {
    what: &'static str,
    at: Place,
    known: &'static [&'static str],
    left: Vec<(String, Place, Value)>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// Read `table`, which is a `what` ("[[segment]]") and may have the `known` keys. A misspelt key is told before
    /// anything else: the one that it was meant to be would else be called missing.
    pub(super) fn of(
        what: &'static str,
        known: &'static [&'static str],
        table: Table,
    ) -> Result<Self, Mistake> {
        if let Some((key, at, _)) = table.entries.iter().find(|(key, _, _)| !known.contains(&key.as_str())) {
            let near = nearest(key, known.iter().copied());
            return Err(at.says(format!("{what} has no key `{key}`{near}")));
        }
        Ok(Self { what, at: table.at, known, left: table.entries, asked: Vec::new() })
    }

    /// Where the table stands.
    pub(super) fn at(&self) -> &Place {
        &self.at
    }

    /// The value of `key`, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        debug_assert!(self.known.contains(&key), "{} is read for `{key}`, which it does not know", self.what);
        self.asked.push(key);
        let i = self.left.iter().position(|(name, _, _)| name == key)?;
        Some(self.left.remove(i).2)
    }

    /// The value of `key`, which must be there.
    pub(super) fn need(&mut self, key: &'static str) -> Result<Value, Mistake> {
        self.take(key).ok_or_else(|| self.at.says(format!("{} needs `{key}`", self.what)))
    }

    /// Read an optional field with `read`.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Option<T>, Mistake> {
        self.take(key).map(|v| read(&v).map_err(|e| v.at.says(format!("`{key}`: {e}")))).transpose()
    }

    /// Read a field that must be there with `read`; its place comes along.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<(T, Place), Mistake> {
        let v = self.need(key)?;
        let read = read(&v).map_err(|e| v.at.says(format!("`{key}`: {e}")))?;
        Ok((read, v.at))
    }

    /// The tables of an array of tables.
    pub(super) fn tables(&mut self, key: &'static str) -> Result<Vec<Table>, Mistake> {
        let Some(v) = self.take(key) else { return Ok(Vec::new()) };
        let wrong = || v.at.says(format!("`{key}` is a list of tables: [[{key}]]"));
        let Kind::Array(items) = v.kind else { return Err(wrong()) };
        items.into_iter().map(|i| if let Kind::Table(t) = i.kind { Ok(t) } else { Err(wrong()) }).collect()
    }

    /// Every key that has a meaning beside the others has been asked for: what is left has none.
    pub(super) fn finish(self) -> Result<(), Mistake> {
        match self.left.first() {
            None => Ok(()),
            Some((key, at, _)) => {
                let these = self.asked.join("`, `");
                Err(at.says(format!("{} has no use for `{key}` here; it reads `{these}`", self.what)))
            }
        }
    }
}

pub(super) fn text(v: &Value) -> Result<String, String> {
    match &v.kind {
        Kind::Text(t) => Ok(t.clone()),
        _ => Err("text in quotes is expected".into()),
    }
}

pub(super) fn boolean(v: &Value) -> Result<bool, String> {
    match v.kind {
        Kind::Boolean(b) => Ok(b),
        _ => Err("true or false is expected".into()),
    }
}

pub(super) fn whole(v: &Value) -> Result<u64, String> {
    match v.kind {
        Kind::Integer(i) => u64::try_from(i).map_err(|_| format!("{i} is negative")),
        _ => Err("a whole number is expected".into()),
    }
}

pub(super) fn number(v: &Value) -> Result<f64, String> {
    match v.kind {
        Kind::Integer(i) => Ok(i as f64),
        Kind::Float(f) if f.is_finite() => Ok(f),
        _ => Err("a number is expected".into()),
    }
}

/// A share from 0 to 1.
pub(super) fn share(v: &Value) -> Result<f64, String> {
    number(v).and_then(|n| {
        if (0.0..=1.0).contains(&n) { Ok(n) } else { Err(format!("{n} is not between 0 and 1")) }
    })
}

/// A span, as text with its unit.
pub(super) fn duration(v: &Value) -> Result<Duration, String> {
    match &v.kind {
        Kind::Text(t) => quantity::duration(t),
        Kind::Integer(n) => Err(format!("a duration needs its unit: \"{n}s\"")),
        _ => Err("a duration such as \"400s\" is expected".into()),
    }
}

pub(super) fn packet_rate(v: &Value) -> Result<f64, String> {
    text(v).and_then(|t| quantity::packet_rate(&t))
}

pub(super) fn bit_rate(v: &Value) -> Result<u64, String> {
    text(v).and_then(|t| quantity::bit_rate(&t))
}

pub(super) fn texts(v: &Value) -> Result<Vec<(String, Place)>, String> {
    let Kind::Array(items) = &v.kind else { return Err("a list of texts is expected".into()) };
    items.iter().map(|i| text(i).map(|t| (t, i.at.clone()))).collect()
}
