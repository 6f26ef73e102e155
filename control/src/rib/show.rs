//! `show ip route` and `show ip cef` in IOS 12.3's layout.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use espalier_wire::plane::NextHop;
use espalier_wire::{IfIndex, Instant, Ipv4Prefix, Mac};

use super::{Protocol, Rib, Route};
use crate::spelling::{InterfaceNames, elapsed};

const CODES: &str = "\
Codes: C - connected, S - static, R - RIP, M - mobile, B - BGP
       D - EIGRP, EX - EIGRP external, O - OSPF, IA - OSPF inter area
       N1 - OSPF NSSA external type 1, N2 - OSPF NSSA external type 2
       E1 - OSPF external type 1, E2 - OSPF external type 2
       i - IS-IS, su - IS-IS summary, L1 - IS-IS level-1, L2 - IS-IS level-2
       ia - IS-IS inter area, * - candidate default, U - per-user static route
       o - ODR, P - periodic downloaded static route

";

/// The classful network that an address lies in (RFC 791 section 3.2); IOS groups subnets under it.
fn major(addr: Ipv4Addr) -> Ipv4Prefix {
    let len = match addr.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        192..=255 => 24,
    };
    Ipv4Prefix::new_assert(addr, len).trunc()
}

impl Rib {
    /// `show ip route`, or of one destination only.
    pub fn show_route(&self, now: Instant, of: Option<Ipv4Addr>, names: &dyn InterfaceNames) -> String {
        if let Some(addr) = of {
            return self.entry(now, addr, names);
        }
        let default = self.table.get(&Ipv4Prefix::default());
        let last = match default.and_then(|r| r.hops.first()?.via) {
            Some(via) => format!("Gateway of last resort is {via} to network 0.0.0.0\n\n"),
            None => "Gateway of last resort is not set\n\n".to_owned(),
        };
        let mut text = CODES.to_owned() + &last;
        let mut networks: BTreeMap<Ipv4Prefix, Vec<(Ipv4Prefix, &Route)>> = BTreeMap::new();
        for (prefix, route) in &self.table {
            networks.entry(major(prefix.addr())).or_default().push((*prefix, route));
        }
        for (major, routes) in &networks {
            heading(&mut text, *major, routes);
            for (prefix, route) in routes {
                line(&mut text, now, (*major, routes), *prefix, route, names);
            }
        }
        text
    }

    fn entry(&self, now: Instant, addr: Ipv4Addr, names: &dyn InterfaceNames) -> String {
        let Some((prefix, route)) = self.lookup(addr) else { return "% Network not in table\n".to_owned() };
        let known = match route.protocol {
            Protocol::Connected => "connected",
            Protocol::Static => "static",
            Protocol::Ospf(_) => "ospf",
        };
        let (distance, metric, age) = (route.distance, route.metric, elapsed(now - route.since));
        let mut text = format!("Routing entry for {prefix}\n");
        let _ = writeln!(text, "  Known via \"{known}\", distance {distance}, metric {metric}");
        let _ = writeln!(text, "  Routing Descriptor Blocks:");
        for hop in &route.hops {
            let via = hop.via.map_or_else(|| "directly connected".to_owned(), |a| a.to_string());
            let by = hop.iface.map_or_else(String::new, |i| format!(", via {}", names.long(i)));
            let _ = writeln!(text, "  * {via}{by}, {age} ago");
        }
        text
    }

    /// `show ip cef [PREFIX] [detail]`: prefixes and the links they lead to. `mac` tells a neighbour's link address.
    pub fn show_cef(
        &self,
        of: Option<Ipv4Prefix>,
        detail: bool,
        names: &dyn InterfaceNames,
        mac: &dyn Fn(IfIndex, Ipv4Addr) -> Option<Mac>,
    ) -> String {
        let one = match of {
            Some(p) if p.prefix_len() == 32 => self.lookup(p.addr()),
            Some(p) => self.table.get(&p.trunc()).map(|route| (p.trunc(), route)),
            None => None,
        };
        if of.is_some() && one.is_none() {
            return "%Prefix not found\n".to_owned();
        }
        let mut text = String::new();
        if !detail && of.is_none() {
            text.push_str("Prefix              Next Hop             Interface\n");
        }
        let all = self.table.iter().map(|(p, r)| (*p, r));
        for (prefix, route) in one.into_iter().chain(all.filter(|_| of.is_none())) {
            for hop in &route.resolved {
                let via = match hop.via {
                    Some(via) => via.to_string(),
                    None => "attached".to_owned(),
                };
                if detail {
                    adjacency(&mut text, self, (prefix, route), hop, names, mac);
                } else {
                    let prefix = prefix.to_string();
                    let _ = writeln!(text, "{prefix:<20}{via:<21}{}", names.long(hop.iface));
                }
            }
        }
        text
    }
}

fn heading(text: &mut String, major: Ipv4Prefix, routes: &[(Ipv4Prefix, &Route)]) {
    let mut lengths: Vec<u8> = routes.iter().map(|(p, _)| p.prefix_len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    match lengths[..] {
        [len] if len == major.prefix_len() || len == 0 => {}
        [len] => {
            let n = routes.len();
            let _ = writeln!(text, "     {}/{len} is subnetted, {n} subnets", major.addr());
        }
        _ => {
            let (n, masks) = (routes.len(), lengths.len());
            let _ = writeln!(text, "     {} is variably subnetted, {n} subnets, {masks} masks", major);
        }
    }
}

fn line(
    text: &mut String,
    now: Instant,
    (major, group): (Ipv4Prefix, &[(Ipv4Prefix, &Route)]),
    prefix: Ipv4Prefix,
    route: &Route,
    names: &dyn InterfaceNames,
) {
    let same = group.iter().all(|(p, _)| p.prefix_len() == prefix.prefix_len());
    let classful = prefix.prefix_len() == major.prefix_len();
    // A subnet's mask stands in its network's heading.
    let headed = same && !classful && prefix.prefix_len() > 0;
    let shown = if headed { prefix.addr().to_string() } else { prefix.to_string() };
    // IOS writes a network that is not subnetted one column to the left.
    let shown = if same && !headed { shown } else { format!("   {shown}") };
    let code = if prefix.prefix_len() == 0 { format!("{}*", route.code()) } else { route.code().to_owned() };
    let head = format!("{code:<5}{shown}");
    for (i, hop) in route.hops.iter().enumerate() {
        let head = if i == 0 { head.clone() } else { " ".repeat(head.len()) };
        let cost = format!("[{}/{}]", route.distance, route.metric);
        let iface = hop.iface.map(|i| names.long(i));
        let rest = match (route.protocol, hop.via, iface) {
            (Protocol::Ospf(_), Some(via), Some(name)) => {
                format!("{cost} via {via}, {}, {name}", elapsed(now - route.since))
            }
            (_, Some(via), Some(name)) => format!("{cost} via {via}, {name}"),
            (_, Some(via), None) => format!("{cost} via {via}"),
            (_, None, Some(name)) => format!("is directly connected, {name}"),
            (_, None, None) => cost,
        };
        let _ = writeln!(text, "{head} {rest}");
    }
}

fn adjacency(
    text: &mut String,
    rib: &Rib,
    (prefix, route): (Ipv4Prefix, &Route),
    hop: &NextHop,
    names: &dyn InterfaceNames,
    mac: &dyn Fn(IfIndex, Ipv4Addr) -> Option<Mac>,
) {
    let (name, version) = (names.long(hop.iface), route.version);
    let Some(via) = hop.via.and_then(super::v4) else {
        let kind = if hop.iface == IfIndex::NULL { "null" } else { "glean" };
        let _ = writeln!(
            text,
            "{prefix}, version {version}, epoch 0, attached, connected\n  via {name}, 0 dependencies\n    valid {kind} adjacency"
        );
        return;
    };
    let state = if mac(hop.iface, via).is_some() { "valid cached" } else { "incomplete" };
    let _ = writeln!(text, "{prefix}, version {version}, epoch 0, cached adjacency {via}");
    let _ = writeln!(text, "0 packets, 0 bytes");
    let recursive = route.hops.iter().filter_map(|h| h.via).find(|own| *own != via);
    match recursive {
        Some(own) => {
            let covering = rib.lookup(own).map_or_else(|| Ipv4Prefix::from(own), |(prefix, _)| prefix);
            let _ = writeln!(text, "  via {own}, 0 dependencies, recursive");
            let _ = writeln!(text, "    next hop {via}, {name} via {covering}");
        }
        None => {
            let _ = writeln!(text, "  via {via}, {name}, 0 dependencies\n    next hop {via}, {name}");
        }
    }
    let _ = writeln!(text, "    {state} adjacency");
}
