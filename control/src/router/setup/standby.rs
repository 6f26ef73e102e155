//! `standby …` and `track …` for HSRP and its tracked objects.

use espalier_wire::hsrp::{Password, Version};
use espalier_wire::{Duration, Mac};

use crate::hsrp;
use crate::hsrp::config::{GroupConfig, InterfaceConfig, Preempt, Times, TrackConfig};
use crate::ios::model::{self, StandbyAddress, TrackObject, TrackTarget};
use crate::ios::{Config, Diagnostic};
use crate::router::{Cx, Router};
use crate::track::{Client, ObjectId};

/// The version an interface speaks.
pub(in crate::router) fn version(interface: &model::Interface) -> Version {
    if interface.standby.version() == 2 { Version::V2 } else { Version::V1 }
}

pub(super) fn check(config: &Config, found: &mut Vec<Diagnostic>) {
    for group in config.interfaces.iter().flat_map(|i| i.standby.groups.values()) {
        if group.mac_address.is_some() {
            let what = "\"standby mac-address\" is not supported: a group has its well-known virtual MAC";
            found.push(Diagnostic::error(&group.place, what));
        }
        if !group.secondary.is_empty() {
            let what = "secondary virtual addresses are not supported: make another group";
            found.push(Diagnostic::error(&group.place, what));
        }
        for track in group.tracks.iter().filter(|t| t.shutdown) {
            found.push(Diagnostic::error(&track.place, "\"standby track … shutdown\" is not supported"));
        }
    }
}

/// The groups that some crypto map is tied to.
fn is_client(config: &Config, name: Option<&str>) -> bool {
    let bindings = config.interfaces.iter().filter_map(|i| i.crypto_map.as_ref());
    name.is_some() && bindings.filter_map(|b| b.redundancy.as_deref()).any(|r| Some(r) == name)
}

fn group(config: &Config, number: u16, from: &model::StandbyGroup) -> Option<GroupConfig> {
    let address = match from.ip? {
        StandbyAddress::Learned => None,
        StandbyAddress::Configured(address) => Some(address),
    };
    let seconds = |s: Option<u16>| Duration::from_s(s.unwrap_or(0).into());
    Some(GroupConfig {
        priority: from.priority,
        preempt: from.preempt.map(|p| Preempt { delay_minimum: seconds(p.delay_minimum_s) }),
        name: from.name.clone(),
        client: is_client(config, from.name.as_deref()),
        times: from.timers.map(|t| Times { hello: t.hello.duration(), hold: t.hold.duration() }),
        password: Password(from.authentication()),
        ..GroupConfig::new(number, address)
    })
}

/// HSRP on one interface, tracks left out: their objects are numbered at run time.
fn interface(
    config: &Config,
    at: espalier_wire::IfIndex,
    mac: Mac,
    minimum: Duration,
) -> Option<InterfaceConfig> {
    let from = config.interface_at(at)?;
    let address = from.address?.addr();
    let standby = &from.standby;
    Some(InterfaceConfig {
        version: version(from),
        minimum_delay: standby.delay_minimum_s.map_or(minimum, |s| Duration::from_s(s.into())),
        reload_delay: Some(Duration::from_s(standby.delay_reload_s().into())),
        groups: standby.groups.iter().filter_map(|(n, g)| group(config, *n, g)).collect(),
        ..InterfaceConfig::new(at, mac, address)
    })
}

impl Router {
    /// The objects that the configuration names.
    pub(in crate::router) fn configure_tracks(&mut self, cx: &mut Cx<'_>) {
        let wanted: Vec<_> = self
            .config
            .tracks
            .iter()
            .filter_map(|(number, t)| match t.object {
                TrackObject::LineProtocol(name) | TrackObject::IpRouting(name) => {
                    Some((ObjectId(*number), self.config.index_of(name)?))
                }
                TrackObject::Reachability(_) => None,
            })
            .collect();
        for (id, iface) in wanted {
            let up = self.is_up(iface);
            self.track.configure(cx.now, id, iface, up);
        }
    }

    /// Tell HSRP of every interface whose settings are other than before.
    pub(in crate::router) fn configure_standby(&mut self, cx: &mut Cx<'_>) {
        for iface in self.ifaces() {
            let minimum = self.profile.hsrp_minimum_delay;
            let Some(mut config) = interface(&self.config, iface, self.mac(iface), minimum) else { continue };
            for group in &mut config.groups {
                group.tracks = self.tracks(cx, iface, group.group);
            }
            let known = self.standby.get(&iface);
            if known == Some(&config) || (known.is_none() && config.groups.is_empty()) {
                continue;
            }
            self.standby.insert(iface, config.clone());
            let objects: Vec<ObjectId> =
                config.groups.iter().flat_map(|g| &g.tracks).map(|t| t.object).collect();
            self.on_hsrp(cx, hsrp::Event::Configure(config));
            for object in objects {
                let up = self.track.is_up(object).unwrap_or(true);
                self.on_hsrp(cx, hsrp::Event::Tracked { object, up });
            }
            self.tell_interface(cx, iface);
        }
    }

    fn tracks(&mut self, cx: &mut Cx<'_>, iface: espalier_wire::IfIndex, group: u16) -> Vec<TrackConfig> {
        let of = |config: &Config| {
            let from = config.interface_at(iface)?.standby.groups.get(&group)?;
            Some(from.tracks.clone())
        };
        let client = Client { iface, group };
        let mut tracks = Vec::new();
        for from in of(&self.config).unwrap_or_default() {
            let (object, behind) = match from.target {
                TrackTarget::Object(number) => (Some(ObjectId(number)), None),
                TrackTarget::Interface(name) => {
                    let Some(behind) = self.config.index_of(name) else { continue };
                    let up = self.is_up(behind);
                    (self.track.via_hsrp(cx.now, behind, up), Some(behind))
                }
            };
            // All 500 numbers taken: the line has no effect, as on IOS.
            let Some(object) = object else { continue };
            self.track.attach(object, client);
            tracks.push(TrackConfig { object, iface: behind, decrement: from.decrement() });
        }
        tracks
    }
}
