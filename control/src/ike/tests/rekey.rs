//! Rekeys of both phases, by time and by volume, under each setting for old SAs.

use espalier_wire::Duration;
use espalier_wire::plane::{Direction, Expiry};

use super::super::*;
use super::harness::*;
use crate::profile::OldSas;

/// Run, and look all the time whether each side's packets are taken by the other.
fn always_carries(w: &mut World, seconds: u64) {
    for _ in 0..seconds * 10 {
        w.run(Duration::from_ms(100));
        assert!(w.both_carry(), "at {}", w.now);
    }
}

#[test]
fn phase2_is_replaced_before_its_end_and_never_both_at_once() {
    for old_sas in [OldSas::KeepUntilExpiry, OldSas::DeleteAfter(Duration::from_s(5)), OldSas::DeleteAtOnce] {
        let c = Config { old_sas, ..config() };
        let short = |side| Entry { seconds: 120, ..entry(side) };
        let mut w = World::new([c.clone(), c], [short(0), short(1)], 5);
        w.need(0);
        w.s(1);
        always_carries(&mut w, 1200);
        assert!((12..=16).contains(&w.ups[0]), "{} rekeys, {old_sas:?}", w.ups[0]);
        assert_eq!(w.ups[0], w.ups[1]);
        let kept = w.ikes[0].sas().count();
        assert!(kept <= 2, "{kept}");
    }
}

#[test]
fn phase1_is_replaced_and_phase2_does_not_notice() {
    let mut c = config();
    c.policies[0].lifetime = Duration::from_s(200);
    c.keepalive = Some(Keepalive::every(Duration::from_s(10)));
    let mut w = World::new([c.clone(), c], [entry(0), entry(1)], 5);
    w.need(1);
    w.s(1);
    always_carries(&mut w, 1000);
    assert_eq!(w.ups, [1, 1]);
    let (up, half) = w.ikes[0].phase1_count();
    assert!(up == 1 || up == 2, "{up} {half}");
}

#[test]
fn volume_starts_a_rekey_too() {
    let mut w = World::plain();
    w.need(0);
    w.s(1);
    let spi = w.planes[0].outbound[&POLICY].spi;
    let soft =
        |spi| Event::Expiry { policy: POLICY, spi, direction: Direction::Outbound, expiry: Expiry::Soft };
    w.event(0, soft(spi));
    w.event(0, soft(spi));
    w.s(1);
    assert_eq!(w.ups, [2, 2]);
    w.event(0, soft(spi));
    w.s(1);
    assert_eq!(w.ups, [2, 2], "the replaced one asks for nothing");
    let limits = w.planes[0].outbound[&POLICY].lifetime;
    let (soft, hard) = (limits.soft.bytes.unwrap(), limits.hard.bytes.unwrap());
    assert_eq!(hard - soft, 256 * 1024, "IOS: 256 kilobytes before the end");
    assert!(hard <= 4_608_000 * 1024);
}

#[test]
fn a_hard_end_without_successor_is_down_until_traffic_asks() {
    let mut w = World::new([config(), config()], [Entry { seconds: 120, ..entry(0) }, entry(1)], 5);
    w.need(0);
    w.s(1);
    w.fate = Box::new(|_, _| Vec::new());
    w.s(200);
    assert_eq!(w.downs, [vec![Why::Expired], vec![Why::Expired]]);
    assert!(w.planes.iter().all(|p| p.inbound.is_empty() && p.outbound.is_empty()));
}

#[test]
fn a_rekey_whose_third_message_is_lost_loses_nothing() {
    let short = |side| Entry { seconds: 300, ..entry(side) };
    for lost in 9..12 {
        let mut w = World::new([config(), config()], [short(0), short(1)], 5);
        w.fate = Box::new(move |n, _| if n == lost { Vec::new() } else { vec![DELAY] });
        w.need(0);
        w.s(1);
        always_carries(&mut w, 320);
    }
}

#[test]
fn simultaneous_rekeys_converge() {
    let short = |side| Entry { seconds: 200, ..entry(side) };
    let mut w = World::new([config(), config()], [short(0), short(1)], 5);
    w.need(0);
    w.s(1);
    for side in 0..2 {
        let spi = w.planes[side].outbound[&POLICY].spi;
        let direction = Direction::Outbound;
        w.event(side, Event::Expiry { policy: POLICY, spi, direction, expiry: Expiry::Soft });
    }
    always_carries(&mut w, 1000);
    assert!(w.ikes.iter().all(|i| i.sas().count() <= 2));
}
