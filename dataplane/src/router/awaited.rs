//! Packets that wait for their neighbour's link address: the latest one for each, for a few seconds.

use std::net::IpAddr;

use espalier_wire::{Duration, IfIndex, Instant};

use crate::frame::Frame;

/// Neighbours that may be waited for at once.
const NEIGHBOURS: usize = 64;
/// How long: the three requests of an ARP.
const PATIENCE: Duration = Duration::from_s(3);

/// One packet for each neighbour that is being asked for.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    waiting: Vec<(IfIndex, IpAddr, Instant, Frame)>,
    answered: Vec<(IfIndex, IpAddr, Frame)>,
}

impl Awaited {
    /// Keep a packet. What is not kept, the packet before it or itself, comes back.
    pub(crate) fn hold(&mut self, now: Instant, iface: IfIndex, addr: IpAddr, frame: Frame) -> Option<Frame> {
        if let Some(place) = self.waiting.iter_mut().find(|(i, a, ..)| (*i, *a) == (iface, addr)) {
            return Some(std::mem::replace(&mut place.3, frame));
        }
        if self.waiting.len() >= NEIGHBOURS {
            return Some(frame);
        }
        self.waiting.push((iface, addr, now + PATIENCE, frame));
        None
    }

    /// The neighbour is known.
    pub(crate) fn answer(&mut self, iface: IfIndex, addr: IpAddr) {
        while let Some(at) = self.waiting.iter().position(|(i, a, ..)| (*i, *a) == (iface, addr)) {
            let (iface, addr, _, frame) = self.waiting.swap_remove(at);
            self.answered.push((iface, addr, frame));
        }
    }

    /// A packet whose neighbour is known.
    pub(crate) fn answered(&mut self) -> Option<(IfIndex, IpAddr, Frame)> {
        self.answered.pop()
    }

    /// A packet that waited long enough.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Frame> {
        let at = self.waiting.iter().position(|(_, _, until, _)| *until <= now)?;
        Some(self.waiting.swap_remove(at).3)
    }

    /// When something is to be done.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.answered.is_empty() {
            return Some(Instant::ZERO);
        }
        self.waiting.iter().map(|(_, _, until, _)| *until).min()
    }

    /// How many packets wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.answered.len()
    }
}
