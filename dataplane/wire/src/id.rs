//! Identifiers that must not be mistaken for one another.

use std::fmt;
use std::net::Ipv4Addr;

/// Security parameters index (RFC 4303 section 2.1). 0 is never on the wire, 1 to 255 are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spi(pub u32);

/// An ESP sequence number: 32 bits, or 64 with extended sequence numbers (RFC 4303 section 2.2). 0 is never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

/// An interface of one router, by its place in that router's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct IfIndex(pub u16);

impl IfIndex {
    /// The interface that leads nowhere, IOS's Null0: what is routed there is discarded.
    pub const NULL: Self = Self(u16::MAX);
}

/// An OSPF router id (RFC 2328 section C.1), written as an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub Ipv4Addr);

/// The identity of one offered packet, carried beside its bytes through every node; 0 belongs to no flow (control
/// traffic).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tag(pub u64);

impl Tag {
    /// The tag of everything that is not measured traffic.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for Spi {
    /// As IOS prints it: `0x8D70E8A3(2372987043)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:X}({})", self.0, self.0)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
