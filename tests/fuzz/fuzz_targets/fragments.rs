//! Fragments of ESP, of ESP in UDP and of datagrams that are nobody's, in any order and with any holes and overlaps, into
//! host mode. Every frame comes out once, whole, passed by or lost, and none is kept at the end.
#![no_main]

use espalier_dataplane::crypto::Choice;
use espalier_dataplane::host::HostOutput;
use espalier_dataplane::worker::{Config, Worker};
use espalier_wire::plane::{
    Command, DfBit, Fragmentation, Lifetime, Mode, PolicyId, SaSpec, Secret, UdpPorts,
};
use espalier_wire::random::Random;
use espalier_wire::{Instant, Spi, Transform, ipv4};
use libfuzzer_sys::fuzz_target;

/// Of one fragment: identification and protocol, offset in units of eight bytes, more to come, length, first byte.
type Piece = (u8, u8, bool, u8, u8);

fn worker() -> Worker {
    let mut worker = Worker::new(Choice::Auto, Random::from_seed(1), Config::default());
    let sa = SaSpec {
        spi: Spi(0x100),
        src: [10, 0, 0, 1].into(),
        dst: [10, 0, 0, 2].into(),
        mode: Mode::Tunnel,
        transform: Transform::NullSha1,
        key: Secret::new(Vec::new()),
        auth_key: Secret::new(vec![7; 20]),
        esn: false,
        replay_window: 64,
        udp_encap: Some(UdpPorts { src: 4500, dst: 4500 }),
        selector: None,
        mtu: None,
        df_bit: DfBit::Copy,
        fragmentation: Fragmentation::BeforeEncryption,
        lifetime: Lifetime::default(),
    };
    worker.command(Instant::ZERO, Command::InstallInbound { policy: PolicyId(0), sa: Box::new(sa) }).unwrap();
    worker
}

fn packet((id, offset, more, len, first): Piece) -> Vec<u8> {
    let header = ipv4::Header {
        traffic_class: 0,
        identification: u16::from(id % 4),
        df: false,
        ttl: 9,
        protocol: if id & 4 == 0 { 17 } else { 50 },
        src: [10, 0, 0, 1].into(),
        dst: [10, 0, 0, 2].into(),
    };
    let mut payload = vec![first; usize::from(len)];
    if first & 1 == 0 && payload.len() >= 8 {
        // Ports: to the SA's, or to somebody else's.
        payload[..4].copy_from_slice(&[0x11, 0x94, 0x11, if first & 2 == 0 { 0x94 } else { 0x95 }]);
    }
    let mut packet = header.packet(&payload);
    packet[6] = u8::from(more) << 5;
    packet[7] = offset;
    packet[10..12].fill(0);
    let sum = espalier_wire::checksum::checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

fuzz_target!(|pieces: Vec<Piece>| {
    let (mut worker, mut out) = (worker(), HostOutput::default());
    let mut batch = Vec::new();
    for piece in &pieces {
        let packet = packet(*piece);
        batch.extend(worker.pool().copy_of(&packet));
    }
    worker.open_ip(Instant::ZERO, &mut batch, &mut out);
    worker.flush_ip(&mut out);
    assert!(out.packets.len() <= pieces.len(), "frames came of nothing");
    assert_eq!(worker.held(), 0, "frames stayed behind");
});
