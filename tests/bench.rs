//! `espalier bench` judged from outside: every figure rests on packets that came back right, and mistakes are said in one
//! line. How fast it is decides nothing.

use std::process::{Command, Output};

use serde_json::Value;

fn espalier(arguments: &[&str]) -> Output {
    verb(&[&["bench"], arguments].concat())
}

fn verb(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_espalier-tested")).args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    json_of(&[&["bench"], arguments].concat())
}

fn json_of(arguments: &[&str]) -> Value {
    let output = verb(&[arguments, &["--seconds", "0.005", "--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_transform_by_every_engine_is_verified() {
    for scope in [&["--crypto-only"][..], &[]] {
        let wanted = ["--engine", "auto,scalar,library,simd", "--size", "64,imix", "--burst", "33"];
        let document = json(&[scope, &wanted].concat());
        assert_eq!(document["schema"], "espalier.bench/1");
        let runs = document["runs"].as_array().unwrap();
        let transforms: std::collections::BTreeSet<&str> =
            runs.iter().map(|run| run["transform"].as_str().unwrap()).collect();
        assert_eq!(transforms.len(), 22);
        for run in runs {
            assert_eq!(run["verified"], true, "{run}");
            assert_ne!(run["engine"], "auto");
            assert_eq!(run["samples"].as_array().unwrap().len(), 5);
            assert!(run["ns_per_packet"].as_f64().unwrap() > 0.0);
        }
    }
}

#[test]
fn many_sas_share_a_batch() {
    let wanted = ["--sas", "300", "--transform", "des-md5,aes128-gcm,aes256-sha512", "--size", "100"];
    for scope in [&["--crypto-only"][..], &[]] {
        for run in json(&[scope, &wanted].concat())["runs"].as_array().unwrap() {
            assert_eq!((&run["verified"], &run["sas"]), (&Value::from(true), &Value::from(300)), "{run}");
        }
    }
}

#[test]
fn engines_and_sas_stand_beside_each_other() {
    let wanted = ["--crypto-only", "--transform", "aes128-gcm", "--size", "64,imix", "--seconds", "0.005"];
    let output = espalier(&[&wanted[..], &["--engine", "simd,library,scalar", "--sas", "1,7"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("how many times as long as"), "{text}");
    assert!(
        text.contains("how much of the speed with 1 SA is left") && text.contains("scalar, 7 SA"),
        "{text}"
    );
}

#[test]
fn bursts_are_as_large_as_they_are_said_to_be() {
    let wanted = ["--transform", "aes128-gcm", "--size", "64", "--direction", "encap", "--burst", "1..300,2"];
    let runs = json(&wanted);
    let bursts: Vec<_> = runs["runs"].as_array().unwrap().iter().map(|run| &run["burst"]).collect();
    assert_eq!(bursts, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    // Rounds have as many packets as the largest burst.
    let packets = runs["runs"][9]["packets"].as_u64().unwrap();
    assert!(packets > 0 && packets.is_multiple_of(300), "{packets}");
    let output = espalier(&[&wanted[..], &["--seconds", "0.005"]].concat());
    assert!(String::from_utf8(output.stdout).unwrap().contains("us/burst"));
}

#[test]
fn owners_and_helpers_are_verified_too() {
    let wanted = ["--layout", "1,1+1,2x,1+2,2x+1", "--oversubscribe", "--transform", "des-md5,aes128-gcm"];
    let sizes = ["--size", "imix", "--sas", "5", "--burst", "32"];
    let document = json(&[&wanted[..], &sizes].concat());
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2 * 2 * 5);
    for run in runs {
        let cores = match run["layout"].as_str().unwrap() {
            "1" => 1,
            "1+1" | "2x" => 2,
            "1+2" => 3,
            "2x+1" => 4,
            other => panic!("{other}"),
        };
        assert_eq!((&run["verified"], &run["cores"]), (&Value::from(true), &Value::from(cores)), "{run}");
    }
}

#[test]
fn a_sample_of_what_was_timed_opens_by_decap() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let capture = path("sample.pcap");
    json(&["--transform", "3des-sha1", "--size", "100", "--direction", "encap", "--sample", &capture]);
    let keys = std::fs::read_to_string(dir.path().join("sample.pcap.keys/esp_sa")).unwrap();
    let fields: Vec<&str> = keys.lines().find(|line| line.starts_with('"')).unwrap().split('"').collect();
    let hex = |text: &str| text.trim_start_matches("0x").to_owned();
    let sa = format!(
        "[[sa]]\nspi = {}\nsrc = \"192.1.2.1\"\ndst = \"192.1.2.2\"\nmode = \"tunnel\"\n\
         transform = \"3des-sha1\"\nkey = \"{}\"\nauth_key = \"{}\"\n",
        fields[7],
        hex(fields[11]),
        hex(fields[15])
    );
    std::fs::write(path("sa.toml"), sa).unwrap();
    let output = verb(&["decap", "--sa", &path("sa.toml"), &capture, "-o", &path("plain.pcap"), "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&counts["packets"], &counts["passed"]), (&Value::from(100), &Value::from(100)));
    // And its packets are packets to be measured with.
    let runs = json(&["--transform", "aes128-gcm", "--pcap", &path("plain.pcap")]);
    assert!(runs["runs"].as_array().unwrap().iter().all(|run| run["verified"] == true));
    assert_eq!(runs["runs"][0]["size"], "plain.pcap");
}

#[test]
fn a_run_is_compared_with_a_stored_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("before.json");
    let wanted = ["--transform", "aes128-gcm", "--size", "64", "--direction", "encap"];
    std::fs::write(&path, json(&wanted).to_string()).unwrap();
    let baseline = ["--seconds", "0.005", "--baseline", path.to_str().unwrap()];
    let output = espalier(&[&wanted[..], &baseline].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("against the baseline"), "{text}");
    assert!(text.contains("aes128-gcm") && !text.contains("not in it"), "{text}");
}

#[test]
fn stages_have_names_and_shares_that_make_one() {
    for direction in ["encap", "decap"] {
        let profile = json_of(&["profile", "--transform", "aes128-sha1", "--direction", direction]);
        assert_eq!((&profile["schema"], &profile["verified"]), (&"espalier.profile/1".into(), &true.into()));
        let stages = profile["stages"].as_array().unwrap();
        let names: Vec<&str> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
        let crypt = if direction == "encap" { "seal" } else { "open" };
        assert_eq!(names, ["classify", "look-up", "prepare", crypt, "finish"]);
        let shares: f64 = stages.iter().map(|stage| stage["share"].as_f64().unwrap()).sum();
        assert!((shares - 1.0).abs() < 1e-6, "{shares}");
    }
    let folded = verb(&["profile", "--transform", "aes128-sha1", "--seconds", "0.005", "--folded"]);
    let text = String::from_utf8(folded.stdout).unwrap();
    assert!(text.starts_with("aes128-sha1;encap;64;classify ") && text.lines().count() == 5, "{text}");
}

#[test]
fn under_load_every_packet_is_delivered_or_lost() {
    let compared = json_of(&["compare", "des-md5", "aes128-gcm", "--load", "20,110", "--size", "64"]);
    assert_eq!(compared["schema"], "espalier.compare/1");
    for transform in compared["transforms"].as_array().unwrap() {
        let points = transform["points"].as_array().unwrap();
        assert_eq!(points.len(), 2);
        for point in points {
            let figure = |name: &str| point[name].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&figure("loss")), "{point}");
            assert!(figure("p50_ns") <= figure("p99_ns") && figure("p999_ns") <= figure("max_ns"), "{point}");
            assert!(figure("delivered_pps") > 0.0, "{point}");
        }
    }
    let searched =
        json(&["--transform", "aes128-gcm", "--size", "64", "--direction", "encap", "--search", "ndr,pdr"]);
    assert_eq!(searched["schema"], "espalier.search/1");
    assert_eq!(searched["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn cores_measures_what_there_is_and_models_the_rest() {
    let scaled = json_of(&["cores", "aes128-gcm", "--layout", "1,1+900", "--size", "64"]);
    let points = scaled["transforms"][0]["points"].as_array().unwrap();
    assert!(points[0]["measured_pps"].is_f64() && points[1]["measured_pps"].is_null(), "{scaled}");
    assert!(points.iter().all(|point| point["model_pps"].as_f64().unwrap() > 0.0), "{scaled}");
}

#[test]
fn mistakes_are_said() {
    for (arguments, said) in [
        (["--layout", "1+9999"], "1+9999 is no layout"),
        (["--layout", "1+900"], "901 workers want as many cores"),
        (["--pcap", "/nowhere.pcap"], "/nowhere.pcap: "),
        (["--baseline", "/nowhere.json"], "/nowhere.json: "),
        (["--transform", "rot13"], "no transform"),
        (["--engine", "steam"], "no engine"),
        (["--size", "27"], "27 is no number from 28 to 9000"),
        (["--sas", "0"], "0 is no number from 1 to 1000000"),
        (["--burst", "513"], "513 is no number from 1 to 512"),
        (["--burst", "8..4"], "8..4 goes down"),
        (["--sas", "1..x"], "x is no number from 1 to 1000000"),
        (["--seconds", "-1"], "-1 is no number of seconds"),
    ] {
        let output = espalier(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}
