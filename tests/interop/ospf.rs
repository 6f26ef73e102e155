//! OSPF with FRR: adjacency, routes both ways, the end of either, and equal databases on both sides.

use std::collections::BTreeSet;

use espalier_tests::attached::Attached;
use espalier_tests::frr::{self, Frr};
use espalier_tests::namespaces::{Net, Space, no_namespaces, within};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{PROGRAM, case};

pub(super) fn cases() -> Vec<Trial> {
    let absent = frr::missing().or_else(no_namespaces);
    let all: [(&str, fn()); 7] = [
        ("not designated: routes both ways, withdrawn, the databases equal", not_designated),
        ("designated: the databases equal, and again after FRR died and came back", designated),
        ("our router killed: FRR's dead timer", killed),
        ("our router leaves in order: flushed at once", leaves),
        ("authentication: a password", || authenticated(SIMPLE, "authentication-key")),
        ("authentication: MD5", || authenticated(MD5, "message-digest-key 7 md5")),
        ("a bigger MTU there: no adjacency, and both say why", mtu),
    ];
    all.into_iter().map(|(name, test)| case("ospf", name, absent.as_ref(), test)).collect()
}

/// Ours at 10.1.1.1, a router with a static route to 20.1.1.0/24 behind it.
fn ours(lan: &str) -> String {
    format!(
        "hostname ours\n\
         interface Loopback0\n ip address 1.1.1.1 255.255.255.255\n\
         interface FastEthernet0/0\n ip address 10.1.1.1 255.255.255.0\n ip ospf hello-interval 1\n \
         ip ospf dead-interval 4\n ip ospf retransmit-interval 2\n{lan}\
         router ospf 1\n redistribute static subnets\n network 10.1.1.0 0.0.0.255 area 0\n \
         network 1.1.1.1 0.0.0.0 area 0\n\
         ip route 20.1.1.0 255.255.255.0 10.1.1.9\nip route 30.1.1.0 255.255.255.0 10.1.1.9\nend\n"
    )
}

/// FRR's at 10.1.1.3, a loopback and a static route behind it.
fn theirs(lan: &str) -> String {
    format!(
        "ip route 50.1.1.0/24 Null0\n\
         interface e0\n ip ospf hello-interval 1\n ip ospf dead-interval 4\n ip ospf retransmit-interval 2\n{lan}\
         router ospf\n ospf router-id 99.99.99.99\n network 10.1.1.0/24 area 0\n network 99.99.99.99/32 area 0\n \
         redistribute static\n"
    )
}

struct Lan {
    // Dropped in this order: who runs in the namespaces goes before them.
    ours: Option<Attached>,
    frr: Frr,
    space: Space,
    _net: Net,
}

/// Both on one wire, and a switched-on router each.
fn lan(our_lan: &str, their_lan: &str) -> Lan {
    let mut net = Net::new();
    let (us, them) = (net.space("us"), net.space("them"));
    net.wire((&us, "e0"), (&them, "e0"));
    them.address("e0", "10.1.1.3/24");
    them.address("lo", "99.99.99.99/32");
    let ours = start(&us, our_lan);
    let frr = Frr::start(&them, &theirs(their_lan));
    Lan { ours: Some(ours), frr, space: us, _net: net }
}

fn start(space: &Space, lan: &str) -> Attached {
    Attached::start(
        PROGRAM,
        space,
        &ours(lan),
        &["FastEthernet0/0=e0"],
        &["--profile", "frr", "--debug", "ospf"],
    )
}

impl Lan {
    fn ours(&mut self) -> &mut Attached {
        self.ours.as_mut().unwrap()
    }

    /// FRR's word for its neighbour's state, such as `Full/DR`.
    fn state(&self) -> String {
        let all = self.frr.json("show ip ospf neighbor");
        all["neighbors"]["1.1.1.1"][0]["nbrState"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether FRR has a route to a prefix from OSPF.
    fn they_route(&self, prefix: &str) -> bool {
        let routes = self.frr.json(&format!("show ip route {prefix}"));
        let all = routes[prefix].as_array().map_or(&[][..], Vec::as_slice);
        all.iter().any(|r| r["protocol"] == "ospf" && r["selected"] == true)
    }

    /// Whether ours has a line of a route.
    fn we_route(&mut self, line: &str) -> bool {
        self.ours().ask("show ip route").lines().any(|l| l.starts_with(line))
    }

    fn becomes(&mut self, theirs: &str, ours: &str) {
        let full = within(30, || {
            let shown = self.ours().ask("show ip ospf neighbor");
            self.state().starts_with(theirs) && shown.contains(ours)
        });
        let shown = self.ours().ask("show ip ospf neighbor");
        assert!(full, "{} there, here:\n{shown}\n{}", self.state(), self.frr.log());
    }

    /// Whether both have the same LSAs: type's order aside, id, router, sequence number and checksum of each.
    fn same_database(&mut self) -> Result<(), String> {
        let here = our_database(&self.ours().ask("show ip ospf database"));
        let mut there = BTreeSet::new();
        their_database(&self.frr.json("show ip ospf database"), &mut there);
        if here == there && here.len() >= 6 { Ok(()) } else { Err(format!("{here:#?}\n{there:#?}")) }
    }

    fn becomes_equal(&mut self) {
        let equal = within(30, || self.same_database().is_ok());
        assert!(equal, "{:?}", self.same_database());
    }
}

/// An LSA's id, router, sequence number and checksum.
type Lsa = (String, String, u32, u32);

fn our_database(text: &str) -> BTreeSet<Lsa> {
    let lsa = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(words.get(at)?.strip_prefix("0x")?, 16).ok();
        Some((words.first()?.to_string(), words.get(1)?.to_string(), number(3)?, number(4)?))
    };
    text.lines().filter_map(lsa).collect()
}

fn their_database(value: &Value, found: &mut BTreeSet<Lsa>) {
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let number = |name: &str| u32::from_str_radix(value[name].as_str()?, 16).ok();
    if let (Some(id), Some(router), Some(sequence), Some(checksum)) =
        (text("lsId"), text("advertisedRouter"), number("sequenceNumber"), number("checksum"))
    {
        // FRR keeps what was flushed until its own walk over MaxAge LSAs.
        if value["lsaAge"].as_u64() < Some(3600) {
            found.insert((id, router, sequence, checksum));
        }
    }
    match value {
        Value::Array(all) => all.iter().for_each(|v| their_database(v, found)),
        Value::Object(all) => all.values().for_each(|v| their_database(v, found)),
        _ => {}
    }
}

fn not_designated() {
    let mut lan = lan(" ip ospf priority 0\n", "");
    lan.becomes("Full/DROther", "FULL/DR");
    // E2 with metric 20 there, and the loopback as a host of cost 10 + 1 or 10.
    assert!(within(30, || lan.they_route("30.1.1.0/24") && lan.they_route("1.1.1.1/32")));
    assert!(lan.they_route("20.1.1.0/24"));
    let external = lan.frr.json("show ip ospf route")["30.1.1.0/24"].clone();
    assert_eq!(
        (external["routeType"].as_str(), external["tag"].as_u64()),
        (Some("N E2"), Some(0)),
        "{external}"
    );
    assert!(within(30, || lan.we_route("O E2    50.1.1.0") || lan.we_route("O E2 50.1.1.0")));
    assert!(lan.ours().ask("show ip route").contains("99.99.99.99"));
    lan.becomes_equal();
    // Withdrawn here, gone there; announced again, there again.
    lan.ours().configure("no ip route 20.1.1.0 255.255.255.0 10.1.1.9");
    assert!(within(30, || !lan.they_route("20.1.1.0/24")), "{}", lan.frr.log());
    lan.ours().configure("ip route 20.1.1.0 255.255.255.0 10.1.1.9");
    assert!(within(30, || lan.they_route("20.1.1.0/24")));
    // And the other way round.
    lan.frr.configure(&["no ip route 50.1.1.0/24 Null0", "ip route 51.1.1.0/24 Null0"]);
    assert!(within(30, || !lan.ours().ask("show ip route").contains("50.1.1.0")));
    assert!(within(30, || lan.ours().ask("show ip route").contains("51.1.1.0")));
    lan.becomes_equal();
    let ended = lan.ours.take().unwrap().end();
    assert_eq!(ended.lost("malformed") + ended.lost("checksum"), 0);
}

fn designated() {
    let mut lan = lan(" ip ospf priority 200\n", " ip ospf priority 1\n");
    lan.becomes("Full/DR", "FULL/BDR");
    assert!(within(30, || lan.they_route("20.1.1.0/24")));
    lan.becomes_equal();
    lan.frr.restart();
    // Its Hello names nobody: 1-way here at once, long before the dead timer.
    lan.becomes("Full/DR", "FULL/BDR");
    assert!(within(30, || lan.they_route("20.1.1.0/24")));
    assert!(within(30, || lan.ours().ask("show ip route").contains("50.1.1.0")));
    lan.becomes_equal();
    // The link goes and comes.
    lan.space.link("e0", false);
    assert!(within(30, || lan
        .ours()
        .said("Line protocol on Interface FastEthernet0/0, changed state to down")));
    assert!(within(30, || !lan.ours().ask("show ip route").contains("50.1.1.0")));
    lan.space.link("e0", true);
    lan.becomes("Full", "FULL");
    lan.becomes_equal();
}

fn killed() {
    let mut lan = lan("", "");
    lan.becomes("Full", "FULL");
    assert!(within(30, || lan.they_route("20.1.1.0/24")));
    lan.ours.take().unwrap().kill();
    // Nobody said goodbye: what was routed that way is, until the neighbour is dead.
    assert!(within(30, || !lan.they_route("20.1.1.0/24")), "{}", lan.frr.log());
    assert_eq!(lan.state(), "", "{}", lan.frr.log());
    lan.ours = Some(start(&lan.space.clone(), ""));
    lan.becomes("Full", "FULL");
    assert!(within(30, || lan.they_route("20.1.1.0/24")));
    lan.becomes_equal();
}

fn leaves() {
    let mut lan = lan("", "");
    lan.becomes("Full", "FULL");
    assert!(within(30, || lan.they_route("20.1.1.0/24")));
    lan.becomes_equal();
    let ended = lan.ours.take().unwrap().end();
    assert_eq!(ended.report["ended"], "SIGTERM");
    assert!(within(30, || !lan.they_route("20.1.1.0/24")), "{}", lan.frr.log());
    // FRR keeps them until its own MaxAge walk; what counts is their age.
    let left = lan.frr.ask("show ip ospf database");
    let ours = left.lines().filter(|l| l.split_whitespace().nth(1) == Some("1.1.1.1"));
    assert!(ours.clone().all(|l| l.contains(" 3600 ")), "{left}");
    assert_eq!(ended.count("e0", "_ws.malformed || ip.checksum.status == \"Bad\""), 0);
    assert!(ended.count("e0", "ospf.msg == 4 && ospf.advrouter == 1.1.1.1 && ospf.lsa.age == 3600") > 0);
}

/// Under the interface, of either: the two have one language here.
const SIMPLE: &str = " ip ospf authentication\n ip ospf authentication-key sesame\n";
const MD5: &str = " ip ospf authentication message-digest\n ip ospf message-digest-key 7 md5 sesame\n";

fn authenticated(lines: &str, key: &str) {
    let mut lan = lan(lines, lines);
    lan.becomes("Full", "FULL");
    assert!(within(30, || lan.they_route("20.1.1.0/24")));
    // Killed and back at once: its sequence numbers must not run backwards, or FRR waits for its dead timer.
    lan.ours.take().unwrap().kill();
    lan.ours = Some(start(&lan.space.clone(), lines));
    lan.becomes("Full", "FULL");
    lan.becomes_equal();
    // Another key here: both notice, and it is over.
    lan.ours()
        .configure(&format!("interface FastEthernet0/0\n no ip ospf {key} sesame\n ip ospf {key} barley"));
    assert!(within(30, || !lan.ours().ask("show ip ospf neighbor").contains("FULL")));
    assert!(within(30, || !lan.state().starts_with("Full")), "{}", lan.state());
    lan.ours()
        .configure(&format!("interface FastEthernet0/0\n no ip ospf {key} barley\n ip ospf {key} sesame"));
    lan.becomes("Full", "FULL");
}

fn mtu() {
    let mut lan = lan(" ip mtu 1400\n", "");
    assert!(within(30, || lan.ours().said("MTU") || lan.state().starts_with("Exchange")));
    assert!(!within(4, || lan.state().starts_with("Full")), "{}", lan.state());
    lan.ours().configure("interface FastEthernet0/0\n ip mtu 1500");
    lan.becomes("Full", "FULL");
}
