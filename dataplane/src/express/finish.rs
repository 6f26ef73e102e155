//! After the engine: what was sealed is sent, what was opened is taken out and sent; what did not go as it should takes the
//! long way or is lost.

use espalier_wire::plane::Direction;
use espalier_wire::{Cause, IfIndex, Instant};

use super::open::Inside;
use super::prepare::Stop;
use super::{Note, Tally};
use crate::fate::Output;
use crate::frame::Frame;
use crate::stage::crypt::{Plan, Work};
use crate::worker::Worker;

impl Worker {
    /// Put out what the engine has done.
    pub(super) fn finish(
        &mut self,
        now: Instant,
        work: &mut Work<Note>,
        direction: Option<Direction>,
        out: &mut Output,
    ) {
        if direction == Some(Direction::Inbound) {
            self.finish_opened(now, work, out);
        } else if work.frames.iter().zip(&work.plans).all(|(_, plan)| plan.done) {
            self.send_all(work, out);
        } else {
            self.send_done(work, out);
        }
    }

    /// What was sealed, and what went along in clear: frames are what their plans say.
    fn send_all(&mut self, work: &mut Work<Note>, out: &mut Output) {
        let (mut left, mut by) = (Tally::default(), IfIndex(0));
        let rows = work.frames.drain(..).zip(work.plans.iter().zip(&work.notes));
        out.transmit.extend(rows.map(|(frame, (plan, note))| {
            if note.iface != by {
                self.count_out(by, &std::mem::take(&mut left));
                by = note.iface;
            }
            left.add(plan.at + plan.len);
            (note.iface, frame)
        }));
        self.count_out(by, &left);
    }

    /// The same where the engine refused some.
    #[cold]
    fn send_done(&mut self, work: &mut Work<Note>, out: &mut Output) {
        for (frame, plan, note) in work.drain() {
            if plan.done {
                self.send_one(frame, &plan, &note, out);
            } else {
                self.lose(frame, Cause::NoSa, out);
            }
        }
    }

    fn finish_opened(&mut self, now: Instant, work: &mut Work<Note>, out: &mut Output) {
        self.express.insides.clear();
        let mut at = 0;
        while at < work.len() {
            self.express.look_inside(work, false);
            at = self.take_out(work, at);
            if at < self.express.insides.len() {
                self.express.look_inside(work, true);
                return self.finish_each(now, work, at, out);
            }
            self.express.take_train(&mut self.security, work, &mut at);
        }
        self.send_all(work, out);
    }

    /// Take out what can be, from the frame at `at` on: where it ended.
    fn take_out(&mut self, work: &mut Work<Note>, mut at: usize) -> usize {
        while self.express.take_out(&mut self.security, work, &mut at) == Stop::Unknown {
            if let Some(Inside { key, place, .. }) = self.express.insides.get(at).copied() {
                self.learn(&key, place);
            }
        }
        at
    }

    /// Some of what was opened takes the long way, the one at `refused` as the first. Those before it were taken out.
    #[cold]
    fn finish_each(&mut self, now: Instant, work: &mut Work<Note>, refused: usize, out: &mut Output) {
        let insides = std::mem::take(&mut self.express.insides);
        let opened = work.drain().zip(&insides).enumerate();
        for (at, ((mut frame, mut plan, mut note), inside)) in opened {
            let mut take = |worker: &mut Self| {
                worker.express.take_one(&mut worker.security, &mut frame, inside, (&mut plan, &mut note))
            };
            let mut taken = if at < refused { Ok(()) } else { take(self) };
            if taken == Err(Stop::Unknown) {
                self.learn(&inside.key, inside.place);
                taken = take(self);
            }
            match taken {
                Ok(()) => self.send_one(frame, &plan, &note, out),
                Err(_) => self.finish_long(now, frame, plan, &note, out),
            }
        }
        self.express.insides = insides;
    }

    fn send_one(&mut self, frame: Frame, plan: &Plan, note: &Note, out: &mut Output) {
        let mut left = Tally::default();
        left.add(plan.at + plan.len);
        self.count_out(note.iface, &left);
        out.transmit.push((note.iface, frame));
    }
}
