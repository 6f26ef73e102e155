//! What the simulated routers say, read by tshark: no frame of any segment is malformed, and with the keys written
//! beside the captures it opens every ESP packet and every encrypted IKE message.

use std::path::Path;
use std::process::Command;

use espalier_tests::{Scratch, missing, peers_are_required};
use libtest_mimic::{Arguments, Failed, Trial};

const SCENARIOS: [&str; 4] = ["hsrp-ipsec", "crash", "subsecond", "rekey"];

fn main() {
    let arguments = Arguments::from_args();
    let tshark = missing(&["tshark", "--version"]);
    let trial = |scenario: &'static str| {
        let why = tshark.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
        let ignored = tshark.is_some() && !peers_are_required();
        Trial::test(format!("tshark reads {scenario}{why}"), move || reads(scenario))
            .with_ignored_flag(ignored)
    };
    libtest_mimic::run(&arguments, SCENARIOS.map(trial).into()).exit();
}

fn reads(scenario: &str) -> Result<(), Failed> {
    let scratch = Scratch::new();
    let out = scratch.path("out");
    let done = Command::new(env!("CARGO_BIN_EXE_espalier-tested"))
        // A few packets a second of each flow show all that there is to see.
        .args([scenario, "--set", "traffic.inside-to-remote.rate=20pps"])
        .args(["--set", "traffic.remote-to-inside.rate=20pps", "--json", "--out"])
        .arg(&out)
        .output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    for segment in ["outside", "inside", "remote"] {
        let capture = out.join(format!("{segment}.pcapng"));
        let bad =
            count(&out, &capture, "_ws.malformed || esp.icv_bad == 1 || ip.checksum.status == \"Bad\"")?;
        if bad != 0 {
            return Err(format!("{segment}: {bad} frames that tshark calls malformed or wrong").into());
        }
    }
    let outside = out.join("outside.pcapng");
    let (esp, opened) = (count(&out, &outside, "esp")?, count(&out, &outside, "esp && (udp || icmp)")?);
    let (hidden, read) = (
        count(&out, &outside, "isakmp.flag_e == 1")?,
        count(&out, &outside, "isakmp.flag_e == 1 && (isakmp.hash || isakmp.id.data)")?,
    );
    if esp == 0 || esp != opened {
        return Err(format!("{opened} of {esp} ESP packets opened").into());
    }
    if hidden == 0 || hidden != read {
        return Err(format!("{read} of {hidden} encrypted IKE messages opened").into());
    }
    Ok(())
}

/// How many frames tshark's display filter takes.
fn count(out: &Path, capture: &Path, filter: &str) -> Result<usize, Failed> {
    let done = Command::new("tshark")
        .env("WIRESHARK_CONFIG_DIR", out.join("keys"))
        .args(["-o", "ip.check_checksum:TRUE", "-r"])
        .arg(capture)
        .args(["-Y", filter, "-T", "fields", "-e", "frame.number"])
        .output()?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
    }
    Ok(String::from_utf8_lossy(&done.stdout).lines().count())
}
