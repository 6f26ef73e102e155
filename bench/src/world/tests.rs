//! Whole worlds, run.

use std::collections::BTreeMap;

use crate::drive::simulated::{Options, run};
use crate::measure::recording::Recording;
use crate::scenario::{Changes, Scenario, built_ins};

fn play(name: &str, seed: Option<u64>) -> Recording {
    let scenario = Scenario::load(name, &Changes { seed, ..Changes::default() }).unwrap();
    run(&scenario, Options::default()).unwrap()
}

#[test]
fn every_built_in_runs_and_breaks_no_rule() {
    for built_in in built_ins() {
        let recording = play(built_in.name, None);
        assert_eq!(recording.violations, Vec::<String>::new(), "{}", built_in.name);
        for flow in recording.ledger.flows() {
            let (mut losses, mut delivered) = (BTreeMap::new(), 0);
            for packet in flow.packets() {
                match packet.lost() {
                    Some(lost) => *losses.entry(lost).or_insert(0) += 1,
                    None => delivered += 1,
                }
            }
            println!("{} {}: {delivered} {losses:?}", built_in.name, flow.name);
            assert!(delivered > 0, "{} {}: nothing arrived", built_in.name, flow.name);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let [a, b, c] = [Some(1), Some(1), Some(2)].map(|seed| play("hsrp-ipsec", seed));
    assert_eq!(a.digest, b.digest);
    assert_eq!(a.ledger, b.ledger);
    assert_eq!(a.events, b.events);
    assert_ne!(a.digest, c.digest);
}
