//! The outer headers of a tunnel, made once per SA and patched per packet: IPv4 or IPv6, and UDP where a NAT is on
//! the way (RFC 3948).

use std::net::IpAddr;

use espalier_wire::plane::UdpPorts;
use espalier_wire::{checksum, ipv4, ipv6, udp};

use espalier_wire::ipv4::protocol;

const LEN_MAX: usize = ipv6::HEADER_LEN + udp::HEADER_LEN;

/// Headers up to the SPI, with zeros where a packet has its own values.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Template {
    bytes: [u8; LEN_MAX],
    /// The ones' complement sum of the IPv4 header as it stands here.
    sum: u16,
    ip_len: u8,
    udp: bool,
}

/// What of an outer header differs from packet to packet.
#[derive(Debug, Clone, Copy)]
pub struct Outer {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// IPv4's "don't fragment".
    pub df: bool,
    /// IPv4's identification.
    pub identification: u16,
}

impl Template {
    /// Headers from `src` to `dst`; `None` when they are not of one family.
    pub fn new(src: IpAddr, dst: IpAddr, ports: Option<UdpPorts>, ttl: u8) -> Option<Self> {
        let next = if ports.is_some() { protocol::UDP } else { protocol::ESP };
        let mut bytes = [0; LEN_MAX];
        let ip_len = match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let header = ipv4::Header {
                    traffic_class: 0,
                    identification: 0,
                    df: false,
                    ttl,
                    protocol: next,
                    src,
                    dst,
                };
                bytes[..ipv4::HEADER_LEN].copy_from_slice(&header.emit(0));
                bytes[2..4].fill(0);
                bytes[10..12].fill(0);
                ipv4::HEADER_LEN
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                // RFC 4301 section 5.1.2.2 note 8: a gateway does not copy the flow label.
                let header = ipv6::Header {
                    traffic_class: 0,
                    flow_label: 0,
                    next_header: next,
                    hop_limit: ttl,
                    src,
                    dst,
                };
                bytes[..ipv6::HEADER_LEN].copy_from_slice(&header.emit(0));
                ipv6::HEADER_LEN
            }
            _ => return None,
        };
        if let Some(UdpPorts { src, dst }) = ports {
            bytes[ip_len..ip_len + 2].copy_from_slice(&src.to_be_bytes());
            bytes[ip_len + 2..ip_len + 4].copy_from_slice(&dst.to_be_bytes());
        }
        let sum = if ip_len == ipv4::HEADER_LEN { checksum::sum(&bytes[..ip_len]) } else { 0 };
        Some(Self { bytes, ip_len: ip_len as u8, udp: ports.is_some(), sum })
    }

    /// Bytes of IP header.
    pub fn ip_len(&self) -> usize {
        usize::from(self.ip_len)
    }

    /// Bytes of UDP header, 0 without.
    pub fn udp_len(&self) -> usize {
        if self.udp { udp::HEADER_LEN } else { 0 }
    }

    /// Bytes before the SPI.
    pub fn before_spi(&self) -> usize {
        self.ip_len() + self.udp_len()
    }

    /// Whether the outer header is IPv4.
    pub fn is_ipv4(&self) -> bool {
        self.ip_len() == ipv4::HEADER_LEN
    }

    /// IPv4 and UDP header as they stand here, and the sum of the IPv4 header; for a template that
    /// [is IPv4](Self::is_ipv4).
    #[inline(always)]
    pub(crate) fn ipv4(&self) -> (&[u8; ipv4::HEADER_LEN + udp::HEADER_LEN], u16) {
        const { assert!(LEN_MAX >= ipv4::HEADER_LEN + udp::HEADER_LEN) };
        (self.bytes.first_chunk().unwrap_or(&[0; ipv4::HEADER_LEN + udp::HEADER_LEN]), self.sum)
    }

    /// The most bytes that the whole outer packet can have.
    pub fn packet_max(&self) -> usize {
        if self.is_ipv4() { 65_535 } else { 65_535 + ipv6::HEADER_LEN }
    }

    /// Write the headers over the first [`Template::before_spi`] bytes of `packet`, which ends with the ICV.
    pub fn write(&self, packet: &mut [u8], outer: Outer) {
        let total = packet.len();
        if let Some(header) = packet.first_chunk_mut::<{ ipv4::HEADER_LEN }>().filter(|_| self.is_ipv4()) {
            let flags = if outer.df { ipv4::DF } else { 0 };
            if let Some(own) = self.bytes.first_chunk() {
                *header = *own;
            }
            header[1] = outer.traffic_class;
            header[2..4].copy_from_slice(&(total as u16).to_be_bytes());
            header[4..6].copy_from_slice(&outer.identification.to_be_bytes());
            header[6..8].copy_from_slice(&flags.to_be_bytes());
            let class = u16::from(outer.traffic_class);
            let sum = checksum::add_all([self.sum, class, total as u16, outer.identification, flags]);
            header[10..12].copy_from_slice(&(!sum).to_be_bytes());
        } else if let Some(header) = packet.first_chunk_mut::<{ ipv6::HEADER_LEN }>() {
            if let Some(own) = self.bytes.first_chunk() {
                *header = *own;
            }
            header[0] |= outer.traffic_class >> 4;
            header[1] |= outer.traffic_class << 4;
            header[4..6].copy_from_slice(&((total - ipv6::HEADER_LEN) as u16).to_be_bytes());
        }
        if self.udp {
            self.write_udp_at(packet, self.ip_len());
        }
    }

    /// Write the UDP header, if there is one, at `at` of a packet that ends with the ICV.
    ///
    /// RFC 3948 section 2.1: over IPv4 the checksum is 0. Over IPv6 it is left 0 here as well, and filled in when the
    /// text is sealed (RFC 8200 section 8.1).
    pub fn write_udp_at(&self, packet: &mut [u8], at: usize) {
        let len = packet.len().saturating_sub(at) as u16;
        if let Some(header) = packet.get_mut(at..at + self.udp_len())
            && let [src_hi, src_lo, dst_hi, dst_lo, len_hi, len_lo, sum_hi, sum_lo] = header
        {
            let ports = &self.bytes[self.ip_len()..];
            (*src_hi, *src_lo, *dst_hi, *dst_lo) = (ports[0], ports[1], ports[2], ports[3]);
            [*len_hi, *len_lo] = len.to_be_bytes();
            (*sum_hi, *sum_lo) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn ipv4_headers_read_back() {
        let (a, b) = (Ipv4Addr::new(192, 1, 2, 23), Ipv4Addr::new(192, 1, 2, 45));
        for ports in [None, Some(UdpPorts { src: 4500, dst: 4501 })] {
            let template = Template::new(a.into(), b.into(), ports, 64).unwrap();
            let mut packet = vec![0; 100];
            template.write(&mut packet, Outer { traffic_class: 0xb9, df: true, identification: 0xfffe });
            let v = ipv4::Ipv4::new_checked(&packet).unwrap();
            assert!(v.checksum_ok() && v.df() && v.bytes().len() == 100);
            assert_eq!((v.src(), v.dst(), v.ttl(), v.traffic_class()), (a, b, 64, 0xb9));
            if ports.is_some() {
                let u = udp::Udp::new_checked(v.payload()).unwrap();
                assert_eq!((u.src_port(), u.dst_port(), u.payload().len()), (4500, 4501, 72));
            }
        }
    }

    #[test]
    fn ipv6_headers_read_back_and_families_do_not_mix() {
        let a: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let template = Template::new(a.into(), a.into(), None, 64).unwrap();
        let mut packet = vec![0; 100];
        template.write(&mut packet, Outer { traffic_class: 0xb9, df: true, identification: 1 });
        let v = ipv6::Ipv6::new_checked(&packet).unwrap();
        assert_eq!((v.traffic_class(), v.flow_label(), v.next_header(), v.bytes().len()), (0xb9, 0, 50, 100));
        assert!(Template::new(a.into(), Ipv4Addr::LOCALHOST.into(), None, 64).is_none());
    }
}
