//! Two gateways back to back: one seals, the other opens; and a gateway under any bytes at all.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use espalier_wire::ether::{self, EtherType, Ethernet};
use espalier_wire::icmp::Icmp;
use espalier_wire::ipv4::Ipv4;
use espalier_wire::plane::{
    Command, Interface, NextHop, Notice, PolicyId, Rule, RuleAction, SaSpec, Selector, UdpPorts, Unprotected,
};
use espalier_wire::random::Random;
use espalier_wire::{Duration, Mac, Prefix, Spi, Tag};
use proptest::prelude::*;

use super::*;
use crate::crypto::Choice;
use crate::testing::{self, spec};
use crate::worker::Config;

pub(crate) const POLICY: PolicyId = PolicyId(1);
pub(crate) const INSIDE: IfIndex = IfIndex(0);
pub(crate) const OUTSIDE: IfIndex = IfIndex(1);
const HOST_MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

pub(crate) fn mac(router: u8, iface: IfIndex) -> Mac {
    Mac([2, 0, 0, 0, router, iface.0 as u8])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// Router `n` (1 or 2) owns 10.`n`.0.0/16 inside and 192.1.2.`n` outside; its peer is the other.
fn gateway(n: u8) -> Worker {
    gateway_with(n, Config { keepalive: Some(Duration::from_s(20)), ..Config::default() })
}

pub(crate) fn gateway_with(n: u8, config: Config) -> Worker {
    let mut worker = Worker::new(Choice::Auto, Random::from_seed(u64::from(n)), config);
    let other = 3 - n;
    let hop = |iface, via: Option<IpAddr>| vec![NextHop { iface, via }];
    let own = |n: u8| IpAddr::from([192, 1, 2, n]);
    let mut commands = vec![
        Command::LocalAddresses(vec![own(n), IpAddr::from([10, n, 0, 1])]),
        Command::Route { prefix: net(&format!("10.{n}.0.0/16")), next_hops: hop(INSIDE, None) },
        Command::Route { prefix: net("192.1.2.0/24"), next_hops: hop(OUTSIDE, None) },
        Command::Route {
            prefix: net(&format!("10.{other}.0.0/16")),
            next_hops: hop(OUTSIDE, Some(own(other))),
        },
        Command::Neighbour { iface: INSIDE, addr: IpAddr::from([10, n, 0, 9]), mac: HOST_MAC },
        Command::Neighbour { iface: OUTSIDE, addr: own(other), mac: mac(other, OUTSIDE) },
        Command::Policy { iface: OUTSIDE, rules: vec![protect(n, other)] },
    ];
    for index in [INSIDE, OUTSIDE] {
        let also_accepts = vec![Mac::of_multicast(Ipv4Addr::new(224, 0, 0, 5))];
        commands.push(Command::Interface(Interface {
            index,
            mac: mac(n, index),
            mtu: 1500,
            up: true,
            also_accepts,
        }));
    }
    for command in commands {
        worker.command(Instant::ZERO, command).unwrap();
    }
    worker
}

fn protect(from: u8, to: u8) -> Rule {
    let selector = Selector::between(net(&format!("10.{from}.0.0/16")), net(&format!("10.{to}.0.0/16")));
    Rule { selector, action: RuleAction::Protect(POLICY) }
}

pub(crate) fn sa(from: u8) -> SaSpec {
    let own = |n: u8| IpAddr::from([192, 1, 2, n]);
    SaSpec { src: own(from), dst: own(3 - from), ..spec(u32::from(from) * 16) }
}

pub(crate) fn install(worker: &mut Worker, outbound: SaSpec, inbound: SaSpec) {
    let sa = Box::new(inbound);
    worker.command(Instant::ZERO, Command::InstallInbound { policy: POLICY, sa }).unwrap();
    let sa = Box::new(outbound);
    worker.command(Instant::ZERO, Command::SwapOutbound { policy: POLICY, sa }).unwrap();
}

fn pair() -> (Worker, Worker) {
    let (mut a, mut b) = (gateway(1), gateway(2));
    install(&mut a, sa(1), sa(2));
    install(&mut b, sa(2), sa(1));
    (a, b)
}

pub(crate) fn frame_to(dst: Mac, packet: &[u8], tag: u64) -> Frame {
    let kind =
        if packet.first().is_some_and(|byte| byte >> 4 == 6) { EtherType::IPV6 } else { EtherType::IPV4 };
    let bytes = ether::frame(dst, HOST_MAC, kind, packet);
    let mut frame = crate::mem::Pool::new(0).copy_of(&bytes).unwrap();
    frame.meta.tag = Tag(tag);
    frame
}

fn receive(worker: &mut Worker, iface: IfIndex, frames: Vec<Frame>) -> Output {
    let (mut batch, mut out) = (frames, Output::default());
    worker.receive(Instant::ZERO, iface, &mut batch, &mut out);
    out
}

fn inner(len: usize) -> Vec<u8> {
    testing::udp4([10, 1, 0, 9], [10, 2, 0, 9], 1000, 2000, len)
}

fn packet(frame: &Frame) -> Vec<u8> {
    let ethernet = Ethernet::new_checked(frame.bytes()).unwrap();
    Ipv4::new_checked(ethernet.payload()).unwrap().bytes().to_vec()
}

fn causes(out: &Output) -> Vec<Cause> {
    out.drops.iter().map(|dropped| dropped.cause).collect()
}

#[test]
fn a_packet_crosses_the_tunnel_and_loses_two_hops() {
    let (mut a, mut b) = pair();
    let out = receive(&mut a, INSIDE, vec![frame_to(mac(1, INSIDE), &inner(100), 7)]);
    let (iface, frame) = out.transmit.into_iter().next().unwrap();
    let outer = packet(&frame);
    let view = Ipv4::new_checked(&outer).unwrap();
    assert_eq!((iface, view.protocol(), view.ttl(), frame.meta.tag), (OUTSIDE, 50, 64, Tag(7)));
    assert_eq!(Ethernet::new_checked(frame.bytes()).unwrap().dst(), mac(2, OUTSIDE));
    let out = receive(&mut b, OUTSIDE, vec![frame]);
    assert_eq!((out.transmit[0].0, out.transmit[0].1.meta.tag), (INSIDE, Tag(7)));
    let mut expected = inner(100);
    expected[8] -= 2;
    testing::fix_checksum(&mut expected);
    assert_eq!(packet(&out.transmit[0].1), expected);
    let counters = b.counters();
    assert_eq!((counters.interfaces[1].1.in_packets, counters.interfaces[0].1.out_packets), (1, 1));
}

#[test]
fn what_arrives_is_sorted() {
    let (mut a, _) = pair();
    let to_us = mac(1, OUTSIDE);
    let udp = |src, dst, port| testing::udp4(src, dst, 9, port, 30);
    let mut bad_sum = udp([9, 9, 9, 9], [10, 1, 0, 9], 7);
    bad_sum[10] ^= 1;
    let hello = testing::udp4([192, 1, 2, 2], [224, 0, 0, 5], 1, 1, 9);
    let mut arp = frame_to(Mac::BROADCAST, &[0; 28], 0);
    arp.bytes_mut()[12..14].copy_from_slice(&[8, 6]);
    let frames = vec![
        arp,
        frame_to(Mac::of_multicast(Ipv4Addr::new(224, 0, 0, 5)), &hello, 0),
        frame_to(to_us, &udp([192, 1, 2, 2], [192, 1, 2, 1], 500), 0),
        frame_to(Mac([2, 9, 9, 9, 9, 9]), &inner(1), 0),
        frame_to(to_us, &udp([10, 2, 0, 9], [10, 1, 0, 9], 7), 0),
        frame_to(to_us, &bad_sum, 0),
        frame_to(to_us, &udp([9, 9, 9, 9], [9, 8, 7, 6], 7), 0),
        frame_to(to_us, &udp([9, 9, 9, 9], [10, 1, 0, 7], 7), 0),
        frame_to(Mac::BROADCAST, &udp([9, 9, 9, 9], [10, 1, 0, 9], 7), 0),
        frame_to(to_us, &udp([9, 9, 9, 9], [10, 1, 0, 9], 7), 0),
    ];
    let out = receive(&mut a, OUTSIDE, frames);
    let punts: Vec<_> = out.punts.iter().map(|punt| punt.why).collect();
    assert_eq!(punts, [Why::Arp, Why::Multicast, Why::Local]);
    use Cause::{Checksum, NoRoute, NotForUs, PolicyCleartext};
    assert_eq!(
        causes(&out).into_iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([NotForUs, PolicyCleartext, Checksum, NoRoute])
    );
    // Two frames for others, one of each other kind, and the error to 9.9.9.9, which has no route either.
    assert_eq!((out.drops.len(), a.held()), (6, 1));
    assert_eq!(out.notices, [Notice::NeedNeighbour { iface: INSIDE, addr: ip("10.1.0.7") }]);
    assert!(out.transmit.iter().any(|(iface, _)| *iface == INSIDE));
}

#[test]
fn the_latest_packet_waits_for_its_neighbour_and_not_for_ever() {
    let (mut a, _) = pair();
    let to = |tag| frame_to(mac(1, OUTSIDE), &testing::udp4([9, 9, 9, 9], [10, 1, 0, 7], 9, 7, 30), tag);
    let out = receive(&mut a, OUTSIDE, vec![to(1), to(2)]);
    assert_eq!((causes(&out), a.held()), (vec![Cause::NoNeighbour], 1));
    let known = Command::Neighbour { iface: INSIDE, addr: ip("10.1.0.7"), mac: Mac([2, 7, 7, 7, 7, 7]) };
    a.command(Instant::ZERO, known).unwrap();
    assert_eq!(a.next_deadline(), Some(Instant::ZERO));
    let mut out = Output::default();
    a.tick(Instant::ZERO, &mut out);
    assert_eq!((out.transmit.len(), out.transmit[0].1.meta.tag.0, a.held()), (1, 2, 0));
    let gone = Command::DropNeighbour { iface: INSIDE, addr: ip("10.1.0.7") };
    a.command(Instant::ZERO, gone).unwrap();
    receive(&mut a, OUTSIDE, vec![to(3)]);
    let mut out = Output::default();
    a.tick(Instant::ZERO + Duration::from_s(3), &mut out);
    assert_eq!((causes(&out), a.held()), (vec![Cause::NoNeighbour], 0));
}

#[test]
fn errors_are_answered_one_of_a_kind() {
    let (mut a, _) = pair();
    let mut dying = inner(9);
    dying[8] = 1;
    testing::fix_checksum(&mut dying);
    let mut large = inner(1450);
    large[6] = 0x40;
    testing::fix_checksum(&mut large);
    let frames =
        [&dying, &dying, &large].map(|packet| frame_to(mac(1, INSIDE), packet, 1)).into_iter().collect();
    let out = receive(&mut a, INSIDE, frames);
    assert_eq!(causes(&out), [Cause::TtlExpired, Cause::TtlExpired, Cause::TooBig]);
    let told: Vec<_> = out.transmit.iter().map(|(_, frame)| packet(frame)).collect();
    let kinds: Vec<_> = told.iter().map(|bytes| Icmp::parse(&bytes[20..]).unwrap().0).collect();
    let fits = 1500 - 20 - 8 - 12 - 2;
    assert_eq!(kinds, [Icmp::TimeExceeded { code: 0 }, Icmp::FragmentationNeeded { mtu: fits }]);
    assert_eq!(Ipv4::new_checked(&told[0]).unwrap().src(), Ipv4Addr::new(10, 1, 0, 1));
    assert_eq!(a.icmp_errors(), (2, 1));
}

#[test]
fn without_an_sa_packets_ask_wait_and_are_released_in_order() {
    let mut a = gateway(1);
    let state = Unprotected { cause: Cause::Standby, ask: true, queue: 2 };
    a.command(Instant::ZERO, Command::Unprotected { policy: POLICY, state }).unwrap();
    let frames = (1..4).map(|tag| frame_to(mac(1, INSIDE), &inner(10), tag)).collect();
    let out = receive(&mut a, INSIDE, frames);
    assert!(matches!(out.notices[..], [Notice::NeedSa { policy: POLICY, .. }]));
    assert_eq!((causes(&out), a.held(), a.next_deadline()), (vec![Cause::SaQueue], 2, None));
    install(&mut a, sa(1), sa(2));
    assert_eq!(a.next_deadline(), Some(Instant::ZERO));
    let mut out = Output::default();
    a.tick(Instant::ZERO, &mut out);
    let tags: Vec<_> = out.transmit.iter().map(|(_, frame)| frame.meta.tag.0).collect();
    assert_eq!((tags, a.held()), (vec![1, 2], 0));
    a.command(Instant::ZERO, Command::DropOutbound { policy: POLICY, spi: Spi(16) }).unwrap();
    let now = Unprotected { queue: 0, ..state };
    a.command(Instant::ZERO, Command::Unprotected { policy: POLICY, state: now }).unwrap();
    let out = receive(&mut a, INSIDE, vec![frame_to(mac(1, INSIDE), &inner(10), 5)]);
    assert_eq!((causes(&out), &a.counters().send_errors[..]), (vec![Cause::Standby], &[(POLICY, 2)][..]));
}

#[test]
fn born_here_goes_through_policy_unless_it_is_control() {
    let (mut a, _) = pair();
    let packets = [inner(10), inner(10), testing::udp4([10, 1, 0, 1], [224, 0, 0, 5], 1, 1, 1)];
    let mut batch: Batch = packets.iter().map(|packet| a.pool().copy_of(packet).unwrap()).collect();
    batch[0].meta.control = true;
    (batch[2].meta.control, batch[2].meta.egress) = (true, Some(INSIDE));
    let mut out = Output::default();
    a.originate(Instant::ZERO, &mut batch, &mut out);
    let sent: Vec<_> = out
        .transmit
        .iter()
        .map(|(iface, frame)| {
            let bytes = packet(frame);
            let view = Ipv4::new_checked(&bytes).unwrap();
            (*iface, view.protocol(), view.ttl())
        })
        .collect();
    assert_eq!(sent, [(OUTSIDE, 17, 64), (OUTSIDE, 50, 64), (INSIDE, 17, 64)]);
    assert_eq!(Ethernet::new_checked(out.transmit[2].1.bytes()).unwrap().dst(), Mac([1, 0, 0x5e, 0, 0, 5]));
}

#[test]
fn a_silent_sa_behind_a_nat_is_kept_alive_and_the_peer_ignores_it() {
    let (mut a, mut b) = (gateway(1), gateway(2));
    let ports = Some(UdpPorts { src: 4500, dst: 4500 });
    let udp = |n| SaSpec { udp_encap: ports, ..sa(n) };
    install(&mut a, udp(1), udp(2));
    install(&mut b, udp(2), udp(1));
    let at = Instant::ZERO + Duration::from_s(20);
    assert_eq!(a.next_deadline(), Some(at));
    let mut out = Output::default();
    a.tick(at, &mut out);
    let (_, keepalive) = out.transmit.pop().unwrap();
    let out = receive(&mut b, OUTSIDE, vec![keepalive]);
    assert_eq!(out.punts[0].why, Why::Keepalive);
    let sealed = receive(&mut a, INSIDE, vec![frame_to(mac(1, INSIDE), &inner(40), 3)]).transmit.remove(0).1;
    assert_eq!(receive(&mut b, OUTSIDE, vec![sealed]).transmit.len(), 1);
    assert_eq!(a.next_deadline(), Some(at + Duration::from_s(20)));
}

#[test]
fn the_longest_flow_of_a_small_mtu_is_cut_sealed_and_whole_again() {
    let (mut a, mut b) = pair();
    let out = receive(&mut a, INSIDE, vec![frame_to(mac(1, INSIDE), &inner(1470), 3)]);
    assert_eq!(out.transmit.len(), 2);
    let frames = out.transmit.into_iter().map(|(_, frame)| frame).collect();
    let out = receive(&mut b, OUTSIDE, frames);
    assert!(out.transmit.len() == 2 && out.transmit.iter().all(|(_, frame)| frame.meta.tag == Tag(3)));
}

/// Something that happens to a gateway.
#[derive(Debug, Clone)]
enum Event {
    Receive(u16, Vec<Sent>),
    Originate(Vec<Sent>),
    Swap(bool),
    Queue(u16),
    Up(u16, bool),
    Tick(u64),
}

/// A packet on its way in: which good one, and what is changed in it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) which: u8,
    len: usize,
    pub(crate) change: Option<(usize, u8)>,
}

pub(crate) fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let one = (0u8..7, 0usize..1500, proptest::option::of((0usize..80, any::<u8>())));
    proptest::collection::vec(one.prop_map(|(which, len, change)| Sent { which, len, change }), 1..12)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0u16..3, sent()).prop_map(|(iface, sent)| Event::Receive(iface, sent)),
        3 => sent().prop_map(Event::Originate),
        2 => any::<bool>().prop_map(Event::Swap),
        1 => (0u16..4).prop_map(Event::Queue),
        1 => (0u16..2, any::<bool>()).prop_map(|(iface, up)| Event::Up(iface, up)),
        2 => (0u64..40).prop_map(Event::Tick),
    ]
}

impl Sent {
    pub(crate) fn packet(&self, peer: &mut Worker) -> Vec<u8> {
        let mut packet = match self.which {
            0 => inner(self.len),
            1 => testing::udp6(1, 2, self.len),
            2 => testing::udp4([9, 9, 9, 9], [10, 1, 0, 9], 1, 2, self.len),
            3 => testing::udp4([192, 1, 2, 2], [192, 1, 2, 1], 4500, 4500, self.len),
            4 => {
                let mut fragment = testing::udp4([192, 1, 2, 2], [192, 1, 2, 1], 1, 2, self.len);
                fragment[6..8].copy_from_slice(&(0x2000 | (self.len as u16 & 7)).to_be_bytes());
                testing::fix_checksum(&mut fragment);
                fragment
            }
            _ => {
                let back = testing::udp4([10, 2, 0, 9], [10, 1, 0, 9], 1, 2, self.len % 1300);
                let out = receive(peer, INSIDE, vec![frame_to(mac(2, INSIDE), &back, 0)]);
                packet(&out.transmit[0].1)
            }
        };
        if let Some((at, value)) = self.change
            && let Some(byte) = packet.get_mut(at)
        {
            *byte = value;
        }
        packet
    }
}

/// Where every tag was seen to come out.
fn book(out: &mut Output, seen: &mut BTreeMap<u64, u32>) {
    let drops = out.drops.drain(..).map(|dropped| dropped.frame);
    let punts = out.punts.drain(..).map(|punt| punt.frame);
    let sent = out.transmit.drain(..).map(|(_, frame)| frame);
    for frame in drops.chain(punts).chain(sent) {
        *seen.entry(frame.meta.tag.0).or_default() += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Whatever happens, what goes in comes out: at least once (fragments share their packet's tag), or it is held,
    /// and no tag comes out that never went in.
    #[test]
    fn nothing_vanishes(events in proptest::collection::vec(event(), 1..30)) {
        let (mut a, mut peer) = pair();
        let (mut tag, mut now) = (0, Instant::ZERO);
        let mut seen = BTreeMap::from([(0, 0)]);
        let mut out = Output::default();
        for event in events {
            let mut batch = |sent: Vec<Sent>, link: Option<u16>| -> Batch {
                sent.iter().map(|sent| {
                    tag += 1;
                    let packet = sent.packet(&mut peer);
                    let mut frame = frame_to(mac(1, IfIndex(link.unwrap_or(0))), &packet, tag);
                    if link.is_none() {
                        frame.shrink_front(14);
                    }
                    frame
                }).collect()
            };
            match event {
                Event::Receive(iface, sent) => a.receive(now, IfIndex(iface), &mut batch(sent, Some(iface)), &mut out),
                Event::Originate(sent) => a.originate(now, &mut batch(sent, None), &mut out),
                Event::Swap(true) => install(&mut a, sa(1), sa(2)),
                Event::Swap(false) => a.command(now, Command::DropOutbound { policy: POLICY, spi: Spi(16) }).unwrap(),
                Event::Queue(queue) => {
                    let state = Unprotected { cause: Cause::NoSa, ask: true, queue };
                    a.command(now, Command::Unprotected { policy: POLICY, state }).unwrap();
                }
                Event::Up(iface, up) => {
                    let index = IfIndex(iface);
                    let iface = Interface { index, mac: mac(1, index), mtu: 600, up, also_accepts: Vec::new() };
                    a.command(now, Command::Interface(iface)).unwrap();
                }
                Event::Tick(s) => {
                    now += Duration::from_s(s);
                    a.tick(now, &mut out);
                }
            }
            book(&mut out, &mut seen);
            let out_so_far = seen.keys().filter(|seen| **seen != 0).count();
            // Of a packet in pieces one may be lost while another waits for its neighbour.
            prop_assert!(tag as usize - out_so_far <= a.held());
        }
        let state = Unprotected { cause: Cause::NoSa, ask: false, queue: 0 };
        a.command(now, Command::Unprotected { policy: POLICY, state }).unwrap();
        a.tick(now + Duration::from_s(61), &mut out);
        book(&mut out, &mut seen);
        prop_assert_eq!((a.held(), seen.len() as u64 - 1), (0, tag));
        prop_assert!(seen.keys().all(|seen| *seen <= tag));
    }

    #[test]
    fn any_bytes_are_survived(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..20), to_us: bool) {
        let (mut a, _) = pair();
        let mut batch: Batch = frames.iter().map(|bytes| {
            let mut frame = a.pool().copy_of(bytes).unwrap();
            if to_us && bytes.len() > 14 {
                frame.bytes_mut()[..6].copy_from_slice(&mac(1, OUTSIDE).0);
                frame.bytes_mut()[12..14].copy_from_slice(&[8, 0]);
            }
            frame
        }).collect();
        let mut again: Batch = frames.iter().map(|bytes| a.pool().copy_of(bytes).unwrap()).collect();
        let mut out = Output::default();
        a.receive(Instant::ZERO, OUTSIDE, &mut batch, &mut out);
        a.originate(Instant::ZERO, &mut again, &mut out);
        let count = out.transmit.len() + out.punts.len() + out.drops.len() + a.held();
        prop_assert!(count >= frames.len() * 2);
    }
}

#[test]
fn a_route_to_null_discards_and_tells() {
    let (mut a, _) = pair();
    let hop = NextHop { iface: IfIndex::NULL, via: None };
    a.command(Instant::ZERO, Command::Route { prefix: net("9.0.0.0/8"), next_hops: vec![hop] }).unwrap();
    let lost = testing::udp4([10, 1, 0, 9], [9, 9, 9, 9], 1, 2, 30);
    for _ in 0..2 {
        let out = receive(&mut a, INSIDE, vec![frame_to(mac(1, INSIDE), &lost, 7)]);
        assert_eq!(causes(&out), [Cause::NullRoute]);
    }
    assert_eq!(a.icmp_errors(), (1, 1), "unreachable, at the usual rate");
    // A tunnel whose outer packets lead nowhere.
    a.command(Instant::ZERO, Command::Route { prefix: net("192.1.2.2/32"), next_hops: vec![hop] }).unwrap();
    let out = receive(&mut a, INSIDE, vec![frame_to(mac(1, INSIDE), &inner(100), 8)]);
    assert_eq!(causes(&out), [Cause::NullRoute]);
}
