//! The scenario's traffic on real interfaces: its packets are sent by the hosts at its ends and looked for there. A packet
//! is known by all of its bytes, which follow from its number and a secret of the run: nothing else can be taken for it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use espalier_wire::ipv4::{Ipv4, protocol};
use espalier_wire::{Cause, Instant, checksum};

use crate::drive::host::socket::{Arrivals, RawIp, enter};
use crate::measure::ledger::{Ledger, PacketId};
use crate::measure::recording::NodeId;
use crate::world::traffic::{Source, digest};

/// The longest IP packet.
const PACKET: usize = 65_536;

/// A host at an end of some traffic.
struct End {
    node: usize,
    send: RawIp,
    arrivals: Arrivals,
}

/// All traffic, and its books.
pub(super) struct Traffic {
    sources: Vec<Source>,
    ends: Vec<End>,
    /// What is under way, by its bytes. A capture that is played in a loop has the same bytes again and again: the last
    /// one offered is meant.
    awaited: HashMap<u64, PacketId>,
    pub(super) ledger: Ledger,
    memory: Vec<u8>,
    packet: Vec<u8>,
}

impl Traffic {
    /// Open the sockets of every end; `space` names a router's namespace. This thread is in one of them afterwards.
    pub(super) fn new(
        names: &[String],
        sources: Vec<Source>,
        space: impl Fn(usize) -> String,
    ) -> io::Result<Self> {
        let mut nodes: Vec<usize> = sources.iter().flat_map(|s| [s.from.0, s.to.0]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let open = |node: usize| {
            enter(&space(node))?;
            Ok(End { node, send: RawIp::open()?, arrivals: Arrivals::open()? })
        };
        let ends = nodes.into_iter().map(open).collect::<io::Result<Vec<_>>>()?;
        let (memory, packet) = (vec![0; PACKET], Vec::new());
        Ok(Self { sources, ends, awaited: HashMap::new(), ledger: Ledger::new(names), memory, packet })
    }

    pub(super) fn skipped(&self) -> u64 {
        self.sources.iter().map(|s| s.skipped).sum()
    }

    /// When the next packet is to be offered.
    pub(super) fn next(&self) -> Option<Instant> {
        self.sources.iter().filter_map(Source::next).min()
    }

    /// Offer what is due by `now`. Times are those of the schedule: a late sender is the run's delay, not nobody's.
    pub(super) fn offer(&mut self, now: Instant) {
        for at in 0..self.sources.len() {
            while let Some(due) = self.sources.get(at).and_then(Source::next).filter(|due| *due <= now) {
                let mut packet = std::mem::take(&mut self.packet);
                if let Some(source) = self.sources.get_mut(at) {
                    let offer = source.take(&mut packet);
                    self.ledger.offer(offer.id, due, offer.digest);
                    self.awaited.insert(offer.digest, offer.id);
                    self.send(offer.node, offer.id, &packet);
                }
                self.packet = packet;
            }
        }
    }

    fn send(&mut self, node: usize, id: PacketId, packet: &[u8]) {
        let Ok(ip) = Ipv4::new_checked(packet) else { return };
        let end = self.ends.iter().find(|e| e.node == node);
        if !end.is_some_and(|e| e.send.send(packet, ip.dst())) {
            self.ledger.lose(id, NodeId(node as u16), Cause::NoRoute);
        }
    }

    /// What to wait for.
    pub(super) fn sources(&self) -> Vec<BorrowedFd<'_>> {
        self.ends.iter().map(|e| e.arrivals.as_fd()).collect()
    }

    /// Take in what arrived.
    pub(super) fn take(&mut self, now: Instant) {
        let mut memory = std::mem::take(&mut self.memory);
        for at in 0..self.ends.len() {
            while let Some(end) = self.ends.get(at)
                && let Some(packet) = end.arrivals.next(&mut memory)
            {
                let node = end.node;
                self.arrived(now, node, packet);
            }
        }
        self.memory = memory;
    }

    fn arrived(&mut self, now: Instant, node: usize, packet: &[u8]) {
        let digest = digest(packet);
        let Some(id) = self.awaited.get(&digest).copied() else { return };
        let Some(source) = self.sources.get(usize::from(id.traffic)) else { return };
        let end = if id.reply { source.from.0 } else { source.to.0 };
        if node != end {
            // On its way through a router that is an end of other traffic.
            return;
        }
        self.ledger.deliver(id, now, NodeId(node as u16), digest);
        if source.is_answered() && !id.reply {
            self.await_answer(now, id, packet);
        }
    }

    /// The kernel there answers this echo request: its answer is a packet of the flow's other direction.
    fn await_answer(&mut self, now: Instant, id: PacketId, question: &[u8]) {
        if let Some(answer) = answer(question) {
            let (reply, digest) = (PacketId { reply: true, ..id }, digest(&answer));
            self.ledger.offer(reply, now, digest);
            self.awaited.insert(digest, reply);
        }
    }

    /// Traffic is over: what did not arrive was lost where nobody looked, at `place`.
    pub(super) fn close(&mut self, place: NodeId) {
        let missing: Vec<PacketId> = self.awaited.values().copied().collect();
        for id in missing {
            self.ledger.lose(id, place, Cause::Unseen);
        }
        // A packet whose bytes came again before it arrived is awaited no more; it is as lost.
        self.ledger.close_as(place, Cause::Unseen);
    }
}

/// The echo reply to an echo request (RFC 792): the ends turned around, the type zero.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let ip = Ipv4::new_checked(question).ok().filter(|ip| ip.protocol() == protocol::ICMP)?;
    let start = ip.bytes().len() - ip.payload().len();
    let mut answer = ip.bytes().to_vec();
    answer.get_mut(12..20)?.rotate_left(4);
    let icmp = answer.get_mut(start..)?;
    let old = u16::from_be_bytes([*icmp.get(2)?, *icmp.get(3)?]);
    let sum = checksum::update(old, u16::from_be_bytes([*icmp.first()?, *icmp.get(1)?]), 0);
    icmp.get_mut(..4)?.copy_from_slice(&[0, 0, (sum >> 8) as u8, sum as u8]);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use espalier_wire::icmp::Icmp;
    use espalier_wire::ipv4::Header;

    #[test]
    fn an_answer_is_what_a_stack_sends() {
        let (a, b) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let header = |src, dst| Header {
            traffic_class: 0,
            identification: 7,
            df: false,
            ttl: 64,
            protocol: protocol::ICMP,
            src,
            dst,
        };
        let (identifier, sequence) = (5, 6);
        let question = header(a, b).packet(&Icmp::EchoRequest { identifier, sequence }.emit(b"data"));
        let expect = header(b, a).packet(&Icmp::EchoReply { identifier, sequence }.emit(b"data"));
        assert_eq!(digest(&answer(&question).unwrap()), digest(&expect));
    }
}
