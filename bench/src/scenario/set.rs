//! `--set PATH=VALUE`: one value of a scenario's document replaced or added, or IOS lines for routers by pattern.

use std::sync::Arc;

use super::tree::{Kind, Table, Value};
use crate::place::{Mistake, Place, nearest};

/// IOS lines that routers get on top of their configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// Which routers, by name; `*` stands for any text.
    pub routers: String,
    /// The interface whose lines they are; none: global lines.
    pub interface: Option<String>,
    /// The lines.
    pub lines: String,
    /// Where they were written.
    pub at: Place,
}

impl Overlay {
    /// Whether the router called `name` gets the lines.
    pub fn takes(&self, name: &str) -> bool {
        matches(&self.routers, name)
    }
}

/// Whether `text` is `pattern` with each `*` standing for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).filter(|i| rest.is_char_boundary(*i)).any(|i| matches(tail, &rest[i..]))
        }),
    }
}

/// Apply one `PATH=VALUE`; overlays are collected, everything else changes `document`.
pub(super) fn apply(
    document: &mut Table,
    argument: &str,
    overlays: &mut Vec<Overlay>,
) -> Result<(), Mistake> {
    let at = Place::start(&format!("--set {argument}"));
    let (path, value) = argument
        .split_once('=')
        .ok_or_else(|| at.says("PATH=VALUE is expected, such as segment.outside.loss=0.01"))?;
    if let Some(rest) = path.strip_prefix("config.") {
        let (routers, interface) = match rest.split_once('.') {
            Some((routers, interface)) => (routers, Some(interface.to_owned())),
            None => (rest, None),
        };
        let lines = unquoted(value).replace("\\n", "\n");
        overlays.push(Overlay { routers: routers.to_owned(), interface, lines, at });
        return Ok(());
    }
    let value = literal(value, &at);
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    match head {
        "traffic" | "segment" | "router" | "fault" | "config" if rest.is_empty() => {
            Err(at.says(format!("`{head}` needs a name and a key: {head}.NAME.KEY")))
        }
        "traffic" | "segment" | "router" | "fault" => set_in(document, head, rest, value, &at),
        _ if rest.is_empty() => {
            document.put(head, value);
            Ok(())
        }
        other => {
            let near = nearest(other, ["traffic", "segment", "router", "fault", "config"]);
            Err(at.says(format!("a scenario has no `{other}`{near}")))
        }
    }
}

/// `rest` is NAME.KEY, where a name may itself hold dots.
fn set_in(document: &mut Table, list: &str, rest: &str, value: Value, at: &Place) -> Result<(), Mistake> {
    let Some(Value { kind: Kind::Array(items), .. }) =
        document.position(list).map(|i| &mut document.entries[i].2)
    else {
        return Err(at.says(format!("this scenario has no [[{list}]]")));
    };
    let names: Vec<String> = items.iter().enumerate().map(|(i, v)| name_of(list, i, v)).collect();
    let chosen =
        names.iter().enumerate().find_map(|(i, name)| Some((i, rest.strip_prefix(name)?.strip_prefix('.')?)));
    match chosen.and_then(|(i, key)| items.get_mut(i).map(|item| (item, key))) {
        Some((Value { kind: Kind::Table(table), .. }, key)) => {
            table.put(key, value);
            Ok(())
        }
        _ => {
            let wanted = rest.split('.').next().unwrap_or(rest);
            let near = nearest(wanted, names.iter().map(String::as_str));
            Err(at.says(format!("no {list} is named \"{wanted}\"{near}")))
        }
    }
}

/// What a path calls the item: its name, a router's configuration file without its ending, a fault's number.
fn name_of(list: &str, index: usize, item: &Value) -> String {
    let Kind::Table(table) = &item.kind else { return String::new() };
    match list {
        "fault" => index.to_string(),
        "router" => {
            let file = table.text("config").unwrap_or_default();
            let base = file.rsplit('/').next().unwrap_or(file);
            base.strip_suffix(".cfg").unwrap_or(base).to_owned()
        }
        _ => table.text("name").unwrap_or_default().to_owned(),
    }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

/// A TOML literal where it reads as one; any other text is text.
fn literal(value: &str, at: &Place) -> Value {
    let file: Arc<str> = at.file.clone();
    let parsed = super::tree::parse(&file, &format!("v = {value}")).ok();
    let kind = parsed.and_then(|t| t.find("v").map(|v| v.kind.clone()));
    Value { at: at.clone(), kind: kind.unwrap_or_else(|| Kind::Text(value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_any_text() {
        assert!(matches("7204VXR-*", "7204VXR-1"));
        assert!(matches("*", ""));
        assert!(matches("a*c*e", "abcde"));
        assert!(!matches("a*c", "abcd"));
        assert!(!matches("7206-1", "7206-11"));
    }
}
