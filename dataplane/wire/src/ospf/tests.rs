//! Packets written and read back, foreign captures, and bytes nobody meant.

use proptest::prelude::*;

use super::*;
use crate::RouterId;

fn key() -> LsaKey {
    LsaKey::new(LsaType::AsExternal, Ipv4Addr::new(20, 1, 1, 0), RouterId(Ipv4Addr::new(10, 1, 1, 1)))
}

fn external() -> LsaBody {
    LsaBody::AsExternal(AsExternal {
        prefix_len: 24,
        metric_type: MetricType::E2,
        metric: 20,
        forwarding: None,
        tag: 0,
    })
}

fn packets() -> Vec<Packet> {
    let router = RouterId(Ipv4Addr::new(10, 1, 1, 1));
    let links = vec![
        Link {
            id: Ipv4Addr::new(10, 1, 1, 3),
            data: Ipv4Addr::new(10, 1, 1, 1),
            kind: LinkKind::Transit,
            metric: 1,
        },
        Link {
            id: Ipv4Addr::new(99, 99, 99, 99),
            data: Ipv4Addr::BROADCAST,
            kind: LinkKind::Stub,
            metric: 1,
        },
    ];
    let router_lsa = LsaBody::Router(Router { asbr: true, links, ..Router::default() });
    let network = LsaBody::Network(Network { prefix_len: 24, routers: vec![router] });
    let summary = LsaBody::Summary(Summary { prefix_len: 8, metric: 7 });
    let lsas = vec![
        Lsa::new(LsaKey::new(LsaType::Router, router.0, router), 2, INITIAL_SEQUENCE, &router_lsa),
        Lsa::new(LsaKey::new(LsaType::Network, router.0, router), 2, 5, &network),
        Lsa::new(LsaKey::new(LsaType::SummaryNetwork, router.0, router), 2, -5, &summary),
        Lsa::new(key(), 2, MAX_SEQUENCE, &external()),
        Lsa::new(LsaKey::new(LsaType::OpaqueArea, router.0, router), 2, 1, &LsaBody::Other(vec![1, 2, 3, 4])),
    ];
    let headers: Vec<_> = lsas.iter().map(|l| l.header).collect();
    let hello = Hello {
        prefix_len: 24,
        hello_interval: 10,
        options: Options(Options::E),
        priority: 1,
        dead_interval: 40,
        designated: Some(router.0),
        backup: None,
        neighbours: vec![router],
    };
    let dd = DatabaseDescription {
        mtu: 1500,
        options: Options(Options::E),
        init: false,
        more: true,
        master: true,
        sequence: 77,
        headers: headers.clone(),
    };
    let keys = headers.iter().map(|h| h.key).collect();
    [
        Body::Hello(hello),
        Body::DatabaseDescription(dd),
        Body::LinkStateRequest(keys),
        Body::LinkStateUpdate(lsas),
        Body::LinkStateAck(headers),
    ]
    .map(|body| Packet { router, area: AreaId::BACKBONE, body })
    .into()
}

fn auths() -> [Auth; 3] {
    [Auth::Null, Auth::simple(b"cisco"), Auth::md5(1, b"secret")]
}

#[test]
fn what_is_written_reads_back_under_its_own_key_alone() {
    for packet in packets() {
        for auth in auths() {
            let bytes = packet.emit(&auth, 9);
            let view = View::new_checked(&bytes).unwrap();
            assert_eq!(view.verify(&auth), Ok(matches!(auth, Auth::Md5 { .. }).then_some(9)));
            assert_eq!(view.parse().unwrap(), packet);
            for other in auths().into_iter().filter(|o| *o != auth) {
                assert_eq!(view.verify(&other), Err(AuthError::Type));
            }
        }
        let bytes = packet.emit(&Auth::md5(1, b"secret"), 9);
        let view = View::new_checked(&bytes).unwrap();
        assert_eq!(view.verify(&Auth::md5(2, b"secret")), Err(AuthError::Key));
        assert_eq!(view.verify(&Auth::md5(1, b"wrong")), Err(AuthError::Digest));
        let bytes = packet.emit(&Auth::simple(b"cisco"), 0);
        assert_eq!(View::new_checked(&bytes).unwrap().verify(&Auth::simple(b"disco")), Err(AuthError::Key));
    }
}

#[test]
fn one_flipped_bit_is_seen() {
    for auth in auths() {
        let bytes = packets()[3].emit(&auth, 1);
        for bit in (HEADER_LEN * 8)..(bytes.len() * 8) {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(View::new_checked(&bad).unwrap().verify(&auth).is_err(), "{auth:?} bit {bit}");
        }
    }
}

#[test]
fn an_lsa_checksum_covers_all_but_the_age() {
    let mut lsa = Lsa::new(key(), 2, INITIAL_SEQUENCE, &external());
    assert!(lsa.checksum_ok());
    lsa.header.age = 100;
    assert!(lsa.checksum_ok());
    lsa.header.sequence += 1;
    assert!(!lsa.checksum_ok());
}

#[test]
fn the_newer_instance_is_told_as_rfc_2328_13_1_says() {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let base = Lsa::new(key(), 2, 1, &external()).header;
    let with = |age, sequence, checksum| LsaHeader { age, sequence, checksum, ..base };
    let plain = with(10, 1, 50);
    assert_eq!(with(3000, 2, 1).recency(&plain), Greater, "sequence first");
    assert_eq!(with(0, INITIAL_SEQUENCE, 1).recency(&plain), Less, "sequence numbers are signed");
    assert_eq!(with(10, 1, 51).recency(&plain), Greater, "then checksum");
    assert_eq!(with(MAX_AGE, 1, 50).recency(&plain), Greater, "then MaxAge");
    assert_eq!(with(911, 1, 50).recency(&plain), Less, "then an age more than 15 minutes lower");
    assert_eq!(with(910, 1, 50).recency(&plain), Equal);
}

/// The OSPF payloads of a classic pcap of Ethernet frames, as far as they can be read.
fn payloads(file: &str) -> Option<Vec<Vec<u8>>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/captures/");
    let bytes = std::fs::read(format!("{dir}{file}")).ok()?;
    let little = bytes.first() == Some(&0xd4);
    let int = |b: &[u8]| {
        let a = [b[0], b[1], b[2], b[3]];
        if little { u32::from_le_bytes(a) } else { u32::from_be_bytes(a) }
    };
    let mut at = 24;
    let mut found = Vec::new();
    while let Some(head) = bytes.get(at..at + 16) {
        let len = int(&head[8..12]) as usize;
        let Some(frame) = bytes.get(at + 16..at + 16 + len) else { break };
        at += 16 + len;
        if frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&PROTOCOL) {
            let ip = 14 + usize::from(frame[14] & 15) * 4;
            let end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
            found.extend(frame.get(ip..end.min(frame.len())).map(<[u8]>::to_vec));
        }
    }
    Some(found)
}

#[test]
fn real_routers_packets_verify_and_are_written_back_as_they_came() {
    let simple = Auth::simple(b"");
    for file in ["ospf/OSPF_broadcast_adjacencies.cap", "ospf/OSPF_type7_LSA.cap"] {
        let Some(payloads) = payloads(file) else { continue };
        assert!(payloads.len() > 5, "{file}");
        for payload in payloads {
            let view = View::new_checked(&payload).unwrap();
            assert_eq!(view.verify(&Auth::Null), Ok(None), "{file}");
            assert_eq!(view.verify(&simple), Err(AuthError::Type));
            let packet = view.parse().unwrap();
            if let Body::LinkStateUpdate(lsas) = &packet.body {
                for lsa in lsas {
                    assert!(lsa.checksum_ok(), "{file}: {}", lsa.header.key);
                    let body = lsa.body().unwrap();
                    let again = Lsa::new(lsa.header.key, lsa.header.options, lsa.header.sequence, &body);
                    assert_eq!(again.header.checksum, lsa.header.checksum, "{file}");
                }
            }
            let written = packet.emit(&Auth::Null, 0);
            assert_eq!(written[..], payload[..written.len()], "{file}");
        }
    }
}

fn read_everything(bytes: &[u8]) {
    let Ok(view) = View::new_checked(bytes) else { return };
    for auth in auths() {
        let _ = view.verify(&auth);
    }
    let Ok(packet) = view.parse() else { return };
    if let Body::LinkStateUpdate(lsas) = &packet.body {
        for lsa in lsas {
            let _ = (lsa.checksum_ok(), lsa.body());
        }
    }
    // What parses can be written, no longer than it came.
    assert!(packet.emit(&Auth::Null, 0).len() <= bytes.len());
}

#[test]
fn packets_that_broke_another_program_do_not_break_this_one() {
    for file in ["ospf-ack", "ospf-gmpls", "ospf-nssa-bitnt", "ospf-signed-integer-ubsan", "ospf-sr-ri-sid"] {
        for payload in payloads(&format!("malformed/{file}.pcap")).unwrap_or_default() {
            read_everything(&payload);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(kind in 0u8..7, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![2, kind, 0, 0];
        bytes.resize(HEADER_LEN, 0);
        bytes.extend_from_slice(&body);
        let len = bytes.len() as u16;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        read_everything(&bytes);
        read_everything(&body);
    }

    #[test]
    fn a_mutated_packet_is_read_without_panic(
        which in 0usize..5, cut in 0usize..400, edits in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = packets()[which].emit(&Auth::Null, 0);
        for (at, value) in edits {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(cut.max(1));
        read_everything(&bytes);
    }

    #[test]
    fn every_lsa_checksum_is_one_that_verifies(body in proptest::collection::vec(any::<u8>(), 0..64), sequence: i32) {
        let kind = LsaKey { kind: LsaType::OpaqueArea, ..key() };
        prop_assert!(Lsa::new(kind, 2, sequence, &LsaBody::Other(body)).checksum_ok());
    }
}
