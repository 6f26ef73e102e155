//! IKEv1 and ESP with strongSwan: who begins, which suite, whose keepalive, whose DELETE, whose restart; and what the two
//! cannot agree on.

use std::process::Stdio;

use espalier_tests::attached::{Attached, Ended};
use espalier_tests::charon::{self, Charon, Connection};
use espalier_tests::namespaces::{Net, Space, no_namespaces, within};
use espalier_tests::peers_are_required;
use libtest_mimic::{Arguments, Trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_espalier-tested");

fn main() {
    let mut arguments = Arguments::from_args();
    // They wait for timers most of the time.
    arguments.test_threads = arguments.test_threads.or(Some(6));
    let tshark = || espalier_tests::missing(&["tshark", "--version"]);
    let absent = charon::missing().or_else(no_namespaces).or_else(tshark);
    let why = absent.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    let ignored = absent.is_some() && !peers_are_required();
    let trial = |name: &str, test: Box<dyn FnOnce() + Send>| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(format!("{name}{why}"), run).with_ignored_flag(ignored)
    };
    let mut trials = Vec::new();
    for suite in SUITES {
        trials.push(trial(&format!("we begin, {}", suite.name), Box::new(move || we_begin(suite))));
        trials.push(trial(&format!("they begin, {}", suite.name), Box::new(move || they_begin(suite))));
    }
    let cases: [(&str, fn()); 10] = [
        ("their rekeys of both phases lose nothing", their_rekeys),
        ("a transfer through the tunnel, and our rekey by volume", transfer),
        ("they fall silent: our periodic keepalives", || they_fall_silent("periodic")),
        ("they fall silent: our keepalives on demand", || they_fall_silent("on-demand")),
        ("we fall silent and come back: theirs, and INITIAL-CONTACT", we_fall_silent),
        ("they restart: we hear INITIAL-CONTACT", they_restart),
        ("DELETE, theirs and ours", deletes),
        ("we leave in order", we_leave),
        ("another key", another_key),
        ("no common proposal", no_common_proposal),
    ];
    trials.extend(cases.map(|(name, test)| trial(name, Box::new(test))));
    libtest_mimic::run(&arguments, trials).exit();
}

/// What the two agree on, in both languages.
#[derive(Clone, Copy)]
struct Suite {
    name: &'static str,
    ike: &'static str,
    esp: &'static str,
    /// Under `crypto isakmp policy 1`.
    policy: &'static str,
    transforms: &'static str,
    /// Under the crypto map.
    pfs: &'static str,
}

const SUITES: [Suite; 4] = [
    Suite {
        name: "des-md5-modp768",
        ike: "des-md5-modp768",
        esp: "des-md5",
        policy: " hash md5\n group 1\n",
        transforms: "esp-des esp-md5-hmac",
        pfs: "",
    },
    Suite {
        name: "3des-sha1-modp1024",
        ike: "3des-sha1-modp1024",
        esp: "3des-sha1",
        policy: " encr 3des\n hash sha\n group 2\n",
        transforms: "esp-3des esp-sha-hmac",
        pfs: "",
    },
    Suite {
        name: "aes128-sha1-modp1024 with PFS",
        ike: "aes128-sha1-modp1024",
        esp: "aes128-sha1-modp1024",
        policy: " encr aes\n hash sha\n group 2\n",
        transforms: "esp-aes esp-sha-hmac",
        pfs: " set pfs group2\n",
    },
    Suite {
        name: "aes256-sha256-modp2048, ESP aes128-gcm",
        ike: "aes256-sha256-modp2048",
        esp: "aes128gcm16",
        policy: " encr aes 256\n hash sha256\n group 14\n",
        transforms: "esp-gcm 128",
        pfs: "",
    },
];

const AES: Suite = SUITES[2];

struct Sites {
    ours: Option<Attached>,
    theirs: Charon,
    inside: Space,
    us: Space,
    them: Space,
    config: String,
    _net: Net,
}

fn config(suite: &Suite, more: &str) -> String {
    let Suite { policy, transforms, pfs, .. } = suite;
    format!(
        "hostname gateway\n\
         crypto isakmp policy 1\n authentication pre-share\n{policy}\
         crypto isakmp key cisco123 address 172.16.172.69\n\
         crypto isakmp keepalive 10 2 periodic\n\
         crypto ipsec transform-set set {transforms}\n\
         crypto map vpn 10 ipsec-isakmp\n set peer 172.16.172.69\n set transform-set set\n{pfs} match address 101\n\
         interface FastEthernet0/0\n ip address 172.16.172.53 255.255.255.0\n crypto map vpn\n\
         interface FastEthernet0/1\n ip address 10.1.1.1 255.255.255.0\n\
         ip route 20.1.1.0 255.255.255.0 172.16.172.69\n\
         access-list 101 permit ip 10.1.1.0 0.0.0.255 20.1.1.0 0.0.0.255\n{more}\nend\n"
    )
}

fn connection(suite: &Suite) -> Connection {
    Connection {
        local: "172.16.172.69",
        remote: "172.16.172.53",
        ike: suite.ike,
        esp: suite.esp,
        selectors: ("20.1.1.0/24", "10.1.1.0/24"),
        secret: "cisco123",
        more: "",
        child: "",
    }
}

/// A host inside, our gateway, and theirs, which is also the host at the other end.
fn sites(suite: &Suite, connection: &Connection, more: &str) -> Sites {
    let mut net = Net::new();
    let (inside, us, them) = (net.space("in"), net.space("us"), net.space("them"));
    net.wire((&us, "out"), (&them, "e0"));
    net.wire((&us, "ins"), (&inside, "e0"));
    them.address("e0", "172.16.172.69/24");
    them.address("lo", "20.1.1.1/24");
    inside.address("e0", "10.1.1.9/24");
    inside.run("ip route add default via 10.1.1.1");
    let theirs = Charon::start(&them, connection);
    let config = config(suite, more);
    let ours = Some(start(&us, &config));
    Sites { ours, theirs, inside, us, them, config, _net: net }
}

fn start(space: &Space, config: &str) -> Attached {
    let bind = ["FastEthernet0/0=out", "FastEthernet0/1=ins"];
    Attached::start(PROGRAM, space, config, &bind, &["--profile", "ios-15", "--debug", "isakmp"])
}

impl Sites {
    fn ours(&mut self) -> &mut Attached {
        self.ours.as_mut().unwrap()
    }

    fn ping_out(&self) -> bool {
        self.inside.succeeds("ping -c 1 -W 1 20.1.1.1")
    }

    fn ping_in(&self) -> bool {
        self.them.succeeds("ping -c 1 -W 1 -I 20.1.1.1 10.1.1.9")
    }

    /// Packets that must all be answered, ten a second.
    fn pings(&self, count: u32) {
        let said = self.inside.command("ping");
        let mut said = said;
        let done =
            said.args(["-q", "-i", "0.1", "-W", "1", "-c", &count.to_string(), "20.1.1.1"]).output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(text.contains(" 0% packet loss"), "{text}\n{}", self.theirs.log());
    }

    fn tunnel(&mut self) {
        let up = within(15, || self.ping_out());
        let shown = self.ours().ask("show crypto isakmp sa");
        assert!(up, "no tunnel:\n{shown}\n{}", self.theirs.log());
        assert!(within(2, || self.ping_in()), "not from there:\n{}", self.theirs.log());
    }

    fn we_have_nothing(&mut self) -> bool {
        let ipsec = self.ours().ask("show crypto ipsec sa");
        !ipsec.contains("spi: 0x") || ipsec.contains("current outbound spi: 0x0")
    }

    fn end(&mut self) -> Ended {
        self.ours.take().unwrap().end()
    }
}

/// Nothing that we sent or heard is malformed (but what tshark takes a transfer's bytes for), and with our keys tshark opens and believes all of it.
fn judged(ended: &Ended) {
    assert_eq!(ended.count("out", "(_ws.malformed && !tcp) || ip.checksum.status == \"Bad\""), 0);
    assert_eq!(ended.count("out", "esp.icv_bad == 1"), 0);
    let (sealed, opened) =
        (ended.count("out", "esp"), ended.count("out", "esp && (icmp || tcp || udp.port == 7)"));
    assert!(sealed > 0 && sealed == opened, "{opened} of {sealed} ESP packets opened");
    let hidden = ended.count("out", "isakmp.flag_e == 1");
    let read = ended.count("out", "isakmp.flag_e == 1 && (isakmp.hash || isakmp.id.data)");
    assert!(hidden > 0 && hidden == read, "{read} of {hidden} IKE messages opened");
    assert_eq!(
        ended.count(
            "ins",
            "(_ws.malformed && !tcp) || ip.checksum.status == \"Bad\" || udp.checksum.status == \"Bad\""
        ),
        0
    );
}

fn we_begin(suite: Suite) {
    let mut sites = sites(&suite, &connection(&suite), "");
    sites.tunnel();
    assert_eq!(sites.theirs.sas(), (1, 1), "{}", sites.theirs.log());
    sites.pings(10);
    let shown = sites.ours().ask("show crypto isakmp sa");
    assert!(shown.contains("QM_IDLE"), "{shown}");
    let ended = sites.end();
    judged(&ended);
    let begun = ended.count(
        "out",
        "isakmp.exchangetype == 2 && ip.src == 172.16.172.53 && isakmp.rspi == 00:00:00:00:00:00:00:00",
    );
    assert!(begun >= 1, "we did not begin");
}

fn they_begin(suite: Suite) {
    let mut sites = sites(&suite, &connection(&suite), "");
    assert!(sites.theirs.initiate(), "{}", sites.theirs.log());
    assert!(within(3, || sites.ping_in()), "{}", sites.theirs.log());
    sites.pings(10);
    assert_eq!(sites.theirs.sas(), (1, 1), "{}", sites.theirs.log());
    let ended = sites.end();
    judged(&ended);
    let begun = ended.count(
        "out",
        "isakmp.exchangetype == 2 && ip.src == 172.16.172.53 && isakmp.rspi == 00:00:00:00:00:00:00:00",
    );
    assert_eq!(begun, 0, "we began, too");
}

fn their_rekeys() {
    let often = Connection {
        more: "rekey_time = 5s\n over_time = 3s\n rand_time = 0s",
        child: "rekey_time = 3s\n life_time = 6s\n rand_time = 0s",
        ..connection(&AES)
    };
    let mut sites = sites(&AES, &often, "");
    assert!(sites.theirs.initiate(), "{}", sites.theirs.log());
    assert!(within(3, || sites.ping_out()));
    sites.pings(120);
    let log = sites.theirs.log();
    let pairs = log.matches("CHILD_SA c{").filter(|_| true).count();
    let made = log.lines().filter(|l| l.contains("CHILD_SA c{") && l.contains("established")).count();
    let phase1 = log.lines().filter(|l| l.contains("IKE_SA t[") && l.contains("established")).count();
    assert!(made >= 3 && phase1 >= 2, "{made} of {pairs}, {phase1}\n{log}");
    judged(&sites.end());
}

fn transfer() {
    let mut sites =
        sites(&AES, &connection(&AES), "crypto ipsec security-association lifetime kilobytes 2560");
    sites.tunnel();
    let receive = "import socket,hashlib\ns=socket.create_server(('20.1.1.1',7777))\nc,_=s.accept()\nh=hashlib.sha256()\n\
                   while True:\n d=c.recv(65536)\n if not d: break\n h.update(d)\nprint(h.hexdigest())";
    let send = "import socket,hashlib\nd=bytes(i*i%251 for i in range(4194304))\n\
                s=socket.create_connection(('20.1.1.1',7777),5)\ns.settimeout(20)\ns.sendall(d)\ns.close()\n\
                print(hashlib.sha256(d).hexdigest())";
    let receiver =
        sites.them.command("/usr/bin/python3").args(["-c", receive]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(within(5, || sites.them.run("ss -ltn").contains(":7777")));
    let sent = sites.inside.command("/usr/bin/python3").args(["-c", send]).output().unwrap();
    let got = receiver.wait_with_output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(got.stdout, sent.stdout, "another file arrived");
    // 4 MiB are more than 2560 KiB: new SAs, and the packets between did not suffer.
    assert!(within(5, || sites.ours().said("%") || sites.theirs.sas().1 >= 1));
    let made =
        sites.theirs.log().lines().filter(|l| l.contains("CHILD_SA c{") && l.contains("established")).count();
    assert!(made >= 2, "{made} pairs of SAs\n{}", sites.theirs.log());
    sites.pings(5);
    let ended = sites.end();
    // What comes between the end of the old SA's volume and the new one is lost to that; TCP says it again.
    assert_eq!(ended.lost("integrity") + ended.lost("replay"), 0, "{}", ended.report["dropped"]);
    judged(&ended);
}

fn they_fall_silent(mode: &str) {
    let mut sites = sites(&AES, &connection(&AES), &format!("crypto isakmp keepalive 10 2 {mode}"));
    sites.tunnel();
    std::thread::sleep(std::time::Duration::from_secs(11));
    let asked = |sites: &mut Sites| sites.ours().log().iter().filter(|l| l.contains("ITS_ALIVE")).count();
    assert_eq!(asked(&mut sites) > 0, mode == "periodic", "answers while there was no traffic");
    sites.theirs.freeze(true);
    // Periodic: a question within 10 s, then four more 2 s apart. On demand: traffic that nothing answers is asked
    // about after 10 s at the earliest.
    let gone = within(35, || {
        sites.ping_out();
        sites.ours().said("not responding")
    });
    sites.theirs.freeze(false);
    assert!(gone, "{}", sites.ours().ask("show crypto ipsec sa"));
    assert!(sites.ours().said("Crypto tunnel is DOWN"));
}

fn we_fall_silent() {
    let watchful = Connection {
        more: "dpd_delay = 1s\n dpd_timeout = 4s",
        child: "dpd_action = clear",
        ..connection(&AES)
    };
    let mut sites = sites(&AES, &watchful, "");
    sites.tunnel();
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert_eq!(sites.theirs.sas(), (1, 1), "our answers were not heard: {}", sites.theirs.log());
    sites.ours.take().unwrap().kill();
    assert!(within(10, || sites.theirs.sas() == (0, 0)), "{}", sites.theirs.log());
    // Back, killed and back once more before they notice: INITIAL-CONTACT takes the old SAs away at once.
    sites.ours = Some(start(&sites.us.clone(), &sites.config.clone()));
    sites.tunnel();
    sites.ours.take().unwrap().kill();
    sites.ours = Some(start(&sites.us.clone(), &sites.config.clone()));
    sites.tunnel();
    assert_eq!(sites.theirs.sas(), (1, 1), "{}", sites.theirs.log());
}

fn they_restart() {
    let mut sites = sites(&AES, &connection(&AES), "");
    sites.tunnel();
    sites.theirs.restart();
    assert!(sites.theirs.initiate(), "{}", sites.theirs.log());
    sites.pings(5);
    let shown = sites.ours().ask("show crypto isakmp sa");
    assert_eq!(shown.matches("QM_IDLE").count(), 1, "{shown}");
}

fn deletes() {
    let mut sites = sites(&AES, &connection(&AES), "");
    sites.tunnel();
    sites.theirs.swanctl(&["--terminate", "--child", "c"]);
    assert!(within(2, || sites.we_have_nothing()), "{}", sites.ours().ask("show crypto ipsec sa"));
    assert!(within(5, || sites.ping_out()));
    sites.theirs.swanctl(&["--terminate", "--ike", "t"]);
    assert!(within(2, || !sites.ours().ask("show crypto isakmp sa").contains("QM_IDLE")));
    sites.tunnel();
    sites.ours().clear_sa();
    assert!(within(2, || sites.theirs.sas() == (0, 0)), "{}", sites.theirs.log());
    sites.tunnel();
    judged(&sites.end());
}

fn we_leave() {
    let mut sites = sites(&AES, &connection(&AES), "");
    sites.tunnel();
    sites.end();
    assert!(within(2, || sites.theirs.sas() == (0, 0)), "{}", sites.theirs.log());
}

fn another_key() {
    let other = Connection { secret: "cisco124", ..connection(&AES) };
    let mut sites = sites(&AES, &other, "");
    assert!(!within(4, || sites.ping_out()));
    assert!(!sites.theirs.initiate());
    assert_eq!(sites.theirs.sas(), (0, 0));
    assert!(sites.we_have_nothing());
    // What the last negotiation failed for is what packets are lost to.
    assert!(!sites.ping_out());
    assert!(sites.end().lost("authentication-failed") > 0);
}

fn no_common_proposal() {
    let other = connection(&SUITES[1]);
    let mut sites = sites(&AES, &other, "");
    assert!(!within(4, || sites.ping_out()));
    assert!(!sites.theirs.initiate());
    assert!(sites.theirs.log().contains("NO_PROPOSAL_CHOSEN") || sites.theirs.log().contains("NO_PROP"));
    assert!(!sites.ping_out());
    assert!(sites.end().lost("no-proposal") > 0);
}
