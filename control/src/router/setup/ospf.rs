//! `router ospf` for OSPF, and which routes it announces.

use std::net::Ipv4Addr;

use espalier_wire::ospf::{AreaId, Auth, MetricType};
use espalier_wire::plane::Secret;
use espalier_wire::{Duration, IfIndex, Ipv4Prefix, RouterId};

use crate::ios::model::{self, InterfaceKind, OspfAuthentication, OspfNetworkType, RedistributeSource};
use crate::ios::{Config, Diagnostic};
use crate::ospf::{self, ExternalCalculation, InterfaceConfig, NetworkKind, Redistributed};
use crate::profile::Profile;
use crate::rib::{Protocol, Route};

pub(super) fn check(config: &Config, found: &mut Vec<Diagnostic>) {
    for process in config.ospf.values().skip(1) {
        found.push(Diagnostic::error(&process.place, "a second OSPF process is not supported"));
    }
    let profile = Profile::ios_12_3();
    let Some((number, settings)) = build(config, &profile) else { return };
    if let (Err(reason), Some(process)) = (settings.check(), config.ospf.get(&number)) {
        found.push(Diagnostic::error(&process.place, reason.to_string()));
    }
}

/// The process's number and settings, when there is one.
pub(in crate::router) fn build(config: &Config, profile: &Profile) -> Option<(u16, ospf::Config)> {
    let (number, from) = config.ospf.first_key_value()?;
    let interfaces = config.interfaces.iter().enumerate().filter_map(|(at, i)| {
        Some((IfIndex(u16::try_from(at).ok()?), interface(*number, from, i, profile)?))
    });
    let [start, hold, max] =
        from.timers.map_or([profile.spf.start, profile.spf.hold, profile.spf.max], model::OspfTimers::spans);
    let settings = ospf::Config {
        router_id: from.router_id.unwrap_or_else(|| router_id(config)),
        interfaces: interfaces.collect(),
        asbr: !from.redistribute.is_empty(),
        profile: ospf::Profile {
            spf: ospf::SpfTimers { start, hold, max },
            external: if profile.delay_external {
                ExternalCalculation::WithSpf
            } else {
                ExternalCalculation::AtOnce
            },
            loopback_cost: profile.loopback_cost,
        },
    };
    Some((*number, settings))
}

/// IOS: the highest loopback address, else the highest address, of interfaces that are not shut down. IOS holds the
/// process back until there is one; ours takes the id that it would have with all of them, and is silent meanwhile.
fn router_id(config: &Config) -> RouterId {
    let address = |loopback: bool, shutdown: bool| {
        let of_kind = move |i: &&model::Interface| (i.name.kind() == InterfaceKind::Loopback) == loopback;
        let some = config.interfaces.iter().filter(move |i| shutdown || !i.shutdown).filter(of_kind);
        some.filter_map(|i| i.address).map(|a| a.addr()).max()
    };
    let first = address(true, false).or_else(|| address(false, false));
    let any = || address(true, true).or_else(|| address(false, true));
    RouterId(first.or_else(any).unwrap_or(Ipv4Addr::UNSPECIFIED))
}

fn interface(
    number: u16,
    process: &model::Ospf,
    from: &model::Interface,
    profile: &Profile,
) -> Option<InterfaceConfig> {
    let address = from.address?;
    let area = match from.ospf.process {
        Some((of, area)) if of == number => area,
        Some(_) => return None,
        None => process.area_of(address.addr())?,
    };
    let loopback = from.name.kind() == InterfaceKind::Loopback;
    let cost = match from.ospf.cost {
        Some(cost) => cost,
        None if loopback => profile.loopback_cost,
        None => from.ospf_cost(process.reference_mbps()),
    };
    let network = match from.ospf.network() {
        _ if loopback => NetworkKind::Loopback,
        OspfNetworkType::Broadcast => NetworkKind::Broadcast,
        OspfNetworkType::PointToPoint => NetworkKind::PointToPoint,
    };
    Some(InterfaceConfig {
        area: AreaId(Ipv4Addr::from_bits(area.0)),
        network,
        priority: from.ospf.priority(),
        hello_interval: from.ospf.hello_interval_s(),
        dead_interval: from.ospf.dead_interval_s().into(),
        retransmit_interval: Duration::from_s(from.ospf.retransmit_interval_s().into()),
        transmit_delay: from.ospf.transmit_delay_s(),
        mtu: from.ip_mtu(),
        mtu_ignore: from.ospf.mtu_ignore,
        passive: process.is_passive(from.name),
        auth: auth(from.ospf.authentication.or(process.authentication.get(&area).copied()), &from.ospf),
        ..InterfaceConfig::broadcast(address, cost)
    })
}

/// Without a key, IOS authenticates with an empty one; of several digest keys the one configured last is used.
fn auth(kind: Option<OspfAuthentication>, from: &model::InterfaceOspf) -> Auth {
    match kind {
        None | Some(OspfAuthentication::Null) => Auth::Null,
        Some(OspfAuthentication::Simple) => Auth::simple(from.password.as_ref().map_or(&[], Secret::bytes)),
        Some(OspfAuthentication::MessageDigest) => match from.digest_keys.last() {
            Some((id, key)) => Auth::md5(*id, key.bytes()),
            None => Auth::md5(0, &[]),
        },
    }
}

/// How `route` to `prefix` is announced, if it is: what `redistribute` names, networks of OSPF's own left out.
pub(in crate::router) fn announced(
    process: &model::Ospf,
    prefix: Ipv4Prefix,
    route: &Route,
    settings: &ospf::Config,
) -> Option<Redistributed> {
    let source = match route.protocol {
        Protocol::Connected => RedistributeSource::Connected,
        Protocol::Static => RedistributeSource::Static,
        Protocol::Ospf(_) => return None,
    };
    if settings.interfaces.values().any(|i| i.address.trunc() == prefix) {
        return None;
    }
    let from = process.redistribute.iter().find(|r| r.source == source)?;
    // Without `subnets`, classful networks only; a default route is announced by another command.
    if prefix.prefix_len() == 0 || (!from.subnets && prefix.prefix_len() != classful(prefix.addr())) {
        return None;
    }
    Some(Redistributed {
        metric: from.metric(process),
        metric_type: match from.metric_type() {
            model::MetricType::Type1 => MetricType::E1,
            model::MetricType::Type2 => MetricType::E2,
        },
        next_hop: route.hops.first().and_then(|hop| hop.via),
        tag: from.tag.unwrap_or(0),
    })
}

/// The length of the classful network around an address (RFC 791 section 3.2).
const fn classful(addr: Ipv4Addr) -> u8 {
    match addr.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        192..=255 => 24,
    }
}
