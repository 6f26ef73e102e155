//! What happened, typed: logs, debug output, reports and tests read these. [`Trace::syslog`] and [`Trace::debug`] print
//! them as IOS does.

use std::net::Ipv4Addr;

use espalier_wire::ospf::{LsaHeader, LsaKey};
use espalier_wire::{Duration, IfIndex, Instant, Ipv4Prefix, RouterId};

use super::interface::{InterfaceEvent, InterfaceState};
use super::neighbour::{NeighbourEvent, NeighbourState};
use super::receive::Discard;
use super::route::{PathKind, Route};

/// Something an OSPF process did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names and types say it")]
pub enum Trace {
    Interface {
        iface: IfIndex,
        from: InterfaceState,
        to: InterfaceState,
        event: InterfaceEvent,
    },
    Elected {
        iface: IfIndex,
        designated: Option<Ipv4Addr>,
        backup: Option<Ipv4Addr>,
    },
    Neighbour {
        iface: IfIndex,
        id: RouterId,
        addr: Ipv4Addr,
        from: NeighbourState,
        to: NeighbourState,
        event: NeighbourEvent,
    },
    Originated {
        header: LsaHeader,
    },
    Flushed {
        key: LsaKey,
    },
    /// Nobody refreshed it: its age became MaxAge here.
    Expired {
        key: LsaKey,
    },
    /// Newer than what the database held.
    Received {
        iface: IfIndex,
        from: Ipv4Addr,
        header: LsaHeader,
    },
    /// An LSA of our own from an older life, newer than what we said in this one.
    Reclaimed {
        header: LsaHeader,
    },
    Retransmitted {
        iface: IfIndex,
        to: Ipv4Addr,
        lsas: usize,
    },
    Discarded {
        iface: IfIndex,
        src: Ipv4Addr,
        reason: Discard,
    },
    SpfScheduled {
        at: Instant,
        reason: LsaKey,
    },
    /// `waited`: since the first change that asked for it.
    Spf {
        waited: Duration,
        routers: usize,
        prefixes: usize,
    },
    Route {
        prefix: Ipv4Prefix,
        old: Option<Box<Route>>,
        new: Option<Box<Route>>,
    },
    /// Two redistributed prefixes already hold both Link State IDs that this one could have (RFC 2328 appendix E).
    NoLinkStateId {
        prefix: Ipv4Prefix,
    },
    /// A new configuration was refused; the old one stays.
    Refused {
        reason: super::Error,
    },
    /// The process ended in good order.
    Stopped,
}

impl NeighbourState {
    /// As IOS prints it in messages: `FULL`.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::Down => "DOWN",
            Self::Attempt => "ATTEMPT",
            Self::Init => "INIT",
            Self::TwoWay => "2WAY",
            Self::ExStart => "EXSTART",
            Self::Exchange => "EXCHANGE",
            Self::Loading => "LOADING",
            Self::Full => "FULL",
        }
    }
}

impl NeighbourEvent {
    /// The reason as IOS words it in `%OSPF-5-ADJCHG`.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::HelloReceived => "Received Hello",
            Self::Start => "Start",
            Self::TwoWayReceived => "2-Way Received",
            Self::NegotiationDone => "Negotiation Done",
            Self::ExchangeDone => "Exchange Done",
            Self::BadLsReq => "Bad LS Request",
            Self::LoadingDone => "Loading Done",
            Self::AdjOk => "AdjOK?",
            Self::SeqNumberMismatch => "Seq Number Mismatch",
            Self::OneWayReceived => "1-Way",
            Self::KillNbr => "Neighbor Down: Killed",
            Self::InactivityTimer => "Neighbor Down: Dead timer expired",
            Self::LlDown => "Neighbor Down: Interface down or detached",
        }
    }
}

impl InterfaceState {
    /// As IOS prints it: `DROTHER`.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::Down => "DOWN",
            Self::Loopback => "LOOPBACK",
            Self::Waiting => "WAITING",
            Self::PointToPoint => "POINT_TO_POINT",
            Self::DrOther => "DROTHER",
            Self::Backup => "BDR",
            Self::Designated => "DR",
        }
    }
}

impl PathKind {
    /// As the RFC and IOS call it.
    pub const fn ios(self) -> &'static str {
        match self {
            Self::IntraArea => "Intra",
            Self::InterArea => "Inter",
            Self::E1 => "Ext1",
            Self::E2 => "Ext2",
        }
    }
}

impl Trace {
    /// The message of `log-adjacency-changes` (without its time stamp), if this is one: a neighbour that becomes Full
    /// or goes down. `name` gives an interface's name.
    pub fn syslog(&self, process: u16, name: impl Fn(IfIndex) -> String) -> Option<String> {
        let Self::Neighbour { iface, id, from, to, event, .. } = self else { return None };
        let full = *to == NeighbourState::Full;
        let down =
            *to == NeighbourState::Down || (*from == NeighbourState::Full && *to < NeighbourState::Full);
        (full || down).then(|| {
            let (from, to, name) = (from.ios(), to.ios(), name(*iface));
            let reason = event.ios();
            format!("%OSPF-5-ADJCHG: Process {process}, Nbr {id} on {name} from {from} to {to}, {reason}")
        })
    }

    /// The lines of `debug ip ospf adj`, `events`, `lsa-generation` and `spf`.
    pub fn debug(&self, name: impl Fn(IfIndex) -> String) -> String {
        let none = |a: &Option<Ipv4Addr>| a.map_or_else(|| "none".to_owned(), |a| a.to_string());
        match self {
            Self::Interface { iface, from, to, event } => {
                let (name, from, to) = (name(*iface), from.ios(), to.ios());
                format!("OSPF: Interface {name} going from {from} to {to} on {event:?}")
            }
            Self::Elected { iface, designated, backup } => {
                let (dr, bdr) = (none(designated), none(backup));
                format!("OSPF: end of Designated router election on {}: DR {dr}, BDR {bdr}", name(*iface))
            }
            Self::Neighbour { iface, id, from, to, event, .. } => {
                let (from, to, reason) = (from.ios(), to.ios(), event.ios());
                format!("OSPF: Nbr {id} on {} from {from} to {to}, {reason}", name(*iface))
            }
            Self::Originated { header } => {
                format!("OSPF: Generate LSA {}, seq 0x{:X}", header.key, header.sequence.cast_unsigned())
            }
            Self::Flushed { key } => format!("OSPF: Flush LSA {key}"),
            Self::Expired { key } => format!("OSPF: LSA {key} reached MaxAge"),
            Self::Received { iface, from, header } => {
                let (key, age, seq) = (header.key, header.age, header.sequence.cast_unsigned());
                let name = name(*iface);
                format!("OSPF: Rcv Update {key}, age {age}, seq 0x{seq:X} from {from} on {name}")
            }
            Self::Reclaimed { header } => format!("OSPF: Received own LSA {} from an older life", header.key),
            Self::Retransmitted { iface, to, lsas } => {
                format!("OSPF: Retransmitting {lsas} LSAs to {to} on {}", name(*iface))
            }
            Self::Discarded { iface, src, reason } => {
                format!("OSPF: Rcv pkt from {src}, {}: {}", name(*iface), reason.text())
            }
            // An instant means nothing to whoever reads: what it counts from is the driver's affair.
            Self::SpfScheduled { reason, .. } => format!("OSPF: Schedule SPF, change in LSA {reason}"),
            Self::Spf { waited, routers, prefixes } => {
                format!(
                    "OSPF: running SPF, {waited} after the first change: {routers} routers, {prefixes} networks"
                )
            }
            Self::Route { prefix, old, new } => route_line(*prefix, old.as_deref(), new.as_deref(), name),
            Self::NoLinkStateId { prefix } => format!("OSPF: No Link State ID is left for {prefix}"),
            Self::Refused { reason } => format!("OSPF: configuration refused: {reason}"),
            Self::Stopped => "OSPF: process stopped".to_owned(),
        }
    }
}

fn route_line(
    prefix: Ipv4Prefix,
    old: Option<&Route>,
    new: Option<&Route>,
    name: impl Fn(IfIndex) -> String,
) -> String {
    let Some(route) = new else { return format!("OSPF: Delete {prefix} from the table") };
    let verb = if old.is_some() { "Change" } else { "Add" };
    let via = |hop: &espalier_wire::plane::NextHop| match hop.via {
        Some(via) => format!("{via}, {}", name(hop.iface)),
        None => name(hop.iface),
    };
    let hops: Vec<_> = route.next_hops.iter().map(via).collect();
    let (kind, metric) = (route.kind.ios(), route.metric);
    format!("OSPF: {verb} {prefix}, {kind} [110/{metric}] via {}", hops.join("; "))
}
