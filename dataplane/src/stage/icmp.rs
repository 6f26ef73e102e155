//! ICMP errors that a router sends about packets it could not forward (RFC 792, RFC 1812 section 4.3, RFC 4443), at
//! most one of a kind in a while, as IOS does.

use espalier_wire::icmp::HEADER_LEN;
use espalier_wire::ipv4::{self, protocol};
use espalier_wire::{Duration, Instant, checksum, ipv6};

use super::classify::{Flow, Headers, Part};
use crate::frame::Frame;
use crate::mem::Pool;

/// What a sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complaint {
    /// Too long for the way: packets of this many bytes fit.
    TooBig(usize),
    /// The TTL ran out.
    TimeExceeded,
    /// No route: host unreachable, as IOS says it.
    Unreachable,
    /// A rule forbids it.
    Prohibited,
}

impl Complaint {
    const KINDS: usize = 4;

    const fn kind(self) -> usize {
        match self {
            Self::TooBig(_) => 0,
            Self::TimeExceeded => 1,
            Self::Unreachable => 2,
            Self::Prohibited => 3,
        }
    }

    /// Type, code and the MTU field of RFC 792 and RFC 1191.
    fn ipv4(self) -> (u8, u8, u16) {
        match self {
            Self::TooBig(fits) => (3, 4, fits.min(65_535) as u16),
            Self::TimeExceeded => (11, 0, 0),
            Self::Unreachable => (3, 1, 0),
            Self::Prohibited => (3, 13, 0),
        }
    }

    /// Type, code and the MTU field of RFC 4443.
    fn ipv6(self) -> (u8, u8, u32) {
        match self {
            Self::TooBig(fits) => (2, 0, fits as u32),
            Self::TimeExceeded => (3, 0, 0),
            Self::Unreachable => (1, 0, 0),
            Self::Prohibited => (1, 1, 0),
        }
    }
}

/// One error of a kind in an interval, and what was sent and not sent.
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    interval: Duration,
    last: [Option<Instant>; Complaint::KINDS],
    /// Errors sent.
    pub sent: u64,
    /// Errors not sent because one of the kind just was.
    pub suppressed: u64,
}

impl Limiter {
    /// At most one of a kind in `interval`; zero is no limit.
    pub fn new(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    /// Whether one may be sent now; it counts as sent then.
    pub fn allows(&mut self, now: Instant, complaint: Complaint) -> bool {
        let last = &mut self.last[complaint.kind()];
        let allowed = last.is_none_or(|last| now - last >= self.interval);
        if allowed {
            *last = Some(now);
            self.sent += 1;
        } else {
            self.suppressed += 1;
        }
        allowed
    }
}

/// Whether RFC 1812 section 4.3.2.7 and RFC 4443 section 2.4 let a packet be answered with an error: not an ICMP
/// error, not a later fragment, not to or from a group, a broadcast or nobody.
pub fn may_answer(packet: &[u8], headers: &Headers) -> bool {
    let upper = packet.get(headers.upper as usize).copied();
    let is_error = match (headers.flow.protocol, upper) {
        (protocol::ICMP, Some(kind)) => !matches!(kind, 0 | 8 | 13..=18),
        (protocol::ICMPV6, Some(kind)) => kind < 128,
        (protocol::ICMP | protocol::ICMPV6, None) => true,
        _ => false,
    };
    !is_error
        && headers.part != Part::Later
        && is_unicast(&headers.flow, headers.flow.src)
        && is_unicast(&headers.flow, headers.flow.dst)
}

fn is_unicast(flow: &Flow, bits: u128) -> bool {
    if flow.ipv4 { bits != 0 && (bits >> 28) < 14 } else { bits != 0 && (bits >> 120) != 0xff }
}

/// The error about `packet`, from `src`, one of our addresses of the packet's family.
pub fn build(
    complaint: Complaint,
    packet: &[u8],
    headers: &Headers,
    (src, ttl): (u128, u8),
    pool: &mut Pool,
) -> Option<Frame> {
    // RFC 1812 section 4.3.2.3: as much of it as fits into 576 bytes; RFC 4443 section 2.4: into 1280.
    let (own, longest) = if headers.flow.ipv4 { (ipv4::HEADER_LEN, 576) } else { (ipv6::HEADER_LEN, 1280) };
    let quoted = packet.get(..packet.len().min(longest - own - HEADER_LEN))?;
    let mut frame = pool.take(longest)?;
    if !frame.grow_back(own + HEADER_LEN + quoted.len()) {
        return None;
    }
    let (front, message) = frame.bytes_mut().split_at_mut(own);
    message[..HEADER_LEN].fill(0);
    message[HEADER_LEN..].copy_from_slice(quoted);
    if headers.flow.ipv4 {
        let (kind, code, mtu) = complaint.ipv4();
        message[..2].copy_from_slice(&[kind, code]);
        message[6..8].copy_from_slice(&mtu.to_be_bytes());
        let sum = checksum::checksum(message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let header = ipv4::Header {
            // Internetwork control (RFC 1812 section 4.3.2.5).
            traffic_class: 0xc0,
            identification: 0,
            df: false,
            ttl,
            protocol: protocol::ICMP,
            src: std::net::Ipv4Addr::from_bits(src as u32),
            dst: std::net::Ipv4Addr::from_bits(headers.flow.src as u32),
        };
        front.copy_from_slice(&header.emit(message.len()));
    } else {
        let (kind, code, mtu) = complaint.ipv6();
        message[..2].copy_from_slice(&[kind, code]);
        message[4..8].copy_from_slice(&mtu.to_be_bytes());
        let header = ipv6::Header {
            traffic_class: 0xc0,
            flow_label: 0,
            next_header: protocol::ICMPV6,
            hop_limit: ttl,
            src: std::net::Ipv6Addr::from_bits(src),
            dst: std::net::Ipv6Addr::from_bits(headers.flow.src),
        };
        front.copy_from_slice(&header.emit(message.len()));
        let pseudo = checksum::add(checksum::sum(&front[8..]), message.len() as u16);
        let sum = checksum::add(checksum::add(pseudo, u16::from(protocol::ICMPV6)), checksum::sum(message));
        message[2..4].copy_from_slice(&(!sum).to_be_bytes());
    }
    Some(frame)
}

#[cfg(test)]
mod tests {
    use espalier_wire::icmp::Icmp;
    use espalier_wire::ipv4::Ipv4;

    use super::*;
    use crate::testing;

    #[test]
    fn an_error_quotes_the_packet_and_is_not_answered_itself() {
        let packet = testing::udp4([10, 0, 0, 1], [10, 0, 0, 2], 1, 2, 1000);
        let headers = Headers::read(&packet).unwrap();
        let mut pool = Pool::new(1);
        let frame = build(Complaint::TooBig(1400), &packet, &headers, (0x0a00_00fe, 255), &mut pool).unwrap();
        let view = Ipv4::new_checked(frame.bytes()).unwrap();
        assert!(view.checksum_ok() && frame.len() == 576);
        let (message, quoted) = Icmp::parse(view.payload()).unwrap();
        assert_eq!((message, quoted), (Icmp::FragmentationNeeded { mtu: 1400 }, &packet[..548]));
        assert!(may_answer(&packet, &headers));
        assert!(!may_answer(frame.bytes(), &Headers::read(frame.bytes()).unwrap()));
        let mut group = packet;
        group[16] = 224;
        assert!(!may_answer(&group, &Headers::read(&group).unwrap()));
    }

    #[test]
    fn an_ipv6_error_has_a_right_checksum() {
        let packet = testing::udp6(1, 2, 2000);
        let headers = Headers::read(&packet).unwrap();
        let frame = build(Complaint::TooBig(1400), &packet, &headers, (9, 64), &mut Pool::new(1)).unwrap();
        let bytes = frame.bytes();
        let pseudo = checksum::add(checksum::sum(&bytes[8..40]), (bytes.len() - 40) as u16);
        assert_eq!(checksum::add(checksum::add(pseudo, 58), checksum::sum(&bytes[40..])), 0xffff);
        assert_eq!((bytes.len(), bytes[40], &bytes[44..48]), (1280, 2, &1400u32.to_be_bytes()[..]));
    }

    #[test]
    fn one_of_a_kind_in_an_interval() {
        let mut limiter = Limiter::new(Duration::from_ms(500));
        let at = |ms| Instant::ZERO + Duration::from_ms(ms);
        assert!(
            limiter.allows(at(0), Complaint::TimeExceeded) && limiter.allows(at(0), Complaint::Unreachable)
        );
        assert!(
            !limiter.allows(at(499), Complaint::TimeExceeded)
                && limiter.allows(at(500), Complaint::TimeExceeded)
        );
        assert_eq!((limiter.sent, limiter.suppressed), (3, 1));
    }
}
