//! Out of a tunnel: the window is asked, the engine opens, the window moves, the inner packet leaves.

use espalier_wire::Instant;
use espalier_wire::esp::{Esp, HEADER_LEN};
use espalier_wire::ipv4::protocol;
use espalier_wire::plane::Mode;

use super::flows::Way;
use super::{IP, LINK, Look, Note, Task, leave_clear, read_key};
use crate::fate::Output;
use crate::frame::Frame;
use crate::router::sound;
use crate::sa::InboundRef;
use crate::stage::classify::Headers;
use crate::stage::crypt::Plan;
use crate::stage::decap::{self, Opening};
use crate::stage::ecn;
use crate::worker::Worker;

impl Worker {
    /// What can be checked before the ICV of the packet behind the frame's link header. `None`: the long way.
    #[inline]
    pub(super) fn prepare_open(
        &mut self,
        now: Instant,
        frame: &Frame,
        look: &Look,
        note: &mut Note,
    ) -> Option<Plan> {
        let place = InboundRef::of_parts(look.place, look.generation);
        let bytes = frame.bytes().get(LINK + IP..LINK + usize::from(look.len))?;
        let esp = Esp::new_checked(bytes).ok()?;
        let sa = self.security.inbound.at_mut(place)?;
        if !sa.is_quiet(now) || !decap::is_possible(sa, esp.body().len()) {
            return None;
        }
        let seq = sa.window.infer(esp.sequence(), sa.esn).filter(|seq| sa.window.check(*seq))?;
        (note.task, note.sa, note.seq) = (Task::Open, place, seq);
        let (at, len) = ((LINK + IP) as u32, bytes.len() as u32);
        Some(Plan { at, len, seq_hi: (seq >> 32) as u32, done: false })
    }

    /// Take the inner packet out and put its link header on, if its flow is known to go on in clear: where to. `None`:
    /// nothing done.
    #[inline]
    pub(super) fn leave_tunnel(
        &mut self,
        frame: &mut Frame,
        plan: &Plan,
        (place, seq): (InboundRef, u64),
    ) -> Option<espalier_wire::IfIndex> {
        if !plan.done {
            return None;
        }
        let sa = self.security.inbound.at_mut(place)?;
        let shape = sa.shape;
        let text_at = plan.at as usize + HEADER_LEN + shape.iv_len;
        let text_end = (plan.at + plan.len) as usize - shape.icv_len;
        let bytes = frame.bytes();
        let outer_class = *bytes.get(LINK + 1)?;
        let text = bytes.get(text_at..text_end)?;
        let [.., padding, protocol::IPV4] = *text else { return None };
        let inner = text.get(..text.len().checked_sub(2 + usize::from(padding))?)?;
        let (key, len) = read_key(inner, true, frame.meta.ingress)?;
        let header: &[u8; IP] = inner.first_chunk()?;
        let own_class = header[1];
        let plain = sa.mode == Mode::Tunnel
            && header[8] > 1
            && ecn::leave(own_class, outer_class) == Ok(own_class & 3)
            && sa.selector.as_ref().is_none_or(|selector| selector.matches(&key.flow()));
        // A replay in the same batch is the long way's to count.
        if !plain || !sa.window.check(seq) {
            return None;
        }
        let slot = self.express.flows.settle(&key, self.express.flows.place(&key));
        let Way::Clear(adjacency) = self.way(&key, slot) else { return None };
        if len > adjacency.mtu {
            return None;
        }
        let sa = self.security.inbound.at_mut(place)?;
        if !sa.window.commit(seq) {
            return None;
        }
        sa.counters.packets += 1;
        sa.counters.bytes += u64::from(len);
        frame.meta.opened = true;
        frame.shrink_front(text_at - LINK);
        leave_clear(frame, &adjacency, len).then_some(adjacency.iface)
    }

    /// The long way out of a tunnel, for one packet.
    #[cold]
    pub(super) fn finish_long(
        &mut self,
        now: Instant,
        mut frame: Frame,
        mut plan: Plan,
        (place, seq): (InboundRef, u64),
        out: &mut Output,
    ) {
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
