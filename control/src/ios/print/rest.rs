//! `track`, `router ospf`, `ip route`, access lists.

use super::interface::masked;
use super::{Page, list_header};
use crate::ios::command::At;
use crate::ios::model::{
    AccessList, AccessListEntry, AccessListKind, NextHop, Ospf, OspfAuthentication, OspfTimers, Redistribute,
    StaticRoute, Track, TrackObject,
};

pub(super) fn tracks(page: &mut Page<'_>) {
    for (number, track) in &page.config.tracks {
        let header = At::Track(*number).header();
        let object = match track.object {
            TrackObject::LineProtocol(interface) => format!("interface {interface} line-protocol"),
            TrackObject::IpRouting(interface) => format!("interface {interface} ip routing"),
            TrackObject::Reachability(prefix) => format!("ip route {} reachability", masked(prefix)),
        };
        page.say(format_args!("{header} {object}"));
        page.say_some(" delay", delay(track));
        page.ignored_under(&header);
    }
}

fn delay(track: &Track) -> Option<String> {
    let part = |word: &str, s: Option<u16>| s.map_or_else(String::new, |s| format!(" {word} {s}"));
    let text = part("up", track.delay_up_s) + &part("down", track.delay_down_s);
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn ospf(page: &mut Page<'_>) {
    for (number, ospf) in &page.config.ospf {
        page.section(|page| process(page, *number, ospf));
    }
}

fn process(page: &mut Page<'_>, number: u16, ospf: &Ospf) {
    let header = At::Ospf(number).header();
    page.say(&header);
    page.say_some(" router-id ", ospf.router_id);
    page.say_if(ospf.log_adjacency_changes == Some(true), " log-adjacency-changes");
    page.say_if(ospf.log_adjacency_changes == Some(false), " no log-adjacency-changes");
    page.say_some(" auto-cost reference-bandwidth ", ospf.reference_mbps);
    let timers = ospf.timers.map(|timers| match timers {
        OspfTimers::Spf { delay_s, hold_s } => format!("spf {delay_s} {hold_s}"),
        OspfTimers::Throttle { start_ms, hold_ms, max_ms } => {
            format!("throttle spf {start_ms} {hold_ms} {max_ms}")
        }
    });
    page.say_some(" timers ", timers);
    for redistribute in &ospf.redistribute {
        page.say(format_args!(" redistribute {}", self::redistribute(redistribute)));
    }
    page.say_if(ospf.passive_default, " passive-interface default");
    for interface in &ospf.passive {
        let no = if ospf.passive_default { "no " } else { "" };
        page.say(format_args!(" {no}passive-interface {interface}"));
    }
    for network in &ospf.networks {
        page.say(format_args!(" network {} {} area {}", network.address, network.wildcard, network.area));
    }
    page.say_some(" default-metric ", ospf.default_metric);
    for (area, authentication) in &ospf.authentication {
        let digest =
            if *authentication == OspfAuthentication::MessageDigest { " message-digest" } else { "" };
        page.say(format_args!(" area {area} authentication{digest}"));
    }
    page.ignored_under(&header);
}

fn redistribute(redistribute: &Redistribute) -> String {
    let mut text = redistribute.source.ios().to_owned();
    if let Some(metric) = redistribute.metric {
        text += &format!(" metric {metric}");
    }
    if let Some(kind) = redistribute.metric_type {
        text += &format!(" metric-type {}", kind.number());
    }
    if redistribute.subnets {
        text += " subnets";
    }
    if let Some(tag) = redistribute.tag {
        text += &format!(" tag {tag}");
    }
    text
}

pub(super) fn routes(page: &mut Page<'_>) {
    for route in &page.config.routes {
        page.say(format_args!("ip route {}", self::route(route)));
    }
}

fn route(route: &StaticRoute) -> String {
    let next_hop = match route.next_hop {
        NextHop::Address(address) => address.to_string(),
        NextHop::Interface(interface) => interface.to_string(),
        NextHop::Both(interface, address) => format!("{interface} {address}"),
    };
    let mut text = format!("{} {next_hop}", masked(route.destination));
    if let Some(distance) = route.distance {
        text += &format!(" {distance}");
    }
    if let Some(name) = &route.name {
        text += &format!(" name {name}");
    }
    if let Some(tag) = route.tag {
        text += &format!(" tag {tag}");
    }
    if route.permanent {
        text += " permanent";
    }
    if let Some(track) = route.track {
        text += &format!(" track {track}");
    }
    text
}

pub(super) fn access_lists(page: &mut Page<'_>) {
    for list in &page.config.access_lists {
        page.section(|page| access_list(page, list));
    }
}

fn access_list(page: &mut Page<'_>, list: &AccessList) {
    let header = list_header(list);
    let regular = list.entries.iter().zip(1u32..).all(|(entry, n)| Some(entry.sequence) == n.checked_mul(10));
    let remarks = page.config.ignored.iter().any(|ignored| ignored.context == header);
    // A numbered list is written the short way when that loses nothing.
    if list.is_numbered() && regular && !remarks && !list.entries.is_empty() {
        for entry in &list.entries {
            page.say(format_args!("access-list {} {}", list.name, self::entry(list.kind, entry)));
        }
        return;
    }
    page.say(&header);
    page.ignored_under(&header);
    for entry in &list.entries {
        let sequence = if regular { String::new() } else { format!("{} ", entry.sequence) };
        page.say(format_args!(" {sequence}{}", self::entry(list.kind, entry)));
    }
}

/// An entry as lists print it.
fn entry(kind: AccessListKind, entry: &AccessListEntry) -> String {
    let rule = match kind {
        AccessListKind::Standard => entry.rule.source.to_string(),
        AccessListKind::Extended => entry.rule.to_string(),
    };
    let log = if entry.log { " log" } else { "" };
    format!("{} {rule}{log}", if entry.permit { "permit" } else { "deny" })
}
