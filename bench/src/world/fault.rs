//! What happens to the network, carried out. No protocol knows of it.

use espalier_control::router::Input;
use espalier_wire::Instant;
use espalier_wire::plane::Counters;

use super::{Later, World};
use crate::measure::recording::{NodeId, Struck};
use crate::place::Place;
use crate::scenario::{FaultAction, FaultSpec};

impl World {
    /// A fault strikes.
    pub fn strike(&mut self, now: Instant, fault: &FaultSpec) {
        let action = &fault.action;
        let (name, target) = (action.name(), action.target());
        self.tap.comment(&format!("fault: {name} {target}"));
        let node = self.struck_node(action);
        self.struck.push(Struck { at: now, action: name, target, node });
        match action {
            FaultAction::Shutdown(end) => self.interface_line(now, &end.router, &end.interface, "shutdown"),
            FaultAction::NoShutdown(end) => {
                self.interface_line(now, &end.router, &end.interface, "no shutdown");
            }
            FaultAction::Crash(router) => self.power_off(now, router),
            FaultAction::Boot(router) => {
                if let Some(node) = self.find(router) {
                    self.power_on(now, node);
                }
            }
            FaultAction::Reload { router, down } => {
                self.give(now, router, Input::Shutdown);
                self.power_off(now, router);
                if let Some(node) = self.find(router) {
                    self.later.push((now + *down, Later::PowerOn(node)));
                }
            }
            FaultAction::Config { router, lines } => {
                let origin = "config".to_owned();
                self.give(now, router, Input::Configure { origin, under: None, lines: lines.clone() });
            }
            FaultAction::Cut(segment) => self.on_segment(segment, |s| s.cut = true),
            FaultAction::Restore(segment) => self.on_segment(segment, |s| s.cut = false),
            FaultAction::Impair { segment, change } => {
                self.on_segment(segment, |s| s.impairment = s.impairment.changed(change));
            }
            FaultAction::ClearSa(router) => self.give(now, router, Input::ClearSa),
        }
    }

    /// The boot that ends a reload is told as any other.
    pub(super) fn comes_back(&mut self, now: Instant, node: usize) {
        if let Some(target) = self.nodes.get(node).map(|n| n.name.clone()) {
            self.strike(
                now,
                &FaultSpec { at: now, action: FaultAction::Boot(target), place: Place::start("") },
            );
        }
    }

    fn struck_node(&self, action: &FaultAction) -> NodeId {
        let target = action.target();
        let router = target.split(':').next().unwrap_or_default();
        let segment = || self.segments.iter().position(|s| s.name == target).map(|s| self.place_of(s));
        self.find(router).map(|n| NodeId(n as u16)).or_else(segment).unwrap_or(NodeId(0))
    }

    fn interface_line(&mut self, now: Instant, router: &str, interface: &str, line: &str) {
        let under = Some(format!("interface {interface}"));
        let origin = "fault".to_owned();
        self.give(now, router, Input::Configure { origin, under, lines: line.to_owned() });
    }

    fn give(&mut self, now: Instant, router: &str, input: Input) {
        let Some(node) = self.find(router) else { return };
        self.tell(now, node, input);
        self.settle(now, node);
    }

    fn on_segment(&mut self, name: &str, act: impl FnOnce(&mut super::Segment)) {
        if let Some(segment) = self.segments.iter_mut().find(|s| s.name == name) {
            act(segment);
            segment.forget();
        }
    }

    /// All power is gone: the links with it.
    fn power_off(&mut self, now: Instant, router: &str) {
        let Some(node) = self.find(router) else { return };
        let Some(n) = self.nodes.get_mut(node) else { return };
        n.power_off();
        for (segment, port) in n.ports.clone().into_iter().flatten() {
            if let Some(segment) = self.segments.get_mut(segment) {
                segment.set_up(now, port, false);
            }
        }
        // The counters that a question waits for are gone.
        self.answer_asked(node, &Counters::default());
        self.replace_plane(now, node);
    }
}
