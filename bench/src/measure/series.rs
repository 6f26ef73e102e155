//! Delivery over time: every packet in a bin of the moment at which it was offered. Bins are fine where something
//! happens and a second wide elsewhere.

use std::collections::BTreeSet;

use espalier_wire::Instant;
use schemars::JsonSchema;
use serde::Serialize;

use super::figures::BUCKETS;
use super::ledger::{Flow, Record};
use super::outage::Outage;
use super::recording::Recording;

/// The width of a coarse bin, and of what becomes fine together.
const CELL_NS: u64 = 1_000_000_000;
/// So many cells at most are fine: a flow with outages all the time is drawn coarsely.
const FINE_CELLS: usize = 48;
/// The finest bin.
const FINEST_NS: u64 = 1_000_000;
/// What lies this close to a cell's border makes its neighbour fine, too.
const MARGIN_NS: u64 = 250_000_000;

/// Bins of one width, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Stretch {
    /// Where the first begins.
    pub from_s: f64,
    /// How wide each is.
    pub bin_s: f64,
    /// Packets offered in each bin that were delivered, sooner or later.
    pub delivered: Vec<u32>,
    /// Packets offered in each bin that were lost.
    pub lost: Vec<u32>,
}

/// The columns of a terminal: offered and delivered packets of [`BUCKETS`] equal spans of the run.
pub(super) fn columns(run: &Recording, flow: &Flow) -> Vec<(u32, u32)> {
    let mut columns = vec![(0, 0); BUCKETS];
    let span = run.duration.as_ns().max(1);
    for packet in flow.packets() {
        let at = packet.offered().as_ns().saturating_mul(BUCKETS as u64) / span;
        if let Some(column) = columns.get_mut(at as usize) {
            column.0 += 1;
            column.1 += u32::from(packet.delivered().is_some());
        }
    }
    columns
}

/// A width of 1, 2 or 5 times a power of ten that divides a second and holds at least one packet as a rule.
fn fine_width(packets: usize, span_ns: u64) -> u64 {
    let between = span_ns / (packets.max(1) as u64);
    let mut widths = [1u64, 2, 5].into_iter().cycle().zip([1, 1, 1, 10, 10, 10, 100, 100, 100]);
    widths
        .find_map(|(n, ten)| (n * ten * FINEST_NS >= between).then_some(n * ten * FINEST_NS))
        .unwrap_or(CELL_NS)
}

/// The instants around which it matters: faults, and where outages begin and end. Background loss has none.
fn moments(run: &Recording, outages: &[Outage]) -> Vec<u64> {
    let faults = run.faults.iter().map(|f| f.at);
    let edges = outages.iter().flat_map(|o| [Some(o.start), o.end]).flatten();
    faults.chain(edges).map(Instant::as_ns).collect()
}

fn fine_cells(run: &Recording, outages: &[Outage]) -> BTreeSet<u64> {
    let mut cells = BTreeSet::new();
    for at in moments(run, outages) {
        for near in [at.saturating_sub(MARGIN_NS), at, at + MARGIN_NS] {
            if cells.len() < FINE_CELLS {
                cells.insert(near / CELL_NS);
            }
        }
    }
    cells
}

/// The whole run in stretches; `outages` are the flow's.
pub(super) fn series(run: &Recording, flow: &Flow, outages: &[Outage]) -> Vec<Stretch> {
    let offered = |r: Record<'_>| r.offered();
    let count = flow.packets().count();
    let (Some(first), Some(last)) = (flow.packets().map(offered).min(), flow.packets().map(offered).max())
    else {
        return Vec::new();
    };
    let fine = fine_width(count, (last - first).as_ns());
    let cells = fine_cells(run, outages);
    let mut series: Vec<Stretch> = Vec::new();
    let mut packets = flow.in_time().peekable();
    for cell in 0..run.duration.as_ns().div_ceil(CELL_NS) {
        let width = if cells.contains(&cell) { fine } else { CELL_NS };
        let (from, bins) = (cell * CELL_NS, CELL_NS / width);
        let bin_s = width as f64 / 1e9;
        if series.last().is_none_or(|s| s.bin_s.to_bits() != bin_s.to_bits()) {
            let from_s = Instant::from_ns(from).as_s();
            series.push(Stretch { from_s, bin_s, delivered: Vec::new(), lost: Vec::new() });
        }
        let Some(stretch) = series.last_mut() else { break };
        for bin in 0..bins {
            let end = from + (bin + 1) * width;
            let (mut delivered, mut lost) = (0, 0);
            while let Some(packet) = packets.next_if(|p| p.offered().as_ns() < end) {
                let is_lost = packet.lost().is_some();
                lost += u32::from(is_lost);
                delivered += u32::from(!is_lost);
            }
            stretch.delivered.push(delivered);
            stretch.lost.push(lost);
        }
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_a_packet_as_a_rule() {
        let second = 1_000_000_000;
        assert_eq!(fine_width(100, second), 10_000_000);
        assert_eq!(fine_width(50, second), 20_000_000);
        assert_eq!(fine_width(49, second), 50_000_000);
        assert_eq!(fine_width(10, second), 100_000_000);
        assert_eq!(fine_width(1, second), CELL_NS);
        assert_eq!(fine_width(1_000_000, second), FINEST_NS);
    }
}
