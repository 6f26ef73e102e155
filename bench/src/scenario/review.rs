//! What looks wrong in a scenario although every router takes its configuration: things that only show when two
//! configurations are held against each other.

use std::net::Ipv4Addr;

use espalier_control::ios::Diagnostic;
use espalier_control::ios::model::{
    AccessListRule, Config, CryptoMapEntry, Interface, StandbyAddress, StandbyGroup,
};

use super::{FaultAction, Scenario};

/// A crypto map entry in force, and the address it negotiates from.
struct Tunnel<'a> {
    config: &'a Config,
    entry: &'a CryptoMapEntry,
    local: Ipv4Addr,
}

/// Everything that looks wrong, router by router.
pub fn review(scenario: &Scenario, configs: &[Config]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let tunnels: Vec<Tunnel<'_>> = configs.iter().flat_map(tunnels).collect();
    for tunnel in &tunnels {
        for peer in &tunnel.entry.peers {
            against_peer(tunnel, *peer, configs, &tunnels, &mut found);
        }
    }
    groups(configs, &mut found);
    ospf(configs, &mut found);
    times(scenario, configs, &mut found);
    found.dedup();
    found
}

fn virtual_address(group: &StandbyGroup) -> Option<Ipv4Addr> {
    match group.ip {
        Some(StandbyAddress::Configured(address)) => Some(address),
        Some(StandbyAddress::Learned) | None => None,
    }
}

/// Every address that packets for the interface may carry.
fn owns(interface: &Interface, address: Ipv4Addr) -> bool {
    interface.addresses().any(|a| a.addr() == address)
        || interface.standby.groups.values().any(|g| virtual_address(g) == Some(address))
}

fn tunnels(config: &Config) -> Vec<Tunnel<'_>> {
    let mut all = Vec::new();
    for interface in &config.interfaces {
        let Some(binding) = &interface.crypto_map else { continue };
        let Some(map) = config.crypto_map(&binding.map) else { continue };
        let group = binding.redundancy.as_deref().and_then(|name| config.redundancy_group(name));
        let named = map.local_address.and_then(|name| config.interface(name)).unwrap_or(interface);
        let local = group.and_then(|(_, _, g)| virtual_address(g)).or(named.address.map(|a| a.addr()));
        let Some(local) = local else { continue };
        all.extend(map.entries.values().map(|entry| Tunnel { config, entry, local }));
    }
    all
}

fn against_peer(
    own: &Tunnel<'_>,
    peer: Ipv4Addr,
    configs: &[Config],
    tunnels: &[Tunnel<'_>],
    found: &mut Vec<Diagnostic>,
) {
    let owners: Vec<&Config> =
        configs.iter().filter(|c| c.interfaces.iter().any(|i| owns(i, peer))).collect();
    if owners.is_empty() {
        let what = format!("nobody in this scenario has the peer's address {peer}");
        found.push(
            Diagnostic::warning(&own.entry.place, what).help("add the peer's configuration as a router"),
        );
    }
    let answers: Vec<&Tunnel<'_>> =
        tunnels.iter().filter(|t| t.local == peer && t.entry.peers.contains(&own.local)).collect();
    if answers.is_empty() && !owners.is_empty() {
        let name = owners.first().map_or("", |c| c.hostname());
        let what = format!("{name} has no crypto map entry whose peer is {}", own.local);
        let help = format!("there, \"set peer {}\" is wanted", own.local);
        found.push(Diagnostic::warning(&own.entry.place, what).help(help));
    }
    keys(own, peer, &owners, found);
    for other in &answers {
        offers(own, other, found);
    }
    if !answers.is_empty() {
        mirrors(own, &answers, found);
    }
    stale(own, &owners, found);
}

fn keys(own: &Tunnel<'_>, peer: Ipv4Addr, owners: &[&Config], found: &mut Vec<Diagnostic>) {
    let Some(key) = own.config.isakmp.key_for(peer) else {
        let what = format!("there is no pre-shared key for the peer {peer}");
        found.push(
            Diagnostic::warning(&own.entry.place, what).help(format!("crypto isakmp key KEY address {peer}")),
        );
        return;
    };
    for other in owners {
        match other.isakmp.key_for(own.local) {
            None => {
                let what = format!("{} has no pre-shared key for {}", other.hostname(), own.local);
                found.push(Diagnostic::warning(&key.place, what));
            }
            Some(theirs) if theirs.key.bytes() != key.key.bytes() => {
                let what = format!("{} has another pre-shared key for {}", other.hostname(), own.local);
                found.push(
                    Diagnostic::warning(&key.place, what)
                        .help("IKE will fail: the two keys must be the same"),
                );
            }
            Some(_) => {}
        }
    }
}

/// Phase 1 policies, transform sets and PFS that have nothing in common.
fn offers(own: &Tunnel<'_>, other: &Tunnel<'_>, found: &mut Vec<Diagnostic>) {
    let name = other.config.hostname();
    let mine = own.config.isakmp.policies.values();
    let common = mine.clone().any(|a| {
        other.config.isakmp.policies.values().any(|b| {
            (a.encryption(), a.hash(), a.group(), a.authentication())
                == (b.encryption(), b.hash(), b.group(), b.authentication())
        })
    });
    if let Some(first) = mine.clone().next().filter(|_| !common) {
        let what = format!("no ISAKMP policy is {name}'s, too");
        let help = "encryption, hash, group and authentication of one policy must be the same on both";
        found.push(Diagnostic::warning(&first.place, what).help(help));
    }
    let sets = |t: &Tunnel<'_>| {
        let set = |name: &String| t.config.transform_set(name).map(|s| s.transform);
        t.entry.transform_sets.iter().filter_map(set).collect::<Vec<_>>()
    };
    let (a, b) = (sets(own), sets(other));
    if !a.is_empty() && !a.iter().any(|t| b.contains(t)) {
        let what = format!("no transform set of this entry is {name}'s, too");
        let theirs: Vec<&str> = b.iter().map(|t| t.ios()).collect();
        found.push(
            Diagnostic::warning(&own.entry.transform_sets_place, what)
                .help(format!("{name} takes {}", theirs.join(" or "))),
        );
    }
    if own.entry.pfs != other.entry.pfs {
        let what = format!("perfect forward secrecy is not {name}'s: \"set pfs\" differs");
        found.push(Diagnostic::warning(&own.entry.place, what));
    }
}

fn rules<'a>(tunnel: &Tunnel<'a>) -> Vec<(&'a AccessListRule, &'a espalier_control::ios::text::Place)> {
    let list = tunnel.entry.access_list.as_deref().and_then(|name| tunnel.config.access_list(name));
    let entries = list.into_iter().flat_map(|l| &l.entries).filter(|e| e.permit);
    entries.map(|e| (&e.rule, &e.place)).collect()
}

/// Each permit must have its mirror at the peer: quick mode names both ends.
fn mirrors(own: &Tunnel<'_>, answers: &[&Tunnel<'_>], found: &mut Vec<Diagnostic>) {
    for (rule, place) in rules(own) {
        let mirrored = answers.iter().flat_map(|t| rules(t)).any(|(r, _)| {
            r.protocol == rule.protocol && r.source == rule.destination && r.destination == rule.source
        });
        if !mirrored {
            let name = answers.first().map_or("", |t| t.config.hostname());
            let what =
                format!("{name} has no mirror of this entry: what it sends back goes in clear, or nowhere");
            found.push(
                Diagnostic::warning(place, what)
                    .help("the same line with source and destination exchanged is wanted there"),
            );
        }
    }
}

/// A peer of a redundant address that would never learn of a failover by itself.
fn stale(own: &Tunnel<'_>, owners: &[&Config], found: &mut Vec<Diagnostic>) {
    let watches = own.config.isakmp.keepalive.is_some() || own.config.isakmp.invalid_spi_recovery;
    if owners.len() > 1 && !watches {
        let what = format!(
            "{} would not notice that the other gateway took over: its SAs stay for up to {} s",
            own.config.hostname(),
            own.entry.lifetime_s(&own.config.ipsec)
        );
        found.push(
            Diagnostic::warning(&own.entry.place, what)
                .help("crypto isakmp keepalive 10, or invalid-spi-recovery"),
        );
    }
}

fn groups(configs: &[Config], found: &mut Vec<Diagnostic>) {
    let mut all: Vec<(&Config, &Interface, u16, &StandbyGroup)> = Vec::new();
    for config in configs {
        for interface in &config.interfaces {
            all.extend(interface.standby.groups.iter().map(|(n, g)| (config, interface, *n, g)));
        }
    }
    for (config, interface, number, group) in &all {
        timers(group, found);
        let Some(own) = interface.address else { continue };
        let mates: Vec<_> = all
            .iter()
            .filter(|(c, i, n, _)| {
                !std::ptr::eq(*c, *config)
                    && n == number
                    && i.address.is_some_and(|a| a.contains(&own.addr()))
            })
            .collect();
        if mates.is_empty() {
            let what =
                format!("group {number} has no other member: nothing takes over from {}", config.hostname());
            found.push(Diagnostic::warning(&group.place, what));
        }
        for (other, _, _, mate) in mates {
            member(group, mate, other.hostname(), found);
        }
    }
}

fn member(group: &StandbyGroup, mate: &StandbyGroup, name: &str, found: &mut Vec<Diagnostic>) {
    let mut differs = |what: &str| {
        let what = format!("{name}'s {what} is another one");
        found.push(Diagnostic::warning(&group.place, what).help("members of one group must agree"));
    };
    if virtual_address(group).zip(virtual_address(mate)).is_some_and(|(a, b)| a != b) {
        differs("virtual address");
    }
    if group.authentication() != mate.authentication() {
        differs("authentication");
    }
    if (group.hello(), group.hold()) != (mate.hello(), mate.hold()) {
        differs("pair of timers");
    }
    if group.priority() > mate.priority() && group.preempt.is_none() {
        let what =
            format!("of the higher priority, but without \"preempt\": {name} stays Active after a failover");
        found.push(Diagnostic::warning(&group.place, what));
    }
}

fn timers(group: &StandbyGroup, found: &mut Vec<Diagnostic>) {
    let (hello, hold) = (group.hello().as_s(), group.hold().as_s());
    if hold <= hello {
        let what = format!("a hold time of {hold} s cannot work with hellos every {hello} s");
        found.push(Diagnostic::warning(&group.place, what).help("three times the hello time or more"));
    } else if hold < 3.0 * hello {
        let what = format!(
            "a hold time of {hold} s allows less than three hellos of {hello} s: one lost hello may be a failover"
        );
        found.push(Diagnostic::warning(&group.place, what));
    }
}

/// Neighbours whose timers differ never become neighbours (RFC 2328 section 10.5).
fn ospf(configs: &[Config], found: &mut Vec<Diagnostic>) {
    let speaks = |c: &Config, i: &Interface| {
        i.address
            .is_some_and(|a| c.ospf.values().any(|o| o.area_of(a.addr()).is_some() && !o.is_passive(i.name)))
    };
    let on = |c| move |i: &&Interface| speaks(c, i);
    for (n, a) in configs.iter().enumerate() {
        for b in configs.iter().skip(n + 1) {
            for own in a.interfaces.iter().filter(on(a)) {
                for other in b.interfaces.iter().filter(on(b)) {
                    let together = own.address.zip(other.address).is_some_and(|(x, y)| x.contains(&y.addr()));
                    let times = |i: &Interface| (i.ospf.hello_interval_s(), i.ospf.dead_interval_s());
                    if together && times(own) != times(other) {
                        let what = format!(
                            "{}'s OSPF timers differ here: the two never become neighbours",
                            b.hostname()
                        );
                        found.push(Diagnostic::warning(&own.place, what));
                    }
                }
            }
        }
    }
}

/// Faults and traffic at times that tell nothing.
fn times(scenario: &Scenario, configs: &[Config], found: &mut Vec<Diagnostic>) {
    /// Wait timer, exchange, SPF.
    const SETTLED_S: f64 = 61.0;
    let early = scenario.faults.iter().map(|f| f.at.as_s()).fold(f64::INFINITY, f64::min);
    let nowhere = espalier_control::ios::text::Place::default();
    let named = |message: String| Diagnostic {
        file: scenario.name.clone(),
        line: 1,
        ..Diagnostic::warning(&nowhere, message)
    };
    if configs.iter().any(|c| !c.ospf.is_empty()) && early < SETTLED_S {
        found.push(named(format!("a fault at {early} s: OSPF needs up to {SETTLED_S} s to settle")));
    }
    let breaks = |a: &FaultAction| {
        matches!(
            a,
            FaultAction::Shutdown(_)
                | FaultAction::Crash(_)
                | FaultAction::Cut(_)
                | FaultAction::Reload { .. }
        )
    };
    for fault in scenario.faults.iter().filter(|f| breaks(&f.action)) {
        let meets = |t: &super::TrafficSpec| t.start < fault.at && t.stop.is_none_or(|s| s > fault.at);
        if !scenario.traffic.iter().any(meets) {
            let (action, target) = (fault.action.name(), fault.action.target());
            found.push(named(format!(
                "no traffic flows when {action} {target} strikes: nothing will be measured"
            )));
        }
    }
}
