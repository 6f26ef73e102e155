//! The composed router, alone: what the reference document's first gateway does as its links come and go.

use espalier_wire::plane::Counters;
use espalier_wire::random::Random;
use espalier_wire::{Duration, IfIndex, Instant, Mac};

use super::{Input, Output, Router};
use crate::Machine;
use crate::event::Mark;
use crate::ios;
use crate::profile::Profile;

const GATEWAY: &str = include_str!("../../../bench/scenarios/hsrp-ipsec/7204VXR-1.cfg");
const OUTSIDE: IfIndex = IfIndex(0);

struct Bench {
    router: Router,
    now: Instant,
    out: Vec<Output>,
}

impl Bench {
    fn new() -> Self {
        let config = ios::parse("7204VXR-1.cfg", GATEWAY).unwrap().config;
        let macs = (0..5).map(|i| Mac([2, 0, 0, 0, 0, i])).collect();
        let router = Router::new(config, Profile::ios_12_3(), macs, Random::from_seed(1)).unwrap();
        Self { router, now: Instant::ZERO, out: Vec::new() }
    }

    fn give(&mut self, input: Input) {
        self.router.on(self.now, input, &mut self.out);
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.router.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(next);
            self.router.timer(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn booted() -> Self {
        let mut bench = Self::new();
        bench.give(Input::Boot);
        let up: Vec<_> = bench
            .out
            .iter()
            .filter_map(|o| match o {
                Output::Port { iface, up: true } => Some(*iface),
                _ => None,
            })
            .collect();
        for iface in up {
            bench.give(Input::Carrier { iface, up: true });
        }
        bench
    }

    fn marks(&self) -> Vec<Mark> {
        let mark = |o: &Output| match o {
            Output::Event(event) => event.mark,
            _ => None,
        };
        self.out.iter().filter_map(mark).collect()
    }

    fn show(&self, command: &str) -> String {
        self.router.show(self.now, &ios::parse_exec(command).unwrap(), &Counters::default())
    }
}

#[test]
fn alone_it_becomes_active_and_has_the_documents_routes() {
    let mut bench = Bench::booted();
    bench.run_for(Duration::from_s(60));
    let marks = bench.marks();
    let prefix = "20.1.1.0/24".parse().unwrap();
    assert!(marks.contains(&Mark::Injected { prefix, present: true }), "{marks:?}");
    assert!(marks.contains(&Mark::Active { iface: OUTSIDE, group: 1, active: true }));
    let table = bench.show("show ip route");
    assert!(table.contains("S       20.1.1.0 [1/0] via 172.16.172.69\n"), "{table}");
    assert!(table.contains("C       172.16.172.48 is directly connected, FastEthernet0/0\n"), "{table}");
    assert!(bench.show("show standby").contains("State is Active"));
}

#[test]
fn without_its_outside_link_it_holds_no_route_and_lets_the_group_go() {
    let mut bench = Bench::booted();
    bench.run_for(Duration::from_s(60));
    bench.out.clear();
    let under = Some("interface FastEthernet0/0".to_owned());
    bench.give(Input::Configure { origin: "fault".into(), under, lines: "shutdown".into() });
    let marks = bench.marks();
    let prefix = "20.1.1.0/24".parse().unwrap();
    assert!(marks.contains(&Mark::Link { iface: OUTSIDE, up: false }), "{marks:?}");
    assert!(marks.contains(&Mark::Injected { prefix, present: false }));
    let port = |o: &Output| matches!(o, Output::Port { iface: OUTSIDE, up: false });
    assert!(bench.out.iter().any(port));
    let left = |o: &Output| matches!(o, Output::Transmit { iface: OUTSIDE, .. });
    assert!(!bench.out.iter().any(left), "no Resign can leave");
    let flood = |o: &Output| matches!(o, Output::Transmit { iface: IfIndex(1), .. });
    assert!(bench.out.iter().any(flood) || bench.router.next_deadline().is_some());
    assert!(bench.show("show standby").contains("State is Init"));
    assert!(!bench.show("show ip route").contains("172.16.172"));
}

#[test]
fn bad_lines_change_nothing() {
    let mut bench = Bench::booted();
    let before = bench.router.config().clone();
    bench.give(Input::Configure { origin: "x".into(), under: None, lines: "crypto isakmp nonsense".into() });
    assert!(matches!(bench.out.last(), Some(Output::Refused(_))));
    assert_eq!(*bench.router.config(), before);
}
