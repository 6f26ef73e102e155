//! `espalier bench`: what a packet costs on one core, through the whole path or through the engine alone.

use std::io::{self, IsTerminal};
use std::time::Duration;

use espalier_dataplane::crypto::{Choice, Engine, EngineId, Engines};
use espalier_wire::Transform;
use espalier_wire::plane::Direction;

use super::{Failure, print};
use crate::drive::pin;
use crate::manifest::Manifest;
use crate::measure::clock;
use crate::measure::throughput::{Cell, Scope, Size, measure};
use crate::report::bench::{Document, text};

/// Looks at each cell: odd, so that one is the median.
const SAMPLES: usize = 5;
/// What a frame of the largest size leaves room for.
const SIZES: std::ops::RangeInclusive<usize> = 28..=9000;
const SAS: std::ops::RangeInclusive<usize> = 1..=1_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Way {
    /// Clear packets in, ESP out
    Encap,
    /// ESP in, clear packets out
    Decap,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  espalier bench --transform des-md5,aes128-gcm --size 64,imix\n  \
    espalier bench --crypto-only --engine simd,library,scalar --transform aes128-gcm --json")]
pub(super) struct Arguments {
    /// Transforms; a wrong one is answered with the list of them [default: all]
    #[arg(long, value_name = "T,…", value_delimiter = ',')]
    transform: Vec<Transform>,
    /// Engines: auto, scalar, library, simd
    #[arg(long, value_name = "E,…", value_delimiter = ',', default_value = "auto")]
    engine: Vec<Choice>,
    /// Bytes of the inner IP packet (28 to 9000), or imix (40, 576 and 1500 bytes, 7:4:1)
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = size, default_value = "64,512,1408,imix")]
    size: Vec<Size>,
    /// Which way
    #[arg(long, value_delimiter = ',', default_value = "encap,decap")]
    direction: Vec<Way>,
    /// Security associations that the packets are spread over at random (1 to 1000000)
    #[arg(long, value_name = "N", value_parser = in_range(SAS), default_value = "1")]
    sas: usize,
    /// Packets handed over together (1 to 512)
    #[arg(long, value_name = "N", value_parser = in_range(1..=512), default_value = "64")]
    burst: usize,
    /// Seconds within the dataplane for each cell, in five samples
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true, default_value = "0.5")]
    seconds: Duration,
    /// Time the engine alone, not the path around it
    #[arg(long)]
    crypto_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn size(text: &str) -> Result<Size, String> {
    match text {
        "imix" => Ok(Size::Imix),
        number => in_range(SIZES)(number).map(Size::Fixed),
    }
}

fn in_range(range: std::ops::RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| {
        let wrong = || format!("{text} is no number from {} to {}", range.start(), range.end());
        text.parse().ok().filter(|n| range.contains(n)).ok_or_else(wrong)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no number of seconds above 0 and up to 3600");
    let s: f64 = text.parse().map_err(|_| wrong())?;
    if s > 0.0 && s <= 3600.0 { Ok(Duration::from_secs_f64(s)) } else { Err(wrong()) }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cells = cells(arguments)?;
    let manifest = Manifest::here("real", None);
    let core = pin::to_last_core();
    let core_hz = clock::core_hz();
    let bar = match io::stderr().is_terminal() {
        true => indicatif::ProgressBar::new((cells.len() * SAMPLES) as u64),
        false => indicatif::ProgressBar::hidden(),
    };
    let runs = measure(&cells, SAMPLES, arguments.seconds / SAMPLES as u32, core_hz, || bar.inc(1));
    bar.finish_and_clear();
    let document = Document::new(runs.map_err(Failure::Check)?, manifest, core, core_hz);
    if arguments.json {
        print(&document.json().map_err(|e| Failure::Check(e.to_string()))?)?;
    } else {
        print(&text(&document))?;
    }
    match document.runs.iter().find(|run| !run.verified) {
        Some(run) => Err(Failure::Check(format!("{} by {}: results are wrong", run.transform, run.engine))),
        None => Ok(()),
    }
}

/// Every combination that was asked for, once; what an engine does not cover is left out.
fn cells(arguments: &Arguments) -> Result<Vec<Cell>, Failure> {
    let transforms = match arguments.transform.is_empty() {
        true => Transform::ALL,
        false => &arguments.transform,
    };
    let mut cells = Vec::new();
    for transform in transforms {
        for engine in engines(&arguments.engine, *transform) {
            for size in &arguments.size {
                for way in &arguments.direction {
                    cells.push(cell(arguments, *transform, engine, *size, *way));
                }
            }
        }
    }
    if cells.is_empty() {
        let have: Vec<&str> = Engines::all().map(|e| e.id().name()).collect();
        return Err(Failure::Input(format!(
            "no engine asked for covers a transform asked for; this machine has {}: leave out --engine for the best",
            have.join(", ")
        )));
    }
    Ok(cells)
}

fn engines(choices: &[Choice], transform: Transform) -> Vec<EngineId> {
    let mut engines = Vec::new();
    for engine in choices.iter().filter_map(|choice| choice.engine(transform)).map(Engine::id) {
        // `auto` is one of the others.
        if !engines.contains(&engine) {
            engines.push(engine);
        }
    }
    engines
}

fn cell(arguments: &Arguments, transform: Transform, engine: EngineId, size: Size, way: Way) -> Cell {
    Cell {
        transform,
        engine,
        direction: match way {
            Way::Encap => Direction::Outbound,
            Way::Decap => Direction::Inbound,
        },
        size,
        sas: arguments.sas,
        burst: arguments.burst,
        scope: if arguments.crypto_only { Scope::Crypto } else { Scope::Path },
    }
}
