//! The routers that are not ours: an IOS configuration in the words of FRR or strongSwan, and those running. Not every
//! line has a word there; what routes and what is protected has.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use espalier_control::ios::{Config, model};
use espalier_wire::Ipv4Prefix;

use super::namespaces::{Daemon, Space};

const FRR: &str = "/usr/lib/frr";
const CHARON: &str = "/usr/lib/ipsec/charon";
/// A daemon that has not opened its socket by then will not.
const PATIENCE: Duration = Duration::from_secs(15);

/// Who plays a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Ours: whatever speaks HSRP, or OSPF and IPsec both.
    Espalier,
    /// Whatever else speaks IPsec.
    StrongSwan,
    /// Whatever else speaks OSPF.
    Frr,
    /// The rest: Linux.
    Kernel,
}

impl Role {
    pub(super) fn of(config: &Config) -> Self {
        let hsrp = config.interfaces.iter().any(|i| !i.standby.groups.is_empty());
        let ipsec = config.interfaces.iter().any(|i| i.crypto_map.is_some());
        match (hsrp, ipsec, config.ospf.is_empty()) {
            (true, _, _) | (_, true, false) => Self::Espalier,
            (false, true, true) => Self::StrongSwan,
            (false, false, false) => Self::Frr,
            (false, false, true) => Self::Kernel,
        }
    }

    /// The program that plays it, where that is none of ours.
    pub(super) const fn program(self) -> Option<&'static str> {
        match self {
            Self::Espalier => None,
            Self::StrongSwan => Some("strongSwan"),
            Self::Frr => Some("FRR"),
            Self::Kernel => Some("Linux"),
        }
    }

    /// What must be installed for it, and is not.
    pub(super) fn missing(self) -> Option<&'static str> {
        let (program, package) = match self {
            Self::Espalier | Self::Kernel => return None,
            Self::StrongSwan => (CHARON, "strongSwan (apt: strongswan-charon strongswan-swanctl)"),
            Self::Frr => ("/usr/lib/frr/ospfd", "FRR (apt: frr)"),
        };
        (!Path::new(program).exists()).then_some(package)
    }
}

/// A folder for sockets and configurations that goes with the value.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("espalier-lab-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What runs for one foreign router. Its programs end before its folder goes.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    _daemons: Vec<Daemon>,
    _folder: Option<Folder>,
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
    if role != Role::Frr {
        for route in &config.routes {
            if let model::NextHop::Address(via) | model::NextHop::Both(_, via) = route.next_hop {
                let words = format!("-n {} route add {} via {via}", space.name(), route.destination);
                super::namespaces::ip(&words)?;
            }
        }
    }
    match role {
        Role::Espalier | Role::Kernel => Ok(Foreign::default()),
        Role::Frr => start_frr(space, config),
        Role::StrongSwan => start_charon(space, config),
    }
}

fn wait_for(path: &str) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while !Path::new(path).exists() {
        if Instant::now() > end {
            return Err(io::Error::other(format!("{path} did not appear: the daemon does not run")));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn start_frr(space: &Space, config: &Config) -> io::Result<Foreign> {
    let folder = Folder::new(config.hostname())?;
    let file = folder.path("frr.conf");
    std::fs::write(&file, frr(config))?;
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o755))?;
    let users = std::fs::read_to_string("/etc/passwd")?;
    let entry = users.lines().find_map(|line| line.strip_prefix("frr:")).unwrap_or_default();
    let mut numbers = entry.split(':').skip(1).map_while(|n| n.parse().ok());
    let (user, group) = (numbers.next(), numbers.next());
    for path in [folder.0.as_path(), Path::new(&file)] {
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
    Ok(Foreign { _daemons: daemons, _folder: Some(folder) })
}

/// The prefix of `network A W`, when its wildcard is one of a prefix.
fn prefix(network: &model::OspfNetwork) -> Option<Ipv4Prefix> {
    Ipv4Prefix::with_netmask(network.address, (!network.wildcard.to_bits()).into()).ok()
}

fn frr(config: &Config) -> String {
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

fn start_charon(space: &Space, config: &Config) -> io::Result<Foreign> {
    let folder = Folder::new(config.hostname())?;
    let (vici, settings, file) =
        (folder.path("vici"), folder.path("strongswan.conf"), folder.path("swanctl.conf"));
    std::fs::write(&settings, charon(&vici))?;
    std::fs::write(&file, swanctl(config))?;
    let mut command = space.command("sh");
    command.env("STRONGSWAN_CONF", &settings);
    command.args(["-c", &format!("mount -t tmpfs t /run && exec {CHARON}")]);
    let daemons = vec![Daemon::start(&mut command)?];
    wait_for(&vici)?;
    let mut load = space.command("swanctl");
    load.env("STRONGSWAN_CONF", &settings).args(["--load-all", "--file", &file, "--uri"]);
    let done = load.arg(format!("unix://{vici}")).output()?;
    if !String::from_utf8_lossy(&done.stdout).contains("loaded connection") {
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(io::Error::other(format!("strongSwan refuses {}: {why}", config.hostname())));
    }
    Ok(Foreign { _daemons: daemons, _folder: Some(folder) })
}

fn charon(vici: &str) -> String {
    format!(
        "charon {{\n load = random nonce openssl gcrypt aes md5 sha1 sha2 hmac kdf gcm gmp pem pkcs1 pubkey x509 \
         constraints kernel-libipsec kernel-netlink socket-default updown vici\n install_routes = yes\n \
         retransmit_timeout = 2.0\n retransmit_tries = 5\n retransmit_base = 1.2\n \
         plugins {{\n vici {{\n socket = unix://{vici}\n }}\n }}\n}}\n"
    )
}

fn group(group: model::Group) -> &'static str {
    match group.0 {
        1 => "modp768",
        2 => "modp1024",
        5 => "modp1536",
        14 => "modp2048",
        15 => "modp3072",
        16 => "modp4096",
        19 => "ecp256",
        _ => "ecp384",
    }
}

fn proposal(policy: &model::Policy) -> String {
    let cipher = match policy.encryption() {
        model::Encryption::Des => "des",
        model::Encryption::TripleDes => "3des",
        model::Encryption::Aes128 => "aes128",
        model::Encryption::Aes192 => "aes192",
        model::Encryption::Aes256 => "aes256",
    };
    let hash = match policy.hash() {
        model::Hash::Sha1 => "sha1",
        other => other.ios(),
    };
    format!("{cipher}-{hash}-{}", group(policy.group()))
}

/// One connection a crypto map's entry, one child a line of its access list. As the entry's owner keeps its tunnel up
/// only while there is traffic and strongSwan's user-space ESP cannot wait for traffic, it always keeps it up.
fn swanctl(config: &Config) -> String {
    let mut text = "connections {\n".to_owned();
    let mut secrets = "secrets {\n".to_owned();
    let bound = config.interfaces.iter().filter_map(|i| Some((i.address?.addr(), i.crypto_map.as_ref()?)));
    for (local, binding) in bound {
        for (number, entry) in config.crypto_map(&binding.map).into_iter().flat_map(|m| &m.entries) {
            let Some(peer) = entry.peers.first() else { continue };
            let proposals: Vec<String> = config.isakmp.policies.values().map(proposal).collect();
            let watch = config.isakmp.keepalive.as_ref().map_or_else(String::new, |k| {
                let dead = k.interval_s + 5 * k.retry_s();
                format!(" dpd_delay = {}s\n dpd_timeout = {dead}s\n", k.interval_s)
            });
            let _ = writeln!(
                text,
                " t{number} {{\n version = 1\n local_addrs = {local}\n remote_addrs = {peer}\n proposals = {}\n \
                 encap = yes\n unique = replace\n keyingtries = 0\n{watch} local {{\n auth = psk\n id = {local}\n }}\n \
                 remote {{\n auth = psk\n id = {peer}\n }}\n children {{\n{} }}\n }}",
                proposals.join(","),
                children(config, entry),
            );
            if let Some(key) = config.isakmp.key_for(*peer) {
                let secret = String::from_utf8_lossy(key.key.bytes()).into_owned();
                let _ = writeln!(secrets, " ike-{number} {{\n id = {peer}\n secret = \"{secret}\"\n }}");
            }
        }
    }
    text + "}\n" + &secrets + "}\n"
}

fn children(config: &Config, entry: &model::CryptoMapEntry) -> String {
    let pfs = entry.pfs.map_or_else(String::new, |g| format!("-{}", group(g)));
    let esp = |name: &String| {
        let transform = config.transform_set(name)?.transform.to_string();
        Some(transform.replace("-gcm", "gcm16").replace("-gmac", "gmac").replace("20-poly", "20poly") + &pfs)
    };
    let proposals: Vec<String> = entry.transform_sets.iter().filter_map(esp).collect();
    let list = entry.access_list.as_deref().and_then(|name| config.access_list(name));
    let lines = list.into_iter().flat_map(|l| &l.entries).filter(|line| line.permit);
    let ends = lines.filter_map(|l| Some((l.rule.source.prefix()?, l.rule.destination.prefix()?)));
    let mut text = String::new();
    for (n, (ours, theirs)) in ends.enumerate() {
        let _ = writeln!(
            text,
            " c{n} {{\n local_ts = {ours}\n remote_ts = {theirs}\n esp_proposals = {}\n mode = tunnel\n \
             start_action = start\n close_action = start\n dpd_action = restart\n }}",
            proposals.join(",")
        );
    }
    text
}
