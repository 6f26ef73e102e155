//! The whole network under random faults: the books balance, and no rule of the checkers is ever broken. A case that
//! breaks is printed with its seed and its faults, and shrunk.

use espalier::drive::simulated::{Options, run};
use espalier::measure::figures::Figures;
use espalier::place::Place;
use espalier::scenario::{Changes, Endpoint, FaultAction, FaultSpec, ImpairmentChange, Scenario};
use espalier_wire::{Duration, Instant};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const GATEWAYS: [[&str; 3]; 2] = [
    ["7204VXR-1", "FastEthernet0/0", "FastEthernet0/1"],
    ["7204VXR-2", "FastEthernet0/0", "FastEthernet1/0"],
];
const SEGMENTS: [&str; 3] = ["outside", "inside", "remote"];

fn action() -> impl Strategy<Value = FaultAction> {
    let end = (0..2usize, 1..3usize).prop_map(|(g, i)| {
        let [router, interface] = [GATEWAYS[g][0], GATEWAYS[g][i]].map(str::to_owned);
        Endpoint { router, interface, at: Place::start("swarm") }
    });
    let gateway = (0..2usize).prop_map(|g| GATEWAYS[g][0].to_owned());
    let router = prop_oneof![gateway, Just("vpn7200".to_owned()), Just("7206-1".to_owned())];
    let segment = (0..3usize).prop_map(|s| SEGMENTS[s].to_owned());
    prop_oneof![
        end.clone().prop_map(FaultAction::Shutdown),
        end.prop_map(FaultAction::NoShutdown),
        router.clone().prop_map(FaultAction::Crash),
        router.clone().prop_map(FaultAction::Boot),
        (router.clone(), 1..40u64)
            .prop_map(|(router, s)| FaultAction::Reload { router, down: Duration::from_s(s) }),
        router.prop_map(FaultAction::ClearSa),
        segment.clone().prop_map(FaultAction::Cut),
        segment.clone().prop_map(FaultAction::Restore),
        (segment, 0..4u32, 0..4u32, 0..4u32).prop_map(|(segment, loss, reorder, duplicate)| {
            let share = |n: u32| Some(f64::from(n) * 0.05);
            let change = ImpairmentChange {
                loss: share(loss),
                reorder: share(reorder),
                duplicate: share(duplicate),
                ..ImpairmentChange::default()
            };
            FaultAction::Impair { segment, change }
        }),
    ]
}

/// The same cases in every run, so that a change is judged and not luck; `ESPALIER_SWARM=N` has others.
fn swarm() -> RngSeed {
    let other = std::env::var("ESPALIER_SWARM").ok().and_then(|n| n.parse().ok());
    RngSeed::Fixed(other.unwrap_or(1))
}

/// A gateway that comes back with every interface shut down: the swarm's own find.
#[test]
fn a_router_reloads_with_all_its_interfaces_shut_down() {
    let mut scenario = Scenario::load("crash", &Changes::default()).unwrap();
    scenario.duration = Duration::from_s(200);
    let [router, outside, inside] = GATEWAYS[1].map(str::to_owned);
    let end = |interface: String| Endpoint { router: router.clone(), interface, at: Place::start("swarm") };
    let actions = [
        FaultAction::Shutdown(end(outside)),
        FaultAction::Shutdown(end(inside)),
        FaultAction::Reload { router: router.clone(), down: Duration::from_s(5) },
    ];
    scenario.faults = (100..)
        .zip(actions)
        .map(|(s, action)| {
            let at = Instant::ZERO + Duration::from_s(s);
            FaultSpec { at, action, place: Place::start("swarm") }
        })
        .collect();
    assert_eq!(Figures::of(&run(&scenario, Options::default()).unwrap()).check(), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 40, rng_seed: swarm(), ..ProptestConfig::default() })]

    #[test]
    fn no_fault_breaks_a_rule_and_the_books_balance(
        seed in any::<u64>(),
        faults in proptest::collection::vec((60_000..180_000u64, action()), 1..10),
    ) {
        let changes = Changes { seed: Some(seed), ..Changes::default() };
        let mut scenario = Scenario::load("crash", &changes).unwrap();
        scenario.duration = Duration::from_s(200);
        scenario.faults = faults
            .into_iter()
            .map(|(ms, action)| FaultSpec {
                at: Instant::ZERO + Duration::from_ms(ms),
                action,
                place: Place::start("swarm"),
            })
            .collect();
        scenario.faults.sort_by_key(|f| f.at);
        let figures = Figures::of(&run(&scenario, Options::default()).unwrap());
        prop_assert_eq!(figures.check(), Ok(()), "seed {}", seed);
    }
}
