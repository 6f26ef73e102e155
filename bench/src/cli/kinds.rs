//! What `bench`, `compare`, `profile` and `cores` have in common: how the packets and the engine are named.

use std::iter;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use espalier_dataplane::crypto::{Choice, Engine, EngineId, Engines};
use espalier_wire::Transform;
use espalier_wire::ipv4::Ipv4;
use espalier_wire::plane::Direction;

use super::Failure;
use crate::capture::link::locate;
use crate::capture::{Packet, Reader};
use crate::measure::rig::{Size, Trace};

/// What a frame of the largest size leaves room for.
const SIZES: RangeInclusive<usize> = 28..=9000;
/// How many SAs there may be.
pub(super) const SAS: RangeInclusive<usize> = 1..=1_000_000;
/// How many packets may be handed over together.
pub(super) const BURSTS: RangeInclusive<usize> = 1..=512;

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Way {
    /// Clear packets in, ESP out
    Encap,
    /// ESP in, clear packets out
    Decap,
}

impl Way {
    pub(super) fn direction(self) -> Direction {
        match self {
            Self::Encap => Direction::Outbound,
            Self::Decap => Direction::Inbound,
        }
    }
}

pub(super) fn size(text: &str) -> Result<Size, String> {
    match text {
        "imix" => Ok(Size::Imix),
        number => in_range(SIZES)(number).map(Size::Fixed),
    }
}

pub(super) fn in_range(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |text| {
        let wrong = || format!("{text} is no number from {} to {}", range.start(), range.end());
        text.parse().ok().filter(|n| range.contains(n)).ok_or_else(wrong)
    }
}

/// Numbers that a list is made of: one, or `A..B`, which is A, its doubles below B, and B.
#[derive(Debug, Clone)]
pub(super) struct Counts(Vec<usize>);

impl Counts {
    /// All that were asked for, each once, in that order.
    pub(super) fn all(lists: &[Self]) -> Vec<usize> {
        let mut all = Vec::new();
        for count in lists.iter().flat_map(|list| &list.0) {
            if !all.contains(count) {
                all.push(*count);
            }
        }
        all
    }
}

pub(super) fn counts(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<Counts, String> + Clone {
    let one = in_range(range);
    move |text| {
        let Some((first, last)) = text.split_once("..") else { return Ok(Counts(vec![one(text)?])) };
        let (first, last) = (one(first)?, one(last)?);
        if first > last {
            return Err(format!("{text} goes down"));
        }
        let doubles = iter::successors(Some(first), |n| n.checked_mul(2)).take_while(|n| *n < last);
        Ok(Counts(doubles.chain([last]).collect()))
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no number of seconds above 0 and up to 3600");
    let s: f64 = text.parse().map_err(|_| wrong())?;
    if s > 0.0 && s <= 3600.0 { Ok(Duration::from_secs_f64(s)) } else { Err(wrong()) }
}

/// The engines that a choice means for a transform, each once: `auto` is one of the others.
pub(super) fn engines(choices: &[Choice], transform: Transform) -> Vec<EngineId> {
    let mut engines = Vec::new();
    for engine in choices.iter().filter_map(|choice| choice.engine(transform)).map(Engine::id) {
        if !engines.contains(&engine) {
            engines.push(engine);
        }
    }
    engines
}

/// Nothing asked for can be done.
pub(super) fn nothing_covered() -> Failure {
    let have: Vec<&str> = Engines::all().map(|e| e.id().name()).collect();
    Failure::Input(format!(
        "no engine asked for covers a transform asked for; this machine has {}: leave out --engine for the best",
        have.join(", ")
    ))
}

/// The IPv4 packets of a capture that a frame has room for.
pub(super) fn trace(path: &Path) -> Result<Size, Failure> {
    let name = path.display();
    let wrong = |what: &dyn std::fmt::Display| Failure::Input(format!("{name}: {what}"));
    let mut reader = Reader::open(path).map_err(|e| wrong(&e))?;
    let (mut packet, mut packets) = (Packet::default(), Vec::new());
    while packets.len() < 1 << 16 && reader.read(&mut packet).map_err(|e| wrong(&e))? {
        let link = reader.interfaces().get(packet.interface).map(|interface| interface.link);
        let located = link.and_then(|link| locate(link, &packet.bytes));
        let ip = located.and_then(|located| Ipv4::new_checked(packet.bytes.get(located.ip)?).ok());
        packets.extend(ip.map(|ip| ip.bytes().to_vec()).filter(|ip| SIZES.contains(&ip.len())));
    }
    if packets.is_empty() {
        return Err(wrong(&"no IPv4 packets of 28 to 9000 bytes in it"));
    }
    let name = path.file_name().map_or_else(|| name.to_string(), |name| name.to_string_lossy().into_owned());
    Ok(Size::Capture(Arc::new(Trace { name, packets })))
}
