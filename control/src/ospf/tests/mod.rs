//! Whole machines against one another on a simulated LAN.

mod lan;
mod tables;

use espalier_wire::{Duration, IfIndex, RouterId};
use proptest::prelude::*;

use super::*;
use lan::{LAN, Lan, STATIC, Trouble, addr, config, net};

/// The document's LAN with its static routes, settled.
fn settled(seed: u64) -> Lan {
    let mut lan = Lan::document(seed);
    for n in [1, 2] {
        lan.event(n, Event::Redistribute { prefix: net("172.16.172.64/28"), route: STATIC });
    }
    lan.event(1, Event::Redistribute { prefix: net("20.1.1.0/24"), route: STATIC });
    lan.run(61);
    lan
}

const BEFORE: [&str; 2] =
    ["20.1.1.0/24 [110/20] via 10.1.1.1", "172.16.172.64/28 [110/20] via 10.1.1.1 10.1.1.2"];

#[test]
fn the_documents_lan_settles_in_61_seconds_with_the_documents_routes() {
    let lan = settled(1);
    assert_eq!(lan.table(3), BEFORE);
    assert_eq!(
        lan.table(2),
        [
            "20.1.1.0/24 [110/20] via 10.1.1.1",
            "99.99.99.99/32 [110/2] via 10.1.1.3",
            "172.16.172.64/28 [110/20] via 10.1.1.1"
        ]
    );
    assert_eq!(
        lan.table(1),
        ["99.99.99.99/32 [110/2] via 10.1.1.3", "172.16.172.64/28 [110/20] via 10.1.1.2"]
    );
    lan.assert_same_databases();
    let state = |n: u8| lan.nodes[&n].ospf.interface_state(LAN);
    assert_eq!(
        [1, 2, 3].map(state),
        [InterfaceState::DrOther, InterfaceState::Backup, InterfaceState::Designated].map(Some)
    );
    let line = lan.nodes[&3].traces.iter().find_map(|(_, t)| t.syslog(1, |_| "FastEthernet0/1".to_owned()));
    let expected = "on FastEthernet0/1 from LOADING to FULL, Loading Done";
    assert!(line.as_ref().is_some_and(|l| l.starts_with("%OSPF-5-ADJCHG: Process 1, Nbr 10.1.1.") && l.ends_with(expected)), "{line:?}");
}

#[test]
fn a_withdrawn_route_is_gone_and_a_new_one_there_within_milliseconds() {
    let mut lan = settled(2);
    let start = lan.now;
    lan.event(1, Event::Withdraw { prefix: net("20.1.1.0/24") });
    lan.run(1);
    assert_eq!(lan.table(3), BEFORE[1..], "flushed at once, computed at once");
    lan.event(2, Event::Redistribute { prefix: net("20.1.1.0/24"), route: STATIC });
    lan.run(1);
    assert_eq!(lan.table(3), ["20.1.1.0/24 [110/20] via 10.1.1.2", BEFORE[1]]);
    let spf = |(at, t): &&(Instant, Trace)| *at > start && matches!(t, Trace::Spf { .. });
    assert_eq!(lan.nodes[&3].traces.iter().filter(spf).count(), 0, "no SPF for an external route");
    // Back within MinLSInterval of nothing: the first router's LSA begins anew.
    lan.event(2, Event::Withdraw { prefix: net("20.1.1.0/24") });
    lan.event(1, Event::Redistribute { prefix: net("20.1.1.0/24"), route: STATIC });
    lan.run(8);
    assert_eq!(lan.table(3), BEFORE);
    lan.assert_same_databases();
}

#[test]
fn a_silent_router_is_noticed_by_its_dead_interval_and_spf() {
    let mut lan = settled(3);
    lan.run(5);
    lan.nodes.remove(&1);
    lan.run(29);
    assert_eq!(lan.table(3), BEFORE, "not before 30 s");
    lan.run(17);
    assert_eq!(
        lan.table(3),
        ["172.16.172.64/28 [110/20] via 10.1.1.2"],
        "dead interval 40 s, then SPF after 5 s"
    );
}

#[test]
fn an_orderly_end_needs_no_dead_interval() {
    let mut lan = settled(4);
    lan.event(1, Event::Shutdown);
    lan.run(1);
    assert_eq!(lan.table(3), ["172.16.172.64/28 [110/20] via 10.1.1.2"]);
    lan.run(15);
    lan.nodes.remove(&1);
    lan.assert_same_databases();
    assert!(lan.database(3).iter().all(|h| h.key.router != RouterId(addr(1))), "nothing of it is left");
}

#[test]
fn a_router_that_restarts_outbids_its_older_life() {
    let mut lan = settled(5);
    // Newer instances than a first life's beginning: the restarted router begins at the initial sequence number.
    lan.nodes.remove(&1);
    lan.run(3);
    lan.boot(1, config(1));
    lan.run(120);
    lan.assert_same_databases();
    assert!(lan.nodes[&1].traces.iter().any(|(_, t)| matches!(t, Trace::Reclaimed { .. })));
    // Its route of the older life is not wanted any more, and was flushed.
    assert_eq!(lan.table(3), ["172.16.172.64/28 [110/20] via 10.1.1.2"]);
    assert_eq!(
        lan.table(1),
        ["99.99.99.99/32 [110/2] via 10.1.1.3", "172.16.172.64/28 [110/20] via 10.1.1.2"]
    );
}

#[test]
fn lsas_are_refreshed_and_never_die_while_their_router_lives() {
    let mut lan = settled(6);
    lan.run(2 * 3600);
    assert_eq!(lan.table(3), BEFORE);
    lan.assert_same_databases();
    let sequence = lan.database(1).iter().map(|h| h.sequence).min();
    assert!(
        sequence >= Some(espalier_wire::ospf::INITIAL_SEQUENCE + 3),
        "refreshed every 30 minutes: {sequence:?}"
    );
}

#[test]
fn an_idle_lan_ticks_for_hellos_and_refreshes_alone() {
    let mut lan = settled(7);
    lan.run(60);
    let before = lan.sent;
    lan.run(1000);
    let hellos = 3 * 2 * 1000 / 9;
    assert!(lan.sent - before <= hellos + 20, "{} packets", lan.sent - before);
}

#[test]
fn a_bigger_mtu_keeps_the_adjacency_in_exstart_and_is_counted() {
    let mut lan = Lan::new(8);
    let mut big = config(2);
    big.interfaces.get_mut(&LAN).unwrap().mtu = 9000;
    lan.boot(1, config(1));
    lan.boot(2, big);
    lan.run(100);
    assert_eq!(lan.nodes[&1].ospf.neighbour_state(LAN, addr(2)), Some(NeighbourState::ExStart));
    assert!(lan.nodes[&1].ospf.discards(LAN).any(|(d, n)| d == Discard::Mtu && n > 3));
}

#[test]
fn routers_that_disagree_are_no_neighbours_and_it_is_counted() {
    type Change = fn(&mut InterfaceConfig);
    let cases: [(Change, Discard); 5] = [
        (|i| i.hello_interval = 5, Discard::HelloInterval),
        (|i| i.dead_interval = 30, Discard::DeadInterval),
        (|i| i.area = AreaId(Ipv4Addr::new(0, 0, 0, 1)), Discard::Area),
        (|i| i.address = net("10.1.1.2/25"), Discard::Mask),
        (|i| i.auth = espalier_wire::ospf::Auth::simple(b"cisco"), Discard::Authentication),
    ];
    for (change, reason) in cases {
        let mut lan = Lan::new(9);
        let mut other = config(2);
        change(other.interfaces.get_mut(&LAN).unwrap());
        lan.boot(1, config(1));
        lan.boot(2, other);
        lan.run(30);
        assert_eq!(lan.nodes[&1].ospf.neighbour_state(LAN, addr(2)), None, "{reason:?}");
        assert!(lan.nodes[&1].ospf.discards(LAN).any(|(d, n)| d == reason && n > 2), "{reason:?}");
    }
}

#[test]
fn keyed_md5_carries_an_adjacency() {
    let mut lan = Lan::new(10);
    for n in 1..=2 {
        let mut config = config(n);
        config.interfaces.get_mut(&LAN).unwrap().auth = espalier_wire::ospf::Auth::md5(1, b"secret");
        lan.boot(n, config);
    }
    lan.run(60);
    assert_eq!(lan.nodes[&1].ospf.neighbour_state(LAN, addr(2)), Some(NeighbourState::Full));
}

#[test]
fn a_forwarding_address_is_given_where_the_next_hop_is_on_an_ospf_network() {
    let mut lan = settled(11);
    let route = Redistributed { next_hop: Some(addr(2)), ..STATIC };
    lan.event(1, Event::Redistribute { prefix: net("10.48.66.0/23"), route });
    lan.run(1);
    assert_eq!(lan.table(3)[0], "10.48.66.0/23 [110/20] via 10.1.1.2", "straight there, not by way of .1");
}

#[test]
fn several_areas_are_refused() {
    let mut two = config(3);
    two.interfaces.get_mut(&lan::LOOPBACK).unwrap().area = AreaId(Ipv4Addr::new(0, 0, 0, 7));
    let error = Ospf::new(two, Random::from_seed(0)).err().unwrap();
    assert!(matches!(error, Error::SeveralAreas(..)), "{error}");
}

#[test]
fn one_seed_gives_one_run() {
    let traces = |seed| settled(seed).nodes.into_values().map(|n| n.traces).collect::<Vec<_>>();
    assert_eq!(traces(12), traces(12));
    assert_ne!(traces(12), traces(13));
}

#[test]
fn an_interface_that_flaps_comes_back() {
    let mut lan = settled(14);
    lan.event(3, Event::InterfaceDown { iface: LAN });
    lan.run(11);
    assert!(lan.table(3).is_empty(), "{:?}", lan.table(3));
    lan.event(3, Event::InterfaceUp { iface: LAN });
    lan.run(90);
    assert_eq!(lan.table(3), BEFORE);
    lan.assert_same_databases();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn loss_doubling_and_reordering_delay_but_do_not_prevent(seed: u64) {
        let mut lan = Lan::document(seed);
        lan.trouble = Trouble { lost: 15, doubled: 10, delayed: 20 };
        for n in [1, 2] {
            lan.event(n, Event::Redistribute { prefix: net("172.16.172.64/28"), route: STATIC });
        }
        lan.event(1, Event::Redistribute { prefix: net("20.1.1.0/24"), route: STATIC });
        lan.run(120);
        lan.trouble = Trouble::default();
        lan.run(90);
        prop_assert_eq!(lan.table(3), BEFORE);
        lan.assert_same_databases();
    }

    #[test]
    fn mutated_packets_neither_panic_nor_tear_an_adjacency_down(
        seed in 0u64..4, edits in proptest::collection::vec((any::<u16>(), 1u8..=254), 1..40),
    ) {
        let mut lan = settled(seed);
        // The router's own hello, changed at one place at a time, which the checksum always sees.
        let mut actions = Vec::new();
        lan.nodes.get_mut(&2).unwrap().ospf.send_hello(LAN);
        lan.nodes.get_mut(&2).unwrap().ospf.finish(&mut actions);
        let packets: Vec<_> = actions.into_iter().filter_map(|a| match a {
            Action::Send { payload, .. } => Some(payload),
            Action::Routes(_) | Action::JoinAllDRouters { .. } | Action::Trace(_) => None,
        }).collect();
        prop_assert_eq!(packets.len(), 1);
        for (at, value) in edits {
            let mut payload = packets[0].clone();
            // The authentication field (16 to 24) is no part of the checksum.
            let at = 24 + usize::from(at) % (payload.len() - 24);
            payload[at] ^= value;
            lan.event(1, Event::Packet { iface: LAN, src: addr(2), dst: addr(1), payload });
            prop_assert_eq!(lan.nodes[&1].ospf.neighbour_state(LAN, addr(2)), Some(NeighbourState::Full));
        }
    }

    #[test]
    fn hostile_packets_with_good_checksums_never_panic(
        kind in 1u8..6, body in proptest::collection::vec(any::<u8>(), 0..120), seed in 0u64..2,
    ) {
        let mut lan = settled(seed);
        let mut payload = vec![2, kind, 0, (24 + body.len()) as u8, 10, 1, 1, 2];
        payload.resize(24, 0);
        payload.extend_from_slice(&body);
        let sum = espalier_wire::checksum::checksum(&payload);
        payload[12..14].copy_from_slice(&sum.to_be_bytes());
        lan.event(1, Event::Packet { iface: LAN, src: addr(2), dst: addr(1), payload });
        lan.run(100);
        prop_assert_eq!(lan.table(3), BEFORE);
    }
}

#[test]
fn deadlines_are_in_the_future_once_timers_ran() {
    let mut lan = settled(15);
    for node in lan.nodes.values_mut() {
        let mut actions = Vec::new();
        let at = node.ospf.next_deadline().unwrap() + Duration::from_ms(1);
        node.ospf.timer(at, &mut actions);
        assert!(node.ospf.next_deadline().unwrap() > at);
    }
    assert_eq!(lan.nodes[&1].ospf.interface_state(IfIndex(9)), None);
}
