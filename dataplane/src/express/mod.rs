//! The express way: a batch of packets that need no decision, stage by stage; everything else takes the long way.
//!
//! ```text
//! classify -> look up -> prepare -> crypt -> finish      each over the whole batch
//!     \          \          \                    \
//!      long       long       long                 long   the packet as it came (after finish: the inner one)
//! ```
//!
//! Express are IPv4 packets without options or fragments and with eight bytes or more behind the header, whose flow the
//! long way has been asked about: in transit in clear, into an IPv4 tunnel, or out of one. Whatever tells, complains, waits, cuts or counts a loss is long. A packet
//! that takes the long way waits until those before it are through, so no flow's order changes; and because the express
//! way only repeats what the long way would do, the two are twins (see the tests).

mod classify;
mod crew;
mod finish;
mod flows;
mod open;
mod prepare;
mod resolve;
mod seal;
#[cfg(test)]
mod tests;
mod train;
mod work;

use std::sync::Arc;

use espalier_wire::ipv4;
use espalier_wire::plane::Direction;
use espalier_wire::{IfIndex, Instant, ether};

use crate::batch::Batch;
use crate::crypto::Key;
use crate::fate::Output;
use crate::pipeline::Security;
use crate::policy::PolicyRef;
use crate::sa::{InboundRef, Outbound};
use crate::watch::{Stage, Unwatched, Watch};
use crate::worker::Worker;

use classify::{Look, behind};
use crew::Crew;
pub use crew::Helper;
use flows::FlowCache;
use open::Inside;
use prepare::Stop;
use work::{Span, Task, Work};

const LINK: usize = ether::HEADER_LEN;
const IP: usize = ipv4::HEADER_LEN;

/// What the express way keeps from batch to batch.
pub(crate) struct Express {
    flows: FlowCache,
    /// How old the answers were when they were last looked up.
    looked_up: u32,
    looks: Vec<Look>,
    work: Work,
    /// What was seen inside of what was opened, from some packet on.
    insides: Vec<Inside>,
    /// What leaves, by interface, in order.
    leaving: Vec<Tally>,
    /// Frames behind one that takes the long way.
    rest: Batch,
    /// Who helps with the engine's part.
    crew: Crew,
    /// What came out while no output was at hand.
    early: Option<Box<Output>>,
    /// Packets took the long way and are not through it.
    pub(crate) long: bool,
}

impl Express {
    /// With room for the answers about `flows` flows.
    pub(crate) fn new(flows: usize) -> Self {
        Self {
            flows: FlowCache::new(flows),
            looked_up: 0,
            looks: Vec::new(),
            work: Work::default(),
            insides: Vec::new(),
            leaving: Vec::new(),
            rest: Batch::new(),
            crew: Crew::default(),
            early: None,
            long: false,
        }
    }

    /// Frames that helpers have, or had.
    pub(crate) fn under_way(&self) -> usize {
        let early = self.early.as_ref();
        self.crew.frames() + early.map_or(0, |out| out.transmit.len() + out.punts.len() + out.drops.len())
    }

    /// Whether something came out that was not put out yet.
    pub(crate) fn is_early(&self) -> bool {
        self.early.is_some()
    }

    /// Something was commanded: what was known holds no longer, and the long way may have something to do.
    fn forget(&mut self) {
        self.flows.forget();
        self.long = true;
    }
}

impl Security {
    /// The SA that a policy's packets go through.
    #[inline(always)]
    fn outbound(&self, policy: PolicyRef) -> Option<&Outbound> {
        self.policies.at(policy)?.outbound.as_ref()
    }

    /// The key of packets under way.
    #[inline(always)]
    fn key_of(&self, span: &Span) -> Option<&Arc<Key>> {
        match span.task {
            Task::Nothing => None,
            Task::Seal => Some(&self.outbound(PolicyRef::of_part(span.place))?.key),
            Task::Open => Some(&self.inbound.at(InboundRef::of_parts(span.place, span.generation))?.key),
        }
    }
}

/// What prepared packets have in common.
#[derive(Default)]
struct Run {
    /// How many there are.
    len: usize,
    /// How many looks they are all of.
    looks: usize,
    /// What the engine does with them; packets in clear go with either.
    direction: Option<Direction>,
    /// Bytes of frames, as they came.
    bytes: u64,
}

impl Worker {
    /// Take a batch of Ethernet frames that arrived on an interface.
    pub fn receive(&mut self, now: Instant, ingress: IfIndex, batch: &mut Batch, out: &mut Output) {
        self.receive_watched(now, ingress, batch, out, &mut Unwatched);
    }

    /// As [`Worker::receive`], and `watch` is told how far the batch has come.
    pub fn receive_watched(
        &mut self,
        now: Instant,
        ingress: IfIndex,
        batch: &mut Batch,
        out: &mut Output,
        watch: &mut impl Watch,
    ) {
        self.put_early(out);
        let mut looks = std::mem::take(&mut self.express.looks);
        self.classify(ingress, batch, &mut looks);
        watch.passed(Stage::Classify);
        self.look_up(&mut looks);
        watch.passed(Stage::LookUp);
        let (mut rest, mut left) = (std::mem::take(&mut self.express.rest), &mut looks[..]);
        self.express.work.frames.append(batch);
        while !left.is_empty() {
            let (run, stop) = self.prepare(now, ingress, left, out);
            rest.extend(self.express.work.frames.drain(run.len..));
            self.count_in(ingress, &run);
            left = behind(left, run.len);
            if left.is_empty() {
                watch.passed(Stage::Prepare);
                self.work_off(now, run.direction, out, watch);
                break;
            }
            self.work_off(now, run.direction, out, &mut Unwatched);
            if stop == Stop::Refused {
                self.settle(now, out);
                let long = long(left);
                for frame in rest.drain(..long) {
                    self.take_link(now, ingress, frame, out);
                }
                self.express.long = true;
                left = behind(left, long);
            }
            self.express.work.frames.append(&mut rest);
        }
        if self.express.long {
            self.run(now, out);
            watch.passed(Stage::Finish);
        }
        (self.express.looks, self.express.rest) = (looks, rest);
    }

    /// Give what was prepared to the engine, and what comes back out.
    fn work_off(
        &mut self,
        now: Instant,
        direction: Option<Direction>,
        out: &mut Output,
        watch: &mut impl Watch,
    ) {
        if self.express.work.is_empty() {
            return;
        }
        if !self.express.crew.is_alone() {
            return self.deal(now, direction, out);
        }
        let mut work = std::mem::take(&mut self.express.work);
        if direction == Some(Direction::Inbound) {
            work.open(|_, span| self.security.key_of(span).map(|key| &**key));
        } else {
            work.seal(|_, span| self.security.key_of(span).map(|key| &**key));
        }
        watch.passed(Stage::Crypt);
        self.finish(now, &mut work, direction, out);
        self.express.work = work;
        watch.passed(Stage::Finish);
    }

    /// Give what was prepared to a helper, and put out what is back.
    fn deal(&mut self, now: Instant, direction: Option<Direction>, out: &mut Output) {
        let (express, security) = (&mut self.express, &self.security);
        express.crew.deal(&mut express.work, direction, |span| security.key_of(span));
        self.collect(now, false, out);
    }

    /// Put out what helpers have done, in order; with `wait`, all that is under way.
    fn collect(&mut self, now: Instant, wait: bool, out: &mut Output) {
        while let Some(mut parcel) = self.express.crew.collect(wait) {
            self.finish(now, &mut parcel.work, parcel.direction, out);
            self.express.crew.keep(parcel);
        }
    }

    /// One more helper for this worker's crypto, to be run on another core; `depth` parcels may be on the way to it and
    /// back. With helpers, packets may come out of a later call than the one they went into: [`Worker::settle`] ends
    /// that.
    pub fn hire(&mut self, depth: usize) -> Helper {
        self.express.crew.hire(depth)
    }

    /// Wait for what helpers have, and put it out. Nothing is under way then.
    pub fn settle(&mut self, now: Instant, out: &mut Output) {
        self.put_early(out);
        self.collect(now, true, out);
    }

    /// Put out what helpers have done so far.
    pub fn gather(&mut self, now: Instant, out: &mut Output) {
        self.put_early(out);
        self.collect(now, false, out);
    }

    /// Before a command: what helpers have was prepared by what holds until then, and is finished by it. It comes out of
    /// the next call that puts out.
    pub(crate) fn settle_early(&mut self, now: Instant) {
        if self.express.crew.frames() > 0 {
            let mut early = self.express.early.take().unwrap_or_default();
            self.collect(now, true, &mut early);
            self.express.early = Some(early);
        }
        self.express.forget();
    }

    #[inline]
    pub(crate) fn put_early(&mut self, out: &mut Output) {
        if let Some(early) = self.express.early.take() {
            out.append(*early);
        }
    }

    fn count_in(&mut self, iface: IfIndex, came: &Run) {
        if let Some(link) = self.links.at_mut(iface) {
            link.counters.in_packets += came.len as u64;
            link.counters.in_bytes += came.bytes;
        }
    }

    fn count_out(&mut self, left: &Tally) {
        if let Some(link) = self.links.at_mut(left.iface) {
            link.counters.out_packets += u64::from(left.packets);
            link.counters.out_bytes += left.bytes;
        }
    }
}

/// How many packets take the long way: the first, and those behind it of which it is known.
fn long(looks: &[Look]) -> usize {
    let (first, rest) = looks.split_first().map_or((0, looks), |(first, rest)| {
        if first.is_long() || first.count == 1 { (first.count as usize, rest) } else { (1, &[][..]) }
    });
    first + rest.iter().take_while(|look| look.is_long()).map(|look| look.count as usize).sum::<usize>()
}

/// Packets that leave over one interface, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    iface: IfIndex,
    packets: u32,
    bytes: u64,
}

/// Add some to the last, if they leave over the same interface.
#[inline(always)]
fn tally(all: &mut Vec<Tally>, more: Tally) {
    match all.last_mut() {
        Some(last) if last.iface == more.iface => {
            last.packets += more.packets;
            last.bytes += more.bytes;
        }
        _ => all.push(more),
    }
}
