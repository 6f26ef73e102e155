//! Quick mode's identities and the selectors they stand for (RFC 2407 section 4.6.2, RFC 2409 section 5.5).

use std::net::Ipv4Addr;

use espalier_wire::ike::{IdKind, Identification};
use espalier_wire::plane::{PortRange, Selector};
use espalier_wire::{Ipv4Prefix, Prefix};

/// The identity of one end of a selector. A range of ports has no IKEv1 form but "any".
fn identity(prefix: Prefix, protocol: Option<u8>, ports: PortRange) -> Option<Identification> {
    let Prefix::V4(prefix) = prefix else { return None };
    let kind = if prefix.prefix_len() == 32 {
        IdKind::Address(prefix.addr())
    } else {
        IdKind::Subnet(prefix.trunc())
    };
    let port = if ports.low == ports.high { ports.low } else { 0 };
    Some(Identification { kind, protocol: protocol.unwrap_or(0), port })
}

/// IDci and IDcr of a selector, as its owner sends packets. `None` for IPv6.
pub(super) fn identities(selector: &Selector) -> Option<(Identification, Identification)> {
    let source = identity(selector.src, selector.protocol, selector.src_ports)?;
    let destination = identity(selector.dst, selector.protocol, selector.dst_ports)?;
    Some((source, destination))
}

fn prefix(id: &Identification) -> Option<Prefix> {
    let prefix = match &id.kind {
        IdKind::Address(a) => Ipv4Prefix::from(*a),
        IdKind::Subnet(p) => p.trunc(),
        IdKind::Fqdn(_) | IdKind::Range(_, _) | IdKind::Other(_, _) => return None,
    };
    Some(Prefix::V4(prefix))
}

fn ports(port: u16) -> PortRange {
    if port == 0 { PortRange::ANY } else { PortRange::one(port) }
}

/// The selector that IDci and IDcr stand for, as the initiator sends packets. Both must speak of one protocol.
pub(super) fn selector(source: &Identification, destination: &Identification) -> Option<Selector> {
    if source.protocol != destination.protocol {
        return None;
    }
    Some(Selector {
        src: prefix(source)?,
        dst: prefix(destination)?,
        protocol: (source.protocol != 0).then_some(source.protocol),
        src_ports: ports(source.port),
        dst_ports: ports(destination.port),
    })
}

/// The selector of a quick mode without identities: the peers themselves (RFC 2409 section 5.5).
pub(super) fn between_hosts(initiator: Ipv4Addr, responder: Ipv4Addr) -> Selector {
    Selector::between(Prefix::V4(Ipv4Prefix::from(initiator)), Prefix::V4(Ipv4Prefix::from(responder)))
}

/// A selector with what IKEv1 cannot say left out: host bits of prefixes, ranges of ports.
pub(super) fn normal(selector: &Selector) -> Selector {
    identities(selector).and_then(|(a, b)| self::selector(&a, &b)).unwrap_or(*selector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_survive_as_identities() {
        let mut s = Selector::between("99.99.99.99/32".parse().unwrap(), "20.1.1.0/24".parse().unwrap());
        assert_eq!(normal(&s), s);
        s.protocol = Some(17);
        s.dst_ports = PortRange::one(53);
        assert_eq!(normal(&s), s);
        let (a, b) = identities(&s).unwrap();
        assert_eq!(selector(&b, &a), Some(s.mirrored()));
        let other = Identification { protocol: 6, ..b };
        assert_eq!(selector(&a, &other), None, "two protocols");
    }
}
