//! Configurations and bytes that nobody wrote: what is printed reads back, and nothing panics.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{FILES, good};
use crate::ios::{parse_bytes, parse_exec, print};

fn address() -> impl Strategy<Value = String> {
    (1u8..220, any::<u8>(), any::<u8>(), 1u8..255).prop_map(|(a, b, c, d)| format!("{a}.{b}.{c}.{d}"))
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z][A-Za-z0-9_-]{0,12}"
}

fn interface_line() -> impl Strategy<Value = String> {
    let n = 1u16..4096;
    prop_oneof![
        (n.clone(), 1u16..200).prop_map(|(a, b)| format!(
            "standby version 2\n standby {a} timers msec {} msec 3000\n standby {a} priority {b}",
            15 + b
        )),
        (1u16..100, 101u16..255).prop_map(|(a, b)| format!("standby timers {a} {b}\n standby ip")),
        word().prop_map(|w| format!("standby 7 name {w}\n standby 7 preempt delay reload 9 minimum 3")),
        "[!-~]{1,8}".prop_map(|w| format!("standby 7 authentication {w}")),
        "[!-~][ -~]{0,30}[!-~]".prop_map(|t| format!("description {t}")),
        n.clone().prop_map(|a| format!(
            "ip ospf cost {a}\n ip ospf dead-interval {}\n ip ospf priority 0",
            a + 10
        )),
        select(vec![
            "shutdown",
            "duplex half",
            "speed 10",
            "no ip redirects",
            "ip directed-broadcast",
            "no ip unreachables",
            "mtu 1400",
            "ip mtu 1300",
            "bandwidth 77",
            "delay 3",
            "crypto ipsec df-bit clear",
            "ip ospf 1 area 0.0.0.9",
            "standby 7 track Lo0 20",
            "standby 7 track 3 shutdown",
            "standby delay minimum 4 reload 8",
            "ip ospf mtu-ignore",
            "ip ospf authentication",
            "ip ospf authentication null",
            "ip ospf authentication message-digest\n ip ospf message-digest-key 7 md5 secret",
            "ip ospf authentication-key 0 secret"
        ])
        .prop_map(str::to_owned),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let end = || {
        prop_oneof![
            Just("any".to_owned()),
            address().prop_map(|a| format!("host {a}")),
            (address(), 0u32..33).prop_map(|(a, n)| {
                let wildcard = std::net::Ipv4Addr::from_bits(u32::MAX.checked_shr(n).unwrap_or(0));
                format!("{a} {wildcard}")
            }),
        ]
    };
    let ports = || select(vec!["", " eq isakmp", " range 5 99", " gt 1000", " lt 7", " neq www"]);
    prop_oneof![
        (select(vec!["ip", "icmp", "esp", "47", "0", "200"]), end(), end())
            .prop_map(|(p, s, d)| format!("{p} {s} {d}")),
        (select(vec!["tcp", "udp"]), end(), ports(), end(), ports())
            .prop_map(|(p, s, sp, d, dp)| format!("{p} {s}{sp} {d}{dp}")),
    ]
    .prop_flat_map(|rule| select(vec!["permit", "deny"]).prop_map(move |action| format!("{action} {rule}")))
}

fn global() -> impl Strategy<Value = String> {
    prop_oneof![
        word().prop_map(|w| format!("hostname {w}")),
        (1u16..9, select(vec!["encr aes 256", "encr 3des", "hash sha512", "group 20", "lifetime 60"]))
            .prop_map(|(n, line)| format!("crypto isakmp policy {n}\n authentication pre-share\n {line}")),
        ("[!-~]{1,20}", address()).prop_map(|(k, a)| format!("crypto isakmp key {k} address {a} no-xauth")),
        (10u16..99, 2u16..60).prop_map(|(a, b)| format!("crypto isakmp keepalive {a} {b} on-demand")),
        (1u16..2, vec(rule(), 1..6)).prop_map(|(n, rules)| {
            rules.iter().map(|rule| format!("access-list {} {rule}\n", 150 + n)).collect()
        }),
        (word(), vec((1u32..99, rule()), 1..6)).prop_map(|(w, rules)| {
            let mut seen = std::collections::BTreeSet::new();
            let lines = rules.iter().filter(|(n, rule)| seen.insert(*n) & seen.insert(1000 + rule.len() as u32));
            let lines: String = lines.map(|(n, rule)| format!(" {n} {rule}\n")).collect();
            format!("ip access-list extended {w}\n{lines} remark {w}\n")
        }),
        (address(), 1u8..255).prop_map(|(a, d)| format!("ip route {a} 255.255.255.255 {a} {d} permanent tag 9 name x")),
        (1u16..500).prop_map(|n| format!("router ospf {n}\n redistribute static metric {n} subnets\n passive-interface Lo0")),
        (1u16..500, 1u16..60).prop_map(|(n, s)| format!("router ospf {n}\n timers spf {s} 9\n router-id 1.2.3.4")),
        (word(), 1u16..99, address()).prop_map(|(w, n, a)| {
            format!("crypto map {w} {n} ipsec-isakmp\n set peer {a}\n set pfs group14\n reverse-route remote-peer {a} static")
        }),
        (1u16..9).prop_map(|n| format!("interface FastEthernet{n}/0\n no shutdown")),
        (1u16..9, vec(interface_line(), 0..5)).prop_map(|(n, l)| format!("interface FastEthernet{n}/0\n ip address 10.{n}.0.1 255.255.255.0\n {}", l.join("\n "))),
        select(vec!["ip cef", "no ip cef", "version 12.3", "service pad", "line vty 0 4\n login", "ip http server",
            "crypto ipsec security-association lifetime kilobytes disable", "track 4 interface Lo0 ip routing",
            "crypto ipsec transform-set T esp-gcm 192\n mode transport require", "crypto isakmp invalid-spi-recovery"])
            .prop_map(str::to_owned),
    ]
}

/// Everything that the lines above refer to.
const BASE: &str = "interface Loopback0\n ip address 1.1.1.1 255.255.255.255\ntrack 3 interface Lo0 line-protocol\n\
                    router ospf 1\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_printed_reads_back(blocks in vec(global(), 0..12)) {
        let text = format!("{BASE}{}\n", blocks.join("\n"));
        // Two groups of one name are the one mistake that the lines above can make together.
        if let Ok(parsed) = crate::ios::parse("generated", &text) {
            let printed = print(&parsed.config);
            prop_assert_eq!(good(&printed), parsed.config, "{}\n---\n{}", text, printed);
        } else {
            let errors = crate::ios::parse("generated", &text).unwrap_err();
            prop_assert!(
                errors.iter().filter(|d| d.severity == crate::ios::Severity::Error)
                    .all(|d| d.message.contains("is named") || d.message.contains("has an entry")
                        || d.message.contains("needs `standby version 2`")),
                "{}\n{:?}", text, errors
            );
        }
    }

    #[test]
    fn bytes_never_panic(bytes in vec(any::<u8>(), 0..400), text in "\\PC{0,60}") {
        let _ = parse_bytes("random", &bytes).map_err(|d| d.iter().map(|d| d.pretty().len()).sum::<usize>());
        let _ = parse_exec(&text);
    }

    #[test]
    fn mutated_files_never_panic(
        file in 0..FILES.len(),
        edits in vec((any::<prop::sample::Index>(), select(vec!["\n", " ", "x", "0", "\t", "no ", "!", "^C", "\u{e9}", "99999999999"])), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut text = FILES[file].1.as_bytes().to_vec();
        for (at, insert) in &edits {
            let at = at.index(text.len());
            text.splice(at..at, insert.bytes());
        }
        let cut = cut.index(text.len());
        text.drain(cut..(cut + 3).min(text.len()));
        match parse_bytes("mutated", &text) {
            Ok(parsed) => prop_assert_eq!(good(&print(&parsed.config)), parsed.config),
            Err(diagnostics) => prop_assert!(diagnostics.iter().all(|d| d.pretty().contains("mutated:"))),
        }
    }
}
