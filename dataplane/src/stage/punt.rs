//! Punt: whose business a frame or packet is, the control plane's, the SAs' or the next hop's.

use std::net::IpAddr;

use espalier_wire::ether::{EtherType, Ethernet};
use espalier_wire::plane::Interface;
use espalier_wire::{Cause, Mac, arp};

use super::classify::Flow;
use crate::fate::{Fate, Why};

/// Look at a frame's link header: `Forward` is an IP packet, and how many bytes the header has comes with it.
pub fn link(bytes: &[u8], iface: &Interface) -> (Fate, usize) {
    let Ok(frame) = Ethernet::new_checked(bytes) else { return (Fate::Drop(Cause::Malformed), 0) };
    let dst = frame.dst();
    if dst != iface.mac && dst != Mac::BROADCAST && !iface.also_accepts.contains(&dst) {
        return (Fate::Drop(Cause::NotForUs), 0);
    }
    let fate = match frame.ethertype() {
        // A priority tag has no VLAN; a frame of another VLAN is not this interface's.
        _ if frame.vlan().is_some_and(|vlan| vlan != 0) => Fate::Drop(Cause::UnknownEthertype),
        EtherType::IPV4 | EtherType::IPV6 => Fate::Forward,
        EtherType::ARP if frame.payload().len() >= arp::LEN => Fate::Punt(Why::Arp),
        EtherType::ARP => Fate::Drop(Cause::Malformed),
        _ => Fate::Drop(Cause::UnknownEthertype),
    };
    (fate, frame.header_len())
}

/// Where a packet's destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// One of our addresses.
    Local,
    /// A group or everybody.
    Group,
    /// Somewhere else.
    Elsewhere,
}

/// The node's own addresses.
#[derive(Debug, Default)]
pub struct Local {
    /// Sorted.
    ipv4: Vec<u32>,
    /// Sorted.
    ipv6: Vec<u128>,
}

impl Local {
    /// All of them.
    pub fn new(addresses: &[IpAddr]) -> Self {
        let mut local = Self::default();
        for address in addresses {
            match address {
                IpAddr::V4(address) => local.ipv4.push(address.to_bits()),
                IpAddr::V6(address) => local.ipv6.push(address.to_bits()),
            }
        }
        local.ipv4.sort_unstable();
        local.ipv6.sort_unstable();
        local
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty()
    }

    /// Whether an IPv4 address is ours.
    #[inline]
    pub fn has_ipv4(&self, addr: u32) -> bool {
        self.ipv4.binary_search(&addr).is_ok()
    }

    /// Where a flow goes.
    pub fn destination(&self, flow: &Flow) -> Destination {
        let dst = flow.dst;
        let (local, group) = if flow.ipv4 {
            // RFC 5771: 224/4; and the limited broadcast.
            (self.ipv4.binary_search(&(dst as u32)).is_ok(), dst >> 28 == 14 || dst == u128::from(u32::MAX))
        } else {
            (self.ipv6.binary_search(&dst).is_ok(), dst >> 120 == 0xff)
        };
        match (local, group) {
            (true, _) => Destination::Local,
            (_, true) => Destination::Group,
            _ => Destination::Elsewhere,
        }
    }

    /// Our addresses of one family.
    pub fn of_family(&self, ipv4: bool) -> impl Iterator<Item = u128> + '_ {
        let v4 = self.ipv4.iter().filter(move |_| ipv4).map(|bits| u128::from(*bits));
        v4.chain(self.ipv6.iter().filter(move |_| !ipv4).copied())
    }
}
