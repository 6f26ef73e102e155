//! What a configuration says of things it does not have, and values that contradict each other, within one file.
//! What contradicts another router's file is not looked at here.

use std::net::Ipv4Addr;

use espalier_wire::Ipv4Prefix;

use super::diagnostic::{Diagnostic, nearest};
use super::model::{
    AccessListKind, Authentication, Config, CryptoMap, CryptoMapEntry, Interface, InterfaceName, NextHop,
    StandbyAddress, StandbyGroup, TrackObject, TrackTarget,
};
use super::text::Place;

/// Everything that is wrong or odd, in no particular order.
pub(super) fn check(config: &Config) -> Vec<Diagnostic> {
    let mut check = Check { config, found: Vec::new() };
    check.addresses();
    for interface in &config.interfaces {
        check.interface(interface);
    }
    for map in &config.crypto_maps {
        check.crypto_map(map);
    }
    check.redundancy_names();
    check.policies();
    check.references();
    check.found
}

struct Check<'a> {
    config: &'a Config,
    found: Vec<Diagnostic>,
}

impl Check<'_> {
    fn error(&mut self, place: &Place, message: String) {
        self.found.push(Diagnostic::error(place, message));
    }

    fn warn(&mut self, place: &Place, message: String) {
        self.found.push(Diagnostic::warning(place, message));
    }

    /// Something is mentioned that is not there; `there` are the names that are.
    fn undefined(&mut self, place: &Place, what: &str, name: &str, there: Vec<&str>) {
        let mut diagnostic = Diagnostic::error(place, format!("{what} {name} is not defined"));
        if let Some(near) = nearest(name, there).first() {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        self.found.push(diagnostic);
    }

    fn needs_interface(&mut self, place: &Place, name: InterfaceName) {
        if self.config.interface(name).is_none() {
            self.error(place, format!("there is no interface {name}"));
        }
    }

    fn needs_track(&mut self, place: &Place, number: u16) {
        if !self.config.tracks.contains_key(&number) {
            self.error(place, format!("track {number} is not defined"));
        }
    }

    fn addresses(&mut self) {
        let mut seen: Vec<(Ipv4Prefix, &Interface)> = Vec::new();
        for interface in &self.config.interfaces {
            for address in interface.addresses() {
                let clash = seen.iter().find(|(other, _)| overlap(*other, address)).copied();
                if let Some((other, on)) = clash {
                    let message = format!("{} overlaps with {} of {}", address, other, on.name);
                    let harmless = on.name != interface.name && (on.shutdown || interface.shutdown);
                    let same = other.addr() == address.addr();
                    match (same, harmless) {
                        (true, _) => self.error(
                            &interface.address_place,
                            format!("{} is the address of {} already", address.addr(), on.name),
                        ),
                        (false, true) => self.warn(&interface.address_place, message),
                        (false, false) => self.error(&interface.address_place, message),
                    }
                }
                seen.push((address, interface));
            }
        }
    }

    fn interface(&mut self, interface: &Interface) {
        if let Some(binding) = &interface.crypto_map {
            if self.config.crypto_map(&binding.map).is_none() {
                let there = self.config.crypto_maps.iter().map(|map| map.name.as_str()).collect();
                self.undefined(&binding.place, "crypto map", &binding.map, there);
            }
            if let Some(group) = &binding.redundancy {
                self.redundancy(interface, &binding.place, group);
            }
        }
        for (number, group) in &interface.standby.groups {
            self.group(interface, *number, group);
        }
        let ospf = &interface.ospf;
        if ospf.dead_interval_s() <= ospf.hello_interval_s() {
            let (dead, hello) = (ospf.dead_interval_s(), ospf.hello_interval_s());
            self.warn(
                &ospf.place,
                format!("the dead interval ({dead} s) is not longer than the hello interval ({hello} s)"),
            );
        }
        if let Some((process, _)) = ospf.process
            && !self.config.ospf.contains_key(&process)
        {
            self.error(&ospf.place, format!("router ospf {process} is not defined"));
        }
    }

    fn redundancy(&mut self, interface: &Interface, place: &Place, group: &str) {
        match self.config.redundancy_group(group) {
            None => {
                let groups = self.config.interfaces.iter().flat_map(|i| i.standby.groups.values());
                let there = groups.filter_map(|group| group.name.as_deref()).collect();
                self.undefined(place, "the standby group named", group, there);
            }
            Some((other, ..)) if other.name != interface.name => {
                self.warn(
                    place,
                    format!("the standby group {group} is on {}, not on this interface", other.name),
                );
            }
            Some(_) => {}
        }
    }

    fn group(&mut self, interface: &Interface, number: u16, group: &StandbyGroup) {
        if number > 255 && interface.standby.version() == 1 {
            self.error(
                &group.place,
                format!("group {number} needs `standby version 2`: version 1 has 0 to 255"),
            );
        }
        if let Some(StandbyAddress::Configured(virtual_ip)) = group.ip {
            if interface.addresses().any(|address| address.addr() == virtual_ip) {
                self.error(
                    &group.place,
                    format!("{virtual_ip} is the interface's own address: HSRP needs another"),
                );
            } else if !interface.addresses().any(|address| address.contains(&virtual_ip)) {
                self.warn(&group.place, format!("{virtual_ip} is in no subnet of {}", interface.name));
            }
        } else if group.ip.is_none() {
            self.warn(
                &group.place,
                format!("standby group {number} does not run: it has no `standby {number} ip`"),
            );
        }
        for track in &group.tracks {
            match track.target {
                TrackTarget::Interface(name) => self.needs_interface(&track.place, name),
                TrackTarget::Object(object) => self.needs_track(&track.place, object),
            }
        }
    }

    fn redundancy_names(&mut self) {
        let mut seen: Vec<&str> = Vec::new();
        for interface in &self.config.interfaces {
            for group in interface.standby.groups.values() {
                let Some(name) = group.name.as_deref() else { continue };
                if seen.contains(&name) {
                    self.error(&group.place, format!("another standby group is named {name} already"));
                }
                seen.push(name);
            }
        }
    }

    fn crypto_map(&mut self, map: &CryptoMap) {
        if let Some(interface) = map.local_address {
            self.needs_interface(&map.place, interface);
        }
        for (number, entry) in &map.entries {
            self.entry(&format!("crypto map {} {number}", map.name), entry);
        }
    }

    fn entry(&mut self, words: &str, entry: &CryptoMapEntry) {
        for name in &entry.transform_sets {
            if self.config.transform_set(name).is_none() {
                let there = self.config.ipsec.transform_sets.iter().map(|set| set.name.as_str()).collect();
                self.undefined(&entry.transform_sets_place, "transform set", name, there);
            }
        }
        if let Some(name) = &entry.access_list {
            self.protected(&entry.access_list_place, name);
        }
        if !entry.is_complete() {
            self.warn(
                &entry.place,
                format!(
                    "{words} is incomplete: it needs `set peer`, `set transform-set` and `match address`"
                ),
            );
        }
        for peer in &entry.peers {
            self.key(&entry.place, words, *peer);
        }
    }

    fn key(&mut self, place: &Place, words: &str, peer: Ipv4Addr) {
        if self.config.isakmp.key_for(peer).is_none() {
            self.warn(place, format!("{words}: there is no `crypto isakmp key` for the peer {peer}"));
        }
    }

    /// The access list of a crypto map: extended, and in terms that a proposal can carry.
    fn protected(&mut self, place: &Place, name: &str) {
        let Some(list) = self.config.access_list(name) else {
            let there = self.config.access_lists.iter().map(|list| list.name.as_str()).collect();
            return self.undefined(place, "access list", name, there);
        };
        if list.kind == AccessListKind::Standard {
            self.error(
                place,
                format!("access list {name} is a standard one: a crypto map needs an extended one"),
            );
        }
        // RFC 2407 section 4.6.2: an identity is a host, a subnet or a range, never a wildcard with holes.
        for entry in list.entries.iter().filter(|entry| entry.permit) {
            if entry.rule.source.prefix().is_none() || entry.rule.destination.prefix().is_none() {
                self.error(&entry.place, "a wildcard with holes cannot be negotiated by IKE".to_owned());
            }
        }
    }

    fn policies(&mut self) {
        let isakmp = &self.config.isakmp;
        for (number, policy) in &isakmp.policies {
            if policy.authentication() != Authentication::PreShare {
                let message = format!(
                    "policy {number} authenticates by RSA signatures (IOS's default), which are not modelled: \
                     `authentication pre-share`"
                );
                self.warn(&policy.place, message);
            }
        }
        let first = self.config.crypto_maps.first().filter(|_| isakmp.policies.is_empty());
        if let Some(map) = first {
            self.warn(&map.place, "there is no `crypto isakmp policy`: IKE has nothing to offer".to_owned());
        }
    }

    fn references(&mut self) {
        for route in &self.config.routes {
            if let NextHop::Interface(name) | NextHop::Both(name, _) = route.next_hop
                && name.kind() != super::model::InterfaceKind::Null
            {
                self.needs_interface(&route.place, name);
            }
            if let Some(track) = route.track {
                self.needs_track(&route.place, track);
            }
        }
        for track in self.config.tracks.values() {
            if let TrackObject::LineProtocol(name) | TrackObject::IpRouting(name) = track.object {
                self.needs_interface(&track.place, name);
            }
        }
        for ospf in self.config.ospf.values() {
            for name in &ospf.passive {
                self.needs_interface(&ospf.place, *name);
            }
        }
    }
}

fn overlap(a: Ipv4Prefix, b: Ipv4Prefix) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}
