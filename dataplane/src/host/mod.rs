//! Host mode: IP packets in, IP packets out, as the host that sends or receives them. Nothing is routed, no TTL moves,
//! no link header is read or written.
//!
//! The outbound policy is that of [`HOST`]. Every packet's fate is told in the order the packets came.

use espalier_wire::ipv4::protocol;
use espalier_wire::plane::Notice;
use espalier_wire::{Cause, IfIndex, Instant};

use crate::batch::Batch;
use crate::frame::Frame;
use crate::pipeline::Step;
use crate::policy::Verdict;
use crate::stage::classify::{Headers, Part};
use crate::stage::locate::{Located, locate};
use crate::worker::Worker;

/// The interface whose policy seals in host mode.
pub const HOST: IfIndex = IfIndex(0);

/// What became of a packet in host mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostFate {
    /// Sealed, or opened.
    Passed,
    /// No SA's business: as it came.
    Bypassed,
    /// Lost.
    Drop(Cause),
}

/// What host mode puts out. The caller empties it and puts the frames back into the worker's pool.
#[derive(Debug, Default)]
pub struct HostOutput {
    /// Packets and their fates, in order. A packet that was cut is several, one after the other; one that waits for
    /// the rest of its fragments is none until it is whole, or until [`Worker::flush_ip`].
    pub packets: Vec<(Frame, HostFate)>,
    /// Events.
    pub notices: Vec<Notice>,
}

impl Worker {
    /// Seal the IP packets in `batch` (one a frame, from its first byte on; what follows the packet is cut off).
    pub fn seal_ip(&mut self, now: Instant, batch: &mut Batch, out: &mut HostOutput) {
        self.depart_waiting(now, &mut out.notices);
        let mut steps = std::mem::take(&mut self.steps);
        for mut frame in batch.drain(..) {
            let headers = match Headers::read(frame.bytes()) {
                Ok(headers) => headers,
                Err(cause) => {
                    steps.push(Step::Lost(frame, cause, None));
                    continue;
                }
            };
            frame.truncate(headers.len as usize);
            match self.verdict(HOST, &headers.flow) {
                Verdict::NoMatch | Verdict::Bypass => steps.push(Step::Bypassed(frame)),
                Verdict::Discard => steps.push(Step::Lost(frame, Cause::PolicyDiscard, None)),
                Verdict::Protect(policy) => {
                    let link = (HOST, None);
                    self.security.protect(now, policy, (frame, &headers), link, &mut steps, &mut out.notices);
                }
            }
        }
        let mut done = std::mem::take(&mut self.done);
        self.security.seal(&mut steps, &mut done);
        self.hand_out(steps, done, out);
    }

    /// Open the ESP in `batch`, plain or in UDP; what is none is passed by as it is.
    pub fn open_ip(&mut self, now: Instant, batch: &mut Batch, out: &mut HostOutput) {
        let mut steps = std::mem::take(&mut self.steps);
        self.security.give_up_fragments(now, &mut steps);
        for mut frame in batch.drain(..) {
            match Headers::read(frame.bytes()) {
                Err(cause) => steps.push(Step::Lost(frame, cause, None)),
                Ok(headers) => {
                    frame.truncate(headers.len as usize);
                    self.open_one(now, frame, headers, &mut steps, out);
                }
            }
        }
        let mut done = std::mem::take(&mut self.done);
        self.security.open(&mut steps, &mut done);
        self.hand_out(steps, done, out);
    }

    /// Let out what waits for the rest of its fragments, as lost to `reassembly-timeout`: no more will come.
    pub fn flush_ip(&mut self, out: &mut HostOutput) {
        let mut done = std::mem::take(&mut self.done);
        self.security.give_up_fragments(Instant::MAX, &mut done);
        let steps = std::mem::take(&mut self.steps);
        self.hand_out(steps, done, out);
    }

    fn open_one(
        &mut self,
        now: Instant,
        mut frame: Frame,
        mut headers: Headers,
        steps: &mut Vec<Step>,
        out: &mut HostOutput,
    ) {
        let mut located = locate(frame.bytes(), &headers, &self.security.udp_ports);
        let security = &mut self.security;
        let datagram = headers.part == Part::First && headers.flow.protocol == protocol::UDP;
        if located == Located::Other && datagram && !security.udp_ports.is_empty() {
            security.let_by(now, &frame, &headers, steps);
        }
        if located == Located::Fragment && !self.security.reassembly.is_foreign(&frame, &headers) {
            let Some(whole) = self.security.gather(now, frame, &headers, steps) else { return };
            (frame, headers) = whole;
            located = locate(frame.bytes(), &headers, &self.security.udp_ports);
        }
        match located {
            Located::Esp { at, end } => {
                frame.truncate(end);
                headers.len = end as u32;
                self.security.admit(now, frame, &headers, at, steps, &mut out.notices);
            }
            _ => steps.push(Step::Bypassed(frame)),
        }
    }

    fn hand_out(&mut self, steps: Vec<Step>, mut done: Vec<Step>, out: &mut HostOutput) {
        for step in done.drain(..) {
            match step {
                Step::Passed(frame) => out.packets.push((frame, HostFate::Passed)),
                Step::Bypassed(frame) => out.packets.push((frame, HostFate::Bypassed)),
                Step::Lost(frame, cause, _) => {
                    self.counters.dropped.add(cause);
                    out.packets.push((frame, HostFate::Drop(cause)));
                }
                Step::Pending => {}
            }
        }
        (self.steps, self.done) = (steps, done);
        self.security.bury(&out.notices);
    }
}

#[cfg(test)]
mod tests;
