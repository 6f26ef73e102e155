//! `espalier scenarios`: the built-in scenarios.

use std::fmt::Write as _;

use super::{Failure, print};
use crate::scenario::{Changes, Scenario, built_ins};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut text = String::new();
    let mut list = Vec::new();
    for built_in in built_ins() {
        let loaded = Scenario::load(built_in.name, &Changes::default());
        let scenario = loaded.map_err(|m| Failure::Check(m.to_string()))?;
        let _ = writeln!(text, "{:<18} {}", scenario.name, scenario.about);
        let (name, about) = (scenario.name, scenario.about);
        list.push(
            serde_json::json!({ "name": name, "about": about, "duration_s": scenario.duration.as_s() }),
        );
    }
    if arguments.json {
        let json = serde_json::json!({ "schema": "espalier.scenarios/1", "scenarios": list });
        text = format!("{json:#}\n");
    }
    print(&text)
}
