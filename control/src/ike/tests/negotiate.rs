//! Negotiations that succeed: every cipher, hash, group and transform; NAT; both at once.

use espalier_wire::ike::{ExchangeKind, Header};
use espalier_wire::plane::{Mode, UdpPorts};
use espalier_wire::{Duration, Transform};

use super::super::*;
use super::harness::*;

#[test]
fn main_mode_and_quick_mode_take_nine_messages_and_both_carry() {
    let mut w = World::plain();
    w.need(0);
    w.s(1);
    assert!(w.both_carry());
    assert_eq!((w.sent.len(), w.ups), (9, [1, 1]));
    let kinds: Vec<_> =
        w.sent.iter().map(|(_, d)| Header::read(&d.payload).unwrap().0.exchange.kind).collect();
    assert_eq!(kinds[..6], [ExchangeKind::MAIN_MODE; 6]);
    assert_eq!(kinds[6..], [ExchangeKind::QUICK_MODE; 3]);
    w.need(0);
    w.s(1);
    assert_eq!(w.sent.len(), 9, "what is there is not negotiated again");
    assert_eq!(w.keys[0], w.keys[1], "both derived the key that goes to a capture's reader");
}

#[test]
fn the_responder_uses_its_outbound_sa_only_after_the_third_message() {
    let mut w = World::plain();
    w.need(0);
    w.run(Duration::from_ms(8));
    assert!(w.carries(0) && !w.carries(1), "the initiator sends, the responder listens and waits");
    w.run(Duration::from_ms(1));
    assert!(w.both_carry());
}

fn negotiates(policy: IsakmpPolicy, transform: (Transform, Mode), pfs: Option<Group>) {
    let c = Config { policies: vec![policy], ..config() };
    let e = |side| Entry { transforms: vec![transform], pfs, ..entry(side) };
    let mut w = World::new([c.clone(), c], [e(0), e(1)], 7);
    w.need(1);
    w.s(1);
    assert!(w.both_carry(), "{policy:?} {transform:?} {pfs:?}");
    let sa = &w.planes[0].outbound[&POLICY];
    assert_eq!((sa.transform, sa.mode), transform);
    assert_eq!(sa.key.bytes().len(), transform.0.key_len());
    assert_eq!(sa.auth_key.bytes().len(), transform.0.auth_key_len());
}

#[test]
fn every_group_cipher_and_hash_negotiates() {
    let tunnel = (Transform::DesMd5, Mode::Tunnel);
    for group in Group::ALL {
        negotiates(IsakmpPolicy { group, ..IsakmpPolicy::default() }, tunnel, Some(group));
    }
    for encryption in Encryption::ALL {
        for hash in Hash::ALL {
            negotiates(IsakmpPolicy { encryption, hash, ..IsakmpPolicy::default() }, tunnel, None);
        }
    }
}

#[test]
fn every_transform_negotiates_in_both_modes() {
    for transform in Transform::ALL {
        for mode in [Mode::Tunnel, Mode::Transport] {
            negotiates(IsakmpPolicy::default(), (*transform, mode), None);
        }
    }
}

#[test]
fn the_lower_lifetimes_win_in_both_phases_whoever_starts() {
    for starter in 0..2 {
        let mut c = config();
        c.policies[0].lifetime = Duration::from_s(1000);
        c.volume_jitter = 0;
        let short = Entry { seconds: 300, kilobytes: Some(1000), ..entry(0) };
        let mut w = World::new([c, config()], [short, entry(1)], 3);
        w.need(starter);
        w.s(1);
        for side in 0..2 {
            let limits = w.planes[side].outbound[&POLICY].lifetime.hard;
            assert_eq!(limits.time, Some(Duration::from_s(300)), "{starter} {side}");
            let bytes = limits.bytes.unwrap();
            assert!((900 * 1024..=1000 * 1024).contains(&bytes), "{bytes}");
            assert!(w.ikes[side].show_isakmp_sa_detail(w.now).contains(" 00:16:3"), "1000 s less one");
        }
    }
}

#[test]
fn both_at_once_converge() {
    for seed in 0..20 {
        let mut w = World::new([config(), config()], [entry(0), entry(1)], seed);
        w.need(0);
        w.run(Duration::from_us(100 * seed));
        w.need(1);
        w.s(30);
        assert!(w.both_carry(), "seed {seed}");
        // The spare pair goes at its end, and one rekey follows the next.
        w.s(3600);
        assert!(w.both_carry(), "seed {seed}");
        assert!(w.downs.iter().all(Vec::is_empty), "never without an SA");
        w.s(3600 * 3);
        assert!(w.ikes[0].sas().count() <= 2 && w.both_carry(), "seed {seed}: {}", w.ikes[0].sas().count());
    }
}

#[test]
fn a_nat_is_found_and_everything_floats_to_4500() {
    let mut w = World::plain();
    // A NAT before side 0: its ports are 20000 higher on the other side. The wire rewrites in both directions.
    w.fate = Box::new(|_, _| Vec::new());
    w.need(0);
    let (mut guard, mut done) = (0, w.sent.len());
    let mut pending: Vec<Datagram> = w.sent.iter().map(|(_, d)| d.clone()).collect();
    while let Some(d) = pending.pop() {
        guard += 1;
        assert!(guard < 50);
        let (mut local, mut remote) = (d.remote, d.local);
        if d.from == 0 {
            remote.set_port(remote.port() + 20_000);
        } else {
            local.set_port(local.port() - 20_000);
        }
        w.run(DELAY);
        w.event(1 - d.from, Event::Packet { local, remote, payload: d.payload });
        pending.splice(0..0, w.sent[done..].iter().rev().map(|(_, d)| d.clone()));
        done = w.sent.len();
    }
    let out = &w.planes[0].outbound[&POLICY];
    assert_eq!(out.udp_encap, Some(UdpPorts { src: 4500, dst: 4500 }));
    let back = &w.planes[1].outbound[&POLICY];
    assert_eq!(back.udp_encap, Some(UdpPorts { src: 4500, dst: 24_500 }));
    assert_eq!(w.planes[1].inbound[&out.spi].key, out.key);
    w.s(21);
    let keepalives = w.sent.iter().filter(|(_, d)| d.payload == [0xff]).count();
    assert_eq!(keepalives, 1, "from behind the NAT alone, every 20 s");
}
