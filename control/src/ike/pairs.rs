//! Pairs of IPsec SAs: made, brought up, replaced, dropped. A pair is one inbound and one outbound SA of one quick
//! mode; a policy has one, or for a while several around a rekey.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use espalier_wire::ike::{Cookie, Protocol};
use espalier_wire::plane::{Command, Direction, Expiry, Lifetime, Limit, Mode, PolicyId, SaSpec, Secret};
use espalier_wire::plane::{Selector, UdpPorts};
use espalier_wire::{Duration, Instant, Spi, Transform};

use super::event::{Action, Why};
use super::ids;
use super::offer::Agreed;
use super::{ConnectionId, Cx, Env, Ike, Trace};
use crate::profile::OldSas;

/// One inbound and one outbound SA.
#[derive(Debug)]
pub(super) struct Pair {
    /// IOS's conn id of the inbound SA; the outbound one's is the next.
    pub(super) conn: u32,
    pub(super) policy: PolicyId,
    pub(super) local: SocketAddrV4,
    pub(super) remote: SocketAddrV4,
    pub(super) initiator: bool,
    /// Our cookie and the peer's of the phase 1 that made it.
    pub(super) cookies: (Cookie, Cookie),
    pub(super) selector: Selector,
    pub(super) inbound: Box<SaSpec>,
    pub(super) outbound: Box<SaSpec>,
    /// The outbound SA may be used.
    pub(super) outbound_up: bool,
    /// The larger, the later it came up.
    order: u64,
    pub(super) created: Instant,
    pub(super) soft: Option<Instant>,
    pub(super) hard: Instant,
    /// Kilobytes of its volume lifetime as it began, jitter taken off.
    pub(super) kilobytes: Option<u64>,
    pub(super) delete: Option<Instant>,
}

impl Pair {
    pub(super) fn is_between(&self, local: Ipv4Addr, peer: Ipv4Addr) -> bool {
        *self.local.ip() == local && *self.remote.ip() == peer
    }

    pub(super) fn deadlines(&self) -> [Option<Instant>; 3] {
        [self.soft, Some(self.hard), self.delete]
    }

    pub(super) fn transform(&self) -> Transform {
        self.inbound.transform
    }

    pub(super) fn mode(&self) -> Mode {
        self.inbound.mode
    }
}

impl Env {
    /// How long a message is worth answering twice: all its copies and one interval more.
    pub(super) fn patience(&self) -> Duration {
        self.config.retransmit.times(u64::from(self.config.tries) + 1)
    }

    /// How long after its start an SA of this lifetime is to be replaced. IOS: 30 s before the end; the end that
    /// answered waits half of that, so that one of the two moves first. A lifetime too short for it gives a fifth.
    pub(super) fn soft(&mut self, lifetime: Duration, initiator: bool) -> Duration {
        let jitter =
            Duration::from_ns(self.random.below(self.config.margin_jitter.as_ns().saturating_add(1)));
        let margin = (self.config.margin + jitter).min(lifetime.share(1, 5));
        lifetime.saturating_sub(if initiator { margin } else { margin.share(1, 2) })
    }

    /// The hard and soft volume lifetime in bytes. IOS: 256 kilobytes before the end.
    fn volume(&mut self, kilobytes: u64, initiator: bool) -> (u64, u64) {
        let bytes = kilobytes.saturating_mul(1024);
        let thousandths = self.random.below(self.config.volume_jitter.min(500) * 1000 + 1);
        let hard = bytes - bytes / 1_000_000 * thousandths.min(1_000_000);
        let margin = self.config.margin_bytes.min(hard / 5);
        (hard, hard - if initiator { margin } else { margin / 2 })
    }
}

/// Two pairs made within this time were negotiated at once.
const AT_ONCE: Duration = Duration::from_s(2);

/// What a quick mode agreed on, ready to become SAs.
struct Making<'a> {
    agreed: &'a Agreed,
    shared: &'a [u8],
    nonces: &'a [u8],
    lifetime: Lifetime,
}

impl Ike {
    /// An inbound SPI that nobody here uses, above the reserved ones (RFC 4303 section 2.1).
    pub(super) fn free_spi(&mut self) -> Spi {
        loop {
            let spi = Spi(self.env.random.u32());
            let used = self.pairs.values().any(|p| p.inbound.spi == spi)
                || self.quick.values().any(|q| q.spi == spi);
            if spi.0 >= 256 && !used {
                return spi;
            }
        }
    }

    /// Make the pair of a quick mode; its inbound SA goes to the dataplane. The conn id, if all is still there.
    pub(super) fn install(
        &mut self,
        cx: &mut Cx<'_>,
        key: (ConnectionId, u32),
        agreed: &Agreed,
        shared: Option<&Secret>,
        initiator: bool,
    ) -> Option<u32> {
        let conn = (0..).map(|n| 2000 + 2 * n).find(|c| !self.pairs.contains_key(c))?;
        let q = self.quick.get(&key)?;
        let p = self.phase1.get(&key.0)?;
        let entry = &self.entries.get(&q.policy)?.entry;
        let time = Duration::from_s(agreed.seconds);
        let soft = self.env.soft(time, initiator);
        let volume = agreed.kilobytes.map(|k| self.env.volume(k, initiator));
        let lifetime = Lifetime {
            soft: Limit { time: Some(soft), bytes: volume.map(|(_, soft)| soft) },
            hard: Limit { time: Some(time), bytes: volume.map(|(hard, _)| hard) },
        };
        let shared = shared.map_or(&[][..], Secret::bytes);
        let making = Making { agreed, shared, nonces: &q.nonces, lifetime };
        let inbound = making.sa(p, entry, q.spi, Direction::Inbound)?;
        let outbound = making.sa(p, entry, agreed.spi, Direction::Outbound)?;
        let cookies = if p.initiator() { p.cookies } else { (p.cookies.1, p.cookies.0) };
        let pair = Pair {
            conn,
            policy: q.policy,
            local: p.local,
            remote: p.remote,
            initiator,
            cookies,
            selector: ids::normal(&entry.selector),
            inbound: Box::new(inbound),
            outbound: Box::new(outbound),
            outbound_up: false,
            order: 0,
            created: cx.now,
            soft: Some(cx.now + soft),
            hard: cx.now + time,
            kilobytes: volume.map(|(hard, _)| hard / 1024),
            delete: None,
        };
        cx.actions
            .push(Action::Command(Command::InstallInbound { policy: pair.policy, sa: pair.inbound.clone() }));
        cx.trace(Trace::creating(&pair, key.0));
        self.pairs.insert(conn, pair);
        Some(conn)
    }

    /// The pair in use: the one that came up last.
    pub(super) fn current(&self, policy: PolicyId) -> Option<&Pair> {
        self.pairs.values().filter(|p| p.policy == policy && p.outbound_up).max_by_key(|p| p.order)
    }

    /// The outbound SA of a pair takes over; older pairs go as the setting says.
    pub(super) fn bring_up(&mut self, cx: &mut Cx<'_>, conn: u32) {
        let order = self.pairs.values().map(|p| p.order).max().unwrap_or(0) + 1;
        let rival = self.rival(cx.now, conn);
        let Some(pair) = self.pairs.get_mut(&conn).filter(|p| !p.outbound_up) else { return };
        (pair.outbound_up, pair.order) = (true, if rival.is_some() { 0 } else { order });
        let (policy, local, peer) = (pair.policy, *pair.local.ip(), *pair.remote.ip());
        let remote = pair.remote;
        if rival.is_none() {
            cx.actions.push(Action::Command(Command::SwapOutbound { policy, sa: pair.outbound.clone() }));
        }
        let (inbound, outbound) = (pair.inbound.spi, pair.outbound.spi);
        let older: Vec<u32> = self
            .pairs
            .values()
            .filter(|p| p.policy == policy && p.conn != conn && p.outbound_up)
            .map(|p| p.conn)
            .collect();
        let others = self.pairs.values().any(|p| p.conn != conn && p.is_between(local, peer));
        // Two that were negotiated at once replace nothing: both are new.
        let replaced = |old: &u32| self.pairs.get(old).is_some_and(|p| cx.now - p.created >= AT_ONCE);
        let rekey = older.iter().any(replaced);
        cx.actions.push(Action::Up { policy, peer, inbound, outbound, rekey });
        if !others {
            cx.trace(Trace::Session { up: true, remote });
        }
        self.satisfied(policy);
        if rival.is_some() {
            return self.retire(cx, conn);
        }
        for old in older {
            self.retire(cx, old);
        }
    }

    /// The pair that goes before this one although it came up earlier: both ends had negotiated at once. That with the
    /// highest SPI stays, which both ends see alike; were each to prefer the one that came up last on its side, they
    /// could retire one another's. (IKEv1 leaves it open; RFC 7296 section 2.8.1 settles it by nonces.)
    fn rival(&self, now: Instant, conn: u32) -> Option<u32> {
        let highest = |p: &Pair| p.inbound.spi.max(p.outbound.spi);
        let own = self.pairs.get(&conn)?;
        let at_once = |p: &&Pair| {
            let both_began = p.initiator != own.initiator;
            p.policy == own.policy && p.outbound_up && both_began && now - p.created < AT_ONCE
        };
        let rival = self.pairs.values().filter(at_once).find(|p| highest(p) > highest(own))?;
        Some(rival.conn)
    }

    fn retire(&mut self, cx: &mut Cx<'_>, conn: u32) {
        match self.env.config.old_sas {
            OldSas::KeepUntilExpiry => {}
            OldSas::DeleteAfter(after) => {
                if let Some(pair) = self.pairs.get_mut(&conn) {
                    pair.delete = pair.delete.or(Some(cx.now + after));
                }
            }
            OldSas::DeleteAtOnce => {
                self.delete_pair_notify(cx, conn);
                self.drop_pair(cx, conn, Why::Expired);
            }
        }
    }

    /// A pair goes, without a word to the peer. An older one that still stands takes over.
    pub(super) fn drop_pair(&mut self, cx: &mut Cx<'_>, conn: u32, why: Why) {
        let Some(pair) = self.pairs.remove(&conn) else { return };
        let policy = pair.policy;
        let was_current = pair.outbound_up && self.current(policy).is_none_or(|p| p.order < pair.order);
        cx.trace(Trace::deleting(&pair));
        if pair.outbound_up {
            cx.actions.push(Action::Command(Command::DropOutbound { policy, spi: pair.outbound.spi }));
        }
        cx.actions.push(Action::Command(Command::DropInbound { spi: pair.inbound.spi }));
        match self.current(policy) {
            Some(older) if was_current => {
                let sa = older.outbound.clone();
                cx.actions.push(Action::Command(Command::SwapOutbound { policy, sa }));
            }
            None if pair.outbound_up => cx.actions.push(Action::Down { policy, why }),
            Some(_) | None => {}
        }
        let between = |p: &Pair| p.is_between(*pair.local.ip(), *pair.remote.ip());
        if pair.outbound_up && !self.pairs.values().any(between) {
            cx.trace(Trace::Session { up: false, remote: pair.remote });
        }
    }

    /// A pair's soft lifetime is over: replace it, unless it has been replaced, or is being.
    pub(super) fn rekey_pair(&mut self, cx: &mut Cx<'_>, conn: u32) {
        let Some(pair) = self.pairs.get_mut(&conn) else { return };
        pair.soft = None;
        let policy = pair.policy;
        let current = self.current(policy).is_some_and(|p| p.conn == conn);
        let under_way = self.quick.values().any(|q| q.policy == policy && !q.done());
        if let Some(state) = self.entries.get_mut(&policy).filter(|_| current && !under_way) {
            state.wanted = true;
            self.pursue(cx, policy);
        }
    }

    /// What the dataplane counted: bytes and sequence numbers, and time as it saw it.
    pub(super) fn expiry(
        &mut self,
        cx: &mut Cx<'_>,
        policy: PolicyId,
        spi: Spi,
        way: Direction,
        what: Expiry,
    ) {
        let has = |p: &&Pair| {
            p.policy == policy
                && match way {
                    Direction::Inbound => p.inbound.spi == spi,
                    Direction::Outbound => p.outbound.spi == spi,
                }
        };
        let Some(conn) = self.pairs.values().find(has).map(|p| p.conn) else { return };
        match what {
            Expiry::Soft | Expiry::Sequence => self.rekey_pair(cx, conn),
            Expiry::Hard => self.expire_pair(cx, conn),
        }
    }

    /// A pair's hard lifetime is over.
    pub(super) fn expire_pair(&mut self, cx: &mut Cx<'_>, conn: u32) {
        self.delete_pair_notify(cx, conn);
        self.drop_pair(cx, conn, Why::Expired);
    }
}

impl Making<'_> {
    fn sa(&self, p: &super::Phase1, entry: &super::Entry, spi: Spi, way: Direction) -> Option<SaSpec> {
        let keys = p.keys.as_ref()?;
        let transform = self.agreed.transform;
        let length = transform.key_len() + transform.auth_key_len();
        // RFC 2409 section 5.5: each direction by the receiver's SPI; RFC 2407: the cipher's key comes first.
        let keymat = keys.keymat(self.shared, Protocol::ESP.0, spi.0, self.nonces, length);
        let (key, auth_key) = keymat.split_at_checked(transform.key_len())?;
        let (ours, theirs) = (IpAddr::V4(*p.local.ip()), IpAddr::V4(*p.remote.ip()));
        let ports = (p.local.port(), p.remote.port());
        let selector = ids::normal(&entry.selector);
        let outbound = way == Direction::Outbound;
        let ((src, dst), (src_port, dst_port), selector) = if outbound {
            ((ours, theirs), ports, selector)
        } else {
            ((theirs, ours), (ports.1, ports.0), selector.mirrored())
        };
        Some(SaSpec {
            spi,
            src,
            dst,
            mode: self.agreed.mode,
            transform,
            key: Secret::new(key.to_vec()),
            auth_key: Secret::new(auth_key.to_vec()),
            esn: false,
            replay_window: if outbound { 0 } else { entry.replay_window },
            udp_encap: p.nat.found().then_some(UdpPorts { src: src_port, dst: dst_port }),
            selector: Some(selector),
            mtu: entry.mtu,
            df_bit: entry.df_bit,
            fragmentation: entry.fragmentation,
            lifetime: self.lifetime,
        })
    }
}
