//! Departure: the way out of a packet that is in transit or was born here, in clear or through an SA.

use std::net::IpAddr;

use espalier_wire::plane::{NextHop, Notice};
use espalier_wire::{Cause, IfIndex, Instant, Mac};

use crate::fate::{Output, Punt, Why};
use crate::frame::Frame;
use crate::pipeline::Step;
use crate::policy::Verdict;
use crate::stage::classify::{Flow, Headers};
use crate::stage::icmp::Complaint;
use crate::stage::punt::Destination;
use crate::stage::{forward, fragment};
use crate::worker::Worker;

/// No more of these a batch.
const NOTICES_MAX: usize = 64;

impl Worker {
    /// Packets in transit lose a hop and go to their way out.
    pub(super) fn take_hops(&mut self, now: Instant, out: &mut Output) {
        let mut transit = std::mem::take(&mut self.links.transit);
        for (mut frame, mut headers) in transit.drain(..) {
            match forward::take_hop(frame.bytes_mut(), &headers) {
                Ok(()) => {
                    headers.ttl -= 1;
                    self.depart(now, frame, &headers, out);
                }
                Err(cause) => {
                    self.complain(now, &frame, &headers, Complaint::TimeExceeded);
                    self.lose(frame, cause, out);
                }
            }
        }
        self.links.transit = transit;
    }

    /// Packets that waited for an SA which is there now, and those that wait no longer.
    pub(crate) fn depart_waiting(&mut self, now: Instant, notices: &mut Vec<Notice>) {
        if self.released.is_empty() && self.gave_up.is_empty() {
            return;
        }
        self.steps.extend(self.gave_up.drain(..).map(|frame| Step::Lost(frame, Cause::SaQueue, None)));
        let mut released = std::mem::take(&mut self.released);
        for (place, iface, frame) in released.drain(..) {
            let link = (iface, self.links.at(iface).map(|link| usize::from(link.iface.mtu)));
            match Headers::read(frame.bytes()) {
                Ok(headers) => {
                    self.security.protect(now, place, (frame, &headers), link, &mut self.steps, notices);
                }
                Err(cause) => self.steps.push(Step::Lost(frame, cause, None)),
            }
        }
        self.released = released;
    }

    /// Packets born here go to their way out, or, if they are for ourselves, back.
    pub(super) fn depart_born(&mut self, now: Instant, out: &mut Output) {
        let mut born = std::mem::take(&mut self.links.born);
        for mut frame in born.drain(..) {
            match Headers::read(frame.bytes()) {
                Err(cause) => self.lose(frame, cause, out),
                Ok(headers) => {
                    frame.truncate(headers.len as usize);
                    match self.links.local.destination(&headers.flow) {
                        Destination::Local => {
                            out.punts.push(Punt { iface: frame.meta.ingress, frame, why: Why::Local });
                        }
                        _ => self.depart(now, frame, &headers, out),
                    }
                }
            }
        }
        // Errors about packets born here were born meanwhile.
        born.append(&mut self.links.born);
        self.links.born = born;
    }

    /// Find the way out and do what its policy says. A packet with nothing behind it in its frame.
    fn depart(&mut self, now: Instant, frame: Frame, headers: &Headers, out: &mut Output) {
        let Some(hop) = self.way_out(&frame, &headers.flow) else {
            self.complain(now, &frame, headers, Complaint::Unreachable);
            return self.lose(frame, Cause::NoRoute, out);
        };
        if hop.iface == IfIndex::NULL {
            // IOS tells the sender, unless `no ip unreachables` is said of Null0.
            self.complain(now, &frame, headers, Complaint::Unreachable);
            return self.lose(frame, Cause::NullRoute, out);
        }
        let verdict =
            if frame.meta.control { Verdict::Bypass } else { self.verdict(hop.iface, &headers.flow) };
        match verdict {
            Verdict::NoMatch | Verdict::Bypass => self.steps.push(Step::Bypassed(frame)),
            Verdict::Discard => {
                self.complain(now, &frame, headers, Complaint::Prohibited);
                self.lose(frame, Cause::PolicyDiscard, out);
            }
            Verdict::Protect(place) => {
                let mtu = self.links.at(hop.iface).map(|link| usize::from(link.iface.mtu));
                let (link, steps) = ((hop.iface, mtu), &mut self.steps);
                self.security.protect(now, place, (frame, headers), link, steps, &mut out.notices);
            }
        }
    }

    /// The next hop: where the packet itself says it must leave, else where its route says.
    fn way_out(&self, frame: &Frame, flow: &Flow) -> Option<NextHop> {
        let routed = self.links.fib.lookup(flow);
        match frame.meta.egress {
            Some(iface) => routed.filter(|hop| hop.iface == iface).or(Some(NextHop { iface, via: None })),
            None => routed,
        }
    }

    /// Seal what departs and send it, clear packets among it, in order.
    pub(super) fn seal_all(&mut self, now: Instant, out: &mut Output) {
        let mut done = std::mem::take(&mut self.done);
        self.security.seal(&mut self.steps, &mut done);
        for step in done.drain(..) {
            match step {
                Step::Bypassed(frame) => self.send(now, frame, out),
                Step::Passed(mut frame) => {
                    // The inner packet's way out is not the tunnel's.
                    frame.meta.egress = None;
                    self.send(now, frame, out);
                }
                Step::Lost(frame, cause, fits) => {
                    if let (Some(fits), Ok(headers)) = (fits, Headers::read(frame.bytes())) {
                        self.complain(now, &frame, &headers, Complaint::TooBig(fits));
                    }
                    self.lose(frame, cause, out);
                }
                Step::Pending => {}
            }
        }
        self.done = done;
    }

    /// Send a packet as it is, in pieces if the link wants them.
    fn send(&mut self, now: Instant, frame: Frame, out: &mut Output) {
        let headers = match Headers::read(frame.bytes()) {
            Ok(headers) => headers,
            Err(cause) => return self.lose(frame, cause, out),
        };
        let Some(hop) = self.way_out(&frame, &headers.flow) else {
            self.complain(now, &frame, &headers, Complaint::Unreachable);
            return self.lose(frame, Cause::NoRoute, out);
        };
        if hop.iface == IfIndex::NULL {
            return self.lose(frame, Cause::NullRoute, out);
        }
        let Some(link) = self.links.up(hop.iface) else { return self.lose(frame, Cause::InterfaceDown, out) };
        let mtu = usize::from(link.iface.mtu);
        if headers.len as usize <= mtu {
            return self.transmit(now, hop, &headers.flow, frame, out);
        }
        if headers.df || !headers.flow.ipv4 {
            self.complain(now, &frame, &headers, Complaint::TooBig(mtu));
            return self.lose(frame, Cause::TooBig, out);
        }
        let mut pieces = Vec::new();
        match fragment::cut(frame, &headers, mtu, 0, &mut self.security.pool, &mut pieces) {
            Ok(()) => pieces.into_iter().for_each(|piece| self.transmit(now, hop, &headers.flow, piece, out)),
            Err((frame, cause)) => self.lose(frame, cause, out),
        }
    }

    /// Put the link header on and hand the frame out.
    fn transmit(&mut self, now: Instant, hop: NextHop, flow: &Flow, mut frame: Frame, out: &mut Output) {
        let Some(dst) = self.station(hop, flow) else {
            return self.await_neighbour(now, hop, flow, frame, out);
        };
        let Some(link) = self.links.up(hop.iface) else { return self.lose(frame, Cause::InterfaceDown, out) };
        let src = link.iface.mac;
        if frame.headroom() < espalier_wire::ether::HEADER_LEN {
            let Some(mut larger) = self.security.pool.copy_of(frame.bytes()) else {
                return self.lose(frame, Cause::NoRoom, out);
            };
            larger.meta = frame.meta;
            self.security.pool.put(std::mem::replace(&mut frame, larger));
        }
        if !forward::write_link(&mut frame, dst, src, flow.ipv4) {
            return self.lose(frame, Cause::NoRoom, out);
        }
        if let Some(link) = self.links.up(hop.iface) {
            link.counters.out_packets += 1;
            link.counters.out_bytes += frame.len() as u64;
        }
        out.transmit.push((hop.iface, frame));
    }

    /// Ask for the next hop's link address. The latest packet for it waits for the answer (RFC 1122 section 2.3.2.2).
    fn await_neighbour(&mut self, now: Instant, hop: NextHop, flow: &Flow, frame: Frame, out: &mut Output) {
        let addr = hop.via.unwrap_or_else(|| flow.dst());
        let notice = Notice::NeedNeighbour { iface: hop.iface, addr };
        if out.notices.len() < NOTICES_MAX && !out.notices.contains(&notice) {
            out.notices.push(notice);
        }
        if let Some(lost) = self.links.awaited.hold(now, hop.iface, addr, frame) {
            self.lose(lost, Cause::NoNeighbour, out);
        }
    }

    /// Packets whose neighbour has answered, and those whose neighbour has not in time.
    pub(super) fn depart_awaited(&mut self, now: Instant, out: &mut Output) {
        while let Some((iface, addr, frame)) = self.links.awaited.answered() {
            match Headers::read(frame.bytes()) {
                Ok(headers) => {
                    let hop = NextHop { iface, via: Some(addr) };
                    self.transmit(now, hop, &headers.flow, frame, out);
                }
                Err(cause) => self.lose(frame, cause, out),
            }
        }
        while let Some(frame) = self.links.awaited.overdue(now) {
            self.lose(frame, Cause::NoNeighbour, out);
        }
    }

    /// The link address of the next hop: a neighbour's, or a group's (RFC 1112 section 6.4, RFC 2464 section 7).
    pub(crate) fn station(&self, hop: NextHop, flow: &Flow) -> Option<Mac> {
        if self.links.local.destination(flow) == Destination::Group {
            return Some(match flow.dst() {
                IpAddr::V4(group) if group.is_broadcast() => Mac::BROADCAST,
                IpAddr::V4(group) => Mac::of_multicast(group),
                IpAddr::V6(group) => {
                    let [.., a, b, c, d] = group.octets();
                    Mac([0x33, 0x33, a, b, c, d])
                }
            });
        }
        self.links.neighbours.find(hop.iface, hop.via.unwrap_or_else(|| flow.dst()))
    }

    fn complain(&mut self, now: Instant, frame: &Frame, headers: &Headers, complaint: Complaint) {
        self.links.complain(now, frame, headers, complaint, (self.config.ttl, &mut self.security.pool));
    }

    /// A keepalive for an SA behind a NAT (RFC 3948 section 4), to be routed like any packet born here.
    pub(crate) fn bear_keepalive(&mut self, mut frame: Frame) {
        frame.meta.control = true;
        frame.meta.ingress = IfIndex::default();
        self.links.born.push(frame);
    }
}
