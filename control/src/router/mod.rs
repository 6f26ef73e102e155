//! One router: its machines composed. The only place where one machine's action becomes another's event.
//!
//! ```text
//!                 Boot, Carrier, Configure            Packet (punted)              Notice
//!                        │                                │                          │
//!     track ◀── line protocol ──▶ OSPF ◀──────────────────┼──────────▶ IKE ◀─────────┤
//!       │            │             ▲ │ Routes             │           ▲  │ Up, Down  │
//!       ▼            ▼  redistribute │ ▼                  ▼           │  ▼           ▼
//!     HSRP ─────────────────┐      RIB ◀── VPN routes ── crypto maps ─┘            ARP
//!       │  Redundancy       └────────▶ (Group) ──────────▲   Bind, Unbind           ▲
//!       └── VirtualMac, GratuitousArp ──────────────────────────────────────────────┘
//! ```
//!
//! Everything that leaves is an [`Output`], in order. `setup` makes the machines' settings from the IOS
//! configuration, `log` their talk into [`event::Event`]s, `packet` takes in and sends, `show` answers.

mod apply;
mod forwarding;
mod listing;
mod log;
mod packet;
mod protocols;
mod setup;
mod show;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use espalier_wire::plane::{Command, Notice, PolicyId};
use espalier_wire::random::Random;
use espalier_wire::{IfIndex, Instant, Mac, Spi};

use crate::Machine;
use crate::arp::{self, ArpMachine};
use crate::crypto_map::CryptoMaps;
use crate::event;
use crate::host::Host;
use crate::hsrp::{self, Hsrp};
use crate::ike::{self, Ike};
use crate::ios::{Config, Diagnostic};
use crate::ospf::Ospf;
use crate::profile::Profile;
use crate::rib::Rib;
use crate::spelling::InterfaceNames;
use crate::track::Track;

pub use setup::check;

/// Why the dataplane handed a packet over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Punted {
    /// An ARP packet.
    Arp,
    /// An IP packet for one of the router's own addresses.
    Local,
    /// An IP packet for a multicast or broadcast address.
    Multicast,
    /// An IP packet with IKE behind a non-ESP marker.
    Ike,
    /// An RFC 3948 keepalive.
    Keepalive,
}

/// What can happen to a router.
#[derive(Debug, Clone)]
pub enum Input {
    /// It is switched on: the first input.
    Boot,
    /// A port has a link, or lost it.
    Carrier {
        /// Which.
        iface: IfIndex,
        /// It has.
        up: bool,
    },
    /// The dataplane hands a packet over.
    Packet {
        /// Where it arrived.
        iface: IfIndex,
        /// The source of its frame.
        src_mac: Mac,
        /// Why.
        why: Punted,
        /// From its IP header on, or its ARP header.
        packet: Vec<u8>,
    },
    /// The dataplane tells something.
    Notice(Notice),
    /// Configuration lines.
    Configure {
        /// What stands for the file in messages.
        origin: String,
        /// Where the lines begin: `interface FastEthernet0/0`; `None`: at the top.
        under: Option<String>,
        /// The lines.
        lines: String,
    },
    /// Protected traffic went to the policy's peer, or came from it (what on-demand keepalives want to know).
    Traffic {
        /// Whose.
        policy: PolicyId,
        /// To the peer.
        outbound: bool,
    },
    /// `clear crypto sa` and `clear crypto isakmp`.
    ClearSa,
    /// An orderly end; nothing happens afterwards.
    Shutdown,
}

/// What a router wants done.
#[derive(Debug, Clone)]
pub enum Output {
    /// Tell the dataplane.
    Command(Command),
    /// Send a complete Ethernet frame.
    Transmit {
        /// Where.
        iface: IfIndex,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Send an IP packet of the router's own as any other: routed, and protected where policy says so.
    Originate {
        /// The packet.
        packet: Vec<u8>,
    },
    /// A port is switched on or off.
    Port {
        /// Which.
        iface: IfIndex,
        /// On.
        up: bool,
    },
    /// Something happened.
    Event(event::Event),
    /// A phase 1 key, for a capture's reader.
    IkeKey {
        /// The initiator's cookie.
        initiator: [u8; 8],
        /// The encryption key.
        key: Vec<u8>,
    },
    /// Configuration lines were refused; nothing changed.
    Refused(Vec<Diagnostic>),
}

/// When, and where the consequences go.
struct Cx<'a> {
    now: Instant,
    out: &'a mut Vec<Output>,
}

/// An OSPF process and what it was asked to announce.
struct Process {
    number: u16,
    ospf: Ospf,
    announced: BTreeSet<espalier_wire::Ipv4Prefix>,
}

/// A router.
pub struct Router {
    config: Config,
    profile: Profile,
    macs: Vec<Mac>,
    random: Random,
    /// The interfaces that carry packets.
    up: BTreeSet<IfIndex>,
    /// The ports that have a link.
    carrier: BTreeSet<IfIndex>,
    booted: bool,
    stopped: bool,
    hsrp: Hsrp,
    track: Track,
    arp: ArpMachine,
    maps: CryptoMaps,
    entries: BTreeMap<PolicyId, ike::Entry>,
    ike: Ike,
    process: Option<Process>,
    rib: Rib,
    host: Host,
    /// What the machines were last told of HSRP, to tell changes only.
    standby: BTreeMap<IfIndex, hsrp::config::InterfaceConfig>,
    /// The inbound SAs and whose they are.
    inbound: BTreeMap<Spi, PolicyId>,
    /// The peer of each policy's SAs.
    peers: BTreeMap<PolicyId, Ipv4Addr>,
    /// The interfaces on which 224.0.0.6 is joined.
    designated: BTreeSet<IfIndex>,
    identification: u16,
}

/// The interface names of a configuration.
struct Names<'a>(&'a Config);

impl InterfaceNames for Names<'_> {
    fn long(&self, iface: IfIndex) -> String {
        match self.0.interface_at(iface) {
            Some(interface) => interface.name.to_string(),
            None if iface == IfIndex::NULL => "Null0".to_owned(),
            None => format!("if{}", iface.0),
        }
    }
}

impl Router {
    /// A router that is off: send it [`Input::Boot`]. `macs` are the addresses of its interfaces by [`IfIndex`];
    /// `random` is where its jitter, cookies and keys come from.
    ///
    /// # Errors
    /// What the configuration asks for and no machine here does, each with its place.
    pub fn new(
        config: Config,
        profile: Profile,
        macs: Vec<Mac>,
        random: Random,
    ) -> Result<Self, Vec<Diagnostic>> {
        setup::check(&config)?;
        let crypto = setup::crypto::build(&config);
        let process = setup::ospf::build(&config, &profile).and_then(|(number, settings)| {
            let ospf = Ospf::new(settings, random.fork("ospf")).ok()?;
            Some(Process { number, ospf, announced: BTreeSet::new() })
        });
        Ok(Self {
            hsrp: Hsrp::new(random.fork("hsrp")),
            track: Track::default(),
            arp: ArpMachine::new(arp::Settings::default()),
            maps: CryptoMaps::new(crypto.maps, &profile, &mut Vec::new()),
            entries: crypto.entries,
            ike: Ike::new(setup::crypto::ike(&config, &profile), random.fork("ike")),
            process,
            rib: Rib::default(),
            host: Host::new(profile.icmp_interval),
            up: BTreeSet::new(),
            carrier: BTreeSet::new(),
            booted: false,
            stopped: false,
            standby: BTreeMap::new(),
            inbound: BTreeMap::new(),
            peers: BTreeMap::new(),
            designated: BTreeSet::new(),
            identification: 0,
            config,
            profile,
            macs,
            random,
        })
    }

    /// Its configuration as it is now.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Whether an interface carries packets.
    pub fn is_up(&self, iface: IfIndex) -> bool {
        self.up.contains(&iface)
    }

    /// The inbound SAs that stand, and whose they are.
    pub fn inbound_sas(&self) -> impl Iterator<Item = (Spi, PolicyId)> + '_ {
        self.inbound.iter().map(|(spi, policy)| (*spi, *policy))
    }

    fn mac(&self, iface: IfIndex) -> Mac {
        self.macs.get(usize::from(iface.0)).copied().unwrap_or_default()
    }

    fn on_input(&mut self, cx: &mut Cx<'_>, input: Input) {
        match input {
            Input::Boot => self.boot(cx),
            Input::Carrier { iface, up } => self.carrier(cx, iface, up),
            Input::Packet { iface, src_mac, why, packet } => self.packet(cx, iface, src_mac, why, &packet),
            Input::Notice(notice) => self.notice(cx, notice),
            Input::Configure { origin, under, lines } => {
                self.configure(cx, &origin, under.as_deref(), &lines);
            }
            Input::Traffic { policy, outbound: true } => {
                self.on_ike(cx, ike::Event::PeerAddressed { policy });
            }
            Input::Traffic { policy, outbound: false } => self.on_ike(cx, ike::Event::PeerSeen { policy }),
            Input::ClearSa => self.on_ike(cx, ike::Event::ClearSa),
            Input::Shutdown => self.shutdown(cx),
        }
    }

    fn notice(&mut self, cx: &mut Cx<'_>, notice: Notice) {
        use std::net::IpAddr::V4;
        match notice {
            Notice::NeedSa { policy, .. } => self.on_ike(cx, ike::Event::Need { policy }),
            Notice::UnknownSpi { spi, src: V4(src), dst: V4(dst) } => {
                self.on_ike(cx, ike::Event::UnknownSpi { spi, src, dst });
            }
            Notice::Expiry { policy, spi, direction, expiry } => {
                self.on_ike(cx, ike::Event::Expiry { policy, spi, direction, expiry });
            }
            Notice::NeedNeighbour { iface, addr: V4(addr) } => {
                self.on_arp(cx, arp::Event::Need { iface, addr });
            }
            // The control plane speaks IPv4; what the dataplane says of IPv6 has no machine to hear it.
            Notice::UnknownSpi { .. } | Notice::NeedNeighbour { .. } => {}
        }
    }

    /// Resign, flush and delete, in the order in which each can still be sent.
    fn shutdown(&mut self, cx: &mut Cx<'_>) {
        self.on_ike(cx, ike::Event::Shutdown);
        self.on_ospf(cx, crate::ospf::Event::Shutdown);
        self.on_hsrp(cx, hsrp::Event::Shutdown);
        self.stopped = true;
    }
}

impl Machine for Router {
    type Event = Input;
    type Action = Output;

    fn on(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let boot = matches!(input, Input::Boot);
        if !self.stopped && boot != self.booted {
            self.on_input(&mut Cx { now, out }, input);
        }
    }

    fn timer(&mut self, now: Instant, out: &mut Vec<Output>) {
        let cx = &mut Cx { now, out };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.stopped {
            return;
        }
        if due(self.hsrp.next_deadline()) {
            self.with_hsrp(cx, |hsrp, actions| hsrp.timer(now, actions));
        }
        if due(self.arp.next_deadline()) {
            self.with_arp(cx, |arp, actions| arp.timer(now, actions));
        }
        if due(self.ike.next_deadline()) {
            self.with_ike(cx, |ike, actions| ike.timer(now, actions));
        }
        if due(self.process.as_ref().and_then(|p| p.ospf.next_deadline())) {
            self.with_ospf(cx, |ospf, actions| ospf.timer(now, actions));
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let ospf = self.process.as_ref().and_then(|p| p.ospf.next_deadline());
        let all = [self.hsrp.next_deadline(), self.arp.next_deadline(), self.ike.next_deadline(), ospf];
        all.into_iter().flatten().min()
    }
}
