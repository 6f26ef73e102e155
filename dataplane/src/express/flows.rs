//! Where the packets of a flow go, once the pipeline has been asked: a cache of its answers, not of packets.
//!
//! An answer holds until the worker is commanded anything: each carries the epoch it was given in, and a command begins
//! a new one. Four places a flow; where all are taken, the answer in the last of them makes room.

use espalier_wire::IfIndex;
use espalier_wire::ipv4::protocol;

use crate::mem::prefetch;
use crate::policy::PolicyRef;
use crate::stage::classify::Flow;

/// What an answer depends on: an IPv4 flow, where it came in, and whether out of an SA. It is kept as it stands in a
/// packet, so that two loads and two comparisons are all that it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowKey {
    /// Source and destination.
    addresses: u64,
    /// Source and destination port, 0 for a protocol that has none; above them the protocol and where it came from.
    rest: u64,
}

/// Whether packets of a protocol begin with two ports.
#[inline(always)]
pub(crate) const fn has_ports(proto: u8) -> bool {
    matches!(proto, protocol::TCP | 33 | protocol::UDP | 132 | 136)
}

impl FlowKey {
    /// Nobody's.
    pub(crate) const NONE: Self = Self { addresses: 0, rest: 0 };

    /// Addresses and ports in the order of the packet's bytes.
    #[inline(always)]
    pub(crate) const fn new(addresses: u64, ports: u32, proto: u8, meta: u32) -> Self {
        Self { addresses, rest: (meta as u64 | proto as u64) << 32 | ports as u64 }
    }

    /// Where a packet came in, and whether out of an SA: what [`FlowKey::new`] wants to know of it.
    #[inline(always)]
    pub(crate) const fn meta(ingress: IfIndex, opened: bool) -> u32 {
        (ingress.0 as u32) << 16 | (opened as u32) << 8
    }

    #[inline(always)]
    pub(crate) const fn protocol(&self) -> u8 {
        (self.rest >> 32) as u8
    }

    pub(crate) const fn opened(&self) -> bool {
        (self.rest >> 40) as u8 != 0
    }

    pub(crate) const fn ingress(&self) -> IfIndex {
        IfIndex((self.rest >> 48) as u16)
    }

    #[inline(always)]
    pub(crate) const fn dst(&self) -> u32 {
        let [_, _, _, _, a, b, c, d] = self.addresses.to_ne_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// As the stages know a flow.
    #[inline]
    pub(crate) fn flow(&self) -> Flow {
        let [a, b, c, d, ..] = self.addresses.to_ne_bytes();
        let [e, f, g, h] = (self.rest as u32).to_ne_bytes();
        Flow {
            src: u128::from(u32::from_be_bytes([a, b, c, d])),
            dst: u128::from(self.dst()),
            ipv4: true,
            protocol: self.protocol(),
            ports: has_ports(self.protocol())
                .then_some((u16::from_be_bytes([e, f]), u16::from_be_bytes([g, h]))),
        }
    }

    /// The halves of one wide product: every bit of the key moves bits of the whole.
    #[inline(always)]
    const fn hash(&self) -> u32 {
        let (a, b) = (self.addresses ^ 0x9e37_79b9_7f4a_7c15, self.rest ^ 0xbf58_476d_1ce4_e5b9);
        let product = a as u128 * b as u128;
        (product as u64 ^ (product >> 64) as u64) as u32
    }
}

/// The way over a link: the whole Ethernet header, and the longest packet that may take it in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Adjacency {
    pub(crate) link: [u8; 14],
    pub(crate) iface: IfIndex,
    pub(crate) mtu: u16,
}

/// What becomes of a flow's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The whole pipeline must look at each.
    Long,
    /// Out in clear.
    Clear(Adjacency),
    /// Through the policy's SA, and out as its outer packet goes.
    Seal(PolicyRef, Adjacency),
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Entry {
    key: FlowKey,
    /// 0: never used.
    epoch: u32,
    way: Way,
}

/// Places of a flow, next to each other.
const WAYS: u32 = 4;

const EMPTY: Entry = Entry { key: FlowKey::NONE, epoch: 0, way: Way::Long };

/// The answers.
pub(crate) struct FlowCache {
    /// A power of two, [`WAYS`] at least; or none.
    entries: Box<[Entry]>,
    epoch: u32,
    /// Moves with every change.
    age: u32,
}

impl FlowCache {
    /// Room for `flows` answers, rounded up to a power of two; 0: every packet takes the long way.
    pub(crate) fn new(flows: usize) -> Self {
        let len = if flows == 0 { 0 } else { flows.next_power_of_two().max(WAYS as usize) };
        Self { entries: vec![EMPTY; len].into_boxed_slice(), epoch: 1, age: 0 }
    }

    /// Whether there is room for any answer.
    pub(crate) fn is_off(&self) -> bool {
        self.entries.is_empty()
    }

    /// As long as it is the same, an answer is where it was found.
    #[inline(always)]
    pub(crate) fn age(&self) -> u32 {
        self.age
    }

    /// The answer at a place where one was found.
    #[inline(always)]
    pub(crate) fn answer(&self, place: u32) -> Option<&Way> {
        self.entries.get(place as usize).map(|entry| &entry.way)
    }

    /// What was answered holds no longer.
    pub(crate) fn forget(&mut self) {
        self.age = self.age.wrapping_add(1);
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.entries.fill(EMPTY);
            self.epoch = 1;
        }
    }

    /// Where a flow's answer would be.
    #[inline(always)]
    pub(crate) fn place(&self, key: &FlowKey) -> u32 {
        key.hash() & (self.entries.len() as u32).wrapping_sub(1)
    }

    /// Fetch towards the core what is at a place.
    #[inline(always)]
    pub(crate) fn fetch(&self, place: u32) {
        if let Some(entry) = self.entries.get(place as usize) {
            prefetch(entry);
        }
    }

    /// Which of a flow's places has its answer.
    #[inline(always)]
    pub(crate) fn find(&self, key: &FlowKey, place: u32) -> Option<u32> {
        if self.at(key, place).is_some() { Some(place) } else { self.find_beside(key, place) }
    }

    fn find_beside(&self, key: &FlowKey, place: u32) -> Option<u32> {
        (1..WAYS).map(|way| place ^ way).find(|place| self.at(key, *place).is_some())
    }

    /// What was answered about a flow, wherever it is.
    #[inline(always)]
    pub(crate) fn lookup(&self, key: &FlowKey, place: u32) -> Option<&Way> {
        self.at(key, place).or_else(|| self.answer(self.find_beside(key, place)?))
    }

    /// What was answered about a flow, if it is at this place.
    #[inline(always)]
    pub(crate) fn at(&self, key: &FlowKey, place: u32) -> Option<&Way> {
        let entry = self.entries.get(place as usize)?;
        (entry.key == *key && entry.epoch == self.epoch).then_some(&entry.way)
    }

    /// Remember an answer: where.
    pub(crate) fn insert(&mut self, key: FlowKey, place: u32, way: Way) -> u32 {
        self.age = self.age.wrapping_add(1);
        let entry = Entry { key, epoch: self.epoch, way };
        let free = (0..WAYS).map(|way| place ^ way).find(|at| !self.is_used(*at));
        let at = free.unwrap_or_else(|| {
            // The first place takes the new answer, and those there move on by one: flows that take turns stay.
            for way in (1..WAYS).rev() {
                self.entries[(place ^ way) as usize] = self.entries[(place ^ (way - 1)) as usize];
            }
            place
        });
        if let Some(kept) = self.entries.get_mut(at as usize) {
            *kept = entry;
        }
        at
    }

    /// Whether an answer that holds is at a place; none is where there is no room for any.
    fn is_used(&self, place: u32) -> bool {
        self.entries.get(place as usize).is_some_and(|entry| entry.epoch == self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> FlowKey {
        FlowKey::new(u64::from(n), 0, 17, 0)
    }

    #[test]
    fn an_answer_holds_until_it_is_forgotten() {
        assert_eq!(size_of::<Entry>(), 64);
        let mut cache = FlowCache::new(4);
        let place = |cache: &FlowCache, n| cache.place(&key(n));
        let find = |cache: &FlowCache, n| cache.at(&key(n), cache.find(&key(n), place(cache, n))?).copied();
        for n in 0..6 {
            let at = place(&cache, n);
            assert_eq!(find(&cache, n), None);
            cache.insert(key(n), at, Way::Long);
            assert_eq!(find(&cache, n), Some(Way::Long), "{n}");
        }
        let kept = (0..6).filter(|n| find(&cache, *n).is_some()).count();
        assert_eq!(kept, 4);
        cache.forget();
        assert_eq!(find(&cache, 5), None);
        let none = FlowCache::new(0);
        assert!(none.is_off() && find(&none, 1).is_none());
    }

    #[test]
    fn a_key_is_its_flow() {
        let addresses = u64::from_ne_bytes([10, 0, 0, 9, 20, 0, 0, 7]);
        let ports = u32::from_ne_bytes([0, 0x35, 0x10, 0]);
        let key =
            |proto, opened| FlowKey::new(addresses, ports, proto, FlowKey::meta(IfIndex(0x102), opened));
        let flow = key(17, true).flow();
        assert_eq!((flow.src, flow.dst, flow.ports), (0x0a00_0009, 0x1400_0007, Some((0x35, 0x1000))));
        assert_eq!((key(17, true).opened(), key(17, false).opened()), (true, false));
        assert_eq!((key(1, false).ingress(), key(1, true).protocol()), (IfIndex(0x102), 1));
        assert_eq!(key(1, false).flow().ports, None);
    }
}
