//! Negotiations that fail, each with its own cause, on both ends where the protocol lets them know.

use espalier_wire::plane::{Mode, Secret};
use espalier_wire::{Cause, Transform};

use super::super::*;
use super::harness::*;

#[test]
fn no_common_phase1_proposal() {
    let other =
        Config { policies: vec![IsakmpPolicy { hash: Hash::Sha1, ..IsakmpPolicy::default() }], ..config() };
    let mut w = World::new([config(), other], [entry(0), entry(1)], 1);
    w.need(0);
    w.s(5);
    assert_eq!(w.failed, [vec![Cause::NoProposal], vec![Cause::NoProposal]]);
    let before = w.sent.len();
    w.need(0);
    assert_eq!(w.sent.len(), before, "a refusal holds for a while");
    w.s(10);
    w.need(0);
    assert!(w.sent.len() > before, "and not forever");
}

#[test]
fn another_key() {
    let other = Config {
        keys: vec![PeerKey {
            peer: "172.16.172.53/32".parse().unwrap(),
            secret: Secret::new(b"other".to_vec()),
        }],
        ..config()
    };
    let mut w = World::new([config(), other], [entry(0), entry(1)], 1);
    w.need(0);
    w.s(100);
    assert_eq!(w.failed, [vec![Cause::Authentication], vec![Cause::Authentication]]);
    assert!(
        w.lines[1]
            .iter()
            .any(|l| l.starts_with("%CRYPTO-4-IKMP_BAD_MESSAGE: IKE message from 172.16.172.53"))
    );
    assert_eq!(w.ikes[0].phase1_count(), (0, 0));
    assert_eq!(w.ikes[1].phase1_count(), (0, 0), "given up after its copies");
}

#[test]
fn no_key_at_all() {
    let mut w = World::new([config(), Config { keys: Vec::new(), ..config() }], [entry(0), entry(1)], 1);
    w.need(0);
    w.s(1);
    assert_eq!(w.rejected(1, Rejection::NoKey), 1);
    w.need(1);
    assert_eq!(w.failed[1], [Cause::Authentication]);
}

#[test]
fn no_common_phase2_proposal() {
    let other = Entry { transforms: vec![(Transform::Aes128Sha1, Mode::Tunnel)], ..entry(1) };
    let mut w = World::new([config(), config()], [entry(0), other], 1);
    w.need(0);
    w.s(5);
    assert_eq!(w.failed, [vec![Cause::NoProposal], vec![Cause::NoProposal]]);
    assert_eq!(w.planes[1].inbound.len(), 0);
}

#[test]
fn access_lists_that_do_not_mirror() {
    let mut other = entry(1);
    other.selector.src = "20.1.2.0/24".parse().unwrap();
    let mut w = World::new([config(), config()], [entry(0), other], 1);
    w.need(0);
    w.s(5);
    assert_eq!(w.failed, [vec![Cause::PolicyMismatch], vec![Cause::PolicyMismatch]]);
}

#[test]
fn pfs_that_only_one_wants() {
    let strict = |side| Entry { pfs: Some(Group::Modp1024), ..entry(side) };
    let mut w = World::new([config(), config()], [strict(0), entry(1)], 1);
    w.need(0);
    w.s(1);
    assert!(w.both_carry(), "a responder without PFS takes the initiator's");
    let mut w = World::new([config(), config()], [entry(0), strict(1)], 1);
    w.need(0);
    w.s(1);
    assert_eq!(w.failed[0], [Cause::NoProposal]);
}

#[test]
fn the_second_peer_is_tried_when_the_first_is_silent() {
    let two = Entry { peers: vec![[10, 9, 9, 9].into(), B], ..entry(0) };
    let mut w = World::new([config(), config()], [two, entry(1)], 1);
    w.fate = Box::new(|_, d| if *d.remote.ip() == B || d.from == 1 { vec![DELAY] } else { Vec::new() });
    w.need(0);
    w.s(61);
    w.need(0);
    w.s(1);
    assert!(w.both_carry());
}
