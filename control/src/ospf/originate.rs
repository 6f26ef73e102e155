//! Our own LSAs: what they should say, when they may say it (RFC 2328 sections 12.4 and 14.1), and what happens when an
//! older life of ours speaks (section 13.4).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use espalier_wire::ospf::{
    AsExternal, INITIAL_SEQUENCE, Link, LinkKind, Lsa, LsaBody, LsaHeader, LsaKey, LsaType, MAX_AGE,
    MAX_SEQUENCE, MetricType, Network, Router,
};
use espalier_wire::{Duration, IfIndex, Instant, Ipv4Prefix};

use super::config::NetworkKind;
use super::interface::{Interface, InterfaceState};
use super::neighbour::NeighbourState;
use super::{OPTIONS, Ospf, Trace};

/// RFC 2328 appendix B: between two instances of one LSA. It holds neither a first instance nor a flush.
const MIN_LS_INTERVAL: Duration = Duration::from_s(5);

/// A route from elsewhere, to be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redistributed {
    /// 24 bits; IOS announces a static route with 20.
    pub metric: u32,
    /// Type 1 or 2.
    pub metric_type: MetricType,
    /// The route's own next hop. It becomes the forwarding address where it lies on a broadcast network that OSPF runs
    /// on and is not passive on.
    pub next_hop: Option<Ipv4Addr>,
    /// External route tag.
    pub tag: u32,
}

/// One LSA of ours.
#[derive(Debug, Default)]
struct Own {
    /// What it should say; `None`: it should not be.
    wanted: Option<LsaBody>,
    originated: Option<Instant>,
    /// When MinLSInterval is over and it is said.
    pending: Option<Instant>,
    /// The highest sequence number that it is known to have had. Neighbours may still hold a flushed instance when it
    /// is said anew: a lower number would not count with them.
    sequence: Option<i32>,
}

/// All LSAs of ours.
#[derive(Debug, Default)]
pub(super) struct Originations {
    own: BTreeMap<LsaKey, Own>,
    pending: BTreeSet<(Instant, LsaKey)>,
    router_changed: bool,
    networks_changed: BTreeSet<IfIndex>,
    forwarding_changed: bool,
    redistributed: BTreeMap<Ipv4Prefix, (Redistributed, LsaKey)>,
}

impl Originations {
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.pending.first().map(|(at, _)| *at)
    }

    pub(super) fn due(&self, now: Instant) -> Option<LsaKey> {
        self.pending.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    pub(super) fn is_boundary(&self) -> bool {
        !self.redistributed.is_empty()
    }

    fn set_pending(&mut self, key: LsaKey, at: Option<Instant>) {
        let own = self.own.entry(key).or_default();
        if let Some(old) = std::mem::replace(&mut own.pending, at) {
            self.pending.remove(&(old, key));
        }
        if let Some(at) = at {
            self.pending.insert((at, key));
        }
    }
}

impl Ospf {
    pub(super) const fn router_lsa_changed(&mut self) {
        self.own.router_changed = true;
    }

    pub(super) fn network_lsa_changed(&mut self, index: IfIndex) {
        self.own.networks_changed.insert(index);
    }

    pub(super) fn forwarding_may_change(&mut self, index: IfIndex) {
        if self.interfaces.get(&index).is_some_and(can_forward_onto) || !self.own.redistributed.is_empty() {
            self.own.forwarding_changed = true;
        }
    }

    /// Say anew what the event in hand changed.
    pub(super) fn originate_changed(&mut self) {
        if std::mem::take(&mut self.own.forwarding_changed) {
            for (prefix, (route, key)) in self.own.redistributed.clone() {
                let body = self.external_body(prefix, route);
                self.originate(key, body);
            }
        }
        for index in std::mem::take(&mut self.own.networks_changed) {
            let Some(iface) = self.interfaces.get(&index) else { continue };
            let id = self.config.router_id;
            let key = LsaKey::new(LsaType::Network, iface.address(), id);
            match network_body(iface, id) {
                Some(body) => self.originate(key, body),
                None => self.flush(key),
            }
        }
        if std::mem::take(&mut self.own.router_changed) {
            let id = self.config.router_id;
            let body = self.router_body();
            self.originate(LsaKey::new(LsaType::Router, id.0, id), body);
        }
    }

    /// RFC 2328 section 12.4.1.
    fn router_body(&self) -> LsaBody {
        let asbr = self.config.asbr || self.own.is_boundary();
        let links = self.interfaces.values().flat_map(links).collect();
        LsaBody::Router(Router { asbr, links, ..Router::default() })
    }

    /// Announce a route from elsewhere, or announce it anew.
    pub(super) fn redistribute(&mut self, prefix: Ipv4Prefix, route: Redistributed) {
        let prefix = prefix.trunc();
        let known = self.own.redistributed.get(&prefix).map(|(_, key)| *key);
        let Some(key) = known.or_else(|| self.free_external_key(prefix)) else {
            self.trace(Trace::NoLinkStateId { prefix });
            return;
        };
        self.own.redistributed.insert(prefix, (route, key));
        // The first one may set bit E.
        self.router_lsa_changed();
        let body = self.external_body(prefix, route);
        self.originate(key, body);
    }

    /// No longer announce it: flushed at once.
    pub(super) fn withdraw(&mut self, prefix: Ipv4Prefix) {
        let Some((_, key)) = self.own.redistributed.remove(&prefix.trunc()) else { return };
        self.router_lsa_changed();
        self.flush(key);
    }

    /// RFC 2328 appendix E: prefixes that differ in their masks alone must not share a Link State ID; one of them sets
    /// the host bits.
    fn free_external_key(&self, prefix: Ipv4Prefix) -> Option<LsaKey> {
        let key = |id| LsaKey::new(LsaType::AsExternal, id, self.config.router_id);
        let taken = |k: &LsaKey| self.own.redistributed.values().any(|(_, other)| other == k);
        [prefix.network(), prefix.broadcast()].map(key).into_iter().find(|k| !taken(k))
    }

    fn external_body(&self, prefix: Ipv4Prefix, route: Redistributed) -> LsaBody {
        let on_our_network = |addr: &Ipv4Addr| {
            self.interfaces.values().any(|i| can_forward_onto(i) && i.config.address.contains(addr))
        };
        LsaBody::AsExternal(AsExternal {
            prefix_len: prefix.prefix_len(),
            metric_type: route.metric_type,
            metric: route.metric,
            forwarding: route.next_hop.filter(on_our_network),
            tag: route.tag,
        })
    }

    /// This LSA should say this: now, or when MinLSInterval is over.
    fn originate(&mut self, key: LsaKey, body: LsaBody) {
        let said = self.lsdb.body(&key) == Some(&body);
        let own = self.own.own.entry(key).or_default();
        own.wanted = Some(body);
        if said {
            self.own.set_pending(key, None);
        } else {
            self.say_when_allowed(key);
        }
    }

    fn say_when_allowed(&mut self, key: LsaKey) {
        let originated = self.own.own.get(&key).and_then(|own| own.originated);
        match originated.map(|at| at + MIN_LS_INTERVAL).filter(|at| *at > self.now) {
            Some(at) => self.own.set_pending(key, Some(at)),
            None => self.say(key),
        }
    }

    /// A new instance of one of our LSAs (RFC 2328 section 12.1.6: the next sequence number).
    pub(super) fn say(&mut self, key: LsaKey) {
        self.own.set_pending(key, None);
        let Some(own) = self.own.own.get_mut(&key) else { return };
        let Some(body) = own.wanted.clone() else { return };
        let held = self.lsdb.entry(&key).map(|e| e.header(self.now).sequence);
        let sequence = match held.max(own.sequence) {
            // The sequence numbers are used up: the old instance must be gone before they begin anew.
            Some(MAX_SEQUENCE) if held.is_some() => return self.age_out(key),
            None | Some(MAX_SEQUENCE) => INITIAL_SEQUENCE,
            Some(last) => last + 1,
        };
        (own.originated, own.sequence) = (Some(self.now), Some(sequence));
        let lsa = Lsa::new(key, OPTIONS, sequence, &body);
        self.trace(Trace::Originated { header: lsa.header });
        self.install(lsa, body, None);
    }

    /// This LSA should no longer be: flushed at once (RFC 2328 section 14.1).
    pub(super) fn flush(&mut self, key: LsaKey) {
        self.own.set_pending(key, None);
        if let Some(own) = self.own.own.get_mut(&key) {
            own.wanted = None;
        }
        if self.lsdb.body(&key).is_some() {
            self.trace(Trace::Flushed { key });
            self.age_out(key);
        }
    }

    /// Flush everything of ours.
    pub(super) fn flush_all(&mut self) {
        for key in self.own.own.keys().copied().collect::<Vec<_>>() {
            self.flush(key);
        }
        self.own.redistributed.clear();
        self.own.networks_changed.clear();
        (self.own.router_changed, self.own.forwarding_changed) = (false, false);
    }

    /// An LSA's age becomes MaxAge, and every neighbour is told so.
    fn age_out(&mut self, key: LsaKey) {
        let Some(entry) = self.lsdb.entry(&key).filter(|e| !e.dead()) else { return };
        let (mut lsa, body) = (entry.lsa(self.now), entry.body.clone());
        lsa.header.age = MAX_AGE;
        self.install(lsa, body, None);
    }

    /// An LSA's time has come: ours is refreshed, another's dies.
    pub(super) fn aged(&mut self, key: LsaKey) {
        if self.own.own.get(&key).is_some_and(|own| own.wanted.is_some()) {
            self.say(key);
        } else {
            self.trace(Trace::Expired { key });
            self.age_out(key);
        }
    }

    /// A dead LSA is out of the database. If it is wanted, its sequence numbers were used up and begin anew; or a
    /// neighbour still had the flushed one of before.
    pub(super) fn removed(&mut self, key: LsaKey) {
        if self.own.own.get(&key).is_some_and(|own| own.wanted.is_some()) {
            self.say_when_allowed(key);
        }
    }

    /// RFC 2328 section 13.4: an LSA of ours came in that is newer than what we said, from an older life of ours. Say
    /// something newer still, or have it gone.
    pub(super) fn reclaim(&mut self, header: LsaHeader) {
        let key = header.key;
        let own_address = |i: &Interface| key.kind == LsaType::Network && i.address() == key.id;
        if key.router != self.config.router_id && !self.interfaces.values().any(own_address) {
            return;
        }
        self.trace(Trace::Reclaimed { header });
        let own = self.own.own.entry(key).or_default();
        own.sequence = own.sequence.max(Some(header.sequence));
        if self.own.own.get(&key).is_some_and(|own| own.wanted.is_some()) {
            self.say_when_allowed(key);
        } else {
            self.age_out(key);
        }
    }
}

/// Whether external routes may be forwarded straight onto the interface's network (RFC 2328 section 12.4.4).
fn can_forward_onto(iface: &Interface) -> bool {
    iface.speaks() && iface.config.network == NetworkKind::Broadcast
}

fn stub(net: Ipv4Prefix, metric: u16) -> Link {
    Link { id: net.network(), data: net.netmask(), kind: LinkKind::Stub, metric }
}

/// The links of one interface (RFC 2328 sections 12.4.1.1 to 12.4.1.4).
fn links(iface: &Interface) -> Vec<Link> {
    let (net, metric) = (iface.config.address, iface.config.cost);
    match iface.state {
        InterfaceState::Down => Vec::new(),
        InterfaceState::Loopback => vec![stub(Ipv4Prefix::from(net.addr()), metric)],
        InterfaceState::Waiting => vec![stub(net, metric)],
        InterfaceState::PointToPoint => {
            let full = iface.neighbours.values().filter(|n| n.state == NeighbourState::Full);
            let to = |id| Link { id, data: net.addr(), kind: LinkKind::PointToPoint, metric };
            full.map(|n| to(n.id.0)).chain(std::iter::once(stub(net, metric))).collect()
        }
        InterfaceState::DrOther | InterfaceState::Backup | InterfaceState::Designated => {
            match iface.elected.designated.filter(|dr| is_synchronised(iface, *dr)) {
                Some(id) => vec![Link { id, data: net.addr(), kind: LinkKind::Transit, metric }],
                None => vec![stub(net, metric)],
            }
        }
    }
}

/// Whether we are fully adjacent to the designated router or, being it, to anybody (RFC 2328 section 12.4.1.2).
fn is_synchronised(iface: &Interface, designated: Ipv4Addr) -> bool {
    let mut full = iface.neighbours.values().filter(|n| n.state == NeighbourState::Full);
    if iface.address() == designated { full.next().is_some() } else { full.any(|n| n.addr == designated) }
}

/// RFC 2328 section 12.4.2: the designated router's, once it is fully adjacent to anybody.
fn network_body(iface: &Interface, us: espalier_wire::RouterId) -> Option<LsaBody> {
    if iface.state != InterfaceState::Designated {
        return None;
    }
    let full = iface.neighbours.values().filter(|n| n.state == NeighbourState::Full).map(|n| n.id);
    let mut routers: Vec<_> = full.collect();
    if routers.is_empty() {
        return None;
    }
    routers.insert(0, us);
    Some(LsaBody::Network(Network { prefix_len: iface.config.address.prefix_len(), routers }))
}
