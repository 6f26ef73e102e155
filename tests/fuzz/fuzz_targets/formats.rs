//! Every checked view of `wire` over the same bytes: none may panic, and what it says must lie inside the bytes.
#![no_main]

use espalier_wire::{arp::Arp, esp, ether::Ethernet, icmp::Icmp, ipv4::Ipv4, ipv6::Ipv6, udp::Udp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(v) = Ethernet::new_checked(bytes) {
        assert!(v.header_len() + v.payload().len() == bytes.len());
        let _ = (v.dst(), v.src(), v.ethertype(), v.vlan());
        network(v.payload());
    }
    network(bytes);
});

fn network(bytes: &[u8]) {
    if let Ok(arp) = Arp::parse(bytes) {
        assert_eq!(Arp::parse(&arp.emit()), Ok(arp));
    }
    if let Ok(v) = Ipv4::new_checked(bytes) {
        assert!(v.header_len() + v.payload().len() == v.bytes().len());
        let _ = (v.options(), v.checksum_ok(), v.fragment_offset(), v.src(), v.dst());
        transport(v.payload());
    }
    if let Ok(v) = Ipv6::new_checked(bytes)
        && let Ok(upper) = v.upper_layer()
    {
        transport(&v.bytes()[upper.offset..]);
    }
}

fn transport(bytes: &[u8]) {
    if let Ok(v) = Udp::new_checked(bytes) {
        let _ = v.checksum_ok([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let _ = esp::UdpEncap::parse(v.payload());
    }
    if let Ok((message, data)) = Icmp::parse(bytes) {
        assert_eq!(Icmp::parse(&message.emit(data)), Ok((message, data)));
    }
    if let Ok(v) = esp::Esp::new_checked(bytes) {
        let _ = (v.spi(), v.sequence(), v.body());
    }
}
