//! `router ospf N` as configured (RFC 2328).

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use espalier_wire::{Duration, RouterId};

use super::{InterfaceName, OspfAuthentication};
use crate::ios::text::Place;

/// One OSPF process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ospf {
    /// `router-id`.
    pub router_id: Option<RouterId>,
    /// `log-adjacency-changes` (on unless `no`, since 12.2; printed when written).
    pub log_adjacency_changes: Option<bool>,
    /// `auto-cost reference-bandwidth`, Mbit/s.
    pub reference_mbps: Option<u32>,
    /// `timers spf` or `timers throttle spf`.
    pub timers: Option<OspfTimers>,
    /// `redistribute …`, one for each source.
    pub redistribute: Vec<Redistribute>,
    /// `passive-interface default`.
    pub passive_default: bool,
    /// `passive-interface INTERFACE`; with `passive_default`, those that are `no passive-interface`.
    pub passive: Vec<InterfaceName>,
    /// `network A W area X`, in order: the first that matches decides.
    pub networks: Vec<OspfNetwork>,
    /// `default-metric`.
    pub default_metric: Option<u32>,
    /// `area A authentication [message-digest]`.
    pub authentication: BTreeMap<Area, OspfAuthentication>,
    /// Where the process begins.
    pub place: Place,
}

/// When routes are computed after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OspfTimers {
    /// `timers spf DELAY HOLD`, seconds.
    Spf {
        /// From a change to the computation.
        delay_s: u16,
        /// Between two computations at least.
        hold_s: u16,
    },
    /// `timers throttle spf START HOLD MAX`, milliseconds.
    Throttle {
        /// From the first change to the computation.
        start_ms: u32,
        /// To the next, doubling while changes go on …
        hold_ms: u32,
        /// … up to this.
        max_ms: u32,
    },
}

/// `redistribute SOURCE …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redistribute {
    /// Which routes.
    pub source: RedistributeSource,
    /// `metric`.
    pub metric: Option<u32>,
    /// `metric-type`.
    pub metric_type: Option<MetricType>,
    /// `subnets`: without it only classful networks are taken.
    pub subnets: bool,
    /// `tag`.
    pub tag: Option<u32>,
}

/// Which routes are redistributed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the word of the command")]
pub enum RedistributeSource {
    Connected,
    Static,
}

/// E1 or E2 (RFC 2328 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its name")]
pub enum MetricType {
    Type1,
    Type2,
}

/// `network A W area X`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OspfNetwork {
    /// The address.
    pub address: Ipv4Addr,
    /// Its wildcard: ones do not matter.
    pub wildcard: Ipv4Addr,
    /// The area of the interfaces whose primary address matches.
    pub area: Area,
}

/// An OSPF area; 0 is the backbone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Area(pub u32);

impl Ospf {
    /// Mbit/s that cost 1; 100 by default.
    pub fn reference_mbps(&self) -> u32 {
        self.reference_mbps.unwrap_or(100)
    }

    /// Whether `interface` is passive: its networks are announced, no neighbour is sought on it.
    pub fn is_passive(&self, interface: InterfaceName) -> bool {
        self.passive.contains(&interface) != self.passive_default
    }

    /// The area of an interface with the primary address `address`, by the first `network` that matches.
    pub fn area_of(&self, address: Ipv4Addr) -> Option<Area> {
        self.networks.iter().find(|network| network.matches(address)).map(|network| network.area)
    }
}

impl OspfNetwork {
    /// Whether `address` is meant.
    pub fn matches(&self, address: Ipv4Addr) -> bool {
        let care = !self.wildcard.to_bits();
        address.to_bits() & care == self.address.to_bits() & care
    }
}

impl Redistribute {
    /// `SOURCE` without any option.
    pub const fn of(source: RedistributeSource) -> Self {
        Self { source, metric: None, metric_type: None, subnets: false, tag: None }
    }

    /// The metric: its own, or the process's `default-metric`, or 20.
    pub fn metric(&self, ospf: &Ospf) -> u32 {
        self.metric.or(ospf.default_metric).unwrap_or(20)
    }

    /// E2 by default.
    pub fn metric_type(&self) -> MetricType {
        self.metric_type.unwrap_or(MetricType::Type2)
    }
}

impl OspfTimers {
    /// From a change to the first computation, to the next, and the longest wait.
    pub fn spans(self) -> [Duration; 3] {
        match self {
            Self::Spf { delay_s, hold_s } => [
                Duration::from_s(delay_s.into()),
                Duration::from_s(hold_s.into()),
                Duration::from_s(hold_s.into()),
            ],
            Self::Throttle { start_ms, hold_ms, max_ms } => {
                [start_ms, hold_ms, max_ms].map(|ms| Duration::from_ms(ms.into()))
            }
        }
    }
}

impl RedistributeSource {
    /// The word of the configuration.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Static => "static",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Area {
    type Err = std::net::AddrParseError;

    /// Takes `0` and `0.0.0.0`.
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let number = s.parse().ok().filter(|_| s.bytes().all(|b| b.is_ascii_digit()));
        number.map_or_else(|| s.parse::<Ipv4Addr>().map(|a| Self(a.to_bits())), |n| Ok(Self(n)))
    }
}

impl MetricType {
    /// 1 or 2.
    pub const fn number(self) -> u8 {
        match self {
            Self::Type1 => 1,
            Self::Type2 => 2,
        }
    }
}
