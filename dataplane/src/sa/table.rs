//! From an SPI to its inbound SA, for a million of them.
//!
//! SPIs are drawn at random from 32 bits, so an array indexed by SPI would take 16 GiB. This is an open-addressed
//! table of (SPI, slot) pairs, at most half full: 16 bytes an SA, and one cache line touched for nearly every lookup.
//! The SAs themselves stand in a slab that the slot indexes.

use std::net::IpAddr;

use espalier_wire::Spi;

use super::Inbound;
use crate::mem::{prefetch, prefetch_line};

/// A place in the slab, and who was in it: a slot that was given to another SA since is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InboundRef {
    slot: u32,
    generation: u32,
}

impl InboundRef {
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

/// The inbound SAs of one worker.
#[derive(Default)]
pub struct SaTable {
    entries: Vec<Entry>,
    slots: Vec<Option<Inbound>>,
    free: Vec<u32>,
    used: usize,
    /// Of the SA that came last.
    generation: u32,
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
                && let Some(place) = self.place(entry.slot, |sa| sa.dst == dst)
            {
                return Some(place);
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
                && let Some(place) = self.place(entry.slot, |_| true)
                && found.replace(place).is_some()
            {
                return None;
            }
            at = self.next(at);
        }
        found
    }

    fn place(&self, slot: u32, is: impl Fn(&Inbound) -> bool) -> Option<InboundRef> {
        let sa = self.slots.get(slot as usize)?.as_ref().filter(|sa| is(sa))?;
        Some(InboundRef { slot, generation: sa.generation })
    }

    /// Fetch towards the core where an SPI's search begins.
    #[inline(always)]
    pub(crate) fn fetch_home(&self, spi: Spi) {
        if let Some(entry) = self.home(spi.0).and_then(|home| self.entries.get(home)) {
            prefetch(entry);
        }
    }

    /// The slot of the first SA with this SPI; whether it is the one that is meant, its destination tells.
    #[inline(always)]
    pub(crate) fn first(&self, spi: Spi) -> Option<u32> {
        let mut at = self.home(spi.0)?;
        loop {
            let entry = self.entries.get(at)?;
            if entry.spi == spi.0 && spi.0 != 0 {
                return Some(entry.slot);
            }
            if entry.spi == 0 {
                return None;
            }
            at = self.next(at);
        }
    }

    /// Fetch towards the core a line of the SA in a slot; a packet touches the first two.
    #[inline(always)]
    pub(crate) fn fetch<const LINE: usize>(&self, slot: u32) {
        if let Some(slot) = self.slots.get(slot as usize) {
            prefetch_line::<LINE, _>(slot);
        }
    }

    /// The SA in a slot, to fetch by what its first line says.
    #[inline(always)]
    pub(crate) fn peek(&self, slot: u32) -> Option<&Inbound> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The SA in a slot, and its place.
    #[inline(always)]
    pub(crate) fn in_slot(&mut self, slot: u32) -> Option<(InboundRef, &mut Inbound)> {
        let sa = self.slots.get_mut(slot as usize)?.as_mut()?;
        Some((InboundRef { slot, generation: sa.generation }, sa))
    }

    /// The SA at a place, unless it is gone.
    #[inline(always)]
    pub fn at(&self, place: InboundRef) -> Option<&Inbound> {
        self.slots.get(place.slot as usize)?.as_ref().filter(|sa| sa.generation == place.generation)
    }

    /// As [`SaTable::at`], to change it.
    #[inline(always)]
    pub fn at_mut(&mut self, place: InboundRef) -> Option<&mut Inbound> {
        self.slots.get_mut(place.slot as usize)?.as_mut().filter(|sa| sa.generation == place.generation)
    }

    /// Add an SA, in place of one with the same SPI and destination.
    pub fn insert(&mut self, mut sa: Inbound) -> InboundRef {
        if let Some(old) = self.find(sa.spi, sa.dst) {
            self.remove(old);
        }
        if (self.used + 1) * 2 > self.entries.len() {
            self.grow();
        }
        let (spi, slot) = (sa.spi.0, self.free.pop().unwrap_or(self.slots.len() as u32));
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        // None is 0: that is nobody's.
        self.generation = self.generation.wrapping_add(1).max(1);
        let generation = self.generation;
        sa.generation = generation;
        self.slots[slot as usize] = Some(sa);
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
        self.slots[place.slot as usize].take()
    }

    /// The SAs with this SPI, whatever their destination.
    pub fn with_spi(&self, spi: Spi) -> Vec<InboundRef> {
        let mut found = Vec::new();
        let Some(mut at) = self.home(spi.0) else { return found };
        while self.entries[at].spi != 0 {
            let entry = self.entries[at];
            if entry.spi == spi.0 {
                found.extend(self.place(entry.slot, |_| true));
            }
            at = self.next(at);
        }
        found
    }

    /// Every SA's place, in the order of the slots.
    pub fn places(&self) -> impl Iterator<Item = InboundRef> + '_ {
        (0..self.slots.len() as u32).filter_map(|slot| self.place(slot, |_| true))
    }

    /// Every SA.
    pub fn iter(&self) -> impl Iterator<Item = &Inbound> + '_ {
        self.slots.iter().flatten()
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
