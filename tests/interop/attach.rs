//! `espalier attach` and `--drive host` on this machine: what they refuse, what they say, how they end; and the reference
//! network with real parts, its outages beside those of virtual time.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use espalier_tests::attached::frames;
use espalier_tests::namespaces::{Net, Space, no_namespaces, within};
use espalier_tests::{Scratch, charon, frr, missing};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::{PROGRAM, case};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/seconds/scenario.toml");

const SIGTERM: u32 = 15;

const CONFIG: &str = "hostname R1\n\
    interface FastEthernet0/0\n ip address 10.1.1.1 255.255.255.0\n\
    interface FastEthernet0/1\n ip address 10.1.2.1 255.255.255.0\n\
    interface Loopback0\n ip address 1.1.1.1 255.255.255.255\nend\n";

pub(super) fn cases() -> Vec<Trial> {
    let all = || no_namespaces().or_else(frr::missing).or_else(charon::missing);
    let stack = || all().or_else(|| missing(&["keepalived", "--version"]));
    let case = |name: &str, absent: Option<String>, test: fn()| case("attach", name, absent.as_ref(), test);
    vec![
        case("the reference network with FRR and strongSwan, as predicted", all(), network),
        case(
            "the same network and traffic with keepalived, strongSwan and FRR as its gateways",
            stack(),
            others,
        ),
        case("what cannot be attached is refused in one line", no_namespaces(), refusals),
        case("without rights it says so", no_namespaces(), no_rights),
        case("it runs for a time and reports; SIGINT ends it in order", no_namespaces(), ends),
        case("checksums and segments that a kernel leaves open", no_namespaces(), offloads),
        case("--keys and --gateways are for --drive host alone", None, host_alone),
    ]
}

/// A namespace with a wire from e0 to e1, and the configuration's file.
fn place() -> (Net, Space, Scratch, String) {
    let mut net = Net::new();
    let us = net.space("us");
    net.wire((&us, "e0"), (&us, "e1"));
    let scratch = Scratch::new();
    let file = scratch.file("R1.cfg", CONFIG).display().to_string();
    (net, us, scratch, file)
}

fn attach(space: &Space, file: &str, words: &str) -> Output {
    space.command(PROGRAM).args(["attach", file]).args(words.split_whitespace()).output().unwrap()
}

fn refuses(space: &Space, file: &str, words: &str, why: &str) {
    let done = attach(space, file, words);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{words}: {said}");
    assert!(said.contains(why) && done.stdout.is_empty(), "{words}: {said}");
}

fn refusals() {
    let (_net, us, scratch, file) = place();
    for (words, why) in [
        ("", "--bind"),
        ("--bind FastEthernet0/0", "INTERFACE=HOST is wanted"),
        ("--bind FastEthernet0/0=", "INTERFACE=HOST is wanted"),
        ("--bind FastEthernet0/9=e0", "R1 has no interface \"FastEthernet0/9\"; did you mean"),
        ("--bind Loopback0=e0", "no Ethernet interface"),
        ("--bind FastEthernet0/0=e0 --bind FastEthernet0/1=e0", "bound already"),
        ("--bind FastEthernet0/0=e7", "e7: there is no such interface"),
        ("--bind FastEthernet0/0=lo", "lo is no Ethernet interface"),
        ("--bind FastEthernet0/0=e0 --for soon", "no duration"),
        ("--bind FastEthernet0/0=e0 --show soon", "TIME COMMAND is wanted"),
        ("--bind FastEthernet0/0=e0 --profile ios-99", "no profile"),
        ("--bind FastEthernet0/0=e0 --keys", "--out"),
    ] {
        refuses(&us, &file, words, why);
    }
    us.address("e0", "10.9.9.9/24");
    refuses(&us, &file, "--bind FastEthernet0/0=e0", "e0: the kernel has an IPv4 address on it");
    us.run("ip addr flush dev e0");
    us.run("ip link set e0 mtu 1400");
    refuses(&us, &file, "--bind FastEthernet0/0=e0", "e0: its MTU is 1400, FastEthernet0/0 needs 1500");
    let bad = scratch.file("bad.cfg", "interface FastEthernet0/0\n ip adress 1.1.1.1 255.0.0.0\n");
    refuses(&us, &bad.display().to_string(), "--bind FastEthernet0/0=e0", "bad.cfg:2:");
    refuses(&us, "/nowhere.cfg", "--bind FastEthernet0/0=e0", "/nowhere.cfg");
}

fn no_rights() {
    let (_net, us, scratch, file) = place();
    // A copy that anybody may run: the build's folder may be nobody's business.
    let program = scratch.path("espalier");
    std::fs::copy(PROGRAM, &program).unwrap();
    let mut command = us.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all"]);
    let done = command.arg(program).args(["attach", &file, "--bind", "FastEthernet0/0=e0"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.contains("CAP_NET_RAW"), "{said}");
}

fn ends() {
    let (_net, us, scratch, file) = place();
    let out = scratch.path("out").display().to_string();
    let words = format!("--bind FastEthernet0/0=e0 --for 2s --json --out {out}");
    let mut command = us.command(PROGRAM);
    command
        .args(["attach", &file])
        .args(words.split_whitespace())
        .args(["--show", "1s show ip interface brief"]);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (report["schema"].as_str(), report["ended"].as_str()),
        (Some("espalier.attach/1"), Some("time"))
    );
    let seconds = report["duration_s"].as_f64().unwrap();
    assert!(seconds >= 2.0, "{seconds}");
    assert!(report["shows"][0]["text"].as_str().unwrap().contains("FastEthernet0/0"));
    let up = |e: &Value| e["source"] == "link" && e["text"].as_str().unwrap().contains("FastEthernet0/0");
    assert!(report["events"].as_array().unwrap().iter().any(up), "{report:#}");
    assert!(report["interfaces"][0]["host"] == "e0" && report["manifest"]["clock"] == "real");
    let beside: Value =
        serde_json::from_slice(&std::fs::read(scratch.path("out/report.json")).unwrap()).unwrap();
    assert_eq!(beside["events"], report["events"]);
    assert!(scratch.path("out/e0.pcapng").exists() && !scratch.path("out/keys").exists());
    for (signal, code, ended) in [("-INT", 130, "SIGINT"), ("-TERM", 0, "SIGTERM")] {
        let mut command = us.command(PROGRAM);
        command.args(["attach", &file, "--bind", "FastEthernet0/0=e0", "--json"]);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        assert!(within(30, || catches(child.id(), SIGTERM)), "it does not listen to signals");
        let _ = Command::new("kill").args([signal, &child.id().to_string()]).output();
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(code));
        let report: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(report["ended"], ended);
    }
}

/// Whether a process has a handler for a signal.
fn catches(id: u32, signal: u32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let mask = text.lines().find_map(|l| l.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal - 1) & 1 == 1
}

/// A kernel's TCP to another host through the router: on a veth its frames come with open checksums, and several
/// segments in one.
fn offloads() {
    let mut net = Net::new();
    let (a, us, b) = (net.space("a"), net.space("us"), net.space("b"));
    net.wire((&a, "e0"), (&us, "e0"));
    net.wire((&b, "e0"), (&us, "e1"));
    for (host, own, via) in [(&a, "10.1.1.9/24", "10.1.1.1"), (&b, "10.1.2.9/24", "10.1.2.1")] {
        host.address("e0", own);
        host.run(&format!("ip route add default via {via}"));
    }
    let bind = ["FastEthernet0/0=e0", "FastEthernet0/1=e1"];
    let router = espalier_tests::attached::Attached::start(PROGRAM, &us, CONFIG, &bind, &[]);
    let serve = "import socket\ns=socket.create_server(('10.1.2.9',7777))\nc,_=s.accept()\nn=0\n\
                 while True:\n d=c.recv(65536)\n if not d: break\n n+=len(d)\nprint(n)";
    let mut server = b.command("python3");
    let server = server.args(["-c", serve]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(within(30, || b.run("ss -ltn").contains(":7777")));
    let send = "import socket\ns=socket.create_connection(('10.1.2.9',7777),60)\ns.sendall(bytes(8<<20))";
    let sent = a.command("python3").args(["-c", send]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let got = server.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&got.stdout).trim(), (8 << 20).to_string());
    let ended = router.end();
    assert_eq!(
        ended.lost("checksum") + ended.lost("too-big") + ended.lost("malformed"),
        0,
        "{}",
        ended.report
    );
}

/// Run the scenario for real; its report. Nothing of it stays behind.
fn live(words: &[&str]) -> Value {
    let mut command = Command::new(PROGRAM);
    command.args(["failover", SCENARIO, "--drive", "host", "--json"]).args(words);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ours = format!("espalier{}-", child.id());
    let done = child.wait_with_output().unwrap();
    let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&left.stdout).contains(&ours), "namespaces stay behind");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    serde_json::from_slice(&done.stdout).unwrap()
}

/// All traffic gets through again, once and unchanged.
fn recovered(report: &Value) {
    for flow in report["flows"].as_array().unwrap() {
        assert_eq!(flow["recovered"], true, "{flow:#}");
        assert_eq!((flow["duplicated"].as_u64(), flow["corrupted"].as_u64()), (Some(0), Some(0)));
        assert!(flow["delivered"].as_u64() > Some(0));
    }
}

/// The captures of a live run: every segment's, sound, and the protected one opened by the keys that were asked for.
fn captured(scratch: &Scratch) {
    let (dir, keys) = (scratch.path("out"), scratch.path("out/keys"));
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keys), mode(&keys.join("esp_sa"))), (0o700, 0o600));
    // tshark takes the wrong IV of IKE messages that come again, and ICMP quotes the beginning of a packet alone.
    let wrong = "(_ws.malformed && !esp && !isakmp && !icmp) || ip.checksum.status == \"Bad\" || (udp.checksum.status == \"Bad\" && !icmp)";
    for segment in ["outside", "inside", "remote"] {
        let capture = dir.join(format!("{segment}.pcapng"));
        assert_eq!(frames(&capture, Some(&keys), wrong), [0; 0], "{segment}");
        assert!(frames(&capture, Some(&keys), "ip").len() > 1000, "{segment}");
    }
    let outside = |filter: &str| frames(&dir.join("outside.pcapng"), Some(&keys), filter).len();
    let (sealed, opened) = (outside("esp"), outside("esp && (udp || icmp)"));
    assert!(sealed > 1000 && opened == sealed && outside("esp.icv_bad == 1") == 0, "{opened} of {sealed}");
    assert!(outside("isakmp.flag_e == 1 && isakmp.hash") > 0);
    assert_eq!(outside("frame.comment contains \"shutdown 7204VXR-1\""), 2, "both faults are told");
    let page = std::fs::read_to_string(dir.join("report.html")).unwrap();
    assert!(page.contains("measured on real interfaces"));
}

fn others() {
    let scratch = Scratch::new();
    let out = scratch.path("out").display().to_string();
    let report = live(&["--gateways", "keepalived", "--out", &out]);
    recovered(&report);
    assert!(!scratch.path("out/keys").exists(), "nobody asked for keys");
    let compared = report["prediction"].as_array().unwrap();
    assert!(
        compared.iter().any(|c| c["kind"] == "failover" && c["measured_tbm_s"].is_number()),
        "{compared:#?}"
    );
    let told = Command::new(PROGRAM).arg("explain").arg(scratch.path("out/outside.pcapng")).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("172.16.172.54 is master") && told.contains("takeover"), "{told}");
}

fn host_alone() {
    for words in [&["--keys"][..], &["--gateways", "keepalived"], &["--drive", "pinned", "--keys"]] {
        let done = Command::new(PROGRAM).args(["failover", "--no-report"]).args(words).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && said.contains("is for --drive host"), "{words:?}: {said}");
    }
    for words in [&["--keys"][..], &["--keys", "--out", "/nowhere", "--gateways", "keepalived"]] {
        let mut command = Command::new(PROGRAM);
        let done = command.args(["failover", "--drive", "host", "--no-report"]).args(words).output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{words:?}");
    }
}

fn network() {
    let scratch = Scratch::new();
    let report = live(&["--keys", "--out", &scratch.path("out").display().to_string()]);
    captured(&scratch);
    assert_eq!((report["clock"].as_str(), report.get("digest")), (Some("real"), None));
    recovered(&report);
    // How long it took is the network's and the machine's business; that each flow is compared, and came back, is ours. An
    // answer may be under way when the fault strikes.
    let compared = report["prediction"].as_array().unwrap();
    let asked = |c: &&Value| c["kind"] == "failover" && !c["flow"].as_str().unwrap().ends_with("/reply");
    let failover: Vec<&Value> = compared.iter().filter(asked).collect();
    assert_eq!(failover.len(), 3, "{compared:#?}");
    for c in failover {
        assert!(c["predicted_tbm_s"].is_number() && c["measured_tbm_s"].is_number(), "{c:#}");
    }
    let text = |e: &Value| e["text"].as_str().unwrap().to_owned();
    let active = |e: &&Value| e["node"] == "7204VXR-2" && text(e).contains("Standby -> Active");
    assert_eq!(report["events"].as_array().unwrap().iter().filter(active).count(), 1);
}
