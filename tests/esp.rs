//! `espalier encap` and `decap` as a user runs them: round trips, drops by cause, bad input, interruption.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use espalier_tests::{Scratch, packets, root, sa_toml};
use espalier_wire::Transform;
use serde_json::Value;

const CAPTURES: [&str; 5] = ["web.pcapng", "dns.pcap", "voice.pcap", "bulk.pcap", "ping.pcap"];

fn espalier(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_espalier-tested")).args(arguments).output().unwrap()
}

fn pass(verb: &str, sa: &Path, input: &Path, output: &Path, more: &[&str]) -> Output {
    let (sa, input, output) = (sa.to_str().unwrap(), input.to_str().unwrap(), output.to_str().unwrap());
    espalier(&[&[verb, "--sa", sa, input, "-o", output, "--json"], more].concat())
}

fn counts(verb: &str, sa: &Path, input: &Path, output: &Path) -> Value {
    let done = pass(verb, sa, input, output, &[]);
    assert!(done.status.success(), "{verb}: {}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// Encapsulate and decapsulate; the packets that come back.
fn round_trip(sa: &str, input: &Path) -> (Value, Value, Vec<espalier_tests::Seen>) {
    let scratch = Scratch::new();
    let (sa, esp, back) =
        (scratch.file("sa.toml", sa), scratch.path("esp.pcapng"), scratch.path("back.pcapng"));
    let sealed = counts("encap", &sa, input, &esp);
    let opened = counts("decap", &sa, &esp, &back);
    (sealed, opened, packets(&back))
}

#[test]
fn every_transform_returns_every_capture_byte_for_byte() {
    for transform in Transform::ALL {
        for capture in CAPTURES {
            let input = root().join("pcaps").join(capture);
            let (sealed, opened, back) = round_trip(&sa_toml(*transform, ""), &input);
            assert!(back == packets(&input), "{transform} {capture}");
            assert_eq!(sealed["passed"], opened["passed"], "{transform} {capture}");
            assert_eq!(sealed["esp"], opened["esp"], "{transform} {capture}");
        }
    }
}

#[test]
fn modes_esn_udp_and_ipv6_return_a_capture_too() {
    let input = root().join("pcaps/ping.pcap");
    let v6 = sa_toml(Transform::Aes128Gcm, "").replace("198.51.100.", "2001:db8::");
    let variants = [
        sa_toml(Transform::Aes256Sha256, "esn = true\nreplay_window = 1024"),
        sa_toml(Transform::DesMd5, "udp_encap = { src = 4500, dst = 4500 }"),
        sa_toml(Transform::Aes128Gcm, "mode = \"tunnel\"\nreplay_window = 0"),
        v6,
    ];
    for sa in variants {
        assert!(round_trip(&sa, &input).2 == packets(&input), "{sa}");
    }
}

/// Neither end of the traffic is the SA's: without a selector every packet is sealed all the same, and its SPI alone
/// finds the SA again. Fragments are no packets for transport mode (RFC 4303 section 3.1.1).
#[test]
fn transport_mode_takes_whole_packets_of_any_address() {
    let sa = sa_toml(Transform::DesSha1, "mode = \"transport\"");
    let dns = root().join("pcaps/dns.pcap");
    let (sealed, _, back) = round_trip(&sa, &dns);
    assert!(back == packets(&dns) && sealed["passed"] == 120);
    let (sealed, opened, _) = round_trip(&sa, &root().join("pcaps/ping.pcap"));
    assert_eq!((&sealed["dropped"]["policy-mismatch"], &opened["passed"]), (&30.into(), &30.into()));
}

#[test]
fn drops_are_counted_by_cause() {
    let scratch = Scratch::new();
    let sa = scratch.file("sa.toml", sa_toml(Transform::DesMd5, ""));
    let other = scratch.file("other.toml", sa_toml(Transform::DesMd5, "").replace("0x1000", "0x2000"));
    let wrong = scratch
        .file("wrong.toml", sa_toml(Transform::DesMd5, "").replace("auth_key = \"61", "auth_key = \"00"));
    let (esp, out) = (scratch.path("esp.pcap"), scratch.path("out.pcap"));
    let total = counts("encap", &sa, &root().join("pcaps/dns.pcap"), &esp)["passed"].clone();
    assert_eq!(counts("decap", &other, &esp, &out)["dropped"]["unknown-spi"], total);
    assert_eq!(counts("decap", &wrong, &esp, &out)["dropped"]["integrity"], total);

    // The same capture twice: the second half is a replay of the first.
    let mut twice = fs::read(&esp).unwrap();
    let again = twice[24..].to_vec();
    twice.extend_from_slice(&again);
    let found = counts("decap", &sa, &scratch.file("twice.pcap", twice), &out);
    assert_eq!((&found["passed"], &found["dropped"]["replay"]), (&total, &total));
}

#[test]
fn a_selector_and_only_leave_the_rest_alone_or_out() {
    let scratch = Scratch::new();
    let selector = "selector = { src = \"192.0.2.1\", dst = \"192.0.2.2\" }";
    let sa = scratch.file("sa.toml", sa_toml(Transform::Aes128Sha1, selector));
    let (input, out) = (root().join("pcaps/ping.pcap"), scratch.path("out.pcap"));
    let found = counts("encap", &sa, &input, &out);
    assert_eq!(found["passed"], found["bypassed"], "one direction of a ping");
    assert_eq!(packets(&out).len(), 60);
    assert!(pass("encap", &sa, &input, &out, &["--only"]).status.success());
    assert_eq!(packets(&out).len(), 30);
}

#[test]
fn a_path_mtu_cuts_before_encryption_or_after_it() {
    let input = root().join("pcaps/ping.pcap");
    for order in ["before-encryption", "after-encryption"] {
        let scratch = Scratch::new();
        let more = format!("mtu = 600\ndf_bit = \"clear\"\nfragmentation = \"{order}\"");
        let sa = scratch.file("sa.toml", sa_toml(Transform::Aes128Gcm, &more));
        let out = scratch.path("out.pcap");
        let found = counts("encap", &sa, &input, &out);
        let written = packets(&out);
        assert!(written.iter().all(|(_, ip)| ip.len() <= 600), "{order}");
        let whole = found["passed"].as_u64().unwrap() + found["dropped"]["too-big"].as_u64().unwrap_or(0);
        assert_eq!(whole, 60, "{order}: {found}");
        if order == "after-encryption" {
            // Put together, opened, and each where its last fragment stood.
            let back = scratch.path("back.pcap");
            let opened = counts("decap", &sa, &out, &back);
            assert!(packets(&back) == packets(&input));
            assert_eq!(opened["joined"], written.len() - 60, "{opened}");
        }
    }
}

#[test]
fn bad_input_is_one_line_exit_two_and_no_output() {
    let scratch = Scratch::new();
    let good = scratch.file("sa.toml", sa_toml(Transform::Aes128Gcm, ""));
    let bad = scratch.file("bad.toml", sa_toml(Transform::Aes128Gcm, "colour = 1"));
    let capture = root().join("pcaps/dns.pcap");
    let out = scratch.path("out.pcap");
    let text = scratch.file("text.pcap", "no capture at all");
    let empty = scratch.file("empty.pcap", "");
    let cases: [(&Path, &Path, &Path, &str); 6] = [
        (&bad, &capture, &out, "bad.toml:8:1: unknown key \"colour\""),
        (&scratch.path("none.toml"), &capture, &out, "none.toml: No such file"),
        (&good, &scratch.path("none.pcap"), &out, "none.pcap: No such file"),
        (&good, &text, &out, "text.pcap: "),
        (&good, &empty, &out, "empty.pcap: an empty file"),
        (&good, &capture, &scratch.path("no/such/folder.pcap"), "folder.pcap: No such file"),
    ];
    for (sa, input, output, message) in cases {
        let done = pass("encap", sa, input, output, &[]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(message) && said.lines().count() == 1, "{message}: {said}");
        assert!(!output.exists() && done.stdout.is_empty());
    }
}

#[test]
fn a_cut_capture_keeps_what_stands_before_the_cut() {
    let scratch = Scratch::new();
    let sa = scratch.file("sa.toml", sa_toml(Transform::Aes128Gcm, ""));
    let whole = fs::read(root().join("pcaps/dns.pcap")).unwrap();
    let cut = scratch.file("cut.pcap", &whole[..whole.len() - 7]);
    let out = scratch.path("out.pcap");
    let found = counts("encap", &sa, &cut, &out);
    assert_eq!((found["passed"].as_u64(), found["truncated"]["packet"].as_u64()), (Some(119), Some(120)));
    assert_eq!(packets(&out).len(), 119);
    fs::remove_file(&out).unwrap();
    let strict = pass("encap", &sa, &cut, &out, &["--strict"]);
    assert!(strict.status.code() == Some(2) && !out.exists());
    let none = scratch.file("none.pcap", &whole[..24]);
    assert_eq!(counts("encap", &sa, &none, &out)["packets"], 0);
    assert_eq!(packets(&out).len(), 0);
}

#[test]
fn fragments_that_stay_alone_are_lost_by_name_and_the_books_balance() {
    let scratch = Scratch::new();
    let more = "mtu = 600\ndf_bit = \"clear\"\nfragmentation = \"after-encryption\"";
    let sa = scratch.file("sa.toml", sa_toml(Transform::Aes128Gcm, more));
    let (esp, out) = (scratch.path("esp.pcap"), scratch.path("out.pcap"));
    counts("encap", &sa, &root().join("pcaps/ping.pcap"), &esp);
    let whole = fs::read(&esp).unwrap();
    let cut = scratch.file("cut.pcap", &whole[..whole.len() - 1]);
    let found = counts("decap", &sa, &cut, &out);
    let n = |value: &Value| value.as_u64().unwrap_or(0);
    assert!(n(&found["dropped"]["reassembly-timeout"]) > 0, "{found}");
    let lost: u64 = found["dropped"].as_object().unwrap().values().map(n).sum();
    let told = n(&found["passed"]) + n(&found["bypassed"]) + n(&found["joined"]) + lost;
    assert_eq!(n(&found["packets"]), told, "{found}");
}

#[test]
fn an_interruption_leaves_nothing_and_exits_130() {
    let scratch = Scratch::new();
    let sa = scratch.file("sa.toml", sa_toml(Transform::Aes128Gcm, ""));
    let out = scratch.path("out.pcap");
    let mut child = Command::new(env!("CARGO_BIN_EXE_espalier-tested"))
        .args(["encap", "--sa", sa.to_str().unwrap(), "/dev/stdin", "-o", out.to_str().unwrap()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // A capture that goes on: its header is there, and the pipe stays open.
    let capture = fs::read(root().join("pcaps/dns.pcap")).unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&capture).unwrap();
    let begun = out.with_file_name(format!(".out.pcap.{}.part", child.id()));
    while !begun.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!begun.exists() && !out.exists());
}
