//! Access lists as configured: what a crypto map protects.

use std::fmt;
use std::net::Ipv4Addr;

use espalier_wire::Ipv4Prefix;

use crate::ios::text::Place;

/// One access list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessList {
    /// Its name; a numbered list's is its number.
    pub name: String,
    /// Standard or extended.
    pub kind: AccessListKind,
    /// The entries by sequence number, the first that matches decides; what none matches is denied.
    pub entries: Vec<AccessListEntry>,
    /// Where it is first mentioned.
    pub place: Place,
}

/// What the entries of an access list can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessListKind {
    /// Sources only.
    Standard,
    /// Protocol, source, destination, ports.
    Extended,
}

/// One entry. Those of standard lists match any protocol and destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessListEntry {
    /// Its place in the list; entries without one get the last plus 10.
    pub sequence: u32,
    /// `permit` or `deny`.
    pub permit: bool,
    /// What it matches.
    pub rule: AccessListRule,
    /// `log`, which prints nothing here.
    pub log: bool,
    /// Where it is said.
    pub place: Place,
}

/// What an entry matches: all of it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessListRule {
    /// The IP protocol.
    pub protocol: Protocol,
    /// Source address.
    pub source: AddressMatch,
    /// Source port (TCP and UDP).
    pub source_port: Option<PortMatch>,
    /// Destination address.
    pub destination: AddressMatch,
    /// Destination port (TCP and UDP).
    pub destination_port: Option<PortMatch>,
    /// `established`: TCP with ACK or RST.
    pub established: bool,
    /// ICMP type.
    pub icmp_type: Option<u8>,
}

/// An IP protocol number, or any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `ip`.
    Any,
    /// A number, by IOS's word where it has one.
    Number(u8),
}

/// Addresses: those that equal `address` where `wildcard` has zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressMatch {
    /// The address, zero where the wildcard is one.
    pub address: Ipv4Addr,
    /// Its wildcard.
    pub wildcard: Ipv4Addr,
}

/// Ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the word of the command")]
pub enum PortMatch {
    Eq(u16),
    Neq(u16),
    Lt(u16),
    Gt(u16),
    Range(u16, u16),
}

impl AccessList {
    /// The kind that a number means, if a list may have it.
    pub const fn kind_of(number: u16) -> Option<AccessListKind> {
        match number {
            1..=99 | 1300..=1999 => Some(AccessListKind::Standard),
            100..=199 | 2000..=2699 => Some(AccessListKind::Extended),
            _ => None,
        }
    }

    /// Whether it is called by a number.
    pub fn is_numbered(&self) -> bool {
        self.name.bytes().all(|b| b.is_ascii_digit())
    }
}

impl AddressMatch {
    /// `any`.
    pub const ANY: Self = Self { address: Ipv4Addr::UNSPECIFIED, wildcard: Ipv4Addr::BROADCAST };

    /// `address` where `wildcard` has zeros; the other bits are dropped.
    pub fn new(address: Ipv4Addr, wildcard: Ipv4Addr) -> Self {
        Self { address: Ipv4Addr::from_bits(address.to_bits() & !wildcard.to_bits()), wildcard }
    }

    /// `host A`.
    pub fn host(address: Ipv4Addr) -> Self {
        Self::new(address, Ipv4Addr::UNSPECIFIED)
    }

    /// The same as a prefix; `None` when the wildcard has zeros behind ones. A crypto map needs this (RFC 2407 section
    /// 4.6.2 knows no wildcards).
    pub fn prefix(&self) -> Option<Ipv4Prefix> {
        Ipv4Prefix::with_netmask(self.address, Ipv4Addr::from_bits(!self.wildcard.to_bits())).ok()
    }

    /// Whether `address` is meant.
    pub fn matches(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & !self.wildcard.to_bits() == self.address.to_bits()
    }
}

impl PortMatch {
    /// Whether `port` is meant.
    pub const fn matches(self, port: u16) -> bool {
        match self {
            Self::Eq(p) => port == p,
            Self::Neq(p) => port != p,
            Self::Lt(p) => port < p,
            Self::Gt(p) => port > p,
            Self::Range(low, high) => low <= port && port <= high,
        }
    }
}

impl AccessListRule {
    /// Any packet from `source` to `destination`.
    pub const fn ip(source: AddressMatch, destination: AddressMatch) -> Self {
        Self {
            protocol: Protocol::Any,
            source,
            source_port: None,
            destination,
            destination_port: None,
            established: false,
            icmp_type: None,
        }
    }
}

impl Protocol {
    /// IOS's words and their numbers (RFC 790 and its successors).
    pub const NAMES: &'static [(&'static str, u8)] = &[
        ("ahp", 51),
        ("eigrp", 88),
        ("esp", 50),
        ("gre", 47),
        ("icmp", 1),
        ("igmp", 2),
        ("ipinip", 4),
        ("nos", 94),
        ("ospf", 89),
        ("pcp", 108),
        ("pim", 103),
        ("tcp", 6),
        ("udp", 17),
    ];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("ip"),
            Self::Number(number) => match Self::NAMES.iter().find(|(_, n)| n == number) {
                Some((name, _)) => f.write_str(name),
                None => number.fmt(f),
            },
        }
    }
}

impl fmt::Display for AddressMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wildcard {
            Ipv4Addr::BROADCAST => f.write_str("any"),
            Ipv4Addr::UNSPECIFIED => write!(f, "host {}", self.address),
            wildcard => write!(f, "{} {wildcard}", self.address),
        }
    }
}

/// IOS's words for ports and their numbers. Those that TCP and UDP share are printed for both.
pub const PORT_NAMES: &[(&str, u16)] = &[
    ("ftp", 21),
    ("telnet", 23),
    ("smtp", 25),
    ("domain", 53),
    ("bootps", 67),
    ("bootpc", 68),
    ("tftp", 69),
    ("www", 80),
    ("pop3", 110),
    ("ntp", 123),
    ("snmp", 161),
    ("bgp", 179),
    ("isakmp", 500),
    ("syslog", 514),
    ("rip", 520),
    ("non500-isakmp", 4500),
];

impl fmt::Display for PortMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |port: u16| {
            let known = PORT_NAMES.iter().find(|(_, number)| *number == port);
            known.map_or_else(|| port.to_string(), |(name, _)| (*name).to_owned())
        };
        match *self {
            Self::Eq(p) => write!(f, "eq {}", name(p)),
            Self::Neq(p) => write!(f, "neq {}", name(p)),
            Self::Lt(p) => write!(f, "lt {}", name(p)),
            Self::Gt(p) => write!(f, "gt {}", name(p)),
            Self::Range(low, high) => write!(f, "range {} {}", name(low), name(high)),
        }
    }
}

impl fmt::Display for AccessListRule {
    /// As extended lists print it, behind `permit` or `deny`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.source)?;
        if let Some(port) = self.source_port {
            write!(f, " {port}")?;
        }
        write!(f, " {}", self.destination)?;
        if let Some(port) = self.destination_port {
            write!(f, " {port}")?;
        }
        if let Some(kind) = self.icmp_type {
            write!(f, " {kind}")?;
        }
        f.write_str(if self.established { " established" } else { "" })
    }
}
