//! `espalier profile`: where the time of a packet goes, stage by stage.

use std::time::Duration;

use espalier_dataplane::crypto::Choice;
use espalier_wire::Transform;

use super::kinds::{self, BURSTS, SAS, Way, in_range, seconds, size};
use super::{Failure, print, print_json};
use crate::drive::pin;
use crate::drive::topology::Topology;
use crate::manifest::Manifest;
use crate::measure::clock;
use crate::measure::rig::{Kind, Size};
use crate::measure::stages::profile;
use crate::report::bench::BenchManifest;
use crate::report::profile::{Document, text};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  espalier profile --transform des-md5 --size 1408\n  \
    espalier profile --transform aes128-gcm --size 64 --direction decap --sas 10000\n  \
    espalier profile --transform aes128-gcm --folded | inferno-flamegraph >stages.svg")]
pub(super) struct Arguments {
    /// The transform
    #[arg(long, value_name = "T", default_value = "aes128-gcm")]
    transform: Transform,
    /// The engine: auto, scalar, library, simd; ipsec-mb where it is built in
    #[arg(long, value_name = "E", default_value = "auto")]
    engine: Choice,
    /// Bytes of the inner IP packet (28 to 9000), or imix
    #[arg(long, value_name = "N", value_parser = size, default_value = "64")]
    size: Size,
    /// Which way
    #[arg(long, default_value = "encap")]
    direction: Way,
    /// Security associations that the packets are spread over at random (1 to 1000000)
    #[arg(long, value_name = "N", value_parser = in_range(SAS), default_value = "1")]
    sas: usize,
    /// Packets handed over together (1 to 512)
    #[arg(long, value_name = "N", value_parser = in_range(BURSTS), default_value = "64")]
    burst: usize,
    /// Seconds within the dataplane
    #[arg(long, value_name = "S", value_parser = seconds, allow_negative_numbers = true, default_value = "0.5")]
    seconds: Duration,
    /// Print lines for a flame graph: stack, then picoseconds a packet
    #[arg(long, conflicts_with = "json")]
    folded: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let engine = kinds::engines(&[arguments.engine], arguments.transform).pop();
    let kind = Kind {
        transform: arguments.transform,
        engine: engine.ok_or_else(kinds::nothing_covered)?,
        direction: arguments.direction.direction(),
        size: arguments.size.clone(),
        sas: arguments.sas,
        burst: arguments.burst,
    };
    let manifest = Manifest::here("real", None);
    let pinned_core = Topology::here().cores.first().copied().filter(|core| pin::to_core(*core));
    let core_hz = clock::core_hz();
    let profile = profile(&kind, arguments.seconds, core_hz).map_err(Failure::Check)?;
    let document = Document::new(&kind, profile, BenchManifest { manifest, pinned_core, core_hz });
    if arguments.json {
        print_json(&document)?;
    } else if arguments.folded {
        print(&document.folded())?;
    } else {
        print(&text(&document))?;
    }
    match document.verified {
        true => Ok(()),
        false => Err(Failure::Check(format!("{} by {}: results are wrong", kind.transform, kind.engine))),
    }
}
