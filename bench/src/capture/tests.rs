//! The readers against hand-made, mutated and random files; writer and reader against each other.

use super::*;
use proptest::prelude::*;
use std::io::Write;

type Everything = (Vec<Packet>, Vec<Interface>, Option<Break>);

fn read_all(bytes: Vec<u8>) -> Result<Everything, OpenError> {
    let mut reader = Reader::from_bytes(bytes)?;
    let mut packets = Vec::new();
    let mut packet = Packet::default();
    let broken = loop {
        match reader.read(&mut packet) {
            Ok(true) => packets.push(packet.clone()),
            Ok(false) => break None,
            Err(e) => break Some(e),
        }
    };
    assert!(!reader.read(&mut packet).unwrap(), "after its end a file stays ended");
    Ok((packets, reader.interfaces().to_vec(), broken))
}

fn words(words: &[u32], big: bool) -> Vec<u8> {
    words.iter().flat_map(|w| if big { w.to_be_bytes() } else { w.to_le_bytes() }).collect()
}

/// A pcap of two packets, 4 and 3 bytes long.
fn pcap(magic: u32, big: bool) -> Vec<u8> {
    let halves = if big { 0x0002_0004 } else { 0x0004_0002 };
    let mut file = words(&[magic, halves, 0, 0, 65535, 1, 1_000_000_000, 5, 4, 60], big);
    file.extend([1, 2, 3, 4]);
    file.extend(words(&[1_000_000_001, 6, 3, 3], big));
    file.extend([5, 6, 7]);
    file
}

fn block(kind: u32, body: &[u8], big: bool) -> Vec<u8> {
    let total = 12 + body.len() as u32;
    [words(&[kind, total], big), body.to_vec(), words(&[total], big)].concat()
}

/// A section with one interface of this `if_tsresol` and `if_tsoffset`, and one enhanced packet at `ticks`.
fn section(big: bool, resolution: u8, offset: i64, ticks: u64) -> Vec<u8> {
    let half = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let version = [half(1), half(0)].concat();
    let head = [words(&[0x1a2b_3c4d], big), version, vec![0xff; 8]].concat();
    let offset = if big { offset.to_be_bytes() } else { offset.to_le_bytes() };
    let interface = [
        &half(1)[..],
        &[0; 2],
        &words(&[0], big),
        &half(2),
        &half(3),
        b"wan\0",
        &half(9),
        &half(1),
        &[resolution, 0, 0, 0],
        &half(14),
        &half(8),
        &offset,
        &[0; 4],
    ]
    .concat();
    let packet = [&words(&[0, (ticks >> 32) as u32, ticks as u32, 3, 9], big)[..], &[1, 2, 3, 0]].concat();
    [
        block(0x0a0d_0d0a, &head, big),
        block(1, &interface, big),
        block(0xbad, &[0; 8], big),
        block(6, &packet, big),
    ]
    .concat()
}

#[test]
fn pcap_in_both_units_and_byte_orders() {
    for (magic, ns) in [(0xa1b2_c3d4, 5_000), (0xa1b2_3c4d, 5)] {
        for big in [false, true] {
            let (packets, interfaces, broken) = read_all(pcap(magic, big)).unwrap();
            assert!(broken.is_none());
            assert_eq!(interfaces[0].link, LinkType::ETHERNET);
            assert_eq!(packets[0].time.as_ns(), 1_000_000_000_000_000_000 + ns);
            assert_eq!((packets[0].original_len, &packets[0].bytes[..]), (60, &[1, 2, 3, 4][..]));
            assert_eq!(
                (packets[1].number, packets[1].offset, &packets[1].bytes[..]),
                (2, 44, &[5, 6, 7][..])
            );
        }
    }
}

#[test]
fn pcapng_times_of_every_resolution_and_offset() {
    for big in [false, true] {
        for (resolution, offset, ticks, ns) in [
            (6, 0, 1_500_000, 1_500_000_000),
            (9, 0, u64::MAX, u64::MAX),
            (0, 0, 3, 3_000_000_000),
            (12, 0, 1_999, 1),
            (127, 0, u64::MAX, 0),
            (0x80 | 10, 0, 1024 + 512, 1_500_000_000),
            (0x80 | 127, 0, u64::MAX, 0),
            (9, 2, 7, 2_000_000_007),
            (9, -2, 7, 0),
            (0, i64::MAX, 1, u64::MAX),
        ] {
            let (packets, interfaces, broken) = read_all(section(big, resolution, offset, ticks)).unwrap();
            assert!(broken.is_none(), "{broken:?}");
            assert_eq!(interfaces[0].name.as_deref(), Some("wan"));
            assert_eq!(
                packets[0].time.as_ns(),
                ns,
                "resolution {resolution}, offset {offset}, ticks {ticks}"
            );
            assert_eq!((packets[0].original_len, &packets[0].bytes[..]), (9, &[1, 2, 3][..]));
        }
    }
}

#[test]
fn sections_of_both_byte_orders_and_the_older_packet_blocks() {
    let simple = block(3, &[&words(&[2], true)[..], &[8, 9, 0, 0]].concat(), true);
    let older = block(2, &[&words(&[0, 0, 77, 1, 1], true)[..], &[4, 0, 0, 0]].concat(), true);
    let file = [section(false, 9, 0, 1), section(true, 9, 0, 2), simple, older].concat();
    let (packets, interfaces, broken) = read_all(file).unwrap();
    assert!(broken.is_none(), "{broken:?}");
    assert_eq!(interfaces.len(), 2);
    let seen: Vec<_> = packets.iter().map(|p| (p.interface, p.time.as_ns(), p.bytes.len())).collect();
    assert_eq!(seen, [(0, 1, 3), (1, 2, 3), (1, 0, 2), (1, 77, 1)]);
}

#[test]
fn gzip_of_several_members_is_undone() {
    let file = pcap(0xa1b2_c3d4, false);
    let mut gz = Vec::new();
    for part in [&file[..30], &file[30..]] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        gz.extend(encoder.finish().unwrap());
    }
    assert_eq!(read_all(gz.clone()).unwrap().0.len(), 2);
    gz.truncate(gz.len() - 12);
    let (packets, _, broken) = read_all(gz).unwrap();
    assert!(packets.len() < 3 && matches!(broken.unwrap().flaw, Flaw::Unreadable(_) | Flaw::Cut { .. }));
}

#[test]
fn a_cut_or_a_lie_names_packet_and_offset_and_keeps_what_came_before() {
    let whole = pcap(0xa1b2_c3d4, false);
    let (packets, _, broken) = read_all(whole[..whole.len() - 1].to_vec()).unwrap();
    assert_eq!(packets.len(), 1);
    assert_eq!(broken.unwrap().to_string(), "packet 2 at byte 44: cut off: 3 bytes needed, 2 there");

    let mut lying = whole;
    lying[52..56].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let (packets, _, broken) = read_all(lying).unwrap();
    assert_eq!(packets.len(), 1);
    assert!(broken.unwrap().to_string().starts_with("packet 2 at byte 44: claims 2147483647 bytes"));

    let mut unequal = section(false, 6, 0, 1);
    let last = unequal.len() - 4;
    unequal[last] += 4;
    assert!(read_all(unequal).unwrap().2.unwrap().to_string().starts_with("packet 1 at byte "));
}

#[test]
fn what_is_no_capture_is_named() {
    let why = |bytes: &[u8]| match read_all(bytes.to_vec()) {
        Err(e) => e.to_string(),
        Ok(_) => String::new(),
    };
    assert_eq!(why(b""), "an empty file, no capture");
    assert_eq!(why(b"hello, world"), "neither pcap nor pcapng");
    assert!(why(&[0x28, 0xb5, 0x2f, 0xfd]).contains("zstd"));
    assert!(why(&[0x34, 0xcd, 0xb2, 0xa1]).contains("Kuznetzov"));
    assert!(why(&pcap(0xa1b2_c3d4, false)[..20]).starts_with("cut off"));
    assert!(why(&words(&[0xa1b2_c3d4, 3], false)).starts_with("cut off"));
}

fn capture_of(format: Format, packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), format, "a comment").unwrap();
    let inside = Interface { link: LinkType::RAW, name: Some("inside".to_owned()) };
    let outside = Interface { link: LinkType::RAW, name: Some("outside".to_owned()) };
    let ids = [encoder.interface(&inside).unwrap(), encoder.interface(&outside).unwrap()];
    for (n, (ns, bytes)) in packets.iter().enumerate() {
        let (a, b) = bytes.split_at(bytes.len() / 2);
        encoder
            .packet(ids[n % 2], Instant::from_ns(*ns), &[a, b], 3, if n % 3 == 0 { "why" } else { "" })
            .unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_format_refuses_what_it_cannot_hold() {
    let of = |link| Interface { link, name: None };
    let mut pcap = Encoder::new(Vec::new(), Format::PcapNanos, "").unwrap();
    pcap.interface(&of(LinkType::RAW)).unwrap();
    assert!(matches!(pcap.interface(&of(LinkType::ETHERNET)), Err(WriteError::LinkTypes { .. })));
    assert!(matches!(pcap.packet(0, Instant::MAX, &[], 0, ""), Err(WriteError::Time(_))));
    assert!(matches!(pcap.packet(9, Instant::ZERO, &[], 0, ""), Err(WriteError::Interface(9))));
    let giant = vec![0; FRAME_MAX + 1];
    assert!(matches!(pcap.packet(0, Instant::ZERO, &[&giant], 0, ""), Err(WriteError::TooLong(_))));
    let empty = Encoder::new(Vec::new(), Format::PcapMicros, "").unwrap().finish().unwrap();
    assert_eq!(read_all(empty).unwrap().0.len(), 0);
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        packets in proptest::collection::vec((0..4_000_000_000_000_000_000_u64, proptest::collection::vec(any::<u8>(), 0..80)), 0..8),
        format in prop_oneof![Just(Format::PcapMicros), Just(Format::PcapNanos), Just(Format::Pcapng)],
    ) {
        let (read, _, broken) = read_all(capture_of(format, &packets)).unwrap();
        prop_assert!(broken.is_none());
        prop_assert_eq!(read.len(), packets.len());
        for (n, (got, (ns, bytes))) in read.iter().zip(&packets).enumerate() {
            let ns = if format == Format::PcapMicros { ns / 1000 * 1000 } else { *ns };
            prop_assert_eq!((got.time.as_ns(), &got.bytes), (ns, bytes));
            prop_assert_eq!(got.original_len as usize, bytes.len() + 3);
            prop_assert_eq!(got.interface, if format == Format::Pcapng { n % 2 } else { 0 });
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        head in 0..5usize,
        random in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let magic: &[u8] = [&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4],
                     &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0], &[0x1f, 0x8b, 8], &[]][head];
        let _ = read_all([magic, &random].concat());
    }

    #[test]
    fn mutated_captures_give_packets_then_one_error_at_most(
        big: bool, which in 0..3usize, cut in 0..400usize,
        changes in proptest::collection::vec((0..400usize, any::<u8>()), 0..6),
    ) {
        let mut file = match which {
            0 => pcap(0xa1b2_c3d4, big),
            1 => [section(big, 9, 0, 1), section(!big, 6, 5, 2)].concat(),
            _ => capture_of(Format::Pcapng, &[(1, vec![1; 9]), (2, vec![2; 70])]),
        };
        for (at, value) in changes {
            if let Some(byte) = file.get_mut(at) { *byte = value; }
        }
        file.truncate(cut.max(40));
        if let Ok((packets, _, Some(broken))) = read_all(file) {
            prop_assert_eq!(broken.packet, packets.len() as u64 + 1);
        }
    }
}
