//! report.html: one self-contained page made of report.json and of nothing else. Everything is text, tables and SVG that
//! a browser without scripts shows; a small script of our own adds zoom and hover.

mod bench;
mod compare;
mod cores;
mod explain;
mod failover;
mod given;
mod markup;
mod profile;
mod scale;
mod sweep;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::place::{Mistake, Place};
use markup::{Escaped, put};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// A page without its frame.
struct Page {
    title: String,
    body: String,
}

/// What a document says it is.
#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    schema: String,
}

/// A JSON text and what to call it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path, for mistakes.
    pub file: String,
    /// What the page calls it where there are several.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<T, Mistake> {
        serde_json::from_str(&self.text).map_err(|e| {
            let place =
                Place { line: e.line().max(1), column: e.column().max(1), ..Place::start(&self.file) };
            place.says(format!("is no report: {e}"))
        })
    }

    fn all<T: for<'de> Deserialize<'de>>(sources: &[Self]) -> Result<Vec<(String, T)>, Mistake> {
        sources.iter().map(|s| Ok((s.name.clone(), s.read()?))).collect()
    }
}

/// The page of these documents, which must all be of one schema.
///
/// # Errors
/// The first document that cannot be read, or is another's kind, and where.
pub fn page(sources: &[Source]) -> Result<String, Mistake> {
    let mut schema = String::new();
    for source in sources {
        let kind: Kind = source.read()?;
        let start = Place::start(&source.file);
        if kind.schema.is_empty() {
            return Err(start.says("has no \"schema\": it is no report of espalier"));
        }
        if !schema.is_empty() && schema != kind.schema {
            return Err(
                start.says(format!("is {}, the first is {schema}: one page shows one kind", kind.schema))
            );
        }
        schema = kind.schema;
    }
    let page = match schema.as_str() {
        "espalier.failover/1" => failover::page(&Source::all(sources)?),
        "espalier.bench/1" => bench::page(&Source::all(sources)?),
        "espalier.compare/1" => compare::page(&Source::all(sources)?),
        "espalier.cores/1" => cores::page(&Source::all(sources)?),
        "espalier.sweep/1" => sweep::page(&Source::all(sources)?),
        "espalier.explain/1" => match sources {
            [_, second, ..] => {
                let what = "is a second one: captures of one network belong into one explain";
                return Err(Place::start(&second.file).says(what));
            }
            _ => sources.first().map(|s| Ok(explain::page(&s.name, &s.read()?))).transpose()?,
        },
        "espalier.profile/1" => profile::page(&Source::all(sources)?),
        other => {
            let start = Place::start(sources.first().map_or("", |s| s.file.as_str()));
            return Err(start.says(format!("no page is made of {other}")));
        }
    };
    page.map(|p| framed(&p)).ok_or_else(|| Place::start("report").says("wants a document"))
}

/// The time axis of a failover as SVG that stands alone: for a README, or slides.
///
/// # Errors
/// The document cannot be read, is of another kind, or its run has no length.
pub fn picture(source: &Source) -> Result<String, Mistake> {
    let (kind, start): (Kind, _) = (source.read()?, Place::start(&source.file));
    if kind.schema != "espalier.failover/1" {
        return Err(start.says(format!("is {}: pictures are made of espalier.failover/1", kind.schema)));
    }
    let drawn = failover::picture(&source.read()?).ok_or_else(|| start.says("its run has no length"))?;
    let alone = "<svg xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\" font-size=\"10.5\" ";
    let inside = format!(
        "><style><![CDATA[\n{STYLE}]]></style><rect width=\"100%\" height=\"100%\" style=\"fill:var(--card)\"/>"
    );
    Ok(drawn.replacen("<svg ", alone, 1).replacen('>', &inside, 1) + "\n")
}

fn framed(page: &Page) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{}\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
        Escaped(&page.title),
        page.body
    )
}

fn value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(self::value).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The conditions: the last section of every page.
fn manifest(manifest: &Map<String, Value>, more: &[(&str, &str)]) -> String {
    let mut out = String::from("<section class=\"card\" id=\"manifest\"><h2>Under which conditions</h2><dl>");
    for (key, v) in manifest {
        put!(out, "<dt>{}</dt><dd><code>{}</code></dd>", Escaped(key.replace('_', " ")), Escaped(value(v)));
    }
    for (key, v) in more.iter().filter(|(_, v)| !v.is_empty()) {
        put!(out, "<dt>{}</dt><dd><code>{}</code></dd>", Escaped(key), Escaped(v));
    }
    out.push_str(
        "</dl></section><footer>Made by espalier from report.json. This file needs no network.</footer>",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_explanation_is_a_mistake_and_not_left_out() {
        let source = |name: &str| Source {
            file: format!("{name}.json"),
            name: name.to_owned(),
            text: r#"{"schema": "espalier.explain/1"}"#.to_owned(),
        };
        let both = page(&[source("outside"), source("inside")]).unwrap_err().to_string();
        assert!(both.starts_with("inside.json:1:1: is a second one"), "{both}");
    }
}
