//! Who is where on a link: what ARP and configuration found out.

use std::collections::HashMap;
use std::net::IpAddr;

use espalier_wire::{IfIndex, Mac};

use crate::hash::MixBuild;

/// Link addresses by interface and IP address.
#[derive(Debug, Default)]
pub struct Neighbours(HashMap<(u16, u128), Mac, MixBuild>);

/// IPv4 addresses as IPv4-mapped IPv6, which no link has.
fn key(iface: IfIndex, addr: IpAddr) -> (u16, u128) {
    let bits = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().to_bits(),
        IpAddr::V6(addr) => addr.to_bits(),
    };
    (iface.0, bits)
}

impl Neighbours {
    /// A neighbour is known.
    pub fn insert(&mut self, iface: IfIndex, addr: IpAddr, mac: Mac) {
        self.0.insert(key(iface, addr), mac);
    }

    /// A neighbour is not known any more.
    pub fn remove(&mut self, iface: IfIndex, addr: IpAddr) {
        self.0.remove(&key(iface, addr));
    }

    /// Where a neighbour is.
    pub fn find(&self, iface: IfIndex, addr: IpAddr) -> Option<Mac> {
        self.0.get(&key(iface, addr)).copied()
    }
}
