//! The bodies of identification, notification and delete payloads under the IPsec DOI.

use std::net::Ipv4Addr;

use super::number::{NotifyType, Protocol, attribute, ipsec};
use super::sa::Attribute;
use crate::{Ipv4Prefix, Malformed};

/// What an identification payload says (RFC 2407 section 4.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdKind {
    /// ID_IPV4_ADDR (1).
    Address(Ipv4Addr),
    /// ID_FQDN (2).
    Fqdn(String),
    /// ID_IPV4_ADDR_SUBNET (4).
    Subnet(Ipv4Prefix),
    /// ID_IPV4_ADDR_RANGE (7).
    Range(Ipv4Addr, Ipv4Addr),
    /// Any other type, with its bytes.
    Other(u8, Vec<u8>),
}

/// An identification payload's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identification {
    /// Who or what.
    pub kind: IdKind,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// Port; 0 is any.
    pub port: u16,
}

impl Identification {
    /// Read a body.
    ///
    /// # Errors
    /// A length that does not fit the type, a mask that is no prefix.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let Some((&[kind, protocol, p0, p1], data)) = body.split_first_chunk::<4>() else {
            return Err(Malformed::Truncated { format: "ISAKMP ID", need: 4, have: body.len() });
        };
        let bad = || Malformed::field("ISAKMP ID", "identification data");
        let pair = || -> Result<(Ipv4Addr, Ipv4Addr), Malformed> {
            let [a, b, c, d, e, f, g, h] = <[u8; 8]>::try_from(data).map_err(|_| bad())?;
            Ok((Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h)))
        };
        let kind = match kind {
            1 => IdKind::Address(<[u8; 4]>::try_from(data).map_err(|_| bad())?.into()),
            2 => IdKind::Fqdn(String::from_utf8(data.to_vec()).map_err(|_| bad())?),
            4 => {
                let (address, mask) = pair()?;
                IdKind::Subnet(Ipv4Prefix::with_netmask(address, mask).map_err(|_| bad())?)
            }
            7 => {
                let (low, high) = pair()?;
                IdKind::Range(low, high)
            }
            other => IdKind::Other(other, data.to_vec()),
        };
        Ok(Self { kind, protocol, port: u16::from_be_bytes([p0, p1]) })
    }

    /// The body's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let (kind, data) = match &self.kind {
            IdKind::Address(a) => (1, a.octets().to_vec()),
            IdKind::Fqdn(name) => (2, name.as_bytes().to_vec()),
            IdKind::Subnet(p) => (4, [p.addr().octets(), p.netmask().octets()].concat()),
            IdKind::Range(low, high) => (7, [low.octets(), high.octets()].concat()),
            IdKind::Other(kind, data) => (*kind, data.clone()),
        };
        let mut out = vec![kind, self.protocol];
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(&data);
        out
    }
}

/// A notification payload's body (RFC 2408 section 3.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Which protocol's SA it is about.
    pub protocol: Protocol,
    /// What is said.
    pub kind: NotifyType,
    /// The SA's SPI; the two cookies for ISAKMP; may be empty.
    pub spi: Vec<u8>,
    /// Data, as the type defines it.
    pub data: Vec<u8>,
}

impl Notification {
    /// Read a body.
    ///
    /// # Errors
    /// Too short for its SPI.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let Some((&[_, _, _, _, protocol, spi_size, k0, k1], rest)) = body.split_first_chunk::<8>() else {
            return Err(Malformed::Truncated { format: "ISAKMP N", need: 8, have: body.len() });
        };
        let Some((spi, data)) = rest.split_at_checked(usize::from(spi_size)) else {
            return Err(Malformed::field("ISAKMP N", "SPI size"));
        };
        Ok(Self {
            protocol: Protocol(protocol),
            kind: NotifyType(u16::from_be_bytes([k0, k1])),
            spi: spi.to_vec(),
            data: data.to_vec(),
        })
    }

    /// The body's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = ipsec::DOI.to_be_bytes().to_vec();
        out.extend_from_slice(&[self.protocol.0, u8::try_from(self.spi.len()).unwrap_or(u8::MAX)]);
        out.extend_from_slice(&self.kind.0.to_be_bytes());
        out.extend_from_slice(&self.spi);
        out.extend_from_slice(&self.data);
        out
    }
}

/// The seconds and kilobytes a RESPONDER-LIFETIME notification's data says (RFC 2407 section 4.6.3.1). `phase1`
/// chooses the attribute numbers of RFC 2409 over those of RFC 2407.
///
/// # Errors
/// Data that is no attribute list.
pub fn responder_lifetime(data: &[u8], phase1: bool) -> Result<(Option<u64>, Option<u64>), Malformed> {
    let (life_type, duration) = if phase1 {
        (attribute::LIFE_TYPE, attribute::LIFE_DURATION)
    } else {
        (attribute::SA_LIFE_TYPE, attribute::SA_LIFE_DURATION)
    };
    let (mut seconds, mut kilobytes, mut unit) = (None, None, None);
    for a in Attribute::read_all(data)? {
        if a.kind == life_type {
            unit = a.as_number();
        } else if a.kind == duration {
            match unit {
                Some(attribute::SECONDS) => seconds = a.as_number(),
                Some(attribute::KILOBYTES) => kilobytes = a.as_number(),
                Some(_) | None => {}
            }
        }
    }
    Ok((seconds, kilobytes))
}

/// A delete payload's body (RFC 2408 section 3.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Which protocol's SAs.
    pub protocol: Protocol,
    /// Their SPIs, all of one size: 4 bytes, or 16 for ISAKMP (the cookies).
    pub spis: Vec<Vec<u8>>,
}

impl Delete {
    /// Read a body.
    ///
    /// # Errors
    /// An SPI size of 0, or SPIs that do not fill the payload.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let Some((&[_, _, _, _, protocol, spi_size, n0, n1], rest)) = body.split_first_chunk::<8>() else {
            return Err(Malformed::Truncated { format: "ISAKMP D", need: 8, have: body.len() });
        };
        let (size, count) = (usize::from(spi_size), usize::from(u16::from_be_bytes([n0, n1])));
        if size == 0 || size.checked_mul(count) != Some(rest.len()) {
            return Err(Malformed::field("ISAKMP D", "number of SPIs"));
        }
        Ok(Self { protocol: Protocol(protocol), spis: rest.chunks_exact(size).map(<[u8]>::to_vec).collect() })
    }

    /// The body's bytes. Every SPI must have the first one's size; others are left out.
    pub fn bytes(&self) -> Vec<u8> {
        let size = self.spis.first().map_or(0, Vec::len);
        let spis: Vec<_> = self.spis.iter().filter(|s| s.len() == size).collect();
        let mut out = ipsec::DOI.to_be_bytes().to_vec();
        out.extend_from_slice(&[self.protocol.0, u8::try_from(size).unwrap_or(u8::MAX)]);
        out.extend_from_slice(&u16::try_from(spis.len()).unwrap_or(u16::MAX).to_be_bytes());
        spis.iter().for_each(|s| out.extend_from_slice(s));
        out
    }
}
