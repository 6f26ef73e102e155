//! The reference document's tables, before the failover, after it and after the return: what its routers printed is
//! what ours print, but for addresses of memory, SPIs, counts and times.

use espalier::drive::simulated::{Options, run};
use espalier::measure::recording::Recording;
use espalier::scenario::{Changes, Scenario};
use espalier_control::ios::parse_exec;
use espalier_wire::{Duration, Instant};

/// Before, in the outage, after it, and after the return.
const WHEN: [u64; 4] = [110, 122, 200, 390];

/// What `router` answers to `command` at each of [`WHEN`], in the built-in scenario of that name.
fn answers(scenario: &str, router: &str, command: &str) -> Vec<String> {
    let exec = parse_exec(command).unwrap_or_else(|d| panic!("{}", d.pretty()));
    let at = |s: &u64| (Instant::ZERO + Duration::from_s(*s), router.to_owned(), command.to_owned(), exec);
    let scenario = Scenario::load(scenario, &Changes::default()).unwrap();
    let options = Options { shows: WHEN.iter().map(at).collect(), ..Options::default() };
    run(&scenario, options).unwrap().shows.into_iter().map(|shown| shown.text).collect()
}

/// The lines without their indentation, runs of blanks made one.
fn has(text: &str, line: &str) -> bool {
    let words = |l: &str| l.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().any(|l| words(l).starts_with(&words(line)))
}

fn expect(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(has(text, line), "no `{line}` in\n{text}");
    }
}

#[test]
fn the_inner_router_follows_the_active_gateway() {
    let routes = answers("hsrp-ipsec", "7206-1", "show ip route");
    let always = [
        "99.0.0.0/32 is subnetted, 1 subnets",
        "C 99.99.99.99 is directly connected, Loopback0",
        "C 10.1.1.0 is directly connected, FastEthernet0/1",
    ];
    for text in &routes {
        expect(text, &always);
    }
    expect(
        &routes[0],
        &[
            "20.0.0.0/24 is subnetted, 1 subnets",
            "O E2 20.1.1.0 [110/20] via 10.1.1.1,",
            "172.16.0.0/28 is subnetted, 1 subnets",
            "O E2 172.16.172.64 [110/20] via 10.1.1.1,",
            "[110/20] via 10.1.1.2,",
        ],
    );
    assert!(!routes[1].contains("20.1.1.0"), "nobody is active: {}", routes[1]);
    expect(
        &routes[2],
        &["O E2 20.1.1.0 [110/20] via 10.1.1.2,", "O E2 172.16.172.64 [110/20] via 10.1.1.2,"],
    );
    assert!(!routes[2].contains("via 10.1.1.1,"), "{}", routes[2]);
    expect(&routes[3], &["O E2 20.1.1.0 [110/20] via 10.1.1.1,"]);
}

#[test]
fn the_active_gateway_has_the_injected_route_and_the_other_one_learns_it() {
    let injected = "S 20.1.1.0 [1/0] via 172.16.172.69";
    let first = answers("hsrp-ipsec", "7204VXR-1", "show ip route");
    expect(
        &first[0],
        &[
            "O 99.99.99.99 [110/2] via 10.1.1.3,",
            injected,
            "172.16.0.0/28 is subnetted, 2 subnets",
            "C 172.16.172.48 is directly connected, FastEthernet0/0",
            "S 172.16.172.64 [1/0] via 172.16.172.49",
        ],
    );
    expect(&first[2], &["O E2 20.1.1.0 [110/20] via 10.1.1.2,", "O E2 172.16.172.64 [110/20] via 10.1.1.2,"]);
    assert!(!has(&first[2], injected), "{}", first[2]);
    expect(&first[3], &[injected]);
    let second = answers("hsrp-ipsec", "7204VXR-2", "show ip route");
    expect(&second[0], &["O E2 20.1.1.0 [110/20] via 10.1.1.1,"]);
    expect(&second[2], &[injected]);
    expect(&second[3], &["O E2 20.1.1.0 [110/20] via 10.1.1.1,"]);
    let cef = answers("hsrp-ipsec", "7204VXR-1", "show ip cef 20.1.1.0 detail");
    expect(
        &cef[0],
        &[
            "20.1.1.0/24, version",
            "via 172.16.172.69, 0 dependencies, recursive",
            "next hop 172.16.172.49, FastEthernet0/0 via 172.16.172.64/28",
            "valid cached adjacency",
        ],
    );
}

#[test]
fn standby_is_as_printed() {
    let common = [
        "FastEthernet0/0 - Group 1",
        "Virtual IP address is 172.16.172.53",
        "Local virtual MAC address is 0000.0c07.ac01 (v1 default)",
        "Hello time 3 sec, hold time 10 sec",
        "Preemption enabled",
        "IP redundancy name is \"VPNHA\" (cfgd)",
    ];
    let first = answers("hsrp-ipsec", "7204VXR-1", "show standby");
    let second = answers("hsrp-ipsec", "7204VXR-2", "show standby");
    for text in first.iter().chain(&second) {
        expect(text, &common);
    }
    for text in [&first[0], &first[3]] {
        expect(
            text,
            &[
                "State is Active",
                "Active virtual MAC address is 0000.0c07.ac01",
                "Active router is local",
                "Standby router is 172.16.172.54, priority 100 (expires in",
                "Priority 200 (configured 200)",
                "Track interface FastEthernet0/1 state Up decrement 150",
            ],
        );
    }
    expect(
        &first[2],
        &[
            "State is Init (interface down)",
            "Active virtual MAC address is unknown",
            "Active router is unknown",
            "Standby router is unknown",
        ],
    );
    expect(
        &second[0],
        &[
            "State is Standby",
            "Active router is 172.16.172.52, priority 200 (expires in",
            "Standby router is local",
            "Priority 100 (default 100)",
            "Track interface FastEthernet1/0 state Up decrement 10",
        ],
    );
    expect(
        &second[2],
        &["State is Active", "2 state changes,", "Active router is local", "Standby router is unknown"],
    );
    expect(&second[3], &["State is Standby", "Active router is 172.16.172.52, priority 200"]);
}

#[test]
fn the_tracked_interface_is_as_printed() {
    let track = answers("hsrp-ipsec", "7204VXR-1", "show track");
    expect(
        &track[0],
        &[
            "Track 1 (via HSRP)",
            "Interface FastEthernet0/1 line-protocol",
            "Line protocol is Up",
            "Tracked by:",
            "HSRP FastEthernet0/0 1",
        ],
    );
}

#[test]
fn phase_1_and_the_sas_are_as_printed() {
    let detail = answers("hsrp-ipsec", "7204VXR-1", "show crypto isakmp sa detail");
    let row = |text: &String| {
        let words = "1 172.16.172.53 172.16.172.69 des md5 psk 1 23:59:";
        has(text, words) && text.contains("Connection-id:Engine-id =  1:1(software)")
    };
    assert!(row(&detail[0]), "{}", detail[0]);
    assert!(!detail[2].contains("172.16.172.69"), "its phase 1 went with its link: {}", detail[2]);
    let second = answers("hsrp-ipsec", "7204VXR-2", "show crypto isakmp sa detail");
    assert!(second[2].contains("172.16.172.69"), "{}", second[2]);
    let remote = answers("hsrp-ipsec", "vpn7200", "show crypto isakmp sa");
    expect(&remote[0], &["172.16.172.53 172.16.172.69 QM_IDLE 1 0"]);
    assert!(remote[2].contains("QM_IDLE"), "{}", remote[2]);
    for (router, when) in [("7204VXR-1", 0), ("7204VXR-2", 2)] {
        let sa = answers("hsrp-ipsec", router, "show crypto ipsec sa");
        expect(
            &sa[when],
            &[
                "interface: FastEthernet0/0",
                "Crypto map tag: vpn, local addr. 172.16.172.53",
                "local ident (addr/mask/prot/port): (99.99.99.99/255.255.255.255/0/0)",
                "remote ident (addr/mask/prot/port): (20.1.1.0/255.255.255.0/0/0)",
                "current_peer: 172.16.172.69:500",
                "PERMIT, flags={origin_is_acl,}",
                "local crypto endpt.: 172.16.172.53, remote crypto endpt.: 172.16.172.69",
                "path mtu 1500, media mtu 1500",
                "transform: esp-des esp-md5-hmac ,",
                "in use settings ={Tunnel, }",
                "slot: 0, conn id: 2000, flow_id: 1, crypto map: vpn",
                "replay detection support: Y",
                // The other line of the access list has no traffic, and no SAs.
                "local ident (addr/mask/prot/port): (10.1.1.0/255.255.255.0/0/0)",
                "current outbound spi: 0",
            ],
        );
    }
}

/// What is printed on `router` in the order of the document; other lines may stand between.
fn in_order(run: &Recording, router: &str, lines: &[&str]) {
    let node = run.nodes.iter().position(|n| n == router).unwrap();
    let of = run.events.iter().filter(|e| usize::from(e.node.0) == node).map(|e| e.event.text.as_str());
    let mut printed = of.clone();
    for line in lines {
        assert!(printed.any(|p| p == *line), "`{line}` is not printed by {router}, or not in its place");
    }
}

/// The first gateway, as its interface is shut down and comes back behind a port that does not forward yet.
const FIRST_GATEWAY: &[&str] = &[
    "HSRP: Fa0/0 API Software interface going down",
    "HSRP: Fa0/0 API Software interface going down",
    "HSRP: Fa0/0 Interface down",
    "HSRP: Fa0/0 Grp 1 Active: b/HSRP disabled",
    "HSRP: Fa0/0 Grp 1 Active router is unknown, was local",
    "HSRP: Fa0/0 Grp 1 Standby router is unknown, was 172.16.172.54",
    "HSRP: Fa0/0 Grp 1 Active -> Init",
    "%HSRP-6-STATECHANGE: FastEthernet0/0 Grp 1 state Active -> Init",
    "HSRP: Fa0/0 Grp 1 Redundancy \"VPNHA\" state Active -> Init",
    "%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer 172.16.172.69:500 Id: 172.16.172.69",
    "HSRP: Fa0/0 Grp 1 Redundancy enquiry for VPNHA succeeded",
    "HSRP: Fa0/0 API Add active HSRP addresses to ARP table",
    "%LINK-5-CHANGED: Interface FastEthernet0/0, changed state to administratively down",
    "HSRP: API Hardware state change",
    "%LINEPROTO-5-UPDOWN: Line protocol on Interface FastEthernet0/0, changed state to down",
    "HSRP: Fa0/0 API 172.16.172.52 is not an HSRP address",
    "HSRP: Fa0/0 API MAC address update",
    "HSRP: Fa0/0 API Software interface coming up",
    "%LINK-3-UPDOWN: Interface FastEthernet0/0, changed state to up",
    "HSRP: API Hardware state change",
    "HSRP: Fa0/0 API Software interface coming up",
    "%LINEPROTO-5-UPDOWN: Line protocol on Interface FastEthernet0/0, changed state to up",
    "HSRP: Fa0/0 Interface up",
    "HSRP: Fa0/0 Starting minimum interface delay (1 secs)",
    "HSRP: Fa0/0 Interface min delay expired",
    "HSRP: Fa0/0 Grp 1 Init: a/HSRP enabled",
    "HSRP: Fa0/0 Grp 1 Init -> Listen",
    "HSRP: Fa0/0 Grp 1 Redundancy \"VPNHA\" state Init -> Backup",
    "HSRP: Fa0/0 Grp 1 Listen: c/Active timer expired (unknown)",
    "HSRP: Fa0/0 Grp 1 Listen -> Speak",
    "HSRP: Fa0/0 Grp 1 Speak: d/Standby timer expired (unknown)",
    "HSRP: Fa0/0 Grp 1 Standby router is local",
    "HSRP: Fa0/0 Grp 1 Speak -> Standby",
    "HSRP: Fa0/0 Grp 1 Standby: c/Active timer expired (unknown)",
    "HSRP: Fa0/0 Grp 1 Active router is local",
    "HSRP: Fa0/0 Grp 1 Standby router is unknown, was local",
    "HSRP: Fa0/0 Grp 1 Standby -> Active",
    "%HSRP-6-STATECHANGE: FastEthernet0/0 Grp 1 state Standby -> Active",
    "HSRP: Fa0/0 Grp 1 Active: i/Resign rcvd (100/172.16.172.54)",
    "HSRP: Fa0/0 Grp 1 Redundancy group VPNHA state Active -> Active",
    "HSRP: Fa0/0 Grp 1 Standby router is 172.16.172.54",
];

#[test]
fn the_debug_lines_are_the_documents() {
    let scenario = Scenario::load("document-log", &Changes::default()).unwrap();
    let run = run(&scenario, Options::default()).unwrap();
    in_order(&run, "7204VXR-1", FIRST_GATEWAY);
    in_order(
        &run,
        "7204VXR-2",
        &[
            "HSRP: Fa0/0 Grp 1 Standby: c/Active timer expired (172.16.172.52)",
            "HSRP: Fa0/0 Grp 1 Active router is local, was 172.16.172.52",
            "HSRP: Fa0/0 Grp 1 Standby router is unknown, was local",
            "%HSRP-6-STATECHANGE: FastEthernet0/0 Grp 1 state Standby -> Active",
            "HSRP: Fa0/0 Grp 1 Redundancy \"VPNHA\" state Standby -> Active",
            "IPSEC(rte_mgr): VPN Route Added 20.1.1.0 255.255.255.0 via 172.16.172.69 in IP DEFAULT TABLE",
            "HSRP: Fa0/0 Grp 1 Active router is 172.16.172.52, was local",
            "%HSRP-6-STATECHANGE: FastEthernet0/0 Grp 1 state Active -> Speak",
            "IPSEC(rte_mgr): VPN Route Removed 20.1.1.0 255.255.255.0 via 172.16.172.69 in IP DEFAULT TABLE",
            "HSRP: Fa0/0 Grp 1 Speak: d/Standby timer expired (unknown)",
            "HSRP: Fa0/0 Grp 1 Speak -> Standby",
        ],
    );
}

#[test]
fn without_inside_traffic_the_keepalives_find_out_in_the_documents_words() {
    let scenario = Scenario::load("remote-only", &Changes::default()).unwrap();
    let run = run(&scenario, Options::default()).unwrap();
    in_order(
        &run,
        "vpn7200",
        &[
            "ISAKMP (0:1): incrementing error counter on sa: PEERS_ALIVE_TIMER",
            "ISAKMP (0:1): incrementing error counter on sa: PEERS_ALIVE_TIMER",
            "ISAKMP (0:1): incrementing error counter on sa: PEERS_ALIVE_TIMER",
            "ISAKMP (0:1): incrementing error counter on sa: PEERS_ALIVE_TIMER",
            "ISAKMP (0:1): incrementing error counter on sa: PEERS_ALIVE_TIMER",
            "ISAKMP (0:1): peer not responding!",
            "ISAKMP (0:1): peer does paranoid keepalives.",
            "ISAKMP (0:1): phase 1 going away; let's be paranoid.",
            "ISAKMP (0:1): Bring down phase 2's",
            "IPSEC(key_engine): got a queue event...",
            "IPSEC(key_engine_delete_sas): rec'd delete notify from ISAKMP",
            "IPSEC(key_engine_delete_sas): delete all SAs shared with 172.16.172.53",
            "IPSEC(delete_sa): deleting SA,",
        ],
    );
}
