//! What a router says of itself as it happens: the one stream that logs, `debug` output, checkers, milestones and
//! reports are all made from.

use std::net::Ipv4Addr;

use espalier_wire::plane::PolicyId;
use espalier_wire::{IfIndex, Ipv4Prefix, Spi};

/// Which part of the router speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "names say it")]
pub enum Source {
    Link,
    Hsrp,
    Track,
    Ike,
    Ipsec,
    Rri,
    Ospf,
    Rib,
    Arp,
}

impl Source {
    /// The stable name, as reports print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Hsrp => "hsrp",
            Self::Track => "track",
            Self::Ike => "ike",
            Self::Ipsec => "ipsec",
            Self::Rri => "rri",
            Self::Ospf => "ospf",
            Self::Rib => "rib",
            Self::Arp => "arp",
        }
    }
}

/// Who would see a line on a real router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everybody: `%HSRP-6-STATECHANGE …`.
    Syslog,
    /// Who gave the `debug` command of its source.
    Debug,
    /// Nobody: IOS prints nothing here, reports do.
    Report,
}

/// One thing that happened on a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which part speaks.
    pub source: Source,
    /// Who would see it.
    pub level: Level,
    /// What it says, one line, without a time of its own.
    pub text: String,
    /// What it means to whoever measures; `None`: only talk.
    pub mark: Option<Mark>,
}

/// The state of a machine that is no more.
pub const GONE: &str = "";

/// A state machine of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateOf {
    /// An HSRP group.
    Hsrp {
        /// On which interface.
        iface: IfIndex,
        /// Its number.
        group: u16,
    },
    /// An ISAKMP SA.
    Isakmp {
        /// Its connection id.
        connection: u32,
        /// The peer.
        peer: Ipv4Addr,
    },
    /// An OSPF neighbour.
    Neighbour {
        /// On which interface.
        iface: IfIndex,
        /// Its address there.
        addr: Ipv4Addr,
    },
}

/// What an event means, without its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    /// An interface's line protocol changed.
    Link {
        /// Which.
        iface: IfIndex,
        /// Up now.
        up: bool,
    },
    /// An HSRP group became Active here, or is no longer.
    Active {
        /// On which interface.
        iface: IfIndex,
        /// Its number.
        group: u16,
        /// Active now.
        active: bool,
    },
    /// The virtual address was announced with a gratuitous ARP.
    Announced {
        /// On which interface.
        iface: IfIndex,
        /// The address.
        addr: Ipv4Addr,
    },
    /// IKE gave a silent peer up.
    PeerDead {
        /// The peer.
        peer: Ipv4Addr,
    },
    /// A phase 1 stands.
    IkeUp {
        /// The peer.
        peer: Ipv4Addr,
    },
    /// A pair of SAs carries traffic from now on.
    SaUp {
        /// Which policy's.
        policy: PolicyId,
        /// The peer.
        peer: Ipv4Addr,
        /// Our SPI.
        inbound: Spi,
        /// The peer's SPI.
        outbound: Spi,
        /// Whether it takes the place of a pair that still lives.
        rekey: bool,
    },
    /// An inbound SA is gone.
    SaDown {
        /// Which policy's.
        policy: PolicyId,
        /// Its SPI.
        inbound: Spi,
    },
    /// Reverse route injection put a route in, or took it out.
    Injected {
        /// The route.
        prefix: Ipv4Prefix,
        /// In, not out.
        present: bool,
    },
    /// An OSPF neighbour fell silent for its dead interval.
    NeighbourDead {
        /// Its interface address.
        addr: Ipv4Addr,
    },
    /// An SPF run ended.
    Spf,
    /// A state machine is in another state now: what swimlanes are drawn from.
    State {
        /// Which machine.
        of: StateOf,
        /// The state, as IOS prints it; [`GONE`]: the machine is no more.
        state: &'static str,
    },
    /// The routing table's best routes to a prefix changed.
    Route {
        /// Which prefix.
        prefix: Ipv4Prefix,
        /// There is a route now.
        present: bool,
        /// It came from OSPF (of a route that went: it had).
        ospf: bool,
    },
}
