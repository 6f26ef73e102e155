//! Make packets ready for the engine and note what is to become of them, in place, one after the other, until one needs the
//! long way or another engine.

use espalier_wire::plane::Direction;
use espalier_wire::{IfIndex, Instant};

use super::classify::{Is, Look};
use super::flows::{Adjacency, Way};
use super::seal::leave_clear;
use super::{Express, LINK, NOTHING, Note, Run};
use crate::fate::Output;
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::stage::crypt::Plan;
use crate::worker::Worker;

/// Why no more packets were prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// There are no more.
    End,
    /// The next is to be opened and those before it sealed, or the other way round.
    Turn,
    /// The next takes the long way, and is unchanged.
    Refused,
    /// Nothing is known of the next one's flow.
    Unknown,
}

impl Worker {
    /// Prepare the frames that are all of the work, and of which `looks` tell, from the first on.
    #[inline]
    pub(super) fn prepare(
        &mut self,
        now: Instant,
        ingress: IfIndex,
        looks: &mut [Look],
        out: &mut Output,
    ) -> (Run, Stop) {
        let mut run = Run::default();
        // Packets on the long way must be through before any other.
        if self.express.long && !looks.first().is_some_and(Look::is_long) {
            self.run(now, out);
        }
        // What was opened since may have taken the place of an answer.
        if self.express.looked_up != self.express.flows.age() {
            self.look_up(looks);
        }
        self.express.work.plans.resize(looks.len(), Plan::NONE);
        self.express.work.notes.resize(looks.len(), NOTHING);
        let stop = loop {
            match self.express.prepare(&mut self.security, (now, ingress), looks, &mut run) {
                Stop::Unknown => self.learn_all(looks.get_mut(run.len..).unwrap_or_default()),
                stop => break stop,
            }
        };
        self.express.work.plans.truncate(run.len);
        self.express.work.notes.truncate(run.len);
        (run, stop)
    }
}

/// Frames, what is known of them, and room for what is to be done with them.
pub(super) struct Rows<'a> {
    pub(super) frames: &'a mut [Frame],
    pub(super) looks: &'a [Look],
    pub(super) plans: &'a mut [Plan],
    pub(super) notes: &'a mut [Note],
}

impl Express {
    fn prepare(
        &mut self,
        security: &mut Security,
        (now, ingress): (Instant, IfIndex),
        looks: &[Look],
        run: &mut Run,
    ) -> Stop {
        let Self { flows, work, .. } = self;
        loop {
            let mut rows = Rows {
                frames: work.frames.get_mut(run.len..).unwrap_or_default(),
                looks: looks.get(run.len..).unwrap_or_default(),
                plans: work.plans.get_mut(run.len..).unwrap_or_default(),
                notes: work.notes.get_mut(run.len..).unwrap_or_default(),
            };
            let Some(look) = rows.looks.first() else { return Stop::End };
            let direction = match look.is {
                Is::Long | Is::Esp => return Stop::Refused,
                Is::Transit => return Stop::Unknown,
                Is::Clear => run.direction,
                Is::Seal => Some(Direction::Outbound),
                Is::Open => Some(Direction::Inbound),
            };
            // Packets to be opened do not go with those to be sealed.
            if run.direction.is_some() && run.direction != direction {
                return Stop::Turn;
            }
            let at = (now, ingress);
            let (len, bytes) = match (look.is, flows.answer(look.place)) {
                (Is::Open, _) => security.prepare_open(at, &mut rows),
                (Is::Seal, _) => security.prepare_seal(at, flows, &mut rows),
                (_, Some(Way::Clear(way))) => clear(ingress, way, &mut rows),
                _ => (0, 0),
            };
            if len == 0 {
                return Stop::Refused;
            }
            *run = Run { len: run.len + len, direction, bytes: run.bytes + bytes };
        }
    }
}

/// The first packet, in clear: how many were made ready, and how many bytes they came in.
#[inline(always)]
fn clear(ingress: IfIndex, way: &Adjacency, rows: &mut Rows<'_>) -> (usize, u64) {
    let ([frame, ..], [look, ..], [plan, ..], [note, ..]) =
        (&mut *rows.frames, rows.looks, &mut *rows.plans, &mut *rows.notes)
    else {
        return (0, 0);
    };
    let came = frame.len() as u64;
    if !leave_clear(frame, LINK as u32, way, look.len) {
        return (0, 0);
    }
    frame.meta.ingress = ingress;
    *plan = Plan { at: frame.len() as u32, ..Plan::NONE };
    *note = Note { iface: way.iface, ..NOTHING };
    (1, came)
}
