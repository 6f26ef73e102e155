//! `crypto …` for the crypto maps and IKE.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use espalier_wire::plane::{Fragmentation, Mode, PolicyId, PortRange, Selector};
use espalier_wire::{Duration, IfIndex, Ipv4Prefix, Prefix};

use crate::crypto_map::{Entry, Line, Map, ReverseRoute};
use crate::ike;
use crate::ios::model::{
    AccessList, AccessListEntry, Authentication, CryptoMapEntry, Encryption, Group, Hash, Interface,
    KeepaliveMode, PortMatch, Protocol, StandbyAddress, TransformMode,
};
use crate::ios::{Config, Diagnostic};
use crate::profile::Profile;

/// What a configuration's crypto maps come to.
pub(in crate::router) struct Crypto {
    /// The maps on interfaces.
    pub(in crate::router) maps: Vec<Map>,
    /// What each of their permit lines negotiates; `local` is filled in when it is bound.
    pub(in crate::router) entries: BTreeMap<PolicyId, ike::Entry>,
}

pub(in crate::router) fn build(config: &Config) -> Crypto {
    let mut crypto = Crypto { maps: Vec::new(), entries: BTreeMap::new() };
    for (at, interface) in config.interfaces.iter().enumerate() {
        let Some(iface) = u16::try_from(at).ok().map(IfIndex) else { continue };
        if let Some(map) = applied(config, iface, interface, &mut crypto.entries) {
            crypto.maps.push(map);
        }
    }
    crypto
}

/// The map on one interface, its permit lines numbered after those of the maps before.
fn applied(
    config: &Config,
    iface: IfIndex,
    interface: &Interface,
    entries: &mut BTreeMap<PolicyId, ike::Entry>,
) -> Option<Map> {
    let binding = interface.crypto_map.as_ref()?;
    let map = config.crypto_map(&binding.map)?;
    let elsewhere = map.local_address.and_then(|name| config.interface(name)?.address);
    let address = elsewhere.or(interface.address)?.addr();
    let redundancy = binding.redundancy.as_ref().and_then(|name| {
        let (_, _, group) = config.redundancy_group(name)?;
        match group.ip? {
            StandbyAddress::Configured(address) => Some((name.clone(), address)),
            StandbyAddress::Learned => None,
        }
    });
    let mut lines = Vec::new();
    for entry in map.entries.values().filter(|e| e.is_complete()) {
        let Some(list) = entry.access_list.as_deref().and_then(|name| config.access_list(name)) else {
            continue;
        };
        for line in &list.entries {
            let Some(selector) = selector(line) else { continue };
            if !line.permit {
                lines.push(Line::Deny(selector));
                continue;
            }
            let policy = PolicyId(u32::try_from(entries.len()).unwrap_or(u32::MAX));
            let Some(negotiated) = negotiated(config, interface, entry, policy, selector) else { continue };
            lines.push(Line::Permit(selector, bound(entry, policy, selector)?));
            entries.insert(policy, negotiated);
        }
    }
    Some(Map { iface, address, redundancy, lines })
}

fn bound(entry: &CryptoMapEntry, policy: PolicyId, selector: Selector) -> Option<Entry> {
    let Prefix::V4(remote) = selector.dst else { return None };
    let reverse_route = match entry.reverse_route {
        None => ReverseRoute::Off,
        Some(r) if r.is_static => ReverseRoute::Static,
        Some(_) => ReverseRoute::On,
    };
    let via = entry.reverse_route.and_then(|r| r.remote_peer);
    Some(Entry { policy, peer: *entry.peers.first()?, remote, reverse_route, via })
}

fn negotiated(
    config: &Config,
    interface: &Interface,
    entry: &CryptoMapEntry,
    policy: PolicyId,
    selector: Selector,
) -> Option<ike::Entry> {
    let set = |name: &String| {
        let set = config.transform_set(name)?;
        // Transport mode is for the peers' own traffic; IOS falls back to tunnel mode for any other, and so do we:
        // what comes through a gateway is never its own.
        let own = selector.src.prefix_len() == 32 && Some(selector.src.addr()) == local(interface);
        let mode = match set.mode() {
            TransformMode::Tunnel => Mode::Tunnel,
            TransformMode::Transport if !own => Mode::Tunnel,
            TransformMode::Transport | TransformMode::TransportRequired => Mode::Transport,
        };
        Some((set.transform, mode))
    };
    Some(ike::Entry {
        policy,
        local: Ipv4Addr::UNSPECIFIED,
        peers: entry.peers.clone(),
        selector,
        transforms: entry.transform_sets.iter().filter_map(set).collect(),
        pfs: entry.pfs.and_then(group),
        seconds: entry.lifetime_s(&config.ipsec).into(),
        kilobytes: entry.lifetime_kb(&config.ipsec).map(u64::from),
        replay_window: entry.replay_window(&config.ipsec).into(),
        df_bit: interface.df_bit.unwrap_or_else(|| config.ipsec.df_bit()),
        mtu: Some(interface.ip_mtu()),
        fragmentation: Fragmentation::BeforeEncryption,
    })
}

fn local(interface: &Interface) -> Option<std::net::IpAddr> {
    interface.address.map(|a| a.addr().into())
}

/// What a line of an access list protects, when IKE can say it (RFC 2407 section 4.6.2: prefixes and single ports;
/// ranges stay here, where the dataplane keeps them).
fn selector(line: &AccessListEntry) -> Option<Selector> {
    let rule = &line.rule;
    let protocol = match rule.protocol {
        Protocol::Any => None,
        Protocol::Number(number) => Some(number),
    };
    Some(Selector {
        src: Prefix::V4(rule.source.prefix()?),
        dst: Prefix::V4(rule.destination.prefix()?),
        protocol,
        src_ports: ports(rule.source_port)?,
        dst_ports: ports(rule.destination_port)?,
    })
}

fn ports(of: Option<PortMatch>) -> Option<PortRange> {
    Some(match of {
        None => PortRange::ANY,
        Some(PortMatch::Eq(port)) => PortRange::one(port),
        Some(PortMatch::Range(low, high)) => PortRange { low, high },
        Some(PortMatch::Lt(port)) => PortRange { low: 0, high: port.checked_sub(1)? },
        Some(PortMatch::Gt(port)) => PortRange { low: port.checked_add(1)?, high: u16::MAX },
        Some(PortMatch::Neq(_)) => return None,
    })
}

pub(super) fn check(config: &Config, found: &mut Vec<Diagnostic>) {
    for binding in config.interfaces.iter().filter_map(|i| i.crypto_map.as_ref()) {
        let learned = binding.redundancy.as_ref().and_then(|name| config.redundancy_group(name));
        if let Some((_, _, group)) = learned
            && !matches!(group.ip, Some(StandbyAddress::Configured(_)))
        {
            let what = "a crypto map needs a group whose virtual address is configured, not learned";
            found.push(Diagnostic::error(&binding.place, what));
        }
        let lists = config.crypto_map(&binding.map).into_iter().flat_map(|m| m.entries.values());
        for list in lists.filter_map(|e| config.access_list(e.access_list.as_deref()?)) {
            check_list(list, found);
        }
    }
}

fn check_list(list: &AccessList, found: &mut Vec<Diagnostic>) {
    for line in &list.entries {
        if line.rule.established || line.rule.icmp_type.is_some() {
            let what = "a crypto map cannot select by TCP flags or ICMP type";
            found.push(Diagnostic::error(&line.place, what));
        } else if selector(line).is_none() {
            let what = "a crypto map cannot select by this: a prefix and a port or range of ports";
            found.push(Diagnostic::error(&line.place, what));
        }
    }
}

fn group(from: Group) -> Option<ike::Group> {
    ike::Group::from_number(from.0.into())
}

/// IKE's settings.
pub(in crate::router) fn ike(config: &Config, profile: &Profile) -> ike::Config {
    let policy = |p: &crate::ios::model::Policy| {
        (p.authentication() == Authentication::PreShare).then(|| {
            Some(ike::IsakmpPolicy {
                encryption: encryption(p.encryption()),
                hash: hash(p.hash()),
                group: group(p.group())?,
                lifetime: Duration::from_s(p.lifetime_s().into()),
            })
        })?
    };
    let key = |k: &crate::ios::model::PreSharedKey| {
        let peer = Ipv4Prefix::with_netmask(k.address, k.mask).ok()?.trunc();
        Some(ike::PeerKey { peer, secret: k.key.clone() })
    };
    // `keepalive S` alone is periodic under 12.3, on demand from 12.4 on.
    let on_demand = |mode: Option<KeepaliveMode>| match mode {
        Some(KeepaliveMode::Periodic) => false,
        Some(KeepaliveMode::OnDemand) => true,
        None => profile.name != "ios-12.3",
    };
    let isakmp = &config.isakmp;
    let default = ike::Config::default();
    ike::Config {
        policies: isakmp.policies.values().filter_map(policy).collect(),
        keys: isakmp.keys.iter().filter_map(key).collect(),
        keepalive: isakmp.keepalive.as_ref().map(|k| ike::Keepalive {
            interval: Duration::from_s(k.interval_s.into()),
            retry: Duration::from_s(k.retry_s().into()),
            on_demand: on_demand(k.mode),
        }),
        invalid_spi_recovery: isakmp.invalid_spi_recovery,
        nat_traversal: config.ipsec.nat_transparency(),
        nat_keepalive: isakmp.nat_keepalive_s.map_or(default.nat_keepalive, |s| Duration::from_s(s.into())),
        retransmit: profile.ike_retransmit,
        tries: profile.ike_tries,
        old_sas: profile.old_sas,
        ..default
    }
}

const fn encryption(from: Encryption) -> ike::Encryption {
    match from {
        Encryption::Des => ike::Encryption::Des,
        Encryption::TripleDes => ike::Encryption::TripleDes,
        Encryption::Aes128 => ike::Encryption::Aes128,
        Encryption::Aes192 => ike::Encryption::Aes192,
        Encryption::Aes256 => ike::Encryption::Aes256,
    }
}

const fn hash(from: Hash) -> ike::Hash {
    match from {
        Hash::Md5 => ike::Hash::Md5,
        Hash::Sha1 => ike::Hash::Sha1,
        Hash::Sha256 => ike::Hash::Sha256,
        Hash::Sha384 => ike::Hash::Sha384,
        Hash::Sha512 => ike::Hash::Sha512,
    }
}
