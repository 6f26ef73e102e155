//! What a router knows of its surroundings: interfaces, its own addresses, routes, neighbours.

use espalier_wire::plane::{IfCounters, Interface};
use espalier_wire::{Duration, IfIndex, Instant};

use crate::fib::{Fib, Neighbours};
use crate::frame::Frame;
use crate::mem::Pool;
use crate::stage::classify::{Flow, Headers};
use crate::stage::icmp::{self, Complaint, Limiter};
use crate::stage::punt::Local;

use super::awaited::Awaited;

/// An interface and what it did.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) iface: Interface,
    pub(crate) counters: IfCounters,
}

/// The router's surroundings.
#[derive(Default)]
pub(crate) struct Links {
    links: Vec<Option<Link>>,
    pub(crate) local: Local,
    pub(crate) fib: Fib,
    pub(crate) neighbours: Neighbours,
    pub(crate) limiter: Limiter,
    pub(crate) awaited: Awaited,
    /// Packets on their way through, before their hop is taken.
    pub(crate) transit: Vec<(Frame, Headers)>,
    /// Packets born here, ICMP errors and keepalives, not routed yet.
    pub(crate) born: Vec<Frame>,
}

impl Links {
    /// None yet; at most one ICMP error of a kind in `icmp_interval`.
    pub(crate) fn new(icmp_interval: Duration) -> Self {
        Self { limiter: Limiter::new(icmp_interval), ..Self::default() }
    }

    /// Create or change an interface; its counters stay.
    pub(crate) fn set(&mut self, iface: Interface) {
        let at = usize::from(iface.index.0);
        if self.links.len() <= at {
            self.links.resize_with(at + 1, || None);
        }
        match &mut self.links[at] {
            Some(link) => link.iface = iface,
            empty => *empty = Some(Link { iface, counters: IfCounters::default() }),
        }
    }

    pub(crate) fn at(&self, iface: IfIndex) -> Option<&Link> {
        self.links.get(usize::from(iface.0))?.as_ref()
    }

    pub(crate) fn at_mut(&mut self, iface: IfIndex) -> Option<&mut Link> {
        self.links.get_mut(usize::from(iface.0))?.as_mut()
    }

    /// An interface that is there and up.
    pub(crate) fn up(&mut self, iface: IfIndex) -> Option<&mut Link> {
        self.at_mut(iface).filter(|link| link.iface.up)
    }

    pub(crate) fn counters(&self) -> Vec<(IfIndex, IfCounters)> {
        self.links.iter().flatten().map(|link| (link.iface.index, link.counters)).collect()
    }

    /// Tell a packet's sender what became of it, if it may be told, and not too often.
    pub(crate) fn complain(
        &mut self,
        now: Instant,
        frame: &Frame,
        headers: &Headers,
        complaint: Complaint,
        (ttl, pool): (u8, &mut Pool),
    ) {
        if !icmp::may_answer(frame.bytes(), headers) {
            return;
        }
        let Some(src) = self.own_address(frame.meta.ingress, headers.flow.ipv4) else { return };
        if self.limiter.allows(now, complaint)
            && let Some(error) = icmp::build(complaint, frame.bytes(), headers, (src, ttl), pool)
        {
            self.born.push(error);
        }
    }

    /// The address an error is sent from: that of the interface the packet came in by, which is the one whose own
    /// network is routed there (RFC 1812 section 4.3.2.4); else any.
    fn own_address(&self, ingress: IfIndex, ipv4: bool) -> Option<u128> {
        let is_on = |address: &u128| {
            let flow = Flow { src: 0, dst: *address, ipv4, protocol: 0, ports: None };
            self.fib.lookup(&flow).is_some_and(|hop| hop.iface == ingress && hop.via.is_none())
        };
        self.local.of_family(ipv4).find(is_on).or_else(|| self.local.of_family(ipv4).next())
    }
}
