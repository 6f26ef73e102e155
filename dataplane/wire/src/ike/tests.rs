//! Round trips, and hostile bytes into every reader.

use proptest::prelude::*;

use super::*;

fn exchange() -> Exchange {
    Exchange {
        initiator: Cookie(*b"initiate"),
        responder: Cookie(*b"responds"),
        kind: ExchangeKind::MAIN_MODE,
        message_id: 0x1234_5678,
    }
}

fn sa() -> SaBody {
    let offer = |number| TransformOffer {
        number,
        id: oakley::KEY_IKE,
        attributes: vec![
            Attribute::number(attribute::ENCRYPTION, oakley::DES),
            Attribute::number(attribute::LIFE_TYPE, attribute::SECONDS),
            Attribute::number(attribute::LIFE_DURATION, 86_400),
        ],
    };
    let proposal = |number, spi: &[u8]| Proposal {
        number,
        protocol: Protocol::ISAKMP,
        spi: spi.to_vec(),
        transforms: vec![offer(1), offer(2)],
    };
    SaBody { proposals: vec![proposal(1, &[]), proposal(2, &[1, 2, 3, 4])] }
}

fn message() -> Vec<u8> {
    Builder::new()
        .payload(PayloadKind::SA, &sa().bytes())
        .payload(PayloadKind::VENDOR_ID, b"someone")
        .payload(PayloadKind::NOTIFICATION, &notification().bytes())
        .message(exchange())
}

fn notification() -> Notification {
    Notification {
        protocol: Protocol::ESP,
        kind: NotifyType::RESPONDER_LIFETIME,
        spi: vec![1, 2, 3, 4],
        data: Attribute::write_all(&[
            Attribute::number(attribute::SA_LIFE_TYPE, attribute::SECONDS),
            Attribute::number(attribute::SA_LIFE_DURATION, 3_600),
            Attribute::number(attribute::SA_LIFE_TYPE, attribute::KILOBYTES),
            Attribute::number(attribute::SA_LIFE_DURATION, 4_608_000),
        ]),
    }
}

/// Read everything in a message that can be read, as deep as it goes.
fn read_all(bytes: &[u8]) -> Option<usize> {
    let (header, body) = Header::read(bytes).ok()?;
    let chain = Chain::new_checked(header.first, body).ok()?;
    for p in chain.iter() {
        let _ = SaBody::read(p.body);
        let _ = Identification::read(p.body);
        let _ = Notification::read(p.body).map(|n| responder_lifetime(&n.data, false));
        let _ = Delete::read(p.body);
    }
    Some(chain.iter().count())
}

#[test]
fn a_message_reads_back() {
    let bytes = message();
    let (header, body) = Header::read(&bytes).unwrap();
    assert_eq!(header.exchange, exchange());
    assert_eq!(header.bytes()[..], bytes[..HEADER_LEN]);
    let chain = Chain::new_checked(header.first, body).unwrap();
    assert_eq!(chain.length(), body.len());
    assert_eq!(SaBody::read(chain.one(PayloadKind::SA).unwrap()), Ok(sa()));
    assert_eq!(chain.find(PayloadKind::VENDOR_ID), Some(&b"someone"[..]));
    let n = Notification::read(chain.one(PayloadKind::NOTIFICATION).unwrap()).unwrap();
    assert_eq!(n, notification());
    assert_eq!(responder_lifetime(&n.data, false), Ok((Some(3_600), Some(4_608_000))));
    assert!(chain.one(PayloadKind::HASH).is_err());
}

#[test]
fn a_chain_goes_behind_another() {
    let rest = Builder::new().payload(PayloadKind::NONCE, b"nonce").payload(PayloadKind::VENDOR_ID, b"v");
    let all = Builder::new()
        .payload(PayloadKind::HASH, b"hash")
        .followed_by(&rest)
        .payload(PayloadKind::NAT_D, b"n");
    let chain = Chain::new_checked(all.first(), all.bytes()).unwrap();
    let kinds: Vec<_> = chain.iter().map(|p| p.kind).collect();
    assert_eq!(kinds, [PayloadKind::HASH, PayloadKind::NONCE, PayloadKind::VENDOR_ID, PayloadKind::NAT_D]);
}

#[test]
fn ids_and_deletes_read_back() {
    let kinds = [
        IdKind::Address([10, 1, 1, 1].into()),
        IdKind::Fqdn("router.example".into()),
        IdKind::Subnet("20.1.1.0/24".parse().unwrap()),
        IdKind::Range([10, 1, 1, 1].into(), [10, 1, 1, 9].into()),
        IdKind::Other(11, vec![1, 2, 3]),
    ];
    for kind in kinds {
        let id = Identification { kind, protocol: 17, port: 500 };
        assert_eq!(Identification::read(&id.bytes()), Ok(id));
    }
    let d = Delete { protocol: Protocol::ESP, spis: vec![vec![1, 2, 3, 4], vec![5, 6, 7, 8]] };
    assert_eq!(Delete::read(&d.bytes()), Ok(d));
    assert!(Identification::read(&[4, 0, 0, 0, 1, 2, 3, 4, 255, 0, 255, 0]).is_err(), "a mask with a hole");
}

#[test]
fn a_payload_of_length_zero_ends_nothing_and_loops_nowhere() {
    assert!(Chain::new_checked(PayloadKind::SA, &[1, 0, 0, 0, 1, 0, 0, 0]).is_err());
    let endless: Vec<u8> = [13, 0, 0, 4].repeat(MAX_PAYLOADS + 1);
    assert!(Chain::new_checked(PayloadKind::VENDOR_ID, &endless).is_err());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), first in any::<u8>()) {
        read_all(&bytes);
        if let Ok(chain) = Chain::new_checked(PayloadKind(first), &bytes) {
            prop_assert!(chain.length() <= bytes.len());
        }
        let _ = SaBody::read(&bytes).map(|sa| sa.bytes());
        if let Ok(d) = Delete::read(&bytes) {
            prop_assert_eq!(Delete::read(&d.bytes()).map(|d| d.spis), Ok(d.spis));
        }
    }

    #[test]
    fn mutated_messages_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
                                    cut in any::<prop::sample::Index>()) {
        let mut bytes = message();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_all(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        read_all(&bytes);
    }
}

/// Foreign captures, when they are there: the UDP payloads of a classic pcap with Ethernet or raw IP frames.
#[test]
fn foreign_captures_are_read_or_refused() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    let mut messages = 0;
    for folder in ["ike", "malformed"] {
        let Ok(files) = std::fs::read_dir(root.join(folder)) else { continue };
        for file in files.flatten() {
            let bytes = std::fs::read(file.path()).unwrap();
            let read: usize =
                frames(&bytes).iter().filter_map(|f| udp_payload(f)).filter_map(read_all).count();
            messages += read;
            if folder == "ike" {
                assert!(read >= 4, "{}: {read} messages", file.path().display());
            }
        }
        assert!(folder != "ike" || messages >= 12, "{messages} messages");
    }
}

fn frames(pcap: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    let mut at = 24;
    while let Some(&[a, b, c, d]) = pcap.get(at + 8..at + 12) {
        let little = pcap.first() != Some(&0xa1);
        let length = if little { u32::from_le_bytes([a, b, c, d]) } else { u32::from_be_bytes([a, b, c, d]) };
        let Some(frame) = pcap.get(at + 16..(at + 16).saturating_add(length as usize)) else { break };
        out.push(frame);
        at += 16 + length as usize;
    }
    out
}

fn udp_payload(frame: &[u8]) -> Option<&[u8]> {
    let ip = frame.get(14..)?;
    let header = usize::from(*ip.first()? & 15) * 4;
    let udp = ip.get(header..)?;
    let port = u16::from_be_bytes([*udp.get(2)?, *udp.get(3)?]);
    match (ip.get(9)?, port) {
        (17, 500) => udp.get(8..),
        (17, 4500) => udp.get(8..)?.strip_prefix(&[0, 0, 0, 0]),
        _ => None,
    }
}
