//! Router mode: Ethernet frames in, Ethernet frames out, and between them everything a gateway does.
//!
//! ```text
//! receive:   link -> arrive ----> ours: reassemble, open (and arrive again with what was inside), punt
//!                      \--------> transit: take a hop -> depart
//! originate: -------------------------------------------> depart
//! depart:    route -> policy of that interface -> protect | clear -> seal -> send
//! send:      route (of the outer packet) -> MTU -> neighbour -> link header -> transmit
//! ```

mod awaited;
mod depart;
mod links;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use links::Links;

use espalier_wire::{Cause, IfIndex, Instant, esp};

use crate::batch::Batch;
use crate::fate::{Dropped, Fate, Output, Punt, Why};
use crate::frame::Frame;
use crate::pipeline::Step;
use crate::policy::Verdict;
use crate::stage::classify::{Headers, Part};
use crate::stage::locate::{Located, locate};
use crate::stage::punt::{self, Destination};
use crate::worker::Worker;

/// IKE's port, which no policy covers.
const IKE_PORT: u16 = 500;

impl Worker {
    /// Take a batch of IP packets born on this node. Control traffic (see [`Meta`](crate::frame::Meta)) is not asked
    /// about by policy; multicast leaves by the interface it names.
    pub fn originate(&mut self, now: Instant, batch: &mut Batch, out: &mut Output) {
        self.settle(now, out);
        self.links.born.append(batch);
        self.run(now, out);
    }

    /// Send complete Ethernet frames of the control plane (ARP, HSRP from its virtual address) out of an interface.
    pub fn originate_link(&mut self, iface: IfIndex, batch: &mut Batch, out: &mut Output) {
        self.put_early(out);
        for frame in batch.drain(..) {
            match self.links.up(iface) {
                Some(link) => {
                    link.counters.out_packets += 1;
                    link.counters.out_bytes += frame.len() as u64;
                    out.transmit.push((iface, frame));
                }
                None => self.lose(frame, Cause::InterfaceDown, out),
            }
        }
    }

    /// Do what is due by `now`: lifetimes, fragments that waited in vain, packets whose SA has come.
    pub fn tick(&mut self, now: Instant, out: &mut Output) {
        self.settle(now, out);
        self.expire(now, &mut out.notices);
        self.security.give_up_fragments(now, &mut self.inward);
        self.run(now, out);
    }

    /// When [`Worker::tick`] next has something to do; `None`: not before something comes in.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waits = !self.released.is_empty() || !self.gave_up.is_empty() || self.express.is_early();
        let at_once = waits.then_some(Instant::ZERO);
        let (sas, fragments) = (self.lifetimes.next(), self.security.reassembly.deadline());
        [at_once, sas, fragments, self.links.awaited.deadline()].into_iter().flatten().min()
    }

    /// One frame, the long way.
    pub(crate) fn take_link(&mut self, now: Instant, ingress: IfIndex, mut frame: Frame, out: &mut Output) {
        frame.meta.ingress = ingress;
        let Some(link) = self.links.up(ingress) else { return self.lose(frame, Cause::InterfaceDown, out) };
        let (fate, header) = punt::link(frame.bytes(), &link.iface);
        if !matches!(fate, Fate::Drop(Cause::NotForUs)) {
            link.counters.in_packets += 1;
            link.counters.in_bytes += frame.len() as u64;
        }
        // The group bit of the link's destination: a packet for one host must not come as one for many.
        let to_many = frame.bytes().first().is_some_and(|byte| byte & 1 == 1);
        frame.shrink_front(header);
        match fate {
            Fate::Forward => {}
            Fate::Punt(why) => return self.punt(frame, why, out),
            Fate::Drop(cause) => return self.lose(frame, cause, out),
        }
        match sound(&mut frame) {
            // RFC 1812 section 5.3.4: such a packet is not forwarded.
            Ok(headers)
                if to_many && self.links.local.destination(&headers.flow) == Destination::Elsewhere =>
            {
                self.lose(frame, Cause::NotForUs, out);
            }
            Ok(headers) => self.arrive(now, frame, headers, out),
            Err(cause) => self.lose(frame, cause, out),
        }
    }

    /// A packet is here, in clear or out of an SA: whose is it?
    pub(crate) fn arrive(&mut self, now: Instant, frame: Frame, headers: Headers, out: &mut Output) {
        match self.links.local.destination(&headers.flow) {
            Destination::Elsewhere if self.is_bare(&frame, &headers) => {
                self.lose(frame, Cause::PolicyCleartext, out);
            }
            Destination::Elsewhere => self.links.transit.push((frame, headers)),
            Destination::Group => self.punt(frame, Why::Multicast, out),
            Destination::Local if headers.part != Part::Whole => {
                let whole = self.security.gather(now, frame, &headers, &mut self.inward);
                if let Some((frame, headers)) = whole {
                    self.take_in(now, frame, headers, out);
                }
            }
            Destination::Local => self.take_in(now, frame, headers, out),
        }
    }

    /// A whole packet for us.
    fn take_in(&mut self, now: Instant, mut frame: Frame, mut headers: Headers, out: &mut Output) {
        match locate(frame.bytes(), &headers, &self.security.udp_ports) {
            Located::Esp { at, end } => {
                frame.truncate(end);
                headers.len = end as u32;
                self.security.admit(now, frame, &headers, at, &mut self.inward, &mut out.notices);
            }
            Located::Ike => self.punt(frame, Why::Ike, out),
            Located::Keepalive => self.punt(frame, Why::Keepalive, out),
            Located::Fragment | Located::Other => {
                let dst_port = headers.flow.ports.map(|ports| ports.1);
                let ike = headers.flow.protocol == espalier_wire::ipv4::protocol::UDP
                    && matches!(dst_port, Some(IKE_PORT | esp::UDP_PORT));
                if !ike && self.is_bare(&frame, &headers) {
                    self.lose(frame, Cause::PolicyCleartext, out);
                } else {
                    self.punt(frame, Why::Local, out);
                }
            }
        }
    }

    /// Whether a packet came in clear that policy wants protected (RFC 4301 section 5.2 step 3b).
    fn is_bare(&self, frame: &Frame, headers: &Headers) -> bool {
        !frame.meta.opened
            && matches!(self.verdict(frame.meta.ingress, &headers.flow.mirrored()), Verdict::Protect(_))
    }

    /// Everything behind arrival, until nothing is under way.
    pub(crate) fn run(&mut self, now: Instant, out: &mut Output) {
        self.express.long = false;
        self.depart_awaited(now, out);
        loop {
            self.open_all(now, out);
            // What waited came first.
            self.depart_waiting(now, &mut out.notices);
            self.take_hops(now, out);
            self.depart_born(now, out);
            self.seal_all(now, out);
            if self.links.born.is_empty() {
                break;
            }
        }
        self.security.bury(&out.notices);
    }

    /// Open what arrived; what comes out arrives again, and may be ESP for us once more.
    fn open_all(&mut self, now: Instant, out: &mut Output) {
        while !self.inward.is_empty() {
            let mut done = std::mem::take(&mut self.done);
            self.security.open(&mut self.inward, &mut done);
            for step in done.drain(..) {
                match step {
                    Step::Passed(mut frame) => match sound(&mut frame) {
                        Ok(headers) => self.arrive(now, frame, headers, out),
                        Err(cause) => self.lose(frame, cause, out),
                    },
                    Step::Lost(frame, cause, _) => self.lose(frame, cause, out),
                    Step::Bypassed(frame) => self.punt(frame, Why::Local, out),
                    Step::Pending => {}
                }
            }
            self.done = done;
        }
    }

    pub(crate) fn lose(&mut self, frame: Frame, cause: Cause, out: &mut Output) {
        self.counters.dropped.add(cause);
        out.drops.push(Dropped { frame, cause });
    }

    fn punt(&mut self, frame: Frame, why: Why, out: &mut Output) {
        out.punts.push(Punt { iface: frame.meta.ingress, frame, why });
    }
}

/// Read the headers of a packet, verify IPv4's checksum (RFC 1812 section 5.2.2), cut off the link's padding.
pub(crate) fn sound(frame: &mut Frame) -> Result<Headers, Cause> {
    let headers = Headers::read(frame.bytes())?;
    frame.truncate(headers.len as usize);
    if headers.flow.ipv4 {
        let header = frame.bytes().get(..headers.upper as usize).unwrap_or_default();
        if espalier_wire::checksum::sum(header) != 0xffff {
            return Err(Cause::Checksum);
        }
    }
    Ok(headers)
}
