//! Bytes of ill will into an established pair: nothing panics, nothing that stands falls, tables stay small.

use std::net::SocketAddrV4;

use espalier_wire::Duration;
use proptest::prelude::*;

use super::super::*;
use super::harness::*;

fn ends(from: usize) -> (SocketAddrV4, SocketAddrV4) {
    let (a, b) = (SocketAddrV4::new(A, PORT), SocketAddrV4::new(B, PORT));
    if from == 0 { (b, a) } else { (a, b) }
}

fn throw(w: &mut World, from: usize, payload: Vec<u8>) {
    let (local, remote) = ends(from);
    w.event(1 - from, Event::Packet { local, remote, payload });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn mutated_real_messages_break_nothing(
        seed in 0u64..4,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut w = World::new([config(), config()], [entry(0), entry(1)], seed);
        w.need(0);
        w.s(1);
        prop_assert!(w.both_carry());
        let real: Vec<Datagram> = w.sent.iter().map(|(_, d)| d.clone()).collect();
        for (which, at, value) in edits {
            let mut d = real[which.index(real.len())].clone();
            let at = at.index(d.payload.len());
            d.payload[at] = value;
            let cut = d.payload.len() - usize::from(value) % 3;
            d.payload.truncate(cut);
            throw(&mut w, d.from, d.payload);
        }
        w.s(120);
        prop_assert!(w.both_carry(), "what stood stands");
        prop_assert!(w.ikes.iter().all(|i| i.phase1_count().1 <= 64));
    }

    #[test]
    fn random_bytes_break_nothing(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..40)) {
        let mut w = World::plain();
        for payload in payloads {
            throw(&mut w, 0, payload.clone());
            let (mut local, mut remote) = ends(1);
            local.set_port(NAT_PORT);
            remote.set_port(NAT_PORT);
            w.event(0, Event::Packet { local, remote, payload });
        }
        w.need(0);
        w.s(1);
        prop_assert!(w.both_carry());
    }
}

#[test]
fn everything_ever_sent_may_be_played_again() {
    let mut w = World::plain();
    w.need(0);
    w.s(1);
    for wait in [1, 100, 1000] {
        w.s(wait);
        for (_, d) in w.sent.clone().into_iter().take(9) {
            throw(&mut w, d.from, d.payload);
        }
        w.s(100);
        assert!(w.both_carry());
        assert!(w.downs.iter().all(Vec::is_empty));
        assert_eq!(w.ups, [1, 1]);
    }
}

#[test]
fn half_open_negotiations_are_bounded_and_a_real_one_gets_through() {
    let mut w = World::plain();
    w.need(0);
    let first = w.sent[0].1.payload.clone();
    for n in 0..1000u32 {
        let mut forged = first.clone();
        forged[..4].copy_from_slice(&(n + 1).to_be_bytes());
        throw(&mut w, 0, forged);
    }
    assert_eq!(w.ikes[1].phase1_count(), (0, 64));
    assert!(w.rejected(1, Rejection::HalfOpen) > 900);
    w.run(Duration::from_ms(100));
    assert!(w.both_carry());
    w.s(100);
    assert_eq!(w.ikes[1].phase1_count(), (1, 0), "the rest is given up");
}

#[test]
fn foreign_exchanges_and_cookies_are_counted() {
    let mut w = World::plain();
    w.need(0);
    let mut aggressive = w.sent[0].1.payload.clone();
    aggressive[18] = 4;
    throw(&mut w, 0, aggressive.clone());
    assert_eq!(w.rejected(1, Rejection::UnsupportedExchange), 1);
    aggressive[18] = 32;
    throw(&mut w, 0, aggressive.clone());
    assert_eq!(w.rejected(1, Rejection::UnknownCookies), 1);
    throw(&mut w, 0, vec![0xff]);
    assert_eq!(w.rejected(1, Rejection::Malformed), 1);
}
