//! What the router itself takes in and sends: punted packets to their machines, machines' payloads into packets.

use std::net::{Ipv4Addr, SocketAddrV4};

use espalier_wire::ether::{self, EtherType};
use espalier_wire::ipv4::{Header, Ipv4, protocol};
use espalier_wire::udp::{self, Udp};
use espalier_wire::{IfIndex, Mac, hsrp as wire};

use super::{Cx, Output, Punted, Router};
use crate::host::Answer;
use crate::{arp, hsrp, ike, ospf};

/// Internetwork control (RFC 791's precedence 6), as routing protocols are sent.
const CONTROL: u8 = 0xc0;
/// TTL of what goes farther than the link (IOS).
const TTL: u8 = 255;

impl Router {
    pub(super) fn packet(
        &mut self,
        cx: &mut Cx<'_>,
        iface: IfIndex,
        src_mac: Mac,
        why: Punted,
        packet: &[u8],
    ) {
        match why {
            Punted::Arp => {
                return self.on_arp(cx, arp::Event::Packet { iface, payload: packet.to_vec() });
            }
            Punted::Keepalive => return,
            Punted::Local | Punted::Multicast | Punted::Ike => {}
        }
        // The dataplane has looked at the header already; whatever is still wrong belongs to no machine.
        let Ok(ip) = Ipv4::new_checked(packet) else { return };
        match (ip.protocol(), why) {
            (protocol::OSPF, _) => {
                let (src, dst, payload) = (ip.src(), ip.dst(), ip.payload().to_vec());
                self.on_ospf(cx, ospf::Event::Packet { iface, src, dst, payload });
            }
            (protocol::UDP, _) if self.datagram(cx, iface, src_mac, &ip) => {}
            (_, Punted::Local) => match self.host.answer(cx.now, &ip) {
                Answer::Reply(packet) | Answer::NoListener(Some(packet)) => {
                    cx.out.push(Output::Originate { packet });
                }
                Answer::Taken | Answer::NoListener(None) => {}
            },
            (_, _) => {}
        }
    }

    /// A UDP datagram; whether a machine listens on its port.
    fn datagram(&mut self, cx: &mut Cx<'_>, iface: IfIndex, src_mac: Mac, ip: &Ipv4<'_>) -> bool {
        let Ok(datagram) = Udp::new_checked(ip.payload()) else { return false };
        if !datagram.checksum_ok(ip.src(), ip.dst()) {
            return true;
        }
        let payload = datagram.payload().to_vec();
        match datagram.dst_port() {
            wire::PORT => {
                self.on_hsrp(cx, hsrp::Event::Packet { iface, src: ip.src(), src_mac, payload });
            }
            ike::PORT | ike::NAT_PORT => {
                let local = SocketAddrV4::new(ip.dst(), datagram.dst_port());
                let remote = SocketAddrV4::new(ip.src(), datagram.src_port());
                self.on_ike(cx, ike::Event::Packet { local, remote, payload });
            }
            _ => return false,
        }
        true
    }

    fn header(&mut self, traffic_class: u8, ttl: u8, protocol: u8, src: Ipv4Addr, dst: Ipv4Addr) -> Header {
        self.identification = self.identification.wrapping_add(1);
        let identification = self.identification;
        Header { traffic_class, identification, df: false, ttl, protocol, src, dst }
    }

    /// A datagram to a group on the link, from a MAC address of one's choice.
    pub(super) fn send_udp_on_link(
        &mut self,
        cx: &mut Cx<'_>,
        iface: IfIndex,
        src_mac: Mac,
        src: (Ipv4Addr, u16),
        dst: Ipv4Addr,
        payload: &[u8],
    ) {
        let datagram = udp::datagram(src, (dst, src.1), payload);
        let packet = self.header(CONTROL, wire::TTL, protocol::UDP, src.0, dst).packet(&datagram);
        let frame = ether::frame(Mac::of_multicast(dst), src_mac, EtherType::IPV4, &packet);
        self.transmit(cx, iface, frame);
    }

    /// A datagram along the routing table.
    pub(super) fn send_udp(
        &mut self,
        cx: &mut Cx<'_>,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        payload: &[u8],
    ) {
        let datagram = udp::datagram((*local.ip(), local.port()), (*remote.ip(), remote.port()), payload);
        let header = self.header(CONTROL, TTL, protocol::UDP, *local.ip(), *remote.ip());
        // Without a route the message is lost, as any packet; IKE says it again.
        if let Some((iface, addr)) = self.rib.way(*remote.ip()) {
            self.on_arp(cx, arp::Event::Resolve { iface, addr, packet: header.packet(&datagram) });
        }
    }

    pub(super) fn send_ospf(&mut self, cx: &mut Cx<'_>, iface: IfIndex, dst: Ipv4Addr, payload: &[u8]) {
        let Some(src) = self.config.interface_at(iface).and_then(|i| i.address) else { return };
        let packet = self.header(CONTROL, 1, protocol::OSPF, src.addr(), dst).packet(payload);
        if dst.is_multicast() {
            let src_mac = self.mac(iface);
            let frame = ether::frame(Mac::of_multicast(dst), src_mac, EtherType::IPV4, &packet);
            self.transmit(cx, iface, frame);
        } else {
            self.on_arp(cx, arp::Event::Resolve { iface, addr: dst, packet });
        }
    }

    /// An IP packet to a neighbour whose link address is known.
    pub(super) fn send_on_link(&self, cx: &mut Cx<'_>, iface: IfIndex, dst: Mac, packet: &[u8]) {
        let frame = ether::frame(dst, self.mac(iface), EtherType::IPV4, packet);
        self.transmit(cx, iface, frame);
    }

    fn transmit(&self, cx: &mut Cx<'_>, iface: IfIndex, frame: Vec<u8>) {
        if self.is_up(iface) {
            cx.out.push(Output::Transmit { iface, frame });
        }
    }
}
