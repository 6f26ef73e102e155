//! The five packets of OSPF and the header they share (RFC 2328 section A.3).

use std::fmt;
use std::net::Ipv4Addr;

use super::HEADER_LEN;
use super::auth::{self, Auth, AuthError};
use super::lsa::{Lsa, LsaHeader, LsaKey};
use super::parse::{Reader, mask_bytes};
use crate::{Malformed, RouterId};

/// An area, written as an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AreaId(pub Ipv4Addr);

impl AreaId {
    /// Area 0.
    pub const BACKBONE: Self = Self(Ipv4Addr::UNSPECIFIED);
}

impl fmt::Display for AreaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The options field (RFC 2328 section A.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options(pub u8);

impl Options {
    /// AS-external-LSAs are flooded here: no stub area.
    pub const E: u8 = 0x02;

    /// Whether bit E is set.
    pub const fn external(self) -> bool {
        self.0 & Self::E != 0
    }
}

/// A Hello (RFC 2328 section A.3.2). Intervals are seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub struct Hello {
    /// Bits of the network's mask.
    pub prefix_len: u8,
    pub hello_interval: u16,
    pub options: Options,
    pub priority: u8,
    pub dead_interval: u32,
    /// The designated router's interface address.
    pub designated: Option<Ipv4Addr>,
    /// The backup's interface address.
    pub backup: Option<Ipv4Addr>,
    /// Whom the sender heard from within its dead interval.
    pub neighbours: Vec<RouterId>,
}

/// A Database Description (RFC 2328 section A.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseDescription {
    /// Bytes of IP packet that fit the sender's interface.
    pub mtu: u16,
    /// The sender's options.
    pub options: Options,
    /// Bit I: the first.
    pub init: bool,
    /// Bit M: more follow.
    pub more: bool,
    /// Bit MS: the sender is the master.
    pub master: bool,
    /// DD sequence number.
    pub sequence: u32,
    /// The sender's database, header by header.
    pub headers: Vec<LsaHeader>,
}

/// What follows the header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is its packet's name")]
pub enum Body {
    Hello(Hello),
    DatabaseDescription(DatabaseDescription),
    LinkStateRequest(Vec<LsaKey>),
    LinkStateUpdate(Vec<Lsa>),
    LinkStateAck(Vec<LsaHeader>),
}

/// A packet as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "names say it")]
pub struct Packet {
    pub router: RouterId,
    pub area: AreaId,
    pub body: Body,
}

/// An IP payload that has an OSPFv2 header and the bytes it promises. Its checksum is [`View::verify`]'s to check.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    packet: &'a [u8],
    trailer: &'a [u8],
    head: &'a [u8; HEADER_LEN],
}

impl<'a> View<'a> {
    /// Check version and length (RFC 2328 section 8.2). What follows the packet's own length (a digest, RFC 5613
    /// link-local signalling) is its trailer.
    pub fn new_checked(payload: &'a [u8]) -> Result<Self, Malformed> {
        let truncated = Malformed::Truncated { format: "OSPF", need: HEADER_LEN, have: payload.len() };
        let head = payload.first_chunk::<HEADER_LEN>().ok_or(truncated)?;
        if head[0] != 2 {
            return Err(Malformed::field("OSPF", "version"));
        }
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length < HEADER_LEN {
            return Err(Malformed::field("OSPF", "packet length"));
        }
        let short = Malformed::Truncated { format: "OSPF", need: length, have: payload.len() };
        let (packet, trailer) = payload.split_at_checked(length).ok_or(short)?;
        Ok(Self { packet, trailer, head })
    }

    /// The sender.
    pub const fn router(&self) -> RouterId {
        let h = self.head;
        RouterId(Ipv4Addr::new(h[4], h[5], h[6], h[7]))
    }

    /// The area the packet belongs to.
    pub const fn area(&self) -> AreaId {
        let h = self.head;
        AreaId(Ipv4Addr::new(h[8], h[9], h[10], h[11]))
    }

    /// Check checksum and authentication; gives the cryptographic sequence number, where there is one.
    pub fn verify(&self, auth: &Auth) -> Result<Option<u32>, AuthError> {
        auth::verify(self.packet, self.trailer, auth)
    }

    /// Read the body.
    pub fn parse(&self) -> Result<Packet, Malformed> {
        let body = self.packet.get(HEADER_LEN..).unwrap_or_default();
        let body = match self.head[1] {
            1 => Body::Hello(Hello::parse(body)?),
            2 => Body::DatabaseDescription(DatabaseDescription::parse(body)?),
            3 => Body::LinkStateRequest(many("OSPF request", body, LsaKey::parse)?),
            4 => Body::LinkStateUpdate(parse_update(body)?),
            5 => Body::LinkStateAck(many("OSPF acknowledgement", body, LsaHeader::parse)?),
            _ => return Err(Malformed::field("OSPF", "type")),
        };
        Ok(Packet { router: self.router(), area: self.area(), body })
    }
}

impl Packet {
    /// The IP payload: header, body, checksum and authentication. `sequence` is the cryptographic sequence number, used
    /// by keyed MD5 alone.
    pub fn emit(&self, auth: &Auth, sequence: u32) -> Vec<u8> {
        let mut out = vec![2, self.body.number(), 0, 0];
        out.extend_from_slice(&self.router.0.octets());
        out.extend_from_slice(&self.area.0.octets());
        out.resize(HEADER_LEN, 0);
        self.body.emit(&mut out);
        let length = out.len() as u16;
        out[2..4].copy_from_slice(&length.to_be_bytes());
        auth::seal(&mut out, auth, sequence);
        out
    }
}

impl Body {
    const fn number(&self) -> u8 {
        match self {
            Self::Hello(_) => 1,
            Self::DatabaseDescription(_) => 2,
            Self::LinkStateRequest(_) => 3,
            Self::LinkStateUpdate(_) => 4,
            Self::LinkStateAck(_) => 5,
        }
    }

    /// The packet's name, as IOS and the RFC call it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::DatabaseDescription(_) => "database description",
            Self::LinkStateRequest(_) => "LS request",
            Self::LinkStateUpdate(_) => "LS update",
            Self::LinkStateAck(_) => "LS acknowledgement",
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello(hello) => hello.emit(out),
            Self::DatabaseDescription(dd) => dd.emit(out),
            Self::LinkStateRequest(keys) => keys.iter().for_each(|k| k.emit(out)),
            Self::LinkStateUpdate(lsas) => {
                out.extend_from_slice(&(lsas.len() as u32).to_be_bytes());
                lsas.iter().for_each(|l| l.emit(out));
            }
            Self::LinkStateAck(headers) => headers.iter().for_each(|h| h.emit(out)),
        }
    }
}

impl Hello {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new("OSPF hello", bytes);
        let (prefix_len, hello_interval) = (r.mask()?, r.u16()?);
        let (options, priority, dead_interval) = (Options(r.u8()?), r.u8()?, r.u32()?);
        let some = |a: Ipv4Addr| (!a.is_unspecified()).then_some(a);
        let (designated, backup) = (some(r.addr()?), some(r.addr()?));
        let mut neighbours = Vec::new();
        while !r.is_empty() {
            neighbours.push(r.router_id()?);
        }
        Ok(Self {
            prefix_len,
            hello_interval,
            options,
            priority,
            dead_interval,
            designated,
            backup,
            neighbours,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&mask_bytes(self.prefix_len));
        out.extend_from_slice(&self.hello_interval.to_be_bytes());
        out.extend_from_slice(&[self.options.0, self.priority]);
        out.extend_from_slice(&self.dead_interval.to_be_bytes());
        for router in [self.designated, self.backup] {
            out.extend_from_slice(&router.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        }
        self.neighbours.iter().for_each(|n| out.extend_from_slice(&n.0.octets()));
    }
}

impl DatabaseDescription {
    fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new("OSPF database description", bytes);
        let (mtu, options, flags, sequence) = (r.u16()?, Options(r.u8()?), r.u8()?, r.u32()?);
        let headers = rest(&mut r, LsaHeader::parse)?;
        Ok(Self {
            mtu,
            options,
            init: flags & 4 != 0,
            more: flags & 2 != 0,
            master: flags & 1 != 0,
            sequence,
            headers,
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let flags = u8::from(self.init) << 2 | u8::from(self.more) << 1 | u8::from(self.master);
        out.extend_from_slice(&self.mtu.to_be_bytes());
        out.extend_from_slice(&[self.options.0, flags]);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        self.headers.iter().for_each(|h| h.emit(out));
    }
}

type Parse<T> = fn(&mut Reader<'_>) -> Result<T, Malformed>;

fn rest<T>(r: &mut Reader<'_>, parse: Parse<T>) -> Result<Vec<T>, Malformed> {
    let mut all = Vec::new();
    while !r.is_empty() {
        all.push(parse(r)?);
    }
    Ok(all)
}

fn many<T>(format: &'static str, bytes: &[u8], parse: Parse<T>) -> Result<Vec<T>, Malformed> {
    rest(&mut Reader::new(format, bytes), parse)
}

fn parse_update(bytes: &[u8]) -> Result<Vec<Lsa>, Malformed> {
    let mut r = Reader::new("OSPF update", bytes);
    let count = r.u32()?;
    let mut lsas = Vec::new();
    for _ in 0..count {
        lsas.push(Lsa::parse(&mut r)?);
    }
    Ok(lsas)
}
