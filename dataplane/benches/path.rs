//! Everything but crypto: host-mode seal and router-mode receive with `null-md5`, less what the engine alone takes for
//! the same packets.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use espalier_dataplane::batch::Batch;
use espalier_dataplane::crypto::Choice;
use espalier_dataplane::fate::Output;
use espalier_dataplane::frame::HEADROOM;
use espalier_dataplane::host::{HOST, HostOutput};
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::ether::{self, EtherType};
use espalier_wire::plane::{
    Command, DfBit, Fragmentation, Interface, Lifetime, Mode, NextHop, PolicyId, Rule, RuleAction, SaSpec,
    Secret, Selector,
};
use espalier_wire::random::Random;
use espalier_wire::{Instant, Mac, Spi, Transform, ipv4, udp};

const PACKETS: usize = 64;
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

fn spec(transform: Transform) -> SaSpec {
    SaSpec {
        spi: Spi(0x1001),
        src: IpAddr::from([192, 1, 2, 1]),
        dst: IpAddr::from([192, 1, 2, 2]),
        mode: Mode::Tunnel,
        transform,
        key: Secret::new((0..transform.key_len()).map(|n| (n * 37 + 11) as u8).collect()),
        auth_key: Secret::new(vec![5; transform.auth_key_len()]),
        esn: false,
        replay_window: 64,
        udp_encap: None,
        selector: None,
        mtu: None,
        df_bit: DfBit::Copy,
        fragmentation: Fragmentation::BeforeEncryption,
        lifetime: Lifetime::default(),
    }
}

fn packet(len: usize) -> Vec<u8> {
    let (src, dst) = (Ipv4Addr::new(10, 1, 0, 9), Ipv4Addr::new(10, 2, 0, 9));
    let (traffic_class, identification, df, ttl) = (0, 1, false, 64);
    let protocol = ipv4::protocol::UDP;
    let header = ipv4::Header { traffic_class, identification, df, ttl, protocol, src, dst };
    header.packet(&udp::datagram((src, 9), (dst, 53), &vec![7; len.saturating_sub(28)]))
}

fn sealer(transform: Transform) -> Option<Worker> {
    let mut worker = Worker::new(Choice::Auto, Random::from_seed(1), Config::default());
    let selector = Selector::between("10.1.0.0/16".parse().ok()?, "10.2.0.0/16".parse().ok()?);
    let rule = Rule { selector, action: RuleAction::Protect(PolicyId(1)) };
    let interface = Interface { index: HOST, mac: MAC, mtu: 1500, up: true, also_accepts: Vec::new() };
    let hop = NextHop { iface: HOST, via: Some(IpAddr::from([192, 1, 2, 2])) };
    for command in [
        Command::Interface(interface),
        Command::LocalAddresses(vec![IpAddr::from([192, 1, 2, 1])]),
        Command::Route { prefix: "0.0.0.0/0".parse().ok()?, next_hops: vec![hop] },
        Command::Neighbour { iface: HOST, addr: IpAddr::from([192, 1, 2, 2]), mac: MAC },
        Command::Policy { iface: HOST, rules: vec![rule] },
        Command::SwapOutbound { policy: PolicyId(1), sa: Box::new(spec(transform)) },
    ] {
        worker.command(Instant::ZERO, command).ok()?;
    }
    Some(worker)
}

fn seal(c: &mut Criterion) {
    let mut group = c.benchmark_group("path");
    group.throughput(Throughput::Elements(PACKETS as u64)).measurement_time(Duration::from_secs(3));
    for transform in [Transform::NullMd5, Transform::Aes128Gcm] {
        let Some(mut worker) = sealer(transform) else { continue };
        let bytes = packet(64);
        let (mut batch, mut out) = (Batch::new(), HostOutput::default());
        group.bench_function(format!("seal_ip/{transform}/64"), |b| {
            b.iter(|| {
                for _ in 0..PACKETS {
                    batch.extend(worker.pool().copy_of(&bytes));
                }
                worker.seal_ip(Instant::ZERO, &mut batch, &mut out);
                for (frame, _) in out.packets.drain(..) {
                    worker.pool().put(black_box(frame));
                }
            });
        });
        let bytes = ether::frame(MAC, MAC, EtherType::IPV4, &bytes);
        let mut out = Output::default();
        group.bench_function(format!("receive/{transform}/64"), |b| {
            b.iter(|| {
                for _ in 0..PACKETS {
                    let mut frame = worker.pool().take(bytes.len());
                    if let Some(frame) = &mut frame {
                        frame.fill(HEADROOM - ether::HEADER_LEN, &bytes);
                    }
                    batch.extend(frame);
                }
                worker.receive(Instant::ZERO, HOST, &mut batch, &mut out);
                for (_, frame) in out.transmit.drain(..) {
                    worker.pool().put(black_box(frame));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, seal);
criterion_main!(benches);
