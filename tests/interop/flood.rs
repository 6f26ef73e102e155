//! A hostile neighbour: a hundred thousand mutated real messages of every protocol, with its peers' own addresses, while
//! an adjacency, a tunnel and a group stand. They go on standing; the nonsense is counted, and memory stays flat.

use espalier_tests::attached::{Attached, Ended};
use espalier_tests::charon::{self, Charon, Connection};
use espalier_tests::frr::{self, Frr};
use espalier_tests::mutate::{KINDS, Seeds};
use espalier_tests::namespaces::{Daemon, Net, Space, no_namespaces, within};
use espalier_tests::{Scratch, peers_are_required};
use espalier_wire::random::Random;
use libtest_mimic::{Arguments, Trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_espalier-tested");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/flood.py");
const PYTHON: &str = "/usr/bin/python3";
/// Of each kind of message.
const COUNT: usize = 100_000;

const OURS: &str = "hostname ours\n\
    crypto isakmp policy 1\n encr aes\n hash sha\n authentication pre-share\n group 2\n\
    crypto isakmp key cisco123 address 10.1.1.69\n\
    crypto ipsec transform-set set esp-aes esp-sha-hmac\n\
    crypto map vpn 10 ipsec-isakmp\n set peer 10.1.1.69\n set transform-set set\n match address 101\n\
    interface Loopback0\n ip address 1.1.1.1 255.255.255.255\n\
    interface FastEthernet0/0\n ip address 10.1.1.1 255.255.255.0\n ip ospf hello-interval 1\n ip ospf dead-interval 6\n \
    ip ospf authentication message-digest\n ip ospf message-digest-key 1 md5 sesame\n \
    standby 1 ip 10.1.1.254\n standby 1 timers 1 4\n standby 1 preempt\n standby 1 priority 255\n crypto map vpn\n\
    router ospf 1\n network 10.1.1.0 0.0.0.255 area 0\n\
    ip route 20.1.1.0 255.255.255.0 10.1.1.69\n\
    access-list 101 permit ip host 1.1.1.1 20.1.1.0 0.0.0.255\nend\n";

const THEIRS: &str = "interface e0\n ip ospf hello-interval 1\n ip ospf dead-interval 6\n \
    ip ospf authentication message-digest\n ip ospf message-digest-key 1 md5 sesame\n\
    router ospf\n ospf router-id 99.99.99.99\n network 10.1.1.0/24 area 0\n";

fn main() {
    let arguments = Arguments::from_args();
    let python = || espalier_tests::missing(&[PYTHON, "-c", "import socket"]);
    let tcpdump = || espalier_tests::missing(&["tcpdump", "--version"]);
    let absent =
        frr::missing().or_else(charon::missing).or_else(no_namespaces).or_else(python).or_else(tcpdump);
    let why = absent.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    let ignored = absent.is_some() && !peers_are_required();
    let run = || {
        flood();
        Ok(())
    };
    let name = format!("mutated messages of every protocol move nothing{why}");
    libtest_mimic::run(&arguments, vec![Trial::test(name, run).with_ignored_flag(ignored)]).exit();
}

fn flood() {
    let mut net = Net::new();
    let switch = net.switch("sw");
    let [us, frr, charon, stranger] = ["us", "frr", "ike", "bad"].map(|name| net.space(name));
    for (port, host) in [("us", &us), ("frr", &frr), ("ike", &charon), ("bad", &stranger)] {
        net.plug(&switch, port, (host, "e0"));
    }
    frr.address("e0", "10.1.1.3/24");
    charon.address("e0", "10.1.1.69/24");
    charon.address("lo", "20.1.1.1/24");
    let scratch = Scratch::new();
    let capture = scratch.path("real.pcap");
    let mut tcpdump = switch.command("tcpdump");
    tcpdump.args(["-U", "--immediate-mode", "-i", "us", "-w"]).arg(&capture);
    let tcpdump = Daemon::start(&mut tcpdump);
    let connection = Connection {
        local: "10.1.1.69",
        remote: "10.1.1.1",
        ike: "aes128-sha1-modp1024",
        esp: "aes128-sha1",
        selectors: ("20.1.1.0/24", "1.1.1.1/32"),
        secret: "cisco123",
        more: "",
        child: "",
    };
    let strong = Charon::start(&charon, &connection);
    let zebra = Frr::start(&frr, THEIRS);
    let mut ours = Attached::start(PROGRAM, &us, OURS, &["FastEthernet0/0=e0"], &["--profile", "ios-15"]);
    let full = |ours: &mut Attached| ours.ask("show ip ospf neighbor").contains("FULL");
    assert!(within(30, || full(&mut ours)), "{}", zebra.log());
    assert!(within(30, || ours.ask("show standby").contains("State is Active")));
    assert!(strong.initiate(), "{}", strong.log());
    let ping = || charon.succeeds("ping -c 1 -W 2 -I 20.1.1.1 1.1.1.1");
    assert!(within(30, ping));
    tcpdump.terminate();
    let frames = scratch.file("frames", frames(&capture, mac(&stranger)));
    let before = memory(ours.id());
    let done = stranger
        .command(PYTHON)
        .args([SCRIPT, "e0"])
        .arg(frames)
        .args(["10.1.1.77", "10.1.1.1"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(full(&mut ours), "{}", ours.ask("show ip ospf neighbor"));
    assert!(!ours.said("from FULL to"), "the adjacency was lost: {:#?}", ours.log().len());
    assert!(within(30, ping), "the tunnel is gone: {}", ours.ask("show crypto ipsec sa"));
    assert_eq!(strong.sas(), (1, 1), "{}", strong.log());
    let established = ours.ask("show crypto isakmp sa").matches("QM_IDLE").count();
    assert_eq!(established, 1, "{}", ours.ask("show crypto isakmp sa"));
    // HSRP has no authentication worth the name: a mutation that keeps its form may be believed for as long as it says,
    // and then it is its sender whom the group holds for active.
    let standby = |ours: &mut Attached| ours.ask("show standby");
    let settled = |text: &str| text.contains("State is Active") || text.contains("Active router is 10.1.1.3");
    assert!(within(30, || settled(&standby(&mut ours))), "{}", standby(&mut ours));
    let after = memory(ours.id());
    assert!(after < before + 32_768, "{before} kB of memory before, {after} kB after");
    looked_at(&ours.end());
}

/// All of it was looked at, and most of it is nonsense to whoever it is for.
fn looked_at(ended: &Ended) {
    let (all, dropped) = ((COUNT * KINDS.len()) as u64, &ended.report["dropped"]);
    let wrong: u64 = dropped.as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum();
    let taken = ended.report["interfaces"][0]["in_packets"].as_u64().unwrap();
    assert!(taken >= all && ended.lost("queue-full") == 0, "{taken} of {all}: {dropped}");
    assert!(wrong > all / 4, "{wrong} of {all}: {dropped}");
}

/// Mutations of what was captured, all kinds in turn, as the sender reads them.
fn frames(capture: &std::path::Path, mac: [u8; 6]) -> Vec<u8> {
    let seeds = Seeds::read(capture, [10, 1, 1, 1].into(), [10, 1, 1, 3].into(), mac);
    let (mut chance, mut all) = (Random::from_seed(1), Vec::new());
    for _ in 0..COUNT {
        for kind in KINDS {
            let frame = seeds.mutated(kind, &mut chance);
            all.extend((frame.len() as u16).to_be_bytes());
            all.extend(frame);
        }
    }
    all
}

/// The address of a host's interface.
fn mac(host: &Space) -> [u8; 6] {
    let text = host.run("cat /sys/class/net/e0/address");
    let bytes: Vec<u8> = text.trim().split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// Kilobytes of memory that a process has in use.
fn memory(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
