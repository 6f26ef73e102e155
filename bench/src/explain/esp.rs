//! ESP as it passes by: which SAs there were, what is missing of each, and when a direction was silent.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::{Duration, Instant};

use super::lanes::{Key, Said};
use super::{Event, Sa};
use crate::measure::series::Stretch;

/// Silence shorter than this is nobody's outage.
const SHORTEST: Duration = Duration::from_ms(500);
/// Nor is one shorter than this many of the direction's usual intervals.
const INTERVALS: u64 = 10;

/// A page draws a direction with about as many bins.
const BINS: u64 = 1500;
/// Bins are made of such cells: packets seen and missing are counted in these while it is not known how long it all lasts.
const CELL: Duration = Duration::from_ms(10);
/// What is missing of a longer stretch than this many cells is counted at its end …
const SPREAD: u64 = 100_000;
/// … and so is all that is missing once this many were filled: a few packets of a forger's may claim any time and number.
const ALL_SPREAD: u64 = 4_000_000;
/// The busiest directions are drawn, so many at most.
const DRAWN: usize = 1000;

pub(super) type Direction = (Ipv4Addr, Ipv4Addr);

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
    /// Sequence numbers passed over, by when.
    missing: Vec<(Instant, Instant, u32)>,
    /// By cell: seen, missing.
    cells: BTreeMap<u64, (u32, u32)>,
    capture: usize,
}

const fn cell(at: Instant) -> u64 {
    at.as_ns() / CELL.as_ns()
}

impl Pace {
    /// So many sequence numbers were passed over since the last packet: evenly, as far as anybody can say. `spread` are the
    /// cells that all directions have filled so.
    fn passed_over(&mut self, at: Instant, missing: u32, spread: &mut u64) {
        if self.missing.len() < MOST {
            self.missing.push((self.last, at, missing));
        }
        let (from, to) = (cell(self.last).min(cell(at)), cell(at));
        let from = if to - from > SPREAD || *spread > ALL_SPREAD { to } else { from };
        let (cells, missing) = (to - from + 1, u64::from(missing));
        *spread += cells;
        for n in 0..cells {
            let share = missing * (n + 1) / cells - missing * n / cells;
            if share > 0 {
                let lost = &mut self.cells.entry(from + n).or_default().1;
                *lost = lost.saturating_add(u32::try_from(share).unwrap_or(u32::MAX));
            }
        }
    }
}

/// Stretches of lost packets told of a direction at most.
const MOST: usize = 1000;

/// All ESP of some captures.
#[derive(Debug, Default)]
pub(super) struct Flows {
    sas: BTreeMap<(Direction, u32), Seen>,
    directions: BTreeMap<Direction, Pace>,
    spread: u64,
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
            missing: Vec::new(),
            cells: BTreeMap::new(),
            capture,
        };
        let pace = self.directions.entry(direction).or_insert_with(fresh);
        if pace.capture != capture {
            return;
        }
        let span = at - pace.last;
        let same = pace.spi == spi && pace.packets > 0;
        let missing = same.then(|| sequence.saturating_sub(pace.sequence).saturating_sub(1));
        if span >= SHORTEST {
            let (from, spis) = (pace.last, (pace.spi, spi));
            pace.silences.push(Silence { from, to: at, spis, missing });
        } else {
            pace.busy = pace.busy + span;
        }
        if let Some(missing) = missing.filter(|n| *n > 0) {
            pace.passed_over(at, missing, &mut self.spread);
        }
        pace.cells.entry(cell(at)).or_default().0 += 1;
        pace.packets += 1;
        (pace.last, pace.spi, pace.sequence) = (pace.last.max(at), spi, sequence);
    }

    /// What there was of each SA and what was not, as lanes.
    pub(super) fn said(&self) -> Vec<Said> {
        let key = |src, machine, dst| Key { node: src, machine, name: format!("to {dst}") };
        let mut all = Vec::new();
        let mut say = |at, key: Key, slot: &str, state: Option<String>| {
            all.push(Said { at, key, slot: slot.to_owned(), state });
        };
        let silences =
            self.directions.iter().flat_map(|(ends, pace)| pace.silences.iter().map(|s| (*ends, s)));
        let mut own: BTreeMap<(Direction, u32), Vec<&Silence>> = BTreeMap::new();
        for (ends, silence) in silences.filter(|(_, s)| s.spis.0 == s.spis.1) {
            own.entry((ends, silence.spis.0)).or_default().push(silence);
        }
        for (sa @ ((src, dst), spi), seen) in &self.sas {
            let (key, name) = (key(*src, "sa", dst), format!("0x{spi:08x}"));
            say(seen.first, key.clone(), &name, Some(name.clone()));
            for silence in own.get(sa).into_iter().flatten().take(MOST) {
                say(silence.from, key.clone(), &name, None);
                say(silence.to, key.clone(), &name, Some(name.clone()));
            }
            say(seen.last, key, &name, None);
        }
        for ((src, dst), pace) in &self.directions {
            for (from, to, n) in &pace.missing {
                let (key, slot) = (key(*src, "missing", dst), from.as_ns().to_string());
                say(*from, key.clone(), &slot, Some(format!("{n} missing")));
                say(*to, key, &slot, None);
            }
        }
        all
    }

    /// The directions' packets over time, seen and missing, from `start` to `end`.
    pub(super) fn series(&self, start: Instant, end: Instant) -> Vec<(Direction, Stretch)> {
        let cells = cell(end).saturating_sub(cell(start)) + 1;
        let width = cells.div_ceil(BINS).max(1);
        let bins = usize::try_from(cells.div_ceil(width)).unwrap_or_default();
        let of = |(direction, pace): (&Direction, &Pace)| {
            let (mut delivered, mut lost) = (vec![0_u32; bins], vec![0_u32; bins]);
            for (at, (seen, missing)) in &pace.cells {
                let bin = usize::try_from(at.saturating_sub(cell(start)) / width).unwrap_or_default();
                if let (Some(d), Some(l)) = (delivered.get_mut(bin), lost.get_mut(bin)) {
                    *d = d.saturating_add(*seen);
                    *l = l.saturating_add(*missing);
                }
            }
            let bin_s = CELL.times(width).as_s();
            (*direction, Stretch { from_s: 0.0, bin_s, delivered, lost })
        };
        let mut busiest: Vec<(&Direction, &Pace)> = self.directions.iter().collect();
        if busiest.len() > DRAWN {
            busiest.sort_by_key(|(_, pace)| std::cmp::Reverse(pace.packets));
            busiest.truncate(DRAWN);
            busiest.sort_by_key(|(direction, _)| **direction);
        }
        busiest.into_iter().map(of).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of eight bytes that claim whatever times and numbers cost the most.
    #[test]
    fn a_forgers_claims_take_bounded_memory() {
        let mut flows = Flows::default();
        for n in 0..2000_u32 {
            let (at, dst) = (Instant::ZERO + CELL.times(SPREAD / 4).times(n.into()), Ipv4Addr::from(n % 3));
            let esp = [[0, 0, 1, 0], (n * 1_000_000).to_be_bytes()].concat();
            flows.esp(at, Ipv4Addr::LOCALHOST, dst, &esp);
        }
        let cells: usize = flows.directions.values().map(|pace| pace.cells.len()).sum();
        assert!(cells as u64 <= ALL_SPREAD + SPREAD + 2000, "{cells}");
        for n in 0..3000_u32 {
            flows.esp(Instant::ZERO, Ipv4Addr::from(n), Ipv4Addr::LOCALHOST, &[0, 0, 1, 0, 0, 0, 0, 1]);
        }
        let drawn = flows.series(Instant::ZERO, Instant::ZERO + CELL.times(SPREAD));
        assert_eq!(drawn.len(), DRAWN);
        assert!(drawn.iter().any(|(direction, _)| direction.0 == Ipv4Addr::LOCALHOST), "the busiest");
    }
}
