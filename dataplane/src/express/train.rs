//! Packet trains (Jain and Routhier, 1986) out of a tunnel: packets of one flow come one behind the other, and what the first
//! was asked holds for those that follow it. Whatever differs takes the way of a first packet.

use espalier_wire::checksum;
use espalier_wire::ipv4::protocol;

use super::classify::{SAME, SEEN, len_of, word};
use super::flows::{Adjacency, Way};
use super::prepare::rows;
use super::seal::{leave, link_words};
use super::work::{Row, Span, Task, Work};
use super::{Express, LINK, Tally, tally};
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::sa::InboundRef;
use crate::stage::forward;

/// What is looked at of a packet inside, and room for its link header.
const ROW: usize = LINK + SEEN;

/// What the packets of a train have in common.
struct Train<'a> {
    /// The inner header's first 24 bytes.
    header: [u64; 3],
    /// Of the first packet.
    first: Row,
    span: Span,
    way: &'a Adjacency,
    link: [u64; 2],
}

/// Of its first eight bytes those that are the same in all of a train: what is left of the class without DSCP is ECN.
const FIRST: u64 = u64::from_le_bytes([255, 3, 0, 0, 0, 0, 0x3f, 255]);

impl Express {
    /// Take the inner packets out of those that follow the one before `at`, which was taken out by itself. `at` is then that
    /// of the first that does not.
    pub(super) fn take_train(&mut self, security: &mut Security, work: &mut Work, at: &mut usize) {
        let train = self.train(work, at.wrapping_sub(1));
        if let Some(left) = train.and_then(|train| train.take_out(security, work, *at)) {
            *at += left.packets as usize;
            tally(&mut self.leaving, left);
        }
    }

    /// That which the packet in place `first` leads, the last that was looked at.
    fn train(&self, work: &Work, first: usize) -> Option<Train<'_>> {
        let (frame, row, inside) = (work.frames.get(first)?, work.rows.get(first)?, self.insides.last()?);
        let span = work.span_of(row);
        if span.task != Task::Open {
            return None;
        }
        let Some(Way::Clear(way)) = self.flows.lookup(&inside.key, inside.place) else { return None };
        // It lies behind its link header already.
        let header = frame.row::<ROW>(0)?;
        let header = [
            word::<LINK, ROW>(header),
            word::<{ LINK + 8 }, ROW>(header),
            word::<{ LINK + 16 }, ROW>(header),
        ];
        Some(Train { header, first: *row, span, way, link: link_words(way) })
    }
}

impl Train<'_> {
    /// (By itself, so that it has the registers to itself.)
    #[inline(never)]
    fn take_out(&self, security: &mut Security, work: &mut Work, from: usize) -> Option<Tally> {
        let place = InboundRef::of_parts(self.span.place, self.span.generation);
        let sa = security.inbound.at_mut(place)?;
        // The first packet's number is committed. What follows is new if it is the next; any other, a replay in the same batch
        // among them, ends the train.
        let (first, mut seq) = (self.first.seq, self.first.seq);
        if sa.window.top() != first {
            return None;
        }
        let (mut bytes, mut left) = (0, 0);
        let Work { frames, rows: all, .. } = work;
        for (frame, row) in rows(frames, all, from, usize::MAX) {
            if !row.follows(&self.first) || row.seq != seq.wrapping_add(1) {
                break;
            }
            let Some(len) = self.take_one(frame, row) else { break };
            (seq, bytes, left) = (row.seq, bytes + u64::from(len), left + frame.len() as u64);
        }
        let packets = seq.wrapping_sub(first);
        sa.window.commit_next(packets);
        sa.meter.count_all(packets, bytes);
        Some(Tally { iface: self.way.iface, packets: packets as u32, bytes: left })
    }

    /// Take the packet out, if it is of this train and may leave as the first did: its length. `None`: nothing done.
    #[inline(always)]
    fn take_one(&self, frame: &mut Frame, row: &Row) -> Option<u32> {
        let (text_at, behind) = (u32::from(self.span.text_at), u32::from(self.span.icv_len) + 2);
        let text_end = (u32::from(self.span.at) + row.len()).wrapping_sub(behind);
        // Where those two do not overlap there is room for a header.
        let link_at = text_at.checked_sub(LINK as u32)?;
        let (front, trailer) = frame.rows_mut::<ROW, 2>(link_at, text_end)?;
        let [padding, next] = *trailer;
        let ip =
            [word::<LINK, ROW>(front), word::<{ LINK + 8 }, ROW>(front), word::<{ LINK + 16 }, ROW>(front)];
        let other =
            (ip[0] ^ self.header[0]) & FIRST | (ip[1] ^ self.header[1]) & SAME | (ip[2] ^ self.header[2]);
        let len = len_of(ip[0]);
        let whole = len >= SEEN as u32 && len + u32::from(padding) <= text_end - text_at;
        let sum = checksum::add_wide(checksum::add_wide(ip[0], ip[1]), u64::from(ip[2] as u32));
        let sound = ip[1] as u8 > 1 && checksum::is_multiple(sum);
        if other != 0 || next != protocol::IPV4 || !whole || len > u32::from(self.way.mtu) || !sound {
            return None;
        }
        leave(front, self.link, ((ip[0] >> 8) as u8, (ip[1] as u32).to_le_bytes()));
        frame.lie((link_at, 0), 0, LINK as u32 + len);
        frame.meta.opened = true;
        forward::pad_short(frame);
        Some(len)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use espalier_wire::plane::{Command, Direction, SaSpec, Secret};
    use espalier_wire::{Instant, Spi, Transform, ipv4};
    use proptest::prelude::*;

    use super::super::tests::{between, seen};
    use crate::batch::{BATCH_MAX, Batch};
    use crate::crypto::{self, Choice, Job, Key};
    use crate::fate::Output;
    use crate::router::tests::{OUTSIDE, POLICY, frame_to, gateway_with, install, mac, sa};
    use crate::testing;
    use crate::worker::{Config, Worker};

    /// What is odd about a packet of a train.
    #[derive(Debug, Clone, Copy)]
    enum Odd {
        Nothing,
        /// It is not sealed.
        Clear,
        /// A byte of the inner header becomes this; its checksum is right for it, or not.
        Header(usize, u8, bool),
        /// The inner packet ends so many bytes before its payload does; or behind it.
        Shorter(u8),
        Longer(u8),
        Padding(u8),
        Next(u8),
        /// The outer class.
        Class(u8),
        /// The number is so many before the last …
        Replay(u8),
        /// … or after it.
        Gap(u8),
        /// Its ICV is wrong. Its number comes again: what is not authentic moves no window (RFC 4303 section 3.4.3).
        Forged,
    }

    /// Bytes of payload, which of two SAs, and what is odd.
    type Packet = (usize, bool, Odd);

    fn packet() -> impl Strategy<Value = Packet> {
        let header = (0usize..28, any::<u8>(), any::<bool>());
        let odd = prop_oneof![
            12 => Just(Odd::Nothing),
            1 => Just(Odd::Clear),
            4 => header.prop_map(|(at, value, right)| Odd::Header(at, value, right)),
            1 => (0u8..3).prop_map(|ttl| Odd::Header(8, ttl, true)),
            1 => (0u8..4).prop_map(|ecn| Odd::Header(1, ecn, true)),
            1 => (1u8..40).prop_map(Odd::Shorter),
            1 => (1u8..8).prop_map(Odd::Longer),
            1 => any::<u8>().prop_map(Odd::Padding),
            1 => any::<u8>().prop_map(Odd::Next),
            1 => (0u8..4).prop_map(Odd::Class),
            1 => (0u8..80).prop_map(Odd::Replay),
            1 => (0u8..4).prop_map(Odd::Replay),
            1 => (0u8..80).prop_map(Odd::Gap),
            1 => Just(Odd::Forged),
        ];
        (0usize..80, prop_oneof![4 => Just(false), 1 => Just(true)], odd)
    }

    /// An SA of the peer's, and its last number.
    struct Peer {
        spec: SaSpec,
        key: Key,
        last: u32,
    }

    impl Peer {
        fn new(spec: SaSpec) -> Self {
            let (key, auth_key) = (spec.key.bytes(), spec.auth_key.bytes());
            let key = Choice::Auto.key(spec.transform, Direction::Outbound, key, auth_key, false).unwrap();
            Self { spec, key, last: 0 }
        }

        /// A packet with the right ICV, whatever is inside; or with a wrong one.
        fn packet(&mut self, len: usize, odd: Odd) -> Vec<u8> {
            let mut inner = testing::udp4([10, 2, 0, 9], [10, 1, 0, 9], 1, 2, len);
            let (mut class, mut padding, mut next) = (0, 0, ipv4::protocol::IPV4);
            let (mut seq, total) = (self.last + 1, inner.len() as u16);
            let mut is_long = |total: u16| {
                inner[2..4].copy_from_slice(&total.to_be_bytes());
                testing::fix_checksum(&mut inner);
            };
            match odd {
                Odd::Nothing | Odd::Forged => {}
                Odd::Clear => return testing::udp4([9, 9, 9, 9], [10, 1, 0, 9], 1, 2, len),
                Odd::Header(at, value, right) => {
                    inner[at] = value;
                    if right && inner[0] & 15 == 5 {
                        testing::fix_checksum(&mut inner);
                    }
                }
                Odd::Shorter(n) => is_long(total.saturating_sub(n.into())),
                Odd::Longer(n) => is_long(total + u16::from(n)),
                Odd::Padding(value) => padding = value,
                Odd::Next(value) => next = value,
                Odd::Class(value) => class = value,
                Odd::Replay(n) => seq = self.last.saturating_sub(n.into()).max(1),
                Odd::Gap(n) => seq = self.last + u32::from(n) + 1,
            }
            let head = [self.spec.spi.0.to_be_bytes(), seq.to_be_bytes()].concat();
            let mut esp = [&head[..], &inner, &[padding, next]].concat();
            esp.resize(esp.len() + self.key.transform.icv_len(), 0);
            crypto::seal(&mut [Job::new(&self.key, &mut esp, 0)]);
            match esp.last_mut() {
                Some(last) if matches!(odd, Odd::Forged) => *last ^= 1,
                _ => self.last = seq.max(self.last),
            }
            let (IpAddr::V4(src), IpAddr::V4(dst)) = (self.spec.src, self.spec.dst) else { panic!("IPv4") };
            let protocol = ipv4::protocol::ESP;
            ipv4::Header { traffic_class: class, identification: 1, df: false, ttl: 64, protocol, src, dst }
                .packet(&esp)
        }
    }

    /// Two, of which neither opens what is the other's.
    fn peers(selects: bool, replay_window: u32) -> [Peer; 2] {
        let spec = testing::with_transform(&sa(2), Transform::NullMd5);
        let spec = SaSpec { selector: selects.then(|| between(2, 1)), replay_window, ..spec };
        let auth_key = |byte| Secret::new(vec![byte; spec.transform.auth_key_len()]);
        [7, 8].map(|n| Peer::new(SaSpec { spi: Spi(n.into()), auth_key: auth_key(n), ..spec.clone() }))
    }

    /// A gateway that has the peer's SAs and remembers so many flows.
    fn gateway(peers: &[Peer; 2], flows: usize) -> Worker {
        let mut worker = gateway_with(1, Config { flows, ..Config::default() });
        install(&mut worker, sa(1), peers[0].spec.clone());
        let sa = Box::new(peers[1].spec.clone());
        worker.command(Instant::ZERO, Command::InstallInbound { policy: POLICY, sa }).unwrap();
        worker
    }

    fn frames(packets: &[Vec<u8>], first: u64) -> Batch {
        let tags = first..;
        packets.iter().zip(tags).map(|(packet, tag)| frame_to(mac(1, OUTSIDE), packet, tag)).collect()
    }

    /// The tags of what was sent, in its order.
    fn order(out: &Output) -> Vec<u64> {
        out.transmit.iter().map(|(_, frame)| frame.meta.tag.0).filter(|tag| *tag != 0).collect()
    }

    /// Into one at once, and into the other one by one: what comes out of each.
    fn receive([express, long]: [&mut Worker; 2], packets: &[Vec<u8>], first: u64) -> [Output; 2] {
        let (mut out, mut out_long) = (Output::default(), Output::default());
        express.receive(Instant::ZERO, OUTSIDE, &mut frames(packets, first), &mut out);
        express.settle(Instant::ZERO, &mut out);
        for frame in frames(packets, first) {
            long.receive(Instant::ZERO, OUTSIDE, &mut vec![frame], &mut out_long);
        }
        [out, out_long]
    }

    /// The engine takes such a batch in two parts: neither's verdict is taken for the other's.
    #[test]
    fn of_more_frames_than_an_engine_takes_at_once_one_forged_is_lost_alone() {
        const COUNT: usize = BATCH_MAX + 88;
        for forged in [BATCH_MAX + 40, 40, COUNT] {
            let mut peers = peers(false, 64);
            let (mut express, mut long) = (gateway(&peers, 8), gateway(&peers, 0));
            let odd = |n| if n == forged { Odd::Forged } else { Odd::Nothing };
            let packets: Vec<Vec<u8>> = (0..COUNT).map(|n| peers[0].packet(n % 80, odd(n))).collect();
            let [mut out, mut out_long] = receive([&mut express, &mut long], &packets, 1);
            assert_eq!(
                (out.transmit.len(), out.drops.len()),
                if forged < COUNT { (COUNT - 1, 1) } else { (COUNT, 0) }
            );
            assert_eq!(order(&out), order(&out_long), "{forged}");
            assert_eq!(seen(&mut out), seen(&mut out_long), "{forged}");
            assert_eq!(express.counters(), long.counters());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Whatever a train is broken by comes out as by the long way, and so do those behind it; in their order, by
        /// parcels too.
        #[test]
        fn a_broken_train_is_what_its_packets_are(
            batches in proptest::collection::vec(proptest::collection::vec(packet(), 1..24), 1..4),
            selects: bool,
            replay_window in prop_oneof![Just(0u32), Just(64), Just(1024)],
            helped: bool,
        ) {
            let mut peers = peers(selects, replay_window);
            let (mut express, mut long) = (gateway(&peers, 8), gateway(&peers, 0));
            // It is gone at once, so that the owner does its part: parcels all the same.
            drop(helped.then(|| express.hire(2)));
            let mut first = 1;
            for batch in batches {
                let packets: Vec<Vec<u8>> =
                    batch.into_iter().map(|(len, other, odd)| peers[usize::from(other)].packet(len, odd)).collect();
                let [mut out, mut out_long] = receive([&mut express, &mut long], &packets, first);
                prop_assert_eq!(order(&out), order(&out_long));
                prop_assert_eq!(seen(&mut out), seen(&mut out_long));
                prop_assert_eq!(express.counters(), long.counters());
                first += packets.len() as u64;
            }
        }
    }
}
