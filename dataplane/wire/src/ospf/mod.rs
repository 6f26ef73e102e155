//! OSPF version 2 on the wire (RFC 2328 appendix A): packets, their authentication (appendix D), and link state
//! advertisements with their Fletcher checksum.
//!
//! [`View`] is the checked view of an IP payload; [`Packet`] the value it parses to and is built from. An [`Lsa`] keeps
//! the bytes of its body as they came, because what is flooded must be what was received; [`Lsa::body`] reads them.
//! What a packet *means* is not here.

mod auth;
mod body;
mod lsa;
mod packet;
mod parse;

pub use auth::{Auth, AuthError};
pub use body::{AsExternal, Link, LinkKind, LsaBody, MetricType, Network, Router, Summary};
pub use lsa::{INITIAL_SEQUENCE, Lsa, LsaHeader, LsaKey, LsaType, MAX_AGE, MAX_AGE_DIFF, MAX_SEQUENCE};
pub use packet::{AreaId, Body, DatabaseDescription, Hello, Options, Packet, View};

use std::net::Ipv4Addr;

/// The IP protocol number.
pub const PROTOCOL: u8 = 89;
/// Every OSPF router of a network (RFC 2328 section A.1).
pub const ALL_SPF_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 5);
/// The designated router and its backup.
pub const ALL_D_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 6);
/// A metric that means "unreachable" in summary and AS-external LSAs (RFC 2328 appendix B, LSInfinity).
pub const LS_INFINITY: u32 = 0x00ff_ffff;
/// Bytes of the packet header.
pub const HEADER_LEN: usize = 24;

#[cfg(test)]
mod tests;
