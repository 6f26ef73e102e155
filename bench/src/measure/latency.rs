//! From offer to arrival, of what arrived: percentiles over the run, and histograms before the first fault, between
//! each fault and the recovery from it, and after.

use espalier_wire::Instant;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::Serialize;

use super::figures::OutageFigures;
use super::ledger::{Flow, Record};
use super::outage::SUSTAINED;
use super::recording::Recording;

/// Nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "names say it")]
pub struct Latency {
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

/// The latencies of one stretch of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LatencyPhase {
    /// `before` the first fault, `during` (from a fault until its last outage has ended, or five seconds when it made
    /// none), `after`.
    pub phase: &'static str,
    /// Packets that were offered then and arrived.
    pub packets: u64,
    /// Their percentiles.
    #[serde(flatten)]
    pub latency: Latency,
    /// `[up to this many ns, packets]`, in rising order and two digits; what holds no packet is absent.
    pub bins: Vec<[u64; 2]>,
}

struct Collected {
    histogram: Histogram<u64>,
    max: u64,
}

impl Collected {
    fn new(digits: u8) -> Option<Self> {
        Some(Self { histogram: Histogram::new(digits).ok()?, max: 0 })
    }

    fn take(&mut self, packet: &Record<'_>) {
        let Some(arrived) = packet.delivered() else { return };
        let took = (arrived - packet.offered()).as_ns();
        // The histogram grows with what it is given; it refuses only what no u64 of nanoseconds can reach.
        let _ = self.histogram.record(took);
        self.max = self.max.max(took);
    }

    fn figures(&self) -> Option<Latency> {
        let quantile = |q: f64| self.histogram.value_at_quantile(q).min(self.max);
        let figures =
            || Latency { p50: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999), max: self.max };
        (!self.histogram.is_empty()).then(figures)
    }
}

/// Of the whole run.
pub(super) fn latency(flow: &Flow) -> Option<Latency> {
    let mut all = Collected::new(3)?;
    flow.packets().for_each(|p| all.take(&p));
    all.figures()
}

/// When the network was in trouble: from each fault to the end of what it caused.
fn troubles(run: &Recording, outages: &[OutageFigures]) -> Vec<(Instant, f64)> {
    let end = |(i, at): (usize, Instant)| {
        let own = outages.iter().filter(|o| o.fault == Some(i));
        let ends = own.map(|o| o.end_s.unwrap_or(f64::INFINITY));
        (at, ends.fold((at + SUSTAINED).as_s(), f64::max))
    };
    run.faults.iter().map(|f| f.at).enumerate().map(end).collect()
}

/// By phase; a phase without a packet is absent.
pub(super) fn phases(run: &Recording, flow: &Flow, outages: &[OutageFigures]) -> Vec<LatencyPhase> {
    const NAMES: [&str; 3] = ["before", "during", "after"];
    let troubles = troubles(run, outages);
    let first = troubles.iter().map(|t| t.0).min();
    let phase = |p: &Record<'_>| {
        let at = p.offered();
        match first {
            None => 0,
            Some(first) if at < first => 0,
            Some(_) if troubles.iter().any(|(from, to)| *from <= at && at.as_s() < *to) => 1,
            Some(_) => 2,
        }
    };
    let mut all: Vec<Collected> = NAMES.iter().filter_map(|_| Collected::new(2)).collect();
    for packet in flow.packets() {
        if let Some(collected) = all.get_mut(phase(&packet)) {
            collected.take(&packet);
        }
    }
    let of = |(phase, c): (&'static str, Collected)| {
        let bins = c.histogram.iter_recorded();
        Some(LatencyPhase {
            phase,
            packets: c.histogram.len(),
            latency: c.figures()?,
            bins: bins.map(|b| [b.value_iterated_to().min(c.max), b.count_at_value()]).collect(),
        })
    };
    NAMES.into_iter().zip(all).filter_map(of).collect()
}
