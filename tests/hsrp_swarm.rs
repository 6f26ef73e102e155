//! Three HSRP routers under random losses and flaps: left in peace, they agree on exactly one active router.

use std::net::Ipv4Addr;

use espalier_control::hsrp::Event;
use espalier_control::hsrp::config::{GroupConfig, InterfaceConfig, Preempt};
use espalier_tests::conformance::Subject;
use espalier_tests::hsrp_lan::Lan;
use espalier_wire::{Duration, IfIndex, Instant, Mac};
use proptest::prelude::*;

const NAMES: [&str; 3] = ["A", "B", "C"];

fn config(n: u8, priority: u8, preempt: bool) -> InterfaceConfig {
    let mut config = InterfaceConfig::new(IfIndex(0), Mac([2, 0, 0, 0, 0, n]), Ipv4Addr::new(10, 0, 0, n));
    let mut group = GroupConfig::new(1, Some(Ipv4Addr::new(10, 0, 0, 254)));
    group.priority = Some(priority);
    group.preempt = preempt.then(Preempt::default);
    config.groups.push(group);
    config
}

fn until(lan: &mut Lan, end: Instant) {
    while let Some(due) = lan.next_deadline().filter(|due| *due <= end) {
        lan.timer(due, &mut Vec::new());
    }
}

fn flip(lan: &mut Lan, at: Instant, n: usize, up: bool) {
    let iface = IfIndex(0);
    let event = if up { Event::InterfaceUp { iface } } else { Event::InterfaceDown { iface } };
    lan.event(at, NAMES[n], event, &mut Vec::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn peace_brings_exactly_one_active_router(
        seed: u64,
        loss in 0.0..0.9f64,
        routers in proptest::array::uniform3((prop::sample::select(vec![90u8, 100, 200]), any::<bool>())),
        flaps in proptest::collection::vec((0u64..60_000, 0usize..3, any::<bool>()), 0..12),
    ) {
        let mut lan = Lan::new(seed);
        for (n, (priority, preempt)) in routers.into_iter().enumerate() {
            lan.add(NAMES[n], config(n as u8 + 1, priority, preempt));
        }
        let at = |ms| Instant::ZERO + Duration::from_ms(ms);
        lan.loss = loss;
        (0..3).for_each(|n| flip(&mut lan, at(0), n, true));
        let mut flaps = flaps;
        flaps.sort();
        for (ms, n, up) in flaps {
            until(&mut lan, at(ms));
            flip(&mut lan, at(ms), n, up);
        }
        until(&mut lan, at(60_000));
        lan.loss = 0.0;
        (0..3).for_each(|n| flip(&mut lan, at(60_000), n, true));
        // Minimum delay, Listen and Speak for a hold time each, and one more for what loss had hidden.
        until(&mut lan, at(60_000 + 1_000 + 3 * 10_000));
        let first = lan.active(1).join(",");
        prop_assert_eq!(lan.active(1).len(), 1, "active: {}", first);
        until(&mut lan, at(300_000));
        prop_assert_eq!(lan.active(1).join(","), first.clone(), "peace keeps the active router");
        let best = (0..3).filter(|n| routers[*n].1).max_by_key(|n| (routers[*n].0, *n));
        if let Some(best) = best.filter(|b| (0..3).all(|n| (routers[n].0, n) <= (routers[*b].0, *b))) {
            prop_assert_eq!(first, NAMES[best], "the best router preempts");
        }
    }
}
