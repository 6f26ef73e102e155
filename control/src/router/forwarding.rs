//! Interfaces up and down, the router's own addresses, and routes: what the dataplane forwards by.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use espalier_wire::plane::{Command, Interface};
use espalier_wire::{IfIndex, Ipv4Prefix, Mac};

use super::{Cx, Output, Router, setup};
use crate::event::{Level, Mark, Source};
use crate::hsrp::trace::{Api, What};
use crate::ios::model::{self, InterfaceKind};
use crate::rib::{Change, Hop, Protocol, Route};
use crate::{arp, crypto_map, hsrp, ospf, track};

/// OSPF's groups (RFC 2328 appendix A.1): every router, and the designated ones.
const ALL_SPF_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 5);
const ALL_D_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 6);

impl Router {
    /// Tell every machine its configuration, the dataplane its policies, and switch the ports on.
    pub(super) fn boot(&mut self, cx: &mut Cx<'_>) {
        self.booted = true;
        let crypto = setup::crypto::build(&self.config);
        let mut actions = Vec::new();
        self.maps = crypto_map::CryptoMaps::new(crypto.maps, &self.profile, &mut actions);
        self.configure_arp(cx);
        for iface in self.ifaces() {
            self.tell_interface(cx, iface);
        }
        self.maps_actions(cx, actions);
        self.configure_tracks(cx);
        self.configure_standby(cx);
        self.offer_statics();
        for iface in self.ifaces() {
            if self.is_virtual(iface) {
                self.settle(cx, iface);
            } else if self.interface(iface).is_some_and(|i| !i.shutdown) {
                cx.out.push(Output::Port { iface, up: true });
            }
        }
    }

    pub(super) fn ifaces(&self) -> Vec<IfIndex> {
        (0..self.config.interfaces.len()).filter_map(|i| u16::try_from(i).ok().map(IfIndex)).collect()
    }

    pub(super) fn interface(&self, iface: IfIndex) -> Option<&model::Interface> {
        self.config.interface_at(iface)
    }

    /// Whether an interface has no wire: it is up unless shut down.
    pub(super) fn is_virtual(&self, iface: IfIndex) -> bool {
        self.interface(iface).is_some_and(|i| !i.name.kind().is_ethernet())
    }

    pub(super) fn carrier(&mut self, cx: &mut Cx<'_>, iface: IfIndex, up: bool) {
        if up {
            self.carrier.insert(iface);
        } else {
            self.carrier.remove(&iface);
        }
        self.settle(cx, iface);
    }

    /// Let the line protocol be what the configuration and the carrier make it.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>, iface: IfIndex) {
        let Some(interface) = self.interface(iface) else { return };
        let wired = self.carrier.contains(&iface) || interface.name.kind() == model::InterfaceKind::Loopback;
        let up = !interface.shutdown && wired;
        if up == self.is_up(iface) {
            return;
        }
        match (up, interface.shutdown) {
            (true, _) => {
                // What the interface layer asks of HSRP, in the order in which IOS 12.3 prints it.
                if let Some(own) = interface.addresses().next() {
                    self.hsrp_api(cx, iface, Api::NotAnHsrpAddress(own.addr()));
                }
                self.hsrp_api(cx, iface, Api::MacAddressUpdate);
                self.hsrp_api(cx, iface, Api::ComingUp);
                self.say_link(cx, iface, "%LINK-3-UPDOWN", "up");
                self.hsrp_api(cx, iface, Api::ComingUp);
                self.say_line_protocol(cx, iface, true);
                self.line_up(cx, iface);
            }
            // The software goes down first, then the hardware is turned off.
            (false, true) => {
                self.line_down(cx, iface);
                self.hsrp_api(cx, iface, Api::AddActiveAddresses);
                self.say_link(cx, iface, "%LINK-5-CHANGED", "administratively down");
                self.say_line_protocol(cx, iface, false);
            }
            (false, false) => {
                self.say_link(cx, iface, "%LINK-3-UPDOWN", "down");
                self.say_line_protocol(cx, iface, false);
                self.line_down(cx, iface);
            }
        }
    }

    /// The hardware's state, logged; HSRP hears of it.
    fn say_link(&self, cx: &mut Cx<'_>, iface: IfIndex, what: &str, state: &str) {
        let line = format!("{what}: Interface {}, changed state to {state}", self.name(iface));
        self.say(cx, Source::Link, Level::Syslog, line, None);
        self.hsrp_api(cx, iface, Api::HardwareStateChange);
    }

    fn say_line_protocol(&self, cx: &mut Cx<'_>, iface: IfIndex, up: bool) {
        let (name, word) = (self.name(iface), if up { "up" } else { "down" });
        let line = format!("%LINEPROTO-5-UPDOWN: Line protocol on Interface {name}, changed state to {word}");
        self.say(cx, Source::Link, Level::Syslog, line, Some(Mark::Link { iface, up }));
    }

    fn line_up(&mut self, cx: &mut Cx<'_>, iface: IfIndex) {
        self.up.insert(iface);
        self.tell_interface(cx, iface);
        self.tell_addresses(cx);
        self.connected_changed(cx);
        self.on_arp(cx, arp::Event::InterfaceUp { iface });
        self.on_track(cx, track::Event::LineProtocol { iface, up: true });
        self.on_maps(cx, &crypto_map::Event::Interface { iface, up: true });
        self.on_ospf(cx, ospf::Event::InterfaceUp { iface });
        self.on_hsrp(cx, hsrp::Event::InterfaceUp { iface });
    }

    /// Nothing can leave any more when the machines hear of it.
    fn line_down(&mut self, cx: &mut Cx<'_>, iface: IfIndex) {
        self.up.remove(&iface);
        self.tell_interface(cx, iface);
        self.on_hsrp(cx, hsrp::Event::InterfaceDown { iface });
        self.on_maps(cx, &crypto_map::Event::Interface { iface, up: false });
        self.on_ospf(cx, ospf::Event::InterfaceDown { iface });
        self.connected_changed(cx);
        self.on_track(cx, track::Event::LineProtocol { iface, up: false });
        self.on_arp(cx, arp::Event::InterfaceDown { iface });
        self.tell_addresses(cx);
    }

    /// A call from the interface layer, as `debug standby` prints it.
    fn hsrp_api(&self, cx: &mut Cx<'_>, iface: IfIndex, api: Api) {
        if self.interface(iface).is_some_and(|i| !i.standby.groups.is_empty()) {
            self.log_hsrp(cx, &hsrp::Trace { iface, group: None, what: What::Api(api) });
        }
    }

    pub(super) fn tell_interface(&self, cx: &mut Cx<'_>, iface: IfIndex) {
        let Some(interface) = self.interface(iface) else { return };
        let mut also_accepts: Vec<Mac> =
            self.hsrp.active_addresses().filter(|(i, _, _)| *i == iface).map(|(_, _, mac)| mac).collect();
        if !interface.standby.groups.is_empty() {
            let group = setup::standby::version(interface).destination();
            also_accepts.push(Mac::of_multicast(group));
        }
        let runs = self.process.as_ref().and_then(|p| p.ospf.config().interfaces.get(&iface));
        if runs.is_some_and(|i| !i.passive) {
            also_accepts.push(Mac::of_multicast(ALL_SPF_ROUTERS));
        }
        if self.designated.contains(&iface) {
            also_accepts.push(Mac::of_multicast(ALL_D_ROUTERS));
        }
        let (mac, mtu, up) = (self.mac(iface), interface.ip_mtu(), self.is_up(iface));
        cx.out.push(Output::Command(Command::Interface(Interface {
            index: iface,
            mac,
            mtu,
            up,
            also_accepts,
        })));
    }

    pub(super) fn tell_addresses(&self, cx: &mut Cx<'_>) {
        let own = self.up.iter().filter_map(|i| self.interface(*i)).flat_map(model::Interface::addresses);
        let active = self.hsrp.active_addresses().map(|(_, address, _)| address);
        let mut all: Vec<IpAddr> = own.map(|a| a.addr()).chain(active).map(IpAddr::V4).collect();
        all.sort_unstable();
        all.dedup();
        cx.out.push(Output::Command(Command::LocalAddresses(all)));
    }

    /// The networks of the interfaces that are up, into the routing table.
    pub(super) fn connected_changed(&mut self, cx: &mut Cx<'_>) {
        let mut networks = BTreeMap::new();
        for iface in &self.up {
            for address in self.interface(*iface).into_iter().flat_map(model::Interface::addresses) {
                networks.insert(address.trunc(), *iface);
            }
        }
        self.rib.set_connected(networks);
        self.routes_changed(cx);
    }

    /// The static routes of the configuration whose tracked objects are up: prefix, way, distance.
    pub(super) fn static_offers(&self) -> impl Iterator<Item = (Ipv4Prefix, Hop, u8)> + '_ {
        let tracked = |r: &&model::StaticRoute| {
            r.track.is_none_or(|n| self.track.is_up(crate::track::ObjectId(n)).unwrap_or(true))
        };
        self.config.routes.iter().filter(tracked).map(|r| (r.destination, self.hop(r), r.distance()))
    }

    fn hop(&self, route: &model::StaticRoute) -> Hop {
        match route.next_hop {
            model::NextHop::Address(via) => Hop { via: Some(via), iface: None },
            model::NextHop::Interface(name) if name.kind() == InterfaceKind::Null => {
                Hop { via: None, iface: Some(IfIndex::NULL) }
            }
            model::NextHop::Interface(name) => Hop { via: None, iface: self.config.index_of(name) },
            model::NextHop::Both(name, via) => Hop { via: Some(via), iface: self.config.index_of(name) },
        }
    }

    /// Offer the configured static routes and the reverse routes, and nothing else.
    pub(super) fn offer_statics(&mut self) {
        let injected = self.maps.routes().map(|r| (r.prefix, Hop { via: Some(r.via), iface: None }, 1));
        let offers: Vec<_> = self.static_offers().chain(injected).collect();
        self.rib.set_statics(offers);
    }

    /// Let the routes compete, and tell everybody who lives by them.
    pub(super) fn routes_changed(&mut self, cx: &mut Cx<'_>) {
        for change in self.rib.update(cx.now) {
            let ospf = |r: &Option<Route>| matches!(r, Some(Route { protocol: Protocol::Ospf(_), .. }));
            let present = change.new.is_some();
            let ospf = if present { ospf(&change.new) } else { ospf(&change.old) };
            let text = match (&change.new, &change.old) {
                (Some(new), _) => new.line(change.prefix),
                (None, Some(old)) => format!("{} is gone", old.line(change.prefix)),
                (None, None) => continue,
            };
            let mark = Mark::Route { prefix: change.prefix, present, ospf };
            self.say(cx, Source::Rib, Level::Report, text, Some(mark));
            if let Some(command) = change.command(|iface| self.is_virtual(iface)) {
                cx.out.push(Output::Command(command));
            }
            self.look_for_next_hops(cx, &change);
            self.redistribute(cx, &change);
        }
    }

    /// IOS resolves the next hops of static routes before the first packet wants them.
    fn look_for_next_hops(&mut self, cx: &mut Cx<'_>, change: &Change) {
        let Some(Route { protocol: Protocol::Static, resolved, .. }) = &change.new else { return };
        for hop in resolved {
            if let Some(IpAddr::V4(addr)) = hop.via
                && !self.is_virtual(hop.iface)
            {
                self.on_arp(cx, arp::Event::Need { iface: hop.iface, addr });
            }
        }
    }

    /// Let OSPF announce what it is told to announce (`redistribute`), and withdraw what is gone.
    pub(super) fn redistribute(&mut self, cx: &mut Cx<'_>, change: &Change) {
        let prefix = change.prefix;
        let announced = self.process.as_ref().and_then(|process| {
            let config = self.config.ospf.get(&process.number)?;
            setup::ospf::announced(config, prefix, change.new.as_ref()?, process.ospf.config())
        });
        let Some(process) = &mut self.process else { return };
        match announced {
            Some(route) => {
                process.announced.insert(prefix);
                self.on_ospf(cx, ospf::Event::Redistribute { prefix, route });
            }
            None if process.announced.remove(&prefix) => {
                self.on_ospf(cx, ospf::Event::Withdraw { prefix });
            }
            None => {}
        }
    }

    pub(super) fn configure_arp(&mut self, cx: &mut Cx<'_>) {
        let wired: Vec<_> = self.ifaces().into_iter().filter(|i| !self.is_virtual(*i)).collect();
        for iface in wired {
            let addresses = self.interface(iface).map(|i| i.addresses().collect()).unwrap_or_default();
            let config = arp::InterfaceConfig { iface, mac: self.mac(iface), addresses };
            self.on_arp(cx, arp::Event::Configure(config));
        }
    }
}
