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
    std::fs::remove_dir_all(dir).unwrap();
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
