//! A first scenario from configurations alone: segments by subnet, traffic from the access lists of crypto maps, a fault
//! for each member of an HSRP group. What nobody in the files owns, but somebody routes to, becomes a provider's router.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use espalier_control::ios::model::{AddressMatch, Config, NextHop};
use espalier_wire::Ipv4Prefix;

/// A configuration and the file it goes to.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "names say it")]
pub struct Given {
    pub file: String,
    pub config: Config,
}

/// A scenario in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// The scenario file.
    pub toml: String,
    /// The configuration of the provider's router, where one is wanted.
    pub provider: Option<String>,
    /// What could not be made, in a sentence each.
    pub notes: Vec<String>,
}

/// The provider's router and its file.
const PROVIDER: &str = "provider";
/// When the network has settled and the traffic has started.
const FIRST_FAULT_S: u64 = 120;
/// From a fault to its end, and from there to the next one.
const BETWEEN_S: u64 = 140;

/// A place on a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Port {
    router: String,
    interface: String,
}

type Subnets = BTreeMap<Ipv4Prefix, Vec<Port>>;

fn network(prefix: Ipv4Prefix) -> Ipv4Prefix {
    prefix.trunc()
}

fn subnets(given: &[Given]) -> Subnets {
    let mut subnets = Subnets::new();
    for g in given {
        let lans = g.config.interfaces.iter().filter(|i| i.name.kind().is_ethernet() && !i.shutdown);
        for interface in lans {
            if let Some(address) = interface.address {
                let port =
                    Port { router: g.config.hostname().to_owned(), interface: interface.name.to_string() };
                subnets.entry(network(address)).or_default().push(port);
            }
        }
    }
    subnets
}

fn owned(given: &[Given], address: Ipv4Addr) -> bool {
    let mut interfaces = given.iter().flat_map(|g| &g.config.interfaces);
    interfaces.any(|i| {
        let virtuals = i.standby.groups.values().filter_map(|g| match g.ip {
            Some(espalier_control::ios::model::StandbyAddress::Configured(a)) => Some(a),
            _ => None,
        });
        i.addresses().map(|a| a.addr()).chain(virtuals).any(|a| a == address)
    })
}

/// Next hops of static routes that nobody owns, by the subnet they are on.
fn providers(given: &[Given], subnets: &Subnets) -> BTreeMap<Ipv4Prefix, Ipv4Addr> {
    let mut found = BTreeMap::new();
    for route in given.iter().flat_map(|g| &g.config.routes) {
        let (NextHop::Address(hop) | NextHop::Both(_, hop)) = route.next_hop else { continue };
        let subnet = subnets.keys().find(|s| s.contains(&hop));
        if let Some(subnet) = subnet.filter(|_| !owned(given, hop)) {
            found.entry(*subnet).or_insert(hop);
        }
    }
    found
}

fn provider(hops: &BTreeMap<Ipv4Prefix, Ipv4Addr>) -> String {
    let mut text = format!(
        "! Made by \"espalier new\": whoever owns the next hops that no other file has.\nhostname {PROVIDER}\n!\n"
    );
    for (n, (subnet, hop)) in hops.iter().enumerate() {
        let _ = write!(text, "interface FastEthernet0/{n}\n ip address {hop} {}\n!\n", subnet.netmask());
    }
    text + "end\n"
}

/// An address that an access list means, at somebody's interface: one behind the gateways rather than theirs.
fn end(given: &[Given], matched: &AddressMatch) -> Option<Port> {
    let mut best: Option<(u8, Port)> = None;
    for g in given {
        let gateway = g.config.interfaces.iter().any(|i| i.crypto_map.is_some());
        for interface in &g.config.interfaces {
            let inside = interface.address.is_some_and(|a| matched.matches(a.addr()));
            if !inside || interface.shutdown {
                continue;
            }
            let loopback = !interface.name.kind().is_ethernet();
            let rank = 2 * u8::from(!gateway) + u8::from(loopback);
            if best.as_ref().is_none_or(|(other, _)| rank > *other) {
                let port =
                    Port { router: g.config.hostname().to_owned(), interface: interface.name.to_string() };
                best = Some((rank, port));
            }
        }
    }
    best.map(|(_, port)| port)
}

struct Flow {
    name: String,
    from: Port,
    to: Port,
}

fn protected(config: &Config) -> impl Iterator<Item = (&AddressMatch, &AddressMatch)> {
    let maps = config.interfaces.iter().filter_map(|i| config.crypto_map(&i.crypto_map.as_ref()?.map));
    let lists =
        maps.flat_map(|m| m.entries.values()).filter_map(|e| config.access_list(e.access_list.as_deref()?));
    let entries = lists.flat_map(|l| &l.entries).filter(|e| e.permit);
    entries.map(|e| (&e.rule.source, &e.rule.destination))
}

fn flows(given: &[Given], notes: &mut Vec<String>) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    for g in given {
        for (source, destination) in protected(&g.config) {
            let (from, to) = (end(given, source), end(given, destination));
            let (Some(from), Some(to)) = (from, to) else {
                notes.push(format!(
                    "{}: no router here has an address in {} or {}: no traffic is made of that entry",
                    g.config.hostname(),
                    shown(source),
                    shown(destination)
                ));
                continue;
            };
            if from != to && !flows.iter().any(|f| f.from == from && f.to == to) {
                let name = format!("{}-to-{}", from.router, to.router);
                let twins = flows.iter().filter(|f| f.name.starts_with(&name)).count();
                let name = if twins == 0 { name } else { format!("{name}-{}", twins + 1) };
                flows.push(Flow { name, from, to });
            }
        }
    }
    notes.sort();
    notes.dedup();
    flows
}

fn shown(matched: &AddressMatch) -> String {
    matched.prefix().map_or_else(|| format!("{} {}", matched.address, matched.wildcard), |p| p.to_string())
}

/// The members of every HSRP group, the preferred one first.
fn members(given: &[Given]) -> Vec<Port> {
    let mut all: Vec<(u16, u8, Port)> = Vec::new();
    for g in given {
        for interface in &g.config.interfaces {
            for (number, group) in &interface.standby.groups {
                let port =
                    Port { router: g.config.hostname().to_owned(), interface: interface.name.to_string() };
                all.push((*number, group.priority(), port));
            }
        }
    }
    all.sort_by_key(|a| (a.0, std::cmp::Reverse(a.1)));
    let mut ports: Vec<Port> = Vec::new();
    for (_, _, port) in all {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

/// TOML's basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn at(port: &Port) -> String {
    quoted(&format!("{}:{}", port.router, port.interface))
}

/// A scenario called `name` of these configurations.
pub fn sketch(name: &str, given: &[Given]) -> Sketch {
    let mut notes = Vec::new();
    let mut subnets = subnets(given);
    let hops = providers(given, &subnets);
    for (n, subnet) in hops.keys().enumerate() {
        let port = Port { router: PROVIDER.to_owned(), interface: format!("FastEthernet0/{n}") };
        subnets.entry(*subnet).or_default().push(port);
    }
    let flows = flows(given, &mut notes);
    let members = members(given);
    let end_s = FIRST_FAULT_S + BETWEEN_S * 2 * (members.len().max(1) as u64);
    let mut toml = format!(
        "# Made by \"espalier new\" from configurations alone; every line is yours to change.\nname = {}\nduration = \
         \"{end_s}s\"\nseed = 1\n",
        quoted(name)
    );
    for file in
        given.iter().map(|g| g.file.clone()).chain((!hops.is_empty()).then(|| format!("{PROVIDER}.cfg")))
    {
        let _ = write!(toml, "\n[[router]]\nconfig = {}\n", quoted(&file));
    }
    segments(&mut toml, &subnets, &mut notes);
    for flow in &flows {
        let _ = write!(
            toml,
            "\n[[traffic]]\nname = {}\nfrom = {}\nto = {}\nkind = \"udp\"\nrate = \"100pps\"\nsize = 100\nstart = \"90s\"\n",
            quoted(&flow.name),
            at(&flow.from),
            at(&flow.to)
        );
    }
    if flows.is_empty() {
        notes.push("there is no traffic: no access list of a crypto map has both its ends here".to_owned());
    }
    for (n, port) in members.iter().enumerate() {
        let down = FIRST_FAULT_S + BETWEEN_S * 2 * n as u64;
        for (at_s, action) in [(down, "shutdown"), (down + BETWEEN_S, "no-shutdown")] {
            let _ =
                write!(toml, "\n[[fault]]\nat = \"{at_s}s\"\naction = \"{action}\"\ntarget = {}\n", at(port));
        }
    }
    if members.is_empty() {
        notes.push("there is no HSRP group, so there is no fault yet: add [[fault]] entries".to_owned());
    }
    Sketch { toml, provider: (!hops.is_empty()).then(|| provider(&hops)), notes }
}

fn segments(toml: &mut String, subnets: &Subnets, notes: &mut Vec<String>) {
    for (subnet, ports) in subnets {
        let Some(first) = ports.first() else { continue };
        if ports.len() < 2 {
            notes.push(format!("{subnet}: {}:{} is alone there", first.router, first.interface));
        }
        let attach: Vec<String> = ports.iter().map(at).collect();
        let _ = write!(
            toml,
            "\n[[segment]]                             # {subnet}\nname = {}\nattach = [{}]\ndelay = \"50us\"\n",
            quoted(&format!("net-{}", subnet.addr())),
            attach.join(", ")
        );
    }
}
