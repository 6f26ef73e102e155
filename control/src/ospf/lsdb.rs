//! The link state database: one entry an LSA, its age computed from when it was installed, and the order in which
//! entries are refreshed or die. No timer ticks here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use espalier_wire::ospf::{Lsa, LsaBody, LsaHeader, LsaKey, LsaType, MAX_AGE};
use espalier_wire::{Duration, Instant, RouterId};

/// Seconds of age at which the originator makes a new instance (RFC 2328 appendix B, LSRefreshTime).
const REFRESH: u16 = 1800;

/// An LSA in the database.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// As it came, with the age it then had.
    lsa: Lsa,
    /// Its body, read.
    pub(super) body: LsaBody,
    /// When it was installed.
    pub(super) installed: Instant,
    /// It came from a neighbour: MinLSArrival counts (RFC 2328 section 13 step 5a).
    pub(super) flooded: bool,
    /// When a neighbour with an older instance was last told (RFC 2328 section 13 step 8).
    pub(super) told: Option<Instant>,
    deadline: Option<Instant>,
}

impl Entry {
    /// Age in seconds, [`MAX_AGE`] at most.
    pub(super) fn age(&self, now: Instant) -> u16 {
        let more = u16::try_from(now.since(self.installed).as_whole_s()).unwrap_or(MAX_AGE);
        self.lsa.header.age.saturating_add(more).min(MAX_AGE)
    }

    /// The header as of `now`.
    pub(super) fn header(&self, now: Instant) -> LsaHeader {
        LsaHeader { age: self.age(now), ..self.lsa.header }
    }

    /// The LSA as of `now`.
    pub(super) fn lsa(&self, now: Instant) -> Lsa {
        let mut lsa = self.lsa.clone();
        lsa.header.age = self.age(now);
        lsa
    }

    /// Flushed or too old: waiting for acknowledgements, and counting for nothing.
    pub(super) const fn dead(&self) -> bool {
        self.lsa.header.age == MAX_AGE
    }

    /// Whether a new instance says something else (RFC 2328 section 13.2).
    pub(super) fn differs(&self, new: &Lsa) -> bool {
        let (old, new_header) = (&self.lsa.header, &new.header);
        old.options != new_header.options
            || (old.age == MAX_AGE) != (new_header.age == MAX_AGE)
            || self.lsa.body_bytes() != new.body_bytes()
    }
}

/// Every LSA of the area and of the AS.
#[derive(Debug, Default)]
pub(super) struct Lsdb {
    entries: BTreeMap<LsaKey, Entry>,
    deadlines: BTreeSet<(Instant, LsaKey)>,
    dead: BTreeSet<LsaKey>,
}

impl Lsdb {
    pub(super) fn entry(&self, key: &LsaKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn entry_mut(&mut self, key: &LsaKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&LsaKey, &Entry)> {
        self.entries.iter()
    }

    /// What counts in a calculation: not dead.
    pub(super) fn body(&self, key: &LsaKey) -> Option<&LsaBody> {
        self.entries.get(key).filter(|e| !e.dead()).map(|e| &e.body)
    }

    /// The live LSAs of one type whose Link State IDs lie in a range.
    pub(super) fn of_kind(
        &self,
        kind: LsaType,
        from: Ipv4Addr,
        to: Ipv4Addr,
    ) -> impl Iterator<Item = (&LsaKey, &LsaBody)> {
        let low = LsaKey::new(kind, from, RouterId(Ipv4Addr::UNSPECIFIED));
        let high = LsaKey::new(kind, to, RouterId(Ipv4Addr::BROADCAST));
        self.entries.range(low..=high).filter(|(_, e)| !e.dead()).map(|(k, e)| (k, &e.body))
    }

    /// Put an instance in, in place of the one before. One of `ours` is refreshed in time, another's dies.
    pub(super) fn install(&mut self, lsa: Lsa, body: LsaBody, now: Instant, ours: bool, flooded: bool) {
        let key = lsa.header.key;
        self.remove(&key);
        let age = lsa.header.age;
        let life = if ours && age < REFRESH { REFRESH } else { MAX_AGE };
        let deadline = (age < MAX_AGE).then(|| now + Duration::from_s(u64::from(life - age)));
        match deadline {
            Some(at) => self.deadlines.insert((at, key)),
            None => self.dead.insert(key),
        };
        self.entries.insert(key, Entry { lsa, body, installed: now, flooded, told: None, deadline });
    }

    pub(super) fn remove(&mut self, key: &LsaKey) {
        let Some(entry) = self.entries.remove(key) else { return };
        if let Some(at) = entry.deadline {
            self.deadlines.remove(&(at, *key));
        }
        self.dead.remove(key);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// An LSA whose time to be refreshed or to die has come.
    pub(super) fn due(&self, now: Instant) -> Option<LsaKey> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    /// What waits to be removed.
    pub(super) fn dead(&self) -> impl Iterator<Item = &LsaKey> {
        self.dead.iter()
    }
}
