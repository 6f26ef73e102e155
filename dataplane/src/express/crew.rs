//! Owner and helpers: crypto on other cores, order kept by construction.
//!
//! The owner of the SAs deals parcels of prepared packets to its helpers, keeps a list of where each went, and takes
//! them back from that list's head only: no packet overtakes another, and no reorder buffer is needed. A parcel that no
//! helper has room for is done by the owner itself, so no core waits while there is work.
//!
//! ```text
//! owner:  deal -> ring -> helper: crypt -> ring -> owner: collect, in the order of dealing
//!             \-> crypt here ---------------------/
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam::utils::Backoff;
use espalier_wire::plane::Direction;

use super::Note;
use crate::crypto::Key;
use crate::mem::Ring;
use crate::stage::crypt::Work;

/// Packets under way, and all that crypting them takes.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    pub(super) work: Work<Note>,
    pub(super) direction: Option<Direction>,
    /// The keys of packets, one for each run of packets of one SA …
    keys: Vec<Arc<Key>>,
    /// … and which is whose; past the last: none.
    whose: Vec<u32>,
}

impl Parcel {
    /// Take along the keys, so that nothing of the owner's is needed.
    fn pack<'k>(&mut self, key: impl Fn(&Note) -> Option<&'k Arc<Key>>) {
        self.keys.clear();
        self.whose.clear();
        let mut last: Option<&Arc<Key>> = None;
        for note in &self.work.notes {
            let Some(key) = key(note) else {
                self.whose.push(u32::MAX);
                continue;
            };
            if last.is_none_or(|last| !Arc::ptr_eq(last, key)) {
                self.keys.push(Arc::clone(key));
                last = Some(key);
            }
            self.whose.push(self.keys.len() as u32 - 1);
        }
    }

    fn crypt(&mut self) {
        let (keys, whose) = (&self.keys, &self.whose);
        let key = |at: usize, _: &Note| Some(&**keys.get(*whose.get(at)? as usize)?);
        match self.direction {
            Some(Direction::Inbound) => self.work.open(key),
            _ => self.work.seal(key),
        }
    }
}

/// What runs on a helper's core: takes parcels, crypts them, gives them back.
#[derive(Debug)]
pub struct Helper {
    from: Ring<Box<Parcel>>,
    to: Ring<Box<Parcel>>,
}

impl Helper {
    /// Crypt one parcel, if there is one.
    pub fn step(&mut self) -> bool {
        let Some(mut parcel) = self.from.pop() else { return false };
        parcel.crypt();
        // There is as much room on the way back as on the way here, and the owner deals no more than that.
        let _ = self.to.push(parcel);
        true
    }
}

#[derive(Debug)]
struct Desk {
    to: Ring<Box<Parcel>>,
    from: Ring<Box<Parcel>>,
    /// Parcels dealt and not collected.
    under_way: usize,
}

#[derive(Debug)]
enum Place {
    Desk(usize),
    Here(Box<Parcel>),
}

/// An owner's helpers, and where its parcels are.
#[derive(Debug, Default)]
pub(super) struct Crew {
    desks: Vec<Desk>,
    order: VecDeque<Place>,
    /// Boxes, as they came over the rings.
    #[allow(clippy::vec_box, reason = "the boxes themselves are kept")]
    spare: Vec<Box<Parcel>>,
    next: usize,
    frames: usize,
}

impl Crew {
    /// One more helper, with `depth` parcels under way at most.
    pub(super) fn hire(&mut self, depth: usize) -> Helper {
        let (to, from) = (Ring::new(depth), Ring::new(depth));
        self.desks.push(Desk { to: to.clone(), from: from.clone(), under_way: 0 });
        Helper { from: to, to: from }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.desks.is_empty()
    }

    /// Frames under way.
    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// Deal what is in `work`, which is then empty: to the next helper with room, else it is crypted here.
    pub(super) fn deal<'k>(
        &mut self,
        work: &mut Work<Note>,
        direction: Option<Direction>,
        key: impl Fn(&Note) -> Option<&'k Arc<Key>>,
    ) {
        let mut parcel = self.spare.pop().unwrap_or_default();
        std::mem::swap(&mut parcel.work, work);
        parcel.direction = direction;
        parcel.pack(key);
        self.frames += parcel.work.len();
        let desks = self.desks.len();
        for turn in 0..desks {
            let at = (self.next + turn) % desks;
            let Some(desk) = self.desks.get_mut(at) else { continue };
            if desk.under_way == desk.to.capacity() {
                continue;
            }
            match desk.to.push(parcel) {
                Ok(()) => {
                    desk.under_way += 1;
                    self.next = (at + 1) % desks;
                    return self.order.push_back(Place::Desk(at));
                }
                Err(back) => parcel = back,
            }
        }
        parcel.crypt();
        self.order.push_back(Place::Here(parcel));
    }

    /// The oldest parcel, if it is done; with `wait`, when it is done. `None`: not yet, or nothing is under way.
    pub(super) fn collect(&mut self, wait: bool) -> Option<Box<Parcel>> {
        let parcel = match self.order.pop_front()? {
            Place::Here(parcel) => parcel,
            Place::Desk(at) => match self.take_from(at, wait) {
                Some(parcel) => parcel,
                None => {
                    self.order.push_front(Place::Desk(at));
                    return None;
                }
            },
        };
        self.frames -= parcel.work.len();
        Some(parcel)
    }

    fn take_from(&mut self, at: usize, wait: bool) -> Option<Box<Parcel>> {
        let desk = self.desks.get_mut(at)?;
        let backoff = Backoff::new();
        loop {
            if let Some(parcel) = desk.from.pop() {
                desk.under_way -= 1;
                return Some(parcel);
            }
            if !wait {
                return None;
            }
            backoff.snooze();
        }
    }

    /// Keep an emptied parcel's memory.
    pub(super) fn keep(&mut self, parcel: Box<Parcel>) {
        self.spare.push(parcel);
    }
}
