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
    let changes = Changes { seed: Some(seed), ..Changes::default() };
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
    for seed in 1..=24 {
        let run = figures("hsrp-ipsec", seed);
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
