//! Rekeys: SAs that took over from others that still lived. What they cost, and how long both lived.

use std::collections::BTreeSet;

use espalier_control::event::Mark;
use espalier_wire::{Duration, Instant};
use schemars::JsonSchema;
use serde::Serialize;

use super::figures::name;
use super::recording::Recording;

/// What belongs to a rekey, before and after it.
const AROUND: Duration = Duration::from_s(1);

/// One rekey at one end.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Rekey {
    /// Where.
    pub node: String,
    /// With whom.
    pub peer: String,
    /// When the new SAs took over.
    pub at_s: f64,
    /// The longest time without an arrival of any flow that has arrivals on both sides, from a second before to a
    /// second after, beyond the time between two packets of that flow.
    pub gap_ns: u64,
    /// Packets of those two seconds that were lost.
    pub lost: u64,
    /// How long the old inbound SA stayed beside the new one; absent: to the end of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_s: Option<f64>,
}

/// When pairs of SAs were replaced, and when those they replaced went.
pub(super) fn moments(run: &Recording) -> impl Iterator<Item = Instant> + '_ {
    let mut replaced = BTreeSet::new();
    run.events.iter().filter_map(move |e| match e.event.mark {
        Some(Mark::SaUp { policy, rekey: true, .. }) => {
            replaced.insert((e.node, policy));
            Some(e.at)
        }
        Some(Mark::SaDown { policy, .. }) => replaced.contains(&(e.node, policy)).then_some(e.at),
        _ => None,
    })
}

pub(super) fn rekeys(run: &Recording) -> Vec<Rekey> {
    let mut all = Vec::new();
    for (i, e) in run.events.iter().enumerate() {
        let Some(Mark::SaUp { policy, peer, inbound, rekey: true, .. }) = e.event.mark else { continue };
        let old = |mark: Option<Mark>| matches!(mark, Some(Mark::SaDown { policy: p, inbound: spi }) if p == policy && spi != inbound);
        let gone = run.events.iter().skip(i).find(|d| d.node == e.node && old(d.event.mark));
        let (gap_ns, lost) = around(run, e.at);
        all.push(Rekey {
            node: name(run, e.node),
            peer: peer.to_string(),
            at_s: e.at.as_s(),
            gap_ns,
            lost,
            overlap_s: gone.map(|d| (d.at - e.at).as_s()),
        });
    }
    all
}

/// The longest silence and the losses around an instant.
fn around(run: &Recording, at: Instant) -> (u64, u64) {
    let near = |t: Instant| t <= at + AROUND && at <= t + AROUND;
    let (mut gap, mut lost) = (0, 0);
    for flow in run.ledger.flows() {
        let packets: Vec<_> = flow.packets().filter(|p| near(p.offered())).collect();
        lost += packets.iter().filter(|p| p.lost().is_some()).count() as u64;
        let step = packets.windows(2).map(|w| (w[1].offered().max(w[0].offered()) - w[0].offered()).as_ns());
        let step = step.max().unwrap_or(0);
        let mut arrivals: Vec<Instant> = packets.iter().filter_map(|p| p.delivered()).collect();
        arrivals.sort_unstable();
        let longest = arrivals.windows(2).map(|w| (w[1] - w[0]).as_ns()).max().unwrap_or(0);
        gap = gap.max(longest.saturating_sub(step));
    }
    (gap, lost)
}
