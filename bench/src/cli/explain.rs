//! `espalier explain`: the story that captures of a failover tell.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Failure, print, report};
use crate::explain;
use crate::report::explain::{document, text};
use crate::report::html::{self, Source};
use crate::report::json;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Captures of one network, their clocks the same: pcap or pcapng, plain or gzip
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    /// Where report.json and report.html go
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let story = explain::read(&arguments.captures);
    let story = story.map_err(|(name, why)| Failure::Input(format!("{name}: {why}")))?;
    for cut in &story.cut {
        let _ = writeln!(std::io::stderr(), "warning: {cut}");
    }
    let json = json::text(&document(&story)).map_err(|e| Failure::Check(e.to_string()))?;
    if let Some(dir) = &arguments.out {
        keep(dir, &json, &arguments.captures)?;
    }
    if arguments.json {
        return print(&json);
    }
    print(&text(&story))?;
    match &arguments.out {
        Some(dir) => print(&format!("\nThe page: {}\n", dir.join("report.html").display())),
        None => Ok(()),
    }
}

/// The JSON and its page, which is called by the captures' names.
fn keep(dir: &Path, json: &str, captures: &[PathBuf]) -> Result<(), Failure> {
    std::fs::create_dir_all(dir).map_err(|e| Failure::Input(format!("{}: {e}", dir.display())))?;
    let stem = |p: &PathBuf| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = captures.iter().map(stem).collect::<Vec<_>>().join(", ");
    let source = Source { file: "report.json".to_owned(), name, text: json.to_owned() };
    let page = html::page(&[source]).map_err(|m| Failure::Check(m.to_string()))?;
    report::write(&dir.join("report.json"), json)?;
    report::write(&dir.join("report.html"), &page)
}
