//! What a router does where its configuration is silent: timers and behaviours by kind of router.
//!
//! A profile is a bundle of settings, each of which names its own source. A scenario picks one per router
//! (`profile = "ios-12.3"`) and may change single settings.

use std::str::FromStr;

use espalier_wire::Duration;

/// When an AS-external or a changed topology is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpfTimers {
    /// From a change to the first run.
    pub start: Duration,
    /// At least this long between runs; the throttled profiles double it up to `max` while changes go on.
    pub hold: Duration,
    /// Where the doubling ends; equal to `hold` when the profile does not throttle.
    pub max: Duration,
}

/// What makes reverse route injection put a route in, and take it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReverseRoutes {
    /// With the redundancy group's state, SAs or not (12.3(7)T, as the reference document's log shows).
    WithActive,
    /// With the SAs, unless the entry says `reverse-route static` (later releases).
    WithSas,
}

/// When a route that came [`ReverseRoutes::WithActive`] goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// On leaving Active.
    LeavingActive,
    /// On reaching Standby (or Init): between, the old router still attracts traffic, as in the document's log.
    ReachingStandby,
}

/// What becomes of the old SAs after a rekey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldSas {
    /// They stay until their own lifetime ends.
    KeepUntilExpiry,
    /// They are deleted this long after the new ones carry traffic.
    DeleteAfter(Duration),
    /// They are deleted with the installation of the new ones.
    DeleteAtOnce,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The name scenarios use.
    pub name: &'static str,
    /// SPF after changed router- and network-LSAs.
    pub spf: SpfTimers,
    /// A changed AS-external-LSA waits for the SPF timers too, instead of being computed at once (RFC 2328
    /// section 16.6).
    pub delay_external: bool,
    /// OSPF's cost of a loopback's stub route.
    pub loopback_cost: u16,
    /// HSRP waits this long after its interface came up.
    pub hsrp_minimum_delay: Duration,
    /// What moves reverse routes.
    pub reverse_routes: ReverseRoutes,
    /// When they go.
    pub withdrawal: Withdrawal,
    /// Losing Active with the link up sends DELETEs from the virtual address.
    pub notify_on_standby: bool,
    /// Packets of a policy that may wait for its SA.
    pub sa_queue: u16,
    /// What becomes of old SAs.
    pub old_sas: OldSas,
    /// From an unanswered IKE message to its next copy.
    pub ike_retransmit: Duration,
    /// Copies sent before IKE gives up.
    pub ike_tries: u8,
    /// How often static routes' next hops are looked at again (IOS: 60 s); `None`: with every change.
    pub static_scan: Option<Duration>,
    /// At most one ICMP error of a kind in this time (IOS: `ip icmp rate-limit unreachable 500`).
    pub icmp_interval: Duration,
}

impl Profile {
    /// The names of every profile.
    pub const NAMES: &'static [&'static str] = &["ios-12.3", "ios-15", "frr"];

    /// IOS 12.3(7)T, the reference document's release.
    pub fn ios_12_3() -> Self {
        Self {
            name: "ios-12.3",
            spf: SpfTimers {
                start: Duration::from_s(5),
                hold: Duration::from_s(10),
                max: Duration::from_s(10),
            },
            delay_external: false,
            loopback_cost: 1,
            hsrp_minimum_delay: Duration::from_s(1),
            reverse_routes: ReverseRoutes::WithActive,
            withdrawal: Withdrawal::LeavingActive,
            notify_on_standby: true,
            sa_queue: 0,
            old_sas: OldSas::KeepUntilExpiry,
            ike_retransmit: Duration::from_s(10),
            ike_tries: 5,
            static_scan: Some(Duration::from_s(60)),
            icmp_interval: Duration::from_ms(500),
        }
    }

    /// IOS 15: throttled SPF by default (5 s, 10 s, 10 s), reverse routes with the SAs, next-hop tracking.
    pub fn ios_15() -> Self {
        Self {
            name: "ios-15",
            reverse_routes: ReverseRoutes::WithSas,
            old_sas: OldSas::DeleteAfter(Duration::from_s(30)),
            static_scan: None,
            ..Self::ios_12_3()
        }
    }

    /// FRR 8: SPF after 0, 50 ms and up to 5 s, a loopback's cost 0.
    pub fn frr() -> Self {
        Self {
            name: "frr",
            spf: SpfTimers { start: Duration::ZERO, hold: Duration::from_ms(50), max: Duration::from_s(5) },
            loopback_cost: 0,
            ..Self::ios_15()
        }
    }
}

/// The text names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no profile (one of {list})", list = Profile::NAMES.join(", "))]
pub struct NoProfile(String);

impl FromStr for Profile {
    type Err = NoProfile;
    fn from_str(s: &str) -> Result<Self, NoProfile> {
        match s {
            "ios-12.3" => Ok(Self::ios_12_3()),
            "ios-15" => Ok(Self::ios_15()),
            "frr" => Ok(Self::frr()),
            _ => Err(NoProfile(s.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_profile_of_that_name() {
        for name in Profile::NAMES {
            assert_eq!(name.parse::<Profile>().unwrap().name, *name);
        }
        assert!("ios-12".parse::<Profile>().is_err());
    }
}
