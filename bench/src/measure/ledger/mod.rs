//! The ledger: each offered packet, and whether it was delivered or lost, where and why.
//!
//! A packet may be in several places at once (flooded by a switch, duplicated, in fragments). It is delivered when any
//! copy arrives where it was meant to; else it is lost, to the last cause that one of its copies met. Causes that only
//! say "this copy was none of mine" give way to any other.

mod flow;

use espalier_wire::{Cause, Instant, Tag};

use super::recording::NodeId;
pub use flow::{Flow, Record, Steady, Tally};

/// Bits of a [`Tag`], from the top: an answer; what a node's own stack sends; 14 bits of flow; 48 of number.
const REPLY: u64 = 1 << 63;
const STACK: u64 = 1 << 62;
const FLOW_SHIFT: u32 = 48;
const FLOW_MASK: u64 = (1 << 14) - 1;
const NUMBER_MASK: u64 = (1 << FLOW_SHIFT) - 1;

/// Which packet of which flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketId {
    /// The traffic, by its place in the scenario.
    pub traffic: u16,
    /// Of the answers, not of the questions.
    pub reply: bool,
    /// From 0.
    pub number: u64,
}

impl PacketId {
    /// As the tag that goes with the packet.
    pub const fn tag(self) -> Tag {
        let reply = if self.reply { REPLY } else { 0 };
        // Number 0 of traffic 0 must not be the tag of no traffic at all.
        Tag(reply | ((self.traffic as u64 & FLOW_MASK) << FLOW_SHIFT) | ((self.number + 1) & NUMBER_MASK))
    }

    /// The packet with this tag; `None`: it is no traffic.
    pub const fn of(tag: Tag) -> Option<Self> {
        let number = tag.0 & NUMBER_MASK;
        if number == 0 || tag.0 & STACK != 0 {
            return None;
        }
        let traffic = ((tag.0 >> FLOW_SHIFT) & FLOW_MASK) as u16;
        Some(Self { traffic, reply: tag.0 & REPLY != 0, number: number - 1 })
    }

    const fn flow(self) -> usize {
        self.traffic as usize * 2 + self.reply as usize
    }
}

/// The books.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// By [`PacketId::flow`].
    flows: Vec<Flow>,
}

/// Which cause stands when copies of one packet met several: the higher.
const fn rank(cause: Cause) -> u8 {
    match cause {
        Cause::NotForUs => 1,
        Cause::NoStation => 2,
        Cause::EndOfRun => 3,
        _ => 4,
    }
}

impl Ledger {
    /// Empty books for these traffics.
    pub fn new(names: &[String]) -> Self {
        let both = names.iter().flat_map(|name| [name.clone(), format!("{name}/reply")]);
        Self { flows: both.map(Flow::new).collect() }
    }

    /// A traffic will keep this rate, as far as its own packets go.
    pub fn keep(&mut self, traffic: usize, steady: Steady) {
        if let Some(flow) = self.flows.get_mut(traffic * 2) {
            flow.keep(steady);
        }
    }

    /// The flows that were offered anything.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(|f| !f.is_empty())
    }

    /// A packet is offered, with this digest of its payload.
    pub fn offer(&mut self, id: PacketId, at: Instant, digest: u64) {
        if let Some(flow) = self.flows.get_mut(id.flow()) {
            flow.offer(id.number, at, digest);
        }
    }

    /// A copy arrived where the packet was meant to. What arrives changed is not delivered: it is lost at `node` to
    /// `corrupted`.
    pub fn deliver(&mut self, id: PacketId, at: Instant, node: NodeId, digest: u64) {
        let Some(flow) = self.flows.get_mut(id.flow()) else { return };
        if !flow.deliver(id.number, at, digest) {
            self.lose(id, node, Cause::Corrupted);
        }
    }

    /// A copy ended elsewhere.
    pub fn lose(&mut self, id: PacketId, node: NodeId, cause: Cause) {
        if let Some(flow) = self.flows.get_mut(id.flow()) {
            flow.lose(id.number, node, (cause, rank(cause)));
        }
    }

    /// The run is over: what neither arrived nor ended anywhere was still under way, at `node`.
    pub fn close(&mut self, node: NodeId) {
        self.close_as(node, Cause::EndOfRun);
    }

    /// The run is over: what neither arrived nor ended anywhere is lost to `cause`, at `node`.
    pub fn close_as(&mut self, node: NodeId, cause: Cause) {
        self.flows.iter_mut().for_each(|flow| flow.close(node, (cause, rank(cause))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u64) -> PacketId {
        PacketId { traffic: 0, reply: false, number }
    }

    #[test]
    fn tags_read_back_and_zero_is_no_packet() {
        let ids = [id(0), id(7), PacketId { traffic: 16_383, reply: true, number: 1 << 40 }];
        for id in ids {
            assert_eq!(PacketId::of(id.tag()), Some(id));
        }
        assert_eq!(PacketId::of(Tag::NONE), None);
    }

    #[test]
    fn a_copy_that_was_not_for_a_station_is_no_loss() {
        let mut ledger = Ledger::new(&["f".into()]);
        for n in 0..3 {
            ledger.offer(id(n), Instant::ZERO, 1);
            ledger.lose(id(n), NodeId(9), Cause::NoStation);
            ledger.lose(id(n), NodeId(2), Cause::NotForUs);
        }
        ledger.deliver(id(0), Instant::from_ns(5), NodeId(1), 1);
        ledger.lose(id(1), NodeId(3), Cause::UnknownSpi);
        ledger.lose(id(1), NodeId(2), Cause::NotForUs);
        let lost: Vec<_> =
            ledger.flows().flat_map(|f| f.packets().map(|r| r.lost()).collect::<Vec<_>>()).collect();
        let expected = [None, Some((NodeId(3), Cause::UnknownSpi)), Some((NodeId(9), Cause::NoStation))];
        assert_eq!(lost, expected);
    }

    proptest! {
        #[test]
        fn every_packet_is_delivered_or_lost_once(
            steps in proptest::collection::vec((0..20u64, 0..4u8, any::<bool>()), 0..200),
        ) {
            let mut ledger = Ledger::new(&["f".into()]);
            let mut offered = std::collections::BTreeSet::new();
            for (n, what, intact) in steps {
                match what {
                    0 if offered.insert(n) => ledger.offer(id(n), Instant::from_ns(n), 7),
                    1 => ledger.deliver(id(n), Instant::from_ns(n + 1), NodeId(0), if intact { 7 } else { 8 }),
                    2 => ledger.lose(id(n), NodeId(1), Cause::NoRoute),
                    _ => ledger.lose(id(n), NodeId(2), Cause::NotForUs),
                }
            }
            let held = |ledger: &Ledger| ledger.flows().next().map(|f| (f.so_far(), f.under_way(Instant::ZERO)));
            if let Some((Tally { offered, delivered, lost }, _)) = held(&ledger) {
                prop_assert!(delivered + lost <= offered);
            }
            ledger.close(NodeId(0));
            let packets: Vec<_> = ledger.flows().flat_map(Flow::packets).collect();
            let lost = packets.iter().filter(|p| p.lost().is_some()).count() as u64;
            if let Some((so_far, under_way)) = held(&ledger) {
                let offered = packets.len() as u64;
                prop_assert_eq!(so_far, Tally { offered, delivered: offered - lost, lost });
                prop_assert_eq!(under_way, 0);
            }
            prop_assert_eq!(packets.len(), offered.len());
            for packet in packets {
                prop_assert!(packet.delivered().is_some() != packet.lost().is_some());
            }
        }
    }
}
