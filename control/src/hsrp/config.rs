//! What a user can set about HSRP, in the machine's own terms. The text of a configuration is not known here.

use std::net::Ipv4Addr;

use espalier_wire::hsrp::{Password, Version};
use espalier_wire::{Duration, IfIndex, Mac};

use crate::track::ObjectId;

/// The priority of a group that sets none.
pub const DEFAULT_PRIORITY: u8 = 100;
/// `standby track` without a decrement.
pub const DEFAULT_DECREMENT: u8 = 10;

/// HSRP on one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Which interface.
    pub iface: IfIndex,
    /// Its own MAC address: the source of everything but an active router's Hellos.
    pub mac: Mac,
    /// Its primary address: the source of messages, and what decides between equal priorities.
    pub address: Ipv4Addr,
    /// `standby version`.
    pub version: Version,
    /// `standby delay minimum`: how long after the interface comes up HSRP starts. IOS: 1 s.
    pub minimum_delay: Duration,
    /// `standby delay … reload`: the same for the first time after a start, never under the minimum; `None`: the
    /// minimum.
    pub reload_delay: Option<Duration>,
    /// The groups, by rising number.
    pub groups: Vec<GroupConfig>,
}

impl InterfaceConfig {
    /// An interface with IOS's defaults and no group.
    pub fn new(iface: IfIndex, mac: Mac, address: Ipv4Addr) -> Self {
        Self {
            iface,
            mac,
            address,
            version: Version::V1,
            minimum_delay: Duration::from_s(1),
            reload_delay: None,
            groups: Vec::new(),
        }
    }
}

/// One group on one interface: `standby G …`. It exists because it has a `standby G ip`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// Its number.
    pub group: u16,
    /// `standby ip A`; `None`: `standby ip`, to be learned from the active router.
    pub address: Option<Ipv4Addr>,
    /// `standby priority`; `None`: 100.
    pub priority: Option<u8>,
    /// `standby preempt`.
    pub preempt: Option<Preempt>,
    /// `standby name`.
    pub name: Option<String>,
    /// Whether a client (a crypto map with `redundancy NAME`) is tied to it: it asks about the group whenever that
    /// reaches Standby, and the asking is traced.
    pub client: bool,
    /// `standby timers`; `None`: learned from the active router, or 3 s and 10 s.
    pub times: Option<Times>,
    /// `standby authentication`.
    pub password: Password,
    /// `standby track`.
    pub tracks: Vec<TrackConfig>,
}

impl GroupConfig {
    /// A group with IOS's defaults.
    pub fn new(group: u16, address: Option<Ipv4Addr>) -> Self {
        Self {
            group,
            address,
            priority: None,
            preempt: None,
            name: None,
            client: false,
            times: None,
            password: Password::default(),
            tracks: Vec::new(),
        }
    }
}

/// `standby preempt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preempt {
    /// `delay minimum`: how long after the group started it waits before it preempts.
    pub delay_minimum: Duration,
}

/// `standby timers`: RFC 2281 forbids one configured and one learned time, so they come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Between two Hellos, before jitter.
    pub hello: Duration,
    /// How long a Hello is valid.
    pub hold: Duration,
}

impl Default for Times {
    /// RFC 2281 section 5.1: 3 s and 10 s.
    fn default() -> Self {
        Self { hello: Duration::from_s(3), hold: Duration::from_s(10) }
    }
}

/// `standby track`: what lowers the priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackConfig {
    /// The object.
    pub object: ObjectId,
    /// The interface behind it, when the line named an interface and not an object.
    pub iface: Option<IfIndex>,
    /// How much lower the priority is while the object is down.
    pub decrement: u8,
}
