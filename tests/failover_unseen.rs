//! Networks that nobody has seen: other names, addresses and timers, two protected flows, other transforms. Their
//! outages fall where their timers put them, and what their captures show is what the JSON says.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use espalier::drive::simulated::{Options, run};
use espalier::measure::figures::Figures;
use espalier::measure::recording::Recording;
use espalier::scenario::{Changes, Scenario};
use espalier_tests::{Scratch, packets};

/// What differs between the networks.
struct Network {
    profile: &'static str,
    /// HSRP's, in seconds.
    hello: f64,
    hold: f64,
    timers: &'static str,
    policy: &'static str,
    transforms: &'static str,
    entry: &'static str,
    /// Of the gateways' redistribution and of their map: `reverse-route`.
    reverse_route: &'static str,
}

const RED: Network = Network {
    profile: "ios-12.3",
    hello: 2.0,
    hold: 7.0,
    timers: "2 7",
    policy: " encr 3des\n hash sha\n group 2\n",
    transforms: "esp-3des esp-sha-hmac",
    entry: "",
    reverse_route: "reverse-route",
};

const BLUE: Network = Network {
    profile: "ios-15",
    hello: 0.4,
    hold: 1.5,
    timers: "msec 400 msec 1500",
    policy: " encr aes 256\n hash sha256\n group 14\n",
    transforms: "esp-aes 256 esp-sha256-hmac",
    entry: " set pfs group14\n",
    reverse_route: "reverse-route static",
};

impl Network {
    fn crypto(&self, peer: &str, reverse_route: &str) -> String {
        let Self { policy, transforms, entry, .. } = self;
        format!(
            "crypto isakmp policy 10\n{policy} authentication pre-share\ncrypto isakmp key s3cret address {peer}\n\
             crypto isakmp keepalive 20 3\ncrypto ipsec transform-set ts {transforms}\n\
             crypto map cm 5 ipsec-isakmp\n set peer {peer}\n set transform-set ts\n{entry} match address vpn\n\
             {reverse_route}"
        )
    }

    fn gateway(&self, name: &str, n: u8, priority: u8) -> String {
        let crypto = self.crypto("198.51.100.2", &format!(" {}\n", self.reverse_route));
        format!(
            "hostname {name}\n{crypto}interface GigabitEthernet0/2\n ip address 192.0.2.{n} 255.255.255.0\n \
             standby 7 ip 192.0.2.1\n standby 7 timers {}\n standby 7 priority {priority}\n standby 7 preempt\n \
             standby 7 name RED\n crypto map cm redundancy RED\ninterface GigabitEthernet0/1\n \
             ip address 10.20.0.{n} 255.255.255.0\nrouter ospf 10\n redistribute static subnets\n \
             network 10.20.0.0 0.0.0.255 area 0\nip route 198.51.100.0 255.255.255.0 192.0.2.254\n\
             ip access-list extended vpn\n permit ip 10.30.1.0 0.0.0.255 10.40.1.0 0.0.0.255\n \
             permit ip 10.30.2.0 0.0.0.255 10.40.2.0 0.0.0.255\n",
            self.timers
        )
    }

    fn remote(&self) -> String {
        let crypto = self.crypto("192.0.2.1", "");
        format!(
            "hostname branch\n{crypto}interface Loopback1\n ip address 10.40.1.1 255.255.255.0\ninterface Loopback2\n \
             ip address 10.40.2.1 255.255.255.0\ninterface Ethernet0\n ip address 198.51.100.2 255.255.255.0\n \
             crypto map cm\nip route 0.0.0.0 0.0.0.0 198.51.100.1\nip access-list extended vpn\n \
             permit ip 10.40.1.0 0.0.0.255 10.30.1.0 0.0.0.255\n permit ip 10.40.2.0 0.0.0.255 10.30.2.0 0.0.0.255\n"
        )
    }

    fn files(&self, scratch: &Scratch, come_back: bool) -> String {
        scratch.file("edge-a.cfg", self.gateway("edge-a", 11, 150));
        scratch.file("edge-b.cfg", self.gateway("edge-b", 12, 120));
        scratch.file("branch.cfg", self.remote());
        scratch.file(
            "isp.cfg",
            "hostname isp\ninterface Ethernet0\n ip address 192.0.2.254 255.255.255.0\ninterface Ethernet1\n \
             ip address 198.51.100.1 255.255.255.0\n",
        );
        scratch.file(
            "core.cfg",
            "hostname core\ninterface Loopback1\n ip address 10.30.1.1 255.255.255.0\ninterface Loopback2\n \
             ip address 10.30.2.1 255.255.255.0\ninterface Ethernet0\n ip address 10.20.0.99 255.255.255.0\n\
             router ospf 3\n network 10.20.0.0 0.0.0.255 area 0\n network 10.30.0.0 0.0.255.255 area 0\n",
        );
        let mut text = format!("name = \"unseen\"\nduration = \"{}s\"\n", if come_back { 220 } else { 150 });
        for router in ["edge-a", "edge-b", "isp", "branch", "core"] {
            text += &format!("[[router]]\nconfig = \"{router}.cfg\"\nprofile = \"{}\"\n", self.profile);
        }
        for (name, ports) in [
            ("wan", "\"edge-a:GigabitEthernet0/2\", \"edge-b:GigabitEthernet0/2\", \"isp:Ethernet0\""),
            ("lan", "\"edge-a:GigabitEthernet0/1\", \"edge-b:GigabitEthernet0/1\", \"core:Ethernet0\""),
            ("far", "\"isp:Ethernet1\", \"branch:Ethernet0\""),
        ] {
            text += &format!("[[segment]]\nname = \"{name}\"\nattach = [{ports}]\ndelay = \"80us\"\n");
        }
        for n in [1, 2] {
            for (name, from, to) in [("out", "core", "branch"), ("in", "branch", "core")] {
                text += &format!(
                    "[[traffic]]\nname = \"{name}-{n}\"\nfrom = \"{from}:Loopback{n}\"\nto = \"{to}:Loopback{n}\"\n\
                     kind = \"udp\"\nrate = \"50pps\"\nsize = 120\nstart = \"80s\"\n"
                );
            }
        }
        text += &fault(100.37, "shutdown");
        if come_back {
            text += &fault(151.21, "no-shutdown");
        }
        scratch.file("unseen.toml", text).to_string_lossy().into_owned()
    }
}

fn fault(at: f64, action: &str) -> String {
    format!("[[fault]]\nat = \"{at}s\"\naction = \"{action}\"\ntarget = \"edge-a:GigabitEthernet0/2\"\n")
}

fn play(path: &str, seed: u64, out: Option<&std::path::Path>) -> (Recording, Figures) {
    let changes = Changes { seed: Some(seed), ..Changes::default() };
    let scenario = Scenario::load(path, &changes).unwrap_or_else(|m| panic!("{m}"));
    let recording = run(&scenario, Options { out, ..Options::default() }).unwrap();
    let figures = Figures::of(&recording);
    (recording, figures)
}

/// Flooding, negotiation and twice the time between two packets of a flow.
const SLACK: f64 = 0.15;
/// `standby delay minimum`.
const MINIMUM_DELAY: f64 = 1.0;

fn windows(network: &Network) {
    let scratch = Scratch::new();
    let path = network.files(&scratch, true);
    for seed in 1..=12 {
        let (_, run) = play(&path, seed, None);
        assert_eq!(run.check(), Ok(()), "seed {seed}");
        assert_eq!(run.flows.len(), 4);
        for flow in &run.flows {
            assert!(flow.recovered, "seed {seed} {}", flow.name);
            let failover = flow.outages.iter().find(|o| o.kind == "failover");
            let tbm = failover.and_then(|o| o.tbm_s).unwrap_or_else(|| panic!("seed {seed} {}", flow.name));
            // The last Hello was at most `hello` before the fault.
            let window = network.hold - network.hello..=network.hold + SLACK;
            assert!(window.contains(&tbm), "seed {seed} {}: {tbm}", flow.name);
            for o in flow.outages.iter().filter(|o| o.kind == "reversion") {
                let at = o.start_s - run.faults[1].at_s;
                let window = MINIMUM_DELAY..=MINIMUM_DELAY + network.hello + SLACK;
                assert!(window.contains(&at) && o.lost <= 4, "seed {seed} {}: {at} {}", flow.name, o.lost);
            }
        }
    }
}

#[test]
fn outages_of_the_first_fall_where_its_timers_put_them() {
    windows(&RED);
}

#[test]
fn outages_of_the_second_fall_where_its_timers_put_them() {
    windows(&BLUE);
}

const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Source, destination, protocol and payload of an IPv4 packet without options.
fn ip(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, u8, &[u8])> {
    let addr = |at: usize| Some(Ipv4Addr::from(*packet.get(at..)?.first_chunk::<4>()?));
    (packet.first()? == &0x45).then_some(())?;
    Some((addr(12)?, addr(16)?, *packet.get(9)?, packet.get(20..)?))
}

fn capture_agrees(network: &Network) {
    let scratch = Scratch::new();
    let path = network.files(&scratch, false);
    let out = scratch.path("out");
    std::fs::create_dir_all(&out).unwrap();
    let (_, run) = play(&path, 5, Some(&out));
    let struck = run.faults[0].at_s;
    let active = run.phases.iter().find(|p| p.milestone == "active" && p.node == "edge-b").unwrap().at_s;
    let wan = packets(&out.join("wan.pcapng"));
    let seconds = |ns: u64| ns as f64 / 1e9;
    // The first Hello that says Active: opcode 0 in state 16 (RFC 2281 section 5.1), UDP port 1985.
    let hello = wan.iter().find(|(at, packet)| {
        seconds(*at) > struck
            && ip(packet).is_some_and(|(src, _, protocol, udp)| {
                let hsrp = udp.get(8..).unwrap_or_default();
                src == Ipv4Addr::new(192, 0, 2, 12)
                    && protocol == 17
                    && udp.get(2..4) == Some(&1985u16.to_be_bytes())
                    && hsrp.get(1..3) == Some(&[0, 16])
            })
    });
    let hello = seconds(hello.unwrap().0);
    assert!((hello - active).abs() < 0.001, "the JSON says {active}, the capture {hello}");
    // ESP towards the virtual address: the SPIs from before the fault, still used after it.
    let esp = |packet: &[u8]| {
        let (_, dst, protocol, payload) = ip(packet)?;
        (dst == VIRTUAL && protocol == 50).then_some(*payload.first_chunk::<4>()?)
    };
    let spis = |after: bool| {
        wan.iter().filter(move |(at, _)| (seconds(*at) > struck) == after).filter_map(move |(_, p)| esp(p))
    };
    let old: BTreeSet<[u8; 4]> = spis(false).collect();
    assert_eq!(old.len(), 2, "an SA for each protected flow");
    let late = spis(true).filter(|spi| old.contains(spi)).count() as u64;
    let lost = run.losses.iter().filter(|l| l.flow.starts_with("in-"));
    let dead = lost
        .filter(|l| matches!((l.node.as_str(), l.cause), ("wan", "no-station") | ("edge-b", "unknown-spi")));
    let dead: u64 = dead.map(|l| l.lost).sum();
    assert_eq!(late, dead, "packets on the old SPIs: in the capture, and in the losses");
    assert!(late as f64 > 2.0 * 50.0 * (network.hold - network.hello - 1.0), "{late}");
}

#[test]
fn the_captures_say_what_the_json_says() {
    capture_agrees(&RED);
    capture_agrees(&BLUE);
}
