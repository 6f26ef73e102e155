//! The command line: one file a subcommand. All is checked before anything runs; a mistake is one line on standard
//! error and exit code 2.

mod esp;
mod interrupt;
mod schema;
mod side_by_side;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// Bad arguments or input, said in one line: exit code 2.
    Input(String),
    /// The run ended, but its own check failed: exit code 1.
    Check(String),
    /// Whoever read our output has gone: nobody to tell.
    Closed,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Input(error.to_string()),
        }
    }
}

/// Packet-level IPsec: captures through ESP and back. Without a verb: every transform, side by side.
#[derive(Debug, Parser)]
#[command(name = "espalier", version, max_term_width = 100)]
#[command(after_help = "Examples:\n  espalier encap --sa sa.toml in.pcap -o out.pcap\n  \
    WIRESHARK_CONFIG_DIR=out.pcap.keys tshark -r out.pcap\n  espalier decap --sa sa.toml out.pcap -o back.pcap --json")]
struct Arguments {
    /// None: real traffic through every transform and back, side by side
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Seal the IP packets of a capture in ESP
    Encap(esp::Arguments),
    /// Open the ESP packets of a capture
    Decap(esp::Arguments),
    /// Print the JSON schema of a command's output, or the list of causes of loss
    Schema(schema::Arguments),
}

/// Do what the command line says.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    interrupt::watch();
    let done = match arguments.verb {
        Some(Verb::Encap(arguments)) => esp::run(&arguments, esp::Verb::Encap),
        Some(Verb::Decap(arguments)) => esp::run(&arguments, esp::Verb::Decap),
        Some(Verb::Schema(arguments)) => schema::run(&arguments),
        None => side_by_side::run(),
    };
    match done {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Check(message)) => say(1, &message),
        Err(Failure::Input(message)) => say(2, &message),
    }
}

fn say(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code)
}

/// Print to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
