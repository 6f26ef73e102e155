//! What a configuration says, typed, in IOS's own words. Not what it does: `router` maps it onto the machines.
//!
//! What the text does not say is `None` (or empty); the methods named after a setting give the value in effect, with
//! IOS's default. Times carry their unit in the name (`_s`, `_ms`) as IOS counts them.

mod access_list;
mod crypto;
mod interface;
mod isakmp;
mod name;
mod ospf;
mod route;
mod standby;

pub use access_list::{
    AccessList, AccessListEntry, AccessListKind, AccessListRule, AddressMatch, PORT_NAMES, PortMatch,
    Protocol,
};
pub use crypto::{
    CryptoMap, CryptoMapEntry, Ipsec, KilobyteLifetime, ReplayWindow, ReverseRoute, TransformMode,
    TransformSet,
};
pub use interface::{
    CryptoMapBinding, Duplex, Interface, InterfaceOspf, OspfAuthentication, OspfNetworkType, Speed,
};
pub use isakmp::{
    Authentication, Encryption, Group, Hash, Identity, Isakmp, Keepalive, KeepaliveMode, Policy, PreSharedKey,
};
pub use name::{InterfaceKind, InterfaceName, NoInterfaceName};
pub use ospf::{Area, MetricType, Ospf, OspfNetwork, OspfTimers, Redistribute, RedistributeSource};
pub use route::{NextHop, StaticRoute, Track, TrackObject};
pub use standby::{
    Preempt, Standby, StandbyAddress, StandbyGroup, StandbyTimer, StandbyTimers, StandbyTrack, TrackTarget,
};

use std::collections::BTreeMap;

use espalier_wire::IfIndex;

use super::text::Place;

/// One router's configuration. Made by [`super::parse`], changed by [`Config::apply`], written by [`super::print`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `hostname`.
    pub hostname: Option<String>,
    /// `track`: tracked objects by number.
    pub tracks: BTreeMap<u16, Track>,
    /// `crypto isakmp …`.
    pub isakmp: Isakmp,
    /// `crypto ipsec …`.
    pub ipsec: Ipsec,
    /// `crypto map NAME …`, in the order of their first mention.
    pub crypto_maps: Vec<CryptoMap>,
    /// `interface …`, in the order of their first mention: an interface's [`IfIndex`] is its place here.
    pub interfaces: Vec<Interface>,
    /// `router ospf N`: processes by number.
    pub ospf: BTreeMap<u16, Ospf>,
    /// `ip route …`.
    pub routes: Vec<StaticRoute>,
    /// `access-list` and `ip access-list`, in the order of their first mention.
    pub access_lists: Vec<AccessList>,
    /// Commands that were understood and cannot matter here.
    pub ignored: Vec<Ignored>,
}

/// A command that was recognised and has no effect here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Where it stands.
    pub place: Place,
    /// The command of the mode it stands in (`line con 0`); empty at the outermost.
    pub context: String,
    /// The command, keywords in full; empty for the command that opens `context` itself.
    pub text: String,
}

impl Config {
    /// The name of the router; IOS calls a router without one `Router`.
    pub fn hostname(&self) -> &str {
        self.hostname.as_deref().unwrap_or("Router")
    }

    /// The interface called `name`.
    pub fn interface(&self, name: InterfaceName) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// The place of the interface called `name` in this configuration.
    pub fn index_of(&self, name: InterfaceName) -> Option<IfIndex> {
        let at = self.interfaces.iter().position(|interface| interface.name == name)?;
        u16::try_from(at).ok().map(IfIndex)
    }

    /// The interface at `index`.
    pub fn interface_at(&self, index: IfIndex) -> Option<&Interface> {
        self.interfaces.get(usize::from(index.0))
    }

    /// The crypto map called `name`.
    pub fn crypto_map(&self, name: &str) -> Option<&CryptoMap> {
        self.crypto_maps.iter().find(|map| map.name == name)
    }

    /// The transform set called `name`.
    pub fn transform_set(&self, name: &str) -> Option<&TransformSet> {
        self.ipsec.transform_sets.iter().find(|set| set.name == name)
    }

    /// The access list called `name` (numbered lists are called by their number).
    pub fn access_list(&self, name: &str) -> Option<&AccessList> {
        self.access_lists.iter().find(|list| list.name == name)
    }

    /// The HSRP group that `standby … name` calls `name`, and the interface it is on.
    pub fn redundancy_group(&self, name: &str) -> Option<(&Interface, u16, &StandbyGroup)> {
        self.interfaces.iter().find_map(|interface| {
            let (number, group) =
                interface.standby.groups.iter().find(|(_, g)| g.name.as_deref() == Some(name))?;
            Some((interface, *number, group))
        })
    }
}
