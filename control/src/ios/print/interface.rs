//! `interface …`.

use espalier_wire::Ipv4Prefix;
use espalier_wire::plane::Secret;

use super::Page;
use super::crypto::df_bit;
use crate::ios::command::At;
use crate::ios::model::{
    Duplex, Interface, InterfaceOspf, OspfAuthentication, OspfNetworkType, Preempt, Speed, Standby,
    StandbyAddress, StandbyGroup, StandbyTimer, TrackTarget,
};

pub(super) fn interfaces(page: &mut Page<'_>) {
    for interface in &page.config.interfaces {
        page.section(|page| self::interface(page, interface));
    }
}

fn interface(page: &mut Page<'_>, interface: &Interface) {
    let header = At::Interface(interface.name).header();
    page.say(&header);
    page.say_some(" description ", interface.description.as_ref());
    page.say_some(" mtu ", interface.mtu);
    page.say_some(" bandwidth ", interface.bandwidth_kbps);
    page.say_some(" delay ", interface.delay_10us);
    page.say_some(" ip address ", interface.address.map(masked));
    page.say_if(interface.address.is_none(), " no ip address");
    for address in &interface.secondary {
        page.say(format_args!(" ip address {} secondary", masked(*address)));
    }
    page.say_some(" ip mtu ", interface.ip_mtu);
    page.say_if(interface.unreachables == Some(false), " no ip unreachables");
    page.say_if(interface.unreachables == Some(true), " ip unreachables");
    ospf(page, &interface.ospf);
    page.ignored_under(&header);
    page.say_if(interface.shutdown, " shutdown");
    let duplex = interface.duplex.map(|duplex| match duplex {
        Duplex::Auto => "auto",
        Duplex::Full => "full",
        Duplex::Half => "half",
    });
    page.say_some(" duplex ", duplex);
    let speed = interface.speed.map(|speed| match speed {
        Speed::Auto => "auto".to_owned(),
        Speed::Mbps(mbps) => mbps.to_string(),
    });
    page.say_some(" speed ", speed);
    standby(page, &interface.standby);
    if let Some(binding) = &interface.crypto_map {
        let group =
            binding.redundancy.as_ref().map_or_else(String::new, |group| format!(" redundancy {group}"));
        page.say(format_args!(" crypto map {}{group}", binding.map));
    }
    page.say_some(" crypto ipsec df-bit ", interface.df_bit.map(df_bit));
}

/// `A M`.
pub(super) fn masked(prefix: Ipv4Prefix) -> String {
    format!("{} {}", prefix.addr(), prefix.netmask())
}

fn ospf(page: &mut Page<'_>, ospf: &InterfaceOspf) {
    let process = ospf.process.map(|(process, area)| format!("{process} area {area}"));
    page.say_some(" ip ospf ", process);
    let network = ospf.network.map(|network| match network {
        OspfNetworkType::Broadcast => "broadcast",
        OspfNetworkType::PointToPoint => "point-to-point",
    });
    page.say_some(" ip ospf network ", network);
    page.say_some(" ip ospf cost ", ospf.cost);
    page.say_some(" ip ospf hello-interval ", ospf.hello_interval_s);
    page.say_some(" ip ospf dead-interval ", ospf.dead_interval_s);
    page.say_some(" ip ospf retransmit-interval ", ospf.retransmit_interval_s);
    page.say_some(" ip ospf transmit-delay ", ospf.transmit_delay_s);
    page.say_some(" ip ospf priority ", ospf.priority);
    page.say_if(ospf.mtu_ignore, " ip ospf mtu-ignore");
    let authentication = ospf.authentication.map(|authentication| match authentication {
        OspfAuthentication::Null => " null",
        OspfAuthentication::Simple => "",
        OspfAuthentication::MessageDigest => " message-digest",
    });
    page.say_some(" ip ospf authentication", authentication);
    page.say_some(" ip ospf authentication-key ", ospf.password.as_ref().map(text));
    for (id, key) in &ospf.digest_keys {
        page.say(format_args!(" ip ospf message-digest-key {id} md5 {}", text(key)));
    }
}

/// A key as it was written.
fn text(key: &Secret) -> String {
    String::from_utf8_lossy(key.bytes()).into_owned()
}

fn standby(page: &mut Page<'_>, standby: &Standby) {
    page.say_some(" standby version ", standby.version);
    let words = [("minimum", standby.delay_minimum_s), ("reload", standby.delay_reload_s)];
    page.say_some(" standby delay", delays(&words));
    for (number, group) in &standby.groups {
        self::group(page, &format!(" standby {number} "), group);
    }
}

/// ` word N` for each that is set; nothing when none is.
fn delays(words: &[(&str, Option<u16>)]) -> Option<String> {
    let text: String = words.iter().filter_map(|(word, s)| s.map(|s| format!(" {word} {s}"))).collect();
    Some(text).filter(|text| !text.is_empty())
}

fn group(page: &mut Page<'_>, words: &str, group: &StandbyGroup) {
    match group.ip {
        Some(StandbyAddress::Configured(address)) => page.say(format_args!("{words}ip {address}")),
        Some(StandbyAddress::Learned) => page.say(format_args!("{words}ip")),
        None => {}
    }
    for address in &group.secondary {
        page.say(format_args!("{words}ip {address} secondary"));
    }
    if let Some(timers) = group.timers {
        page.say(format_args!("{words}timers {} {}", timer(timers.hello), timer(timers.hold)));
    }
    page.say_some(&format!("{words}priority "), group.priority);
    page.say_some(&format!("{words}preempt"), group.preempt.map(preempt));
    page.say_some(&format!("{words}authentication text "), group.authentication.as_ref());
    page.say_some(&format!("{words}mac-address "), group.mac_address.map(espalier_wire::Mac::ios));
    page.say_some(&format!("{words}name "), group.name.as_ref());
    for track in &group.tracks {
        let target = match track.target {
            TrackTarget::Interface(name) => name.to_string(),
            TrackTarget::Object(number) => number.to_string(),
        };
        let word = if matches!(track.target, TrackTarget::Object(_)) { " decrement" } else { "" };
        let decrement = track.decrement.map_or_else(String::new, |d| format!("{word} {d}"));
        let shutdown = if track.shutdown { " shutdown" } else { "" };
        page.say(format_args!("{words}track {target}{decrement}{shutdown}"));
    }
}

fn timer(timer: StandbyTimer) -> String {
    match timer {
        StandbyTimer::Seconds(s) => s.to_string(),
        StandbyTimer::Milliseconds(ms) => format!("msec {ms}"),
    }
}

fn preempt(preempt: Preempt) -> String {
    let words = [
        ("minimum", preempt.delay_minimum_s),
        ("reload", preempt.delay_reload_s),
        ("sync", preempt.delay_sync_s),
    ];
    delays(&words).map_or_else(String::new, |delays| format!(" delay{delays}"))
}
