//! Bringing two databases together (RFC 2328 sections 10.6 to 10.9): Database Description and Link State Request.

use std::cmp::Ordering;
use std::net::Ipv4Addr;

use espalier_wire::IfIndex;
use espalier_wire::ospf::{Body, DatabaseDescription, HEADER_LEN, LsaHeader, LsaKey, LsaType, Options};

use super::neighbour::{LastDescription, NeighbourEvent, NeighbourState, Timer};
use super::receive::Discard;
use super::{OPTIONS, Ospf};

/// Bytes of a Database Description before its LSA headers.
const DESCRIPTION_LEN: usize = HEADER_LEN + 8;

/// How a received Database Description stands to the one before.
enum Place {
    Duplicate,
    Next,
    Wrong,
}

impl Ospf {
    /// RFC 2328 section 10.8: ExStart. The first sequence number is random, the next are counted up.
    pub(super) fn begin_exchange(&mut self, index: IfIndex, addr: Ipv4Addr) {
        let fresh = self.random.u32();
        let Some(neighbour) = self.neighbour_mut(index, addr) else { return };
        neighbour.sequence = if neighbour.sequence == 0 { fresh } else { neighbour.sequence.wrapping_add(1) };
        neighbour.we_lead = true;
        let dd = DatabaseDescription {
            mtu: 0,
            options: Options(OPTIONS),
            init: true,
            more: true,
            master: true,
            sequence: neighbour.sequence,
            headers: Vec::new(),
        };
        self.send_description(index, addr, dd);
    }

    /// Send it, remember it, and if it is ours to repeat, time its repetition.
    fn send_description(&mut self, index: IfIndex, addr: Ipv4Addr, mut dd: DatabaseDescription) {
        let now = self.now;
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        dd.mtu = iface.config.mtu;
        let again = now + iface.config.retransmit_interval;
        let Some(neighbour) = iface.neighbours.get_mut(&addr) else { return };
        if neighbour.we_lead {
            neighbour.timers.start(Timer::Description as usize, again);
        } else {
            neighbour.timers.stop(Timer::Description as usize);
        }
        neighbour.last_sent = Some(dd.clone());
        self.send(index, addr, Body::DatabaseDescription(dd));
    }

    pub(super) fn resend_description(&mut self, index: IfIndex, addr: Ipv4Addr) {
        let last = self.neighbour(index, addr).and_then(|n| n.last_sent.clone());
        if let Some(dd) = last {
            self.send_description(index, addr, dd);
        }
    }

    /// RFC 2328 section 10.3, NegotiationDone: list the database; what is dead goes to the retransmission list instead.
    pub(super) fn list_database(&mut self, index: IfIndex, addr: Ipv4Addr) {
        let live = self.lsdb.iter().filter(|(_, e)| !e.dead()).map(|(key, _)| *key).collect();
        let dead: Vec<_> = self.lsdb.dead().copied().collect();
        if let Some(neighbour) = self.neighbour_mut(index, addr) {
            neighbour.summary = live;
        }
        for key in dead {
            self.expect_ack(index, addr, key);
        }
    }

    /// Describe as much of the summary list as fits.
    fn next_description(&mut self, index: IfIndex, addr: Ipv4Addr) {
        let now = self.now;
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        let fit = iface.config.room().saturating_sub(DESCRIPTION_LEN) / LsaHeader::LEN;
        let Some(neighbour) = iface.neighbours.get_mut(&addr) else { return };
        let taken = neighbour.summary.len().min(fit);
        let headers =
            neighbour.summary.drain(..taken).filter_map(|key| Some(self.lsdb.entry(&key)?.header(now)));
        let headers = headers.collect();
        let dd = DatabaseDescription {
            mtu: 0,
            options: Options(OPTIONS),
            init: false,
            more: !neighbour.summary.is_empty(),
            master: neighbour.we_lead,
            sequence: neighbour.sequence,
            headers,
        };
        self.send_description(index, addr, dd);
    }

    /// RFC 2328 section 10.6.
    pub(super) fn receive_description(
        &mut self,
        index: IfIndex,
        addr: Ipv4Addr,
        dd: &DatabaseDescription,
    ) -> Result<(), Discard> {
        let Some(iface) = self.interfaces.get(&index) else { return Ok(()) };
        if dd.mtu > iface.config.mtu && !iface.config.mtu_ignore {
            return Err(Discard::Mtu);
        }
        self.neighbour_event(index, addr, NeighbourEvent::TwoWayReceived);
        let Some(neighbour) = self.neighbour(index, addr) else { return Ok(()) };
        match neighbour.state {
            NeighbourState::Down
            | NeighbourState::Attempt
            | NeighbourState::Init
            | NeighbourState::TwoWay => Err(Discard::NeighbourState),
            NeighbourState::ExStart => self.negotiate(index, addr, dd),
            NeighbourState::Exchange => {
                self.continue_exchange(index, addr, dd);
                Ok(())
            }
            NeighbourState::Loading | NeighbourState::Full => {
                self.late_description(index, addr, dd);
                Ok(())
            }
        }
    }

    /// Who leads? (RFC 2328 section 10.6, case ExStart.)
    fn negotiate(&mut self, index: IfIndex, addr: Ipv4Addr, dd: &DatabaseDescription) -> Result<(), Discard> {
        let us = self.config.router_id;
        let Some(neighbour) = self.neighbour_mut(index, addr) else { return Ok(()) };
        let first = dd.init && dd.more && dd.master && dd.headers.is_empty();
        if first && neighbour.id > us {
            neighbour.we_lead = false;
            neighbour.sequence = dd.sequence;
        } else if !dd.init && !dd.master && dd.sequence == neighbour.sequence && neighbour.id < us {
            neighbour.we_lead = true;
        } else if first {
            // The lower router's opening: it will follow ours.
            return Ok(());
        } else {
            return Err(Discard::NeighbourState);
        }
        neighbour.options = dd.options;
        self.neighbour_event(index, addr, NeighbourEvent::NegotiationDone);
        self.take_description(index, addr, dd);
        Ok(())
    }

    /// RFC 2328 section 10.6, case Exchange.
    fn continue_exchange(&mut self, index: IfIndex, addr: Ipv4Addr, dd: &DatabaseDescription) {
        let Some(neighbour) = self.neighbour(index, addr) else { return };
        let expected =
            if neighbour.we_lead { neighbour.sequence } else { neighbour.sequence.wrapping_add(1) };
        let place = if neighbour.last_received == Some(last(dd)) {
            Place::Duplicate
        } else if dd.master == neighbour.we_lead
            || dd.init
            || dd.options != neighbour.options
            || dd.sequence != expected
        {
            Place::Wrong
        } else {
            Place::Next
        };
        match place {
            Place::Duplicate if neighbour.we_lead => {}
            Place::Duplicate => self.resend_description(index, addr),
            Place::Wrong => self.neighbour_event(index, addr, NeighbourEvent::SeqNumberMismatch),
            Place::Next => self.take_description(index, addr, dd),
        }
    }

    /// RFC 2328 section 10.6, cases Loading and Full: only duplicates are expected, and for the dead interval only.
    fn late_description(&mut self, index: IfIndex, addr: Ipv4Addr, dd: &DatabaseDescription) {
        let now = self.now;
        let Some(iface) = self.interfaces.get(&index) else { return };
        let Some(neighbour) = iface.neighbours.get(&addr) else { return };
        let duplicate = neighbour.last_received == Some(last(dd));
        let expired = now.since(neighbour.since) > iface.dead_interval();
        if !duplicate || (expired && !neighbour.we_lead) {
            self.neighbour_event(index, addr, NeighbourEvent::SeqNumberMismatch);
        } else if !neighbour.we_lead {
            self.resend_description(index, addr);
        }
    }

    /// The packet is the next in sequence: note what to request, answer, and see whether the exchange is over.
    fn take_description(&mut self, index: IfIndex, addr: Ipv4Addr, dd: &DatabaseDescription) {
        if !dd.headers.iter().all(|h| is_flooded_here(h.key.kind)) {
            return self.neighbour_event(index, addr, NeighbourEvent::SeqNumberMismatch);
        }
        let now = self.now;
        let newer = |h: &&LsaHeader| {
            self.lsdb.entry(&h.key).is_none_or(|e| h.recency(&e.header(now)) == Ordering::Greater)
        };
        let wanted: Vec<_> = dd.headers.iter().filter(newer).map(|h| (h.key, *h)).collect();
        let Some(neighbour) = self.neighbour_mut(index, addr) else { return };
        neighbour.requests.extend(wanted);
        neighbour.last_received = Some(last(dd));
        let done = if neighbour.we_lead {
            neighbour.sequence = neighbour.sequence.wrapping_add(1);
            let all_sent = neighbour.last_sent.as_ref().is_some_and(|sent| !sent.init && !sent.more);
            let done = all_sent && !dd.more;
            if done {
                neighbour.timers.stop(Timer::Description as usize);
            } else {
                self.next_description(index, addr);
            }
            done
        } else {
            neighbour.sequence = dd.sequence;
            self.next_description(index, addr);
            let more = self.neighbour(index, addr).is_some_and(|n| !n.summary.is_empty());
            !dd.more && !more
        };
        if done {
            self.neighbour_event(index, addr, NeighbourEvent::ExchangeDone);
        }
    }

    /// Ask for the beginning of the request list (RFC 2328 section 10.9); again, if it was asked for before.
    pub(super) fn send_request(&mut self, index: IfIndex, addr: Ipv4Addr) {
        let now = self.now;
        let Some(iface) = self.interfaces.get_mut(&index) else { return };
        let fit = iface.config.room().saturating_sub(HEADER_LEN) / LsaKey::REQUEST_LEN;
        let again = now + iface.config.retransmit_interval;
        let Some(neighbour) = iface.neighbours.get_mut(&addr) else { return };
        let keys: Vec<_> = neighbour.requests.keys().take(fit).copied().collect();
        if keys.is_empty() {
            return;
        }
        neighbour.requested = keys.iter().copied().collect();
        neighbour.timers.start(Timer::Request as usize, again);
        self.send(index, addr, Body::LinkStateRequest(keys));
    }

    /// RFC 2328 section 10.7.
    pub(super) fn receive_request(&mut self, index: IfIndex, addr: Ipv4Addr, keys: &[LsaKey]) {
        if keys.iter().any(|key| self.lsdb.entry(key).is_none()) {
            return self.neighbour_event(index, addr, NeighbourEvent::BadLsReq);
        }
        self.send_update(index, addr, keys);
    }

    /// Go on requesting where an answer is complete, and end Loading where nothing is left to request. Called at the
    /// end of every event, since an answer may come by another neighbour's flooding.
    pub(super) fn progress_requests(&mut self) {
        let mut synchronising = Vec::new();
        for (index, iface) in &self.interfaces {
            let busy = iface.neighbours.values().filter(|n| n.is_synchronising());
            synchronising.extend(busy.map(|n| (*index, n.addr)));
        }
        for (index, addr) in synchronising {
            let Some(neighbour) = self.neighbour_mut(index, addr) else { continue };
            let requests = &neighbour.requests;
            neighbour.requested.retain(|key| requests.contains_key(key));
            if neighbour.requests.is_empty() {
                neighbour.timers.stop(Timer::Request as usize);
                self.neighbour_event(index, addr, NeighbourEvent::LoadingDone);
            } else if neighbour.requested.is_empty() {
                self.send_request(index, addr);
            }
        }
    }
}

const fn last(dd: &DatabaseDescription) -> LastDescription {
    LastDescription {
        init: dd.init,
        more: dd.more,
        master: dd.master,
        options: dd.options,
        sequence: dd.sequence,
    }
}

/// The types of RFC 2328: opaque ones are for those who set option O, NSSA ones for NSSA areas, and we are neither.
pub(super) const fn is_flooded_here(kind: LsaType) -> bool {
    match kind {
        LsaType::Router
        | LsaType::Network
        | LsaType::SummaryNetwork
        | LsaType::SummaryAsbr
        | LsaType::AsExternal => true,
        LsaType::Nssa
        | LsaType::OpaqueLink
        | LsaType::OpaqueArea
        | LsaType::OpaqueAs
        | LsaType::Unknown(_) => false,
    }
}
