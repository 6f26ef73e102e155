//! Stories of captures made here: a simulated failover's segments, and nonsense.

use std::path::PathBuf;

use super::*;
use crate::drive::simulated::{self, Options};
use crate::scenario::{Changes, Scenario};

#[test]
fn a_failover_is_told_as_it_was() {
    let dir = std::env::temp_dir().join(format!("espalier-explain-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let scenario = Scenario::load("hsrp-ipsec", &Changes::default()).unwrap();
    let run = simulated::run(&scenario, Options { out: Some(&dir), ..Options::default() }).unwrap();
    let paths: Vec<PathBuf> = ["outside", "inside"].map(|s| dir.join(format!("{s}.pcapng"))).into();
    let story = read(&paths).unwrap();
    let figures = crate::measure::figures::Figures::of(&run);
    let flow = figures.flows.iter().find(|f| f.name == "inside-to-remote").unwrap();
    let tbm = flow.outages.iter().filter_map(|o| o.tbm_s).fold(0.0, f64::max);
    // The other direction's packets went on, to a virtual address that nobody answered for.
    assert_eq!(story.gaps.len(), 1, "{:#?}", story.gaps);
    assert_eq!(story.gaps[0].ends.0, Ipv4Addr::new(172, 16, 172, 53));
    for gap in &story.gaps {
        let length = (gap.to - gap.from).as_s();
        assert!((length - tbm).abs() < 0.2, "{length} s seen, {tbm} s measured");
        assert!((gap.parts.iter().map(|p| p.s).sum::<f64>() - length).abs() < 1e-6);
        let names: Vec<_> = gap.parts.iter().map(|p| p.part).collect();
        assert_eq!(names, ["takeover", "route", "until-ike", "ike", "first-packet"]);
        assert!(gap.missing.is_none() && gap.spis.0 != gap.spis.1);
    }
    let told = |text: &str| story.events.iter().any(|e| e.text.contains(text));
    assert!(told("group 1: 172.16.172.54 is Active (was Standby)"), "{:#?}", story.events);
    assert!(told("group 1: 172.16.172.52 is heard again after") && told("announces 20.1.1.0/24 (E2)"));
    assert!(told("172.16.172.53 is at 00:00:0c:07:ac:01") && told("is over: new SAs"));
    assert!(story.sas.len() >= 4 && story.cut.is_empty());
    let lane = |node: &str, machine: &str| {
        let lane = story.lanes.iter().find(|l| l.node == node && l.machine == machine);
        lane.unwrap_or_else(|| panic!("no {machine} of {node}: {:#?}", story.lanes))
    };
    let states: Vec<&str> = lane("172.16.172.54", "hsrp").spans.iter().map(|s| s.state.as_str()).collect();
    // Standby, active while the other is gone, and standby again. (In between it listens, and says nothing.)
    assert!(states.ends_with(&["Standby", "Active", "Speak", "Standby"]), "{states:?}");
    let first = &lane("172.16.172.52", "hsrp").spans;
    assert!(first.iter().any(|s| s.state == "Active" && s.end_s.is_some_and(|e| (e - 120.0).abs() < 4.0)));
    // One phase 1 after another, whoever began it.
    let ike = story.lanes.iter().filter(|l| l.machine == "ike");
    let phases = ike.flat_map(|l| &l.spans).filter(|s| s.state == "phase 1").count();
    assert_eq!(phases, 3);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn vrrp_and_sequence_numbers_are_told() {
    let (mut talk, mut flows) = (Talk::default(), Flows::default());
    let at = |ms: u64| Instant::ZERO + Duration::from_ms(ms);
    let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    // Version 2, router 7: a with priority 200 until it falls silent, then b, then a's farewell.
    for second in 0..3 {
        talk.vrrp(at(second * 1000), a, &[0x21, 7, 200, 1, 0, 1, 0, 0]);
    }
    talk.vrrp(at(5600), b, &[0x21, 7, 100, 1, 0, 1, 0, 0]);
    talk.vrrp(at(6000), b, &[0x21, 7, 0, 1, 0, 1, 0, 0]);
    for (n, sequence) in [1_u32, 2, 3, 13, 14].into_iter().enumerate() {
        let esp = [0x1000_u32.to_be_bytes(), sequence.to_be_bytes()].concat();
        flows.esp(at(n as u64 * 100), a, b, &esp);
    }
    let (events, mut said) = talk.end();
    let texts: Vec<&str> = events.iter().map(|e| e.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "router 7: 10.0.0.1 is master, priority 200, version 2",
            "router 7: 10.0.0.2 is master, priority 100, version 2",
            "router 7: 10.0.0.2 resigns"
        ]
    );
    said.extend(flows.said());
    let lanes = lanes::lanes(said, Instant::ZERO);
    let spans = |node: Ipv4Addr, machine: &str| {
        let lane = lanes.iter().find(|l| l.node == node.to_string() && l.machine == machine).unwrap();
        lane.spans.iter().map(|s| (s.state.as_str(), s.start_s, s.end_s.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(spans(a, "vrrp"), [("Master", 0.0, 2.0)]);
    assert_eq!(spans(b, "vrrp"), [("Master", 5.6, 6.0)]);
    assert_eq!(spans(a, "missing"), [("9 missing", 0.2, 0.3)]);
    assert_eq!(spans(a, "sa"), [("0x00001000", 0.0, 0.4)]);
    let series = flows.series(Instant::ZERO, at(1000));
    let (delivered, lost): (u32, u32) = (series[0].1.delivered.iter().sum(), series[0].1.lost.iter().sum());
    assert_eq!((series.len(), delivered, lost, flows.sas(Instant::ZERO)[0].missing), (1, 5, 9, 9));
}

#[test]
fn nonsense_is_no_story() {
    let (mut talk, mut flows) = (Talk::default(), Flows::default());
    let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
    for len in 0..64 {
        let bytes = vec![0x21; len];
        talk.hsrp(Instant::ZERO, a, &bytes);
        talk.ike(Instant::ZERO, a, b, &bytes);
        talk.ospf(Instant::ZERO, a, &bytes);
        flows.esp(Instant::ZERO, a, b, &bytes[..len.min(7)]);
    }
    let (events, said) = talk.end();
    assert!(events.is_empty() && said.is_empty() && flows.sas(Instant::ZERO).is_empty());
}
