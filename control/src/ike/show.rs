//! `show crypto isakmp sa`, `… detail`, `show crypto ipsec sa` and `show crypto session` in IOS 12.3's layout, and what
//! else may be asked of IKE.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use espalier_wire::plane::{Counters, Direction, PolicyId, SaCounters, SaSpec, Selector};
use espalier_wire::{Instant, Prefix, Spi};

use super::pairs::Pair;
use super::{Ike, Phase1};

/// A crypto map on an interface, as `show crypto ipsec sa` goes through it.
#[derive(Debug, Clone)]
pub struct Binding {
    /// "FastEthernet0/0".
    pub interface: String,
    /// The map's name.
    pub map: String,
    /// Our end.
    pub local: Ipv4Addr,
    /// The interface's MTU.
    pub mtu: u16,
    /// One per permit entry of its access lists, with or without SAs.
    pub entries: Vec<BoundEntry>,
}

/// One permit entry of a bound map.
#[derive(Debug, Clone)]
pub struct BoundEntry {
    /// Its number.
    pub policy: PolicyId,
    /// What it protects, as our packets have it.
    pub selector: Selector,
    /// Its peer.
    pub peer: Ipv4Addr,
}

/// A pair of SAs.
#[derive(Debug, Clone, Copy)]
pub struct Sas<'a> {
    /// Whose.
    pub policy: PolicyId,
    /// With whom.
    pub peer: Ipv4Addr,
    /// conn id of the inbound SA; the outbound one's is the next.
    pub conn: u32,
    /// The inbound SA.
    pub inbound: &'a SaSpec,
    /// The outbound SA.
    pub outbound: &'a SaSpec,
    /// Whether the outbound SA may be used.
    pub up: bool,
    /// When its inbound SA was installed.
    pub created: Instant,
    /// Whether we began the quick mode.
    pub initiator: bool,
}

/// `address/mask/protocol/port` of one side of a selector.
pub(super) fn proxy(prefix: &Prefix, selector: &Selector) -> String {
    let ports = if *prefix == selector.src { selector.src_ports } else { selector.dst_ports };
    let port = if ports.low == ports.high { ports.low } else { 0 };
    let protocol = selector.protocol.unwrap_or(0);
    format!("{}/{}/{protocol}/{port}", prefix.addr(), prefix.netmask())
}

fn state(p: &Phase1) -> &'static str {
    p.state.ios()
}

impl Ike {
    /// Every pair of SAs that stands, by conn id.
    pub fn sas(&self) -> impl Iterator<Item = Sas<'_>> {
        self.pairs.values().map(|p| Sas {
            policy: p.policy,
            peer: *p.remote.ip(),
            conn: p.conn,
            inbound: &p.inbound,
            outbound: &p.outbound,
            up: p.outbound_up,
            created: p.created,
            initiator: p.initiator,
        })
    }

    /// How many ISAKMP SAs there are: established, and under negotiation.
    pub fn phase1_count(&self) -> (usize, usize) {
        let up = self.phase1.values().filter(|p| p.is_established()).count();
        (up, self.phase1.len() - up)
    }

    /// `show crypto isakmp sa`.
    pub fn show_isakmp_sa(&self) -> String {
        let mut out = String::from("dst             src             state          conn-id slot\n");
        for p in self.phase1.values() {
            let (local, remote) = (p.local.ip().to_string(), p.remote.ip().to_string());
            let (dst, src) = if p.initiator() { (remote, local) } else { (local, remote) };
            let _ = writeln!(out, "{dst:<15} {src:<15} {:<14} {:>7} {:>4}", state(p), p.id.0, 0);
        }
        out
    }

    /// `show crypto isakmp sa detail`.
    pub fn show_isakmp_sa_detail(&self, now: Instant) -> String {
        let mut out = String::from(
            "Codes: C - IKE configuration mode, D - Dead Peer Detection\n\
             \x20      K - Keepalives, N - NAT-traversal\n\
             \x20      X - IKE Extended Authentication\n\
             \x20      psk - Preshared key, rsig - RSA signature\n\
             \x20      renc - RSA encryption\n\n\
             C-id  Local           Remote          I-VRF    Encr Hash Auth DH Lifetime Cap.\n",
        );
        for p in self.phase1.values() {
            let left = p.remaining(now).as_whole_s();
            let lifetime = format!("{:02}:{:02}:{:02}", left / 3600, left / 60 % 60, left % 60);
            // IOS 12.3(7)T marks keepalives K, also where they are RFC 3706's.
            let mut capabilities = String::new();
            capabilities.push_str(if p.dpd.is_some() { "K" } else { "" });
            capabilities.push_str(if p.nat.found() { "N" } else { "" });
            let (local, remote) = (p.local.ip().to_string(), p.remote.ip().to_string());
            let (cipher, hash) = (p.policy.encryption.to_string(), p.policy.hash.to_string());
            let group = p.policy.group.number();
            let _ = writeln!(
                out,
                "{:<5} {local:<15} {remote:<15} {:<8} {cipher:<4} {hash:<4} psk  {group:<2} {lifetime} {capabilities}",
                p.id.0, ""
            );
            let _ = writeln!(out, "       Connection-id:Engine-id =  {}:1(software)", p.id.0);
        }
        out
    }

    /// `show crypto session`: one block a peer.
    pub fn show_session(&self, bindings: &[Binding]) -> String {
        let mut out = String::from("Crypto session current status\n");
        for b in bindings {
            let mut peers: Vec<Ipv4Addr> = b.entries.iter().map(|e| e.peer).collect();
            peers.dedup();
            for peer in peers {
                self.session_of(&mut out, b, peer);
            }
        }
        out
    }

    fn session_of(&self, out: &mut String, b: &Binding, peer: Ipv4Addr) {
        let phase1: Vec<_> = self.phase1.values().filter(|p| p.is_between(b.local, peer)).collect();
        let up = self.pairs.values().any(|p| p.is_between(b.local, peer) && p.outbound_up);
        let status = match (up, phase1.iter().any(|p| p.is_established()), phase1.is_empty()) {
            (true, true, _) => "UP-ACTIVE",
            (true, false, _) => "UP-NO-IKE",
            (false, true, _) => "UP-IDLE",
            (false, false, false) => "DOWN-NEGOTIATING",
            (false, false, true) => "DOWN",
        };
        let _ = writeln!(out, "\nInterface: {}\nSession status: {status}", b.interface);
        let port = phase1.first().map_or(super::PORT, |p| p.remote.port());
        let _ = writeln!(out, "Peer: {peer} port {port}");
        for p in phase1 {
            let active = if p.is_established() { "Active" } else { "Inactive" };
            let ends = format!("local {}/{} remote {peer}/{}", b.local, p.local.port(), p.remote.port());
            let _ = writeln!(out, "  IKE SA: {ends} {active}");
        }
        for e in b.entries.iter().filter(|e| e.peer == peer) {
            let s = &e.selector;
            let protocol = s.protocol.map_or("ip".to_owned(), |p| p.to_string());
            let side = |p: Prefix| format!("{}/{}", p.addr(), p.netmask());
            let flow = format!("permit {protocol} {} {}", side(s.src), side(s.dst));
            let active = 2 * self.pairs.values().filter(|p| p.policy == e.policy).count();
            let _ = writeln!(out, "  IPSEC FLOW: {flow}\n        Active SAs: {active}, origin: crypto map");
        }
    }

    /// `show crypto ipsec sa`, for maps bound to interfaces, with the dataplane's counters.
    pub fn show_ipsec_sa(&self, bindings: &[Binding], counters: &Counters, now: Instant) -> String {
        let mut out = String::new();
        for b in bindings {
            let _ = writeln!(out, "\ninterface: {}", b.interface);
            let _ = writeln!(out, "    Crypto map tag: {}, local addr. {}\n", b.map, b.local);
            let _ = writeln!(out, "   protected vrf:");
            for e in &b.entries {
                self.entry_of(&mut out, b, e, counters, now);
            }
        }
        out
    }

    fn entry_of(&self, out: &mut String, b: &Binding, e: &BoundEntry, counters: &Counters, now: Instant) {
        let pairs: Vec<_> = self.pairs.values().filter(|p| p.policy == e.policy).collect();
        let current = self.current(e.policy);
        let peer = current.map_or(e.peer, |p| *p.remote.ip());
        let port = current.map_or(super::PORT, |p| p.remote.port());
        let _ =
            writeln!(out, "   local  ident (addr/mask/prot/port): ({})", proxy(&e.selector.src, &e.selector));
        let _ =
            writeln!(out, "   remote ident (addr/mask/prot/port): ({})", proxy(&e.selector.dst, &e.selector));
        let _ = writeln!(out, "   current_peer: {peer}:{port}");
        let _ = writeln!(out, "     PERMIT, flags={{origin_is_acl,}}");
        packets(out, e.policy, &pairs, counters);
        let _ = writeln!(out, "     local crypto endpt.: {}, remote crypto endpt.: {peer}", b.local);
        let path = current.and_then(|p| p.outbound.mtu).unwrap_or(b.mtu);
        let _ = writeln!(out, "     path mtu {path}, media mtu {}", b.mtu);
        let spi = current.map_or(0, |p| p.outbound.spi.0);
        let _ = writeln!(out, "     current outbound spi: {spi:X}\n");
        for (way, name) in [(Direction::Inbound, "inbound"), (Direction::Outbound, "outbound")] {
            let _ = writeln!(out, "     {name} esp sas:");
            for pair in pairs.iter().filter(|p| way == Direction::Inbound || p.outbound_up) {
                sa(out, pair, way, &b.map, counters, now);
            }
            let _ = writeln!(out, "\n     {name} ah sas:\n\n     {name} pcp sas:\n");
        }
    }
}

fn count(counters: &Counters, way: Direction, spi: Spi) -> SaCounters {
    counters
        .sas
        .iter()
        .find(|(w, s, _)| *w == way && *s == spi)
        .map_or_else(SaCounters::default, |(_, _, c)| *c)
}

/// The "#pkts" lines: what the entry's SAs did, and what was lost for want of one.
fn packets(out: &mut String, policy: PolicyId, pairs: &[&Pair], counters: &Counters) {
    let (mut sealed, mut opened, mut errors) = (0, 0, 0);
    for p in pairs {
        sealed += count(counters, Direction::Outbound, p.outbound.spi).packets;
        let c = count(counters, Direction::Inbound, p.inbound.spi);
        opened += c.packets;
        errors += c.integrity + c.replay + c.other;
    }
    let unsent = counters.send_errors.iter().find(|(p, _)| *p == policy).map_or(0, |(_, n)| *n);
    let _ = writeln!(
        out,
        "    #pkts encaps: {sealed}, #pkts encrypt: {sealed}, #pkts digest: {sealed}\n\
         \x20   #pkts decaps: {opened}, #pkts decrypt: {opened}, #pkts verify: {opened}\n\
         \x20   #pkts compressed: 0, #pkts decompressed: 0\n\
         \x20   #pkts not compressed: 0, #pkts compr. failed: 0\n\
         \x20   #pkts not decompressed: 0, #pkts decompress failed: 0\n\
         \x20   #send errors {unsent}, #recv errors {errors}\n"
    );
}

/// One SA's block.
fn sa(out: &mut String, pair: &Pair, way: Direction, map: &str, counters: &Counters, now: Instant) {
    let (spec, conn) = match way {
        Direction::Inbound => (&pair.inbound, pair.conn),
        Direction::Outbound => (&pair.outbound, pair.conn + 1),
    };
    let mode = match (pair.mode(), spec.udp_encap.is_some()) {
        (espalier_wire::plane::Mode::Tunnel, false) => "Tunnel",
        (espalier_wire::plane::Mode::Transport, false) => "Transport",
        (espalier_wire::plane::Mode::Tunnel, true) => "Tunnel UDP-Encaps",
        (espalier_wire::plane::Mode::Transport, true) => "Transport UDP-Encaps",
    };
    let used = count(counters, way, spec.spi).bytes / 1024;
    let seconds = (pair.hard - now).as_whole_s();
    let timing = match pair.kilobytes {
        Some(kilobytes) => format!("(k/sec): ({}/{seconds})", kilobytes.saturating_sub(used)),
        None => format!("(sec): {seconds}"),
    };
    let replay = if pair.inbound.replay_window > 0 { "Y" } else { "N" };
    let _ = writeln!(
        out,
        "      spi: {}\n\
         \x20       transform: {} ,\n\
         \x20       in use settings ={{{mode}, }}\n\
         \x20       slot: 0, conn id: {conn}, flow_id: {}, crypto map: {map}\n\
         \x20       crypto engine type: Software, engine_id: 1\n\
         \x20       sa timing: remaining key lifetime {timing}\n\
         \x20       ike_cookies: {} {}\n\
         \x20       IV size: {} bytes\n\
         \x20       replay detection support: {replay}",
        spec.spi,
        pair.transform().ios(),
        conn - 1999,
        pair.cookies.0,
        pair.cookies.1,
        pair.transform().iv_len(),
    );
}
