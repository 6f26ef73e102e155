//! Each machine's actions carried out: which of them goes to the wire, which to the dataplane, and which is another
//! machine's event.

use espalier_wire::hsrp as wire;
use espalier_wire::plane::Command;
use espalier_wire::{IfIndex, Ipv4Prefix};

use super::{Cx, Names, Output, Router};
use crate::Machine;
use crate::arp::{self, ArpMachine};
use crate::crypto_map;
use crate::event::{Level, Mark, Source};
use crate::hsrp::{self, GroupState, Hsrp};
use crate::ike::{self, Ike};
use crate::ospf::{self, Ospf};
use crate::rib::Hop;
use crate::rri::VpnRoute;
use crate::track;

impl Router {
    pub(super) fn with_hsrp(&mut self, cx: &mut Cx<'_>, act: impl FnOnce(&mut Hsrp, &mut Vec<hsrp::Action>)) {
        let mut actions = Vec::new();
        act(&mut self.hsrp, &mut actions);
        for action in actions {
            self.hsrp_action(cx, action);
        }
    }

    pub(super) fn on_hsrp(&mut self, cx: &mut Cx<'_>, event: hsrp::Event) {
        let now = cx.now;
        self.with_hsrp(cx, |hsrp, actions| hsrp.on(now, event, actions));
    }

    fn hsrp_action(&mut self, cx: &mut Cx<'_>, action: hsrp::Action) {
        match action {
            hsrp::Action::Send { iface, src_mac, src, dst, payload } => {
                self.send_udp_on_link(cx, iface, src_mac, (src, wire::PORT), dst, &payload);
            }
            hsrp::Action::VirtualMac { iface, group, mac, address, active } => {
                let text = format!(
                    "{} Grp {group} {address} at {} {}",
                    self.name(iface),
                    mac.ios(),
                    if active { "is active here" } else { "is no longer active here" }
                );
                let mark = Mark::Active { iface, group, active };
                self.say(cx, Source::Hsrp, Level::Report, text, Some(mark));
                self.on_arp(cx, arp::Event::Virtual { iface, addr: address, mac, active });
                self.tell_interface(cx, iface);
                self.tell_addresses(cx);
            }
            hsrp::Action::GratuitousArp { iface, addr, mac } => {
                let text = format!("{} gratuitous ARP: {addr} is at {}", self.name(iface), mac.ios());
                let mark = Mark::Announced { iface, addr };
                self.say(cx, Source::Arp, Level::Report, text, Some(mark));
                self.on_arp(cx, arp::Event::Announce { iface, addr, mac });
            }
            hsrp::Action::Redundancy { name: Some(name), state, .. } => {
                self.on_maps(cx, &crypto_map::Event::Group { name: name.clone(), state });
                if state == GroupState::Init && self.is_client(&name) {
                    self.on_hsrp(cx, hsrp::Event::Enquiry { name });
                }
            }
            hsrp::Action::Redundancy { name: None, .. } => {}
            hsrp::Action::Trace(trace) => self.log_hsrp(cx, &trace),
        }
    }

    /// Whether a crypto map is tied to the group of that name.
    fn is_client(&self, name: &str) -> bool {
        self.maps.maps().any(|(map, _)| map.redundancy.as_ref().is_some_and(|(group, _)| group == name))
    }

    pub(super) fn with_arp(
        &mut self,
        cx: &mut Cx<'_>,
        act: impl FnOnce(&mut ArpMachine, &mut Vec<arp::Action>),
    ) {
        let mut actions = Vec::new();
        act(&mut self.arp, &mut actions);
        for action in actions {
            match action {
                arp::Action::Send { iface, src_mac, dst_mac, arp } => {
                    cx.out.push(Output::Transmit { iface, frame: arp::frame(src_mac, dst_mac, &arp) });
                }
                arp::Action::Command(command) => cx.out.push(Output::Command(command)),
                arp::Action::Release { iface, mac, packets } => {
                    for packet in packets {
                        self.send_on_link(cx, iface, mac, &packet);
                    }
                }
                arp::Action::Trace(trace) => self.log_arp(cx, &trace),
            }
        }
    }

    pub(super) fn on_arp(&mut self, cx: &mut Cx<'_>, event: arp::Event) {
        let now = cx.now;
        self.with_arp(cx, |arp, actions| arp.on(now, event, actions));
    }

    pub(super) fn on_track(&mut self, cx: &mut Cx<'_>, event: track::Event) {
        let mut actions = Vec::new();
        self.track.on(cx.now, event, &mut actions);
        for action in actions {
            match action {
                track::Action::Changed { object, up } => {
                    self.on_hsrp(cx, hsrp::Event::Tracked { object, up });
                    self.offer_statics();
                    self.routes_changed(cx);
                }
                track::Action::Trace(trace) => {
                    let line = trace.line(&Names(&self.config));
                    self.say(cx, Source::Track, Level::Syslog, line, None);
                }
            }
        }
    }

    pub(super) fn on_maps(&mut self, cx: &mut Cx<'_>, event: &crypto_map::Event) {
        let mut actions = Vec::new();
        self.maps.on(cx.now, event, &mut actions);
        self.maps_actions(cx, actions);
    }

    pub(super) fn maps_actions(&mut self, cx: &mut Cx<'_>, actions: Vec<crypto_map::Action>) {
        for action in actions {
            match action {
                crypto_map::Action::Command(command) => cx.out.push(Output::Command(command)),
                crypto_map::Action::Bind { policy, local } => {
                    if let Some(entry) = self.entries.get(&policy) {
                        let entry = Box::new(ike::Entry { local, ..entry.clone() });
                        self.on_ike(cx, ike::Event::EntryUp(entry));
                    }
                }
                crypto_map::Action::Unbind { policy, notify } => {
                    self.on_ike(cx, ike::Event::EntryDown { policy, notify });
                }
                crypto_map::Action::RouteAdded(route) => self.vpn_route(cx, route, true),
                crypto_map::Action::RouteRemoved(route) => self.vpn_route(cx, route, false),
            }
        }
    }

    fn vpn_route(&mut self, cx: &mut Cx<'_>, route: VpnRoute, present: bool) {
        let VpnRoute { prefix, via } = route;
        let word = if present { "Added" } else { "Removed" };
        let text = format!(
            "IPSEC(rte_mgr): VPN Route {word} {} {} via {via} in IP DEFAULT TABLE",
            prefix.addr(),
            prefix.netmask()
        );
        self.say(cx, Source::Rri, Level::Debug, text, Some(Mark::Injected { prefix, present }));
        let hop = Hop { via: Some(via), iface: None };
        if present {
            self.rib.add_static(prefix, hop, 1);
        } else if !self.is_configured(prefix, hop) {
            self.rib.remove_static(prefix, hop);
        }
        self.routes_changed(cx);
    }

    /// Whether the same route also stands in the configuration.
    fn is_configured(&self, prefix: Ipv4Prefix, hop: Hop) -> bool {
        self.static_offers().any(|(p, h, _)| (p, h) == (prefix, hop))
    }

    pub(super) fn with_ike(&mut self, cx: &mut Cx<'_>, act: impl FnOnce(&mut Ike, &mut Vec<ike::Action>)) {
        let mut actions = Vec::new();
        act(&mut self.ike, &mut actions);
        for action in actions {
            self.ike_action(cx, action);
        }
    }

    pub(super) fn on_ike(&mut self, cx: &mut Cx<'_>, event: ike::Event) {
        let now = cx.now;
        self.with_ike(cx, |ike, actions| ike.on(now, event, actions));
    }

    fn ike_action(&mut self, cx: &mut Cx<'_>, action: ike::Action) {
        match action {
            ike::Action::Send { local, remote, payload } => self.send_udp(cx, local, remote, &payload),
            ike::Action::Command(command) => self.sa_command(cx, command),
            ike::Action::Up { policy, peer, inbound, outbound, rekey } => {
                self.peers.insert(policy, peer);
                let word = if rekey { "replaced" } else { "up" };
                let text = format!("SAs with {peer} {word}: inbound {inbound}, outbound {outbound}");
                let mark = Mark::SaUp { policy, peer, inbound, outbound, rekey };
                self.say(cx, Source::Ipsec, Level::Report, text, Some(mark));
                self.on_maps(cx, &crypto_map::Event::SaUp(policy));
            }
            ike::Action::Down { policy, why } => {
                let peer = self.peers.remove(&policy);
                if let (ike::Why::PeerDead, Some(peer)) = (why, peer) {
                    let text = format!("peer {peer} does not answer: it counts as dead");
                    self.say(cx, Source::Ike, Level::Report, text, Some(Mark::PeerDead { peer }));
                }
                self.on_maps(cx, &crypto_map::Event::SaDown(policy));
            }
            ike::Action::Failed { policy, cause } => {
                let text = format!("negotiation for entry {} failed: {cause}", policy.0);
                self.say(cx, Source::Ike, Level::Report, text, None);
                self.on_maps(cx, &crypto_map::Event::Failed { policy, cause });
            }
            ike::Action::Trace(trace) => self.log_ike(cx, &trace),
        }
    }

    /// Pass an SA command on, and remember whose inbound SAs there are.
    fn sa_command(&mut self, cx: &mut Cx<'_>, command: Command) {
        match &command {
            Command::InstallInbound { policy, sa } => {
                self.inbound.insert(sa.spi, *policy);
            }
            Command::DropInbound { spi } => {
                if let Some(policy) = self.inbound.remove(spi) {
                    let text = format!("inbound SA {spi} dropped");
                    let mark = Mark::SaDown { policy, inbound: *spi };
                    self.say(cx, Source::Ipsec, Level::Report, text, Some(mark));
                }
            }
            Command::SwapOutbound { .. }
            | Command::DropOutbound { .. }
            | Command::Interface(_)
            | Command::LocalAddresses(_)
            | Command::Policy { .. }
            | Command::Unprotected { .. }
            | Command::Route { .. }
            | Command::DropRoute { .. }
            | Command::Neighbour { .. }
            | Command::DropNeighbour { .. } => {}
        }
        cx.out.push(Output::Command(command));
    }

    pub(super) fn with_ospf(&mut self, cx: &mut Cx<'_>, act: impl FnOnce(&mut Ospf, &mut Vec<ospf::Action>)) {
        let Some(process) = &mut self.process else { return };
        let mut actions = Vec::new();
        act(&mut process.ospf, &mut actions);
        for action in actions {
            match action {
                ospf::Action::Send { iface, dst, payload } => self.send_ospf(cx, iface, dst, &payload),
                ospf::Action::Routes(changes) => {
                    self.rib.ospf(changes);
                    self.routes_changed(cx);
                }
                ospf::Action::JoinAllDRouters { iface, join } => self.join(cx, iface, join),
                ospf::Action::Trace(trace) => self.log_ospf(cx, &trace),
            }
        }
    }

    pub(super) fn on_ospf(&mut self, cx: &mut Cx<'_>, event: ospf::Event) {
        let now = cx.now;
        self.with_ospf(cx, |ospf, actions| ospf.on(now, event, actions));
    }

    fn join(&mut self, cx: &mut Cx<'_>, iface: IfIndex, join: bool) {
        if join {
            self.designated.insert(iface);
        } else {
            self.designated.remove(&iface);
        }
        self.tell_interface(cx, iface);
    }
}
