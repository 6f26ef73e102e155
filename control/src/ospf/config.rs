//! What one OSPF process is told to be: its router id, its interfaces, its timers. Not how configuration is written:
//! IOS words become these values elsewhere.

use std::collections::BTreeMap;

use espalier_wire::ospf::{AreaId, Auth};
use espalier_wire::{Duration, IfIndex, Ipv4Prefix, RouterId};

/// One OSPF process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Chosen by the caller (IOS: configured, else the highest loopback address, else the highest address).
    pub router_id: RouterId,
    /// Every interface that the process runs on, whether it is up or not.
    pub interfaces: BTreeMap<IfIndex, InterfaceConfig>,
    /// Something is redistributed, even if no route is there yet: the router-LSA's E bit stands from the start.
    pub asbr: bool,
    /// Timers and habits.
    pub profile: Profile,
}

/// One interface of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// Its address and mask.
    pub address: Ipv4Prefix,
    /// Its area.
    pub area: AreaId,
    /// What kind of network it leads to.
    pub network: NetworkKind,
    /// Output cost, 1 to 65535; 0 for a loopback under FRR.
    pub cost: u16,
    /// Router priority; 0 never becomes designated router.
    pub priority: u8,
    /// Seconds between Hellos.
    pub hello_interval: u16,
    /// Seconds of silence after which a neighbour is dead.
    pub dead_interval: u32,
    /// Between retransmissions to one neighbour (RxmtInterval).
    pub retransmit_interval: Duration,
    /// Seconds added to an LSA's age when it leaves here (InfTransDelay).
    pub transmit_delay: u16,
    /// Bytes of IP packet that fit.
    pub mtu: u16,
    /// Accept Database Descriptions that announce a bigger MTU.
    pub mtu_ignore: bool,
    /// Announce the network, but neither send nor take packets.
    pub passive: bool,
    /// Authentication.
    pub auth: Auth,
}

impl InterfaceConfig {
    /// A broadcast network with the defaults of RFC 2328 appendix C and an MTU of 1500 bytes.
    pub fn broadcast(address: Ipv4Prefix, cost: u16) -> Self {
        Self {
            address,
            area: AreaId::BACKBONE,
            network: NetworkKind::Broadcast,
            cost,
            priority: 1,
            hello_interval: 10,
            dead_interval: 40,
            retransmit_interval: Duration::from_s(5),
            transmit_delay: 1,
            mtu: 1500,
            mtu_ignore: false,
            passive: false,
            auth: Auth::Null,
        }
    }

    /// A loopback: announced as a host, of the profile's cost.
    pub fn loopback(address: Ipv4Prefix, profile: &Profile) -> Self {
        Self { network: NetworkKind::Loopback, ..Self::broadcast(address, profile.loopback_cost) }
    }

    /// A link to one other router.
    pub fn point_to_point(address: Ipv4Prefix, cost: u16) -> Self {
        Self { network: NetworkKind::PointToPoint, ..Self::broadcast(address, cost) }
    }
}

/// The kinds of network spoken here (RFC 2328 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum NetworkKind {
    Broadcast,
    PointToPoint,
    Loopback,
}

/// When SPF runs after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpfTimers {
    /// From the first change to the run.
    pub start: Duration,
    /// From one run to the next, at first.
    pub hold: Duration,
    /// What the hold doubles up to while changes keep coming; equal to `hold`, it never doubles.
    pub max: Duration,
}

/// When a changed AS-external-LSA is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalCalculation {
    /// At once, for its destination alone (RFC 2328 section 16.6).
    AtOnce,
    /// With the next SPF run, which it schedules.
    WithSpf,
}

/// The habits in which implementations differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the types say it")]
pub struct Profile {
    pub spf: SpfTimers,
    pub external: ExternalCalculation,
    /// Cost of a loopback's host route, for whoever builds an [`InterfaceConfig::loopback`].
    pub loopback_cost: u16,
}

impl Profile {
    /// IOS 12.3: `timers spf 5 10`, a loopback costs 1.
    pub const IOS_12_3: Self = Self {
        spf: SpfTimers { start: Duration::from_s(5), hold: Duration::from_s(10), max: Duration::from_s(10) },
        external: ExternalCalculation::AtOnce,
        loopback_cost: 1,
    };
    /// IOS 15: `timers throttle spf 5000 10000 10000`.
    pub const IOS_15: Self = Self::IOS_12_3;
    /// FRR: `timers throttle spf 0 50 5000`, a loopback costs nothing.
    pub const FRR: Self = Self {
        spf: SpfTimers { start: Duration::ZERO, hold: Duration::from_ms(50), max: Duration::from_ms(5000) },
        external: ExternalCalculation::AtOnce,
        loopback_cost: 0,
    };
}

/// Why a configuration is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An area border router would be needed.
    #[error(
        "interfaces in areas {0} and {1}: area border routers are not supported, put every interface in one area"
    )]
    SeveralAreas(AreaId, AreaId),
    /// 0.0.0.0 identifies nobody.
    #[error("router id 0.0.0.0 is not valid")]
    RouterId,
    /// A running process keeps its router id.
    #[error("the router id of a running process cannot change: restart it")]
    RouterIdChanged,
    /// An interval of zero never ends.
    #[error("{0} must not be zero")]
    Interval(&'static str),
    /// Too small for a Database Description with one LSA header.
    #[error("MTU {0} is too small for OSPF (at least 100 bytes)")]
    Mtu(u16),
}

impl Config {
    /// The one area of all interfaces, or why not; area 0 when there is no interface.
    pub fn check(&self) -> Result<AreaId, Error> {
        if self.router_id.0.is_unspecified() {
            return Err(Error::RouterId);
        }
        let mut areas = self.interfaces.values().map(|i| i.area);
        let area = areas.next().unwrap_or(AreaId::BACKBONE);
        if let Some(other) = areas.find(|a| *a != area) {
            return Err(Error::SeveralAreas(area, other));
        }
        self.interfaces.values().try_for_each(InterfaceConfig::check)?;
        Ok(area)
    }
}

impl InterfaceConfig {
    fn check(&self) -> Result<(), Error> {
        if self.hello_interval == 0 {
            return Err(Error::Interval("hello-interval"));
        }
        if self.dead_interval == 0 {
            return Err(Error::Interval("dead-interval"));
        }
        if self.retransmit_interval.is_zero() {
            return Err(Error::Interval("retransmit-interval"));
        }
        if self.mtu < 100 { Err(Error::Mtu(self.mtu)) } else { Ok(()) }
    }

    /// Whether a change to `new` is one that neighbours cannot live through.
    pub(super) fn starts_anew(&self, new: &Self) -> bool {
        (self.address, self.area, self.network, self.passive)
            != (new.address, new.area, new.network, new.passive)
    }

    /// Bytes of OSPF packet that fit one IP packet.
    pub(super) fn room(&self) -> usize {
        usize::from(self.mtu).saturating_sub(20 + self.auth.trailer_len())
    }
}
