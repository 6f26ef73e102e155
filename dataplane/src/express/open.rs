//! Out of a tunnel: the window is asked, the engine opens, the window moves, the inner packet leaves.

use std::net::IpAddr;

use espalier_wire::esp::HEADER_LEN;
use espalier_wire::ipv4::protocol;
use espalier_wire::{IfIndex, Instant};

use super::classify::{Is, LONG, Look, SEEN, read};
use super::flows::{Adjacency, FlowKey, Way};
use super::prepare::{Rows, Stop};
use super::seal::leave_clear;
use super::{Express, IP, LINK, Note, Task};
use crate::fate::Output;
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::router::sound;
use crate::sa::InboundRef;
use crate::stage::classify::Headers;
use crate::stage::crypt::{Plan, Work};
use crate::stage::decap::{self, Opening};
use crate::stage::ecn;
use crate::worker::Worker;

impl Security {
    /// What can be checked before the ICV of the packets that are to be opened, up to the first that is not or takes the long
    /// way: how many, and how many bytes they came in.
    pub(super) fn prepare_open(
        &mut self,
        (now, ingress): (Instant, IfIndex),
        rows: Rows<'_>,
    ) -> (usize, u64) {
        let (mut len, mut bytes) = (0, 0);
        let frames = rows.frames.iter_mut().zip(rows.looks);
        for (((frame, look), plan), note) in frames.zip(rows.plans).zip(rows.notes) {
            if look.is != Is::Open || self.try_open(now, look, plan, note).is_none() {
                break;
            }
            frame.meta.ingress = ingress;
            (len, bytes) = (len + 1, bytes + frame.len() as u64);
        }
        (len, bytes)
    }

    #[inline(always)]
    fn try_open(&mut self, now: Instant, look: &Look, plan: &mut Plan, note: &mut Note) -> Option<()> {
        let (place, sa) = self.inbound.in_slot(look.place)?;
        // One of several SAs with its SPI, or one whose destination a NAT changed: seldom.
        if sa.dst != IpAddr::from(look.key.dst().to_be_bytes()) || !sa.is_quiet(now) {
            return None;
        }
        let len = u32::from(look.len) - IP as u32;
        let (head, shape) = (HEADER_LEN as u32 + u32::from(sa.shape.iv_len), sa.shape);
        let text = len.checked_sub(head + u32::from(shape.icv_len))?;
        // As `decap::is_possible`.
        let blocks = if shape.random_iv { u32::from(shape.mask) } else { 0 };
        if text < 2 || text & blocks != 0 {
            return None;
        }
        let seq = sa.window.infer(look.extra, sa.esn).filter(|seq| sa.window.check(*seq))?;
        let (slot, generation) = place.parts();
        let at = (LINK + IP) as u32;
        let (task, text_at, icv_len) = (Task::Open, (at + head) as u8, shape.icv_len);
        *note = Note { task, place: slot, generation, seq, text_at, icv_len, iface: IfIndex(0) };
        *plan = Plan { at, len, seq_hi: (seq >> 32) as u32, done: false };
        Some(())
    }

    /// Move the window, and let the inner packet leave. `None`: nothing done.
    #[inline(always)]
    fn leave_tunnel(&mut self, frame: &mut Frame, inside: &Look, note: &Note, way: &Adjacency) -> Option<()> {
        let sa = self.inbound.at_mut(InboundRef::of_parts(note.place, note.generation))?;
        let plain = sa.shape.tunnel
            && inside.len <= way.mtu
            && sa.selector.as_ref().is_none_or(|selector| selector.matches(&inside.key.flow()));
        // A replay in the same batch is the long way's to count.
        if !plain || !sa.window.commit(note.seq) {
            return None;
        }
        sa.meter.count(u32::from(inside.len));
        frame.meta.opened = true;
        let fits = leave_clear(frame, u32::from(note.text_at), way, inside.len);
        debug_assert!(fits, "it lies inside the packet that came, and the MTU was asked");
        Some(())
    }
}

impl Express {
    /// What is inside an opened packet; the answer about its flow is fetched.
    #[inline(always)]
    pub(super) fn peek(&self, frame: &Frame, plan: &Plan, note: &Note) -> Look {
        if note.task != Task::Open || !plan.done {
            return LONG;
        }
        self.inside(frame, plan, note).unwrap_or(LONG)
    }

    #[inline(always)]
    fn inside(&self, frame: &Frame, plan: &Plan, note: &Note) -> Option<Look> {
        let (text_at, text_end) = (u32::from(note.text_at), plan.at + plan.len - u32::from(note.icv_len));
        let [padding, next] = *frame.row::<2>(text_end - 2)?;
        let payload = (text_end - text_at).checked_sub(2 + u32::from(padding))?;
        let header = frame.row::<SEEN>(text_at)?;
        let (key, len) = read(header, payload as usize, FlowKey::meta(frame.meta.ingress, true))?;
        let [outer, own] = [frame.row::<1>(LINK as u32 + 1)?[0], header[1]];
        // RFC 6040: where the outer field says nothing the inner one stays.
        let stays = outer & 3 == 0 || ecn::leave(own, outer) == Ok(own & 3);
        let plain = next == protocol::IPV4 && header[8] > 1 && stays;
        let place = self.flows.place(&key);
        plain.then_some(Look { key, place, extra: 0, len, is: Is::Transit })
    }

    /// Take what is inside out of each frame, from the one at `at` on. `at` is then that of the first that has another fate.
    pub(super) fn take_out(&self, security: &mut Security, work: &mut Work<Note>, at: &mut usize) -> Stop {
        let frames = work.frames.get_mut(*at..).unwrap_or_default().iter_mut();
        let insides = self.insides.get(*at..).unwrap_or_default();
        let plans = work.plans.get_mut(*at..).unwrap_or_default().iter_mut();
        let notes = work.notes.get_mut(*at..).unwrap_or_default().iter_mut();
        for (((frame, inside), plan), note) in frames.zip(insides).zip(plans).zip(notes) {
            if let Err(stop) = self.take_one(security, frame, inside, (plan, note)) {
                return stop;
            }
            *at += 1;
        }
        Stop::End
    }

    /// Take the inner packet out of a frame and put its link header on, if its flow is known to go on in clear; plan and note
    /// then say how long the frame is and where it leaves.
    ///
    /// # Errors
    /// It has another fate, or its flow is not known. Nothing is done.
    #[inline(always)]
    pub(super) fn take_one(
        &self,
        security: &mut Security,
        frame: &mut Frame,
        inside: &Look,
        (plan, note): (&mut Plan, &mut Note),
    ) -> Result<(), Stop> {
        if note.task != Task::Open {
            return Ok(());
        }
        if inside.is_long() {
            return Err(Stop::Refused);
        }
        let adjacency = match self.flows.lookup(&inside.key, inside.place) {
            None => return Err(Stop::Unknown),
            Some(Way::Clear(adjacency)) => adjacency,
            Some(_) => return Err(Stop::Refused),
        };
        security.leave_tunnel(frame, inside, note, adjacency).ok_or(Stop::Refused)?;
        *plan = Plan { at: frame.len() as u32, ..Plan::NONE };
        note.iface = adjacency.iface;
        Ok(())
    }
}

impl Worker {
    /// The long way out of a tunnel, for one packet.
    #[cold]
    pub(super) fn finish_long(
        &mut self,
        now: Instant,
        mut frame: Frame,
        mut plan: Plan,
        note: &Note,
        out: &mut Output,
    ) {
        let (place, seq) = (InboundRef::of_parts(note.place, note.generation), note.seq);
        frame.shrink_front(LINK);
        plan.at -= LINK as u32;
        let finished = Headers::read(frame.bytes()).and_then(|outer| {
            frame.truncate(outer.len as usize);
            decap::finish(&mut self.security.inbound, &mut frame, &plan, &Opening { place, outer, seq })?;
            frame.meta.opened = true;
            sound(&mut frame)
        });
        match finished {
            Ok(headers) => {
                self.arrive(now, frame, headers, out);
                self.run(now, out);
            }
            Err(cause) => self.lose(frame, cause, out),
        }
    }
}
