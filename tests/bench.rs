//! `espalier bench` judged from outside: every figure rests on packets that came back right, and mistakes are said in one
//! line. How fast it is decides nothing.

use std::process::{Command, Output};

use serde_json::Value;

fn espalier(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_espalier-tested")).arg("bench").args(arguments).output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = espalier(&[arguments, &["--seconds", "0.005", "--json"]].concat());
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
fn mistakes_are_said() {
    for (arguments, said) in [
        (["--transform", "rot13"], "no transform"),
        (["--engine", "steam"], "no engine"),
        (["--size", "27"], "27 is no number from 28 to 9000"),
        (["--sas", "0"], "0 is no number from 1 to 1000000"),
        (["--burst", "513"], "513 is no number from 1 to 512"),
        (["--seconds", "-1"], "-1 is no number of seconds"),
    ] {
        let output = espalier(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}
