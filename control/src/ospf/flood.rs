//! The flooding procedure (RFC 2328 section 13): taking Link State Updates in, and passing them on.

use std::cmp::Ordering;
use std::net::Ipv4Addr;

use espalier_wire::ospf::{
    ALL_D_ROUTERS, ALL_SPF_ROUTERS, Body, HEADER_LEN, Lsa, LsaBody, LsaHeader, LsaKey, LsaType, MAX_AGE,
    MAX_SEQUENCE,
};
use espalier_wire::{Duration, IfIndex};

use super::config::NetworkKind;
use super::exchange::is_flooded_here;
use super::interface::{Interface, InterfaceState};
use super::neighbour::{Neighbour, NeighbourEvent, NeighbourState};
use super::receive::Discard;
use super::{Ospf, Trace};

/// RFC 2328 appendix B: an instance that comes sooner after the one before is not taken.
const MIN_LS_ARRIVAL: Duration = Duration::from_s(1);

/// Where an LSA came from: the interface, and the neighbour on it. `None`: from ourselves.
pub(super) type Origin = Option<(IfIndex, Ipv4Addr)>;

impl Ospf {
    /// RFC 2328 section 13, for each LSA of an update.
    pub(super) fn receive_update(&mut self, index: IfIndex, addr: Ipv4Addr, lsas: Vec<Lsa>) {
        for lsa in lsas {
            match checked(&lsa) {
                Ok(body) => self.receive_lsa(index, addr, lsa, body),
                Err(reason) => self.discard(index, addr, reason),
            }
            // BadLSReq may have ended the exchange: the rest of the packet is void.
            if self.neighbour(index, addr).is_none_or(|n| n.state < NeighbourState::Exchange) {
                return;
            }
        }
    }

    fn receive_lsa(&mut self, index: IfIndex, addr: Ipv4Addr, lsa: Lsa, body: LsaBody) {
        let now = self.now;
        let header = lsa.header;
        let Some(entry) = self.lsdb.entry(&header.key) else {
            // Step 4.
            if header.age == MAX_AGE && !self.is_synchronising() {
                self.trace(Trace::Received { iface: index, from: addr, header });
                return self.ack_directly(index, addr, header);
            }
            return self.take_lsa(index, addr, lsa, body);
        };
        let ours = entry.header(now);
        match header.recency(&ours) {
            Ordering::Greater => {
                // Step 5a.
                if entry.flooded && now.since(entry.installed) < MIN_LS_ARRIVAL {
                    return self.discard(index, addr, Discard::LsaTooSoon);
                }
                self.take_lsa(index, addr, lsa, body);
            }
            older_or_same => self.have_already(index, addr, header, ours, older_or_same),
        }
    }

    /// Step 5: a new or newer instance.
    fn take_lsa(&mut self, index: IfIndex, addr: Ipv4Addr, lsa: Lsa, body: LsaBody) {
        let header = lsa.header;
        self.trace(Trace::Received { iface: index, from: addr, header });
        let flooded_back = self.install(lsa, body, Some((index, addr)));
        if !flooded_back {
            self.ack_later(index, addr, header);
        }
        self.reclaim(header);
    }

    /// Steps 6 to 8: our instance is the same or newer.
    fn have_already(
        &mut self,
        index: IfIndex,
        addr: Ipv4Addr,
        header: LsaHeader,
        ours: LsaHeader,
        order: Ordering,
    ) {
        let now = self.now;
        let key = header.key;
        let Some(neighbour) = self.neighbour_mut(index, addr) else { return };
        if neighbour.requests.contains_key(&key) {
            return self.neighbour_event(index, addr, NeighbourEvent::BadLsReq);
        }
        if order == Ordering::Equal {
            // Step 7: an implied acknowledgement, or a repetition to be acknowledged at once.
            let implied = neighbour.unacked.get(&key).is_some_and(|u| u.header.recency(&header).is_eq());
            if !implied {
                return self.ack_directly(index, addr, header);
            }
            neighbour.forget_unacked(&key);
            if self.interfaces.get(&index).is_some_and(|i| i.state == InterfaceState::Backup) {
                self.ack_later(index, addr, header);
            }
            return;
        }
        // Step 8.
        if ours.age == MAX_AGE && ours.sequence == MAX_SEQUENCE {
            return;
        }
        let Some(entry) = self.lsdb.entry_mut(&key) else { return };
        if entry.told.is_none_or(|told| now.since(told) >= MIN_LS_ARRIVAL) {
            entry.told = Some(now);
            self.send_update(index, addr, &[key]);
        }
    }

    /// Install an instance, flood it, and have what depends on it computed. Gives whether it goes back out of the
    /// interface that it came in by.
    pub(super) fn install(&mut self, lsa: Lsa, body: LsaBody, origin: Origin) -> bool {
        let now = self.now;
        let header = lsa.header;
        let before = self.lsdb.entry(&header.key);
        let changed = before.is_none_or(|old| old.differs(&lsa));
        let old_prefix = before.and_then(|e| external_prefix(&header.key, &e.body));
        let new_prefix = external_prefix(&header.key, &body);
        let ours = header.key.router == self.config.router_id;
        self.lsdb.install(lsa, body, now, ours, origin.is_some());
        let flooded_back = self.flood(header, origin);
        if changed {
            self.database_changed(header.key, old_prefix, new_prefix);
        }
        flooded_back
    }

    /// RFC 2328 section 13.3. Packets leave when the event in hand is over, several LSAs in each.
    fn flood(&mut self, header: LsaHeader, origin: Origin) -> bool {
        let mut flooded_back = false;
        for (index, iface) in &mut self.interfaces {
            let again = self.now + iface.config.retransmit_interval;
            let mut listed = false;
            for neighbour in iface.neighbours.values_mut() {
                listed |= list_for(neighbour, header, origin == Some((*index, neighbour.addr)), again);
            }
            let came_here = origin.filter(|(i, _)| i == index).map(|(_, addr)| addr);
            let designated = [iface.elected.designated, iface.elected.backup];
            // Steps 3 and 4: whoever the designated routers have told, and the backup, need not be told again.
            let told = came_here.is_some_and(|from| {
                (iface.config.network == NetworkKind::Broadcast && designated.contains(&Some(from)))
                    || iface.state == InterfaceState::Backup
            });
            if listed && !told {
                iface.flood.push(header.key);
                flooded_back |= came_here.is_some();
            }
        }
        flooded_back
    }

    /// Send what the event in hand flooded.
    pub(super) fn send_floods(&mut self) {
        for index in self.interfaces.keys().copied().collect::<Vec<_>>() {
            let Some(iface) = self.interfaces.get_mut(&index) else { continue };
            if iface.flood.is_empty() {
                continue;
            }
            let mut keys = std::mem::take(&mut iface.flood);
            keys.sort_unstable();
            keys.dedup();
            let to = flood_destination(iface);
            self.send_update(index, to, &keys);
        }
    }

    /// Send LSAs of the database as they now are, in as many packets as they need.
    pub(super) fn send_update(&mut self, index: IfIndex, to: Ipv4Addr, keys: &[LsaKey]) {
        let Some(iface) = self.interfaces.get(&index) else { return };
        let room = iface.config.room().saturating_sub(HEADER_LEN + 4);
        let delay = iface.config.transmit_delay;
        let mut packets = vec![Vec::new()];
        let mut left = room;
        for key in keys {
            let Some(entry) = self.lsdb.entry(key) else { continue };
            let mut lsa = entry.lsa(self.now);
            lsa.header.age = lsa.header.age.saturating_add(delay).min(MAX_AGE);
            if lsa.wire_len() > left {
                packets.push(Vec::new());
                left = room;
            }
            left = left.saturating_sub(lsa.wire_len());
            if let Some(packet) = packets.last_mut() {
                packet.push(lsa);
            }
        }
        for lsas in packets.into_iter().filter(|p| !p.is_empty()) {
            self.send(index, to, Body::LinkStateUpdate(lsas));
        }
    }

    /// Whether any neighbour is in Exchange or Loading.
    pub(super) fn is_synchronising(&self) -> bool {
        self.interfaces.values().any(|i| i.neighbours.values().any(Neighbour::is_synchronising))
    }

    /// Take out of the database what is dead and known to be by every neighbour (RFC 2328 section 14).
    pub(super) fn remove_dead(&mut self) {
        let dead: Vec<_> = self.lsdb.dead().copied().collect();
        if dead.is_empty() || self.is_synchronising() {
            return;
        }
        for key in dead {
            let waits = |i: &Interface| i.neighbours.values().any(|n| n.unacked.contains_key(&key));
            if !self.interfaces.values().any(waits) {
                self.lsdb.remove(&key);
                self.removed(key);
            }
        }
    }
}

/// Where floods go (RFC 2328 section 13.3 step 5).
pub(super) fn flood_destination(iface: &Interface) -> Ipv4Addr {
    match iface.config.network {
        NetworkKind::Broadcast if !iface.is_designated_or_backup() => ALL_D_ROUTERS,
        NetworkKind::Broadcast | NetworkKind::PointToPoint | NetworkKind::Loopback => ALL_SPF_ROUTERS,
    }
}

/// RFC 2328 section 13.3 step 1, for one neighbour: whether the LSA went on its retransmission list.
fn list_for(
    neighbour: &mut Neighbour,
    header: LsaHeader,
    is_origin: bool,
    due: espalier_wire::Instant,
) -> bool {
    use super::neighbour::{Timer, Unacked};
    if neighbour.state < NeighbourState::Exchange {
        return false;
    }
    // Whatever older instance it still owed us an acknowledgement for is superseded (section 13 step 5c).
    neighbour.forget_unacked(&header.key);
    if neighbour.is_synchronising()
        && let Some(wanted) = neighbour.requests.get(&header.key)
    {
        match header.recency(wanted) {
            Ordering::Less => return false,
            Ordering::Equal => {
                neighbour.requests.remove(&header.key);
                return false;
            }
            Ordering::Greater => {
                neighbour.requests.remove(&header.key);
            }
        }
    }
    if is_origin {
        return false;
    }
    neighbour.unacked.insert(header.key, Unacked { header, due });
    neighbour.timers.start_by(Timer::Retransmit as usize, due);
    true
}

/// RFC 2328 section 13 steps 1 to 3.
fn checked(lsa: &Lsa) -> Result<LsaBody, Discard> {
    if !lsa.checksum_ok() {
        return Err(Discard::LsaChecksum);
    }
    if !is_flooded_here(lsa.header.key.kind) {
        return Err(Discard::LsaType);
    }
    lsa.body().map_err(|_| Discard::LsaMalformed)
}

/// The destination of an AS-external-LSA.
pub(super) fn external_prefix(key: &LsaKey, body: &LsaBody) -> Option<espalier_wire::Ipv4Prefix> {
    let LsaBody::AsExternal(external) = body else { return None };
    if key.kind != LsaType::AsExternal {
        return None;
    }
    espalier_wire::Ipv4Prefix::new(key.id, external.prefix_len).ok().map(|p| p.trunc())
}
