//! The express way: a batch of packets that need no decision, stage by stage; everything else takes the long way.
//!
//! ```text
//! classify -> look up -> prepare -> crypt -> finish      each over the whole batch
//!     \          \          \                    \
//!      long       long       long                 long   the packet as it came (after finish: the inner one)
//! ```
//!
//! Express are IPv4 packets without options or fragments, whose flow the long way has been asked about: in transit in
//! clear, into an IPv4 tunnel, or out of one. Whatever tells, complains, waits, cuts or counts a loss is long. A packet
//! that takes the long way waits until those before it are through, so no flow's order changes; and because the express
//! way only repeats what the long way would do, the two are twins (see the tests).

mod crew;
mod flows;
mod open;
mod resolve;
mod seal;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use espalier_wire::ipv4::protocol;
use espalier_wire::plane::Direction;
use espalier_wire::{Cause, IfIndex, Instant, Mac, Spi, checksum, ether};

use crate::batch::Batch;
use crate::crypto::Key;
use crate::fate::Output;
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::policy::PolicyRef;
use crate::sa::InboundRef;
use crate::stage::crypt::{Plan, Work};
use crate::stage::forward;
use crate::watch::{Stage, Watch};
use crate::worker::Worker;

use crew::Crew;
pub use crew::Helper;
use flows::{Adjacency, FlowCache, FlowKey, Way, has_ports};

const LINK: usize = ether::HEADER_LEN;
const IP: usize = 20;
/// How many frames ahead headers are fetched.
const AHEAD: usize = 8;

/// What a packet is to the express way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    /// Something it does not know.
    Long,
    /// In transit.
    Transit,
    /// ESP for one of our addresses.
    Esp,
}

/// What the first looks at a frame found. Flat, so that a batch of them is written and read by fields.
#[derive(Debug, Clone, Copy)]
struct Look {
    is: Is,
    /// Bytes of packet.
    len: u16,
    /// In transit: where the answer about its flow is. ESP: its SPI, then the place of its SA.
    place: u32,
    generation: u32,
    key: FlowKey,
}

const LONG: Look = Look { is: Is::Long, len: 0, place: 0, generation: 0, key: FlowKey::NONE };

/// What the engine does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Nothing,
    Seal,
    Open,
}

/// What is noted of a packet while the engine has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Note {
    task: Task,
    /// Where it leaves; of what is opened this is not known yet.
    iface: IfIndex,
    /// The policy it is sealed for.
    policy: PolicyRef,
    /// The SA it is opened by, …
    sa: InboundRef,
    /// … and its sequence number.
    seq: u64,
}

const NOTHING: Note =
    Note { task: Task::Nothing, iface: IfIndex(0), policy: PolicyRef::NONE, sa: InboundRef::NONE, seq: 0 };

/// What the express way keeps from batch to batch.
pub(crate) struct Express {
    flows: FlowCache,
    looks: Vec<Look>,
    work: Work<Note>,
    /// What the work is; packets in clear go with either.
    direction: Option<Direction>,
    /// Who helps with the engine's part.
    crew: Crew,
    /// Packets took the long way and are not through it.
    pub(crate) long: bool,
}

impl Express {
    /// With room for the answers about `flows` flows.
    pub(crate) fn new(flows: usize) -> Self {
        Self {
            flows: FlowCache::new(flows),
            looks: Vec::new(),
            work: Work::default(),
            direction: None,
            crew: Crew::default(),
            long: false,
        }
    }

    /// Frames that helpers have.
    pub(crate) fn under_way(&self) -> usize {
        self.crew.frames()
    }

    /// Something was commanded: what was known holds no longer, and the long way may have something to do.
    pub(crate) fn commanded(&mut self) {
        self.flows.forget();
        self.long = true;
    }
}

impl Security {
    /// The key of a packet under way.
    #[inline(always)]
    fn key_of(&self, note: &Note) -> Option<&Arc<Key>> {
        match note.task {
            Task::Nothing => None,
            Task::Seal => Some(&self.policies.at(note.policy)?.outbound.as_ref()?.key),
            Task::Open => Some(&self.inbound.at(note.sa)?.key),
        }
    }
}

impl Worker {
    /// Take a batch of Ethernet frames that arrived on an interface.
    pub fn receive(&mut self, now: Instant, ingress: IfIndex, batch: &mut Batch, out: &mut Output) {
        self.receive_watched(now, ingress, batch, out, &mut crate::watch::Unwatched);
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
        let mut looks = std::mem::take(&mut self.express.looks);
        self.classify(ingress, batch, &mut looks);
        watch.passed(Stage::Classify);
        self.look_up(&mut looks, batch);
        watch.passed(Stage::LookUp);
        let mut came = Tally::default();
        for (frame, look) in batch.drain(..).zip(&looks) {
            let len = frame.len();
            match self.prepare(now, ingress, frame, look, out) {
                Ok(()) => came.add(len),
                Err(frame) => {
                    // Those before it go first.
                    self.work_off(now, out, &mut crate::watch::Unwatched);
                    self.settle(now, out);
                    self.take_link(now, ingress, frame, out);
                    self.express.long = true;
                }
            }
        }
        if let Some(link) = self.links.at_mut(ingress) {
            link.counters.in_packets += came.packets;
            link.counters.in_bytes += came.bytes;
        }
        watch.passed(Stage::Prepare);
        self.work_off(now, out, watch);
        if self.express.long {
            self.run(now, out);
        }
        self.express.looks = looks;
    }

    /// The first look: link and IP headers.
    fn classify(&mut self, ingress: IfIndex, batch: &Batch, looks: &mut Vec<Look>) {
        looks.clear();
        let link = self.links.at(ingress).filter(|link| link.iface.up && !self.express.flows.is_off());
        let Some(link) = link else { return looks.resize(batch.len(), LONG) };
        batch.iter().take(AHEAD).for_each(Frame::fetch);
        let (own, also) = (link.iface.mac, &link.iface.also_accepts);
        let accepts = |dst: Mac| dst == own || (dst.0[0] & 1 == 0 && also.contains(&dst));
        for (at, frame) in batch.iter().enumerate() {
            if let Some(ahead) = batch.get(at + AHEAD) {
                ahead.fetch();
            }
            looks.push(self.glance(ingress, frame, accepts));
        }
    }

    #[inline(always)]
    fn glance(&self, ingress: IfIndex, frame: &Frame, accepts: impl Fn(Mac) -> bool) -> Look {
        let bytes = frame.bytes();
        let Some(header) = bytes.first_chunk::<{ LINK + IP + 4 }>() else { return LONG };
        let [d0, d1, d2, d3, d4, d5, ..] = *header;
        if !accepts(Mac([d0, d1, d2, d3, d4, d5]))
            || header[12..14] != [8, 0]
            || frame.meta.control
            || frame.meta.egress.is_some()
        {
            return LONG;
        }
        let Some((key, len)) = read_key(&bytes[LINK..], frame.meta.opened, ingress) else { return LONG };
        let next = [header[LINK + IP], header[LINK + IP + 1], header[LINK + IP + 2], header[LINK + IP + 3]];
        if key.protocol == protocol::ESP && self.links.local.has_ipv4(key.dst) {
            return Look { is: Is::Esp, len, place: u32::from_be_bytes(next), generation: 0, key };
        }
        // The last hop is the long way's to refuse.
        let is = if header[LINK + 8] > 1 { Is::Transit } else { Is::Long };
        Look { is, len, place: self.express.flows.place(&key), generation: 0, key }
    }

    /// The ways of the flows and the SAs of the SPIs: where they are, and fetched.
    fn look_up(&mut self, looks: &mut [Look], batch: &Batch) {
        for (look, frame) in looks.iter_mut().zip(batch) {
            match look.is {
                Is::Long => {}
                Is::Transit => {
                    look.place = self.express.flows.settle(&look.key, look.place);
                    if let Some(Way::Seal(policy, _)) = self.express.flows.at(&look.key, look.place) {
                        self.security.policies.fetch(*policy);
                    }
                }
                Is::Esp => match self.find_sa(Spi(look.place), frame) {
                    Some(sa) => {
                        self.security.inbound.fetch(sa);
                        (look.place, look.generation) = sa.parts();
                    }
                    None => look.is = Is::Long,
                },
            }
        }
    }

    /// What was answered about a flow, or is now.
    #[inline]
    fn way(&mut self, key: &FlowKey, place: u32) -> Way {
        if let Some(way) = self.express.flows.at(key, place) {
            return *way;
        }
        let way = self.resolve(key);
        self.express.flows.insert(*key, place, way);
        way
    }

    /// Make a packet ready and note it; or give it back for the long way, unchanged.
    #[inline]
    fn prepare(
        &mut self,
        now: Instant,
        ingress: IfIndex,
        mut frame: Frame,
        look: &Look,
        out: &mut Output,
    ) -> Result<(), Frame> {
        let way = match look.is {
            Is::Long => return Err(frame),
            Is::Esp => Way::Long,
            Is::Transit => match self.way(&look.key, look.place) {
                Way::Long => return Err(frame),
                way => way,
            },
        };
        let direction = match way {
            Way::Long => Some(Direction::Inbound),
            Way::Clear(_) => self.express.direction,
            Way::Seal(..) => Some(Direction::Outbound),
        };
        if self.express.long || direction != self.express.direction {
            self.catch_up(now, direction, out);
        }
        let mut note = NOTHING;
        let plan = match way {
            Way::Long => self.prepare_open(now, &frame, look, &mut note),
            Way::Clear(ref adjacency) => {
                note.iface = adjacency.iface;
                leave_clear(&mut frame, adjacency, look.len).then_some(Plan::NONE)
            }
            Way::Seal(policy, ref adjacency) => {
                (note.task, note.policy, note.iface) = (Task::Seal, policy, adjacency.iface);
                self.prepare_seal(now, &mut frame, policy, adjacency, look.len)
            }
        };
        let Some(plan) = plan else { return Err(frame) };
        frame.meta.ingress = ingress;
        self.express.work.push(frame, plan, note);
        Ok(())
    }

    /// What came before must be through first: packets on the long way, and work of another kind.
    #[cold]
    fn catch_up(&mut self, now: Instant, direction: Option<Direction>, out: &mut Output) {
        if self.express.long {
            self.run(now, out);
        }
        if direction != self.express.direction {
            self.work_off(now, out, &mut crate::watch::Unwatched);
            self.express.direction = direction;
        }
    }

    /// Give what was prepared to the engine, and what comes back out.
    fn work_off(&mut self, now: Instant, out: &mut Output, watch: &mut impl Watch) {
        if self.express.work.is_empty() {
            return;
        }
        if !self.express.crew.is_alone() {
            return self.deal(now, out);
        }
        let mut work = std::mem::take(&mut self.express.work);
        if self.express.direction == Some(Direction::Inbound) {
            work.open(|_, note| self.security.key_of(note).map(|key| &**key));
        } else {
            work.seal(|_, note| self.security.key_of(note).map(|key| &**key));
        }
        watch.passed(Stage::Crypt);
        self.finish(now, &mut work, out);
        self.express.work = work;
        watch.passed(Stage::Finish);
    }

    /// Give what was prepared to a helper, and put out what is back.
    fn deal(&mut self, now: Instant, out: &mut Output) {
        let (express, security) = (&mut self.express, &self.security);
        express.crew.deal(&mut express.work, express.direction, |note| security.key_of(note));
        self.collect(now, false, out);
    }

    /// Put out what helpers have done, in order; with `wait`, all that is under way.
    fn collect(&mut self, now: Instant, wait: bool, out: &mut Output) {
        while let Some(mut parcel) = self.express.crew.collect(wait) {
            self.finish(now, &mut parcel.work, out);
            self.express.crew.keep(parcel);
        }
    }

    /// One more helper for this worker's crypto, to be run on another core; `depth` parcels may be on the way to it and
    /// back. With helpers, packets may come out of a later call than the one they went into: [`Worker::settle`] ends
    /// that.
    pub fn hire(&mut self, depth: usize) -> Helper {
        self.express.crew.hire(depth)
    }

    /// Wait for what helpers have, and put it out. Nothing is under way then; to be called before a command.
    pub fn settle(&mut self, now: Instant, out: &mut Output) {
        self.collect(now, true, out);
    }

    /// Put out what helpers have done so far.
    pub fn gather(&mut self, now: Instant, out: &mut Output) {
        self.collect(now, false, out);
    }

    fn finish(&mut self, now: Instant, work: &mut Work<Note>, out: &mut Output) {
        let (mut left, mut by) = (Tally::default(), IfIndex(0));
        for (mut frame, plan, note) in work.drain() {
            let iface = match note.task {
                Task::Nothing => Some(note.iface),
                Task::Seal => plan.done.then_some(note.iface),
                Task::Open => self.leave_tunnel(&mut frame, &plan, (note.sa, note.seq)),
            };
            match iface {
                Some(iface) => {
                    if iface != by {
                        self.count_out(by, std::mem::take(&mut left));
                        by = iface;
                    }
                    left.add(frame.len());
                    out.transmit.push((iface, frame));
                }
                None if note.task == Task::Open => {
                    self.finish_long(now, frame, plan, (note.sa, note.seq), out);
                }
                None => self.lose(frame, Cause::NoSa, out),
            }
        }
        self.count_out(by, left);
    }

    fn count_out(&mut self, iface: IfIndex, left: Tally) {
        if let Some(link) = self.links.at_mut(iface) {
            link.counters.out_packets += left.packets;
            link.counters.out_bytes += left.bytes;
        }
    }
}

/// Packets over an interface, counted a batch at once.
#[derive(Default)]
struct Tally {
    packets: u64,
    bytes: u64,
}

impl Tally {
    #[inline(always)]
    fn add(&mut self, len: usize) {
        self.packets += 1;
        self.bytes += len as u64;
    }
}

/// The flow and length of an IPv4 packet without options that is whole, sound and inside `packet`.
#[inline(always)]
fn read_key(packet: &[u8], opened: bool, ingress: IfIndex) -> Option<(FlowKey, u16)> {
    let header: &[u8; IP] = packet.first_chunk()?;
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let len = (word(0) & 0xffff) as usize;
    // "More fragments" and the offset; "don't fragment" may be set.
    let part = word(4) & 0x3fff;
    if header[0] != 0x45 || len < IP || len > packet.len() || part != 0 || !checksum::is_right(header) {
        return None;
    }
    let proto = header[9];
    let ports = match has_ports(proto) {
        true if len >= IP + 4 => u32::from_be_bytes(*packet.get(IP..)?.first_chunk()?),
        true => return None,
        false => 0,
    };
    let key = FlowKey { src: word(12), dst: word(16), ports, protocol: proto, opened, ingress: ingress.0 };
    Some((key, len as u16))
}

/// A hop less, another link header; the frame then holds `len` bytes of packet and nothing behind. `false`: too long
/// for the link, and nothing done.
#[inline(always)]
fn leave_clear(frame: &mut Frame, adjacency: &Adjacency, len: u16) -> bool {
    if len > adjacency.mtu {
        return false;
    }
    frame.truncate(LINK + usize::from(len));
    if let Some(header) = frame.bytes_mut().first_chunk_mut::<{ LINK + IP }>() {
        header[..LINK].copy_from_slice(&adjacency.link);
        if let Some(ip) = header[LINK..].first_chunk_mut() {
            lose_hop(ip);
        }
    }
    forward::pad(frame);
    true
}

/// One less of the TTL, which is more than one; the checksum follows by RFC 1624, where the old word and its complement
/// cancel each other out.
#[inline(always)]
fn lose_hop(ip: &mut [u8; IP]) {
    ip[8] = ip[8].wrapping_sub(1);
    let sum = !checksum::add(!u16::from_be_bytes([ip[10], ip[11]]), 0xfeff);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
}
