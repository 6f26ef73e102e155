//! The SA payload and what nests in it: proposals, transforms, attributes (RFC 2408 sections 3.3 to 3.6).

use super::chain::Chain;
use super::number::{PayloadKind, Protocol, ipsec};
use crate::Malformed;

/// The most proposals or transforms one SA payload may have here.
const MAX_NESTED: usize = 64;

/// One attribute (RFC 2408 section 3.3): in two bytes (TV) or with its own length (TLV).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Attribute type, without the format bit.
    pub kind: u16,
    /// The value's bytes; a TV value has two.
    pub value: Vec<u8>,
    /// Whether it stands in the short form.
    pub short: bool,
}

impl Attribute {
    /// `value` in the short form when it fits in two bytes, in four bytes otherwise.
    pub fn number(kind: u16, value: u64) -> Self {
        match u16::try_from(value) {
            Ok(v) => Self { kind, value: v.to_be_bytes().to_vec(), short: true },
            Err(_) => Self {
                kind,
                value: u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes().to_vec(),
                short: false,
            },
        }
    }

    /// The value as a number; `None` when it has more than eight bytes or none.
    pub fn as_number(&self) -> Option<u64> {
        if self.value.is_empty() || self.value.len() > 8 {
            return None;
        }
        Some(self.value.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.short {
            out.extend_from_slice(&(self.kind | 0x8000).to_be_bytes());
        } else {
            out.extend_from_slice(&self.kind.to_be_bytes());
            out.extend_from_slice(&u16::try_from(self.value.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        out.extend_from_slice(&self.value);
    }

    /// Read a list of attributes that fills `bytes`.
    ///
    /// # Errors
    /// An attribute that does not fit.
    pub fn read_all(mut bytes: &[u8]) -> Result<Vec<Self>, Malformed> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let Some((&[t0, t1, l0, l1], rest)) = bytes.split_first_chunk::<4>() else {
                return Err(Malformed::Truncated { format: "ISAKMP attribute", need: 4, have: bytes.len() });
            };
            let (kind, field) = (u16::from_be_bytes([t0, t1]), [l0, l1]);
            let short = kind & 0x8000 != 0;
            let length = if short { 0 } else { usize::from(u16::from_be_bytes(field)) };
            let Some((value, after)) = rest.split_at_checked(length) else {
                return Err(Malformed::Truncated {
                    format: "ISAKMP attribute",
                    need: length,
                    have: rest.len(),
                });
            };
            let value = if short { field.to_vec() } else { value.to_vec() };
            all.push(Self { kind: kind & 0x7fff, value, short });
            bytes = after;
        }
        Ok(all)
    }

    /// The bytes of a list of attributes.
    pub fn write_all(all: &[Self]) -> Vec<u8> {
        let mut out = Vec::new();
        all.iter().for_each(|a| a.write(&mut out));
        out
    }
}

/// A transform payload (RFC 2408 section 3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformOffer {
    /// Transform number, as the initiator counts them.
    pub number: u8,
    /// Transform id, whose meaning the proposal's protocol gives.
    pub id: u8,
    /// Attributes in order.
    pub attributes: Vec<Attribute>,
}

impl TransformOffer {
    /// The value of the first attribute of this type.
    pub fn number_of(&self, kind: u16) -> Option<u64> {
        self.attributes.iter().find(|a| a.kind == kind).and_then(Attribute::as_number)
    }

    fn read(body: &[u8]) -> Result<Self, Malformed> {
        let Some((&[number, id, _, _], attributes)) = body.split_first_chunk::<4>() else {
            return Err(Malformed::Truncated { format: "ISAKMP transform", need: 4, have: body.len() });
        };
        Ok(Self { number, id, attributes: Attribute::read_all(attributes)? })
    }

    fn body(&self) -> Vec<u8> {
        let mut out = vec![self.number, self.id, 0, 0];
        self.attributes.iter().for_each(|a| a.write(&mut out));
        out
    }
}

/// A proposal payload (RFC 2408 section 3.5). Proposals with one number go together; others are alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Proposal number.
    pub number: u8,
    /// Protocol.
    pub protocol: Protocol,
    /// The sender's SPI; empty in phase 1 (or cookies, which are to be ignored: RFC 2408 section 3.5).
    pub spi: Vec<u8>,
    /// Its transforms: alternatives, best first.
    pub transforms: Vec<TransformOffer>,
}

impl Proposal {
    fn read(body: &[u8]) -> Result<Self, Malformed> {
        let Some((&[number, protocol, spi_size, count], rest)) = body.split_first_chunk::<4>() else {
            return Err(Malformed::Truncated { format: "ISAKMP proposal", need: 4, have: body.len() });
        };
        let Some((spi, rest)) = rest.split_at_checked(usize::from(spi_size)) else {
            return Err(Malformed::field("ISAKMP proposal", "SPI size"));
        };
        let transforms = nested(PayloadKind::TRANSFORM, rest)?
            .into_iter()
            .map(TransformOffer::read)
            .collect::<Result<Vec<_>, _>>()?;
        if transforms.len() != usize::from(count) || transforms.is_empty() {
            return Err(Malformed::field("ISAKMP proposal", "number of transforms"));
        }
        Ok(Self { number, protocol: Protocol(protocol), spi: spi.to_vec(), transforms })
    }

    fn body(&self) -> Vec<u8> {
        let spi_size = u8::try_from(self.spi.len()).unwrap_or(u8::MAX);
        let count = u8::try_from(self.transforms.len()).unwrap_or(u8::MAX);
        let mut out = vec![self.number, self.protocol.0, spi_size, count];
        out.extend_from_slice(&self.spi);
        let bodies: Vec<_> = self.transforms.iter().map(TransformOffer::body).collect();
        write_nested(PayloadKind::TRANSFORM, &bodies, &mut out);
        out
    }
}

/// The body of an SA payload under the IPsec DOI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaBody {
    /// Proposals in order.
    pub proposals: Vec<Proposal>,
}

impl SaBody {
    /// Read an SA payload's body.
    ///
    /// # Errors
    /// Another DOI or situation, lengths that do not fit, no proposal.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let Some((&[d0, d1, d2, d3, s0, s1, s2, s3], rest)) = body.split_first_chunk::<8>() else {
            return Err(Malformed::Truncated { format: "ISAKMP SA", need: 8, have: body.len() });
        };
        // RFC 2408 section 3.4: a DOI of 0 is a generic ISAKMP SA, good for phase 1 with any DOI.
        if u32::from_be_bytes([d0, d1, d2, d3]) > ipsec::DOI {
            return Err(Malformed::field("ISAKMP SA", "DOI"));
        }
        if u32::from_be_bytes([s0, s1, s2, s3]) != ipsec::SIT_IDENTITY_ONLY {
            return Err(Malformed::field("ISAKMP SA", "situation"));
        }
        let proposals = nested(PayloadKind::PROPOSAL, rest)?
            .into_iter()
            .map(Proposal::read)
            .collect::<Result<Vec<_>, _>>()?;
        if proposals.is_empty() {
            return Err(Malformed::field("ISAKMP SA", "number of proposals"));
        }
        Ok(Self { proposals })
    }

    /// The body's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = ipsec::DOI.to_be_bytes().to_vec();
        out.extend_from_slice(&ipsec::SIT_IDENTITY_ONLY.to_be_bytes());
        let bodies: Vec<_> = self.proposals.iter().map(Proposal::body).collect();
        write_nested(PayloadKind::PROPOSAL, &bodies, &mut out);
        out
    }
}

/// The bodies of a run of payloads of one kind that fills `bytes`.
fn nested(kind: PayloadKind, bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let chain = Chain::new_checked(kind, bytes)?;
    if chain.iter().any(|p| p.kind != kind) {
        return Err(Malformed::field("ISAKMP SA", "next payload"));
    }
    if chain.length() != bytes.len() || chain.iter().count() > MAX_NESTED {
        return Err(Malformed::field("ISAKMP SA", "payload length"));
    }
    Ok(chain.iter().map(|p| p.body).collect())
}

fn write_nested(kind: PayloadKind, bodies: &[Vec<u8>], out: &mut Vec<u8>) {
    for (i, body) in bodies.iter().enumerate() {
        let next = if i + 1 < bodies.len() { kind.0 } else { 0 };
        let length = u16::try_from(body.len() + 4).unwrap_or(u16::MAX);
        out.extend_from_slice(&[next, 0]);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(body);
    }
}
