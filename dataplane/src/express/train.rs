//! Packet trains (Jain and Routhier, 1986) out of a tunnel: packets of one flow come one behind the other, and what the first
//! was asked holds for those that follow it. Whatever differs takes the way of a first packet.

use espalier_wire::checksum;
use espalier_wire::ipv4::protocol;

use super::classify::{SAME, SEEN, part, word};
use super::flows::{Adjacency, Way};
use super::open::UNKNOWN;
use super::prepare::rows;
use super::seal::leave;
use super::{Express, IP, LINK, Note, Task};
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::sa::InboundRef;
use crate::stage::crypt::{Plan, Work};
use crate::stage::forward;

/// What is looked at of a packet inside, and room for its link header.
const ROW: usize = LINK + SEEN;

/// What the packets of a train have in common.
struct Train<'a> {
    /// The inner header's first 24 bytes.
    header: [u64; 3],
    /// Of the first packet.
    note: Note,
    way: &'a Adjacency,
}

/// Of its first eight bytes those that are the same in all of a train: what is left of the class without DSCP is ECN.
const FIRST: u64 = u64::from_ne_bytes([255, 3, 0, 0, 0, 0, 0x3f, 255]);

impl Express {
    /// Take the inner packets out of those that follow the one before `at`, which was taken out by itself. `at` is then that
    /// of the first that does not.
    pub(super) fn take_train(&mut self, security: &mut Security, work: &mut Work<Note>, at: &mut usize) {
        let first = at.wrapping_sub(1);
        if let Some(train) = self.train(work, first) {
            train.take_out(security, work, at);
        }
        self.insides.resize(*at, UNKNOWN);
    }

    /// That which the packet in place `first` leads.
    fn train(&self, work: &Work<Note>, first: usize) -> Option<Train<'_>> {
        let (frame, inside) = (work.frames.get(first)?, self.insides.get(first)?);
        let note = *work.notes.get(first).filter(|note| note.task == Task::Open)?;
        let Some(Way::Clear(way)) = self.flows.lookup(&inside.key, inside.place) else { return None };
        // It lies behind its link header already.
        let row = frame.row::<ROW>(0)?;
        let header =
            [word::<LINK, ROW>(row), word::<{ LINK + 8 }, ROW>(row), word::<{ LINK + 16 }, ROW>(row)];
        Some(Train { header, note, way })
    }
}

impl Train<'_> {
    fn take_out(&self, security: &mut Security, work: &mut Work<Note>, at: &mut usize) {
        let place = InboundRef::of_parts(self.note.place, self.note.generation);
        let Some(sa) = security.inbound.at_mut(place) else { return };
        let (mut packets, mut bytes) = (0, 0);
        for ((frame, plan), note) in rows(work, *at, usize::MAX) {
            let same_sa = (note.place, note.generation) == (self.note.place, self.note.generation);
            if !same_sa || note.ecn != self.note.ecn || !plan.done {
                break;
            }
            // A replay in the same batch is the long way's to count.
            let Some(len) = self.take_one(frame, plan, note, |seq| sa.window.commit(seq)) else { break };
            plan.at = frame.len() as u32;
            plan.len = 0;
            note.iface = self.way.iface;
            (packets, bytes) = (packets + 1, bytes + u64::from(len));
        }
        sa.meter.count_all(packets, bytes);
        *at += packets as usize;
    }

    /// Take the packet out, if it is of this train and may leave as the first did, and `commit` takes its number: its length.
    /// `None`: nothing done.
    #[inline(always)]
    fn take_one(
        &self,
        frame: &mut Frame,
        plan: &Plan,
        note: &Note,
        commit: impl FnOnce(u64) -> bool,
    ) -> Option<u16> {
        let (text_at, behind) = (u32::from(self.note.text_at), u32::from(self.note.icv_len) + 2);
        let text_end = (plan.at + plan.len).wrapping_sub(behind);
        let [padding, next] = *frame.row::<2>(text_end)?;
        let max = text_end.checked_sub(text_at + u32::from(padding))?.min(u32::from(self.way.mtu));
        let row = frame.before_mut::<ROW>(text_at, LINK as u32)?;
        let other = (word::<LINK, ROW>(row) ^ self.header[0]) & FIRST
            | (word::<{ LINK + 8 }, ROW>(row) ^ self.header[1]) & SAME
            | (word::<{ LINK + 16 }, ROW>(row) ^ self.header[2]);
        let header = part::<LINK, SEEN, ROW>(row);
        let len = u16::from_be_bytes(*part::<2, 2, SEEN>(header));
        let whole = usize::from(len) >= SEEN && u32::from(len) <= max;
        let sound = checksum::is_right(part::<0, IP, SEEN>(header)) && header[8] > 1;
        if other != 0 || next != protocol::IPV4 || !whole || !sound || !commit(note.seq) {
            return None;
        }
        leave(row, self.way);
        frame.lie((text_at, LINK as u32), 0, LINK as u32 + u32::from(len));
        frame.meta.opened = true;
        forward::pad(frame);
        Some(len)
    }
}
