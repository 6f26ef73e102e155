//! Any packets to a whole router of the reference network, with time passing between them: HSRP, OSPF, IKE, ARP and its
//! host side take what they like, and nothing panics or lasts.
#![no_main]

use espalier_control::Machine;
use espalier_control::profile::Profile;
use espalier_control::router::{Input, Output, Punted, Router};
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant, Mac, ipv4};
use libfuzzer_sys::fuzz_target;

const GATEWAY: &str = include_str!("../../../bench/scenarios/hsrp-ipsec/7204VXR-1.cfg");

/// Kind of packet, milliseconds until it comes, its bytes behind the IP header.
type Step<'a> = (u8, u16, &'a [u8]);

fn ip(kind: u8, payload: &[u8]) -> (Punted, Vec<u8>) {
    let (why, protocol, src, dst) = match kind % 6 {
        0 => return (Punted::Arp, payload.to_vec()),
        1 => (Punted::Multicast, 17, [172, 16, 172, 54], [224, 0, 0, 2]),
        2 => (Punted::Multicast, 89, [10, 1, 1, 3], [224, 0, 0, 5]),
        3 => (Punted::Local, 17, [172, 16, 172, 69], [172, 16, 172, 53]),
        4 => (Punted::Ike, 17, [172, 16, 172, 69], [172, 16, 172, 53]),
        _ => (Punted::Local, 1, [172, 16, 172, 69], [172, 16, 172, 52]),
    };
    let payload = match protocol {
        17 => {
            let port = if kind % 6 == 1 { 1985u16 } else { 500 };
            let len = (payload.len() + 8) as u16;
            [&port.to_be_bytes()[..], &port.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
        }
        _ => payload.to_vec(),
    };
    let header = ipv4::Header {
        traffic_class: 0xc0,
        identification: 0,
        df: false,
        ttl: 1,
        protocol,
        src: src.into(),
        dst: dst.into(),
    };
    (why, header.packet(&payload))
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let config = espalier_control::ios::parse("7204VXR-1.cfg", GATEWAY).unwrap().config;
    let macs = (0..5).map(|i| Mac([2, 0, 0, 0, 0, i])).collect();
    let mut router = Router::new(config, Profile::ios_12_3(), macs, Random::from_seed(1)).unwrap();
    let (mut now, mut out) = (Instant::ZERO, Vec::new());
    router.on(now, Input::Boot, &mut out);
    for iface in [IfIndex(0), IfIndex(1)] {
        router.on(now, Input::Carrier { iface, up: true }, &mut out);
    }
    for (kind, ms, bytes) in steps {
        let end = now + Duration::from_ms(u64::from(ms));
        while let Some(at) = router.next_deadline().filter(|at| *at <= end) {
            now = now.max(at);
            router.timer(now, &mut out);
        }
        now = end;
        let (why, packet) = ip(kind, bytes);
        let iface = IfIndex(u16::from(kind % 6 == 2));
        let src_mac = Mac([2, 0, 0, 0, 9, 9]);
        router.on(now, Input::Packet { iface, src_mac, why, packet }, &mut out);
        for output in out.drain(..) {
            if let Output::Transmit { frame, .. } = output {
                assert!((14..=9018).contains(&frame.len()));
            }
        }
    }
});
