//! Out of a tunnel: the window is asked, the engine opens, the window moves, the inner packet leaves.

use std::net::IpAddr;

use espalier_wire::esp::HEADER_LEN;
use espalier_wire::ipv4::protocol;
use espalier_wire::{IfIndex, Instant};

use super::classify::{Look, SEEN, flow_key, part, sound_len};
use super::flows::{Adjacency, FlowCache, FlowKey, Way};
use super::prepare::{Ready, Rows, Stop};
use super::seal::leave_clear;
use super::work::{CLEAR, Row, Span, Task, Work};
use super::{Express, IP, LINK, Tally, tally};
use crate::fate::Output;
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::router::sound;
use crate::sa::{Inbound, InboundRef, SaTable};
use crate::stage::classify::Headers;
use crate::stage::crypt::Plan;
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
        Some((place, sa)) if sa.dst == dst && sa.is_quiet(now) => {
            sa.key.fetch();
            check_all(sa, place, ingress, rows)
        }
        _ => (CLEAR, 0),
    }
}

impl Security {
    /// Move the window, and let the inner packet leave. `None`: nothing done.
    #[inline(always)]
    fn leave_tunnel(
        &mut self,
        frame: &mut Frame,
        inside: &Inside,
        (row, span): (&Row, &Span),
        way: &Adjacency,
    ) -> Option<()> {
        let sa = self.inbound.at_mut(InboundRef::of_parts(span.place, span.generation))?;
        let plain = sa.shape.tunnel
            && inside.len <= way.mtu
            && (!sa.selects
                || sa.selector.as_ref().is_none_or(|selector| selector.matches(&inside.key.flow())));
        // A replay in the same batch is the long way's to count.
        if !plain || !sa.window.commit(row.seq) {
            return None;
        }
        sa.meter.count(u32::from(inside.len));
        sa.last_flow = inside.place;
        frame.meta.opened = true;
        let fits = leave_clear(frame, u32::from(span.text_at), way, inside.len);
        debug_assert!(fits, "it lies inside the packet that came, and the MTU was asked");
        Some(())
    }
}

impl Express {
    /// Look inside opened packets, from the one at `from` on: up to where a train begins, or with `all` at each. The answers
    /// about their flows are fetched.
    pub(super) fn look_inside(&mut self, work: &Work, from: usize, all: bool) {
        self.insides.clear();
        let (mut before, mut by) = (FlowKey::NONE, CLEAR);
        for (frame, row) in work.frames.iter().zip(&work.rows).skip(from) {
            let span = work.span_of(row);
            let open = span.task == Task::Open && work.is_done(row);
            let inside = if open { self.inside(frame, row, &span).unwrap_or(UNKNOWN) } else { UNKNOWN };
            self.insides.push(inside);
            let follows = inside.key == before && span.place == by.place && span.generation == by.generation;
            if follows && !all && inside.key != FlowKey::NONE {
                break;
            }
            (before, by) = (inside.key, span);
        }
        self.insides.iter().for_each(|inside| self.flows.fetch(inside.place));
    }

    #[inline(always)]
    fn inside(&self, frame: &Frame, row: &Row, span: &Span) -> Option<Inside> {
        let (text_at, text_end) =
            (u32::from(span.text_at), u32::from(span.at) + row.len() - u32::from(span.icv_len));
        let [padding, next] = *frame.row::<2>(text_end - 2)?;
        let payload = (text_end - text_at).checked_sub(2 + u32::from(padding))?;
        let header = frame.row::<SEEN>(text_at)?;
        let len = sound_len(header, payload as usize)?;
        // RFC 6040: where the outer field says nothing the inner one stays.
        let (outer, class) = (row.ecn(), header[1]);
        let stays = outer == 0 || ecn::leave(class, outer) == Ok(class & 3);
        let plain = next == protocol::IPV4 && header[8] > 1 && stays;
        plain.then(|| {
            let key = flow_key(header, FlowKey::meta(frame.meta.ingress, true));
            Inside { key, place: self.flows.place(&key), len }
        })
    }

    /// Take what is inside out of each frame that was looked at, the first of which is the one at `from`; so many of them were
    /// taken out already. `taken` is then the number of those before the first that has another fate.
    pub(super) fn take_out(
        &mut self,
        security: &mut Security,
        work: &mut Work,
        from: usize,
        taken: &mut usize,
    ) -> Stop {
        let Work { frames, rows, spans, .. } = work;
        let at = from + *taken;
        let frames = frames.get_mut(at..).unwrap_or_default().iter_mut();
        let rows = rows.get(at..).unwrap_or_default();
        let insides = self.insides.get(*taken..).unwrap_or_default();
        for ((frame, row), inside) in frames.zip(rows).zip(insides) {
            let span = spans.get(row.span() as usize).unwrap_or(&CLEAR);
            match take_one(&self.flows, security, frame, inside, (row, span)) {
                Ok(left) => tally(&mut self.leaving, left),
                Err(stop) => return stop,
            }
            *taken += 1;
        }
        Stop::End
    }
}

/// Take the inner packet out of a frame and put its link header on, if its flow is known to go on in clear: where it leaves.
///
/// # Errors
/// It has another fate, or its flow is not known. Nothing is done.
#[inline(always)]
pub(super) fn take_one(
    flows: &FlowCache,
    security: &mut Security,
    frame: &mut Frame,
    inside: &Inside,
    (row, span): (&Row, &Span),
) -> Result<Tally, Stop> {
    let mut iface = span.iface;
    if span.task == Task::Open {
        if inside.key == FlowKey::NONE {
            return Err(Stop::Refused);
        }
        let way = match flows.lookup(&inside.key, inside.place) {
            None => return Err(Stop::Unknown),
            Some(Way::Clear(way)) => way,
            Some(_) => return Err(Stop::Refused),
        };
        security.leave_tunnel(frame, inside, (row, span), way).ok_or(Stop::Refused)?;
        iface = way.iface;
    }
    Ok(Tally { iface, packets: 1, bytes: frame.len() as u64 })
}

impl Worker {
    /// The long way out of a tunnel, for one packet.
    #[cold]
    pub(super) fn finish_long(
        &mut self,
        now: Instant,
        mut frame: Frame,
        mut plan: Plan,
        (row, span): (&Row, &Span),
        out: &mut Output,
    ) {
        let (place, seq) = (InboundRef::of_parts(span.place, span.generation), row.seq);
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

/// (By itself, so that it has the registers to itself.)
#[inline(never)]
fn check_all(sa: &Inbound, place: InboundRef, ingress: IfIndex, rows: Rows<'_>) -> Ready {
    const HEAD: usize = LINK + IP + HEADER_LEN;
    let (shape, (slot, generation)) = (sa.shape, place.parts());
    let (at, head) = ((LINK + IP) as u32, HEADER_LEN as u32 + u32::from(shape.iv_len));
    let around = IP as u32 + head + u32::from(shape.icv_len);
    // As `decap::is_possible`.
    let blocks = if shape.random_iv { u32::from(shape.mask) } else { 0 };
    let mut span = Span {
        place: slot,
        generation,
        task: Task::Open,
        at: at as u8,
        text_at: (at + head) as u8,
        icv_len: shape.icv_len,
        ..CLEAR
    };
    let (mut came, top, esn) = (0, sa.window.top(), sa.esn);
    for (frame, row) in rows.each {
        let Some(header) = frame.row::<HEAD>(0) else { break };
        let len = u32::from(u16::from_be_bytes(*part::<{ LINK + 2 }, 2, HEAD>(header)));
        let low = u32::from_be_bytes(*part::<{ HEAD - 4 }, 4, HEAD>(header));
        let seq = if esn { sa.window.infer(low, esn) } else { Some(u64::from(low)) };
        let (Some(text), Some(seq)) = (len.checked_sub(around), seq) else { break };
        // What is above the highest is new: the window need not be asked.
        if text < 2 || text & blocks != 0 || seq <= top && !sa.window.check(seq) {
            break;
        }
        *row = Row::new(seq, rows.span, len - IP as u32, header[LINK + 1]);
        frame.meta.ingress = ingress;
        (span.count, came) = (span.count + 1, came + frame.len() as u64);
    }
    (span, came)
}
