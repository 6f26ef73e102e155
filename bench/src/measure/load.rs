//! Latency and loss of one core under open-loop load: packets are offered on schedule whatever happens.
//!
//! Packets arrive at the times a rate gives them, in a ring of descriptors as a network card has one; what finds it full
//! is lost there. The core polls the ring, copies packets in as a port does, and is stamped when a burst is out. Latency
//! counts from the intended time of arrival, so a core that falls behind cannot hide it (no coordinated omission).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use espalier_dataplane::watch::Unwatched;
use hdrhistogram::Histogram;

use super::rig::{Kind, Refused, Rig, WORKING_SET};

/// Descriptors of the ring that packets arrive in.
pub const RING: usize = 1024;
/// The longest latency that is told apart, in nanoseconds; none can be longer than a trial.
const LATENCY_MAX: u64 = 600_000_000_000;

/// What came of one rate.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Packets offered.
    pub offered: u64,
    /// Packets that came out.
    pub delivered: u64,
    /// Seconds from the first intended arrival to the last packet out.
    pub elapsed_s: f64,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u64>,
}

impl Trial {
    /// Lost of those offered, 0 to 1.
    pub fn loss(&self) -> f64 {
        (self.offered - self.delivered) as f64 / self.offered.max(1) as f64
    }
}

/// Sequence numbers of 32 bits last for 2^32 packets of an SA (RFC 4303 section 3.3.3): before a trial could meet their end,
/// the SAs are made anew.
const RENEWED_AFTER: u64 = 1 << 31;

/// A core under load.
pub struct Load {
    rig: Rig,
    kind: Kind,
    /// Packets since the SAs were made.
    sealed: u64,
    /// Where in the working set the next packet comes from.
    next: usize,
}

impl Load {
    /// For packets of a kind.
    ///
    /// # Errors
    /// A transform that the engine does not cover; results that are wrong.
    pub fn new(kind: &Kind) -> Result<Self, Refused> {
        let mut rig = Rig::new(kind, WORKING_SET, 0)?;
        let mut batches = rig.load();
        rig.run(&mut batches, &mut Unwatched);
        if !rig.check()? {
            return Err(format!("{} by {}: results are wrong", kind.transform, kind.engine));
        }
        Ok(Self { rig, kind: kind.clone(), sealed: 0, next: 0 })
    }

    /// Packets a second that the core takes when there is always one: the best of a few looks, which an interruption
    /// only slows.
    ///
    /// # Errors
    /// As [`Load::offer`].
    pub fn capacity(&mut self, each: Duration) -> Result<f64, Refused> {
        let mut best = 0.0_f64;
        for _ in 0..3 {
            let (start, mut packets) = (Instant::now(), 0);
            while start.elapsed() < each / 3 {
                packets += self.pass(self.kind.burst)?;
            }
            best = best.max(packets as f64 / start.elapsed().as_secs_f64());
        }
        Ok(best)
    }

    /// Offer `pps` packets a second for `duration`.
    ///
    /// # Errors
    /// Packets that were lost inside the dataplane: that is no load, but a fault.
    pub fn offer(&mut self, pps: f64, duration: Duration) -> Result<Trial, Refused> {
        let mut latency =
            Histogram::new_with_bounds(1, LATENCY_MAX, 3).map_err(|e| format!("no histogram: {e}"))?;
        let total = (duration.as_secs_f64() * pps) as u64;
        if self.sealed > RENEWED_AFTER {
            (self.rig, self.sealed, self.next) = (Rig::new(&self.kind, WORKING_SET, 0)?, 0, 0);
        }
        let ns_each = 1e9 / pps;
        let intended = |n: u64| (n as f64 * ns_each) as u64;
        let (mut ring, mut arrived, mut delivered) = (VecDeque::with_capacity(RING), 0_u64, 0_u64);
        let start = Instant::now();
        let clock = || start.elapsed().as_nanos() as u64;
        let mut out_at = 0;
        while arrived < total || !ring.is_empty() {
            let now = clock();
            while arrived < total && intended(arrived) <= now {
                if ring.len() < RING {
                    ring.push_back(intended(arrived));
                }
                arrived += 1;
            }
            let take = ring.len().min(self.kind.burst);
            if take == 0 {
                std::hint::spin_loop();
                continue;
            }
            delivered += self.pass(take)?;
            out_at = clock();
            for came in ring.drain(..take) {
                latency.saturating_record(out_at.saturating_sub(came));
            }
        }
        Ok(Trial { offered: total, delivered, elapsed_s: out_at as f64 / 1e9, latency })
    }

    /// Copy `take` packets in, through, and out.
    fn pass(&mut self, take: usize) -> Result<u64, Refused> {
        let came = self.rig.pass(self.next, take);
        self.next = (self.next + take) % self.rig.packets();
        self.sealed += came as u64;
        if came == take { Ok(came as u64) } else { Err("packets were lost inside the dataplane".to_owned()) }
    }
}
