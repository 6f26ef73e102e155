//! After the engine: what was sealed is sent, what was opened is taken out and sent; what did not go as it should takes the
//! long way or is lost.

use espalier_wire::plane::Direction;
use espalier_wire::{Cause, Instant};

use super::open::{Inside, take_one};
use super::prepare::Stop;
use super::work::Work;
use super::{Tally, tally};
use crate::fate::Output;
use crate::worker::Worker;

impl Worker {
    /// Put out what the engine has done.
    pub(super) fn finish(
        &mut self,
        now: Instant,
        work: &mut Work,
        direction: Option<Direction>,
        out: &mut Output,
    ) {
        self.express.leaving.clear();
        if direction == Some(Direction::Inbound) {
            return self.finish_opened(now, work, out);
        }
        if !work.is_all_done() {
            return self.send_done(work, out);
        }
        for span in &work.spans {
            let left = Tally { iface: span.iface, packets: span.count, bytes: span.bytes };
            tally(&mut self.express.leaving, left);
        }
        self.send_leaving(work, out);
    }

    /// Send those that leave, the first of the work.
    fn send_leaving(&mut self, work: &mut Work, out: &mut Output) {
        let leaving = std::mem::take(&mut self.express.leaving);
        let all = leaving.iter().map(|left| left.packets as usize).sum::<usize>().min(work.len());
        let mut frames = work.frames.drain(..all);
        for left in &leaving {
            let iface = left.iface;
            out.transmit.extend(frames.by_ref().take(left.packets as usize).map(|frame| (iface, frame)));
            self.count_out(left);
        }
        drop(frames);
        self.express.leaving = leaving;
    }

    /// What was sealed where the engine refused some.
    #[cold]
    fn send_done(&mut self, work: &mut Work, out: &mut Output) {
        let mut frames = std::mem::take(&mut work.frames);
        for (frame, row) in frames.drain(..).zip(&work.rows) {
            if work.is_done(row) {
                let iface = work.span_of(row).iface;
                self.count_out(&Tally { iface, packets: 1, bytes: frame.len() as u64 });
                out.transmit.push((iface, frame));
            } else {
                self.lose(frame, Cause::NoSa, out);
            }
        }
        work.frames = frames;
    }

    fn finish_opened(&mut self, now: Instant, work: &mut Work, out: &mut Output) {
        let mut at = 0;
        while at < work.len() {
            self.express.look_inside(work, at, false);
            let taken = self.take_out(work, at);
            at += taken;
            if taken < self.express.insides.len() {
                self.express.look_inside(work, at, true);
                self.send_leaving(work, out);
                return self.finish_each(now, work, at, out);
            }
            self.express.take_train(&mut self.security, work, &mut at);
        }
        self.send_leaving(work, out);
    }

    /// Take out what can be of the frames that were looked at, of which that at `from` is the first: how many.
    fn take_out(&mut self, work: &mut Work, from: usize) -> usize {
        let mut taken = 0;
        while self.express.take_out(&mut self.security, work, from, &mut taken) == Stop::Unknown {
            if let Some(Inside { key, place, .. }) = self.express.insides.get(taken).copied() {
                self.learn(&key, place);
            }
        }
        taken
    }

    /// Some of what was opened takes the long way, the one that was at `refused` as the first. Those before it are sent.
    #[cold]
    fn finish_each(&mut self, now: Instant, work: &mut Work, refused: usize, out: &mut Output) {
        let insides = std::mem::take(&mut self.express.insides);
        let mut frames = std::mem::take(&mut work.frames);
        let rows = work.rows.get(refused..).unwrap_or_default();
        for ((mut frame, row), inside) in frames.drain(..).zip(rows).zip(&insides) {
            let span = work.span_of(row);
            let mut take = |worker: &mut Self| {
                take_one(&worker.express.flows, &mut worker.security, &mut frame, inside, (row, &span))
            };
            let mut taken = take(self);
            if taken == Err(Stop::Unknown) {
                self.learn(&inside.key, inside.place);
                taken = take(self);
            }
            match taken {
                Ok(left) => {
                    self.count_out(&left);
                    out.transmit.push((left.iface, frame));
                }
                Err(_) => self.finish_long(now, frame, work.plan(row), (row, &span), out),
            }
        }
        work.frames = frames;
        self.express.insides = insides;
    }
}
