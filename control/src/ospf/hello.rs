//! The Hello protocol (RFC 2328 sections 9.5 and 10.5).

use std::net::Ipv4Addr;

use espalier_wire::ospf::{ALL_SPF_ROUTERS, Body, Hello, Options};
use espalier_wire::{Duration, IfIndex, RouterId};

use super::config::{InterfaceConfig, NetworkKind};
use super::interface::{InterfaceEvent, InterfaceState, Timer};
use super::neighbour::{self, Neighbour, NeighbourEvent, NeighbourState};
use super::receive::Discard;
use super::{OPTIONS, Ospf};

/// What of a neighbour's Hello counts in elections.
#[derive(PartialEq, Eq)]
struct Claims {
    priority: u8,
    designated: bool,
    backup: bool,
}

impl Claims {
    fn of(neighbour: &Neighbour) -> Self {
        Self {
            priority: neighbour.priority,
            designated: neighbour.designated == Some(neighbour.addr),
            backup: neighbour.backup == Some(neighbour.addr),
        }
    }
}

impl Ospf {
    /// Send a Hello and time the next. The interval is jittered downwards by up to a tenth, so that routers started
    /// together do not speak together.
    pub(super) fn send_hello(&mut self, index: IfIndex) {
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        if !iface.speaks() {
            return;
        }
        let interval = Duration::from_s(u64::from(iface.config.hello_interval));
        let next = self.random.between(interval.share(9, 10), interval);
        iface.timers.start(Timer::Hello as usize, self.now + next);
        let heard = iface.neighbours.values().filter(|n| n.state >= NeighbourState::Init);
        let neighbours = heard.map(|n| n.id).collect();
        self.send_hello_naming(index, neighbours);
    }

    /// A Hello that names these neighbours; one that names none tells all of them that we are gone.
    pub(super) fn send_hello_naming(&mut self, index: IfIndex, neighbours: Vec<RouterId>) {
        let Some(iface) = self.interfaces.get(&index) else { return };
        let hello = Hello {
            prefix_len: iface.config.address.prefix_len(),
            hello_interval: iface.config.hello_interval,
            options: Options(OPTIONS),
            priority: iface.config.priority,
            dead_interval: iface.config.dead_interval,
            designated: iface.elected.designated,
            backup: iface.elected.backup,
            neighbours,
        };
        self.send(index, ALL_SPF_ROUTERS, Body::Hello(hello));
    }

    pub(super) fn receive_hello(
        &mut self,
        index: IfIndex,
        src: Ipv4Addr,
        id: RouterId,
        auth_sequence: Option<u32>,
        hello: &Hello,
    ) -> Result<(), Discard> {
        let Some(iface) = self.interfaces.get(&index) else { return Ok(()) };
        agree(&iface.config, hello)?;
        // Another router took the address over: what we know of the old one is void.
        if iface.neighbours.get(&src).is_some_and(|n| n.id != id) {
            self.neighbour_event(index, src, NeighbourEvent::KillNbr);
        }
        let Some((before, after)) = self.note_hello(index, src, id, auth_sequence, hello) else {
            return Ok(());
        };
        self.neighbour_event(index, src, NeighbourEvent::HelloReceived);
        if !hello.neighbours.contains(&self.config.router_id) {
            self.neighbour_event(index, src, NeighbourEvent::OneWayReceived);
            return Ok(());
        }
        self.neighbour_event(index, src, NeighbourEvent::TwoWayReceived);
        self.consider_election(index, hello, &before, &after);
        Ok(())
    }

    /// Take down what the Hello says of its sender. Gives what it claimed before and now.
    fn note_hello(
        &mut self,
        index: IfIndex,
        src: Ipv4Addr,
        id: RouterId,
        auth_sequence: Option<u32>,
        hello: &Hello,
    ) -> Option<(Claims, Claims)> {
        let now = self.now;
        let iface = self.interfaces.get_mut(&index)?;
        let dead_at = now + iface.dead_interval();
        let neighbour = iface.neighbours.entry(src).or_insert_with(|| Neighbour::new(id, src, now));
        neighbour.timers.start(neighbour::Timer::Inactivity as usize, dead_at);
        neighbour.auth_sequence = auth_sequence;
        let before = Claims::of(neighbour);
        neighbour.priority = hello.priority;
        neighbour.designated = hello.designated;
        neighbour.backup = hello.backup;
        if neighbour.state < NeighbourState::ExStart {
            neighbour.options = hello.options;
        }
        Some((before, Claims::of(neighbour)))
    }

    /// RFC 2328 section 10.5, the last part: BackupSeen and NeighborChange.
    fn consider_election(&mut self, index: IfIndex, hello: &Hello, before: &Claims, after: &Claims) {
        let Some(iface) = self.interfaces.get(&index) else { return };
        if iface.config.network != NetworkKind::Broadcast {
            return;
        }
        let alone = after.designated && hello.backup.is_none();
        if iface.state == InterfaceState::Waiting && (after.backup || alone) {
            self.interface_event(index, InterfaceEvent::BackupSeen);
        } else if before != after {
            self.interface_event(index, InterfaceEvent::NeighbourChange);
        }
    }
}

/// RFC 2328 section 10.5: what must match for a Hello to be taken.
fn agree(config: &InterfaceConfig, hello: &Hello) -> Result<(), Discard> {
    let masks_count = config.network == NetworkKind::Broadcast;
    if masks_count && hello.prefix_len != config.address.prefix_len() {
        return Err(Discard::Mask);
    }
    if hello.hello_interval != config.hello_interval {
        return Err(Discard::HelloInterval);
    }
    if hello.dead_interval != config.dead_interval {
        return Err(Discard::DeadInterval);
    }
    if hello.options.external() { Ok(()) } else { Err(Discard::StubFlag) }
}
