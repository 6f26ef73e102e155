//! Where the packets of a flow go, once the pipeline has been asked: a cache of its answers, not of packets.
//!
//! An answer holds until the worker is commanded anything: each carries the epoch it was given in, and a command begins
//! a new one. Two places a flow; the older answer makes room.

use espalier_wire::IfIndex;
use espalier_wire::ipv4::protocol;

use crate::mem::prefetch;
use crate::policy::PolicyRef;
use crate::stage::classify::Flow;

/// What an answer depends on: an IPv4 flow, where it came in, and whether out of an SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FlowKey {
    pub(crate) src: u32,
    pub(crate) dst: u32,
    /// Source and destination port as they stand in the packet; 0 for a protocol that has none.
    pub(crate) ports: u32,
    pub(crate) protocol: u8,
    pub(crate) opened: bool,
    pub(crate) ingress: u16,
}

/// Whether packets of a protocol begin with two ports.
pub(crate) const fn has_ports(proto: u8) -> bool {
    matches!(proto, protocol::TCP | 33 | protocol::UDP | 132 | 136)
}

impl FlowKey {
    /// Nobody's.
    pub(crate) const NONE: Self = Self { src: 0, dst: 0, ports: 0, protocol: 0, opened: false, ingress: 0 };

    /// As the stages know a flow.
    pub(crate) fn flow(&self) -> Flow {
        let ports = ((self.ports >> 16) as u16, self.ports as u16);
        Flow {
            src: u128::from(self.src),
            dst: u128::from(self.dst),
            ipv4: true,
            protocol: self.protocol,
            ports: has_ports(self.protocol).then_some(ports),
        }
    }

    fn hash(&self) -> u32 {
        let addresses = u64::from(self.src) << 32 | u64::from(self.dst);
        let rest = u64::from(self.ports) << 32
            | u64::from(self.protocol) << 24
            | u64::from(self.opened) << 16
            | u64::from(self.ingress);
        let mixed = (addresses ^ rest.rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ rest ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 32) as u32
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

const EMPTY: Entry = Entry { key: FlowKey::NONE, epoch: 0, way: Way::Long };

/// The answers.
pub(crate) struct FlowCache {
    /// A power of two, two at least; or none.
    entries: Box<[Entry]>,
    epoch: u32,
}

impl FlowCache {
    /// Room for `flows` answers, rounded up to a power of two; 0: every packet takes the long way.
    pub(crate) fn new(flows: usize) -> Self {
        let len = if flows == 0 { 0 } else { flows.next_power_of_two().max(2) };
        Self { entries: vec![EMPTY; len].into_boxed_slice(), epoch: 1 }
    }

    /// Whether there is room for any answer.
    pub(crate) fn is_off(&self) -> bool {
        self.entries.is_empty()
    }

    /// What was answered holds no longer.
    pub(crate) fn forget(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.entries.fill(EMPTY);
            self.epoch = 1;
        }
    }

    /// Where a flow's answer would be; it is fetched towards the core.
    pub(crate) fn place(&self, key: &FlowKey) -> u32 {
        let place = key.hash() & (self.entries.len() as u32).wrapping_sub(1);
        if let Some(entry) = self.entries.get(place as usize) {
            prefetch(entry);
        }
        place
    }

    /// Which of a flow's two places has its answer; the first, where neither does.
    #[inline]
    pub(crate) fn settle(&self, key: &FlowKey, place: u32) -> u32 {
        match self.at(key, place ^ 1) {
            Some(_) => place ^ 1,
            None => place,
        }
    }

    /// What was answered about a flow, if it is at this place.
    #[inline]
    pub(crate) fn at(&self, key: &FlowKey, place: u32) -> Option<&Way> {
        let entry = self.entries.get(place as usize)?;
        (entry.key == *key && entry.epoch == self.epoch).then_some(&entry.way)
    }

    /// Remember an answer.
    pub(crate) fn insert(&mut self, key: FlowKey, place: u32, way: Way) {
        let epoch = self.epoch;
        let free = [place, place ^ 1]
            .into_iter()
            .find(|at| self.entries.get(*at as usize).is_some_and(|entry| entry.epoch != epoch));
        let at = free.unwrap_or(place ^ 1);
        if free.is_none() && self.entries.len() > 1 {
            // The first place has the newest answer, so that two flows that take turns both stay.
            self.entries.swap(place as usize, at as usize);
            self.entries[place as usize] = Entry { key, epoch, way };
        } else if let Some(entry) = self.entries.get_mut(at as usize) {
            *entry = Entry { key, epoch, way };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> FlowKey {
        FlowKey { src: n, dst: 7, protocol: 17, ..FlowKey::NONE }
    }

    #[test]
    fn an_answer_holds_until_it_is_forgotten() {
        assert_eq!(size_of::<Entry>(), 64);
        let mut cache = FlowCache::new(2);
        let place = |cache: &FlowCache, n| cache.place(&key(n));
        let find = |cache: &FlowCache, n| cache.at(&key(n), cache.settle(&key(n), place(cache, n))).copied();
        for n in 0..3 {
            let at = place(&cache, n);
            assert_eq!(find(&cache, n), None);
            cache.insert(key(n), at, Way::Long);
            assert_eq!(find(&cache, n), Some(Way::Long), "{n}");
        }
        let kept = (0..3).filter(|n| find(&cache, *n).is_some()).count();
        assert_eq!(kept, 2);
        cache.forget();
        assert_eq!(find(&cache, 2), None);
        let none = FlowCache::new(0);
        assert!(none.is_off() && find(&none, 1).is_none());
    }

    #[test]
    fn a_key_is_its_flow() {
        let flow = FlowKey { ports: 0x0035_1000, ..key(9) }.flow();
        assert_eq!((flow.src, flow.ports), (9, Some((0x35, 0x1000))));
        assert_eq!(FlowKey { protocol: 1, ..key(9) }.flow().ports, None);
    }
}
