//! The command line: one file a subcommand. All is checked before anything runs; a mistake is one line on standard
//! error and exit code 2.

mod attach;
mod bench;
mod check;
mod compare;
mod cores;
mod esp;
mod explain;
mod failover;
mod generate;
mod interrupt;
mod kinds;
mod lines;
mod new;
mod profile;
mod report;
mod scenarios;
mod schema;
mod sweep;
mod view;

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::text::Style;

/// Why a command ended without doing what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// Bad arguments or input, said in one line: exit code 2.
    Input(String),
    /// The run ended, but its own check failed: exit code 1.
    Check(String),
    /// Ctrl-C ended what it could end in good order: exit code 130.
    Interrupted,
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

/// Fails one of two IPsec gateways under traffic and says, to the packet, what was lost, where, why and for how long.
/// Without a verb: `failover`.
#[derive(Debug, Parser)]
#[command(name = "espalier", version, max_term_width = 100)]
#[command(
    after_help = "Examples:\n  espalier                                   the reference network, end to end\n  \
    espalier subsecond --seeds 100             another scenario, its spread over a hundred seeds\n  \
    espalier --show '130s 7204VXR-2 show standby' --debug standby\n  \
    espalier --set 'config.7204VXR-*.FastEthernet0/0=standby 1 timers 1 4'\n  \
    espalier --out run && WIRESHARK_CONFIG_DIR=run/keys tshark -r run/outside.pcapng\n  \
    espalier bench --transform des-md5,aes128-gcm --size 64,imix\n  \
    espalier attach 7204VXR-1.cfg --bind FastEthernet0/0=veth0 --console --debug standby\n  \
    espalier encap --sa sa.toml in.pcap -o out.pcap"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    failover: failover::Arguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a scenario and print what was lost, where, why and for how long (the verb when none is given)
    Failover(Box<failover::Arguments>),
    /// List the built-in scenarios
    Scenarios(scenarios::Arguments),
    /// Seal the IP packets of a capture in ESP
    Encap(esp::Arguments),
    /// Open the ESP packets of a capture
    Decap(esp::Arguments),
    /// Run one router on real interfaces, against whatever speaks there
    Attach(Box<attach::Arguments>),
    /// Tell from captures of a failover who said what when, and when each direction of ESP was silent
    Explain(explain::Arguments),
    /// Measure what a packet costs on one core, by transform, engine, size and direction
    Bench(Box<bench::Arguments>),
    /// Put transforms side by side: latency and loss as the offered load grows
    Compare(compare::Arguments),
    /// Say how transforms scale over cores: measured, and beyond this machine modelled
    Cores(cores::Arguments),
    /// Say where the time of a packet goes, stage by stage
    Profile(profile::Arguments),
    /// Say what a scenario would do and what looks wrong in it, without running it
    Check(check::Arguments),
    /// Make a first scenario from configurations of one's own
    New(new::Arguments),
    /// Run a scenario over settings and seeds, and rank what each setting costs
    Sweep(Box<sweep::Arguments>),
    /// Make the page of a report.json, or of several side by side
    Report(report::Arguments),
    /// Print the manual page
    Man(generate::Man),
    /// Print the completions of a shell
    Completions(generate::Completions),
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
    // A router on real interfaces ends in good order instead.
    if !matches!(arguments.verb, Some(Verb::Attach(_))) {
        interrupt::watch();
    }
    let before = arguments.failover;
    if !before.is_empty() && !matches!(arguments.verb, None | Some(Verb::Failover(_))) {
        return say(2, "options before the verb belong to failover");
    }
    let done = match arguments.verb {
        Some(Verb::Failover(arguments)) => failover::run(&arguments.or(before)),
        Some(Verb::Scenarios(arguments)) => scenarios::run(&arguments),
        Some(Verb::Encap(arguments)) => esp::run(&arguments, esp::Verb::Encap),
        Some(Verb::Decap(arguments)) => esp::run(&arguments, esp::Verb::Decap),
        Some(Verb::Attach(arguments)) => attach::run(&arguments),
        Some(Verb::Explain(arguments)) => explain::run(&arguments),
        Some(Verb::Bench(arguments)) => bench::run(&arguments),
        Some(Verb::Compare(arguments)) => compare::run(&arguments),
        Some(Verb::Cores(arguments)) => cores::run(&arguments),
        Some(Verb::Profile(arguments)) => profile::run(&arguments),
        Some(Verb::Check(arguments)) => check::run(&arguments),
        Some(Verb::New(arguments)) => new::run(&arguments),
        Some(Verb::Man(arguments)) => generate::man(&arguments),
        Some(Verb::Completions(arguments)) => generate::completions(&arguments),
        Some(Verb::Sweep(arguments)) => sweep::run(&arguments),
        Some(Verb::Report(arguments)) => report::run(&arguments),
        Some(Verb::Schema(arguments)) => schema::run(&arguments),
        None => failover::run(&before),
    };
    match done {
        Ok(()) | Err(Failure::Closed) => ExitCode::SUCCESS,
        Err(Failure::Interrupted) => ExitCode::from(130),
        Err(Failure::Check(message)) => say(1, &message),
        Err(Failure::Input(message)) => say(2, &message),
    }
}

/// Where results of one's own go: git ignores both.
fn local() -> PathBuf {
    let checkout = Path::new("Cargo.toml").is_file() && Path::new("results").is_dir();
    PathBuf::from(if checkout { "results/local" } else { "espalier-out" })
}

/// How standard output is written to: a terminal's width, `COLUMNS`, or what a page of text has.
fn style() -> Style {
    let given = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let terminal = || console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    let width = given.or_else(|| terminal().filter(|_| io::stdout().is_terminal())).unwrap_or(100);
    Style { colour: colours(), width: width.clamp(40, 1000) }
}

/// Whether standard output shows colours, and its reader wants them (<https://no-color.org>).
fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
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

/// Print a document as JSON.
fn print_json(document: &impl serde::Serialize) -> Result<(), Failure> {
    print(&crate::report::json::text(document).map_err(|e| Failure::Check(e.to_string()))?)
}
