//! Outages of one flow: from the first lost packet to the first of five seconds of sustained delivery.
//!
//! RFC 6414 measures one in three ways (section 3.6): by the timestamps of the packets around it (TBM), by the clock
//! at their arrival (TBLM), and by how many packets are missing at the rate they were offered (PLBM).

use espalier_wire::{Cause, Duration, Instant};

use super::ledger::{Flow, Record};

/// Delivery for this long ends an outage.
pub const SUSTAINED: Duration = Duration::from_s(5);
/// Losses of a segment's own impairment are background while they stay under this share of a second's packets.
const BACKGROUND_SHARE: f64 = 0.5;

/// One outage.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    /// When the first lost packet was offered.
    pub start: Instant,
    /// When the first packet of sustained delivery was offered; `None`: never recovered.
    pub end: Option<Instant>,
    /// Packets lost from `start` to `end`, background included.
    pub lost: u64,
    /// When the last packet before it was offered and when it arrived, and the same of the first one after.
    pub around: Option<[(Instant, Instant); 2]>,
    /// Packets a second that were offered meanwhile.
    pub rate: f64,
}

impl Outage {
    /// Timestamp-Based Method.
    pub fn tbm(&self) -> Option<Duration> {
        self.around.map(|[before, after]| after.0 - before.0)
    }

    /// Time-Based Loss Method.
    pub fn tblm(&self) -> Option<Duration> {
        self.around.map(|[before, after]| after.1.max(before.1) - before.1)
    }

    /// Packet-Loss-Based Method, in seconds.
    pub fn plbm_s(&self) -> Option<f64> {
        (self.rate > 0.0).then(|| self.lost as f64 / self.rate)
    }
}

/// By second: packets offered, and of them lost to a segment's impairment. `None`: none was.
fn impaired_seconds(flow: &Flow) -> Option<Vec<(u32, u32)>> {
    flow.packets().find(is_impaired)?;
    let mut seconds: Vec<(u32, u32)> = Vec::new();
    for packet in flow.packets() {
        let at = second(&packet);
        if seconds.len() <= at {
            seconds.resize(at + 1, (0, 0));
        }
        seconds[at].0 += 1;
        seconds[at].1 += u32::from(is_impaired(&packet));
    }
    Some(seconds)
}

fn second(packet: &Record<'_>) -> usize {
    (packet.offered().as_ns() / 1_000_000_000) as usize
}

fn is_impaired(packet: &Record<'_>) -> bool {
    matches!(packet.lost(), Some((_, Cause::SegmentLoss)))
}

/// When a packet was offered and when it arrived.
type Times = (Instant, Instant);

/// An outage of which it is not known yet whether it is over.
struct Open {
    start: Instant,
    /// The last delivery before it.
    before: Option<Times>,
    /// Packets since its start, and of them lost.
    within: u64,
    lost: u64,
    /// The first delivery since the last loss that counts, and packets and losses before it.
    after: Option<(Times, u64, u64)>,
}

impl Open {
    /// `last`: when the last packet of the flow was offered, of an outage that never ended.
    fn end(self, last: Instant) -> Outage {
        let around = self.before.zip(self.after.map(|after| after.0)).map(|(a, b)| [a, b]);
        let end = self.after.map(|((offered, _), ..)| offered);
        let (within, lost) = self.after.map_or((self.within, self.lost), |(_, within, lost)| (within, lost));
        let span = (end.unwrap_or(last) - self.start).as_s();
        // Of one packet alone the rate is that of its neighbours.
        let rate = if span > 0.0 { within as f64 / span } else { 0.0 };
        Outage { start: self.start, end, lost, around, rate }
    }
}

/// The outages of a flow, in order.
pub fn outages(flow: &Flow) -> Vec<Outage> {
    let seconds = impaired_seconds(flow);
    let background = |r: &Record<'_>| {
        let Some(seconds) = seconds.as_ref().filter(|_| is_impaired(r)) else { return false };
        let (all, gone) = seconds.get(second(r)).copied().unwrap_or_default();
        f64::from(gone) < BACKGROUND_SHARE * f64::from(all)
    };
    let (mut found, mut open) = (Vec::new(), None::<Open>);
    let (mut before, mut last) = (None, Instant::ZERO);
    for packet in flow.in_time() {
        let arrived = packet.delivered();
        let counts = arrived.is_none() && !background(&packet);
        if counts || open.is_some() || seconds.is_some() {
            last = packet.offered();
        }
        // Sustained: from the first delivery after a loss to the next loss.
        let is_over = |o: &Open| o.after.is_some_and(|((first, _), ..)| last - first >= SUSTAINED);
        if counts && let Some(over) = open.take_if(|o| is_over(o)) {
            found.push(over.end(last));
        }
        if counts && open.is_none() {
            open = Some(Open { start: last, before, within: 0, lost: 0, after: None });
        }
        if let Some(open) = &mut open {
            if counts {
                open.after = None;
            } else if let Some(arrived) = arrived {
                open.after.get_or_insert(((packet.offered(), arrived), open.within, open.lost));
            }
            open.within += 1;
            open.lost += u64::from(arrived.is_none());
        }
        if let Some(arrived) = arrived {
            before = Some((packet.offered(), arrived));
        }
    }
    found.extend(open.map(|open| open.end(last)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::ledger::{Ledger, PacketId};
    use crate::measure::recording::NodeId;

    /// A packet a 100 ms for `n` packets, each 1 ms on its way; those that `cause` names are lost.
    fn flow(n: u64, cause: impl Fn(u64) -> Option<Cause>) -> Ledger {
        let mut ledger = Ledger::new(&["f".into()]);
        for number in 0..n {
            let id = PacketId { traffic: 0, reply: false, number };
            let at = Instant::ZERO + Duration::from_ms(100).times(number);
            ledger.offer(id, at, 1);
            match cause(number) {
                Some(cause) => ledger.lose(id, NodeId(0), cause),
                None => ledger.deliver(id, at + Duration::from_ms(1), NodeId(1), 1),
            }
        }
        ledger
    }

    fn of(ledger: &Ledger) -> Vec<Outage> {
        ledger.flows().flat_map(outages).collect()
    }

    #[test]
    fn computed_by_hand() {
        // Lost: 20 to 39, delivered 40 to 59 (2 s: not sustained), lost 60 to 64, delivered from 65 on.
        let gone = |n| ((20..40).contains(&n) || (60..65).contains(&n)).then_some(Cause::NoRoute);
        let found = of(&flow(200, gone));
        assert_eq!(found.len(), 1);
        let outage = &found[0];
        assert_eq!((outage.start.as_ns(), outage.end.unwrap().as_ns()), (2_000_000_000, 6_500_000_000));
        assert_eq!(outage.lost, 25);
        // From packet 19 to packet 65; the transit times are equal.
        assert_eq!(outage.tbm(), Some(Duration::from_ms(4600)));
        assert_eq!(outage.tblm(), Some(Duration::from_ms(4600)));
        assert!((outage.plbm_s().unwrap() - 2.5).abs() < 1e-9, "25 packets at 10 a second");
    }

    #[test]
    fn five_seconds_apart_are_two_and_the_last_may_never_end() {
        let gone = |n: u64| (n == 20 || n == 80 || n >= 150).then_some(Cause::UnknownSpi);
        let found = of(&flow(200, gone));
        assert_eq!(found.iter().map(|o| o.lost).collect::<Vec<_>>(), [1, 1, 50]);
        assert_eq!(found[2].end, None);
        assert_eq!(found[2].tbm(), None);
    }

    #[test]
    fn background_loss_is_none_but_a_dead_segment_is() {
        let sparse = |n: u64| (n % 10 == 3).then_some(Cause::SegmentLoss);
        assert_eq!(of(&flow(300, sparse)), []);
        let dead = |n: u64| (100..130).contains(&n).then_some(Cause::SegmentLoss);
        assert_eq!(of(&flow(300, dead)).len(), 1);
    }
}
