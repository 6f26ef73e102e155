//! strongSwan's charon for a router: a crypto map in its words, and the program running.

use std::fmt::Write as _;
use std::io;
use std::net::Ipv4Addr;

use espalier_control::ios::{Config, model};
use espalier_wire::Ipv4Prefix;

use super::foreign::wait_for;
use super::namespaces::{Daemon, Folder, Space};

pub(super) const PROGRAM: &str = "/usr/lib/ipsec/charon";

/// What a charon is here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// The peer of gateways of ours: a child for each line of its access list.
    Peer,
    /// The peer of gateways that run strongSwan themselves: one child for all lines, as theirs.
    PeerOfStack,
    /// Such a gateway, with the script that it runs when a tunnel stands or goes. Its user-space ESP takes no policy
    /// without an address of its own on the protected side, which a line for a host behind it has not: one child
    /// covers all lines.
    Gateway(&'a str),
}

/// Run a router's charon, its files in `folder`.
pub(super) fn start(space: &Space, folder: &Folder, config: &Config, part: Part<'_>) -> io::Result<Daemon> {
    let (vici, settings, file) =
        (folder.path("vici"), folder.path("strongswan.conf"), folder.path("swanctl.conf"));
    let routes = !matches!(part, Part::Gateway(_)) || !has_reverse_route(config);
    std::fs::write(&settings, charon(&vici, routes))?;
    std::fs::write(&file, swanctl(config, part).map_err(io::Error::other)?)?;
    let mut command = space.command("sh");
    command.env("STRONGSWAN_CONF", &settings);
    command.args(["-c", &format!("mount -t tmpfs t /run && exec {PROGRAM}")]);
    let daemon = Daemon::start(&mut command)?;
    wait_for(&vici)?;
    let mut load = space.command("swanctl");
    load.env("STRONGSWAN_CONF", &settings).args(["--load-all", "--file", &file, "--uri"]);
    let done = load.arg(format!("unix://{vici}")).output()?;
    if !String::from_utf8_lossy(&done.stdout).contains("loaded connection") {
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(io::Error::other(format!("strongSwan refuses {}: {why}", config.hostname())));
    }
    Ok(daemon)
}

/// Whether routes to what is protected come and go with the tunnel.
pub(super) fn has_reverse_route(config: &Config) -> bool {
    config.crypto_maps.iter().flat_map(|m| m.entries.values()).any(|e| e.reverse_route.is_some())
}

/// The connections' names.
pub(super) fn connections(config: &Config) -> Vec<String> {
    let bound = config.interfaces.iter().filter_map(|i| i.crypto_map.as_ref());
    let entries = bound.filter_map(|b| config.crypto_map(&b.map)).flat_map(|m| m.entries.keys());
    entries.map(|number| format!("t{number}")).collect()
}

fn charon(vici: &str, routes: bool) -> String {
    let routes = if routes { "yes" } else { "no" };
    format!(
        "charon {{\n load = random nonce openssl gcrypt aes md5 sha1 sha2 hmac kdf gcm gmp pem pkcs1 pubkey x509 \
         constraints kernel-libipsec kernel-netlink socket-default updown vici\n install_routes = {routes}\n \
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

/// One connection a crypto map's entry. As the entry's owner keeps its tunnel up only while there is traffic and
/// strongSwan's user-space ESP cannot wait for traffic, a peer always keeps it up.
fn swanctl(config: &Config, part: Part<'_>) -> Result<String, String> {
    let mut text = "connections {\n".to_owned();
    let mut secrets = "secrets {\n".to_owned();
    for interface in &config.interfaces {
        let (Some(binding), Some(own)) = (&interface.crypto_map, interface.address) else { continue };
        let group = binding.redundancy.as_deref().and_then(|name| config.redundancy_group(name));
        let local = match group.and_then(|(_, _, group)| group.ip) {
            Some(model::StandbyAddress::Configured(address)) => address,
            _ => own.addr(),
        };
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
                children(config, entry, (local, *peer), part)?,
            );
            if let Some(key) = config.isakmp.key_for(*peer) {
                let secret = String::from_utf8_lossy(key.key.bytes()).into_owned();
                let _ = writeln!(secrets, " ike-{number} {{\n id = {peer}\n secret = \"{secret}\"\n }}");
            }
        }
    }
    Ok(text + "}\n" + &secrets + "}\n")
}

fn children(
    config: &Config,
    entry: &model::CryptoMapEntry,
    ends: (Ipv4Addr, Ipv4Addr),
    part: Part<'_>,
) -> Result<String, String> {
    let pfs = entry.pfs.map_or_else(String::new, |g| format!("-{}", group(g)));
    let esp = |name: &String| {
        let transform = config.transform_set(name)?.transform.to_string();
        Some(transform.replace("-gcm", "gcm16").replace("-gmac", "gmac").replace("20-poly", "20poly") + &pfs)
    };
    let proposals: Vec<String> = entry.transform_sets.iter().filter_map(esp).collect();
    let list = entry.access_list.as_deref().and_then(|name| config.access_list(name));
    let lines = list.into_iter().flat_map(|l| &l.entries).filter(|line| line.permit);
    let mut selectors: Vec<(Ipv4Prefix, Ipv4Prefix)> =
        lines.filter_map(|l| Some((l.rule.source.prefix()?, l.rule.destination.prefix()?))).collect();
    if !matches!(part, Part::Peer) {
        selectors = joined(&selectors, ends)?;
    }
    let behaviour = match part {
        Part::Peer | Part::PeerOfStack => {
            "start_action = start\n close_action = start\n dpd_action = restart".to_owned()
        }
        Part::Gateway(updown) => format!("updown = {updown}\n dpd_action = clear"),
    };
    let mut text = String::new();
    for (n, (ours, theirs)) in selectors.into_iter().enumerate() {
        let _ = writeln!(
            text,
            " c{n} {{\n local_ts = {ours}\n remote_ts = {theirs}\n esp_proposals = {}\n mode = tunnel\n \
             {behaviour}\n }}",
            proposals.join(",")
        );
    }
    Ok(text)
}

/// One pair of prefixes that holds all pairs, and neither of the tunnel's ends.
fn joined(
    all: &[(Ipv4Prefix, Ipv4Prefix)],
    (local, peer): (Ipv4Addr, Ipv4Addr),
) -> Result<Vec<(Ipv4Prefix, Ipv4Prefix)>, String> {
    let Some((ours, theirs)) = all.iter().copied().reduce(|a, b| (cover(a.0, b.0), cover(a.1, b.1))) else {
        return Ok(Vec::new());
    };
    for prefix in [ours, theirs] {
        if let Some(end) = [local, peer].into_iter().find(|end| prefix.contains(end)) {
            return Err(format!(
                "strongSwan's one child for the whole access list would be {ours} to {theirs}, which holds the tunnel's \
                 own end {end}"
            ));
        }
    }
    Ok(vec![(ours, theirs)])
}

/// The longest prefix that holds both.
fn cover(a: Ipv4Prefix, b: Ipv4Prefix) -> Ipv4Prefix {
    let alike = (a.network().to_bits() ^ b.network().to_bits()).leading_zeros() as u8;
    let len = alike.min(a.prefix_len()).min(b.prefix_len());
    Ipv4Prefix::new(a.network(), len).map_or(a, |p| p.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_child_holds_every_line_and_no_end_of_the_tunnel() {
        let lines: Vec<(Ipv4Prefix, Ipv4Prefix)> =
            [("10.1.1.0/24", "20.1.1.0/24"), ("99.99.99.99/32", "20.1.1.0/24")]
                .map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap()))
                .into();
        let ends = ([172, 16, 172, 53].into(), [172, 16, 172, 69].into());
        let one = joined(&lines, ends).unwrap();
        assert_eq!(one, [("0.0.0.0/1".parse().unwrap(), "20.1.1.0/24".parse().unwrap())]);
        assert!(joined(&lines, ([100, 0, 0, 1].into(), ends.1)).unwrap_err().contains("100.0.0.1"));
    }
}
