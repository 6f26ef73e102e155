//! Once it is warm, the path of a packet allocates nothing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{IpAddr, Ipv4Addr};

use espalier_dataplane::batch::Batch;
use espalier_dataplane::crypto::{Choice, EngineId};
use espalier_dataplane::fate::Output;
use espalier_dataplane::frame::Frame;
use espalier_dataplane::host::{HOST, HostFate, HostOutput};
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::ether::{self, EtherType};
use espalier_wire::plane::{
    Command, DfBit, Fragmentation, Interface, Lifetime, Mode, NextHop, PolicyId, Rule, RuleAction, SaSpec,
    Secret, Selector,
};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Mac, Spi, Transform, ipv4, udp};

const PACKETS: usize = 64;
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn spec(transform: Transform) -> SaSpec {
    let key = (0..transform.key_len()).map(|n| (n * 37 + 11) as u8).collect();
    SaSpec {
        spi: Spi(0x1001),
        src: IpAddr::from([192, 1, 2, 1]),
        dst: IpAddr::from([192, 1, 2, 2]),
        mode: Mode::Tunnel,
        transform,
        key: Secret::new(key),
        auth_key: Secret::new(vec![5; transform.auth_key_len()]),
        esn: true,
        replay_window: 1024,
        udp_encap: None,
        selector: None,
        mtu: None,
        df_bit: DfBit::Copy,
        fragmentation: Fragmentation::BeforeEncryption,
        lifetime: Lifetime::default(),
    }
}

fn packet(port: u16) -> Vec<u8> {
    let (src, dst) = (Ipv4Addr::new(10, 1, 0, 9), Ipv4Addr::new(10, 2, 0, 9));
    let header = ipv4::Header {
        traffic_class: 0,
        identification: 1,
        df: false,
        ttl: 64,
        protocol: ipv4::protocol::UDP,
        src,
        dst,
    };
    header.packet(&udp::datagram((src, port), (dst, 53), &[7; 200]))
}

/// A worker that seals everything from 10.1/16 to 10.2/16, as host and as router.
fn sealer(transform: Transform) -> Worker {
    let mut worker = Worker::new(Choice::Only(EngineId::Scalar), Random::from_seed(1), Config::default());
    let net = |text: &str| text.parse().unwrap();
    let selector = Selector::between(net("10.1.0.0/16"), net("10.2.0.0/16"));
    let rule = Rule { selector, action: RuleAction::Protect(PolicyId(1)) };
    let interface = Interface { index: HOST, mac: MAC, mtu: 1500, up: true, also_accepts: Vec::new() };
    let hop = NextHop { iface: HOST, via: Some(IpAddr::from([192, 1, 2, 2])) };
    for command in [
        Command::Interface(interface),
        Command::LocalAddresses(vec![IpAddr::from([192, 1, 2, 1])]),
        Command::Route { prefix: net("0.0.0.0/0"), next_hops: vec![hop] },
        Command::Neighbour { iface: HOST, addr: IpAddr::from([192, 1, 2, 2]), mac: MAC },
        Command::Policy { iface: HOST, rules: vec![rule] },
        Command::SwapOutbound { policy: PolicyId(1), sa: Box::new(spec(transform)) },
    ] {
        worker.command(Instant::ZERO, command).unwrap();
    }
    worker
}

fn fill(worker: &mut Worker, batch: &mut Batch, bytes: &[u8]) {
    for _ in 0..PACKETS {
        batch.push(worker.pool().copy_of(bytes).unwrap());
    }
}

#[test]
fn host_mode_seals_and_opens_without_allocating() {
    for transform in [Transform::Aes128Gcm, Transform::DesMd5, Transform::Aes128Sha1] {
        let mut a = sealer(transform);
        let mut b = Worker::new(Choice::Only(EngineId::Scalar), Random::from_seed(2), Config::default());
        let sa = Box::new(spec(transform));
        b.command(Instant::ZERO, Command::InstallInbound { policy: PolicyId(1), sa }).unwrap();
        let (bytes, mut batch) = (packet(9), Batch::new());
        let (mut sealed, mut opened) = (HostOutput::default(), HostOutput::default());
        let mut passed = 0;
        let mut round = |a: &mut Worker, b: &mut Worker| {
            fill(a, &mut batch, &bytes);
            a.seal_ip(Instant::ZERO, &mut batch, &mut sealed);
            batch.extend(sealed.packets.drain(..).map(|(frame, _)| frame));
            b.open_ip(Instant::ZERO, &mut batch, &mut opened);
            for (frame, fate) in opened.packets.drain(..) {
                passed += usize::from(fate == HostFate::Passed);
                a.pool().put(frame);
            }
        };
        round(&mut a, &mut b);
        let counted = allocation_counter::measure(|| (0..10).for_each(|_| round(&mut a, &mut b)));
        assert_eq!((counted.count_total, passed), (0, 11 * PACKETS), "{transform}");
    }
}

#[test]
fn a_router_seals_and_sends_without_allocating() {
    let mut router = sealer(Transform::Aes128Gcm);
    let bytes = ether::frame(MAC, MAC, EtherType::IPV4, &packet(9));
    let (mut batch, mut out, mut sent) = (Batch::new(), Output::default(), 0);
    let mut round = |router: &mut Worker| {
        fill(router, &mut batch, &bytes);
        router.receive(Instant::ZERO, IfIndex(0), &mut batch, &mut out);
        sent += out.transmit.len();
        let frames: &mut dyn Iterator<Item = Frame> = &mut out.transmit.drain(..).map(|(_, frame)| frame);
        frames.for_each(|frame| router.pool().put(frame));
    };
    round(&mut router);
    let counted = allocation_counter::measure(|| (0..10).for_each(|_| round(&mut router)));
    assert_eq!((counted.count_total, sent), (0, 11 * PACKETS));
}
