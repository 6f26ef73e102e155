//! `espalier explain`: the story that captures of a failover tell.

use std::io::Write as _;
use std::path::PathBuf;

use super::{Failure, print};
use crate::explain;
use crate::report::explain::{document, text};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Captures of one network, their clocks the same: pcap or pcapng, plain or gzip
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let story = explain::read(&arguments.captures);
    let story = story.map_err(|(name, why)| Failure::Input(format!("{name}: {why}")))?;
    for cut in &story.cut {
        let _ = writeln!(std::io::stderr(), "warning: {cut}");
    }
    if !arguments.json {
        return print(&text(&story));
    }
    let json = serde_json::to_string_pretty(&document(&story)).map_err(|e| Failure::Check(e.to_string()))?;
    print(&(json + "\n"))
}
