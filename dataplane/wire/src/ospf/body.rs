//! The bodies of link state advertisements (RFC 2328 sections A.4.2 to A.4.5). TOS metrics other than TOS 0 are read
//! past and never written: RFC 2328 took TOS routing out (section G.1).

use std::net::Ipv4Addr;

use super::lsa::LsaType;
use super::parse::{Reader, mask_bytes};
use crate::{Malformed, RouterId};

/// What a link of a router-LSA leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkKind {
    /// Another router; id is its router id, data our interface address.
    PointToPoint,
    /// A network with a designated router; id is that router's address, data our own.
    Transit,
    /// A network that leads nowhere else; id is its address, data its mask.
    Stub,
    /// A virtual link; id is the other router's id.
    Virtual,
}

/// One link of a router-LSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names; LinkKind says what id and data are")]
pub struct Link {
    pub id: Ipv4Addr,
    pub data: Ipv4Addr,
    pub kind: LinkKind,
    pub metric: u16,
}

/// A router-LSA (RFC 2328 section A.4.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Router {
    /// Bit V: an endpoint of a virtual link.
    pub virtual_endpoint: bool,
    /// Bit E: an AS boundary router.
    pub asbr: bool,
    /// Bit B: an area border router.
    pub border: bool,
    /// Its links.
    pub links: Vec<Link>,
}

/// A network-LSA (RFC 2328 section A.4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Bits of the network's mask.
    pub prefix_len: u8,
    /// The designated router and those fully adjacent to it.
    pub routers: Vec<RouterId>,
}

/// A summary-LSA of type 3 or 4 (RFC 2328 section A.4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Bits of the network's mask; without meaning in type 4.
    pub prefix_len: u8,
    /// 24 bits; [`super::LS_INFINITY`] is unreachable.
    pub metric: u32,
}

/// How an external metric compares with the AS's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MetricType {
    /// Type 1: the same unit; the way to the AS boundary router is added.
    E1,
    /// Type 2: bigger than any way inside the AS.
    E2,
}

/// An AS-external-LSA (RFC 2328 section A.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsExternal {
    /// Bits of the destination's mask.
    pub prefix_len: u8,
    /// Type 1 or 2.
    pub metric_type: MetricType,
    /// 24 bits; [`super::LS_INFINITY`] is unreachable.
    pub metric: u32,
    /// Where to send packets instead of to the advertising router.
    pub forwarding: Option<Ipv4Addr>,
    /// External route tag, not OSPF's to read.
    pub tag: u32,
}

/// A body, read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its type's name")]
pub enum LsaBody {
    Router(Router),
    Network(Network),
    Summary(Summary),
    AsExternal(AsExternal),
    /// Opaque, NSSA and unknown types.
    Other(Vec<u8>),
}

impl LsaBody {
    /// Read the body of an LSA of type `kind`.
    pub fn parse(kind: LsaType, bytes: &[u8]) -> Result<Self, Malformed> {
        match kind {
            LsaType::Router => Router::parse(bytes).map(Self::Router),
            LsaType::Network => Network::parse(bytes).map(Self::Network),
            LsaType::SummaryNetwork | LsaType::SummaryAsbr => Summary::parse(bytes).map(Self::Summary),
            LsaType::AsExternal => AsExternal::parse(bytes).map(Self::AsExternal),
            LsaType::Nssa
            | LsaType::OpaqueLink
            | LsaType::OpaqueArea
            | LsaType::OpaqueAs
            | LsaType::Unknown(_) => Ok(Self::Other(bytes.to_vec())),
        }
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Router(router) => router.emit(out),
            Self::Network(network) => {
                out.extend_from_slice(&mask_bytes(network.prefix_len));
                network.routers.iter().for_each(|r| out.extend_from_slice(&r.0.octets()));
            }
            Self::Summary(summary) => {
                out.extend_from_slice(&mask_bytes(summary.prefix_len));
                out.extend_from_slice(&(summary.metric & super::LS_INFINITY).to_be_bytes());
            }
            Self::AsExternal(external) => external.emit(out),
            Self::Other(bytes) => out.extend_from_slice(bytes),
        }
    }
}

impl Router {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new("OSPF router-LSA", bytes);
        let (flags, _, count) = (r.u8()?, r.u8()?, r.u16()?);
        let mut links = Vec::new();
        for _ in 0..count {
            links.push(Link::parse(&mut r)?);
        }
        Ok(Self { virtual_endpoint: flags & 4 != 0, asbr: flags & 2 != 0, border: flags & 1 != 0, links })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let flags = u8::from(self.virtual_endpoint) << 2 | u8::from(self.asbr) << 1 | u8::from(self.border);
        out.extend_from_slice(&[flags, 0]);
        out.extend_from_slice(&(self.links.len() as u16).to_be_bytes());
        for link in &self.links {
            out.extend_from_slice(&link.id.octets());
            out.extend_from_slice(&link.data.octets());
            out.extend_from_slice(&[link.kind.number(), 0]);
            out.extend_from_slice(&link.metric.to_be_bytes());
        }
    }
}

impl Link {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (id, data) = (r.addr()?, r.addr()?);
        let kind = match r.u8()? {
            1 => LinkKind::PointToPoint,
            2 => LinkKind::Transit,
            3 => LinkKind::Stub,
            4 => LinkKind::Virtual,
            _ => return Err(Malformed::field("OSPF router-LSA", "link type")),
        };
        let tos_metrics = usize::from(r.u8()?);
        let metric = r.u16()?;
        r.bytes(tos_metrics * 4)?;
        Ok(Self { id, data, kind, metric })
    }
}

impl LinkKind {
    const fn number(self) -> u8 {
        match self {
            Self::PointToPoint => 1,
            Self::Transit => 2,
            Self::Stub => 3,
            Self::Virtual => 4,
        }
    }
}

impl Network {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new("OSPF network-LSA", bytes);
        let prefix_len = r.mask()?;
        let mut routers = Vec::new();
        while !r.is_empty() {
            routers.push(r.router_id()?);
        }
        Ok(Self { prefix_len, routers })
    }
}

impl Summary {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new("OSPF summary-LSA", bytes);
        Ok(Self { prefix_len: r.mask()?, metric: r.u32()? & super::LS_INFINITY })
    }
}

impl AsExternal {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new("OSPF AS-external-LSA", bytes);
        let (prefix_len, metric, forwarding, tag) = (r.mask()?, r.u32()?, r.addr()?, r.u32()?);
        let metric_type = if metric >> 31 == 1 { MetricType::E2 } else { MetricType::E1 };
        let forwarding = (!forwarding.is_unspecified()).then_some(forwarding);
        Ok(Self { prefix_len, metric_type, metric: metric & super::LS_INFINITY, forwarding, tag })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let e = match self.metric_type {
            MetricType::E1 => 0,
            MetricType::E2 => 1 << 31,
        };
        out.extend_from_slice(&mask_bytes(self.prefix_len));
        out.extend_from_slice(&(e | self.metric & super::LS_INFINITY).to_be_bytes());
        out.extend_from_slice(&self.forwarding.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        out.extend_from_slice(&self.tag.to_be_bytes());
    }
}
