//! From an SPI to its inbound SA, for a million of them.
//!
//! SPIs are drawn at random from 32 bits, so an array indexed by SPI would take 16 GiB. This is an open-addressed
//! table of (SPI, slot) pairs, at most half full: 16 bytes an SA, and one cache line touched for nearly every lookup.
//! The SAs themselves stand in a slab that the slot indexes.

use std::net::IpAddr;

use espalier_wire::Spi;

use super::Inbound;
use crate::mem::prefetch;

/// A place in the slab, and who was in it: a slot that was given to another SA since is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InboundRef {
    slot: u32,
    generation: u32,
}

impl InboundRef {
    /// No SA's.
    pub const NONE: Self = Self { slot: u32::MAX, generation: 0 };

    /// The same in two numbers …
    pub(crate) const fn parts(self) -> (u32, u32) {
        (self.slot, self.generation)
    }

    /// … and back.
    pub(crate) const fn of_parts(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    /// 0, never on the wire, marks an empty one.
    spi: u32,
    slot: u32,
}

const EMPTY: Entry = Entry { spi: 0, slot: 0 };

struct Slot {
    generation: u32,
    sa: Option<Inbound>,
}

/// The inbound SAs of one worker.
#[derive(Default)]
pub struct SaTable {
    entries: Vec<Entry>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    used: usize,
}

impl SaTable {
    /// How many SAs there are.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Bytes that the index takes.
    pub fn index_bytes(&self) -> usize {
        self.entries.len() * size_of::<Entry>()
    }

    /// The SA with this SPI and destination.
    pub fn find(&self, spi: Spi, dst: IpAddr) -> Option<InboundRef> {
        let mut at = self.home(spi.0)?;
        loop {
            let entry = self.entries[at];
            if entry.spi == 0 {
                return None;
            }
            if entry.spi == spi.0
                && let Some(slot) = self.slots.get(entry.slot as usize)
                && slot.sa.as_ref().is_some_and(|sa| sa.dst == dst)
            {
                return Some(InboundRef { slot: entry.slot, generation: slot.generation });
            }
            at = self.next(at);
        }
    }

    /// The one SA with this SPI, whatever its destination: for unicast the SPI alone may name an SA (RFC 4303
    /// section 2.1), and a NAT or transport mode changes what the destination reads. `None` when there are several.
    pub fn only(&self, spi: Spi) -> Option<InboundRef> {
        let (mut at, mut found) = (self.home(spi.0)?, None);
        while self.entries[at].spi != 0 {
            let entry = self.entries[at];
            if entry.spi == spi.0
                && let Some(slot) = self.slots.get(entry.slot as usize)
            {
                let place = InboundRef { slot: entry.slot, generation: slot.generation };
                if found.replace(place).is_some() {
                    return None;
                }
            }
            at = self.next(at);
        }
        found
    }

    /// Fetch the SA at a place towards the core.
    #[inline]
    pub fn fetch(&self, place: InboundRef) {
        if let Some(slot) = self.slots.get(place.slot as usize) {
            prefetch(slot);
            if let Some(sa) = &slot.sa {
                prefetch(&sa.window);
                prefetch(&sa.counters);
            }
        }
    }

    /// The SA at a place, unless it is gone.
    pub fn at(&self, place: InboundRef) -> Option<&Inbound> {
        let slot = self.slots.get(place.slot as usize)?;
        if slot.generation == place.generation { slot.sa.as_ref() } else { None }
    }

    /// As [`SaTable::at`], to change it.
    pub fn at_mut(&mut self, place: InboundRef) -> Option<&mut Inbound> {
        let slot = self.slots.get_mut(place.slot as usize)?;
        if slot.generation == place.generation { slot.sa.as_mut() } else { None }
    }

    /// Add an SA, in place of one with the same SPI and destination.
    pub fn insert(&mut self, sa: Inbound) -> InboundRef {
        if let Some(old) = self.find(sa.spi, sa.dst) {
            self.remove(old);
        }
        if (self.used + 1) * 2 > self.entries.len() {
            self.grow();
        }
        let (spi, slot) = (sa.spi.0, self.free.pop().unwrap_or(self.slots.len() as u32));
        if slot as usize == self.slots.len() {
            self.slots.push(Slot { generation: 0, sa: None });
        }
        let place = &mut self.slots[slot as usize];
        place.generation = place.generation.wrapping_add(1);
        place.sa = Some(sa);
        let generation = place.generation;
        self.put(Entry { spi, slot });
        self.used += 1;
        InboundRef { slot, generation }
    }

    /// Remove an SA.
    pub fn remove(&mut self, place: InboundRef) -> Option<Inbound> {
        let spi = self.at(place)?.spi.0;
        let mut at = self.home(spi)?;
        while self.entries[at].spi != spi || self.entries[at].slot != place.slot {
            if self.entries[at].spi == 0 {
                return None;
            }
            at = self.next(at);
        }
        self.close_gap(at);
        self.used -= 1;
        self.free.push(place.slot);
        self.slots[place.slot as usize].sa.take()
    }

    /// The SAs with this SPI, whatever their destination.
    pub fn with_spi(&self, spi: Spi) -> Vec<InboundRef> {
        let mut found = Vec::new();
        let Some(mut at) = self.home(spi.0) else { return found };
        while self.entries[at].spi != 0 {
            let entry = self.entries[at];
            if entry.spi == spi.0
                && let Some(slot) = self.slots.get(entry.slot as usize)
            {
                found.push(InboundRef { slot: entry.slot, generation: slot.generation });
            }
            at = self.next(at);
        }
        found
    }

    /// Every SA's place, in the order of the slots.
    pub fn places(&self) -> impl Iterator<Item = InboundRef> + '_ {
        self.slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.sa.is_some())
            .map(|(at, slot)| InboundRef { slot: at as u32, generation: slot.generation })
    }

    /// Every SA.
    pub fn iter(&self) -> impl Iterator<Item = &Inbound> + '_ {
        self.slots.iter().filter_map(|slot| slot.sa.as_ref())
    }

    /// Where an SPI's search begins: the high bits of its product with 2^32 over the golden ratio.
    fn home(&self, spi: u32) -> Option<usize> {
        let bits = self.entries.len().checked_ilog2()?;
        Some((u64::from(spi.wrapping_mul(0x9e37_79b9)) << bits >> 32) as usize)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.entries.len() - 1)
    }

    fn put(&mut self, entry: Entry) {
        let Some(mut at) = self.home(entry.spi) else { return };
        while self.entries[at].spi != 0 {
            at = self.next(at);
        }
        self.entries[at] = entry;
    }

    fn grow(&mut self) {
        let len = (self.entries.len() * 2).max(16);
        let old = std::mem::replace(&mut self.entries, vec![EMPTY; len]);
        for entry in old.into_iter().filter(|entry| entry.spi != 0) {
            self.put(entry);
        }
    }

    /// Empty one entry and move back those behind it that would no longer be found.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.entries.len() - 1;
        let mut at = gap;
        loop {
            at = self.next(at);
            let entry = self.entries[at];
            let Some(home) = self.home(entry.spi) else { return };
            if entry.spi == 0 {
                break;
            }
            // Its search passes the gap when the gap is no farther from its home than it is itself.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.entries[gap] = entry;
                gap = at;
            }
        }
        self.entries[gap] = EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use espalier_wire::plane::SaSpec;
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    fn sa(spi: u32, dst: u8) -> Inbound {
        testing::inbound(&SaSpec { dst: IpAddr::from([10, 0, 0, dst]), ..testing::spec(spi) })
    }

    proptest! {
        /// SPIs that collide in a small table, several destinations for one SPI, removals in between.
        #[test]
        fn equals_a_map(steps in proptest::collection::vec((1u32..40, 0u8..3, any::<bool>()), 1..200)) {
            let mut table = SaTable::default();
            let mut map = BTreeMap::new();
            for (spi, dst, add) in steps {
                let to = IpAddr::from([10, 0, 0, dst]);
                if add {
                    let place = table.insert(sa(spi, dst));
                    map.insert((spi, dst), place);
                } else if let Some(place) = table.find(Spi(spi), to) {
                    prop_assert_eq!(map.remove(&(spi, dst)), Some(place));
                    prop_assert!(table.remove(place).is_some_and(|sa| sa.spi == Spi(spi)));
                    prop_assert!(table.at(place).is_none() && table.remove(place).is_none());
                } else {
                    prop_assert!(!map.contains_key(&(spi, dst)));
                }
                prop_assert_eq!(table.len(), map.len());
                for ((spi, dst), place) in &map {
                    prop_assert_eq!(table.find(Spi(*spi), IpAddr::from([10, 0, 0, *dst])), Some(*place));
                }
            }
        }
    }

    #[test]
    fn a_slot_given_away_is_noticed() {
        let mut table = SaTable::default();
        let old = table.insert(sa(7, 1));
        let new = table.insert(sa(7, 1));
        assert!(table.at(old).is_none());
        assert_eq!(table.with_spi(Spi(7)), [new]);
        assert_eq!((table.only(Spi(7)), table.only(Spi(8))), (Some(new), None));
        let other = table.insert(sa(7, 2));
        assert_eq!(table.only(Spi(7)), None, "two destinations: the SPI alone does not tell");
        table.remove(other);
        assert_eq!(table.iter().count(), 1);
    }
}
