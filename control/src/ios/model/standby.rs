//! `standby …`: HSRP as configured (RFC 2281; version 2 as IOS has it).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::{Duration, Mac};

use super::InterfaceName;
use crate::ios::text::Place;

/// All of HSRP on one interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standby {
    /// `standby version`: 1 or 2.
    pub version: Option<u8>,
    /// `standby delay minimum`, seconds from the interface coming up to the group's start.
    pub delay_minimum_s: Option<u16>,
    /// `standby delay … reload`, the same after a boot.
    pub delay_reload_s: Option<u16>,
    /// Groups by number: 0 to 255 (version 2: to 4095).
    pub groups: BTreeMap<u16, StandbyGroup>,
}

/// One HSRP group. It runs once `ip` is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StandbyGroup {
    /// `standby [g] ip [A]`.
    pub ip: Option<StandbyAddress>,
    /// `standby [g] ip A secondary`.
    pub secondary: Vec<Ipv4Addr>,
    /// `standby [g] priority`.
    pub priority: Option<u8>,
    /// `standby [g] preempt`.
    pub preempt: Option<Preempt>,
    /// `standby [g] name`.
    pub name: Option<String>,
    /// `standby [g] timers`.
    pub timers: Option<StandbyTimers>,
    /// `standby [g] authentication [text]`: 1 to 8 characters.
    pub authentication: Option<String>,
    /// `standby [g] mac-address`, instead of 0000.0c07.acXX.
    pub mac_address: Option<Mac>,
    /// `standby [g] track`, in order.
    pub tracks: Vec<StandbyTrack>,
    /// Where the group is first mentioned.
    pub place: Place,
}

/// The virtual address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyAddress {
    /// From the Active router's hellos.
    Learned,
    /// This one.
    Configured(Ipv4Addr),
}

/// `preempt [delay …]`, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preempt {
    /// `delay minimum`.
    pub delay_minimum_s: Option<u16>,
    /// `delay reload`.
    pub delay_reload_s: Option<u16>,
    /// `delay sync`.
    pub delay_sync_s: Option<u16>,
}

/// One time, in the unit it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyTimer {
    /// Seconds.
    Seconds(u16),
    /// `msec`: milliseconds.
    Milliseconds(u16),
}

/// `standby [g] timers HELLO HOLD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandbyTimers {
    /// Between hellos.
    pub hello: StandbyTimer,
    /// Without a hello, until the Active or Standby router is taken for dead.
    pub hold: StandbyTimer,
}

/// `standby [g] track TARGET [DECREMENT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandbyTrack {
    /// What is watched.
    pub target: TrackTarget,
    /// `decrement`: what the priority loses while the target is down (1 to 255).
    pub decrement: Option<u8>,
    /// `shutdown`: the group goes to Init instead.
    pub shutdown: bool,
    /// Where it is said.
    pub place: Place,
}

/// What an HSRP group watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackTarget {
    /// The line protocol of an interface.
    Interface(InterfaceName),
    /// A `track` object.
    Object(u16),
}

impl Standby {
    /// HSRP version; 1 by default.
    pub fn version(&self) -> u8 {
        self.version.unwrap_or(1)
    }

    /// Seconds from the interface coming up to the groups' start; 1 by default ("Starting minimum interface delay
    /// (1 secs)").
    pub fn delay_minimum_s(&self) -> u16 {
        self.delay_minimum_s.unwrap_or(1)
    }

    /// The same after a boot; 5 by default.
    pub fn delay_reload_s(&self) -> u16 {
        self.delay_reload_s.unwrap_or(5)
    }
}

impl StandbyGroup {
    /// Priority before tracking; 100 by default (RFC 2281 section 5.1 leaves it open; IOS's).
    pub fn priority(&self) -> u8 {
        self.priority.unwrap_or(100)
    }

    /// Between hellos; 3 s by default (RFC 2281 section 5.1).
    pub fn hello(&self) -> Duration {
        self.timers.map_or(Duration::from_s(3), |t| t.hello.duration())
    }

    /// The hold time; 10 s by default (RFC 2281 section 5.1).
    pub fn hold(&self) -> Duration {
        self.timers.map_or(Duration::from_s(10), |t| t.hold.duration())
    }

    /// The authentication data of hellos; "cisco" by default (RFC 2281 section 5.1), zero-padded to 8 bytes.
    pub fn authentication(&self) -> [u8; 8] {
        let text = self.authentication.as_deref().unwrap_or("cisco");
        let mut data = [0; 8];
        data.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        data
    }
}

impl StandbyTimer {
    /// As a span of time.
    pub fn duration(self) -> Duration {
        match self {
            Self::Seconds(s) => Duration::from_s(s.into()),
            Self::Milliseconds(ms) => Duration::from_ms(ms.into()),
        }
    }
}

impl StandbyTrack {
    /// What the priority loses; 10 by default.
    pub fn decrement(&self) -> u8 {
        self.decrement.unwrap_or(10)
    }
}
