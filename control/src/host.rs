//! The router as a host: what it answers when a packet is for one of its own addresses and no protocol's.
//!
//! It answers pings (RFC 1812 section 4.3.3.6) and says "port unreachable" or "protocol unreachable" (RFC 1122
//! sections 4.1.3.1 and 3.2.2.1), at most one unreachable in the profile's interval, as IOS does.

use espalier_wire::icmp::Icmp;
use espalier_wire::ipv4::{Header, Ipv4, protocol};
use espalier_wire::{Duration, Instant};

/// ICMP errors carry the offender's header and this much of its payload (RFC 792).
const QUOTED: usize = 8;
/// TTL of what a router originates (IOS uses 255 for ICMP).
const TTL: u8 = 255;

/// What a packet for the router itself came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Send this IP packet.
    Reply(Vec<u8>),
    /// An echo reply or an ICMP error: taken in.
    Taken,
    /// Nothing listens: send this ICMP error, unless too many were sent just now (`None`).
    NoListener(Option<Vec<u8>>),
}

/// Counts and rate limit of one router's host side.
#[derive(Debug)]
pub struct Host {
    interval: Duration,
    last_unreachable: Option<Instant>,
    /// Echo requests answered.
    pub echoes: u64,
    /// Unreachables sent.
    pub unreachables: u64,
    /// Unreachables that the rate limit held back.
    pub held_back: u64,
}

impl Host {
    /// A host that sends at most one unreachable in `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, last_unreachable: None, echoes: 0, unreachables: 0, held_back: 0 }
    }

    /// Answer a whole (reassembled) packet for one of our own unicast addresses.
    pub fn answer(&mut self, now: Instant, packet: &Ipv4<'_>) -> Answer {
        if packet.protocol() != protocol::ICMP {
            let code = if packet.protocol() == protocol::UDP { 3 } else { 2 };
            return Answer::NoListener(self.unreachable(now, packet, code));
        }
        match Icmp::parse(packet.payload()) {
            Ok((Icmp::EchoRequest { identifier, sequence }, data)) => {
                self.echoes += 1;
                Answer::Reply(reply(packet, &Icmp::EchoReply { identifier, sequence }.emit(data)))
            }
            Ok(_) => Answer::Taken,
            Err(_) => Answer::NoListener(None),
        }
    }

    fn unreachable(&mut self, now: Instant, packet: &Ipv4<'_>, code: u8) -> Option<Vec<u8>> {
        // Later fragments are never answered with an error (RFC 1122 section 3.2.2).
        if packet.fragment_offset() > 0 {
            return None;
        }
        if self.last_unreachable.is_some_and(|last| now - last < self.interval) {
            self.held_back += 1;
            return None;
        }
        self.last_unreachable = Some(now);
        self.unreachables += 1;
        let quoted = packet.bytes().len().min(packet.header_len() + QUOTED);
        Some(reply(packet, &Icmp::Unreachable { code }.emit(&packet.bytes()[..quoted])))
    }
}

/// An ICMP message back to where `packet` came from.
fn reply(packet: &Ipv4<'_>, message: &[u8]) -> Vec<u8> {
    Header {
        traffic_class: packet.traffic_class(),
        identification: packet.identification(),
        df: false,
        ttl: TTL,
        protocol: protocol::ICMP,
        src: packet.dst(),
        dst: packet.src(),
    }
    .packet(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let (src, dst) = (Ipv4Addr::new(20, 1, 1, 1), Ipv4Addr::new(99, 99, 99, 99));
        Header { traffic_class: 0, identification: 9, df: false, ttl: 60, protocol, src, dst }.packet(payload)
    }

    #[test]
    fn a_ping_is_answered_with_its_data() {
        let bytes = packet(protocol::ICMP, &Icmp::EchoRequest { identifier: 7, sequence: 3 }.emit(b"abc"));
        let mut host = Host::new(Duration::from_ms(500));
        let Answer::Reply(answer) = host.answer(Instant::ZERO, &Ipv4::new_checked(&bytes).unwrap()) else {
            panic!("not answered");
        };
        let answer = Ipv4::new_checked(&answer).unwrap();
        assert_eq!((answer.src(), answer.dst()), ([99, 99, 99, 99].into(), [20, 1, 1, 1].into()));
        let expected = Icmp::EchoReply { identifier: 7, sequence: 3 };
        assert_eq!(Icmp::parse(answer.payload()), Ok((expected, &b"abc"[..])));
    }

    #[test]
    fn unreachables_are_limited_and_errors_are_never_answered() {
        let mut host = Host::new(Duration::from_ms(500));
        let udp = packet(protocol::UDP, &[0; 20]);
        let udp = Ipv4::new_checked(&udp).unwrap();
        let sent = |answer| matches!(answer, Answer::NoListener(Some(_)));
        assert!(sent(host.answer(Instant::ZERO, &udp)));
        assert!(!sent(host.answer(Instant::from_ns(499_999_999), &udp)));
        assert!(sent(host.answer(Instant::from_ns(500_000_000), &udp)));
        assert_eq!((host.unreachables, host.held_back), (2, 1));
        let error = packet(protocol::ICMP, &Icmp::Unreachable { code: 1 }.emit(&[0; 28]));
        let error = Ipv4::new_checked(&error).unwrap();
        assert_eq!(host.answer(Instant::ZERO, &error), Answer::Taken);
    }
}
