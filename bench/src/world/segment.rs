//! A LAN: a learning switch whose ports lead to routers, with a delay, a rate, a queue and impairments.

use std::collections::BTreeMap;

use espalier_wire::random::Random;
use espalier_wire::{Cause, Duration, IfIndex, Instant, Mac};

use crate::scenario::Impairment;

/// What a switch forgets after (IEEE 802.1D's default).
const AGE: Duration = Duration::from_s(300);
/// How long a reordered frame is held back at least.
const HELD_BACK: Duration = Duration::from_ms(1);

/// The routers of a run come up within this time, each when the seed says: a fault meets their timers at any phase.
pub const FIRST_BOOTS: Duration = Duration::from_s(3);

/// Where a port leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Port {
    pub node: usize,
    pub iface: IfIndex,
    up: bool,
    forwards_from: Instant,
    /// When the last frame of its queue is out.
    free_at: Instant,
}

/// A segment.
#[derive(Debug)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// Its ports.
    pub ports: Vec<Port>,
    /// How it treats frames now.
    pub impairment: Impairment,
    /// How long a port that came up does not forward.
    pub forward_delay: Duration,
    /// Nothing gets through.
    pub cut: bool,
    stations: BTreeMap<Mac, (usize, Instant)>,
    random: Random,
    last: Option<Last>,
}

/// Where a frame went that nothing befell: another one between the same stations at the same moment goes there, too.
#[derive(Debug, Clone, Copy)]
struct Last {
    now: Instant,
    from: usize,
    stations: [u8; 12],
    to: (usize, Instant),
}

/// What becomes of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passage {
    /// It ends here.
    Lost(Cause),
    /// It arrives at these ports at these times; more than one is a flood (or a duplicate), of which only a station
    /// that wants it is meant.
    Arrives {
        /// Port and time of each copy.
        copies: Vec<(usize, Instant)>,
        /// No station of that address is known: it was sent everywhere.
        flooded: bool,
    },
}

impl Segment {
    /// A segment without a frame on it; its chances come from `random`.
    pub fn new(name: &str, impairment: Impairment, forward_delay: Duration, random: Random) -> Self {
        let name = name.to_owned();
        let stations = BTreeMap::new();
        Self { name, ports: Vec::new(), impairment, forward_delay, cut: false, stations, random, last: None }
    }

    /// Another port; it is down.
    pub fn attach(&mut self, node: usize, iface: IfIndex) -> usize {
        let zero = Instant::ZERO;
        self.ports.push(Port { node, iface, up: false, forwards_from: zero, free_at: zero });
        self.ports.len() - 1
    }

    /// A port's link comes up, or goes; its stations go with it.
    pub fn set_up(&mut self, now: Instant, port: usize, up: bool) {
        // The network has stood for long when the run begins: its first boots wait for no spanning tree.
        let delay = if now <= Instant::ZERO + FIRST_BOOTS { Duration::ZERO } else { self.forward_delay };
        if let Some(p) = self.ports.get_mut(port) {
            (p.up, p.forwards_from, p.free_at) = (up, now + delay, now);
        }
        self.forget();
        if !up {
            self.stations.retain(|_, (at, _)| *at != port);
        }
    }

    /// Whether a port has its link.
    pub fn is_up(&self, port: usize) -> bool {
        self.ports.get(port).is_some_and(|p| p.up)
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.random.unit() < share
    }

    /// Something is otherwise than it was when the last frame came.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// Where a frame goes that enters at a port, if that is known from the one before: as [`Segment::pass`] says.
    #[inline]
    pub fn again(&self, now: Instant, from: usize, frame: &[u8]) -> Option<(usize, Instant)> {
        let last = self.last.as_ref()?;
        let is_same = (last.now, last.from) == (now, from) && frame.first_chunk() == Some(&last.stations);
        is_same.then_some(last.to)
    }

    /// A frame enters at a port.
    pub fn pass(&mut self, now: Instant, from: usize, frame: &[u8]) -> Passage {
        let Some((dst, src)) = addresses(frame) else { return Passage::Lost(Cause::Malformed) };
        if self.cut {
            return Passage::Lost(Cause::SegmentDown);
        }
        match self.ports.get(from) {
            Some(port) if port.up && port.forwards_from <= now => {}
            Some(port) if port.up => return Passage::Lost(Cause::PortBlocked),
            Some(_) | None => return Passage::Lost(Cause::InterfaceDown),
        }
        self.stations.insert(src, (from, now));
        if self.chance(self.impairment.loss) {
            return Passage::Lost(Cause::SegmentLoss);
        }
        let known = self.stations.get(&dst).filter(|(_, heard)| now - *heard <= AGE).map(|(port, _)| *port);
        match known.filter(|_| !dst.is_multicast()) {
            Some(port) if port == from => Passage::Lost(Cause::NoStation),
            Some(port) => {
                let passage = self.one(now, port, frame.len());
                self.remember(now, from, frame, &passage);
                passage
            }
            None => self.everywhere(now, from, frame.len(), !dst.is_multicast()),
        }
    }

    /// For [`Segment::again`]: nothing but the stations decided.
    fn remember(&mut self, now: Instant, from: usize, frame: &[u8], passage: &Passage) {
        let Impairment { rate, loss, reorder, duplicate, .. } = self.impairment;
        let is_plain = rate.is_none() && [loss, reorder, duplicate].iter().all(|share| *share <= 0.0);
        self.last = match (passage, frame.first_chunk()) {
            (Passage::Arrives { copies, .. }, Some(stations)) if is_plain => {
                copies.first().map(|to| Last { now, from, stations: *stations, to: *to })
            }
            _ => None,
        };
    }

    fn one(&mut self, now: Instant, port: usize, len: usize) -> Passage {
        let mut copies = Vec::with_capacity(1);
        if let Err(cause) = self.leave(now, port, len, &mut copies) {
            return Passage::Lost(cause);
        }
        Passage::Arrives { copies, flooded: false }
    }

    fn everywhere(&mut self, now: Instant, from: usize, len: usize, flooded: bool) -> Passage {
        let mut copies = Vec::with_capacity(self.ports.len());
        let mut cause = Cause::NoStation;
        for port in (0..self.ports.len()).filter(|p| *p != from) {
            if let Err(c) = self.leave(now, port, len, &mut copies) {
                cause = if c == Cause::NoStation { cause } else { c };
            }
        }
        if copies.is_empty() { Passage::Lost(cause) } else { Passage::Arrives { copies, flooded } }
    }

    /// Through a port's queue and over the wire.
    fn leave(
        &mut self,
        now: Instant,
        port: usize,
        len: usize,
        copies: &mut Vec<(usize, Instant)>,
    ) -> Result<(), Cause> {
        let Impairment { delay, rate, queue, reorder, duplicate, .. } = self.impairment;
        let late = self.chance(reorder);
        let twice = self.chance(duplicate);
        let Some(p) = self.ports.get_mut(port).filter(|p| p.up) else { return Err(Cause::NoStation) };
        if p.forwards_from > now {
            return Err(Cause::PortBlocked);
        }
        let mut at = now;
        if let Some(rate) = rate {
            // Preamble, FCS and gap count on the wire, too (RFC 2544 section 20): 24 bytes.
            let bits = (len as u64 + 24) * 8;
            let one = Duration::from_ns(bits * 1_000_000_000 / rate.max(1));
            let backlog = p.free_at.max(now) - now;
            if backlog.as_ns() > one.as_ns().saturating_mul(queue as u64) {
                return Err(Cause::QueueFull);
            }
            p.free_at = p.free_at.max(now) + one;
            at = p.free_at;
        }
        let held = if late { HELD_BACK.max(delay.times(4)) } else { Duration::ZERO };
        copies.push((port, at + delay + held));
        if twice {
            copies.push((port, at + delay));
        }
        Ok(())
    }
}

fn addresses(frame: &[u8]) -> Option<(Mac, Mac)> {
    let dst = frame.first_chunk::<6>()?;
    let src = frame.get(6..)?.first_chunk::<6>()?;
    Some((Mac(*dst), Mac(*src)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn frame(dst: Mac, src: Mac) -> Vec<u8> {
        let mut frame = [dst.0, src.0].concat();
        frame.resize(60, 0);
        frame
    }

    fn lan(impairment: Impairment) -> Segment {
        let mut lan = Segment::new("lan", impairment, Duration::from_s(30), Random::from_seed(1));
        for node in 0..3 {
            let port = lan.attach(node, IfIndex(0));
            lan.set_up(Instant::ZERO, port, true);
        }
        lan
    }

    fn ports(passage: &Passage) -> Vec<usize> {
        match passage {
            Passage::Lost(cause) => panic!("{cause}"),
            Passage::Arrives { copies, .. } => copies.iter().map(|(port, _)| *port).collect(),
        }
    }

    #[test]
    fn it_floods_until_it_has_learned_and_forgets_a_port_that_went_down() {
        let mut lan = lan(Impairment::default());
        let now = Instant::from_ns(1);
        assert_eq!(ports(&lan.pass(now, 0, &frame(B, A))), [1, 2]);
        assert_eq!(ports(&lan.pass(now, 1, &frame(A, B))), [0]);
        assert_eq!(ports(&lan.pass(now, 0, &frame(Mac::BROADCAST, A))), [1, 2]);
        lan.set_up(now, 1, false);
        assert_eq!(ports(&lan.pass(now, 0, &frame(B, A))), [2], "unknown again, and port 1 is down");
        assert_eq!(lan.pass(now, 1, &frame(A, B)), Passage::Lost(Cause::InterfaceDown));
    }

    #[test]
    fn a_returning_port_is_blocked_for_its_delay() {
        let mut lan = lan(Impairment::default());
        let back = Instant::ZERO + Duration::from_s(100);
        lan.set_up(back, 1, false);
        lan.set_up(back, 1, true);
        assert_eq!(lan.pass(back, 1, &frame(A, B)), Passage::Lost(Cause::PortBlocked));
        let later = back + Duration::from_s(30);
        assert_eq!(ports(&lan.pass(later, 1, &frame(A, B))), [0, 2]);
    }

    #[test]
    fn rate_and_queue_make_frames_wait_and_the_last_ones_fall() {
        let slow =
            Impairment { rate: Some(84 * 8), queue: 2, delay: Duration::ZERO, ..Impairment::default() };
        let mut lan = lan(slow);
        lan.pass(Instant::ZERO, 1, &frame(A, B));
        let mut at = |_| match lan.pass(Instant::ZERO, 0, &frame(B, A)) {
            Passage::Arrives { copies, .. } => Some(copies[0].1.as_ns() / 1_000_000_000),
            Passage::Lost(cause) => {
                assert_eq!(cause, Cause::QueueFull);
                None
            }
        };
        let seen: Vec<_> = (0..4).map(&mut at).collect();
        assert_eq!(seen, [Some(1), Some(2), Some(3), None], "one a second, two may wait");
    }

    #[test]
    fn loss_and_a_cut_take_frames_away() {
        let mut lossy = lan(Impairment { loss: 0.25, ..Impairment::default() });
        let lost = |lan: &mut Segment, _| {
            lan.pass(Instant::ZERO, 0, &frame(B, A)) == Passage::Lost(Cause::SegmentLoss)
        };
        let n = (0..4000).filter(|i| lost(&mut lossy, *i)).count();
        assert!((900..1100).contains(&n), "{n} of 4000");
        lossy.cut = true;
        assert_eq!(lossy.pass(Instant::ZERO, 0, &frame(B, A)), Passage::Lost(Cause::SegmentDown));
    }
}
