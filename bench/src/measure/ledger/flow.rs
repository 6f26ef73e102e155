//! One direction of one traffic, packet by packet, in few bytes each: a run of minutes at a million packets a second
//! must fit into memory.
//!
//! A packet takes a word of fate and half a word of digest. When it was offered is computed where the traffic keeps a
//! steady rate, and kept only where it does not.

use espalier_wire::{Cause, Instant};

use crate::measure::recording::NodeId;

/// A constant rate: packet `n` is due `n` times the distance of two packets after the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steady {
    start: Instant,
    pps: f64,
    /// The distance, where it is whole nanoseconds: no rounding then, and no division.
    step: Option<u64>,
}

impl Steady {
    /// From `start` on, this many packets a second.
    pub fn new(start: Instant, pps: f64) -> Self {
        let step = 1e9 / pps;
        let whole = step >= 1.0 && step.fract() == 0.0 && step < 1e15;
        Self { start, pps, step: whole.then_some(step as u64) }
    }

    /// When packet `n` is due.
    #[inline]
    pub fn at(&self, n: u64) -> Instant {
        let after = match self.step {
            Some(step) => n.saturating_mul(step),
            None => (n as f64 / self.pps * 1e9).round() as u64,
        };
        Instant::from_ns(self.start.as_ns().saturating_add(after))
    }
}

/// When the packets of a flow were offered.
#[derive(Debug, Clone, PartialEq)]
enum Times {
    /// When their numbers say.
    Steady(Steady),
    /// Each at its own time; a number that was not offered has any.
    Each { at: Vec<u64>, newest: u64, in_order: bool },
}

/// A packet's fate in a word: what it is, whether a copy came damaged, and
/// delivered: how often again (16 bits) and the nanoseconds it took (45); else rank, cause and place of its loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fate(u64);

const DELIVERED: u64 = 1 << 63;
const OPEN: u64 = 1 << 62;
const CORRUPTED: u64 = 1 << 61;
const AGAIN_SHIFT: u32 = 45;
const TOOK_MASK: u64 = (1 << AGAIN_SHIFT) - 1;

impl Fate {
    /// Nothing of that number was offered.
    const NEVER: Self = Self(0);

    const fn is_offered(self) -> bool {
        self.0 & (DELIVERED | OPEN) != 0
    }

    const fn is_delivered(self) -> bool {
        self.0 & DELIVERED != 0
    }

    /// Of what did not arrive: 0 while it is under way.
    const fn rank(self) -> u8 {
        if self.is_delivered() { 0 } else { (self.0 >> 24) as u8 }
    }
}

/// One packet's life.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    flow: &'a Flow,
    number: usize,
    fate: Fate,
}

impl Record<'_> {
    /// When it was offered.
    #[inline]
    pub fn offered(&self) -> Instant {
        self.flow.offered(self.number)
    }

    /// When it arrived first, if it did.
    pub fn delivered(&self) -> Option<Instant> {
        let took = espalier_wire::Duration::from_ns(self.fate.0 & TOOK_MASK);
        self.fate.is_delivered().then(|| self.offered() + took)
    }

    /// Where and why it was lost, if it was.
    pub fn lost(&self) -> Option<(NodeId, Cause)> {
        let cause = Cause::ALL.get(usize::from((self.fate.0 >> 16) as u8)).copied();
        let place = NodeId(self.fate.0 as u16);
        (!self.fate.is_delivered()).then_some((place, cause.unwrap_or(Cause::EndOfRun)))
    }

    /// How many more times it arrived.
    pub fn duplicates(&self) -> u16 {
        if self.fate.is_delivered() { (self.fate.0 >> AGAIN_SHIFT) as u16 } else { 0 }
    }

    /// It arrived with other bytes than were offered.
    pub fn is_corrupted(&self) -> bool {
        self.fate.0 & CORRUPTED != 0
    }
}

/// One direction of one traffic.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// NAME, or NAME/reply.
    pub name: String,
    /// The packet numbers in the order of their first arrival overtaken by a later one.
    pub reordered: u64,
    newest: Option<u64>,
    times: Times,
    fates: Vec<Fate>,
    /// The lower half of each packet's digest.
    digests: Vec<u32>,
    so_far: Tally,
}

/// A flow in three numbers while it runs: what is neither delivered nor lost is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Tally {
    pub offered: u64,
    pub delivered: u64,
    pub lost: u64,
}

impl Flow {
    /// A flow without a packet.
    pub(super) fn new(name: String) -> Self {
        let times = Times::Each { at: Vec::new(), newest: 0, in_order: true };
        let (fates, digests, so_far) = (Vec::new(), Vec::new(), Tally::default());
        Self { name, reordered: 0, newest: None, times, fates, digests, so_far }
    }

    /// The flow will keep this rate; a packet offered at another time than its number says ends that.
    pub(super) fn keep(&mut self, steady: Steady) {
        if self.fates.is_empty() {
            self.times = Times::Steady(steady);
        }
    }

    /// Whether anything was offered.
    pub(super) fn is_empty(&self) -> bool {
        self.fates.is_empty()
    }

    /// The packets that were offered, in the order of their numbers.
    pub fn packets(&self) -> impl Iterator<Item = Record<'_>> {
        let record = |(number, fate): (usize, &Fate)| Record { flow: self, number, fate: *fate };
        self.fates.iter().enumerate().filter(|(_, fate)| fate.is_offered()).map(record)
    }

    /// The packets that were offered, in the order in which they were.
    pub fn in_time(&self) -> impl Iterator<Item = Record<'_>> {
        let sorted = match &self.times {
            Times::Steady(_) | Times::Each { in_order: true, .. } => None,
            Times::Each { .. } => {
                let mut all: Vec<_> = self.packets().collect();
                all.sort_by_key(Record::offered);
                Some(all)
            }
        };
        let as_they_are = sorted.is_none().then(|| self.packets());
        as_they_are.into_iter().flatten().chain(sorted.into_iter().flatten())
    }

    /// What came of its packets so far.
    pub const fn so_far(&self) -> Tally {
        self.so_far
    }

    /// How many packets that were offered after `since` have neither arrived nor ended anywhere.
    pub fn under_way(&self, since: Instant) -> u64 {
        let young = self.fates.iter().enumerate().rev().filter(|(_, fate)| fate.is_offered());
        let young = young.take_while(|(number, _)| self.offered(*number) > since);
        young.filter(|(_, fate)| !fate.is_delivered() && fate.rank() == 0).count() as u64
    }

    #[inline]
    fn offered(&self, number: usize) -> Instant {
        match &self.times {
            Times::Steady(steady) => steady.at(number as u64),
            Times::Each { at, .. } => Instant::from_ns(at.get(number).copied().unwrap_or(0)),
        }
    }

    /// A packet is offered, with this digest of its payload.
    pub(super) fn offer(&mut self, number: u64, at: Instant, digest: u64) {
        if matches!(&self.times, Times::Steady(steady) if steady.at(number) != at) {
            self.keep_each();
        }
        let Ok(place) = usize::try_from(number) else { return };
        let first = self.fates.len();
        if first <= place {
            self.fates.resize(place + 1, Fate::NEVER);
            self.digests.resize(place + 1, 0);
        }
        // An answer that is given again begins again.
        let old = std::mem::replace(&mut self.fates[place], Fate(OPEN));
        self.so_far.offered += u64::from(!old.is_offered());
        self.so_far.delivered -= u64::from(old.is_delivered());
        self.so_far.lost -= u64::from(old.rank() > 0);
        self.digests[place] = digest as u32;
        if let Times::Each { at: times, newest, in_order } = &mut self.times {
            times.resize(self.fates.len(), 0);
            times[place] = at.as_ns();
            *in_order &= first <= place && *newest <= at.as_ns();
            *newest = at.as_ns();
        }
    }

    /// The rate was not kept: every packet's time is.
    #[cold]
    fn keep_each(&mut self) {
        let at: Vec<u64> = (0..self.fates.len()).map(|n| self.offered(n).as_ns()).collect();
        let newest = at.last().copied().unwrap_or(0);
        self.times = Times::Each { at, newest, in_order: true };
    }

    fn fate(&self, number: u64) -> Option<(usize, Fate)> {
        let place = usize::try_from(number).ok()?;
        let fate = self.fates.get(place).copied()?;
        fate.is_offered().then_some((place, fate))
    }

    /// A copy arrived where it should, with this digest. `false`: it is not what was offered.
    pub(super) fn deliver(&mut self, number: u64, at: Instant, digest: u64) -> bool {
        let Some((place, fate)) = self.fate(number) else { return true };
        if self.digests.get(place) != Some(&(digest as u32)) {
            self.fates[place].0 |= CORRUPTED;
            return false;
        }
        if fate.is_delivered() {
            if (fate.0 >> AGAIN_SHIFT) as u16 != u16::MAX {
                self.fates[place].0 += 1 << AGAIN_SHIFT;
            }
            return true;
        }
        let offered = self.offered(place);
        let took = (at.max(offered) - offered).as_ns().min(TOOK_MASK);
        self.fates[place] = Fate(DELIVERED | (fate.0 & CORRUPTED) | took);
        self.so_far.delivered += 1;
        // A copy of it had ended elsewhere.
        self.so_far.lost -= u64::from(fate.rank() > 0);
        // RFC 4737 section 3.3: a packet is reordered when its number is lower than one that arrived before.
        if self.newest.is_some_and(|n| number < n) {
            self.reordered += 1;
        } else {
            self.newest = Some(number);
        }
        true
    }

    /// A copy ended elsewhere; of several, the cause of the highest rank stands, and the latest of that.
    pub(super) fn lose(&mut self, number: u64, node: NodeId, (cause, rank): (Cause, u8)) {
        let Some((place, fate)) = self.fate(number) else { return };
        if !fate.is_delivered() && rank >= fate.rank() {
            self.so_far.lost += u64::from(fate.rank() == 0);
            let why = u64::from(rank) << 24 | (cause as u64) << 16 | u64::from(node.0);
            self.fates[place] = Fate(OPEN | (fate.0 & CORRUPTED) | why);
        }
    }

    /// What neither arrived nor ended anywhere is lost.
    pub(super) fn close(&mut self, node: NodeId, (cause, rank): (Cause, u8)) {
        let why = u64::from(rank) << 24 | (cause as u64) << 16 | u64::from(node.0);
        for fate in &mut self.fates {
            if fate.is_offered() && !fate.is_delivered() && fate.rank() == 0 {
                fate.0 |= why;
                self.so_far.lost += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_whole_step_is_what_rounding_gives(hz in 1u64..2_000_000, n in 0u64..1_000_000_000) {
            let start = Instant::from_ns(5);
            let steady = Steady::new(start, hz as f64);
            let rounded = (n as f64 / hz as f64 * 1e9).round() as u64;
            prop_assert_eq!(steady.at(n).as_ns(), 5 + rounded);
        }

        #[test]
        fn a_rate_that_is_not_kept_loses_no_time(late in proptest::collection::vec(0u64..3, 1..40)) {
            let steady = Steady::new(Instant::ZERO, 1e6);
            let (mut kept, mut each) = (Flow::new("f".into()), Flow::new("f".into()));
            kept.keep(steady);
            for (n, late) in late.iter().enumerate() {
                // Mostly on time.
                let at = Instant::from_ns(steady.at(n as u64).as_ns() + 1500 * (late / 2));
                kept.offer(n as u64, at, 7);
                each.offer(n as u64, at, 7);
                prop_assert!(kept.deliver(n as u64, Instant::from_ns(1 << 30), 7));
                prop_assert!(each.deliver(n as u64, Instant::from_ns(1 << 30), 7));
            }
            let of = |flow: &Flow| -> Vec<_> {
                flow.in_time().map(|r| (r.offered(), r.delivered())).collect()
            };
            prop_assert_eq!(of(&kept), of(&each));
            prop_assert!(of(&kept).is_sorted());
        }
    }
}
