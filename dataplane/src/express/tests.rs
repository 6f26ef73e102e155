//! The express way against its twin: a worker that remembers no flow and takes every packet the long way.

use espalier_wire::plane::{
    Command, DfBit, Interface, Lifetime, Limit, Rule, RuleAction, SaSpec, Selector, UdpPorts, Unprotected,
};
use espalier_wire::{Cause, Duration, IfIndex, Instant, Transform};
use proptest::prelude::*;

use crate::batch::Batch;
use crate::fate::Output;
use crate::router::tests::{INSIDE, OUTSIDE, POLICY, Sent, frame_to, gateway_with, install, mac, sa, sent};
use crate::testing;
use crate::worker::{Config, Helper, Worker};

#[derive(Debug, Clone)]
enum Event {
    Receive(u16, Vec<Sent>),
    Rekey(u8),
    Lose,
    Mtu(u16, u16),
    Down(u16),
    Neighbour(bool),
    Tick(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0u16..2, sent()).prop_map(|(iface, sent)| Event::Receive(iface, sorted(iface, sent))),
        2 => any::<u8>().prop_map(Event::Rekey),
        1 => Just(Event::Lose),
        1 => (0u16..2, 200u16..1500).prop_map(|(iface, mtu)| Event::Mtu(iface, mtu)),
        1 => (0u16..2).prop_map(Event::Down),
        1 => any::<bool>().prop_map(Event::Neighbour),
        1 => (0u64..20).prop_map(Event::Tick),
    ]
}

pub(super) fn between(from: u8, to: u8) -> Selector {
    let net = |n| format!("10.{n}.0.0/16").parse().unwrap();
    Selector::between(net(from), net(to))
}

/// On the outside mostly ESP, and none on the inside: of packets on the long way those in transit are through first.
fn sorted(iface: u16, mut sent: Vec<Sent>) -> Vec<Sent> {
    for one in &mut sent {
        one.which = if iface == OUTSIDE.0 { 5 } else { one.which % 5 };
        // A number twice in a batch is seen when the first was opened; one by one, before.
        one.change = one.change.filter(|(at, _)| iface != OUTSIDE.0 || !(24..36).contains(at));
    }
    sent
}

/// An SA from router `from`, of a kind that `kind` picks.
fn kind_of(from: u8, kind: u8) -> SaSpec {
    let kinds = [Transform::NullMd5, Transform::DesMd5, Transform::Aes128Sha1, Transform::Aes128Gcm];
    let sa = testing::with_transform(&sa(from), kinds[usize::from(kind & 3)]);
    // What is opened is counted when its batch is through, so only the way out can be told at the packet.
    let bytes = Limit { time: None, bytes: (from == 1).then_some(u64::from(kind) * 20) };
    let ports = UdpPorts { src: 4500, dst: 4500 };
    SaSpec {
        esn: kind & 4 != 0,
        df_bit: [DfBit::Copy, DfBit::Set, DfBit::Clear][usize::from(kind >> 3 & 3) % 3],
        udp_encap: (kind & 0x60 == 0x60).then_some(ports),
        selector: (from == 2 && kind & 0x10 == 0).then_some(between(2, 1)),
        mtu: (kind & 0x0c == 0x0c).then_some(700),
        lifetime: Lifetime { soft: bytes, ..Lifetime::default() },
        ..sa
    }
}

/// What came out, as far as an onlooker can tell. A batch's packets come in the order of their ways, each flow's in its
/// own, so lines are sorted; the sequence numbers in them tell the order of what was sealed.
pub(super) fn seen(out: &mut Output) -> Vec<String> {
    let sent = out.transmit.drain(..);
    let sent = sent.map(|(iface, frame)| format!("{iface:?} {:?} {:02x?}", frame.meta, frame.bytes()));
    let mut lines: Vec<String> = sent.collect();
    let punts = out.punts.drain(..);
    lines.extend(punts.map(|punt| format!("{:?} {:?} {:02x?}", punt.iface, punt.why, punt.frame.bytes())));
    let drops = out.drops.drain(..);
    lines.extend(drops.map(|dropped| format!("{:?} {:?}", dropped.frame.meta.tag, dropped.cause)));
    lines.extend(out.notices.drain(..).map(|notice| format!("{notice:?}")));
    lines.sort();
    lines
}

fn happen(
    (worker, express): (&mut Worker, bool),
    now: Instant,
    event: &Event,
    frames: &[(u64, Vec<u8>)],
    out: &mut Output,
) {
    let mut command = |command| worker.command(now, command).unwrap();
    match event {
        Event::Receive(iface, _) => {
            let iface = IfIndex(*iface);
            let mut batch: Batch =
                frames.iter().map(|(tag, packet)| frame_to(mac(1, iface), packet, *tag)).collect();
            if express {
                return worker.receive(now, iface, &mut batch, out);
            }
            // One by one: what the long way does with a batch at once is in another order.
            batch.into_iter().for_each(|frame| worker.receive(now, iface, &mut vec![frame], out));
        }
        Event::Rekey(kind) => install(worker, kind_of(1, *kind), kind_of(2, *kind)),
        Event::Lose => command(Command::DropOutbound { policy: POLICY, spi: sa(1).spi }),
        Event::Mtu(iface, mtu) => command(Command::Interface(iface_of(*iface, *mtu, true))),
        Event::Down(iface) => command(Command::Interface(iface_of(*iface, 1500, false))),
        Event::Neighbour(there) => {
            let addr = "10.1.0.9".parse().unwrap();
            command(match there {
                true => Command::Neighbour { iface: INSIDE, addr, mac: mac(9, INSIDE) },
                false => Command::DropNeighbour { iface: INSIDE, addr },
            });
        }
        Event::Tick(_) => worker.tick(now, out),
    }
}

fn iface_of(iface: u16, mtu: u16, up: bool) -> Interface {
    let index = IfIndex(iface);
    Interface { index, mac: mac(1, index), mtu, up, also_accepts: Vec::new() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn equals_the_long_way(events in proptest::collection::vec(event(), 1..30), first: u8) {
        let mut express = gateway_with(1, Config { flows: 8, ..Config::default() });
        let mut long = gateway_with(1, Config { flows: 0, ..Config::default() });
        let mut peer = gateway_with(2, Config::default());
        let (mut now, mut tag) = (Instant::ZERO, 0);
        let unprotected = Unprotected { cause: Cause::NoSa, ask: true, queue: 2 };
        for worker in [&mut express, &mut long] {
            worker.command(now, Command::Unprotected { policy: POLICY, state: unprotected }).unwrap();
            // Errors are born when a batch is through, so they must not take numbers of what is sealed.
            let selector = Selector { protocol: Some(17), ..between(1, 2) };
            let rules = vec![Rule { selector, action: RuleAction::Protect(POLICY) }];
            worker.command(now, Command::Policy { iface: OUTSIDE, rules }).unwrap();
            install(worker, kind_of(1, first), kind_of(2, first));
        }
        install(&mut peer, kind_of(2, first), kind_of(1, first));
        for event in &events {
            let frames: Vec<(u64, Vec<u8>)> = match event {
                Event::Receive(_, sent) => sent.iter().map(|sent| {
                    tag += 1;
                    (tag, sent.packet(&mut peer))
                }).collect(),
                Event::Rekey(kind) => {
                    install(&mut peer, kind_of(2, *kind), kind_of(1, *kind));
                    Vec::new()
                }
                _ => Vec::new(),
            };
            if let Event::Tick(s) = event {
                now += Duration::from_s(*s);
            }
            let (mut out_express, mut out_long) = (Output::default(), Output::default());
            happen((&mut express, true), now, event, &frames, &mut out_express);
            happen((&mut long, false), now, event, &frames, &mut out_long);
            prop_assert_eq!(seen(&mut out_express), seen(&mut out_long), "{:?}", event);
            prop_assert_eq!(express.counters(), long.counters());
            prop_assert_eq!((express.held(), express.icmp_errors()), (long.held(), long.icmp_errors()));
        }
    }
}

/// The twin test would pass if nothing were express: this one would not.
#[test]
fn known_flows_are_express_both_ways() {
    let mut a = gateway_with(1, Config::default());
    let mut b = gateway_with(2, Config::default());
    install(&mut a, sa(1), sa(2));
    install(&mut b, sa(2), sa(1));
    let packet = testing::udp4([10, 1, 0, 9], [10, 2, 0, 9], 1000, 2000, 40);
    let mut out = Output::default();
    for round in 0..3 {
        let mut batch: Batch = (0..4).map(|_| frame_to(mac(1, INSIDE), &packet, 1)).collect();
        let (mut ways, mut back) = (Ways::default(), Ways::default());
        a.receive_watched(Instant::ZERO, INSIDE, &mut batch, &mut out, &mut ways);
        let mut sealed: Batch = out.transmit.drain(..).map(|(_, frame)| frame).collect();
        b.receive_watched(Instant::ZERO, OUTSIDE, &mut sealed, &mut out, &mut back);
        assert_eq!(out.transmit.drain(..).count(), 4, "{round}");
        assert!(ways.0 && back.0, "{round}: nothing reached the engine by the express way");
    }
}

/// Whether the engine was given express work.
#[derive(Default)]
struct Ways(bool);

impl crate::watch::Watch for Ways {
    fn passed(&mut self, stage: crate::watch::Stage) {
        self.0 |= stage == crate::watch::Stage::Crypt;
    }
}

/// A gateway whose flows are known, and what it seals.
fn sealer(helpers: usize, depth: usize) -> (Worker, Vec<Helper>) {
    let mut worker = gateway_with(1, Config::default());
    let des = |from| testing::with_transform(&sa(from), Transform::DesMd5);
    install(&mut worker, des(1), des(2));
    let helpers = (0..helpers).map(|_| worker.hire(depth)).collect();
    (worker, helpers)
}

fn numbered(tags: std::ops::Range<u64>) -> Batch {
    let packet = |tag: u64| testing::udp4([10, 1, 0, 9], [10, 2, 0, 9], 1, 2, (tag % 90) as usize);
    tags.map(|tag| frame_to(mac(1, INSIDE), &packet(tag), tag)).collect()
}

fn sent_bytes(out: &mut Output) -> Vec<Vec<u8>> {
    out.transmit.drain(..).map(|(_, frame)| frame.bytes().to_vec()).collect()
}

proptest! {
    /// However slow each helper is, what comes out is what one core alone puts out, in its order. A step above 0 lets
    /// that helper do a parcel; 0 brings a batch.
    #[test]
    fn helpers_keep_the_order(helpers in 1usize..4, depth in 1usize..4, steps in proptest::collection::vec((0usize..4, 1u64..6), 1..60)) {
        let (mut alone, _) = sealer(0, 1);
        let (mut owner, mut helpers) = sealer(helpers, depth);
        let (mut tag, mut out_alone, mut out) = (1, Output::default(), Output::default());
        for (step, len) in steps {
            let Some(at) = step.checked_sub(1) else {
                for (worker, out) in [(&mut alone, &mut out_alone), (&mut owner, &mut out)] {
                    worker.receive(Instant::ZERO, INSIDE, &mut numbered(tag..tag + len), out);
                }
                tag += len;
                prop_assert_eq!(out.transmit.len() + owner.held(), out_alone.transmit.len());
                continue;
            };
            if let Some(helper) = helpers.get_mut(at) {
                helper.step();
            }
            owner.gather(Instant::ZERO, &mut out);
        }
        while owner.held() > 0 {
            helpers.iter_mut().for_each(|helper| { helper.step(); });
            owner.gather(Instant::ZERO, &mut out);
        }
        prop_assert_eq!(sent_bytes(&mut out), sent_bytes(&mut out_alone));
    }
}

/// What is under way was prepared by what held before the command, and goes by it. The helper is gone: the owner does its part.
#[test]
fn a_command_waits_for_what_is_under_way_and_the_next_call_puts_it_out() {
    let ((mut owner, helpers), (mut alone, _)) = (sealer(1, 2), sealer(0, 1));
    let (mut out, mut out_alone) = (Output::default(), Output::default());
    owner.receive(Instant::ZERO, INSIDE, &mut numbered(1..5), &mut out);
    alone.receive(Instant::ZERO, INSIDE, &mut numbered(1..5), &mut out_alone);
    assert_eq!((owner.held(), out.transmit.len()), (4, 0));
    drop(helpers);
    owner.command(Instant::ZERO, Command::DropOutbound { policy: POLICY, spi: sa(1).spi }).unwrap();
    assert_eq!((owner.held(), owner.next_deadline()), (4, Some(Instant::ZERO)));
    owner.tick(Instant::ZERO, &mut out);
    assert_eq!(owner.held(), 0);
    assert_eq!(sent_bytes(&mut out), sent_bytes(&mut out_alone));
}

/// What was to be sealed is lost; what leaves in clear is not, before it or behind.
#[test]
fn where_a_helper_panics_what_goes_in_clear_still_leaves() {
    let (mut owner, mut helpers) = sealer(1, 2);
    let (mut out, sealed) = (Output::default(), [10, 2, 0, 9]);
    let packet = |(dst, tag): ([u8; 4], u64)| {
        frame_to(mac(1, INSIDE), &testing::udp4([10, 1, 0, 9], dst, 1, 2, 40), tag)
    };
    let dsts = [[192, 1, 2, 2], sealed, [192, 1, 2, 2], sealed, sealed, [192, 1, 2, 2]];
    owner.receive(Instant::ZERO, INSIDE, &mut dsts.into_iter().zip(1..).map(packet).collect(), &mut out);
    assert_eq!((owner.held(), out.transmit.len()), (6, 0), "one parcel");
    helpers[0].step_and_panic();
    owner.gather(Instant::ZERO, &mut out);
    let left = out.transmit.iter().map(|(iface, frame)| (*iface, frame.meta.tag.0));
    assert_eq!(left.collect::<Vec<_>>(), [1, 3, 6].map(|tag| (OUTSIDE, tag)));
    let lost = out.drops.iter().map(|dropped| (dropped.cause, dropped.frame.meta.tag.0));
    assert_eq!(lost.collect::<Vec<_>>(), [2, 4, 5].map(|tag| (Cause::NoSa, tag)));
    assert_eq!(owner.held(), 0);
}

/// By the express way in one batch, or by the long way one by one: what comes out. That the engine had by the express way
/// what leaves is asserted.
fn through(
    (express, long): (&mut Worker, &mut Worker),
    iface: IfIndex,
    to: u8,
    packets: &[Vec<u8>],
) -> [Output; 2] {
    let frames = || packets.iter().zip(1..).map(|(packet, tag)| frame_to(mac(to, iface), packet, tag));
    let (mut ways, mut out, mut out_long) = (Ways::default(), Output::default(), Output::default());
    express.receive_watched(Instant::ZERO, iface, &mut frames().collect(), &mut out, &mut ways);
    frames().for_each(|frame| long.receive(Instant::ZERO, iface, &mut vec![frame], &mut out_long));
    assert_eq!(ways.0, !out.transmit.is_empty(), "nothing else reached the engine");
    [out, out_long]
}

/// High halves of zero, of one, and both in one batch; and a batch once more, which is a replay.
#[test]
fn extended_numbers_cross_2_32_within_a_batch() {
    for transform in [Transform::Aes128Gcm, Transform::NullMd5, Transform::Aes128Sha1] {
        let spec = |from| SaSpec { esn: true, ..testing::with_transform(&sa(from), transform) };
        let gateway = |n: u8, flows| {
            let mut worker = gateway_with(n, Config { flows, ..Config::default() });
            install(&mut worker, spec(n), spec(3 - n));
            worker
        };
        let [mut a, mut a_long] = [8, 0].map(|flows| gateway(1, flows));
        let [mut b, mut b_long] = [8, 0].map(|flows| gateway(2, flows));
        let packets = vec![testing::udp4([10, 1, 0, 9], [10, 2, 0, 9], 1, 2, 40); 12];
        // The first is far enough from 0 for the next to be ahead of it, and near enough to 2^32.
        for first in [1 << 31, (1 << 32) - 5, (1 << 32) + 7] {
            for worker in [&mut a, &mut a_long] {
                worker.resume_outbound(POLICY, sa(1).spi, first);
            }
            let [mut sealed, mut by_long] = through((&mut a, &mut a_long), INSIDE, 1, &packets);
            let esp: Vec<Vec<u8>> =
                sealed.transmit.iter().map(|(_, frame)| frame.bytes()[14..].to_vec()).collect();
            assert_eq!(seen(&mut sealed), seen(&mut by_long), "{transform:?} {first}");
            for left in [12, 0] {
                let [mut opened, mut by_long] = through((&mut b, &mut b_long), OUTSIDE, 2, &esp);
                assert_eq!(opened.transmit.len(), left, "{transform:?} {first}");
                assert_eq!(seen(&mut opened), seen(&mut by_long), "{transform:?} {first}");
                assert_eq!(b.counters(), b_long.counters());
            }
        }
        assert_eq!(a.counters(), a_long.counters());
    }
}

#[test]
fn helpers_on_their_own_threads_change_nothing() {
    let (mut alone, _) = sealer(0, 1);
    let (mut owner, helpers) = sealer(2, 2);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut out_alone, mut out) = (Output::default(), Output::default());
    std::thread::scope(|scope| {
        for mut helper in helpers {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    if !helper.step() {
                        std::thread::yield_now();
                    }
                }
            });
        }
        for batch in 0..200 {
            owner.receive(Instant::ZERO, INSIDE, &mut numbered(batch * 7..batch * 7 + 7), &mut out);
            alone.receive(Instant::ZERO, INSIDE, &mut numbered(batch * 7..batch * 7 + 7), &mut out_alone);
        }
        owner.settle(Instant::ZERO, &mut out);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!((owner.held(), out.transmit.len()), (0, 1400));
    assert_eq!(sent_bytes(&mut out), sent_bytes(&mut out_alone));
}
