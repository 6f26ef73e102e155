//! Make packets ready for the engine and note what is to become of them, in place, one after the other, until one needs the
//! long way or another engine.

use std::iter::Zip;
use std::slice::IterMut;

use espalier_wire::plane::Direction;
use espalier_wire::{IfIndex, Instant};

use super::classify::{Is, Look};
use super::flows::{Adjacency, Way};
use super::open;
use super::seal::leave_clear;
use super::work::{CLEAR, Row, Span, Work};
use super::{Express, LINK, Run};
use crate::fate::Output;
use crate::frame::Frame;
use crate::pipeline::Security;
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
        self.express.work.make_room();
        let stop = loop {
            match self.express.prepare(&mut self.security, (now, ingress), looks, &mut run) {
                Stop::Unknown => self.learn_all(looks.get_mut(run.looks..).unwrap_or_default()),
                stop => break stop,
            }
        };
        (run, stop)
    }
}

/// Frames, and room for what is each one's own; and which span they are of.
pub(super) struct Rows<'a> {
    pub(super) each: Zip<IterMut<'a, Frame>, IterMut<'a, Row>>,
    pub(super) span: u32,
}

/// So many of a work, from one on.
#[inline(always)]
pub(super) fn rows<'a>(
    frames: &'a mut [Frame],
    rows: &'a mut [Row],
    from: usize,
    count: usize,
) -> Zip<IterMut<'a, Frame>, IterMut<'a, Row>> {
    stretch(frames, from, count).iter_mut().zip(stretch(rows, from, count))
}

#[inline(always)]
fn stretch<T>(all: &mut [T], from: usize, count: usize) -> &mut [T] {
    let behind = all.get_mut(from..).unwrap_or_default();
    let count = count.min(behind.len());
    behind.get_mut(..count).unwrap_or_default()
}

/// A look's packets, as many as were made ready, and how many bytes they came in.
pub(super) type Ready = (Span, u64);

impl Express {
    fn prepare(
        &mut self,
        security: &mut Security,
        at: (Instant, IfIndex),
        looks: &[Look],
        run: &mut Run,
    ) -> Stop {
        let Self { flows, work, .. } = self;
        let looks = looks.get(run.looks..).unwrap_or_default();
        for look in looks {
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
            let Work { frames, rows: all, spans, .. } = &mut *work;
            let rows =
                Rows { each: rows(frames, all, run.len, look.count as usize), span: spans.len() as u32 };
            let (span, bytes) = if look.is == Is::Open {
                open::check(&mut security.inbound, at, look, rows)
            } else {
                match flows.answer(look.place) {
                    Some(Way::Seal(policy, way)) => security.prepare_seal(at, (*policy, way), rows),
                    Some(Way::Clear(way)) => clear(at.1, way, rows),
                    _ => (CLEAR, 0),
                }
            };
            (run.len, run.bytes) = (run.len + span.count as usize, run.bytes + bytes);
            if span.count > 0 {
                run.direction = direction;
                spans.push(span);
            }
            if span.count < look.count {
                return Stop::Refused;
            }
            run.looks += 1;
        }
        Stop::End
    }
}

/// Packets in clear.
fn clear(ingress: IfIndex, way: &Adjacency, rows: Rows<'_>) -> Ready {
    let (mut span, mut bytes) = (Span { iface: way.iface, ..CLEAR }, 0);
    for (frame, row) in rows.each {
        let came = frame.len() as u64;
        let Some(head) = frame.row::<4>(LINK as u32) else { break };
        let len = u16::from_be_bytes([head[2], head[3]]);
        if !leave_clear(frame, LINK as u32, way, len) {
            break;
        }
        frame.meta.ingress = ingress;
        *row = Row::clear(rows.span);
        (span.count, span.bytes, bytes) = (span.count + 1, span.bytes + frame.len() as u64, bytes + came);
    }
    (span, bytes)
}
