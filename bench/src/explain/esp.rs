//! ESP as it passes by: which SAs there were, what is missing of each, and when a direction was silent.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::{Duration, Instant};

use super::{Event, Sa};

/// Silence shorter than this is nobody's outage.
const SHORTEST: Duration = Duration::from_ms(500);
/// Nor is one shorter than this many of the direction's usual intervals.
const INTERVALS: u64 = 10;

type Direction = (Ipv4Addr, Ipv4Addr);

#[derive(Debug)]
struct Seen {
    first: Instant,
    last: Instant,
    packets: u64,
    low: u32,
    high: u32,
    late: u64,
    /// The capture that it was seen in first: what others saw of it counts once.
    capture: usize,
}

/// A direction's silence, between two of its packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silence {
    pub(super) from: Instant,
    pub(super) to: Instant,
    pub(super) spis: (u32, u32),
    /// Sequence numbers passed over, when the SA is the same.
    pub(super) missing: Option<u32>,
}

#[derive(Debug)]
struct Pace {
    last: Instant,
    spi: u32,
    sequence: u32,
    packets: u64,
    /// Time between packets, silences left out.
    busy: Duration,
    silences: Vec<Silence>,
    capture: usize,
}

/// All ESP of some captures.
#[derive(Debug, Default)]
pub(super) struct Flows {
    sas: BTreeMap<(Direction, u32), Seen>,
    directions: BTreeMap<Direction, Pace>,
    capture: usize,
}

impl Flows {
    /// What comes now is of another capture.
    pub(super) const fn next_capture(&mut self) {
        self.capture += 1;
    }

    /// A packet, from its SPI on. What is too short, or a reserved SPI (RFC 4303 section 2.1), is none.
    pub(super) fn esp(&mut self, at: Instant, src: Ipv4Addr, dst: Ipv4Addr, esp: &[u8]) {
        let word = |from: usize| Some(u32::from_be_bytes(*esp.get(from..)?.first_chunk::<4>()?));
        let (Some(spi), Some(sequence)) = (word(0).filter(|spi| *spi >= 256), word(4)) else { return };
        let capture = self.capture;
        let fresh =
            || Seen { first: at, last: at, packets: 0, low: sequence, high: sequence, late: 0, capture };
        let seen = self.sas.entry(((src, dst), spi)).or_insert_with(fresh);
        if seen.capture != capture {
            return;
        }
        seen.late += u64::from(seen.packets > 0 && sequence <= seen.high);
        seen.packets += 1;
        (seen.last, seen.low, seen.high) = (at, seen.low.min(sequence), seen.high.max(sequence));
        self.pace(at, (src, dst), spi, sequence);
    }

    fn pace(&mut self, at: Instant, direction: Direction, spi: u32, sequence: u32) {
        let capture = self.capture;
        let fresh = || Pace {
            last: at,
            spi,
            sequence,
            packets: 0,
            busy: Duration::ZERO,
            silences: Vec::new(),
            capture,
        };
        let pace = self.directions.entry(direction).or_insert_with(fresh);
        if pace.capture != capture {
            return;
        }
        let span = at - pace.last;
        if span >= SHORTEST {
            let missing = (pace.spi == spi).then(|| sequence.saturating_sub(pace.sequence).saturating_sub(1));
            let (from, spis) = (pace.last, (pace.spi, spi));
            pace.silences.push(Silence { from, to: at, spis, missing });
        } else {
            pace.busy = pace.busy + span;
        }
        pace.packets += 1;
        (pace.last, pace.spi, pace.sequence) = (pace.last.max(at), spi, sequence);
    }

    /// First and last packets.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> + '_ {
        self.sas.iter().flat_map(|(((src, dst), spi), seen)| {
            let event = |at, text| Event { at, source: "esp", milestone: None, text };
            let Seen { first, last, packets, .. } = seen;
            [
                event(*first, format!("first packet {src} -> {dst}, SPI 0x{spi:08x}")),
                event(*last, format!("last packet {src} -> {dst}, SPI 0x{spi:08x}, after {packets}")),
            ]
        })
    }

    /// The silences of each direction that are longer than its own pace explains.
    pub(super) fn silences(&self) -> impl Iterator<Item = (Direction, &Silence)> {
        self.directions.iter().flat_map(|(direction, pace)| {
            let paced = pace.packets.saturating_sub(pace.silences.len() as u64).max(1);
            let usual = Duration::from_ns(pace.busy.as_ns() / paced);
            let long = move |s: &&Silence| s.to - s.from >= usual.times(INTERVALS);
            pace.silences.iter().filter(long).map(|s| (*direction, s))
        })
    }

    pub(super) fn sas(&self, start: Instant) -> Vec<Sa> {
        let sa = |(((src, dst), spi), seen): (&(Direction, u32), &Seen)| Sa {
            src: *src,
            dst: *dst,
            spi: format!("0x{spi:08x}"),
            packets: seen.packets,
            missing: (u64::from(seen.high - seen.low) + 1).saturating_sub(seen.packets - seen.late),
            again_or_late: seen.late,
            first_s: (seen.first - start).as_s(),
            last_s: (seen.last - start).as_s(),
        };
        let mut all: Vec<Sa> = self.sas.iter().map(sa).collect();
        all.sort_by(|a, b| a.first_s.total_cmp(&b.first_s));
        all
    }
}
