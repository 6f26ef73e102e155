//! `espalier bench`: what a packet costs, through the whole path or through the engine alone, on one core or several.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use espalier_dataplane::crypto::{Choice, EngineId};
use espalier_wire::Transform;
use espalier_wire::plane::Direction;

use super::kinds::{self, BURSTS, Counts, SAS, Way, counts, seconds, size};
use super::{Failure, print, print_json};
use crate::capture::{Format, Interface, LinkType, Writer};
use crate::drive::layout::Layout;
use crate::drive::pin;
use crate::drive::topology::Topology;
use crate::manifest::Manifest;
use crate::measure::clock;
use crate::measure::load::Load;
use crate::measure::rig::{Kind, Rig, Size, WORKING_SET};
use crate::measure::search::{Goal, search};
use crate::measure::throughput::{Cell, Machine, Scope, measure};
use crate::report::bench::{BenchManifest, Document, text};
use crate::report::search::{Document as SearchDocument, Searched};
use crate::report::{baseline, beside};
use crate::wireshark::write_keys;

/// Looks at each cell: odd, so that one is the median.
const SAMPLES: usize = 5;
/// Packets that `--sample` writes.
const SAMPLE_PACKETS: usize = 100;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  espalier bench --transform des-md5,aes128-gcm --size 64,imix\n  \
    espalier bench --crypto-only --engine simd,library,scalar --transform aes128-gcm --json\n  \
    espalier bench --transform des-md5 --layout 1,1+1 --size 1408\n  \
    espalier bench --crypto-only --transform des-md5,aes128-gcm --size 64 --burst 1..512\n  \
    espalier bench --transform aes128-gcm --json >before.json; espalier bench --transform aes128-gcm --baseline before.json")]
pub(super) struct Arguments {
    /// Transforms; a wrong one is answered with the list of them [default: all]
    #[arg(long, value_name = "T,…", value_delimiter = ',')]
    transform: Vec<Transform>,
    /// Engines: auto, scalar, library, simd; ipsec-mb where it is built in (--features ipsec-mb)
    #[arg(long, value_name = "E,…", value_delimiter = ',', default_value = "auto")]
    engine: Vec<Choice>,
    /// Bytes of the inner IP packet (28 to 9000), or imix (40, 576 and 1500 bytes, 7:4:1)
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = size, default_value = "64,512,1408,imix")]
    size: Vec<Size>,
    /// The IPv4 packets of a capture instead of sizes
    #[arg(long, value_name = "FILE", conflicts_with = "size")]
    pcap: Option<PathBuf>,
    /// Which way
    #[arg(long, value_delimiter = ',', default_value = "encap,decap")]
    direction: Vec<Way>,
    /// Owners of SAs and helpers: 1, 1+3, 4x, 2x+1
    #[arg(long, value_name = "L,…", value_delimiter = ',', default_value = "1")]
    layout: Vec<Layout>,
    /// Let workers share cores where there are too few
    #[arg(long)]
    oversubscribe: bool,
    /// Security associations that the packets are spread over at random (1 to 1000000)
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = counts(SAS), default_value = "1")]
    sas: Vec<Counts>,
    /// Packets handed over together (1 to 512); 1..512: 1, 2, 4 and so on
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = counts(BURSTS), default_value = "64")]
    burst: Vec<Counts>,
    /// Seconds within the dataplane for each cell, in five samples; of a search, half a trial
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true, default_value = "0.5")]
    seconds: Duration,
    /// Time the engine alone, not the path around it
    #[arg(long, conflicts_with = "layout")]
    crypto_only: bool,
    /// Write 100 of the timed packets as they left, and FILE.keys/ for Wireshark
    #[arg(long, value_name = "FILE", conflicts_with = "crypto_only")]
    sample: Option<PathBuf>,
    /// Compare with a stored --json run, and say which differences are larger than the noise
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Search the throughput under open-loop load instead (MLRsearch): without loss, with half a percent, or by RFC 2544
    #[arg(long, value_name = "GOAL,…", value_delimiter = ',', conflicts_with_all = ["crypto_only", "layout", "baseline", "sample"])]
    search: Vec<GoalName>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What `--search` looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum GoalName {
    /// No loss, in most of five trials
    Ndr,
    /// Half a percent of loss at the most, in most of five trials
    Pdr,
    /// No loss in one trial of 60 seconds
    Rfc2544,
}

impl GoalName {
    /// With trials twice as long as a cell is looked at otherwise; RFC 2544 has its own length.
    fn goal(self, seconds: Duration) -> Goal {
        match self {
            Self::Ndr => Goal::NDR.with_trial(seconds * 2),
            Self::Pdr => Goal::PDR.with_trial(seconds * 2),
            Self::Rfc2544 => Goal::RFC_2544,
        }
    }
}

/// `--search`: every cell that seals, by every goal.
fn search_all(arguments: &Arguments, cells: &[Cell]) -> Result<(), Failure> {
    let manifest = Manifest::here("real", None);
    let (machine, pinned_core) = machine(arguments)?;
    let mut runs = Vec::new();
    // A packet can be opened but once, so open-loop load goes the other way.
    for cell in cells.iter().filter(|cell| cell.kind.direction == Direction::Outbound) {
        let mut load = Load::new(&cell.kind).map_err(Failure::Check)?;
        let most = load.capacity(arguments.seconds).map_err(Failure::Check)?;
        for goal in &arguments.search {
            let found = search(&mut load, &goal.goal(arguments.seconds), most / 100.0, most * 1.05)
                .map_err(Failure::Check)?;
            runs.push(Searched::new(&cell.kind, most, found));
        }
    }
    if runs.is_empty() {
        return Err(Failure::Input("--search offers packets to be sealed: --direction encap".to_owned()));
    }
    let manifest = BenchManifest { manifest, pinned_core, core_hz: machine.core_hz };
    let document = SearchDocument::new(runs, manifest);
    match arguments.json {
        true => print_json(&document),
        false => print(&document.text()),
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let cells = cells(arguments)?;
    if !arguments.search.is_empty() {
        return search_all(arguments, &cells);
    }
    let before = arguments.baseline.as_deref().map(baseline::read).transpose().map_err(Failure::Input)?;
    let manifest = Manifest::here("real", None);
    let (machine, pinned) = machine(arguments)?;
    if let Some(path) = &arguments.sample {
        sample(path, &cells)?;
    }
    let bar = match io::stderr().is_terminal() {
        true => indicatif::ProgressBar::new((cells.len() * SAMPLES) as u64),
        false => indicatif::ProgressBar::hidden(),
    };
    let runs = measure(&cells, SAMPLES, arguments.seconds / SAMPLES as u32, &machine, || bar.inc(1));
    bar.finish_and_clear();
    let document = Document::new(runs.map_err(Failure::Check)?, manifest, pinned, machine.core_hz);
    if arguments.json {
        print_json(&document)?;
    } else {
        print(&text(&document))?;
        print(&beside::text(&document.runs))?;
        if let Some(before) = &before {
            print(&baseline::text(before, &document.runs))?;
        }
    }
    match document.runs.iter().find(|run| !run.verified) {
        Some(run) => Err(Failure::Check(format!("{} by {}: results are wrong", run.transform, run.engine))),
        None => Ok(()),
    }
}

/// The cores to be used, with a word about them; this thread is pinned to the best.
fn machine(arguments: &Arguments) -> Result<(Machine, Option<usize>), Failure> {
    let topology = Topology::here();
    let wanted = arguments.layout.iter().map(|layout| layout.cores()).max().unwrap_or(1);
    let have = topology.cores.len().max(1);
    if wanted > have && !arguments.oversubscribe {
        return Err(Failure::Input(format!(
            "--layout: {wanted} workers want as many cores, and there are {have}; --oversubscribe lets them share"
        )));
    }
    for warning in topology.warnings(wanted) {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    let pinned = topology.cores.first().copied().filter(|core| pin::to_core(*core));
    Ok((Machine { cores: topology.cores, core_hz: clock::core_hz() }, pinned))
}

/// Every combination that was asked for, once; what an engine does not cover is left out.
fn cells(arguments: &Arguments) -> Result<Vec<Cell>, Failure> {
    let transforms = match arguments.transform.is_empty() {
        true => Transform::ALL,
        false => &arguments.transform,
    };
    let sizes = match &arguments.pcap {
        Some(path) => vec![kinds::trace(path)?],
        None => arguments.size.clone(),
    };
    let (sas, bursts) = (Counts::all(&arguments.sas), Counts::all(&arguments.burst));
    // The largest burst must be there. Batches under way are a part of a round, which must be long beside them, and as long
    // for every layout.
    let several = arguments.layout.iter().any(|layout| layout.cores() > 1);
    let set = bursts.iter().fold(WORKING_SET, |set, burst| set.max(*burst)) * if several { 4 } else { 1 };
    let scope = if arguments.crypto_only { Scope::Crypto } else { Scope::Path };
    let mut cells = Vec::new();
    for transform in transforms {
        for kind in kinds::engines(&arguments.engine, *transform)
            .into_iter()
            .flat_map(|engine| every_kind(arguments, *transform, engine, &sizes, &sas, &bursts))
        {
            let cell = |layout: &Layout| Cell { kind: kind.clone(), layout: *layout, scope, set };
            cells.extend(arguments.layout.iter().map(cell));
        }
    }
    if cells.is_empty() { Err(kinds::nothing_covered()) } else { Ok(cells) }
}

/// A transform by an engine, at every size, both ways, with as many SAs and in such bursts as were asked for.
fn every_kind(
    arguments: &Arguments,
    transform: Transform,
    engine: EngineId,
    sizes: &[Size],
    sas: &[usize],
    bursts: &[usize],
) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for size in sizes {
        for way in &arguments.direction {
            for sas in sas {
                kinds.extend(bursts.iter().map(|burst| Kind {
                    transform,
                    engine,
                    direction: way.direction(),
                    size: size.clone(),
                    sas: *sas,
                    burst: *burst,
                }));
            }
        }
    }
    kinds
}

/// Some of the packets that the first cell puts out, as Ethernet frames.
fn sample(path: &Path, cells: &[Cell]) -> Result<(), Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::Input(format!("{}: {e}", path.display()));
    let Some(cell) = cells.first() else { return Ok(()) };
    let mut rig = Rig::new(&cell.kind, cell.set, 0).map_err(Failure::Check)?;
    let mut batches = rig.load();
    rig.run(&mut batches, &mut espalier_dataplane::watch::Unwatched);
    let mut writer = Writer::create(path, Format::of_name(path, false), "").map_err(|e| wrong(&e))?;
    let port = Interface { link: LinkType::ETHERNET, name: Some("port".to_owned()) };
    let port = writer.interface(&port).map_err(|e| wrong(&e))?;
    for (at, frame) in rig.take_out().iter().take(SAMPLE_PACKETS).enumerate() {
        let time = espalier_wire::Instant::ZERO + espalier_wire::Duration::from_us(at as u64);
        writer.packet(port, time, &[frame], 0, "").map_err(|e| wrong(&e))?;
    }
    let mut keys = path.as_os_str().to_owned();
    keys.push(".keys");
    let specs: Vec<_> = (0..cell.kind.sas).map(|sa| cell.kind.spec(sa)).collect();
    write_keys(Path::new(&keys), &specs, &[]).map_err(|e| wrong(&e))?;
    writer.finish().map_err(|e| wrong(&e))
}
