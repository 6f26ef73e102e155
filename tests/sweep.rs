//! `espalier sweep`, `new` and `check` judged from outside: an interrupted sweep ends as one that was not, shards join to
//! the same, and configurations become a scenario of which something wrong is said.

use std::path::Path;
use std::process::{Command, Output};

use espalier_tests::{Scratch, root};
use serde_json::Value;

/// A sweep that takes little time: two settings, two seeds, little traffic.
const SWEEP: [&str; 13] = [
    "sweep",
    "hsrp-ipsec",
    "--vary",
    "config.7204VXR-*.FastEthernet0/0=standby 1 timers 1 {3,6}",
    "--seeds",
    "2",
    "--set",
    "traffic.voice.stop=91s",
    "--set",
    "traffic.remote-to-inside.rate=5pps",
    "--set",
    "traffic.inside-to-remote.rate=20pps",
    "--json",
];

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_espalier-tested")).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A sweep's JSON without what tells the machine and the moment.
fn json(bytes: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(bytes).unwrap();
    value.as_object_mut().unwrap().remove("manifest");
    value
}

fn swept(more: &[&str]) -> Value {
    let output = run(&[&SWEEP[..], more].concat());
    assert!(output.status.success(), "{}", said(&output));
    json(&output.stdout)
}

#[test]
fn what_was_interrupted_goes_on_and_shards_join() {
    let scratch = Scratch::new();
    let whole = scratch.path("whole");
    let first = swept(&["--out", text(&whole)]);
    assert_eq!((&first["runs"], &first["missing"]), (&Value::from(4), &Value::from(0)));
    assert_eq!(first["factors"][0]["setting"], "config.7204VXR-*.FastEthernet0/0=standby 1 timers 1 {3,6}");
    let slope = first["factors"][0]["slope"].as_f64().unwrap();
    assert!((0.5..1.5).contains(&slope), "a second of hold time costs {slope} s");

    // As a Ctrl-C in the middle of a line leaves it.
    let runs = whole.join("runs.jsonl");
    let kept = std::fs::read_to_string(&runs).unwrap();
    let lines: Vec<&str> = kept.lines().collect();
    std::fs::write(&runs, format!("{}\n{}\n{}", lines[0], lines[1], &lines[2][..20])).unwrap();
    assert_eq!(swept(&["--out", text(&whole)]), first);
    assert_eq!(std::fs::read_to_string(&runs).unwrap().lines().count(), 5);

    // Another plan must not be mixed in.
    let other = run(&["sweep", "--seeds", "7", "--out", text(&whole)]);
    assert_eq!(other.status.code(), Some(2), "{}", said(&other));
    assert!(said(&other).contains("holds the runs of another sweep"), "{}", said(&other));

    let job = scratch.path("job");
    let emitted = run(&[&SWEEP[..12], &["--emit", "slurm", text(&job), "--shards", "3"]].concat());
    assert!(emitted.status.success(), "{}", said(&emitted));
    let script = std::fs::read_to_string(job.join("array.sh")).unwrap();
    assert!(script.contains("#SBATCH --array=0-2\n"), "{script}");
    for task in ["0", "1", "2"] {
        let done =
            Command::new("bash").arg(job.join("array.sh")).env("SLURM_ARRAY_TASK_ID", task).output().unwrap();
        assert!(done.status.success(), "{}", said(&done));
    }
    let shards: Vec<_> = (0..3).map(|i| job.join(format!("shard-{i}.jsonl"))).collect();
    let shards: Vec<&str> = shards.iter().map(|p| text(p)).collect();
    let merged = run(&[&["sweep", "merge"], &shards[..], &["--json", "--out", text(&job)]].concat());
    assert!(merged.status.success(), "{}", said(&merged));
    assert_eq!(json(&merged.stdout), first);
    let page = std::fs::read_to_string(job.join("report.html")).unwrap();
    assert!(page.contains("buys most"));
}

#[test]
fn mistakes_are_said_before_anything_runs() {
    for (arguments, message) in [
        (vec!["--vary", "x"], "PATH=VALUE is wanted"),
        (vec!["--vary", "segment.outside.loss=0.1"], "nothing in it varies"),
        (vec!["--vary", "segment.outside.loss={1..0}"], "a range goes up"),
        (vec!["--vary", "segment.outsde.loss={0,1}"], "no segment is named"),
        (vec!["--figure", "failover.nobody.tbm_s"], "the scenario has no flow \"nobody\""),
        (vec!["--figure", "lost"], "KIND.FLOW.FIELD"),
        (vec!["--emit", "lsf", "here"], "--emit lsf"),
        (vec!["--shard", "3/3"], "I from 0 below N"),
        (vec!["nowhere.toml"], "nowhere.toml:1:1:"),
    ] {
        let output = run(&[&["sweep"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(message), "{arguments:?}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

/// The reference network's configurations without its provider's, changed by `change`, as a scenario of one's own.
fn own(scratch: &Scratch, change: impl Fn(&str, String) -> String) -> std::path::PathBuf {
    let folder = root().join("bench/scenarios/hsrp-ipsec");
    let mut arguments = vec!["new".to_owned()];
    for name in ["7204VXR-1.cfg", "7204VXR-2.cfg", "7206-1.cfg", "vpn7200.cfg"] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        arguments.push(text_of(&scratch.file(name, change(name, text))));
    }
    let out = scratch.path("mine");
    arguments.extend(["-o".to_owned(), text_of(&out)]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run(&arguments);
    assert!(output.status.success(), "{}", said(&output));
    out.join("mine.toml")
}

fn text_of(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn configurations_become_a_scenario_that_runs() {
    let scratch = Scratch::new();
    let scenario = own(&scratch, |_, text| text);
    let checked = run(&["check", text(&scenario), "--strict"]);
    assert!(checked.status.success(), "{}", said(&checked));
    assert!(said(&checked).contains("Nothing looks wrong."), "{}", said(&checked));
    let sparse = std::fs::read_to_string(&scenario).unwrap().replace("100pps", "20pps");
    std::fs::write(&scenario, sparse).unwrap();
    let output = run(&[text(&scenario), "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    // As the reference scenario, which was written by hand: the hold time, and a little.
    let failover = |f: &Value| {
        let outages = f["outages"].as_array().unwrap().iter();
        outages.filter(|o| o["kind"] == "failover").filter_map(|o| o["tbm_s"].as_f64()).next()
    };
    let flows = json["flows"].as_array().unwrap();
    assert!(flows.len() >= 2);
    for flow in flows {
        let tbm = failover(flow).unwrap_or_else(|| panic!("{}: no failover", flow["name"]));
        assert!((7.0..10.5).contains(&tbm), "{}: {tbm}", flow["name"]);
        assert_eq!(flow["recovered"], true);
    }
    let again = run(&["new", text(&scratch.path("vpn7200.cfg")), "-o", text(scenario.parent().unwrap())]);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("is there already"), "{}", said(&again));
}

#[test]
fn what_looks_wrong_is_said() {
    let all: [(&str, &str, &str, &str); 6] = [
        ("vpn7200.cfg", "key cisco123", "key another1", "has another pre-shared key for 172.16.172.53"),
        ("7206-1.cfg", "router ospf", "router ospf", ""),
        (
            "7204VXR-1.cfg",
            "host 99.99.99.99 20.1.1.0",
            "host 99.99.99.98 20.1.1.0",
            "has no mirror of this entry",
        ),
        ("7204VXR-2.cfg", "esp-des esp-md5-hmac", "esp-aes esp-sha-hmac", "no transform set of this entry"),
        ("7204VXR-1.cfg", " hash md5\n", " hash sha\n", "no ISAKMP policy is"),
        ("7204VXR-1.cfg", " standby 1 preempt\n", " standby 1 timers 4 5\n", "allows less than three hellos"),
    ];
    for (file, from, to, message) in all {
        let scratch = Scratch::new();
        let scenario = own(&scratch, |name, text| {
            if name != file {
                return text;
            }
            assert!(text.contains(from), "{file} has no {from}");
            text.replace(from, to)
        });
        let checked = run(&["check", text(&scenario)]);
        assert!(checked.status.success(), "{}", said(&checked));
        let expected = if message.is_empty() { "Nothing looks wrong." } else { message };
        assert!(said(&checked).contains(expected), "{file}: no \"{expected}\" in\n{}", said(&checked));
        let strict = run(&["check", text(&scenario), "--strict"]);
        assert_eq!(strict.status.code(), Some(i32::from(!message.is_empty())), "{}", said(&strict));
    }
}

#[test]
fn manual_and_completions_know_every_verb() {
    let scratch = Scratch::new();
    let written = run(&["man", "--out", text(&scratch.path("man"))]);
    assert!(written.status.success(), "{}", said(&written));
    for verb in ["failover", "sweep", "report", "check", "new", "bench", "encap"] {
        let page = std::fs::read_to_string(scratch.path("man").join(format!("espalier-{verb}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS"), "{verb}");
        let completions = said(&run(&["completions", "bash"]));
        assert!(completions.contains(verb), "{verb}");
    }
}
