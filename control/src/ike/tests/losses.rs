//! Each message lost, doubled, late; and a wire that is bad all the time.

use std::cell::RefCell;
use std::rc::Rc;

use espalier_wire::Duration;
use espalier_wire::random::Random;

use super::super::*;
use super::harness::*;

#[test]
fn each_message_may_be_lost() {
    for lost in 0..9 {
        let mut w = World::plain();
        w.fate = Box::new(move |n, _| if n == lost { Vec::new() } else { vec![DELAY] });
        w.need(0);
        // IOS repeats after ten seconds.
        w.run(Duration::from_ms(10_100));
        assert!(w.both_carry(), "message {lost}");
        w.s(300);
        assert!(w.both_carry() && w.ups == [1, 1], "message {lost}");
        assert!(w.downs.iter().all(Vec::is_empty));
    }
}

#[test]
fn each_message_may_come_twice_at_once_or_much_later() {
    for doubled in 0..9 {
        for late in [Duration::from_us(1100), Duration::from_ms(4), Duration::from_s(200)] {
            let mut w = World::plain();
            w.fate = Box::new(move |n, _| if n == doubled { vec![DELAY, late] } else { vec![DELAY] });
            w.need(0);
            w.s(400);
            assert!(w.both_carry(), "message {doubled} after {late}");
            assert_eq!(w.ikes[0].sas().count(), 1, "message {doubled} after {late}");
            assert_eq!(w.ikes[1].sas().count(), 1, "message {doubled} after {late}");
            assert_eq!(w.ups, [1, 1]);
        }
    }
}

#[test]
fn a_bad_wire_only_takes_longer() {
    for seed in 0..40 {
        let mut w = World::new([config(), config()], [entry(0), entry(1)], seed);
        let random = Rc::new(RefCell::new(Random::from_seed(seed).fork("wire")));
        w.fate = Box::new(move |_, _| {
            let mut r = random.borrow_mut();
            let copies = match r.below(10) {
                0 | 1 => 0,
                2 => 2,
                _ => 1,
            };
            (0..copies).map(|_| Duration::from_us(500 + r.below(3000))).collect()
        });
        for _ in 0..60 {
            w.need(0);
            w.need(1);
            w.s(5);
        }
        assert!(w.both_carry(), "seed {seed}");
    }
}

#[test]
fn silence_ends_after_five_copies() {
    let mut w = World::plain();
    w.fate = Box::new(|_, _| Vec::new());
    w.need(0);
    w.s(70);
    assert_eq!(w.sent.len(), 6, "the message and five copies");
    assert_eq!(w.failed[0], [espalier_wire::Cause::NoSa]);
    assert_eq!(w.ikes[0].phase1_count(), (0, 0));
    assert_eq!(w.ikes[0].next_deadline(), None);
    w.need(0);
    assert_eq!(w.sent.len(), 7, "traffic starts anew");
}

#[test]
fn an_offer_that_the_peers_has_overtaken_is_not_repeated() {
    let mut w = World::plain();
    let offers = Rc::new(RefCell::new(0));
    let count = Rc::clone(&offers);
    w.fate = Box::new(move |_, d| {
        // Exchange type and flags stand at 18 of the header (RFC 2408 section 3.1).
        let quick = d.payload.get(18) == Some(&32) && d.from == 0;
        *count.borrow_mut() += u32::from(quick);
        if quick && *count.borrow() == 1 { Vec::new() } else { vec![DELAY] }
    });
    w.need(0);
    w.run(Duration::from_ms(100));
    assert_eq!(*offers.borrow(), 1, "our offer is lost");
    w.need(1);
    w.s(60);
    assert!(w.both_carry() && w.ups == [1, 1], "{:?}", w.ups);
    // What side 0 says in quick mode besides its offer: one answer to the other's.
    assert_eq!(*offers.borrow(), 2);
    assert!(w.downs.iter().all(Vec::is_empty));
}
