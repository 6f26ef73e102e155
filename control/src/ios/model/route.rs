//! `ip route …` and `track …` as configured.

use std::net::Ipv4Addr;

use espalier_wire::Ipv4Prefix;

use super::InterfaceName;
use crate::ios::text::Place;

/// `ip route DESTINATION MASK NEXT-HOP [DISTANCE] …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticRoute {
    /// Which packets; host bits are zero.
    pub destination: Ipv4Prefix,
    /// Where to.
    pub next_hop: NextHop,
    /// Administrative distance (1 to 255).
    pub distance: Option<u8>,
    /// `name`.
    pub name: Option<String>,
    /// `permanent`: stays when its interface goes down.
    pub permanent: bool,
    /// `tag`.
    pub tag: Option<u32>,
    /// `track`: the route is there only while the object is up.
    pub track: Option<u16>,
    /// Where it is said.
    pub place: Place,
}

/// Where a static route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// To an address, found through whatever route leads there.
    Address(Ipv4Addr),
    /// Out of an interface, as if the destination were connected (`Null0`: nowhere).
    Interface(InterfaceName),
    /// To an address on an interface.
    Both(InterfaceName, Ipv4Addr),
}

/// `track N …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// What is watched.
    pub object: TrackObject,
    /// `delay up`, seconds.
    pub delay_up_s: Option<u16>,
    /// `delay down`, seconds.
    pub delay_down_s: Option<u16>,
    /// Where it is said.
    pub place: Place,
}

/// What a `track` watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackObject {
    /// `interface I line-protocol`.
    LineProtocol(InterfaceName),
    /// `interface I ip routing`: up, with an address.
    IpRouting(InterfaceName),
    /// `ip route A M reachability`: the prefix is in the routing table.
    Reachability(Ipv4Prefix),
}

impl StaticRoute {
    /// The distance; 1 by default.
    pub fn distance(&self) -> u8 {
        self.distance.unwrap_or(1)
    }
}
