//! Packets on their way: offered, through dataplanes and over segments, to their end.
//!
//! Frames move in runs: what one dataplane puts out at one moment towards one station arrives there as one batch, where
//! the drive lets it ([`World::in_runs`]). In virtual time each frame arrives by itself.

use std::mem;

use espalier_control::router::{Input, Output};
use espalier_dataplane::batch::Batch;
use espalier_dataplane::fate;
use espalier_dataplane::frame::{Frame, Meta};
use espalier_wire::ipv4::{Ipv4, protocol};
use espalier_wire::{Cause, IfIndex, Instant, Mac, Tag};

use super::plane::{AHEAD, Job, Parcel, Said};
use super::segment::Passage;
use super::traffic::{Source, digest};
use super::{Later, World, node};
use crate::measure::ledger::PacketId;
use crate::measure::recording::NodeId;

/// The longest run.
pub const RUN_MAX: usize = 256;
/// Among so many of the latest runs is looked for one that a frame can join.
const RUNS_OPEN: usize = 4;

impl World {
    /// Offer packets of a traffic that are due by `now`, `most` at most; `told` is told when each was due.
    pub fn offer(&mut self, now: Instant, source: usize, most: usize, mut told: impl FnMut(Instant)) {
        let mut packet = mem::take(&mut self.packet);
        let mut frames = self.spares.pop().unwrap_or_default();
        let mut from = None;
        for _ in 0..most {
            let Some(source) = self.sources.get_mut(source) else { break };
            let Some(due) = source.next().filter(|due| *due <= now) else { break };
            let offer = source.take(&mut packet);
            self.ledger.offer(offer.id, due, offer.digest);
            told(due);
            if let Some(other) = from.filter(|from| *from != offer.node) {
                self.originate(now, other, &mut frames);
                self.settle(now, other);
            }
            from = Some(offer.node);
            self.fill(offer.node, &packet, offer.id.tag(), &mut frames);
        }
        if let Some(node) = from {
            self.originate(now, node, &mut frames);
            self.settle(now, node);
        }
        self.keep(frames);
        self.packet = packet;
    }

    /// A packet becomes a frame.
    fn fill(&mut self, node: usize, packet: &[u8], tag: Tag, frames: &mut Batch) {
        match self.pool.copy_of(packet) {
            Some(mut frame) => {
                frame.meta.tag = tag;
                frames.push(frame);
            }
            None => self.lose(tag, NodeId(node as u16), Cause::NoFrame),
        }
    }

    /// A packet is born on a node.
    pub(super) fn bear(&mut self, now: Instant, node: usize, packet: &[u8], tag: Tag) {
        let mut frames = self.spares.pop().unwrap_or_default();
        self.fill(node, packet, tag, &mut frames);
        self.originate(now, node, &mut frames);
        self.keep(frames);
    }

    fn originate(&mut self, now: Instant, node: usize, frames: &mut Batch) {
        if self.nodes.get(node).is_some_and(|n| n.router.is_none()) {
            return self.lose_all(frames, NodeId(node as u16), Cause::NodeDown);
        }
        if !frames.is_empty() {
            self.hand(now, node, Job::Originate, frames, Mac::default());
        }
    }

    /// Have a node's dataplane do something, here or on the thread that has it; `frames` are empty then.
    pub(super) fn hand(&mut self, now: Instant, node: usize, job: Job, frames: &mut Batch, src_mac: Mac) {
        let Some(n) = self.nodes.get_mut(node) else { return };
        let Some(line) = self.line.as_mut().filter(|_| n.away) else { return n.perform(now, job, frames) };
        let mut parcel = line.spare();
        (parcel.node, parcel.life, parcel.job, parcel.src_mac) = (node, n.life, job, src_mac);
        parcel.is_asked = true;
        mem::swap(&mut parcel.frames, frames);
        // Routers' own packets and commands go first, as in a router's queues: a flood must not take the routing down.
        let urgent = parcel.frames.first().is_none_or(|f| PacketId::of(f.meta.tag).is_none());
        line.give(parcel, urgent, frames);
        if !frames.is_empty() {
            self.lose_all(frames, NodeId(node as u16), Cause::RingFull);
        }
    }

    /// A parcel is back from another thread.
    pub fn returned(&mut self, now: Instant, mut parcel: Box<Parcel>) {
        let (node, place) = (parcel.node, NodeId(parcel.node as u16));
        if self.nodes.get(node).is_some_and(|n| n.life == parcel.life) {
            self.drain_said(now, node, &mut parcel.said, parcel.src_mac);
            self.drain(now, node, parcel.src_mac);
        } else {
            // The router lost its power meanwhile.
            let fate::Output { transmit, punts, drops, notices } = &mut parcel.said.out;
            let under_way = transmit.drain(..).map(|(_, frame)| frame);
            let mut under_way: Batch = under_way.chain(punts.drain(..).map(|p| p.frame)).collect();
            self.lose_all(&mut under_way, place, Cause::NodeDown);
            let drops = mem::take(drops);
            notices.clear();
            parcel.said.counters = None;
            self.violations.append(&mut parcel.said.violations);
            for dropped in drops {
                self.lose(dropped.frame.meta.tag, place, dropped.cause);
                self.pool.put(dropped.frame);
            }
        }
        if let Some(line) = &mut self.line {
            line.keep(parcel);
        }
    }

    pub(super) fn lose(&mut self, tag: Tag, place: NodeId, cause: Cause) {
        if let Some(id) = PacketId::of(tag) {
            self.ledger.lose(id, place, cause);
        }
    }

    fn lose_all(&mut self, frames: &mut Batch, place: NodeId, cause: Cause) {
        for frame in frames.drain(..) {
            self.lose(frame.meta.tag, place, cause);
            self.pool.put(frame);
        }
    }

    /// Keep the memory of a batch.
    fn keep(&mut self, frames: Batch) {
        self.spares.push(frames);
    }

    /// A run of frames reaches a port.
    pub(super) fn arrive(&mut self, now: Instant, segment: usize, port: usize, mut frames: Batch) {
        let Some(at) = self.segments.get(segment).and_then(|s| s.ports.get(port)).copied() else { return };
        let up = self.segments.get(segment).is_some_and(|s| s.is_up(port));
        let off = self.nodes.get(at.node).is_none_or(|n| n.router.is_none());
        if off || !up {
            let cause = if off { Cause::NodeDown } else { Cause::InterfaceDown };
            self.lose_all(&mut frames, NodeId(at.node as u16), cause);
            return self.keep(frames);
        }
        for frame in &mut frames {
            frame.meta = Meta { tag: frame.meta.tag, ..Meta::default() };
        }
        let sender = frames.first().and_then(|f| f.bytes().get(6..)).and_then(|b| b.first_chunk::<6>());
        let src = sender.map_or(Mac::default(), |m| Mac(*m));
        self.hand(now, at.node, Job::Receive(at.iface), &mut frames, src);
        self.keep(frames);
        self.drain(now, at.node, src);
    }

    /// Carry out everything a router put out, until it is quiet.
    pub(super) fn settle(&mut self, now: Instant, node: usize) {
        self.drain(now, node, Mac::default());
    }

    fn drain(&mut self, now: Instant, node: usize, src_mac: Mac) {
        loop {
            let Some(n) = self.nodes.get_mut(node) else { return };
            if n.is_pressing() {
                n.perform(now, Job::Tick, &mut Batch::new());
            }
            let mut said = mem::take(&mut self.spare);
            mem::swap(&mut said, &mut n.said);
            let actions = mem::take(&mut n.actions);
            let quiet = actions.is_empty() && said.is_empty();
            self.drain_said(now, node, &mut said, src_mac);
            self.spare = said;
            for action in actions {
                self.act(now, node, action);
            }
            if quiet {
                break;
            }
        }
        self.look(now, node);
    }

    /// Carry out what a dataplane said.
    fn drain_said(&mut self, now: Instant, node: usize, said: &mut Said, src_mac: Mac) {
        let out = &mut said.out;
        out.transmit.iter().take(AHEAD).for_each(|(_, frame)| frame.fetch());
        let mut transmit = out.transmit.drain(..);
        while let Some((iface, frame)) = transmit.next() {
            if let Some((_, ahead)) = transmit.as_slice().get(AHEAD) {
                ahead.fetch();
            }
            self.send(now, node, iface, frame);
        }
        drop(transmit);
        for dropped in out.drops.drain(..) {
            self.lose(dropped.frame.meta.tag, NodeId(node as u16), dropped.cause);
            self.pool.put(dropped.frame);
        }
        out.punts.iter().take(AHEAD).for_each(|punt| punt.frame.fetch());
        let mut punts = out.punts.drain(..);
        while let Some(punt) = punts.next() {
            if let Some(ahead) = punts.as_slice().get(AHEAD) {
                ahead.frame.fetch();
            }
            self.punt(now, node, punt, src_mac);
        }
        drop(punts);
        for notice in out.notices.drain(..) {
            self.tell(now, node, Input::Notice(notice));
        }
        self.violations.append(&mut said.violations);
        if let Some(counters) = said.counters.take() {
            self.counted(now, node, counters);
        }
    }

    /// A packet for the router itself: the traffic's end, or the control plane's.
    fn punt(&mut self, now: Instant, node: usize, punt: fate::Punt, src_mac: Mac) {
        let fate::Punt { iface, frame, why } = punt;
        let why = node::punted(why);
        if let Some(id) = PacketId::of(frame.meta.tag) {
            self.deliver(now, node, id, &frame);
            if self.is_question(id, frame.bytes()) {
                let packet = frame.bytes().to_vec();
                self.answer(now, node, id, Input::Packet { iface, src_mac, why, packet });
            }
        } else {
            let packet = frame.bytes().to_vec();
            self.tell(now, node, Input::Packet { iface, src_mac, why, packet });
        }
        self.pool.put(frame);
    }

    fn deliver(&mut self, now: Instant, node: usize, id: PacketId, frame: &Frame) {
        let Some(source) = self.sources.get(usize::from(id.traffic)) else { return };
        let end = if id.reply { source.from.0 } else { source.to.0 };
        let place = NodeId(node as u16);
        if node == end {
            self.ledger.deliver(id, now, place, digest(frame.bytes()));
        } else {
            self.ledger.lose(id, place, Cause::Misdelivered);
        }
    }

    fn is_question(&self, id: PacketId, packet: &[u8]) -> bool {
        let echo = |ip: Ipv4<'_>| ip.protocol() == protocol::ICMP && ip.payload().first() == Some(&8);
        let generated = self.sources.get(usize::from(id.traffic)).is_some_and(Source::is_answered);
        generated && !id.reply && Ipv4::new_checked(packet).is_ok_and(echo)
    }

    /// Let the router's own stack answer; the answer is a packet of the flow's other direction.
    fn answer(&mut self, now: Instant, node: usize, id: PacketId, question: Input) {
        let Some(n) = self.nodes.get_mut(node) else { return };
        let before = n.actions.len();
        n.tell(now, question);
        for action in n.actions.split_off(before) {
            match action {
                Output::Originate { packet } => {
                    let reply = PacketId { reply: true, ..id };
                    self.ledger.offer(reply, now, digest(&packet));
                    self.bear(now, node, &packet, reply.tag());
                }
                other => self.act(now, node, other),
            }
        }
    }

    /// A frame leaves a router.
    fn send(&mut self, now: Instant, node: usize, iface: IfIndex, frame: Frame) {
        let tag = frame.meta.tag;
        let at = self.nodes.get(node).and_then(|n| n.ports.get(usize::from(iface.0)).copied().flatten());
        let Some((segment, port)) = at else {
            self.pool.put(frame);
            return self.lose(tag, NodeId(node as u16), Cause::InterfaceDown);
        };
        self.tap.frame(now, (segment, port), tag, frame.bytes());
        let place = self.place_of(segment);
        let Some(lan) = self.segments.get_mut(segment) else { return };
        if let Some((port, at)) = lan.again(now, port, frame.bytes()) {
            return self.fly(at, (segment, port), frame);
        }
        match lan.pass(now, port, frame.bytes()) {
            Passage::Lost(cause) => {
                self.lose(tag, place, cause);
                self.pool.put(frame);
            }
            Passage::Arrives { mut copies, flooded } => {
                if flooded {
                    self.lose(tag, place, Cause::NoStation);
                }
                let last = copies.pop();
                for (port, at) in copies {
                    let Some(mut copy) = self.pool.copy_of(frame.bytes()) else { continue };
                    copy.meta.tag = tag;
                    self.fly(at, (segment, port), copy);
                }
                if let Some((port, at)) = last {
                    self.fly(at, (segment, port), frame);
                }
            }
        }
    }

    /// A frame is on a segment until it reaches a port, with others between the same stations if runs are made.
    fn fly(&mut self, at: Instant, (segment, port): (usize, usize), frame: Frame) {
        let may_join = self.runs && PacketId::of(frame.meta.tag).is_some();
        let open = if may_join { RUNS_OPEN } else { 0 };
        for (when, what) in self.later.iter_mut().rev().take(open) {
            let Later::Arrive { segment: s, port: p, frames } = what else { continue };
            if (*when, *s, *p) == (at, segment, port)
                && frames.len() < RUN_MAX
                && frames.first().is_some_and(|first| are_alike(first, &frame))
            {
                return frames.push(frame);
            }
        }
        let mut frames = self.spares.pop().unwrap_or_default();
        frames.push(frame);
        self.later.push((at, Later::Arrive { segment, port, frames }));
    }
}

/// Traffic between the same two stations.
fn are_alike(a: &Frame, b: &Frame) -> bool {
    let link = |f: &Frame| f.bytes().first_chunk::<14>().copied();
    PacketId::of(a.meta.tag).is_some() && link(a) == link(b)
}
