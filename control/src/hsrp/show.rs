//! `show standby` and `show standby brief`, from the machine as it is at one instant.

use std::fmt::Write as _;

use espalier_wire::hsrp::{Password, Version};
use espalier_wire::{Duration, Instant};

use super::config::DEFAULT_PRIORITY;
use super::group::{Group, Timer};
use super::trace::{Member, group_name, word};
use super::{Hsrp, Interface};
use crate::spelling::{InterfaceNames, elapsed};

/// `show standby`: every group of every interface.
pub fn standby(hsrp: &Hsrp, now: Instant, names: &dyn InterfaceNames) -> String {
    let mut text = String::new();
    for i in hsrp.interfaces.values() {
        for g in i.groups.values() {
            group(&mut text, i, g, now, names);
        }
    }
    text
}

fn group(text: &mut String, i: &Interface, g: &Group, now: Instant, names: &dyn InterfaceNames) {
    let iface = i.config.iface;
    let version = if i.config.version == Version::V2 { " (version 2)" } else { "" };
    let mut put = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    put(format!("{} - Group {}{version}", names.long(iface), g.config.group));
    put(format!("  State is {}{}", word(g.state), if i.up { "" } else { " (interface down)" }));
    let changes =
        if g.changes == 1 { "1 state change".to_owned() } else { format!("{} state changes", g.changes) };
    let last = g.last_change.map_or_else(|| "never".to_owned(), |at| elapsed(now - at));
    put(format!("    {changes}, last state change {last}"));
    addresses(&mut put, i, g);
    let times = g.times();
    put(format!("  Hello time {}, hold time {}", time(times.hello), time(times.hold)));
    if let Some(at) = g.deadline(Timer::Hello) {
        put(format!("    Next hello sent in {} secs", seconds(at - now)));
    }
    if g.config.password != Password::default() {
        let password = g.config.password.0;
        let printed = String::from_utf8_lossy(&password);
        put(format!("  Authentication text \"{}\"", printed.trim_end_matches('\0')));
    }
    put(format!("  Preemption {}", preemption(g)));
    put(format!("  Active router is {}", member(g.active, g.deadline(Timer::Active), now)));
    put(format!("  Standby router is {}", member(g.standby, g.deadline(Timer::Standby), now)));
    let configured = match g.config.priority {
        Some(priority) => format!("configured {priority}"),
        None => format!("default {DEFAULT_PRIORITY}"),
    };
    put(format!("  Priority {} ({configured})", g.priority()));
    tracks(&mut put, g, names);
    let origin = if g.config.name.is_some() { "cfgd" } else { "default" };
    let name = group_name(g.config.name.as_deref(), iface, Some(g.config.group), names);
    put(format!("  IP redundancy name is \"{name}\" ({origin})"));
}

fn addresses(put: &mut impl FnMut(String), i: &Interface, g: &Group) {
    let learned = if g.config.address.is_none() { " (learnt)" } else { "" };
    let address = g.address().map_or_else(|| "unknown".to_owned(), |a| format!("{a}{learned}"));
    put(format!("  Virtual IP address is {address}"));
    let mac = i.config.version.virtual_mac(g.config.group).ios();
    let active = if g.active == Member::Unknown { "unknown" } else { &mac };
    put(format!("  Active virtual MAC address is {active}"));
    let version = match i.config.version {
        Version::V1 => "v1",
        Version::V2 => "v2",
    };
    put(format!("    Local virtual MAC address is {mac} ({version} default)"));
}

fn preemption(g: &Group) -> String {
    match g.config.preempt {
        None => "disabled".to_owned(),
        Some(p) if p.delay_minimum.is_zero() => "enabled".to_owned(),
        Some(p) => format!("enabled, delay min {} secs", p.delay_minimum.as_whole_s()),
    }
}

fn member(member: Member, expires: Option<Instant>, now: Instant) -> String {
    match member {
        Member::Unknown => "unknown".to_owned(),
        Member::Local => "local".to_owned(),
        Member::Remote { address, priority } => {
            let expires = expires.map(|at| format!(" (expires in {} sec)", seconds(at - now)));
            format!("{address}, priority {priority}{}", expires.unwrap_or_default())
        }
    }
}

fn tracks(put: &mut impl FnMut(String), g: &Group, names: &dyn InterfaceNames) {
    for track in &g.config.tracks {
        let what = match track.iface {
            Some(iface) => format!("interface {}", names.long(iface)),
            None => format!("object {}", track.object.0),
        };
        let state = if g.down.contains(&track.object) { "Down" } else { "Up" };
        put(format!("    Track {what} state {state} decrement {}", track.decrement));
    }
}

fn time(time: Duration) -> String {
    if Duration::from_s(time.as_whole_s()) == time {
        format!("{} sec", time.as_whole_s())
    } else {
        format!("{} msec", time.as_ms())
    }
}

/// Seconds with three decimals.
fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_whole_s(), time.as_ms() % 1000)
}

/// `show standby brief`: a line per group.
pub fn standby_brief(hsrp: &Hsrp, names: &dyn InterfaceNames) -> String {
    let mut text = format!("{:21}P indicates configured to preempt.\n{:21}|\n", "", "");
    text += "Interface   Grp Prio P State    Active addr     Standby addr    Group addr\n";
    for (iface, i) in &hsrp.interfaces {
        for g in i.groups.values() {
            let preempt = if g.config.preempt.is_some() { 'P' } else { ' ' };
            let address = g.address().map_or_else(|| "unknown".to_owned(), |a| a.to_string());
            let _ = writeln!(
                text,
                "{:11} {:<3} {:<4} {preempt} {:8} {:15} {:15} {address}",
                names.short(*iface),
                g.config.group,
                g.priority(),
                word(g.state),
                brief(g.active),
                brief(g.standby),
            );
        }
    }
    text
}

fn brief(member: Member) -> String {
    match member {
        Member::Unknown => "unknown".to_owned(),
        Member::Local => "local".to_owned(),
        Member::Remote { address, .. } => address.to_string(),
    }
}
