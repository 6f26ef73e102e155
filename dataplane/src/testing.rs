//! What the tests of this crate share: SAs and packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use espalier_wire::plane::{DfBit, Fragmentation, Lifetime, Mode, PolicyId, SaSpec, Secret};
use espalier_wire::{Instant, Spi, Transform, checksum, ipv4, ipv6, udp};

use crate::crypto::Choice;
use crate::sa::{Inbound, Outbound};

/// A tunnel between two addresses; tests change what they are about.
pub(crate) fn spec(spi: u32) -> SaSpec {
    SaSpec {
        spi: Spi(spi),
        src: IpAddr::from([192, 1, 2, 23]),
        dst: IpAddr::from([192, 1, 2, 45]),
        mode: Mode::Tunnel,
        transform: Transform::NullSha1,
        key: Secret::new(Vec::new()),
        auth_key: Secret::new(vec![1; 20]),
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

fn keyed(spec: &SaSpec) -> SaSpec {
    SaSpec {
        key: Secret::new(vec![7; spec.transform.key_len()]),
        auth_key: Secret::new(vec![9; spec.transform.auth_key_len()]),
        ..spec.clone()
    }
}

/// `spec` with keys that fit `transform`.
pub(crate) fn with_transform(spec: &SaSpec, transform: Transform) -> SaSpec {
    keyed(&SaSpec { transform, ..spec.clone() })
}

pub(crate) fn outbound(spec: &SaSpec) -> Outbound {
    Outbound::new(Instant::ZERO, PolicyId(1), &keyed(spec), Choice::Auto, 64).unwrap()
}

pub(crate) fn inbound(spec: &SaSpec) -> Inbound {
    Inbound::new(Instant::ZERO, PolicyId(1), &keyed(spec), Choice::Auto).unwrap()
}

/// A UDP packet with `len` bytes of payload that count up.
pub(crate) fn udp4(src: [u8; 4], dst: [u8; 4], src_port: u16, dst_port: u16, len: usize) -> Vec<u8> {
    let (src, dst) = (Ipv4Addr::from(src), Ipv4Addr::from(dst));
    let payload: Vec<u8> = (0..len).map(|n| n as u8).collect();
    let datagram = udp::datagram((src, src_port), (dst, dst_port), &payload);
    let header = ipv4::Header {
        traffic_class: 0,
        identification: 77,
        df: false,
        ttl: 64,
        protocol: ipv4::protocol::UDP,
        src,
        dst,
    };
    header.packet(&datagram)
}

/// The same over IPv6, from 2001:db8::1 to ::2.
pub(crate) fn udp6(src_port: u16, dst_port: u16, len: usize) -> Vec<u8> {
    let prefix = 0x2001_0db8 << 96;
    let header = ipv6::Header {
        traffic_class: 0,
        flow_label: 0,
        next_header: ipv4::protocol::UDP,
        hop_limit: 64,
        src: Ipv6Addr::from_bits(prefix | 1),
        dst: Ipv6Addr::from_bits(prefix | 2),
    };
    let mut packet = header.emit(8 + len).to_vec();
    packet.extend_from_slice(&src_port.to_be_bytes());
    packet.extend_from_slice(&dst_port.to_be_bytes());
    packet.extend_from_slice(&((8 + len) as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend((0..len).map(|n| n as u8));
    packet
}

/// Make an IPv4 header's checksum right again.
pub(crate) fn fix_checksum(packet: &mut [u8]) {
    let header = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let sum = checksum::checksum(&packet[..header]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}
