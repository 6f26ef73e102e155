//! Out of a tunnel: the window is asked, the engine opens, the window moves, the inner packet leaves.

use std::net::IpAddr;

use espalier_wire::esp::HEADER_LEN;
use espalier_wire::ipv4::protocol;
use espalier_wire::{IfIndex, Instant};

use super::classify::{Look, SEEN, flow_key, part, sound_len};
use super::flows::{Adjacency, FlowKey, Way};
use super::prepare::{Ready, Rows, Stop};
use super::seal::leave_clear;
use super::{Express, IP, LINK, NOTHING, Note, Task};
use crate::fate::Output;
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::router::sound;
use crate::sa::{Inbound, InboundRef, SaTable};
use crate::stage::classify::Headers;
use crate::stage::crypt::{Plan, Work};
use crate::stage::decap::{self, Opening};
use crate::stage::ecn;
use crate::worker::Worker;

/// What is inside an opened packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inside {
    /// Its flow, and where the answer about that would be; nobody's: it takes the long way.
    pub(super) key: FlowKey,
    pub(super) place: u32,
    /// Bytes of packet.
    pub(super) len: u16,
}

pub(super) const UNKNOWN: Inside = Inside { key: FlowKey::NONE, place: 0, len: 0 };

/// What can be checked before the ICV of packets that go the same way, up to the first that takes the long way.
#[inline(always)]
pub(super) fn check(
    inbound: &mut SaTable,
    (now, ingress): (Instant, IfIndex),
    look: &Look,
    rows: Rows<'_>,
) -> Ready {
    // One of several SAs with its SPI, or one whose destination a NAT changed: seldom.
    let dst = IpAddr::from(look.key.dst().to_be_bytes());
    match inbound.in_slot(look.place) {
        Some((place, sa)) if sa.dst == dst && sa.is_quiet(now) => check_all(sa, place, ingress, rows),
        _ => (0, 0),
    }
}

impl Security {
    /// Move the window, and let the inner packet leave. `None`: nothing done.
    #[inline(always)]
    fn leave_tunnel(
        &mut self,
        frame: &mut Frame,
        inside: &Inside,
        note: &Note,
        way: &Adjacency,
    ) -> Option<()> {
        let sa = self.inbound.at_mut(InboundRef::of_parts(note.place, note.generation))?;
        let plain = sa.shape.tunnel
            && inside.len <= way.mtu
            && (!sa.selects
                || sa.selector.as_ref().is_none_or(|selector| selector.matches(&inside.key.flow())));
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
    /// Look inside opened packets, from the first on that no look was taken at: up to where a train begins, or with `all`
    /// at each. The answers about their flows are fetched.
    pub(super) fn look_inside(&mut self, work: &Work<Note>, all: bool) {
        let from = self.insides.len();
        let (plans, notes) = (work.plans.get(from..), work.notes.get(from..));
        let rows = plans.unwrap_or_default().iter().zip(notes.unwrap_or_default());
        let (mut before, mut by) = (UNKNOWN, NOTHING);
        for (frame, (plan, note)) in work.frames.get(from..).unwrap_or_default().iter().zip(rows) {
            let open = note.task == Task::Open && plan.done;
            let inside = if open { self.inside(frame, plan, note).unwrap_or(UNKNOWN) } else { UNKNOWN };
            self.insides.push(inside);
            let follows =
                inside.key == before.key && note.place == by.place && note.generation == by.generation;
            if follows && !all && inside.key != FlowKey::NONE {
                break;
            }
            (before, by) = (inside, *note);
        }
        self.insides.iter().skip(from).for_each(|inside| self.flows.fetch(inside.place));
    }

    #[inline(always)]
    fn inside(&self, frame: &Frame, plan: &Plan, note: &Note) -> Option<Inside> {
        let (text_at, text_end) = (u32::from(note.text_at), plan.at + plan.len - u32::from(note.icv_len));
        let [padding, next] = *frame.row::<2>(text_end - 2)?;
        let payload = (text_end - text_at).checked_sub(2 + u32::from(padding))?;
        let header = frame.row::<SEEN>(text_at)?;
        let len = sound_len(header, payload as usize)?;
        // RFC 6040: where the outer field says nothing the inner one stays.
        let (outer, class) = (note.ecn, header[1]);
        let stays = outer == 0 || ecn::leave(class, outer) == Ok(class & 3);
        let plain = next == protocol::IPV4 && header[8] > 1 && stays;
        plain.then(|| {
            let key = flow_key(header, FlowKey::meta(frame.meta.ingress, true));
            Inside { key, place: self.flows.place(&key), len }
        })
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
        inside: &Inside,
        (plan, note): (&mut Plan, &mut Note),
    ) -> Result<(), Stop> {
        if note.task != Task::Open {
            return Ok(());
        }
        if inside.key == FlowKey::NONE {
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

#[inline(always)]
fn check_all(sa: &Inbound, place: InboundRef, ingress: IfIndex, rows: Rows<'_>) -> Ready {
    const HEAD: usize = LINK + IP + HEADER_LEN;
    let (shape, (slot, generation)) = (sa.shape, place.parts());
    let (at, head) = ((LINK + IP) as u32, HEADER_LEN as u32 + u32::from(shape.iv_len));
    let around = IP as u32 + head + u32::from(shape.icv_len);
    // As `decap::is_possible`.
    let blocks = if shape.random_iv { u32::from(shape.mask) } else { 0 };
    let (text_at, icv_len) = ((at + head) as u8, shape.icv_len);
    let note = Note { task: Task::Open, place: slot, generation, text_at, icv_len, ..NOTHING };
    let (mut packets, mut came) = (0, 0);
    for ((frame, plan), kept) in rows {
        let Some(row) = frame.row::<HEAD>(0) else { break };
        let len = u32::from(u16::from_be_bytes(*part::<{ LINK + 2 }, 2, HEAD>(row)));
        let low = u32::from_be_bytes(*part::<{ HEAD - 4 }, 4, HEAD>(row));
        let (Some(text), Some(seq)) = (len.checked_sub(around), sa.window.infer(low, sa.esn)) else { break };
        if text < 2 || text & blocks != 0 || !sa.window.check(seq) {
            break;
        }
        *kept = Note { seq, ecn: row[LINK + 1] & 3, ..note };
        *plan = Plan { at, len: len - IP as u32, seq_hi: (seq >> 32) as u32, done: false };
        frame.meta.ingress = ingress;
        (packets, came) = (packets + 1, came + frame.len() as u64);
    }
    (packets, came)
}
