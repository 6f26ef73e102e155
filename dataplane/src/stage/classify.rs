//! Classify: read an IP packet's headers once, for every stage behind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use espalier_wire::Cause;
use espalier_wire::ipv4::{Ipv4, protocol};
use espalier_wire::ipv6::Ipv6;

/// What selectors and flow hashes look at. IPv4 addresses are the low 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Source address.
    pub src: u128,
    /// Destination address.
    pub dst: u128,
    /// IPv4, not IPv6.
    pub ipv4: bool,
    /// What the packet carries: the upper layer's protocol.
    pub protocol: u8,
    /// Source and destination port, where the protocol has them and this packet carries them.
    pub ports: Option<(u16, u16)>,
}

/// Whether the packet is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is.
    Whole,
    /// The first fragment, with the upper layer's header.
    First,
    /// A later fragment: no ports to be seen.
    Later,
}

/// The headers of one IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// The selector fields.
    pub flow: Flow,
    /// Bytes of the whole packet; what follows in the frame is the link's padding.
    pub len: u32,
    /// Where the upper layer begins.
    pub upper: u32,
    /// Where the byte that names the upper layer is.
    pub next_at: u32,
    /// Whole or fragment.
    pub part: Part,
    /// IPv4's "don't fragment".
    pub df: bool,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
}

impl Flow {
    fn address(self, bits: u128) -> IpAddr {
        if self.ipv4 {
            IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }

    /// Who sent it.
    pub fn src(self) -> IpAddr {
        self.address(self.src)
    }

    /// Who it is for.
    pub fn dst(self) -> IpAddr {
        self.address(self.dst)
    }

    /// The flow of the answers.
    pub fn mirrored(self) -> Self {
        Self { src: self.dst, dst: self.src, ports: self.ports.map(|(a, b)| (b, a)), ..self }
    }

    /// The same 32 bits for every packet of a flow, fragments apart.
    pub fn hash(self) -> u32 {
        let fold = |bits: u128| (bits as u64) ^ ((bits >> 64) as u64);
        let (a, b) = self.ports.unwrap_or_default();
        let ports = u64::from(a) << 32 | u64::from(b) << 16 | u64::from(self.protocol);
        let mut hash = fold(self.src).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ fold(self.dst)).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ ports).rotate_left(31).wrapping_mul(0x94d0_49bb_1331_11eb);
        (hash >> 32) as u32
    }
}

impl Headers {
    /// Read the headers of the packet that `bytes` begin with. IPv4's checksum is not looked at.
    ///
    /// # Errors
    /// [`Cause::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, Cause> {
        match bytes.first().map(|byte| byte >> 4) {
            Some(4) => Self::read_ipv4(bytes),
            Some(6) => Self::read_ipv6(bytes),
            _ => Err(Cause::Malformed),
        }
    }

    fn read_ipv4(bytes: &[u8]) -> Result<Self, Cause> {
        let packet = Ipv4::new_checked(bytes).map_err(|_| Cause::Malformed)?;
        let part = match (packet.is_fragment(), packet.fragment_offset()) {
            (false, _) => Part::Whole,
            (true, 0) => Part::First,
            (true, _) => Part::Later,
        };
        let flow = Flow {
            src: u128::from(packet.src().to_bits()),
            dst: u128::from(packet.dst().to_bits()),
            ipv4: true,
            protocol: packet.protocol(),
            ports: ports(packet.protocol(), part, packet.payload()),
        };
        Ok(Self {
            flow,
            len: packet.bytes().len() as u32,
            upper: packet.header_len() as u32,
            next_at: 9,
            part,
            df: packet.df(),
            ttl: packet.ttl(),
            traffic_class: packet.traffic_class(),
        })
    }

    fn read_ipv6(bytes: &[u8]) -> Result<Self, Cause> {
        let packet = Ipv6::new_checked(bytes).map_err(|_| Cause::Malformed)?;
        let upper = packet.upper_layer().map_err(|_| Cause::Malformed)?;
        let part = match upper.fragment {
            None => Part::Whole,
            Some((0, _)) => Part::First,
            Some(_) => Part::Later,
        };
        let rest = packet.bytes().get(upper.offset..).unwrap_or_default();
        let flow = Flow {
            src: packet.src().to_bits(),
            dst: packet.dst().to_bits(),
            ipv4: false,
            protocol: upper.protocol,
            ports: ports(upper.protocol, part, rest),
        };
        Ok(Self {
            flow,
            len: packet.bytes().len() as u32,
            upper: upper.offset as u32,
            next_at: upper.next_header_at as u32,
            part,
            df: false,
            ttl: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
        })
    }

    /// Bytes behind the IP headers.
    pub fn payload_len(&self) -> usize {
        (self.len - self.upper) as usize
    }
}

/// The ports of TCP, DCCP, UDP, UDP-Lite and SCTP, which all stand first.
fn ports(proto: u8, part: Part, upper: &[u8]) -> Option<(u16, u16)> {
    if part == Part::Later || !matches!(proto, protocol::TCP | 33 | protocol::UDP | 132 | 136) {
        return None;
    }
    let [a, b, c, d] = *upper.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_udp_packet_shows_its_five_fields_and_its_later_fragments_three() {
        let mut packet = testing::udp4([10, 1, 1, 1], [20, 1, 1, 1], 1000, 2000, 20);
        packet.extend_from_slice(&[0; 9]);
        let headers = Headers::read(&packet).unwrap();
        assert_eq!((headers.flow.ports, headers.len, headers.upper), (Some((1000, 2000)), 48, 20));
        assert_eq!(headers.flow.dst(), IpAddr::from([20, 1, 1, 1]));
        assert_eq!(headers.flow.mirrored().mirrored(), headers.flow);
        packet[7] = 3;
        let later = Headers::read(&packet).unwrap();
        assert_eq!((later.part, later.flow.ports), (Part::Later, None));
        assert_eq!(Headers::read(&[]), Err(Cause::Malformed));
    }
}
