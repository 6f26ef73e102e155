//! Acknowledging what was flooded here, and repeating what was flooded from here until it is acknowledged (RFC 2328
//! sections 13.5 to 13.7).

use std::net::Ipv4Addr;

use espalier_wire::ospf::{Body, HEADER_LEN, LsaHeader, LsaKey};
use espalier_wire::{Duration, IfIndex};

use super::flood::flood_destination;
use super::interface::{InterfaceState, Timer};
use super::neighbour::{self, Unacked};
use super::{Ospf, Trace};

/// How long acknowledgements are gathered: well below RxmtInterval; IOS's figure.
const ACK_DELAY: Duration = Duration::from_ms(2500);

impl Ospf {
    /// A delayed acknowledgement; the backup leaves it to the designated router to be acknowledged to (table 19).
    pub(super) fn ack_later(&mut self, index: IfIndex, from: Ipv4Addr, header: LsaHeader) {
        let now = self.now;
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        if iface.state == InterfaceState::Backup && iface.elected.designated != Some(from) {
            return;
        }
        iface.delayed_acks.push(header);
        let delay = ACK_DELAY.as_ns().min(iface.config.retransmit_interval.as_ns() / 2);
        iface.timers.start_by(Timer::Ack as usize, now + Duration::from_ns(delay));
    }

    /// A direct acknowledgement, sent when the event in hand is over.
    pub(super) fn ack_directly(&mut self, index: IfIndex, to: Ipv4Addr, header: LsaHeader) {
        if let Some(iface) = self.interfaces.get_mut(&index) {
            iface.direct_acks.entry(to).or_default().push(header);
        }
    }

    pub(super) fn send_delayed_acks(&mut self, index: IfIndex) {
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        let headers = std::mem::take(&mut iface.delayed_acks);
        let to = flood_destination(iface);
        self.send_acks(index, to, &headers);
    }

    pub(super) fn send_direct_acks(&mut self) {
        for index in self.interfaces.keys().copied().collect::<Vec<_>>() {
            let Some(iface) = self.interfaces.get_mut(&index) else { continue };
            for (to, headers) in std::mem::take(&mut iface.direct_acks) {
                self.send_acks(index, to, &headers);
            }
        }
    }

    fn send_acks(&mut self, index: IfIndex, to: Ipv4Addr, headers: &[LsaHeader]) {
        let Some(iface) = self.interfaces.get(&index) else { return };
        let fit = (iface.config.room().saturating_sub(HEADER_LEN) / LsaHeader::LEN).max(1);
        for some in headers.chunks(fit) {
            self.send(index, to, Body::LinkStateAck(some.to_vec()));
        }
    }

    /// RFC 2328 section 13.7.
    pub(super) fn receive_ack(&mut self, index: IfIndex, addr: Ipv4Addr, headers: &[LsaHeader]) {
        let Some(neighbour) = self.neighbour_mut(index, addr) else { return };
        for header in headers {
            let listed = neighbour.unacked.get(&header.key);
            if listed.is_some_and(|u| u.header.recency(header).is_eq()) {
                neighbour.forget_unacked(&header.key);
            }
        }
    }

    /// Put an LSA of the database on a neighbour's retransmission list, to be sent at once.
    pub(super) fn expect_ack(&mut self, index: IfIndex, addr: Ipv4Addr, key: LsaKey) {
        let now = self.now;
        let Some(header) = self.lsdb.entry(&key).map(|e| e.header(now)) else { return };
        let Some(neighbour) = self.neighbour_mut(index, addr) else { return };
        neighbour.unacked.insert(key, Unacked { header, due: now });
        neighbour.timers.start_by(neighbour::Timer::Retransmit as usize, now);
    }

    /// RFC 2328 section 13.6: straight to the neighbour, what is due.
    pub(super) fn retransmit(&mut self, index: IfIndex, addr: Ipv4Addr) {
        let now = self.now;
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        let again = now + iface.config.retransmit_interval;
        let Some(neighbour) = iface.neighbours.get_mut(&addr) else { return };
        let mut due = Vec::new();
        for (key, unacked) in &mut neighbour.unacked {
            if unacked.due <= now {
                unacked.due = again;
                due.push(*key);
            }
        }
        let next = neighbour.unacked.values().map(|u| u.due).min();
        if let Some(next) = next {
            neighbour.timers.start(neighbour::Timer::Retransmit as usize, next);
        }
        if !due.is_empty() {
            self.trace(Trace::Retransmitted { iface: index, to: addr, lsas: due.len() });
            self.send_update(index, addr, &due);
        }
    }
}
