//! `espalier compare`: latency and loss of each transform as the offered load grows.

use std::io::{self, IsTerminal};
use std::time::Duration;

use espalier_dataplane::crypto::{Choice, EngineId};
use espalier_wire::Transform;
use espalier_wire::plane::Direction;

use super::kinds::{self, BURSTS, SAS, in_range, seconds, size};
use super::{Failure, print, print_json};
use crate::drive::pin;
use crate::drive::topology::Topology;
use crate::manifest::Manifest;
use crate::measure::clock;
use crate::measure::load::{Load, RING};
use crate::measure::rig::{Kind, Size};
use crate::report::bench::BenchManifest;
use crate::report::compare::{Compared, Document, Point, SCHEMA, text};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  espalier compare des-md5 3des-sha1 aes128-sha1 aes128-gcm\n  \
    espalier compare aes128-gcm chacha20-poly1305 --size imix --load 50,80,90,95\n  \
    espalier compare des-md5 aes128-gcm --common")]
pub(super) struct Arguments {
    /// Transforms; a wrong one is answered with the list of them
    #[arg(value_name = "T", required = true)]
    transforms: Vec<Transform>,
    /// Loads in percent of each transform's capacity: a list, or a range in steps of ten [default: 10..100, then 110]
    #[arg(long, value_name = "P", value_parser = loads)]
    load: Option<Loads>,
    /// Offer all the same packets a second: loads are percent of the least capacity
    #[arg(long)]
    common: bool,
    /// The engine: auto, scalar, library, simd; ipsec-mb where it is built in
    #[arg(long, value_name = "E", default_value = "auto")]
    engine: Choice,
    /// Bytes of the inner IP packet (28 to 9000), or imix
    #[arg(long, value_name = "N", value_parser = size, default_value = "512")]
    size: Size,
    /// Security associations that the packets are spread over at random (1 to 1000000)
    #[arg(long, value_name = "N", value_parser = in_range(SAS), default_value = "1")]
    sas: usize,
    /// Packets taken together at the most (1 to 512)
    #[arg(long, value_name = "N", value_parser = in_range(BURSTS), default_value = "64")]
    burst: usize,
    /// Seconds at each load
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true, default_value = "0.5")]
    seconds: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Loads in percent.
#[derive(Debug, Clone)]
struct Loads(Vec<u32>);

fn loads(text: &str) -> Result<Loads, String> {
    let wrong = || format!("{text} is no list of loads from 1 to 1000 percent, as 50,80,95 or 10..100");
    let number = |text: &str| text.parse::<u32>().ok().filter(|n| (1..=1000).contains(n)).ok_or_else(wrong);
    if let Some((low, high)) = text.split_once("..") {
        let loads: Vec<u32> = (number(low)?..=number(high)?).step_by(10).collect();
        return if loads.is_empty() { Err(wrong()) } else { Ok(Loads(loads)) };
    }
    text.split(',').map(number).collect::<Result<_, _>>().map(Loads)
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let loads = match &arguments.load {
        Some(Loads(loads)) => loads.clone(),
        None => (10..=110).step_by(10).collect(),
    };
    let engine = |transform: &Transform| {
        let engine = kinds::engines(&[arguments.engine], *transform).pop();
        Ok((*transform, engine.ok_or_else(kinds::nothing_covered)?))
    };
    let pairs: Vec<(Transform, EngineId)> =
        arguments.transforms.iter().map(engine).collect::<Result<_, Failure>>()?;
    let manifest = Manifest::here("real", None);
    let pinned_core = Topology::here().cores.first().copied().filter(|core| pin::to_core(*core));
    let core_hz = clock::core_hz();
    let bar = match io::stderr().is_terminal() {
        true => indicatif::ProgressBar::new((pairs.len() * (loads.len() + 1)) as u64),
        false => indicatif::ProgressBar::hidden(),
    };
    let transforms = measure(arguments, &pairs, &loads, &bar).map_err(Failure::Check)?;
    bar.finish_and_clear();
    let document = Document {
        schema: SCHEMA,
        size: arguments.size.to_string(),
        burst: arguments.burst,
        ring: RING,
        transforms,
        manifest: BenchManifest { manifest, pinned_core, core_hz },
    };
    if arguments.json {
        return print_json(&document);
    }
    print(&text(&document))
}

/// Capacities first, then every transform at a load before the next load: a machine that slows down slows all.
fn measure(
    arguments: &Arguments,
    pairs: &[(Transform, EngineId)],
    loads: &[u32],
    bar: &indicatif::ProgressBar,
) -> Result<Vec<Compared>, String> {
    let (mut rigs, mut compared) = (Vec::new(), Vec::new());
    for (transform, engine) in pairs {
        let (size, sas, burst) = (arguments.size.clone(), arguments.sas, arguments.burst);
        let kind =
            Kind { transform: *transform, engine: *engine, direction: Direction::Outbound, size, sas, burst };
        let mut load = Load::new(&kind)?;
        let capacity_pps = load.capacity(arguments.seconds)?;
        rigs.push(load);
        let (transform, engine) = (transform.name(), engine.name());
        compared.push(Compared { transform, engine, capacity_pps, points: Vec::new() });
        bar.inc(1);
    }
    let least = compared.iter().map(|c| c.capacity_pps).fold(f64::INFINITY, f64::min);
    for load in loads {
        for (rig, compared) in rigs.iter_mut().zip(&mut compared) {
            let share = f64::from(*load) / 100.0;
            let pps = share * if arguments.common { least } else { compared.capacity_pps };
            let trial = rig.offer(pps, arguments.seconds)?;
            compared.points.push(Point::new(share, pps, &trial));
            bar.inc(1);
        }
    }
    Ok(compared)
}
