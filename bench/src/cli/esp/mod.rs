//! `espalier encap` and `espalier decap`: a capture through ESP, as the originating host.

mod pass;
mod report;

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use espalier_wire::plane::SaSpec;

use super::{Failure, print};
use crate::capture::{Break, Format, Reader, Writer};
use crate::sa_file::SaFile;
use crate::wireshark::{knows, write_keys};
use pass::Pass;
pub(super) use report::Report;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Encap,
    Decap,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The security associations (TOML)
    #[arg(long, value_name = "SA.toml")]
    sa: PathBuf,
    /// The capture to read: pcap or pcapng, plain or gzip
    #[arg(value_name = "IN.pcap")]
    input: PathBuf,
    /// The capture to write; its ending chooses the format (.pcap, .pcapng, with .gz compressed)
    #[arg(short, long, value_name = "OUT.pcap")]
    output: PathBuf,
    /// Leave out what no SA takes, instead of passing it through unchanged
    #[arg(long)]
    only: bool,
    /// Refuse a capture that is cut off or lies, instead of keeping what stands before
    #[arg(long)]
    strict: bool,
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, verb: Verb) -> Result<(), Failure> {
    let sas = SaFile::read(&arguments.sa).map_err(Failure::Input)?;
    for warning in &sas.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    let input = arguments.input.display();
    let mut reader = Reader::open(&arguments.input).map_err(|e| Failure::Input(format!("{input}: {e}")))?;
    if same_file(&arguments.input, &arguments.output) {
        return Err(Failure::Input(format!("{input}: input and output are one file")));
    }
    let format = Format::of_name(&arguments.output, reader.is_micros());
    let output = |e: &dyn std::fmt::Display| Failure::Input(format!("{}: {e}", arguments.output.display()));
    let writer = Writer::create(&arguments.output, format, "").map_err(|e| output(&e))?;

    let mut pass = Pass::new(&sas, verb, writer, arguments.only).map_err(Failure::Input)?;
    let bar = progress(&arguments.input);
    let broken = pass.all(&mut reader, &bar).map_err(|e| output(&e))?;
    bar.finish_and_clear();
    if let Some(broken) = &broken {
        let message = format!("{input}: {broken}");
        if arguments.strict {
            return Err(Failure::Input(message));
        }
        let _ = writeln!(io::stderr(), "warning: {message}; the packets before it were kept");
    }
    // First the keys: a capture that appears is one that opens.
    keys(&arguments.output, &sas.sas)?;
    let counts = pass.finish().map_err(|e| output(&e))?;
    if counts.packets == 0 {
        let _ = writeln!(io::stderr(), "warning: {input}: no packets in it");
    }
    let report = Report::new(counts, broken.as_ref());
    print(&if arguments.json { report.json()? } else { report.text(verb, &arguments.output) })
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// A bar for files that take a while, on a terminal.
fn progress(input: &Path) -> indicatif::ProgressBar {
    const LONG: u64 = 32 << 20;
    let len = fs::metadata(input).map_or(0, |m| m.len());
    if len < LONG || !io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let style = "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = indicatif::ProgressStyle::with_template(style);
    let bar = indicatif::ProgressBar::new(len);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// `OUT.keys/` beside OUT, for Wireshark.
fn keys(output: &Path, sas: &[SaSpec]) -> Result<(), Failure> {
    // A device or a pipe has no place beside it.
    if output.exists() && !output.is_file() {
        return Ok(());
    }
    let mut dir = output.as_os_str().to_owned();
    dir.push(".keys");
    let dir = PathBuf::from(dir);
    write_keys(&dir, sas, &[]).map_err(|e| Failure::Input(format!("{}: {e}", dir.display())))?;
    let unknown: Vec<&str> =
        sas.iter().filter(|sa| !knows(sa.transform.cipher())).map(|sa| sa.transform.name()).collect();
    if !unknown.is_empty() {
        let _ = writeln!(io::stderr(), "note: Wireshark does not open {}", unknown.join(", "));
    }
    Ok(())
}

/// Where a capture broke off, for the report.
fn truncation(broken: &Break) -> report::Truncated {
    report::Truncated { packet: broken.packet, offset: broken.offset, reason: broken.flaw.to_string() }
}
