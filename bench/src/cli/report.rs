//! `espalier report`: the page of one report.json, or of several side by side.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Failure, print};
use crate::report::html::{self, Source};
use crate::staged::Staged;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  espalier report run/report.json                      writes run/report.html\n  \
    espalier report slow/report.json fast/report.json -o both.html\n  \
    espalier report run/report.json -o run.svg             the time axis alone, for a README\n  \
    espalier bench --json > bench.json && espalier report bench.json"
)]
pub(super) struct Arguments {
    /// What --json or --out of failover, explain, bench, compare or profile wrote; all of one kind, and of explain one alone
    #[arg(required = true, value_name = "RUN.json")]
    files: Vec<PathBuf>,
    /// The page; of one failover and with .svg for its ending, its time axis as a picture [default: the first file with .html for its ending]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let sources = arguments.files.iter().map(|f| source(f)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = arguments.files.first() else { return Ok(()) };
    let out = arguments.out.clone().unwrap_or_else(|| first.with_extension("html"));
    let made = match sources.as_slice() {
        [one] if out.extension().is_some_and(|e| e == "svg") => html::picture(one),
        all => html::page(all),
    };
    let page = made.map_err(|m| Failure::Input(m.to_string()))?;
    write(&out, &page)?;
    print(&format!("{}\n", out.display()))
}

fn source(file: &Path) -> Result<Source, Failure> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|e| Failure::Input(format!("{shown}:1:1: {e}")))?;
    Ok(Source { name: name(file), file: shown, text })
}

/// What tells a file from others: its folder's name where it is a report.json, else its own.
fn name(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let folder = file.parent().and_then(Path::file_name).map(|f| f.to_string_lossy());
    folder.filter(|_| stem == "report").unwrap_or(stem).into_owned()
}

/// Write a page whole or not at all.
pub(super) fn write(out: &Path, page: &str) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Input(format!("{}: {e}", out.display()));
    let mut file = Staged::create(out).map_err(failed)?;
    file.write_all(page.as_bytes()).map_err(failed)?;
    file.persist().map_err(failed)
}
