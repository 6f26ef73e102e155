//! The kinds of port of `espalier attach`: pings, a kernel's TCP and ESP through each of them, garbage, an interface that
//! goes while it is bound, several routers at once, the end in order.

use std::process::{Command, Stdio};

use espalier_tests::attached::{Attached, Ended};
use espalier_tests::namespaces::{Net, Space, ip, no_namespaces, within};
use libtest_mimic::Trial;

use crate::{PROGRAM, case};

const KINDS: [&str; 3] = ["packet", "batch", "xdp"];

pub(super) fn cases() -> Vec<Trial> {
    let mut cases = Vec::new();
    for kind in KINDS {
        let absent = if kind == "xdp" { absent_xdp() } else { no_namespaces() };
        let name = format!("{kind}: a tunnel between two routers");
        cases.push(case("ports", &name, absent.as_ref(), move || tunnel(kind)));
        let name = format!("{kind}: garbage, and an interface that goes");
        cases.push(case("ports", &name, absent.as_ref(), move || garbage(kind)));
    }
    cases.push(case("ports", "tap: the kernel is a station", absent_tap().as_ref(), tap));
    cases.push(case("ports", "xdp: what it refuses", absent_xdp().as_ref(), refusals));
    cases.push(case("ports", "xdp: frames that a dead link refuses", absent_xdp().as_ref(), dead_link));
    cases
}

fn absent_xdp() -> Option<String> {
    let probe = "import socket; socket.socket(44, socket.SOCK_RAW)";
    no_namespaces()
        .or_else(|| espalier_tests::missing(&["python3", "-c", probe]).map(|why| format!("no AF_XDP: {why}")))
}

fn absent_tap() -> Option<String> {
    let tun = std::path::Path::new("/dev/net/tun").exists();
    no_namespaces().or_else(|| (!tun).then(|| "no /dev/net/tun".to_owned()))
}

/// A gateway with `inside` (the net 10.N.0.0/24) behind it, its peer at 172.16.0.`peer`.
fn gateway(n: u8, inside: u8, remote: u8, peer: u8) -> String {
    format!(
        "hostname R{n}\n\
         crypto isakmp policy 1\n authentication pre-share\n encr aes\n hash sha\n group 2\n\
         crypto isakmp key cisco123 address 172.16.0.{peer}\n\
         crypto ipsec transform-set set esp-aes esp-sha-hmac\n\
         crypto map vpn 10 ipsec-isakmp\n set peer 172.16.0.{peer}\n set transform-set set\n match address 101\n\
         interface FastEthernet0/0\n ip address 172.16.0.{n} 255.255.255.0\n crypto map vpn\n\
         interface FastEthernet0/1\n ip address 10.{inside}.0.1 255.255.255.0\n\
         ip route 10.{remote}.0.0 255.255.255.0 172.16.0.{peer}\n\
         ip route 10.99.0.0 255.255.0.0 Null0\n\
         access-list 101 permit ip 10.{inside}.0.0 0.0.0.255 10.{remote}.0.0 0.0.0.255\nend\n"
    )
}

fn host(space: &Space, iface: &str, net: u8) {
    space.address(iface, &format!("10.{net}.0.9/24"));
    space.run(&format!("ip route add default via 10.{net}.0.1"));
}

fn pings(from: &Space, to: &str) -> bool {
    within(30, || from.succeeds(&format!("ping -c 1 -W 1 {to}")))
}

/// A kernel's TCP, half a megabyte: its frames come with open checksums, and several segments in one.
fn transfers(from: &Space, to: &Space, address: &str) {
    let serve = format!(
        "import socket\ns=socket.create_server(('{address}',7777))\nc,_=s.accept()\nn=0\n\
         while True:\n d=c.recv(65536)\n if not d: break\n n+=len(d)\nprint(n)"
    );
    let server = to.command("python3").args(["-c", &serve]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(within(30, || to.run("ss -ltn").contains(":7777")));
    let send = format!(
        "import socket\ns=socket.create_connection(('{address}',7777),60)\ns.settimeout(120)\ns.sendall(bytes(1<<19))"
    );
    let sent = from.command("python3").args(["-c", &send]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let got = server.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&got.stdout).trim(), (1 << 19).to_string());
}

fn bound(ended: &Ended, at: usize, kind: &str) {
    let port = &ended.report["interfaces"][at];
    assert_eq!(port["kind"], kind, "{port:#}");
    assert!(port["in_packets"].as_u64() > Some(0) && port["out_packets"].as_u64() > Some(0), "{port:#}");
}

/// Two routers at once, a tunnel between them, each interface of this kind.
fn tunnel(kind: &str) {
    let mut net = Net::new();
    let (a, one, two, b) = (net.space("a"), net.space("one"), net.space("two"), net.space("b"));
    net.wire((&a, "e0"), (&one, "e1"));
    net.wire((&one, "e0"), (&two, "e0"));
    net.wire((&two, "e1"), (&b, "e0"));
    host(&a, "e0", 1);
    host(&b, "e0", 2);
    let bind = [format!("FastEthernet0/0={kind}:e0"), format!("FastEthernet0/1={kind}:e1")];
    let bind = bind.each_ref().map(String::as_str);
    let mut r1 = Attached::start(PROGRAM, &one, &gateway(1, 1, 2, 2), &bind, &[]);
    let mut r2 = Attached::start(PROGRAM, &two, &gateway(2, 2, 1, 1), &bind, &[]);
    assert!(pings(&a, "10.2.0.9"), "{}{}", r1.ask("show crypto isakmp sa"), r2.ask("show crypto ipsec sa"));
    transfers(&a, &b, "10.2.0.9");
    assert!(!a.succeeds("ping -c 1 -W 1 10.99.0.1"));
    assert!(r1.ask("show ip route").contains("is directly connected, Null0"), "{}", r1.ask("show ip route"));
    let sealed = r1.ask("show crypto ipsec sa");
    assert!(!sealed.contains("#pkts encaps: 0"), "{sealed}");
    for (ended, esp) in [(r1.end(), "e0"), (r2.end(), "e0")] {
        bound(&ended, 0, kind);
        bound(&ended, 1, kind);
        assert_eq!(ended.report["ended"], "SIGTERM");
        for cause in ["checksum", "integrity", "malformed", "ring-full"] {
            assert_eq!(ended.lost(cause), 0, "{}", ended.report);
        }
        assert!(ended.count(esp, "esp") > 0);
        assert_eq!(ended.count(esp, "icmp && !esp"), 0, "nothing in clear outside");
    }
}

/// Whether every thread of a process sleeps and goes on sleeping for a moment. One that spins never does, however little of a
/// busy machine it gets.
fn rests(pid: u32) -> bool {
    let look = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let status = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default()
        };
        let lines = |text: String| {
            let told = text.lines().filter(|l| l.starts_with("State:") || l.contains("ctxt_switches:"));
            told.map(str::to_owned).collect::<Vec<_>>()
        };
        tasks.map(|task| lines(status(task))).collect::<Vec<_>>()
    };
    let before = look();
    std::thread::sleep(std::time::Duration::from_millis(100));
    before.iter().flatten().filter(|l| l.starts_with("State:")).all(|l| l.contains("S (sleeping)"))
        && look() == before
}

fn garbage(kind: &str) {
    let mut net = Net::new();
    let (a, us) = (net.space("a"), net.space("us"));
    net.wire((&a, "e0"), (&us, "e1"));
    host(&a, "e0", 1);
    let bind = [format!("FastEthernet0/1={kind}:e1")];
    let bind = bind.each_ref().map(String::as_str);
    let mut router = Attached::start(PROGRAM, &us, &gateway(1, 1, 2, 2), &bind, &[]);
    assert!(pings(&a, "10.1.0.1"));
    // Whole frames of chance, then frames for the router whose packets are chance, of every length.
    let mac = router.ask("show ip arp");
    let flood = "import random,socket,sys\nr=random.Random(1)\n\
                 s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW)\ns.bind(('e0',0))\n\
                 to=bytes.fromhex(sys.argv[1])\n\
                 for n in range(4000):\n\
                 \x20 b=r.randbytes(r.randrange(14,1515))\n\
                 \x20 if n%2: b=to+b[6:12]+r.choice([b'\\x08\\x00',b'\\x08\\x06',b'\\x81\\x00'])+r.choice([b'\\x45',b''])+b[15:]\n\
                 \x20 s.send(b[:1514])";
    let own = own_address(&mac, "10.1.0.1");
    let sent = a.command("python3").args(["-c", flood, &own]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert!(pings(&a, "10.1.0.1"), "{:#?}", router.log());
    // The interface goes while it is bound: the line goes down, the console answers, nobody spins.
    ip(&format!("-n {} link del e1", us.name()));
    assert!(within(30, || router.said("changed state to down")), "{:#?}", router.log());
    let pid = router.id();
    assert!(within(30, || rests(pid)), "it never sleeps");
    assert!(router.ask("show ip interface brief").contains("FastEthernet0/1"));
    let ended = router.end();
    assert!(ended.lost("unknown-ethertype") + ended.lost("malformed") + ended.lost("not-for-us") > 0);
}

/// The link address beside an IP address in `show ip arp`, as twelve digits.
fn own_address(arp: &str, address: &str) -> String {
    let line = arp.lines().find(|l| l.contains(&format!(" {address} "))).unwrap_or_else(|| panic!("{arp}"));
    let dotted = line.split_whitespace().find(|w| w.len() == 14 && w.matches('.').count() == 2);
    dotted.unwrap_or_else(|| panic!("{line}")).replace('.', "")
}

/// The kernel of the router's own namespace is the station inside.
fn tap() {
    let mut net = Net::new();
    let (us, b) = (net.space("us"), net.space("b"));
    net.wire((&us, "e0"), (&b, "e0"));
    b.address("e0", "172.16.0.2/24");
    b.run("ip route add 10.1.0.0/24 via 172.16.0.1");
    let bind = ["FastEthernet0/0=e0", "FastEthernet0/1=tap:t0"];
    let plain = gateway(1, 1, 2, 2).replace(" crypto map vpn\n", "");
    let mut router = Attached::start(PROGRAM, &us, &plain, &bind, &[]);
    us.address("t0", "10.1.0.9/24");
    us.run("ip route add 172.16.0.0/24 via 10.1.0.1");
    assert!(pings(&us, "172.16.0.2"), "{:#?}", router.log());
    assert!(pings(&b, "10.1.0.9"));
    transfers(&us, &b, "172.16.0.2");
    // A second holder is refused, and so is an interface that is no TAP.
    for (place, why) in [("tap:t0", "holds its far end"), ("tap:e0", "no TAP interface")] {
        refused(&us, &plain, place, why);
    }
    us.link("t0", false);
    assert!(within(30, || router.said("FastEthernet0/1, changed state to down")), "{:#?}", router.log());
    us.link("t0", true);
    us.run("ip route replace 172.16.0.0/24 via 10.1.0.1");
    assert!(pings(&us, "172.16.0.2"), "{:#?}", router.log());
    let ended = router.end();
    bound(&ended, 1, "tap");
    assert_eq!(ended.lost("checksum"), 0, "{}", ended.report);
    assert!(!us.succeeds("ip link show t0"), "it goes with the router");
}

fn refused(space: &Space, config: &str, place: &str, why: &str) {
    let scratch = espalier_tests::Scratch::new();
    let (file, out) = (scratch.file("R.cfg", config), scratch.path("out"));
    let mut command: Command = space.command(PROGRAM);
    command.arg("attach").arg(file).arg("--bind").arg(format!("FastEthernet0/1={place}"));
    let done = command.args(["--for", "1s", "--out"]).arg(&out).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2), "{place}: {said}");
    assert!(said.contains(why) && done.stdout.is_empty(), "{place}: {said}");
    assert!(!out.exists(), "{place}: a folder is left");
}

fn refusals() {
    let mut net = Net::new();
    let us = net.space("us");
    net.wire((&us, "e0"), (&us, "e1"));
    let config = gateway(1, 1, 2, 2);
    ip(&format!("-n {} link add many numrxqueues 2 numtxqueues 2 type veth peer name other", us.name()));
    for (place, why) in [
        ("xdp:e7", "e7: there is no such interface"),
        ("dpdk:e0", "no kind of port"),
        ("xdp:many", "receive queues"),
    ] {
        refused(&us, &config, place, why);
    }
    let bind = ["FastEthernet0/1=xdp:e0"];
    let first = Attached::start(PROGRAM, &us, &config, &bind, &["--poll", "busy"]);
    refused(&us, &config, "xdp:e0", "another program has its XDP hook");
    drop(first.end());
    let again = Attached::start(PROGRAM, &us, &config, &bind, &[]);
    again.kill();
    // A program that was killed leaves nothing on the interface; the kernel takes it off a moment later.
    let hooked = || {
        let shown = us.command("ip").args(["link", "show", "e0"]).output().unwrap();
        String::from_utf8_lossy(&shown.stdout).contains("xdp")
    };
    assert!(within(30, || !hooked()));
    drop(Attached::start(PROGRAM, &us, &config, &bind, &[]).end());
}

/// The link dies while the router sleeps over frames to send there: the kernel refuses them one by one (EBUSY, where the far
/// end is down) or all (ENETDOWN, where its own is). They are counted, and once the link is back traffic flows.
fn dead_link() {
    let mut net = Net::new();
    let (a, us, b) = (net.space("a"), net.space("us"), net.space("b"));
    net.wire((&a, "e0"), (&us, "e1"));
    net.wire((&us, "e0"), (&b, "e0"));
    host(&a, "e0", 1);
    b.address("e0", "172.16.0.2/24");
    b.run("ip route add 10.1.0.0/24 via 172.16.0.1");
    let plain = gateway(1, 1, 2, 2).replace(" crypto map vpn\n", "");
    let bind = ["FastEthernet0/0=xdp:e0", "FastEthernet0/1=xdp:e1"];
    let mut router = Attached::start(PROGRAM, &us, &plain, &bind, &[]);
    let flood = "import socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n\
                 for n in range(1000): s.sendto(bytes(100),('172.16.0.2',9))";
    for side in [&b, &us].repeat(4) {
        assert!(pings(&a, "172.16.0.2"), "{:#?}", router.log());
        router.freeze(true);
        let sent = a.command("python3").args(["-c", flood]).output().unwrap();
        side.link("e0", false);
        router.freeze(false);
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
        router.ask("show arp");
        side.link("e0", true);
        // What the kernel forgot with the address's link.
        b.run("ip route replace 10.1.0.0/24 via 172.16.0.1");
    }
    transfers(&a, &b, "172.16.0.2");
    let ended = router.end();
    assert!(ended.lost("queue-full") > 0, "nothing was refused: {}", ended.report["dropped"]);
    assert_eq!(ended.lost("malformed") + ended.lost("checksum"), 0, "{}", ended.report["dropped"]);
}
