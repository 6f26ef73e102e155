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

use espalier_wire::plane::Direction;

use super::work::{Span, Work};
use crate::crypto::Key;
use crate::mem::sync::Patience;
use crate::mem::{Receiver, Sender, spsc};

/// Packets under way, and all that crypting them takes.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    pub(super) work: Work,
    pub(super) direction: Option<Direction>,
    /// The keys of its spans, one for each run of spans of one SA …
    keys: Vec<Arc<Key>>,
    /// … and which is whose; past the last: none.
    whose: Vec<u32>,
}

impl Parcel {
    /// Take along the keys, so that nothing of the owner's is needed.
    fn pack<'k>(&mut self, key: impl Fn(&Span) -> Option<&'k Arc<Key>>) {
        self.whose.clear();
        let mut last: Option<&Arc<Key>> = None;
        for span in &self.work.spans {
            let Some(key) = key(span) else {
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
        let key = |at: usize, _: &Span| Some(&**keys.get(*whose.get(at)? as usize)?);
        match self.direction {
            Some(Direction::Inbound) => self.work.open(key),
            _ => self.work.seal(key),
        }
    }
}

/// What runs on a helper's core: takes parcels, crypts them, gives them back. It may go at any time; its owner then does
/// what it left.
#[derive(Debug)]
pub struct Helper {
    from: Receiver<Parcel>,
    to: Sender<Parcel>,
}

impl Helper {
    /// Crypt one parcel, if there is one.
    pub fn step(&mut self) -> bool {
        self.step_by(Parcel::crypt)
    }

    fn step_by(&mut self, crypt: impl FnOnce(&mut Parcel)) -> bool {
        let Some(parcel) = self.from.pop() else { return false };
        let mut back = WayBack { to: &mut self.to, parcel: Some(parcel) };
        if let Some(parcel) = &mut back.parcel {
            crypt(parcel);
        }
        true
    }

    /// The same where the engine panics over the first packet that it is given.
    #[cfg(test)]
    pub(super) fn step_and_panic(&mut self) {
        use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

        let key = |_: usize, span: &Span| match span.task {
            super::Task::Nothing => None,
            _ => resume_unwind(Box::new("an engine's panic")),
        };
        let step = || self.step_by(|parcel| parcel.work.seal(key));
        assert!(catch_unwind(AssertUnwindSafe(step)).is_err());
    }
}

/// Gives a parcel back when it goes, and so even if an engine panics: what is not done then is lost as such, and the owner
/// does not wait for ever.
struct WayBack<'a> {
    to: &'a mut Sender<Parcel>,
    parcel: Option<Box<Parcel>>,
}

impl Drop for WayBack<'_> {
    fn drop(&mut self) {
        // There is as much room on the way back as on the way here, and the owner deals no more than that.
        let _ = self.parcel.take().map(|parcel| self.to.push(parcel));
    }
}

#[derive(Debug)]
struct Desk {
    to: Sender<Parcel>,
    from: Receiver<Parcel>,
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
        let ((to, for_helper), (from_helper, from)) = (spsc(depth), spsc(depth));
        self.desks.push(Desk { to, from, under_way: 0 });
        Helper { from: for_helper, to: from_helper }
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
        work: &mut Work,
        direction: Option<Direction>,
        key: impl Fn(&Span) -> Option<&'k Arc<Key>>,
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
            if desk.under_way == desk.to.capacity() || desk.to.is_abandoned() {
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
        let patience = Patience::default();
        loop {
            // A helper that is gone gives nothing back after this: so it is asked for before the look at what it gave.
            let gone = desk.to.is_abandoned();
            let parcel = desk.from.pop().or_else(|| {
                let mut parcel = if gone { desk.to.take_back() } else { None }?;
                parcel.crypt();
                Some(parcel)
            });
            if parcel.is_some() {
                desk.under_way -= 1;
                return parcel;
            }
            if !wait {
                return None;
            }
            patience.wait();
        }
    }

    /// Keep an emptied parcel's memory, and none of its keys: their SAs may go.
    pub(super) fn keep(&mut self, mut parcel: Box<Parcel>) {
        parcel.keys.clear();
        self.spare.push(parcel);
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_tests {
    use loom::thread;

    use super::super::work::Row;
    use super::*;
    use crate::frame::{Class, Frame};

    fn work(seq: u64) -> Work {
        let mut work = Work::default();
        work.frames.push(Frame::new(Class::Small));
        work.make_room();
        work.rows[0] = Row::new(seq, 0, 0, 0);
        work
    }

    /// However far each helper is, and whenever it goes: parcels are collected in the order of dealing, each once and none
    /// is left.
    fn parcels_keep_their_order(helpers: usize, depth: usize, parcels: u64, steps: usize) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let mut crew = Crew::default();
            let hired = (0..helpers).map(|_| crew.hire(depth)).collect::<Vec<_>>();
            let step = |mut helper: Helper| {
                thread::spawn(move || {
                    for _ in 0..steps {
                        helper.step();
                        thread::yield_now();
                    }
                })
            };
            let threads: Vec<_> = hired.into_iter().map(step).collect();
            let mut next = 0;
            let mut collected = |crew: &mut Crew, wait| {
                while let Some(parcel) = crew.collect(wait) {
                    assert_eq!((parcel.work.rows[0].seq, parcel.work.len()), (next, 1));
                    next += 1;
                }
            };
            for seq in 0..parcels {
                crew.deal(&mut work(seq), None, |_| None);
                collected(&mut crew, false);
            }
            collected(&mut crew, true);
            assert_eq!((next, crew.frames()), (parcels, 0));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn loom_one_helper_keeps_the_order() {
        parcels_keep_their_order(1, 2, 4, 3);
    }

    #[test]
    fn loom_two_helpers_keep_the_order() {
        parcels_keep_their_order(2, 1, 3, 1);
    }
}
