//! A gateway made of other programs: keepalived for its HSRP group (as VRRP, RFC 5798 or 3768), strongSwan for its crypto
//! map, FRR for its OSPF, and the scripts that tie them together.
//!
//! What HSRP and VRRP do not share is taken over as near as it goes: the advertisement interval is the hello time, and a
//! master is dead after three of them and a skew (VRRP has no hold time of its own). The crypto map's binding to the group
//! is a script that keepalived runs at each change: who is no longer master ends its tunnels. Reverse route injection is
//! strongSwan's updown script: a route of the kernel's for as long as the tunnel stands, which FRR redistributes.

use std::fmt::Write as _;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use espalier_control::ios::{Config, model};
use espalier_wire::Duration;

use super::foreign::{Foreign, frr, start_frr};
use super::namespaces::{Daemon, Folder, Space};
use super::strongswan::{self, Part};

pub(super) const PROGRAM: &str = "/usr/sbin/keepalived";
/// The device of strongSwan's user-space ESP.
const TUNNEL: &str = "ipsec0";

/// Run it. `begins`: who becomes master has its strongSwan begin IKE.
pub(super) fn start(space: &Space, config: &Config, begins: bool) -> io::Result<Foreign> {
    let folder = Folder::new(config.hostname())?;
    let mut foreign = Foreign::default();
    if !config.ospf.is_empty() {
        foreign = start_frr(space, config, &routing(config))?;
    }
    if config.interfaces.iter().any(|i| i.crypto_map.is_some()) {
        let updown = script(&folder, "updown", &updown(&folder.path("standing")))?;
        foreign.daemons.push(strongswan::start(space, &folder, config, Part::Gateway(&updown))?);
    }
    let notify = script(&folder, "notify", &notify(&folder, config, begins))?;
    let file = folder.path("keepalived.conf");
    std::fs::write(&file, keepalived(config, &notify)?)?;
    let mut command = space.command("sh");
    let run = format!(
        "mount -t tmpfs t /run && exec {PROGRAM} -n -P -l -D -f {file} -p /run/k.pid -r /run/v.pid >{} 2>&1",
        folder.path("keepalived.log")
    );
    command.args(["-c", &run]);
    foreign.daemons.push(Daemon::start(&mut command)?);
    foreign.folders.push(folder);
    Ok(foreign)
}

/// A script in the folder; its path.
fn script(folder: &Folder, name: &str, text: &str) -> io::Result<String> {
    let path = folder.path(name);
    std::fs::write(&path, text)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// A route to what is behind a tunnel. A new tunnel may stand before the old one goes: the last one takes it away.
fn updown(standing: &str) -> String {
    format!(
        "#!/bin/sh\nmkdir -p {standing}\ncase $PLUTO_VERB in\nup-client*)\n touch {standing}/$PLUTO_UNIQUEID\n \
         ip route replace $PLUTO_PEER_CLIENT dev {TUNNEL}\n ;;\ndown-client*)\n rm -f {standing}/$PLUTO_UNIQUEID\n \
         [ -n \"$(ls {standing})\" ] || ip route del $PLUTO_PEER_CLIENT dev {TUNNEL}\n ;;\nesac\n"
    )
}

/// What keepalived runs with the new state as its third word.
fn notify(folder: &Folder, config: &Config, begins: bool) -> String {
    let (settings, vici) = (folder.path("strongswan.conf"), folder.path("vici"));
    let swanctl = |words: String| {
        format!(" STRONGSWAN_CONF={settings} swanctl {words} --uri unix://{vici} >/dev/null 2>&1\n")
    };
    let (mut master, mut other) = (String::new(), String::new());
    for name in strongswan::connections(config) {
        other += &swanctl(format!("--terminate --ike {name} --force --timeout 1"));
        if begins {
            master += &swanctl(format!("--initiate --ike {name} --child c0 --timeout 30"));
        }
    }
    format!("#!/bin/sh\ncase $3 in\nMASTER)\n{master} ;;\nBACKUP | FAULT | STOP)\n{other} ;;\nesac\n")
}

/// FRR's configuration: the router's own number, whatever addresses come and go, and the tunnels' routes as static ones.
fn routing(config: &Config) -> String {
    let mut text = frr(config);
    let Some(process) = config.ospf.values().next() else { return text };
    let highest =
        config.interfaces.iter().filter(|i| !i.shutdown).filter_map(|i| i.address).map(|a| a.addr()).max();
    let own = process.router_id.map(|id| id.to_string()).or(highest.map(|a| a.to_string()));
    if let Some(own) = own {
        let _ = writeln!(text, " ospf router-id {own}");
    }
    let redistributed = process.redistribute.iter().find(|r| r.source == model::RedistributeSource::Static);
    if let Some(from) = redistributed.filter(|_| strongswan::has_reverse_route(config)) {
        let (metric, kind) = (from.metric(process), from.metric_type().number());
        let _ = writeln!(text, " redistribute kernel metric {metric} metric-type {kind}");
    }
    text
}

fn keepalived(config: &Config, notify: &str) -> io::Result<String> {
    let groups = || {
        let all = config.interfaces.iter().enumerate();
        all.flat_map(|(at, i)| i.standby.groups.iter().map(move |(number, group)| (at, i, *number, group)))
    };
    // Version 2 knows whole seconds alone.
    let whole = groups().all(|(_, _, _, g)| g.hello().as_ns() % Duration::from_s(1).as_ns() == 0);
    let version = if whole { 2 } else { 3 };
    let mut text = format!("global_defs {{\n script_user root\n vrrp_version {version}\n}}\n");
    for (at, interface, number, group) in groups() {
        let (Some(model::StandbyAddress::Configured(address)), Some(own)) = (group.ip, interface.address)
        else {
            let name = config.hostname();
            return Err(io::Error::other(format!("{name}: VRRP cannot learn group {number}'s address")));
        };
        let number = u8::try_from(number).ok().filter(|n| *n > 0);
        let number = number.ok_or_else(|| {
            io::Error::other("VRRP's groups have numbers from 1 to 255: --gateways keepalived")
        })?;
        let preempt = match group.preempt {
            None => " nopreempt\n".to_owned(),
            Some(p) => p.delay_minimum_s.map_or_else(String::new, |s| format!(" preempt_delay {s}\n")),
        };
        let tracks = tracks(config, group);
        let _ = writeln!(
            text,
            "vrrp_instance g{at}_{number} {{\n state BACKUP\n interface if{at}\n virtual_router_id {number}\n \
             priority {}\n advert_int {}\n{preempt} virtual_ipaddress {{\n {address}/{}\n }}\n{tracks} notify {notify}\n}}",
            group.priority().clamp(1, 254),
            group.hello().as_s(),
            own.prefix_len(),
        );
    }
    Ok(text)
}

/// The interfaces that a group tracks. (VRRP's priorities and HSRP's decrements are of one kind.)
fn tracks(config: &Config, group: &model::StandbyGroup) -> String {
    let mut text = String::new();
    for track in &group.tracks {
        if let model::TrackTarget::Interface(name) = track.target
            && let Some(iface) = config.index_of(name)
        {
            let _ = writeln!(text, " if{} weight -{}", iface.0, track.decrement());
        }
    }
    if text.is_empty() { text } else { format!(" track_interface {{\n{text} }}\n") }
}
