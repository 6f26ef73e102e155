//! `espalier cores`: how transforms scale over owners and helpers, measured and beyond that modelled.

use std::time::Duration;

use espalier_dataplane::crypto::Choice;
use espalier_wire::Transform;

use super::kinds::{self, BURSTS, Way, in_range, seconds, size};
use super::{Failure, print, print_json};
use crate::drive::layout::Layout;
use crate::drive::pin;
use crate::drive::topology::Topology;
use crate::manifest::Manifest;
use crate::measure::clock;
use crate::measure::rig::{Kind, Size};
use crate::measure::scaling::scale;
use crate::measure::throughput::{Machine, way};
use crate::report::bench::BenchManifest;
use crate::report::cores::{Document, SCHEMA, Scaled, text};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  espalier cores des-md5 aes128-gcm\n  \
    espalier cores 3des-sha1 --size 1408 --layout 1,1+1,1+7,8x")]
pub(super) struct Arguments {
    /// Transforms; a wrong one is answered with the list of them
    #[arg(value_name = "T", default_values = ["des-md5", "3des-sha1", "aes128-gcm"])]
    transforms: Vec<Transform>,
    /// Owners of SAs and helpers; those beyond this machine's cores are modelled only
    #[arg(
        long,
        value_name = "L,…",
        value_delimiter = ',',
        default_value = "1,1+1,2x,1+3,4x,1+7,2x+3,8x,1+15,16x"
    )]
    layout: Vec<Layout>,
    /// The engine: auto, scalar, library, simd; ipsec-mb where it is built in
    #[arg(long, value_name = "E", default_value = "auto")]
    engine: Choice,
    /// Bytes of the inner IP packet (28 to 9000), or imix
    #[arg(long, value_name = "N", value_parser = size, default_value = "512")]
    size: Size,
    /// Which way
    #[arg(long, default_value = "encap")]
    direction: Way,
    /// Packets handed over together (1 to 512)
    #[arg(long, value_name = "N", value_parser = in_range(BURSTS), default_value = "64")]
    burst: usize,
    /// Seconds for each layout
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true, default_value = "0.5")]
    seconds: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let manifest = Manifest::here("real", None);
    let topology = Topology::here();
    let pinned_core = topology.cores.first().copied().filter(|core| pin::to_core(*core));
    let machine = Machine { cores: topology.cores, core_hz: clock::core_hz() };
    let mut transforms = Vec::new();
    for transform in &arguments.transforms {
        let engine =
            kinds::engines(&[arguments.engine], *transform).pop().ok_or_else(kinds::nothing_covered)?;
        // Owners share SAs by halves, so there is one for each of the most.
        let sas = arguments.layout.iter().map(|layout| layout.owners).max().unwrap_or(1);
        let kind = Kind {
            transform: *transform,
            engine,
            direction: arguments.direction.direction(),
            size: arguments.size.clone(),
            sas,
            burst: arguments.burst,
        };
        let (costs, points) =
            scale(&kind, &arguments.layout, arguments.seconds, &machine).map_err(Failure::Check)?;
        let (transform, engine) = (transform.name(), engine.name());
        transforms.push(Scaled { transform, engine, costs, helpers_wanted: costs.saturation(), points });
    }
    let document = Document {
        schema: SCHEMA,
        direction: way(arguments.direction.direction()),
        size: arguments.size.to_string(),
        burst: arguments.burst,
        transforms,
        manifest: BenchManifest { manifest, pinned_core, core_hz: machine.core_hz },
    };
    if arguments.json {
        return print_json(&document);
    }
    print(&text(&document))
}
