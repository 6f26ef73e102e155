//! Keepalives, INITIAL-CONTACT, DELETE, INVALID-SPI: how one end learns that the other has changed.

use espalier_wire::random::Random;
use espalier_wire::{Duration, Spi};

use super::super::*;
use super::harness::*;

fn watched(seed: u64) -> World {
    let c = Config { keepalive: Some(Keepalive::every(Duration::from_s(10))), ..config() };
    let mut w = World::new([c.clone(), c], [entry(0), entry(1)], seed);
    w.need(1);
    w.s(1);
    assert!(w.both_carry());
    w
}

#[test]
fn answered_keepalives_change_nothing() {
    let mut w = watched(1);
    let before = w.sent.len();
    w.s(100);
    assert!(w.both_carry());
    let exchanged = w.sent.len() - before;
    assert_eq!(exchanged, 40, "ten questions and ten answers each way");
}

#[test]
fn a_dead_peer_is_noticed_within_ten_to_twenty_seconds() {
    let mut seen = Vec::new();
    for seed in 0..50 {
        let mut w = watched(seed);
        w.s(37);
        w.fate = Box::new(|_, _| Vec::new());
        let cut = w.now;
        while w.downs[1].is_empty() {
            w.run(Duration::from_ms(10));
        }
        let took = w.now - cut;
        assert!((9_990..=20_010).contains(&took.as_ms()), "{took}");
        assert_eq!(w.downs[1], [Why::PeerDead]);
        assert!(w.planes[1].inbound.is_empty() && w.planes[1].outbound.is_empty());
        seen.push(took.as_ms());
    }
    let spread = seen.iter().max().unwrap() - seen.iter().min().unwrap();
    assert!(spread > 6000, "seeds spread the outage: {spread} ms");
}

#[test]
fn the_last_lines_are_the_documents() {
    let mut w = watched(1);
    w.s(5);
    w.fate = Box::new(|_, _| Vec::new());
    w.lines[1].clear();
    w.s(25);
    let lines: Vec<_> =
        w.lines[1].iter().filter(|l| !l.contains("purging node")).map(String::as_str).collect();
    let sending = "ISAKMP (0:1): sending packet to 172.16.172.53 (I) QM_IDLE";
    let counter = "ISAKMP (0:1): incrementing error counter on sa: PEERS_ALIVE_TIMER";
    let start = lines.iter().position(|l| *l == counter).unwrap() - 1;
    let expect = [
        sending,
        counter,
        sending,
        counter,
        sending,
        counter,
        sending,
        counter,
        sending,
        counter,
        "ISAKMP (0:1): peer not responding!",
        "ISAKMP (0:1): peer does paranoid keepalives.",
        "",
        "ISAKMP (0:1): phase 1 going away; let's be paranoid.",
        "ISAKMP (0:1): Bring down phase 2's",
        "ISAKMP (0:1): That phase 1 was the last one of its kind.",
        "    Taking phase 2's with us.",
        "ISAKMP (0:1): peer does paranoid keepalives.",
        "",
        "ISAKMP (0:1): deleting SA reason \"P1 errcounter exceeded (PEERS_ALIVE_TIMER)\" state (I) QM_IDLE (peer 172.16.172.53) input queue 0",
        "IPSEC(key_engine): got a queue event...",
        "IPSEC(key_engine_delete_sas): rec'd delete notify from ISAKMP",
        "IPSEC(key_engine_delete_sas): delete all SAs shared with 172.16.172.53",
        "IPSEC(delete_sa): deleting SA,",
        "  (sa) sa_dest= 172.16.172.69, sa_prot= 50,",
    ];
    assert_eq!(lines[start..start + expect.len()], expect);
    let tail = [
        "ISAKMP (0:1): sending packet to 172.16.172.53 (I) MM_NO_STATE",
        "ISAKMP (0:1): peer does paranoid keepalives.",
    ];
    assert!(tail.iter().all(|t| lines[start..].contains(t)));
    let down = "%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer 172.16.172.53:500 Id: 172.16.172.53";
    assert!(lines.contains(&down));
}

#[test]
fn a_router_that_comes_anew_clears_the_peers_old_sas_by_initial_contact() {
    let mut w = watched(1);
    let old: Vec<Spi> = w.planes[1].inbound.keys().copied().collect();
    w.ikes[0] = Ike::new(w.ikes[0].config().clone(), Random::from_seed(99));
    w.planes[0] = Plane::default();
    w.event(0, Event::EntryUp(Box::new(entry(0))));
    w.need(0);
    w.run(Duration::from_ms(20));
    assert!(w.both_carry());
    assert_eq!(w.downs[1], [Why::InitialContact]);
    assert!(old.iter().all(|spi| !w.planes[1].inbound.contains_key(spi)));
    assert_eq!(w.ikes[1].phase1_count(), (1, 0));
    w.s(60);
    assert!(w.both_carry(), "the new SAs are not taken for old ones");
}

#[test]
fn an_entry_taken_away_tells_the_peer_from_its_own_address() {
    let mut w = watched(1);
    w.event(0, Event::EntryDown { policy: POLICY, notify: true });
    w.s(1);
    assert_eq!((&w.downs[0][..], &w.downs[1][..]), (&[Why::Withdrawn][..], &[Why::Deleted][..]));
    assert_eq!((w.ikes[0].phase1_count(), w.ikes[1].phase1_count()), ((0, 0), (0, 0)));
    assert!(w.planes.iter().all(|p| p.inbound.is_empty() && p.outbound.is_empty()));
}

#[test]
fn an_entry_taken_away_in_silence_sends_nothing() {
    let mut w = watched(1);
    let before = w.sent.len();
    w.event(0, Event::EntryDown { policy: POLICY, notify: false });
    assert_eq!(w.sent.len(), before);
    assert!(w.planes[0].inbound.is_empty());
}

#[test]
fn shutdown_and_clear_tell_everybody() {
    for event in [Event::Shutdown, Event::ClearSa] {
        let mut w = watched(1);
        w.event(0, event);
        w.s(1);
        assert_eq!(w.downs[1], [Why::Deleted]);
        assert_eq!(w.ikes[1].phase1_count(), (0, 0));
    }
}

#[test]
fn an_unknown_spi_is_answered_when_there_is_a_phase1() {
    let mut w = watched(1);
    let spi = w.planes[1].outbound[&POLICY].spi;
    let before = w.sent.len();
    for _ in 0..100 {
        w.event(0, Event::UnknownSpi { spi, src: B, dst: A });
    }
    assert_eq!(w.sent.len(), before + 1, "told once");
    w.s(1);
    assert_eq!(w.downs[1], [Why::InvalidSpi]);
}

#[test]
fn invalid_spi_recovery_negotiates() {
    let c = Config { invalid_spi_recovery: true, ..config() };
    let mut w = World::new([c, config()], [entry(0), entry(1)], 1);
    w.event(0, Event::UnknownSpi { spi: Spi(4711), src: B, dst: A });
    w.s(1);
    assert!(w.both_carry());
}
