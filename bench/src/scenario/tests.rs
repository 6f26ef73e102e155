//! The built-in scenarios load, and what is wrong is told with its place.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn load(set: &[&str]) -> Result<Scenario, String> {
    let changes = Changes { set: set.iter().map(|s| (*s).to_owned()).collect(), ..Changes::default() };
    Scenario::load("hsrp-ipsec", &changes).map_err(|e| e.to_string())
}

/// A scenario file of `text` beside the reference configurations, read from the disk.
fn read(text: &str) -> Result<Scenario, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("test.toml");
    let configurations = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios/hsrp-ipsec");
    std::fs::write(&path, text.replace("CFG", &configurations.display().to_string())).unwrap();
    Scenario::load(&path.display().to_string(), &Changes::default())
        .map_err(|e| format!("{}:{}: {}", e.place.line, e.place.column, e.message))
}

const ONE: &str = "name = \"t\"\nduration = \"60s\"\n[[router]]\nconfig = \"CFG/7206-1.cfg\"\n";

#[test]
fn every_built_in_loads_under_its_own_name() {
    for built_in in built_ins() {
        let scenario = Scenario::load(built_in.name, &Changes::default()).unwrap();
        assert_eq!(scenario.name, built_in.name);
        assert_eq!(scenario.about, built_in.about());
        assert!(!scenario.about.is_empty() && !scenario.faults.is_empty(), "{}", built_in.name);
        assert_eq!(scenario.routers.len(), 5, "{}", built_in.name);
    }
}

#[test]
fn a_path_changes_one_value() {
    let s =
        load(&["traffic.inside-to-remote.rate=1Mpps", "segment.outside.loss=0.01", "duration=300s"]).unwrap();
    assert!(matches!(s.traffic[0].kind, TrafficKind::Udp { pps, .. } if pps == 1e6));
    assert_eq!((s.segments[0].impairment.loss, s.segments[1].impairment.loss), (0.01, 0.0));
    assert_eq!(s.duration, Duration::from_s(300));
}

#[test]
fn ios_lines_reach_the_routers_of_the_pattern_before_end() {
    let s = load(&["config.7204VXR-*.FastEthernet0/0=\"standby 1 timers 1 4\""]).unwrap();
    for router in &s.routers {
        let expected = router.name.starts_with("7204VXR-");
        assert_eq!(router.text.contains("interface FastEthernet0/0\n standby 1 timers 1 4\n"), expected);
        assert_eq!(router.text.lines().filter(|l| *l == "end").count(), 1, "{}", router.name);
    }
}

#[test]
fn wrong_paths_name_the_nearest() {
    for (argument, part) in [
        ("segment.outsid.loss=0.1", "did you mean \"outside\"?"),
        ("segment.outside.los=0.1", "did you mean \"loss\"?"),
        ("segment.outside.loss=2", "not between 0 and 1"),
        ("segmen.outside.loss=0", "did you mean \"segment\"?"),
        ("config.7204VXR-9.FastEthernet0/0=shutdown", "no router is named"),
        ("nonsense", "PATH=VALUE"),
    ] {
        let error = load(&[argument]).unwrap_err();
        assert!(error.contains(part) && error.starts_with("--set "), "{argument}: {error}");
    }
}

#[test]
fn errors_stand_at_their_place() {
    for (text, expected) in [
        ("seed = 1\n", "1:1: a scenario needs `name`"),
        ("typo = 1\n", "1:1: a scenario has no key `typo`"),
        (
            "name = \"t\"\n\nduratoin = \"400s\"\n",
            "3:1: a scenario has no key `duratoin`; did you mean \"duration\"?",
        ),
        ("name = \"t\"\nduration = 400\n", "2:12: `duration`: a duration needs its unit: \"400s\""),
        ("name = \"t\"\nduration = \"400s\"\n", "1:1: a scenario needs at least one [[router]]"),
        ("name = \"t\"\nduration = \"400s\n", "2:17: "),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    for (tail, expected) in [
        ("profil = \"frr\"\n", "5:1: [[router]] has no key `profil`; did you mean \"profile\"?"),
        ("[[router]]\nconfi = \"x\"\n", "6:1: [[router]] has no key `confi`; did you mean \"config\"?"),
        (
            "[[segment]]\nname = \"a\"\natach = []\n",
            "7:1: [[segment]] has no key `atach`; did you mean \"attach\"?",
        ),
        (
            "[[traffic]]\nname = \"a\"\nform = \"7206-1:Loopback0\"\n",
            "7:1: [[traffic]] has no key `form`; did you mean \"from\"?",
        ),
        ("[[fault]]\natt = \"7s\"\n", "6:1: [[fault]] has no key `att`; did you mean \"at\"?"),
        (
            "[[fault]]\nat = \"7s\"\naction = \"crash\"\ntarget = \"7206-1\"\nlines = \"x\"\n",
            "9:1: [[fault]] has no use for `lines` here",
        ),
        ("[[router]]\nconfig = \"CFG/7206-1.cfg\"\n", "6:10: router \"7206-1\" is there twice"),
        (
            "[[segment]]\nname = \"a\"\nattach = [\"7206-1:Fa0/1\", \"7206-1:Fa0/1\"]\n",
            "7:27: 7206-1:Fa0/1 is attached twice",
        ),
        (
            "[[segment]]\nname = \"a\"\nattach = [\"7206:Fa0/1\"]\n",
            "7:11: no router is named \"7206\"; did you",
        ),
        ("[[fault]]\nat = \"70s\"\naction = \"crash\"\ntarget = \"7206-1\"\n", "6:6: `at`: the run is over"),
        ("[[fault]]\nat = \"7s\"\naction = \"crush\"\ntarget = \"7206-1\"\n", "7:10: `action`: no fault is"),
    ] {
        let error = read(&format!("{ONE}{tail}")).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

proptest! {
    #[test]
    fn any_text_and_any_argument(text in "\\PC{0,80}", path in "[a-z.*0-9-]{0,24}", value in "\\PC{0,16}") {
        let _ = tree::parse(&"any".into(), &text);
        let _ = load(&[&format!("{path}={value}"), &text]);
    }
}
