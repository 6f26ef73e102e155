//! Locate: find the ESP in a packet that is for us, plain or in UDP (RFC 3948).

use espalier_wire::esp::{self, UdpEncap};
use espalier_wire::ipv4::protocol;
use espalier_wire::udp::{HEADER_LEN, Udp};

use super::classify::{Headers, Part};

/// What a packet for us is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// ESP, from its SPI to the end of its ICV.
    Esp {
        /// Where the SPI is.
        at: usize,
        /// Where the ICV ends.
        end: usize,
    },
    /// A fragment that may hold ESP when it is whole.
    Fragment,
    /// IKE behind the non-ESP marker.
    Ike,
    /// A NAT keepalive.
    Keepalive,
    /// Neither.
    Other,
}

/// The UDP ports that ESP comes to, and how many SAs use each.
#[derive(Debug, Default)]
pub struct UdpPorts(Vec<(u16, u32)>);

impl UdpPorts {
    /// One more SA uses `port`.
    pub fn add(&mut self, port: u16) {
        match self.0.binary_search_by_key(&port, |(port, _)| *port) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => self.0.insert(at, (port, 1)),
        }
    }

    /// One SA less uses `port`.
    pub fn remove(&mut self, port: u16) {
        if let Ok(at) = self.0.binary_search_by_key(&port, |(port, _)| *port) {
            self.0[at].1 -= 1;
            self.0.retain(|(_, users)| *users > 0);
        }
    }

    /// Whether an SA uses `port`.
    pub fn contains(&self, port: u16) -> bool {
        self.0.binary_search_by_key(&port, |(port, _)| *port).is_ok()
    }

    /// Whether no SA uses any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Find the ESP in `packet`. UDP counts where an SA listens on its port.
pub fn locate(packet: &[u8], headers: &Headers, ports: &UdpPorts) -> Located {
    let (at, end) = (headers.upper as usize, headers.len as usize);
    match (headers.flow.protocol, headers.part) {
        (protocol::ESP, Part::Whole) => Located::Esp { at, end },
        (protocol::ESP, _) => Located::Fragment,
        (protocol::UDP, Part::Whole) => in_udp(packet.get(at..end).unwrap_or_default(), at, headers, ports),
        (protocol::UDP, Part::First) if !listens(headers, ports) => Located::Other,
        (protocol::UDP, _) if !ports.is_empty() => Located::Fragment,
        _ => Located::Other,
    }
}

fn listens(headers: &Headers, ports: &UdpPorts) -> bool {
    headers.flow.ports.is_some_and(|(_, dst)| ports.contains(dst))
}

fn in_udp(datagram: &[u8], at: usize, headers: &Headers, ports: &UdpPorts) -> Located {
    if !listens(headers, ports) {
        return Located::Other;
    }
    let Ok(udp) = Udp::new_checked(datagram) else { return Located::Other };
    match UdpEncap::parse(udp.payload()) {
        Ok(UdpEncap::Esp(bytes)) if bytes.len() >= esp::HEADER_LEN => {
            let start = at + HEADER_LEN;
            Located::Esp { at: start, end: start + bytes.len() }
        }
        Ok(UdpEncap::Ike(_)) => Located::Ike,
        Ok(UdpEncap::Keepalive) => Located::Keepalive,
        _ => Located::Other,
    }
}
