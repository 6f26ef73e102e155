//! Messages of both versions against hand-written bytes, foreign captures where they are present, and noise.

use std::path::Path;

use super::*;
use crate::ether::{EtherType, Ethernet};
use crate::ipv4::Ipv4;
use crate::udp::Udp;
use proptest::prelude::*;

fn hello(version: Version) -> Message {
    Message {
        version,
        op: OpCode::Hello,
        state: State::Active,
        hello_time: Duration::from_s(3),
        hold_time: Duration::from_s(10),
        priority: 200,
        group: 1,
        identifier: if version == Version::V2 { Mac([2, 0, 0, 0, 0, 1]) } else { Mac::default() },
        virtual_address: Ipv4Addr::new(172, 16, 172, 53),
        password: Some(Password::default()),
        md5: None,
    }
}

#[test]
fn version_1_is_rfc_2281s_twenty_bytes() {
    let expected = [
        0, 0, 16, 3, 10, 200, 1,
        0, // version, op code, state, hellotime, holdtime, priority, group, reserved
        0x63, 0x69, 0x73, 0x63, 0x6f, 0, 0, 0, 172, 16, 172, 53,
    ];
    assert_eq!(hello(Version::V1).emit(), expected);
    assert_eq!(Packet::parse(&expected), Ok(Packet::Message(hello(Version::V1))));
}

#[test]
fn version_2_is_what_wireshark_reads() {
    // Checked field by field with tshark 4: group state TLV (active is 6), then text authentication.
    let expected = [
        1, 40, 2, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 200, 0, 0, 0x0b, 0xb8, 0, 0, 0x27, 0x10, 172, 16,
        172, 53, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 8, 0x63, 0x69, 0x73, 0x63, 0x6f, 0, 0, 0,
    ];
    assert_eq!(hello(Version::V2).emit(), expected);
    assert_eq!(Packet::parse(&expected), Ok(Packet::Message(hello(Version::V2))));
}

#[test]
fn version_1_does_not_tell_what_seconds_cannot_say() {
    let fast = Message {
        hello_time: Duration::from_ms(250),
        hold_time: Duration::from_ms(1750),
        ..hello(Version::V1)
    };
    assert_eq!(fast.emit()[3..5], [0, 0]);
}

#[test]
fn virtual_macs_carry_the_group() {
    assert_eq!(Version::V1.virtual_mac(1).ios(), "0000.0c07.ac01");
    assert_eq!(Version::V2.virtual_mac(4095).ios(), "0000.0c9f.ffff");
}

#[test]
fn lies_are_refused() {
    for (at, value, version) in [
        (1, 9, Version::V1),
        (2, 3, Version::V1),
        (0, 9, Version::V2),
        (1, 39, Version::V2),
        (2, 3, Version::V2),
        (4, 0, Version::V2),
        (5, 6, Version::V2),
        (6, 0x10, Version::V2),
        (14, 1, Version::V2),
        (43, 7, Version::V2),
    ] {
        let mut bytes = hello(version).emit();
        bytes[at] = value;
        assert!(Packet::parse(&bytes).is_err(), "{version:?} byte {at} = {value}");
    }
}

/// The UDP payloads to port 1985 of a classic pcap file.
fn payloads(file: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(file).unwrap();
    let big_endian = bytes[..4] == [0xa1, 0xb2, 0xc3, 0xd4];
    let word = |at: usize| {
        let four = bytes[at..at + 4].try_into().unwrap();
        if big_endian { u32::from_be_bytes(four) as usize } else { u32::from_le_bytes(four) as usize }
    };
    let (mut at, mut found) = (24, Vec::new());
    while at + 16 <= bytes.len() {
        let frame = &bytes[at + 16..at + 16 + word(at + 8)];
        at += 16 + word(at + 8);
        let ether = Ethernet::new_checked(frame).unwrap();
        if ether.ethertype() == EtherType::IPV4 {
            let ip = Ipv4::new_checked(ether.payload()).unwrap();
            let udp = Udp::new_checked(ip.payload()).unwrap();
            assert!(udp.checksum_ok(ip.src(), ip.dst()));
            found.push(udp.payload().to_vec());
        }
    }
    found
}

#[test]
fn foreign_routers_are_read_and_rebuilt_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures/hsrp");
    if !folder.is_dir() {
        eprintln!("skipped: no foreign captures beside this checkout");
        return;
    }
    let mut messages = 0;
    for name in ["HSRP_coup.cap", "HSRP_failover.cap", "hsrp0.pcap"] {
        for payload in payloads(&folder.join(name)) {
            let packet = Packet::parse(&payload).unwrap();
            assert_eq!(packet.emit(), payload, "{name}: {packet:?}");
            messages += usize::from(matches!(packet, Packet::Message(_)));
        }
    }
    assert_eq!(messages, 80, "Hellos and Coups of the three captures");
}

fn message() -> impl Strategy<Value = Message> {
    let states = prop::sample::select(State::ALL.to_vec());
    let ops = prop::sample::select(vec![OpCode::Hello, OpCode::Coup, OpCode::Resign]);
    let md5 = prop::option::of((any::<u16>(), any::<u32>(), any::<u32>(), any::<[u8; 16]>()));
    (any::<bool>(), ops, states, any::<[u8; 3]>(), any::<u32>(), any::<[u8; 8]>(), md5).prop_map(
        |(v2, op, state, [hello, hold, priority], address, text, md5)| Message {
            version: if v2 { Version::V2 } else { Version::V1 },
            op,
            state,
            hello_time: Duration::from_s(hello.into()),
            hold_time: Duration::from_s(hold.into()),
            priority,
            group: u16::from(hello),
            identifier: if v2 { Mac([priority; 6]) } else { Mac::default() },
            virtual_address: Ipv4Addr::from(address),
            password: Some(Password(text)),
            md5: md5.map(|(flags, sender, key_id, digest)| Md5 {
                flags,
                sender: Ipv4Addr::from(sender),
                key_id,
                digest,
            }),
        },
    )
}

proptest! {
    #[test]
    fn any_message_survives_the_wire(m in message()) {
        prop_assert_eq!(Packet::parse(&m.emit()), Ok(Packet::Message(m)));
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Packet::parse(&bytes);
    }

    #[test]
    fn mutated_messages(m in message(), at in 0usize..80, value: u8, len in 0usize..90) {
        let mut bytes = m.emit();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        bytes.truncate(len);
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert_eq!(Packet::parse(&packet.emit()), Ok(packet));
        }
    }
}
