//! Configuration at run time: the lines are taken in whole or not at all, and each machine hears what became different.

use super::{Cx, Output, Process, Router, setup};
use crate::arp;
use crate::crypto_map::{self, CryptoMaps};
use crate::event::{Level, Source};
use crate::hsrp::GroupState;
use crate::ospf::{self, Ospf};

impl Router {
    pub(super) fn configure(&mut self, cx: &mut Cx<'_>, origin: &str, under: Option<&str>, lines: &str) {
        let mut next = self.config.clone();
        let under = under.map(|u| u.strip_prefix("interface ").unwrap_or(u));
        let applied = next.apply(origin, under, lines).map(|_| ()).and_then(|()| setup::check(&next));
        if let Err(diagnostics) = applied {
            return cx.out.push(Output::Refused(diagnostics));
        }
        let old = std::mem::replace(&mut self.config, next);
        let text = "%SYS-5-CONFIG_I: Configured from console by console".to_owned();
        self.say(cx, Source::Link, Level::Syslog, text, None);
        self.configure_ports(cx, &old);
        self.configure_tracks(cx);
        self.configure_standby(cx);
        self.configure_crypto(cx, &old);
        self.configure_ospf(cx);
        self.offer_statics();
        self.routes_changed(cx);
    }

    /// Addresses, MTUs and shutdowns.
    fn configure_ports(&mut self, cx: &mut Cx<'_>, old: &crate::ios::Config) {
        let mut moved = false;
        for iface in self.ifaces() {
            let was = old.interface_at(iface);
            let Some(is) = self.interface(iface) else { continue };
            let shut = is.shutdown;
            let addressed = was.is_none_or(|was| !was.addresses().eq(is.addresses()));
            if addressed && !self.is_virtual(iface) {
                let addresses = is.addresses().collect();
                let config = arp::InterfaceConfig { iface, mac: self.mac(iface), addresses };
                self.on_arp(cx, arp::Event::Configure(config));
            }
            moved |= addressed;
            self.tell_interface(cx, iface);
            if was.is_none_or(|was| was.shutdown != shut) && !self.is_virtual(iface) {
                cx.out.push(Output::Port { iface, up: !shut });
            }
            self.settle(cx, iface);
        }
        if moved {
            self.tell_addresses(cx);
            self.connected_changed(cx);
        }
    }

    /// IKE's settings change in place. Changed maps are taken away and put back, which costs their SAs, as on IOS.
    fn configure_crypto(&mut self, cx: &mut Cx<'_>, old: &crate::ios::Config) {
        let settings = setup::crypto::ike(&self.config, &self.profile);
        if settings != *self.ike.config() {
            self.ike.configure(settings);
        }
        let (was, is) = (setup::crypto::build(old), setup::crypto::build(&self.config));
        if was.maps == is.maps && was.entries == is.entries {
            return;
        }
        let bound: Vec<_> = self.maps.maps().filter(|(_, bound)| *bound).map(|(m, _)| m.iface).collect();
        for iface in bound {
            self.on_maps(cx, &crypto_map::Event::Interface { iface, up: false });
        }
        self.entries = is.entries;
        let mut actions = Vec::new();
        let gone = was.maps.iter().filter(|m| !is.maps.iter().any(|n| n.iface == m.iface));
        for map in gone {
            let clear = espalier_wire::plane::Command::Policy { iface: map.iface, rules: Vec::new() };
            actions.push(crypto_map::Action::Command(clear));
        }
        self.maps = CryptoMaps::new(is.maps, &self.profile, &mut actions);
        self.maps_actions(cx, actions);
        self.rebind(cx);
    }

    /// Tell new maps what the old ones knew.
    fn rebind(&mut self, cx: &mut Cx<'_>) {
        let maps: Vec<_> = self.maps.maps().map(|(m, _)| (m.iface, m.redundancy.clone())).collect();
        for (iface, redundancy) in maps {
            if let Some((name, _)) = redundancy {
                let state = self.hsrp.named(&name).map_or(GroupState::Init, |(_, _, state, _)| state);
                self.on_maps(cx, &crypto_map::Event::Group { name, state });
            }
            let up = self.is_up(iface);
            self.on_maps(cx, &crypto_map::Event::Interface { iface, up });
        }
    }

    fn configure_ospf(&mut self, cx: &mut Cx<'_>) {
        let wanted = setup::ospf::build(&self.config, &self.profile);
        match (&self.process, wanted) {
            (None, None) => {}
            (Some(process), Some((_, settings))) if *process.ospf.config() == settings => {}
            (Some(process), Some((number, mut settings))) if process.number == number => {
                // A running process keeps its router id until it is restarted, as on IOS.
                settings.router_id = process.ospf.config().router_id;
                self.on_ospf(cx, ospf::Event::Configure(Box::new(settings)));
                self.announce_all(cx);
            }
            (Some(_), wanted) => {
                self.on_ospf(cx, ospf::Event::Shutdown);
                self.process = None;
                self.designated.clear();
                self.start_ospf(cx, wanted);
            }
            (None, wanted) => self.start_ospf(cx, wanted),
        }
        for iface in self.ifaces() {
            self.tell_interface(cx, iface);
        }
    }

    fn start_ospf(&mut self, cx: &mut Cx<'_>, wanted: Option<(u16, ospf::Config)>) {
        let Some((number, settings)) = wanted else { return };
        // What a process would refuse, `check` has refused before.
        let Ok(ospf) = Ospf::new(settings, self.random.fork("ospf again")) else { return };
        self.process = Some(Process { number, ospf, announced: std::collections::BTreeSet::new() });
        for iface in self.up.clone() {
            self.on_ospf(cx, ospf::Event::InterfaceUp { iface });
        }
        self.announce_all(cx);
    }

    /// Let the redistribution rules, which may be new, see every route.
    fn announce_all(&mut self, cx: &mut Cx<'_>) {
        let routes: Vec<_> = self.rib.routes().map(|(p, r)| (*p, r.clone())).collect();
        for (prefix, route) in routes {
            let change = crate::rib::Change { prefix, old: Some(route.clone()), new: Some(route) };
            self.redistribute(cx, &change);
        }
    }
}
