//! The routers that are not ours: who plays which, and FRR with an IOS configuration in its words. Not every line has a
//! word there; what routes and what is protected has.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::{Duration, Instant};

use espalier_control::ios::{Config, model};
use espalier_wire::Ipv4Prefix;

use super::namespaces::{Daemon, Folder, Space};
use super::stack;
use super::strongswan::{self, Part};

const FRR: &str = "/usr/lib/frr";
/// A daemon that has not opened its socket by then will not.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the gateways are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gateways {
    /// Attached routers of ours.
    #[default]
    Espalier,
    /// keepalived (VRRP), strongSwan and FRR. Who becomes master has its strongSwan begin IKE at once.
    Keepalived,
    /// The same, but who becomes master waits for the peer's dead-peer detection, as strongSwan by itself does.
    KeepalivedWaiting,
}

/// Who plays a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Ours: whatever speaks HSRP, or OSPF and IPsec both.
    Espalier,
    /// The same made of other programs.
    Stack {
        /// Whether a new master begins IKE.
        begins: bool,
    },
    /// Whatever else speaks IPsec.
    StrongSwan {
        /// Whether its peers are such a stack.
        to_stack: bool,
    },
    /// Whatever else speaks OSPF.
    Frr,
    /// The rest: Linux.
    Kernel,
}

impl Role {
    pub(super) fn of(config: &Config, gateways: Gateways) -> Self {
        let hsrp = config.interfaces.iter().any(|i| !i.standby.groups.is_empty());
        let ipsec = config.interfaces.iter().any(|i| i.crypto_map.is_some());
        match (hsrp, ipsec, config.ospf.is_empty()) {
            (true, _, _) | (_, true, false) => match gateways {
                Gateways::Espalier => Self::Espalier,
                Gateways::Keepalived => Self::Stack { begins: true },
                Gateways::KeepalivedWaiting => Self::Stack { begins: false },
            },
            (false, true, true) => Self::StrongSwan { to_stack: gateways != Gateways::Espalier },
            (false, false, false) => Self::Frr,
            (false, false, true) => Self::Kernel,
        }
    }

    /// The program that plays it, where that is none of ours.
    pub(super) const fn program(self) -> Option<&'static str> {
        match self {
            Self::Espalier => None,
            Self::Stack { .. } => Some("keepalived, strongSwan, FRR"),
            Self::StrongSwan { .. } => Some("strongSwan"),
            Self::Frr => Some("FRR"),
            Self::Kernel => Some("Linux"),
        }
    }

    /// What must be installed for it, and is not.
    pub(super) fn missing(self) -> Option<&'static str> {
        let strongswan = (strongswan::PROGRAM, "strongSwan (apt: strongswan-charon strongswan-swanctl)");
        let frr = ("/usr/lib/frr/ospfd", "FRR (apt: frr)");
        let keepalived = (stack::PROGRAM, "keepalived (apt: keepalived)");
        let wanted = match self {
            Self::Espalier | Self::Kernel => Vec::new(),
            Self::Stack { .. } => vec![strongswan, frr, keepalived],
            Self::StrongSwan { .. } => vec![strongswan],
            Self::Frr => vec![frr],
        };
        let missing = wanted.into_iter().find(|(program, _)| !Path::new(program).exists());
        missing.map(|(_, package)| package)
    }
}

/// What runs for one foreign router. Its programs end before its folder goes.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    pub(super) daemons: Vec<Daemon>,
    pub(super) folders: Vec<Folder>,
}

/// Give the kernel a router's addresses and, unless FRR does it, its static routes; then start what plays it.
pub(super) fn start(space: &Space, config: &Config, role: Role) -> io::Result<Foreign> {
    for (at, interface) in config.interfaces.iter().enumerate() {
        let loopback = interface.name.kind() == model::InterfaceKind::Loopback;
        let dev = if loopback { "lo".to_owned() } else { format!("if{at}") };
        for address in interface.addresses().filter(|_| !interface.shutdown) {
            // A port that leads nowhere has no device here.
            let _ = super::namespaces::ip(&format!("-n {} addr add {address} dev {dev}", space.name()));
        }
    }
    if !matches!(role, Role::Frr | Role::Stack { .. }) {
        for route in &config.routes {
            if let model::NextHop::Address(via) | model::NextHop::Both(_, via) = route.next_hop {
                let words = format!("-n {} route add {} via {via}", space.name(), route.destination);
                super::namespaces::ip(&words)?;
            }
        }
    }
    match role {
        Role::Espalier | Role::Kernel => Ok(Foreign::default()),
        Role::Frr => start_frr(space, config, &frr(config)),
        Role::Stack { begins } => stack::start(space, config, begins),
        Role::StrongSwan { to_stack } => {
            let folder = Folder::new(config.hostname())?;
            let part = if to_stack { Part::PeerOfStack } else { Part::Peer };
            let daemon = strongswan::start(space, &folder, config, part)?;
            Ok(Foreign { daemons: vec![daemon], folders: vec![folder] })
        }
    }
}

pub(super) fn wait_for(path: &str) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !Path::new(path).exists() {
        if Instant::now() > end {
            return Err(io::Error::other(format!("{path} did not appear: the daemon does not run")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Run FRR with its configuration as text.
pub(super) fn start_frr(space: &Space, config: &Config, text: &str) -> io::Result<Foreign> {
    let folder = Folder::new(&format!("{}-frr", config.hostname()))?;
    let file = folder.path("frr.conf");
    std::fs::write(&file, text)?;
    let users = std::fs::read_to_string("/etc/passwd")?;
    let entry = users.lines().find_map(|line| line.strip_prefix("frr:")).unwrap_or_default();
    let mut numbers = entry.split(':').skip(1).map_while(|n| n.parse().ok());
    let (user, group) = (numbers.next(), numbers.next());
    for path in [folder.place(), Path::new(&file)] {
        chown(path, user, group)?;
    }
    let mut daemons = Vec::new();
    for name in ["zebra", "staticd", "ospfd"] {
        let mut command = space.command(&format!("{FRR}/{name}"));
        command.args(["-u", "frr", "-g", "frr", "-A", "127.0.0.1", "-P", "0", "-f", &file]);
        command.args(["-z", &folder.path("zserv.api"), "-i", &folder.path(&format!("{name}.pid"))]);
        command.args(["--vty_socket", &folder.path("")]);
        daemons.push(Daemon::start(&mut command)?);
        wait_for(&folder.path(&format!("{name}.vty")))?;
    }
    Ok(Foreign { daemons, folders: vec![folder] })
}

/// The prefix of `network A W`, when its wildcard is one of a prefix.
fn prefix(network: &model::OspfNetwork) -> Option<Ipv4Prefix> {
    Ipv4Prefix::with_netmask(network.address, (!network.wildcard.to_bits()).into()).ok()
}

/// A configuration in FRR's words.
pub(super) fn frr(config: &Config) -> String {
    let mut text = format!("hostname {}\n", config.hostname());
    for route in &config.routes {
        if let model::NextHop::Address(via) | model::NextHop::Both(_, via) = route.next_hop {
            let _ = writeln!(text, "ip route {} {via}", route.destination);
        }
    }
    let Some(process) = config.ospf.values().next() else { return text };
    for (at, interface) in config.interfaces.iter().enumerate() {
        if !interface.name.kind().is_ethernet() || interface.address.is_none() {
            continue;
        }
        let (ospf, cost) = (&interface.ospf, interface.ospf_cost(process.reference_mbps()));
        let _ = writeln!(
            text,
            "interface if{at}\n ip ospf cost {cost}\n ip ospf hello-interval {}\n ip ospf dead-interval {}\n \
             ip ospf retransmit-interval {}\n ip ospf priority {}",
            ospf.hello_interval_s(),
            ospf.dead_interval_s(),
            ospf.retransmit_interval_s(),
            ospf.priority(),
        );
    }
    let _ = writeln!(text, "router ospf");
    for network in &process.networks {
        if let Some(prefix) = prefix(network) {
            let _ = writeln!(text, " network {prefix} area {}", network.area);
        }
    }
    for from in &process.redistribute {
        let (metric, kind) = (from.metric(process), from.metric_type().number());
        let _ = writeln!(text, " redistribute {} metric {metric} metric-type {kind}", from.source.ios());
    }
    text
}
