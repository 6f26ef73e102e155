//! A capture from any bytes: packets or an error with a place, and what was read can be written and read again.
#![no_main]

use espalier::capture::{Encoder, Format, Interface, LinkType, Packet, Reader, link};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Reader::from_bytes(bytes.to_vec()) else { return };
    let mut copy = Encoder::new(Vec::new(), Format::Pcapng, "").unwrap();
    let raw = Interface { link: LinkType::RAW, name: None };
    let interface = copy.interface(&raw).unwrap();
    let (mut packet, mut written) = (Packet::default(), Vec::new());
    let mut header = Vec::new();
    while let Ok(true) = reader.read(&mut packet) {
        let from = reader.interfaces()[packet.interface].link;
        if let Some(located) = link::locate(from, &packet.bytes) {
            let ip = packet.bytes[located.ip.clone()].to_vec();
            located.header_before(&packet.bytes, &ip, &mut header);
        }
        if copy.packet(interface, packet.time, &[&packet.bytes], 0, "").is_ok() {
            written.push((packet.time, packet.bytes.clone()));
        }
    }
    let mut reader = Reader::from_bytes(copy.finish().unwrap()).unwrap();
    for expected in written {
        assert!(reader.read(&mut packet).unwrap());
        assert_eq!((packet.time, packet.bytes.clone()), expected);
    }
    assert!(!reader.read(&mut packet).unwrap());
});
