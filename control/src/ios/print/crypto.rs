//! `crypto …`.

use std::net::Ipv4Addr;

use espalier_wire::plane::DfBit;

use super::Page;
use crate::ios::model::{
    CryptoMapEntry, Identity, KeepaliveMode, KilobyteLifetime, Policy, ReplayWindow, ReverseRoute,
    TransformMode,
};

pub(super) fn isakmp(page: &mut Page<'_>) {
    let isakmp = &page.config.isakmp;
    for (number, policy) in &isakmp.policies {
        page.say(format_args!("crypto isakmp policy {number}"));
        self::policy(page, policy);
    }
    for key in &isakmp.keys {
        let text = String::from_utf8_lossy(key.key.bytes()).into_owned();
        let mask = if key.mask == Ipv4Addr::BROADCAST { String::new() } else { format!(" {}", key.mask) };
        let xauth = if key.no_xauth { " no-xauth" } else { "" };
        // A key that is itself `0` or `6` would be read as the kind of the key behind it.
        let kind = if ["0", "6"].contains(&text.as_str()) { "0 " } else { "" };
        page.say(format_args!("crypto isakmp key {kind}{text} address {}{mask}{xauth}", key.address));
    }
    let identity = isakmp.identity.map(|identity| match identity {
        Identity::Address => "address",
        Identity::Hostname => "hostname",
    });
    page.say_some("crypto isakmp identity ", identity);
    page.say_if(isakmp.invalid_spi_recovery, "crypto isakmp invalid-spi-recovery");
    if let Some(keepalive) = isakmp.keepalive {
        let retry = keepalive.retry_s.map_or_else(String::new, |retry| format!(" {retry}"));
        let mode = match keepalive.mode {
            Some(KeepaliveMode::Periodic) => " periodic",
            Some(KeepaliveMode::OnDemand) => " on-demand",
            None => "",
        };
        page.say(format_args!("crypto isakmp keepalive {}{retry}{mode}", keepalive.interval_s));
    }
    page.say_some("crypto isakmp nat keepalive ", isakmp.nat_keepalive_s);
}

fn policy(page: &mut Page<'_>, policy: &Policy) {
    page.say_some(" encr ", policy.encryption.map(|e| e.ios()));
    page.say_some(" hash ", policy.hash.map(|h| h.ios()));
    page.say_some(" authentication ", policy.authentication.map(|a| a.ios()));
    page.say_some(" group ", policy.group.map(|g| g.0));
    page.say_some(" lifetime ", policy.lifetime_s);
}

pub(super) fn ipsec(page: &mut Page<'_>) {
    let ipsec = &page.config.ipsec;
    page.say_some("crypto ipsec security-association lifetime seconds ", ipsec.lifetime_s);
    page.say_some("crypto ipsec security-association lifetime kilobytes ", ipsec.lifetime_kb.map(kilobytes));
    page.say_some("crypto ipsec security-association replay ", ipsec.replay.map(window));
    for set in &ipsec.transform_sets {
        page.say(format_args!("crypto ipsec transform-set {} {}", set.name, set.transform.ios()));
        let mode = set.mode.map(|mode| match mode {
            TransformMode::Tunnel => "tunnel",
            TransformMode::Transport => "transport",
            TransformMode::TransportRequired => "transport require",
        });
        page.say_some(" mode ", mode);
    }
    page.say_some("crypto ipsec df-bit ", ipsec.df_bit.map(df_bit));
    page.say_if(ipsec.nat_transparency == Some(false), "no crypto ipsec nat-transparency udp-encapsulation");
}

pub(super) fn df_bit(df_bit: DfBit) -> &'static str {
    match df_bit {
        DfBit::Copy => "copy",
        DfBit::Set => "set",
        DfBit::Clear => "clear",
    }
}

fn kilobytes(lifetime: KilobyteLifetime) -> String {
    lifetime.kilobytes().map_or_else(|| "disable".to_owned(), |kb| kb.to_string())
}

fn window(window: ReplayWindow) -> String {
    match window {
        ReplayWindow::Disabled => "disable".to_owned(),
        ReplayWindow::Packets(packets) => format!("window-size {packets}"),
    }
}

pub(super) fn maps(page: &mut Page<'_>) {
    for map in &page.config.crypto_maps {
        page.say_some(&format!("crypto map {} local-address ", map.name), map.local_address);
        for (number, entry) in &map.entries {
            page.say(format_args!("crypto map {} {number} ipsec-isakmp", map.name));
            self::entry(page, entry);
        }
    }
}

fn entry(page: &mut Page<'_>, entry: &CryptoMapEntry) {
    page.say_some(" description ", entry.description.as_ref());
    for peer in &entry.peers {
        page.say(format_args!(" set peer {peer}"));
    }
    page.say_some(" set security-association lifetime seconds ", entry.lifetime_s);
    page.say_some(" set security-association lifetime kilobytes ", entry.lifetime_kb.map(kilobytes));
    page.say_some(" set security-association replay ", entry.replay.map(window));
    if !entry.transform_sets.is_empty() {
        page.say(format_args!(" set transform-set {}", entry.transform_sets.join(" ")));
    }
    page.say_some(" set pfs group", entry.pfs.map(|group| group.0));
    page.say_some(" match address ", entry.access_list.as_ref());
    page.say_some(" reverse-route", entry.reverse_route.map(reverse_route));
}

fn reverse_route(route: ReverseRoute) -> String {
    let peer = route.remote_peer.map_or_else(String::new, |peer| format!(" remote-peer {peer}"));
    let tag = route.tag.map_or_else(String::new, |tag| format!(" tag {tag}"));
    let gateway = if route.gateway { " gateway" } else { "" };
    format!("{peer}{gateway}{}{tag}", if route.is_static { " static" } else { "" })
}
