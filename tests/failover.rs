//! The failover judged from outside: the books of every built-in, and outages where the timers put them.

use espalier::drive::simulated::{Options, run};
use espalier::measure::figures::{Figures, OutageFigures};
use espalier::scenario::{Changes, Scenario, built_ins};

/// HSRP's times in the reference configurations (RFC 2281 section 5.1's defaults), in seconds.
const HELLO: f64 = 3.0;
const HOLD: f64 = 10.0;
/// `standby delay minimum`, IOS's default.
const MINIMUM_DELAY: f64 = 1.0;
/// Negotiation, flooding, and the wait for the next packet of the slowest flow (10 a second), both ends of it.
const SLACK: f64 = 0.3;

fn figures(name: &str, seed: u64) -> Figures {
    changed(name, seed, &[])
}

fn changed(name: &str, seed: u64, set: &[&str]) -> Figures {
    let set = set.iter().map(|change| (*change).to_owned()).collect();
    let changes = Changes { seed: Some(seed), set, ..Changes::default() };
    let scenario = Scenario::load(name, &changes).unwrap();
    Figures::of(&run(&scenario, Options::default()).unwrap())
}

fn of_kind<'a>(run: &'a Figures, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a OutageFigures)> {
    let of = move |o: &&OutageFigures| o.kind == kind;
    run.flows.iter().flat_map(move |f| f.outages.iter().filter(of).map(|o| (f.name.as_str(), o)))
}

#[test]
fn the_books_of_every_built_in_balance_and_parts_sum_to_their_outage() {
    for built_in in built_ins() {
        let run = figures(built_in.name, 7);
        assert_eq!(run.check(), Ok(()), "{}", built_in.name);
        for outage in run.flows.iter().flat_map(|f| &f.outages) {
            let Some(tbm) = outage.tbm_s else { continue };
            let sum: f64 = outage.parts.iter().map(|p| p.s).sum();
            assert!((sum - tbm).abs() < 1e-6, "{}: {outage:?}", built_in.name);
        }
    }
}

#[test]
fn the_failover_takes_what_is_left_of_the_hold_time_over_many_seeds() {
    let mut seen = Vec::new();
    // Packets enough for the times, so few that the seeds can be many.
    let few = [
        "traffic.inside-to-remote.rate=20pps",
        "traffic.remote-to-inside.rate=20pps",
        "traffic.voice.rate=20pps",
    ];
    for seed in 1..=100 {
        let run = changed("hsrp-ipsec", seed, &few);
        assert_eq!(run.check(), Ok(()), "seed {seed}");
        assert!(run.flows.iter().all(|f| f.recovered), "seed {seed}");
        let flows = of_kind(&run, "failover").filter(|(name, _)| !name.starts_with("ping/"));
        for (name, outage) in flows {
            let tbm = outage.tbm_s.unwrap();
            assert!((HOLD - HELLO..=HOLD + SLACK).contains(&tbm), "seed {seed} {name}: {tbm}");
            seen.push(tbm);
        }
        for (name, outage) in of_kind(&run, "reversion") {
            let at = outage.start_s - run.faults[1].at_s;
            assert!(
                (MINIMUM_DELAY..=MINIMUM_DELAY + HELLO + SLACK).contains(&at),
                "seed {seed} {name}: {at}"
            );
            assert!(outage.lost <= 2, "seed {seed} {name}: {}", outage.lost);
        }
    }
    let spread = seen.iter().copied().fold(0.0, f64::max) - seen.iter().copied().fold(f64::MAX, f64::min);
    assert!(spread > HELLO / 2.0, "the fault meets the hellos at any phase: {spread}");
}

#[test]
fn with_millisecond_timers_it_is_over_within_a_second() {
    for seed in 1..=8 {
        let run = figures("subsecond", seed);
        for (name, outage) in of_kind(&run, "failover") {
            let tbm = outage.tbm_s.unwrap();
            // Hold 750 ms, hello 250 ms.
            assert!((0.5..=0.8).contains(&tbm), "seed {seed} {name}: {tbm}");
        }
    }
}

/// OSPF's defaults on the inside (RFC 2328 appendix C.3; IOS 12.3's `timers spf 5 10`), in seconds.
const OSPF_HELLO: f64 = 10.0;
const OSPF_DEAD: f64 = 40.0;
const SPF: f64 = 5.0;

#[test]
fn a_dead_inside_link_is_noticed_by_ospf_alone_for_the_flows_that_went_there() {
    for seed in 1..=8 {
        let run = figures("tracked-interface", seed);
        assert_eq!(run.check(), Ok(()), "seed {seed}");
        let mut long = 0;
        for (name, outage) in of_kind(&run, "failover") {
            let tbm = outage.tbm_s.unwrap();
            // 7206-1 cannot know: what it sends to .1 is lost until the dead timer and SPF.
            let silent = OSPF_DEAD - OSPF_HELLO + SPF..=OSPF_DEAD + SPF + SLACK;
            if silent.contains(&tbm) {
                assert!(name.starts_with("inside"), "seed {seed} {name}: {tbm}");
                long += 1;
            } else {
                assert!(tbm <= HELLO + SLACK, "seed {seed} {name}: {tbm}");
            }
        }
        assert!((1..3).contains(&long), "seed {seed}: flows by both gateways, {long} by the dead one");
    }
}

/// `crypto isakmp keepalive 10`: a tick of up to 10 s, then five tries of 2 s.
#[test]
fn without_inside_traffic_the_keepalives_decide() {
    for seed in 1..=12 {
        let run = figures("remote-only", seed);
        let outages: Vec<_> = of_kind(&run, "failover").collect();
        assert_eq!(outages.len(), 1, "seed {seed}");
        let tbm = outages[0].1.tbm_s.unwrap();
        assert!((10.0 - SLACK..=20.0 + SLACK).contains(&tbm), "seed {seed}: {tbm}");
    }
}

#[test]
fn the_first_negotiation_is_no_rekey_and_a_replaced_pair_is_one() {
    for name in ["hsrp-ipsec", "inside-only", "crash"] {
        let run = figures(name, 1);
        assert!(run.rekeys.is_empty(), "{name}: {:?}", run.rekeys);
        assert_eq!(of_kind(&run, "rekey").count(), 0, "{name}");
        let first: Vec<_> = of_kind(&run, "other").collect();
        assert!(first.iter().all(|(_, o)| o.start_s < 91.0 && o.fault.is_none()), "{name}: {first:?}");
    }
    let rekeys = figures("rekey", 1).rekeys;
    assert!(rekeys.len() >= 4, "{rekeys:?}");
    assert!(
        rekeys.iter().all(|r| r.gap_ns == 0 && r.lost == 0),
        "keeping the old pair costs nothing: {rekeys:?}"
    );
}

#[test]
fn a_rekey_by_volume_is_over_before_the_volume_is() {
    // IOS asks 256 kilobytes before the end: at 34 Mbit/s that is 60 ms.
    let lifetime = "crypto ipsec security-association lifetime kilobytes 2560";
    let run = changed(
        "inside-only",
        1,
        &[
            "traffic.inside-to-remote.rate=3000pps",
            "traffic.inside-to-remote.size=1400",
            "traffic.inside-to-remote.stop=100s",
            &format!("config.7204VXR-*={lifetime}"),
            &format!("config.vpn7200={lifetime}"),
        ],
    );
    assert!(run.rekeys.len() > 20, "{:?}", run.rekeys);
    assert!(run.losses.iter().all(|loss| loss.cause == "no-sa"), "{:?}", run.losses);
}
