//! The table's choice among routes: distance, metric, equal paths, recursion, withdrawal.

use super::*;

fn prefix(text: &str) -> Ipv4Prefix {
    text.parse().unwrap()
}

fn via(text: &str) -> Hop {
    Hop { via: Some(text.parse().unwrap()), iface: None }
}

const OUTSIDE: IfIndex = IfIndex(0);
const INSIDE: IfIndex = IfIndex(1);

fn head_end() -> Rib {
    let mut rib = Rib::default();
    let networks = [("172.16.172.48/28", OUTSIDE), ("10.1.1.0/24", INSIDE)];
    rib.set_connected(networks.map(|(p, i)| (prefix(p), i)).into());
    rib.add_static(prefix("172.16.172.64/28"), via("172.16.172.49"), 1);
    rib.add_static(prefix("20.1.1.0/24"), via("172.16.172.69"), 1);
    rib
}

fn names(iface: IfIndex) -> String {
    format!("FastEthernet0/{}", iface.0)
}

#[test]
fn a_reverse_route_is_found_through_the_static_one() {
    let mut rib = head_end();
    assert_eq!(rib.update(Instant::ZERO).len(), 4);
    let gateway: Ipv4Addr = "172.16.172.49".parse().unwrap();
    assert_eq!(rib.way("20.1.1.1".parse().unwrap()), Some((OUTSIDE, gateway)));
    assert_eq!(rib.way("8.8.8.8".parse().unwrap()), None);
    // The link goes, and with it everything that led there.
    rib.set_connected([(prefix("10.1.1.0/24"), INSIDE)].into());
    let gone = rib.update(Instant::ZERO);
    assert!(gone.iter().all(|c| c.new.is_none()));
    assert_eq!(gone.len(), 3);
}

#[test]
fn distance_then_metric_then_sharing() {
    let mut rib = head_end();
    let hop = |a: &str| NextHop { iface: INSIDE, via: Some(a.parse().unwrap()) };
    let route = |next_hops| ospf::Route {
        prefix: prefix("20.1.1.0/24"),
        kind: PathKind::E2,
        metric: 20,
        forward_metric: 1,
        tag: 0,
        next_hops,
    };
    rib.ospf(vec![ospf::RouteChange::Set(route(vec![hop("10.1.1.1"), hop("10.1.1.2")]))]);
    rib.update(Instant::ZERO);
    let of = |rib: &Rib| rib.lookup("20.1.1.1".parse().unwrap()).unwrap().1.line(prefix("20.1.1.0/24"));
    assert_eq!(of(&rib), "S 20.1.1.0/24 [1/0] via 172.16.172.69");
    rib.remove_static(prefix("20.1.1.0/24"), via("172.16.172.69"));
    rib.update(Instant::ZERO);
    assert_eq!(of(&rib), "O E2 20.1.1.0/24 [110/20] via 10.1.1.1, via 10.1.1.2");
    rib.add_static(prefix("20.1.1.0/24"), via("172.16.172.69"), 200);
    assert_eq!(rib.update(Instant::ZERO), [], "a floating static route waits");
}

#[test]
fn static_routes_in_a_circle_lead_nowhere() {
    let mut rib = head_end();
    rib.add_static(prefix("30.0.0.0/8"), via("40.0.0.1"), 1);
    rib.add_static(prefix("40.0.0.0/8"), via("30.0.0.1"), 1);
    rib.add_static(prefix("50.0.0.0/8"), via("50.0.0.1"), 1);
    rib.update(Instant::ZERO);
    for addr in ["30.0.0.9", "40.0.0.9", "50.0.0.9"] {
        assert_eq!(rib.way(addr.parse().unwrap()), None, "{addr}");
    }
}

#[test]
fn shown_as_the_document_has_it() {
    let mut rib = head_end();
    rib.update(Instant::ZERO);
    let text = rib.show_route(Instant::ZERO, None, &names);
    let table = text.split_once("is not set\n\n").unwrap().1;
    let expected = "     10.0.0.0/24 is subnetted, 1 subnets
C       10.1.1.0 is directly connected, FastEthernet0/1
     20.0.0.0/24 is subnetted, 1 subnets
S       20.1.1.0 [1/0] via 172.16.172.69
     172.16.0.0/28 is subnetted, 2 subnets
C       172.16.172.48 is directly connected, FastEthernet0/0
S       172.16.172.64 [1/0] via 172.16.172.49
";
    assert_eq!(table, expected);
}

#[test]
fn the_version_of_a_prefix_is_that_of_its_latest_change() {
    let mut rib = head_end();
    let shown = |rib: &Rib, of: &str| {
        let text = rib.show_cef(Some(prefix(of)), true, &names, &|_, _| None);
        text.lines().next().unwrap().to_owned()
    };
    rib.update(Instant::ZERO);
    assert_eq!(shown(&rib, "10.1.1.0/24"), "10.1.1.0/24, version 1, epoch 0, attached, connected");
    let reverse = "20.1.1.0/24, version 2, epoch 0, cached adjacency 172.16.172.49";
    assert_eq!(shown(&rib, "20.1.1.0/24"), reverse);
    // Nothing changed, nothing counts; another prefix going and coming counts for it alone.
    rib.update(Instant::ZERO);
    assert_eq!(shown(&rib, "20.1.1.0/24"), reverse);
    rib.remove_static(prefix("20.1.1.0/24"), via("172.16.172.69"));
    rib.update(Instant::ZERO);
    rib.add_static(prefix("20.1.1.0/24"), via("172.16.172.69"), 1);
    rib.update(Instant::ZERO);
    assert_eq!(shown(&rib, "10.1.1.0/24"), "10.1.1.0/24, version 1, epoch 0, attached, connected");
    assert_eq!(shown(&rib, "20.1.1.0/24"), "20.1.1.0/24, version 6, epoch 0, cached adjacency 172.16.172.49");
}

#[test]
fn null0_needs_no_link_and_is_shown_as_ios_shows_it() {
    let mut rib = Rib::default();
    rib.add_static(prefix("10.0.0.0/8"), Hop { via: None, iface: Some(IfIndex::NULL) }, 1);
    rib.add_static(prefix("20.0.0.0/8"), via("10.9.9.9"), 1);
    let changes = rib.update(Instant::ZERO);
    let hops = vec![NextHop { iface: IfIndex::NULL, via: None }];
    for (change, net) in changes.iter().zip(["10.0.0.0/8", "20.0.0.0/8"]) {
        let told = Command::Route { prefix: Prefix::V4(prefix(net)), next_hops: hops.clone() };
        assert_eq!(change.command(|_| false), Some(told), "{net}");
    }
    let line = rib.lookup("10.1.1.1".parse().unwrap()).unwrap().1.line(prefix("10.0.0.0/8"));
    assert_eq!(line, "S 10.0.0.0/8 is directly connected, Null0");
    let names = |_: IfIndex| "Null0".to_owned();
    let text = rib.show_route(Instant::ZERO, None, &names);
    assert!(text.contains("\nS    10.0.0.0/8 is directly connected, Null0\n"), "{text}");
    rib.remove_static(prefix("10.0.0.0/8"), Hop { via: None, iface: Some(IfIndex::NULL) });
    assert_eq!(rib.update(Instant::ZERO).len(), 2, "and what it led to");
}
