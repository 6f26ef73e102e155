//! Stories of captures made here: a simulated failover's segments, the same mutated, and nonsense.

use std::path::PathBuf;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::capture::{Encoder, Format, Interface};
use crate::drive::simulated::{self, Options};
use crate::report::explain::{document, text};
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

/// Captures to mutate: what a failover's routers said and a little of their traffic, by segment, and the beginning of each
/// of the project's.
fn captures() -> &'static [Vec<u8>] {
    static CAPTURES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CAPTURES.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("espalier-explained-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let few = [
            "traffic.inside-to-remote.rate=1pps",
            "traffic.remote-to-inside.rate=1pps",
            "traffic.voice.rate=1pps",
        ];
        let set = few.map(str::to_owned).into();
        let scenario = Scenario::load("hsrp-ipsec", &Changes { set, ..Changes::default() }).unwrap();
        simulated::run(&scenario, Options { out: Some(&dir), ..Options::default() }).unwrap();
        let mut all: Vec<Vec<u8>> =
            ["outside", "inside"].map(|s| plain(&dir.join(format!("{s}.pcapng")))).into();
        std::fs::remove_dir_all(dir).unwrap();
        for name in ["bulk.pcap", "dns.pcap", "ping.pcap", "voice.pcap", "web.pcapng"] {
            let mut bytes =
                std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../pcaps").join(name)).unwrap();
            bytes.truncate(20_000);
            all.push(bytes);
        }
        all
    })
}

/// A capture as a pcap, without comments.
fn plain(path: &Path) -> Vec<u8> {
    let (mut reader, mut packet) = (Reader::open(path).unwrap(), Packet::default());
    let mut encoder = Encoder::new(Vec::new(), Format::PcapNanos, "").unwrap();
    encoder.interface(&Interface { link: LinkType::ETHERNET, name: None }).unwrap();
    while reader.read(&mut packet).unwrap() {
        encoder.packet(0, packet.time, &[&packet.bytes], 0, "").unwrap();
    }
    encoder.finish().unwrap()
}

/// A story of any bytes holds together, prints, is no larger than its packets account for, and says where it breaks off.
fn is_sound(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let Ok(reader) = Reader::from_bytes(bytes) else { return Ok(()) };
    let story = told(vec![("x".to_owned(), reader)]);
    for gap in &story.gaps {
        let (length, sum) = ((gap.to - gap.from).as_s(), gap.parts.iter().map(|p| p.s).sum::<f64>());
        prop_assert!(gap.from <= gap.to && (sum - length).abs() <= 1e-6 + length * 1e-9, "{:?}", gap);
    }
    for cut in &story.cut {
        prop_assert!(cut.starts_with("x: packet ") && cut.contains(" at byte "), "{}", cut);
    }
    prop_assert!(!text(&story).is_empty());
    let json = serde_json::to_string(&document(&story)).unwrap();
    // A direction is drawn with two numbers a bin, and may be of one packet.
    prop_assert!(
        (json.len() as u64) < 100_000 + story.packets * 16_384,
        "{} bytes of {}",
        json.len(),
        story.packets
    );
    Ok(())
}

proptest! {
    #[test]
    fn mutated_captures_are_sound(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..60),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = which.get(captures()).clone();
        for (at, byte) in flips {
            *at.get_mut(&mut bytes) = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        is_sound(bytes)?;
    }

    #[test]
    fn any_bytes_are_sound(head in 0..3_usize, bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let whole = captures()[0][..24].to_vec();
        // Nothing, a file's header, and a packet's after it, which promises an Ethernet frame of IPv4.
        let packet = [[0; 8], [0, 2, 0, 0, 0, 2, 0, 0]].concat();
        let frame = [&[0; 12][..], &[8, 0, 0x45]].concat();
        let before = [Vec::new(), whole.clone(), [whole, packet, frame].concat()];
        is_sound([&before[head][..], &bytes].concat())?;
    }
}
