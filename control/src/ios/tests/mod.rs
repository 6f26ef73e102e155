//! The whole way from text to model and back.

mod generated;

use espalier_wire::Transform;

use super::model::*;
use super::*;

const FILES: [(&str, &str); 5] = [
    ("vpn7200.cfg", include_str!("../../../../bench/scenarios/hsrp-ipsec/vpn7200.cfg")),
    ("7204VXR-1.cfg", include_str!("../../../../bench/scenarios/hsrp-ipsec/7204VXR-1.cfg")),
    ("7204VXR-2.cfg", include_str!("../../../../bench/scenarios/hsrp-ipsec/7204VXR-2.cfg")),
    ("7206-1.cfg", include_str!("../../../../bench/scenarios/hsrp-ipsec/7206-1.cfg")),
    ("provider.cfg", include_str!("../../../../bench/scenarios/hsrp-ipsec/provider.cfg")),
];

fn good(text: &str) -> Config {
    parse("r.cfg", text).map_or_else(|d| panic!("{}", pretty(&d)), |parsed| parsed.config)
}

/// The errors and warnings of `text`, one a line, with their help.
fn bad(text: &str) -> String {
    pretty(&parse("r.cfg", text).map_or_else(|d| d, |parsed| parsed.warnings))
}

fn pretty(diagnostics: &[Diagnostic]) -> String {
    let line =
        |d: &Diagnostic| format!("{d}{}", d.help.as_ref().map_or_else(String::new, |h| format!(" [{h}]")));
    diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn name(text: &str) -> InterfaceName {
    text.parse().unwrap()
}

#[test]
fn the_five_files_parse_without_a_diagnostic_and_print_back() {
    for (file, text) in FILES {
        let parsed = parse(file, text).unwrap_or_else(|d| panic!("{}", pretty(&d)));
        assert_eq!(parsed.warnings, [], "{file}");
        let printed = print(&parsed.config);
        assert_eq!(good(&printed), parsed.config, "{file}:\n{printed}");
        assert_eq!(print(&good(&printed)), printed);
        assert_eq!(format!("{}.cfg", parsed.config.hostname()), file);
    }
}

#[test]
fn the_active_router_of_the_document_says_what_it_says() {
    let config = good(FILES[1].1);
    let outside = config.interface(name("Fa0/0")).unwrap();
    let group = &outside.standby.groups[&1];
    assert_eq!((group.priority(), group.preempt), (200, Some(Preempt::default())));
    assert_eq!(group.tracks[0].target, TrackTarget::Interface(name("FastEthernet0/1")));
    assert_eq!((group.tracks[0].decrement(), group.hold().as_whole_s()), (150, 10));
    assert_eq!(&group.authentication(), b"cisco\0\0\0");
    let binding = outside.crypto_map.as_ref().unwrap();
    assert_eq!((binding.map.as_str(), binding.redundancy.as_deref()), ("vpn", Some("VPNHA")));
    assert_eq!((outside.duplex, outside.speed), (Some(Duplex::Full), Some(Speed::Mbps(100))));
    let policy = &config.isakmp.policies[&1];
    assert_eq!((policy.encryption(), policy.hash(), policy.group()), (Encryption::Des, Hash::Md5, Group(1)));
    assert_eq!((policy.authentication(), policy.lifetime_s()), (Authentication::PreShare, 86_400));
    assert_eq!(config.isakmp.key_for("172.16.172.69".parse().unwrap()).unwrap().key.bytes(), b"cisco123");
    assert_eq!(config.isakmp.keepalive.map(|k| (k.interval_s, k.retry_s())), Some((10, 2)));
    assert_eq!(config.transform_set("myset").unwrap().transform, Transform::DesMd5);
    let entry = &config.crypto_map("vpn").unwrap().entries[&10];
    assert!(entry.is_complete() && entry.reverse_route == Some(ReverseRoute::default()));
    let rule = config.access_list("101").unwrap().entries[1].rule;
    assert_eq!(rule.source.prefix().unwrap().to_string(), "99.99.99.99/32");
    assert_eq!(rule.destination.prefix().unwrap().to_string(), "20.1.1.0/24");
    assert!(config.ospf[&1].redistribute[0].subnets);
    assert_eq!(config.ospf[&1].area_of("10.1.1.1".parse().unwrap()), Some(Area(0)));
    let atm = config.interface(name("ATM1/0")).unwrap();
    assert!(atm.shutdown && config.index_of(atm.name).unwrap().0 == 2);
    assert!(
        config.ignored.iter().any(|i| i.context == "interface ATM1/0" && i.text == "no atm ilmi-keepalive")
    );
    assert!(config.ignored.iter().any(|i| i.context == "line con 0" && i.text == "exec-timeout 0 0"));
}

#[test]
fn layout_does_not_matter() {
    let (_, text) = FILES[2];
    let flat: String = text.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    assert_eq!(good(&flat), good(text));
    let tabs = text.replace("\n ", "\n\t").replace("set peer ", "set\tpeer   ").to_uppercase();
    assert_eq!(good(&tabs).interfaces.len(), 3);
    let pasted =
        format!("vpn7200#show run\nBuilding configuration...\n\nCurrent configuration : 1854 bytes\n{text}");
    assert_eq!(good(&pasted).interfaces, good(text).interfaces);
}

#[test]
fn abbreviations_are_taken_and_ambiguous_ones_are_not() {
    let long = "interface FastEthernet0/0\n ip address 10.0.0.1 255.255.255.0\n standby 1 ip 10.0.0.9\n \
                standby 1 priority 5\n";
    let short = "int fa 0/0\nip addr 10.0.0.1 255.255.255.0\nstandb 1 ip 10.0.0.9\nstan 1 prio 5\n";
    assert_eq!(good(short), good(long));
    assert_eq!(
        bad("interface Fa0/0\n s 1 ip\n").lines().next().unwrap(),
        "r.cfg:2:2: ambiguous: `s` abbreviates `serial`, `service-policy`, `shutdown`, `snmp`, `speed`, `standby` and `switchport`"
    );
    assert_eq!(
        bad("crypto i key k address 1.2.3.4"),
        "r.cfg:1:8: ambiguous: `i` abbreviates `ikev2`, `ipsec` and `isakmp`"
    );
}

#[test]
fn mistyped_commands_name_place_and_nearest_command() {
    for (text, message) in [
        (
            "hostnam a\nhostnmae b",
            "r.cfg:2:1: unknown command `hostnmae` [did you mean `hostname`? (hostname NAME)]",
        ),
        (
            "interface Fa0/0\n stanby 1 ip 10.0.0.1",
            "r.cfg:2:2: unknown command `stanby` [did you mean `standby`?",
        ),
        (
            "interface Fa0/0\n standby 1 priorty 10",
            "r.cfg:2:12: `priorty` does not fit behind `1` [did you mean `priority`? (standby [<0-4095>] priority <0-255> [preempt])]",
        ),
        ("interface Fa0/0\n standby 1 priority 256", "r.cfg:2:21: 256 is out of range: 0 to 255"),
        ("crypto isakmp keepalive 5", "r.cfg:1:25: 5 is out of range: 10 to 3600"),
        ("interface Fa0/0\n mtu 20", "r.cfg:2:6: 20 is out of range: 64 to 9216"),
        ("interface Fa0/0\n ip address 10.0.0.1 255.0.255.0", "r.cfg:2:22: 255.0.255.0 is no netmask"),
        ("interface Fa0/0\n ip address 10.0.0.256 255.0.0.0", "r.cfg:2:13: 10.0.0.256 is no IPv4 address"),
        (
            "interface Fa0/0\n ip address 10.0.0.0 255.0.0.0",
            "r.cfg:2:13: 10.0.0.0 is no host's address under this mask",
        ),
        (
            "interface Fa0/0\n standby 1 timers 3 3",
            "r.cfg:2:21: the hold time must be longer than the hello time",
        ),
        (
            "interface Banana0/0\n ip address 1.2.3.4 255.0.0.0",
            "r.cfg:1:11: `Banana0/0` is no interface name",
        ),
        (
            "standby 1 ip 10.0.0.1",
            "r.cfg:1:1: `standby` is no command of this mode [it belongs under `interface`]",
        ),
        ("interface Fa0/0\n ip address 1.2.3.4", "r.cfg:2:20: incomplete command: MASK expected"),
        ("ip route 10.1.1.1 255.255.255.0 10.0.0.1", "r.cfg:1:10: 10.1.1.1 has host bits under its mask"),
        ("ip nat inside", "r.cfg:1:1: `ip nat inside` is IOS, but not modelled here"),
        ("access-list 101", "r.cfg:1:1: incomplete command: `permit` or `deny` expected"),
        ("access-list 101 permit ip any", "r.cfg:1:30: incomplete command"),
        ("access-list 101 permit icmp any eq 5 any", "r.cfg:1:36: icmp has no ports: tcp or udp"),
        ("no access-list 101 permit ip any", "r.cfg:1:33: incomplete command"),
        ("no", "r.cfg:1:1: incomplete command"),
        ("banner motd ^C\nhello", "r.cfg:1:1: the banner is never ended"),
    ] {
        let found = bad(text);
        assert!(found.starts_with(message), "{text}\n{found}");
        assert_eq!(found.lines().count(), 1, "{found}");
    }
}

#[test]
fn every_error_of_a_file_is_reported() {
    let found = bad(
        "interfac Fa0/0\n bogus\n ip addres 1.2.3.4\nhostname r\nrouter ospf 0\n network x\nfrobnicate\n",
    );
    let lines: Vec<&str> = found.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["r.cfg:2:2:", "r.cfg:3:19:", "r.cfg:5:13:", "r.cfg:7:1:"], "{found}");
}

#[test]
fn what_is_mentioned_must_be_there() {
    let base = "interface Fa0/0\n ip address 10.0.0.1 255.255.255.0\n";
    for (text, message) in [
        (" crypto map vpn\n", "r.cfg:3:13: crypto map vpn is not defined"),
        (
            " standby 1 ip 10.0.0.1\n",
            "r.cfg:3:2: 10.0.0.1 is the interface's own address: HSRP needs another",
        ),
        (" standby 1 ip 10.0.1.1\n", "r.cfg:3:2: 10.0.1.1 is in no subnet of FastEthernet0/0"),
        (
            " standby 300 ip 10.0.0.9\n",
            "r.cfg:3:2: group 300 needs `standby version 2`: version 1 has 0 to 255",
        ),
        (
            " standby 1 ip 10.0.0.9\n standby 1 track Fa0/1\n",
            "r.cfg:4:2: there is no interface FastEthernet0/1",
        ),
        (" standby 1 ip 10.0.0.9\n standby 1 track 7\n", "r.cfg:4:2: track 7 is not defined"),
        (
            "interface Fa0/1\n ip address 10.0.0.1 255.255.255.0\n",
            "r.cfg:4:13: 10.0.0.1 is the address of FastEthernet0/0 already",
        ),
        (
            "interface Fa0/1\n ip address 10.0.0.2 255.255.255.0\n",
            "r.cfg:4:13: 10.0.0.2/24 overlaps with 10.0.0.1/24 of FastEthernet0/0",
        ),
        (
            " ip ospf hello-interval 9\n ip ospf dead-interval 9\n",
            "r.cfg:4:2: the dead interval (9 s) is not longer than the hello interval (9 s)",
        ),
    ] {
        assert_eq!(bad(&format!("{base}{text}")), message);
    }
    let crypto = "crypto isakmp policy 1\n authentication pre-share\ncrypto isakmp key k address 0.0.0.0 0.0.0.0\n\
                  crypto ipsec transform-set myset esp-des esp-md5-hmac\ncrypto map vpn 10 ipsec-isakmp\n set peer 1.2.3.4\n \
                  set transform-set myset\n match address 101\n\
                  access-list 101 permit ip 10.0.0.0 0.0.0.255 20.0.0.0 0.0.0.255\n";
    assert_eq!(bad(crypto), "");
    let with = |from: &str, to: &str| bad(&crypto.replace(from, to));
    assert_eq!(
        with("transform-set myset\n", "transform-set myst\n"),
        "r.cfg:7:20: transform set myst is not defined [did you mean `myset`?]"
    );
    assert_eq!(
        with("address 101", "address 102"),
        "r.cfg:8:16: access list 102 is not defined [did you mean `101`?]"
    );
    assert_eq!(
        with("0.0.0.255 20.0", "0.255.0.255 20.0"),
        "r.cfg:9:1: a wildcard with holes cannot be negotiated by IKE"
    );
    assert_eq!(with(" authentication pre-share\n", "").lines().count(), 1);
    let bound = format!("{crypto}{base} crypto map vpn redundancy HA\n");
    assert_eq!(bad(&bound), "r.cfg:12:17: the standby group named HA is not defined".replace(":17", ":13"));
}

#[test]
fn every_transform_has_ios_words_and_odd_combinations_are_refused() {
    for transform in Transform::ALL {
        let config = good(&format!("crypto ipsec transform-set t {}\n mode transport\n", transform.ios()));
        let set = config.transform_set("t").unwrap();
        assert_eq!((set.transform, set.mode()), (*transform, TransformMode::Transport));
    }
    for (words, transform) in [
        ("esp-aes 128 esp-sha-hmac", Transform::Aes128Sha1),
        ("esp-sha-hmac esp-3des", Transform::TripleDesSha1),
        ("esp-gcm", Transform::Aes128Gcm),
        ("esp-gmac", Transform::Aes128Gmac),
    ] {
        let config = good(&format!("crypto ipsec transform-set t {words}"));
        assert_eq!(config.transform_set("t").unwrap().transform, transform);
    }
    for words in [
        "esp-des",
        "esp-md5-hmac",
        "esp-des esp-aes",
        "esp-gcm 256 esp-sha-hmac",
        "esp-gmac 256",
        "esp-des esp-sha512-hmac",
    ] {
        let found = bad(&format!("crypto ipsec transform-set t {words}\n mode tunnel"));
        assert!(
            found.starts_with("r.cfg:1:30: `") && found.contains("is no transform of ESP here"),
            "{found}"
        );
    }
}

#[test]
fn lines_are_applied_all_or_none() {
    let mut config = good(FILES[1].1);
    let before = config.clone();
    config.apply("--set", Some("fa0/0"), "standby 1 timers 1 4\nshutdown").unwrap();
    let outside = config.interface(name("Fa0/0")).unwrap();
    assert!(outside.shutdown);
    assert_eq!(outside.standby.groups[&1].hello().as_whole_s(), 1);
    config.apply("--set", Some("FastEthernet0/0"), "no standby 1 timers\nno shutdown").unwrap();
    assert_eq!(config, before);

    let errors = config.apply("--set", None, "hostname x\ninterface Fa0/0\n no crypto mapp vpn").unwrap_err();
    assert_eq!(errors[0].to_string(), "--set:3:12: `mapp` does not fit behind `crypto`");
    assert_eq!(config, before);
    assert!(config.apply("--set", None, "no access-list 101").is_err(), "the crypto map needs it");
    let errors = config.apply("--set", Some("Fa9/9"), "shutdown").unwrap_err();
    assert_eq!(errors[0].message, "7204VXR-1 has no interface FastEthernet9/9");
    config.apply("--set", Some("router ospf 1"), "timers throttle spf 10 100 1000").unwrap();
    assert!(matches!(
        config.ospf[&1].timers,
        Some(OspfTimers::Throttle { start_ms: 10, hold_ms: 100, max_ms: 1000 })
    ));
    assert!(config.apply("--set", Some("hostname x"), "").is_err());
}

#[test]
fn no_takes_back_what_was_said() {
    let base = "hostname r\ninterface FastEthernet0/0\n ip address 10.0.0.1 255.255.255.0\n";
    for (said, taken) in [
        (
            "interface Fa0/0\n standby 1 ip 10.0.0.9\n standby 1 preempt delay minimum 60",
            "interface Fa0/0\n no standby 1",
        ),
        ("interface Fa0/0\n description a  b", "interface Fa0/0\n default description"),
        (
            "interface Fa0/0\n ip address 10.0.9.1 255.255.255.0 secondary",
            "interface Fa0/0\n no ip address 10.0.9.1 255.255.255.0 secondary",
        ),
        ("ip route 1.0.0.0 255.0.0.0 10.0.0.2 200 name x", "no ip route 1.0.0.0 255.0.0.0 10.0.0.2"),
        ("access-list 150 deny tcp any range 1 9 host 1.2.3.4 eq telnet established", "no access-list 150"),
        (
            "ip access-list extended L\n permit icmp any any echo\n 15 permit ip any any",
            "no ip access-list extended L",
        ),
        ("track 5 interface Fa0/0 line-protocol\n delay down 3 up 4", "no track 5"),
        ("router ospf 9\n passive-interface default\n no passive-interface Fa0/0", "no router ospf 9"),
        ("crypto isakmp keepalive 10 3 periodic", "no crypto isakmp keepalive"),
        (
            "crypto ipsec security-association replay window-size 1024",
            "no crypto ipsec security-association replay window-size",
        ),
        ("ip cef", "default ip cef"),
        ("line con 0\n exec-timeout 0 0", "no line con 0"),
        ("interface Lo7", "no interface Loopback 7"),
    ] {
        let mut config = good(base);
        let before = config.clone();
        config.apply("--set", None, said).unwrap();
        assert_ne!(config, before, "{said}");
        assert_eq!(good(&print(&config)), config, "{said}");
        config.apply("--set", None, taken).unwrap_or_else(|d| panic!("{}", pretty(&d)));
        assert_eq!(config, before, "{taken}");
    }
}
