//! The ledger: each offered packet, and whether it was delivered or lost, where and why.
//!
//! A packet may be in several places at once (flooded by a switch, duplicated, in fragments). It is delivered when any
//! copy arrives where it was meant to; else it is lost, to the last cause that one of its copies met. Causes that only
//! say "this copy was none of mine" give way to any other.

use espalier_wire::{Cause, Instant, Tag};

use super::recording::NodeId;

/// Bits of a [`Tag`], from the top: an answer; what a node's own stack sends; 14 bits of flow; 48 of number.
const REPLY: u64 = 1 << 63;
const STACK: u64 = 1 << 62;
const FLOW_SHIFT: u32 = 48;
const FLOW_MASK: u64 = (1 << 14) - 1;
const NUMBER_MASK: u64 = (1 << FLOW_SHIFT) - 1;
const NEVER: u64 = u64::MAX;

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

/// One packet's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    offered: u64,
    delivered: u64,
    digest: u64,
    place: u16,
    cause: u8,
    rank: u8,
    again: u16,
    corrupted: bool,
}

impl Record {
    const EMPTY: Self = Self {
        offered: NEVER,
        delivered: NEVER,
        digest: 0,
        place: 0,
        cause: 0,
        rank: 0,
        again: 0,
        corrupted: false,
    };

    /// When it was offered.
    pub const fn offered(&self) -> Instant {
        Instant::from_ns(self.offered)
    }

    /// When it arrived first, if it did.
    pub fn delivered(&self) -> Option<Instant> {
        (self.delivered != NEVER).then(|| Instant::from_ns(self.delivered))
    }

    /// Where and why it was lost, if it was.
    pub fn lost(&self) -> Option<(NodeId, Cause)> {
        let cause = Cause::ALL.get(usize::from(self.cause)).copied().unwrap_or(Cause::EndOfRun);
        (self.delivered == NEVER).then_some((NodeId(self.place), cause))
    }

    /// How many more times it arrived.
    pub const fn duplicates(&self) -> u16 {
        self.again
    }

    /// It arrived with other bytes than were offered.
    pub const fn is_corrupted(&self) -> bool {
        self.corrupted
    }
}

/// One direction of one traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// NAME, or NAME/reply.
    pub name: String,
    /// The packet numbers in the order of their first arrival overtaken by a later one.
    pub reordered: u64,
    newest: Option<u64>,
    records: Vec<Record>,
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
    /// The packets that were offered, in the order of their numbers.
    pub fn packets(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(|r| r.offered != NEVER)
    }

    /// What came of its packets so far.
    pub const fn so_far(&self) -> Tally {
        self.so_far
    }

    /// How many packets that were offered after `since` have neither arrived nor ended anywhere.
    pub fn under_way(&self, since: Instant) -> u64 {
        let young = self.records.iter().rev().filter(|r| r.offered != NEVER);
        let young = young.take_while(|r| r.offered > since.as_ns());
        young.filter(|r| r.delivered == NEVER && r.rank == 0).count() as u64
    }
}

/// A packet's record, and what its flow keeps beside it.
struct Entry<'a> {
    record: &'a mut Record,
    newest: &'a mut Option<u64>,
    reordered: &'a mut u64,
    so_far: &'a mut Tally,
}

/// The books.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
        let flow = |name: String| Flow {
            name,
            reordered: 0,
            newest: None,
            records: Vec::new(),
            so_far: Tally::default(),
        };
        let both = names.iter().flat_map(|name| [name.clone(), format!("{name}/reply")]);
        Self { flows: both.map(flow).collect() }
    }

    /// The flows that were offered anything.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(|f| !f.records.is_empty())
    }

    /// A packet is offered, with this digest of its payload.
    pub fn offer(&mut self, id: PacketId, at: Instant, digest: u64) {
        let Some(flow) = self.flows.get_mut(id.flow()) else { return };
        let Ok(number) = usize::try_from(id.number) else { return };
        if flow.records.len() <= number {
            flow.records.resize(number + 1, Record::EMPTY);
        }
        let (old, so_far) = (flow.records[number], &mut flow.so_far);
        // An answer that is given again begins again.
        so_far.offered += u64::from(old.offered == NEVER);
        so_far.delivered -= u64::from(old.delivered != NEVER);
        so_far.lost -= u64::from(old.delivered == NEVER && old.rank > 0);
        flow.records[number] = Record { offered: at.as_ns(), digest, ..Record::EMPTY };
    }

    fn record(&mut self, id: PacketId) -> Option<Entry<'_>> {
        let Flow { reordered, newest, records, so_far, .. } = self.flows.get_mut(id.flow())?;
        let record = records.get_mut(usize::try_from(id.number).ok()?)?;
        (record.offered != NEVER).then_some(Entry { record, newest, reordered, so_far })
    }

    /// A copy arrived where the packet was meant to. What arrives changed is not delivered: it is lost at `node` to
    /// `corrupted`.
    pub fn deliver(&mut self, id: PacketId, at: Instant, node: NodeId, digest: u64) {
        let Some(Entry { record, newest, reordered, so_far }) = self.record(id) else { return };
        if record.digest != digest {
            record.corrupted = true;
            return self.lose(id, node, Cause::Corrupted);
        }
        if record.delivered != NEVER {
            record.again = record.again.saturating_add(1);
            return;
        }
        record.delivered = at.as_ns();
        so_far.delivered += 1;
        // A copy of it had ended elsewhere.
        so_far.lost -= u64::from(record.rank > 0);
        // RFC 4737 section 3.3: a packet is reordered when its number is lower than one that arrived before.
        if newest.is_some_and(|n| id.number < n) {
            *reordered += 1;
        } else {
            *newest = Some(id.number);
        }
    }

    /// A copy ended elsewhere.
    pub fn lose(&mut self, id: PacketId, node: NodeId, cause: Cause) {
        let Some(Entry { record, so_far, .. }) = self.record(id) else { return };
        so_far.lost += u64::from(record.rank == 0 && record.delivered == NEVER);
        if rank(cause) >= record.rank {
            (record.place, record.cause, record.rank) = (node.0, cause as u8, rank(cause));
        }
    }

    /// The run is over: what neither arrived nor ended anywhere was still under way, at `node`.
    pub fn close(&mut self, node: NodeId) {
        self.close_as(node, Cause::EndOfRun);
    }

    /// The run is over: what neither arrived nor ended anywhere is lost to `cause`, at `node`.
    pub fn close_as(&mut self, node: NodeId, cause: Cause) {
        let open = |r: &&mut Record| r.offered != NEVER && r.delivered == NEVER && r.rank == 0;
        for Flow { records, so_far, .. } in &mut self.flows {
            for record in records.iter_mut().filter(open) {
                (record.place, record.cause) = (node.0, cause as u8);
                record.rank = rank(cause);
                so_far.lost += 1;
            }
        }
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
        let lost: Vec<_> = ledger.flows().flat_map(|f| f.packets().map(Record::lost)).collect();
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
