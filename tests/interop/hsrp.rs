//! HSRP with a stranger: scapy sends elections, coups, resigns, wrong passwords and nonsense; tshark reads all that we say.

use std::net::Ipv4Addr;

use espalier_tests::attached::{Attached, Ended};
use espalier_tests::namespaces::{Daemon, Net, Space, no_namespaces, within};
use espalier_tests::{missing, packets};
use espalier_wire::Duration;
use espalier_wire::hsrp::{Message, OpCode, Packet, State};
use espalier_wire::ipv4::{Ipv4, protocol};
use espalier_wire::udp::Udp;
use libtest_mimic::Trial;

use crate::{PROGRAM, case};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/scapy_hsrp.py");
/// Debian's, which has Debian's scapy.
const PYTHON: &str = "/usr/bin/python3";
/// What a stranger says that its hold time is, in seconds: another than ours.
const HOLD: u64 = 5;

pub(super) fn cases() -> Vec<Trial> {
    let scapy = || missing(&[PYTHON, "-c", "import scapy.layers.hsrp"]);
    let tshark = || missing(&["tshark", "--version"]);
    let absent = scapy().or_else(tshark).or_else(no_namespaces);
    let both = |version: &'static str| {
        let stronger = case(
            "hsrp",
            &format!("version {version}: a stronger active router, its silence, its coup, its resignation"),
            absent.as_ref(),
            move || stronger(version),
        );
        let steadfast = case(
            "hsrp",
            &format!("version {version}: a weaker active router, a wrong password, nonsense"),
            absent.as_ref(),
            move || steadfast(version),
        );
        [stronger, steadfast]
    };
    ["1", "2"].into_iter().flat_map(both).collect()
}

struct Lan {
    ours: Option<Attached>,
    stranger: Space,
    version: &'static str,
    _net: Net,
}

/// Ours at 10.1.1.1 with priority 100, preempting, hello 1 s, hold 3 s; the group's address is 10.1.1.254.
fn lan(version: &'static str) -> Lan {
    let mut net = Net::new();
    let (us, stranger) = (net.space("us"), net.space("them"));
    net.wire((&us, "e0"), (&stranger, "e0"));
    let config = format!(
        "hostname ours\ninterface FastEthernet0/0\n ip address 10.1.1.1 255.255.255.0\n standby version {version}\n \
         standby 1 ip 10.1.1.254\n standby 1 timers 1 3\n standby 1 preempt\nend\n"
    );
    let ours = Attached::start(PROGRAM, &us, &config, &["FastEthernet0/0=e0"], &["--debug", "standby"]);
    let mut lan = Lan { ours: Some(ours), stranger, version, _net: net };
    // Delay 1 s, hold 3 s as a speaker, hold 3 s as the standby router.
    assert!(within(30, || lan.is("Active")), "{}", lan.shown());
    lan
}

impl Lan {
    fn ours(&mut self) -> &mut Attached {
        self.ours.as_mut().unwrap()
    }

    fn shown(&mut self) -> String {
        self.ours().ask("show standby")
    }

    fn is(&mut self, state: &str) -> bool {
        self.shown().contains(&format!("State is {state}"))
    }

    fn words(&self, seconds: &str, interval: &str, keys: &str) -> std::process::Command {
        let mut command = self.stranger.command(PYTHON);
        command.args([SCRIPT, "e0", seconds, interval, &format!("version={}", self.version)]);
        command.args(keys.split_whitespace());
        command
    }

    /// The stranger says this once.
    fn says(&self, keys: &str) {
        let done = self.words("0", "1", keys).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// The stranger says this every half second until the value goes.
    fn keeps_saying(&self, keys: &str) -> Daemon {
        Daemon::start(&mut self.words("60", "0.5", keys))
    }

    /// The end: a resignation where we were active, and nothing that tshark cannot read.
    fn end(&mut self) -> Ended {
        let ended = self.ours.take().unwrap().end();
        let ours = "udp.port == 1985 && ip.src == 10.1.1.1";
        let said = ended.frames("e0", ours);
        assert!(said.len() > 5);
        // A TTL of 1 to 224.0.0.102 is worth a note to tshark, and what HSRP does.
        let sound = format!("{ours} && hsrp && !_ws.malformed && !(_ws.expert.severity >= \"Warning\")");
        assert_eq!(ended.frames("e0", &sound), said);
        let resigned = if self.version == "1" { "hsrp.opcode == 2" } else { "hsrp2.opcode == 2" };
        let resigned = ended.frames("e0", &format!("{ours} && {resigned}"));
        assert_eq!(resigned.last(), said.last(), "the last word is a resignation");
        let active = format!(
            "{ours} && {}",
            if self.version == "1" { "hsrp.state == 16" } else { "hsrp2.state == 6" }
        );
        let virtual_mac = if self.version == "1" { "00:00:0c:07:ac:01" } else { "00:00:0c:9f:f0:01" };
        // RFC 2281 section 5: the active router sends from the virtual address.
        assert!(ended.count("e0", &format!("{active} && eth.src == {virtual_mac}")) > 2);
        assert!(ended.count("e0", &format!("arp.isgratuitous && eth.src == {virtual_mac}")) >= 1);
        ended
    }
}

fn stronger(version: &'static str) {
    let mut lan = lan(version);
    let speaker = lan.keeps_saying(&format!("state=active priority=250 hold={HOLD}"));
    assert!(within(30, || !lan.is("Active")), "{}", lan.shown());
    assert!(within(30, || lan.is("Standby")), "{}", lan.shown());
    assert!(lan.shown().contains("10.1.1.9"), "{}", lan.shown());
    // It falls silent.
    drop(speaker);
    assert!(within(30, || lan.is("Active")), "{}", lan.shown());
    // A coup of a stronger one, from no active router.
    lan.says("op=coup state=standby priority=250");
    assert!(within(30, || !lan.is("Active")), "{}", lan.shown());
    // Its silence would be noticed after a minute, its resignation is before.
    let speaker = lan.keeps_saying("state=active priority=250 hold=60");
    assert!(within(30, || lan.is("Standby")), "{}", lan.shown());
    drop(speaker);
    lan.says("op=resign state=active priority=250");
    assert!(within(30, || lan.is("Active")), "{}", lan.shown());
    let ended = lan.end();
    took_over_after_the_hold_time(&ended);
}

/// Once it had heard an active router name its hold time, ours was active no sooner than that after its last word. (That it
/// is no later is judged in virtual time.)
fn took_over_after_the_hold_time(ended: &Ended) {
    let (ours, theirs) = (Ipv4Addr::new(10, 1, 1, 1), Ipv4Addr::new(10, 1, 1, 9));
    let (mut heard, mut takeovers) = (None, 0);
    for (at, packet) in packets(&ended.dir.join("e0.pcapng")) {
        let Some((src, message)) = hello(&packet) else { continue };
        if src == theirs && message.state == State::Active && message.hold_time == Duration::from_s(HOLD) {
            heard = Some(at);
        } else if src == ours
            && message.state == State::Active
            && let Some(last) = heard.take()
        {
            let took = Duration::from_ns(at - last);
            // Ours may have said it once more before it took theirs in.
            if took >= Duration::from_ms(500) {
                assert!(took >= Duration::from_s(HOLD), "{took} for a hold time of {HOLD} s");
                takeovers += 1;
            }
        }
    }
    assert_eq!(takeovers, 1);
}

/// A Hello and who said it.
fn hello(packet: &[u8]) -> Option<(Ipv4Addr, Message)> {
    let ip = Ipv4::new_checked(packet).ok().filter(|ip| ip.protocol() == protocol::UDP)?;
    let udp = Udp::new_checked(ip.payload()).ok()?;
    match Packet::parse(udp.payload()).ok()? {
        Packet::Message(message) if message.op == OpCode::Hello => Some((ip.src(), message)),
        _ => None,
    }
}

fn steadfast(version: &'static str) {
    let mut lan = lan(version);
    // A weaker active router is not obeyed.
    lan.says("state=active priority=50");
    assert!(lan.is("Active"));
    // Nor is a strong one with another password, which is said.
    lan.says("state=active priority=250 auth=other");
    assert!(lan.ours().said("BADAUTH"), "{:#?}", lan.ours().log());
    assert!(lan.is("Active"));
    // Lengths from nothing to too much, of an unknown group so that what is well formed changes nothing.
    lan.says("group=7 cut=0,1,7,19,21,41,51,53,1400");
    lan.says("op=advertise group=7");
    let before = memory(&mut lan);
    lan.says("group=7 noise=3000");
    let after = memory(&mut lan);
    assert!(after < before + 4096, "{before} kB of memory before, {after} kB after");
    // What the noise may have said in our group's name is over within a hold time or two.
    assert!(within(30, || lan.is("Active")), "{}", lan.shown());
    lan.end();
}

/// Kilobytes of memory that the router has in use.
fn memory(lan: &mut Lan) -> u64 {
    let id = lan.ours().id();
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
