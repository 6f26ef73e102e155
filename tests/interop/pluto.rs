//! Phase 1 of IKEv1 with libreswan: who begins, which suite, keepalives, DELETE from either side, another key. Its quick mode
//! ends at a kernel without ESP, so nothing more can be asked of it here.

use espalier_tests::attached::{Attached, Ended};
use espalier_tests::ike_opened::ike_opened;
use espalier_tests::missing;
use espalier_tests::namespaces::{Net, no_namespaces, within};
use espalier_tests::pluto::{self, Pluto};
use libtest_mimic::Trial;

use crate::{PROGRAM, case};

/// A proposal in both languages.
#[derive(Clone, Copy)]
struct Suite {
    theirs: &'static str,
    /// Under `crypto isakmp policy 1`.
    ours: &'static str,
}

const SUITES: [Suite; 2] = [
    Suite { theirs: "3des-md5;modp1536", ours: " encr 3des\n hash md5\n group 5\n" },
    Suite { theirs: "aes256-sha2_256;modp2048", ours: " encr aes 256\n hash sha256\n group 14\n" },
];

pub(super) fn cases() -> Vec<Trial> {
    let tshark = || missing(&["tshark", "--version"]);
    let absent = no_namespaces().or_else(pluto::missing).or_else(tshark);
    let case = |name: &str, test: Box<dyn FnOnce() + Send>| case("libreswan", name, absent.as_ref(), test);
    let mut cases = vec![
        case("our keepalives are answered, and their silence is noticed", Box::new(keepalives)),
        case("another key", Box::new(another_key)),
    ];
    for suite in SUITES {
        let name = suite.theirs.replace(';', "-");
        cases.push(case(&format!("they begin, and delete, {name}"), Box::new(move || they_begin(suite))));
        cases.push(case(&format!("we begin, and delete, {name}"), Box::new(move || we_begin(suite))));
    }
    cases
}

struct Pair {
    ours: Option<Attached>,
    theirs: Pluto,
    inside: espalier_tests::namespaces::Space,
    _net: Net,
}

fn pair(suite: Suite, secret: &str) -> Pair {
    let mut net = Net::new();
    let (inside, us, them) = (net.space("in"), net.space("us"), net.space("them"));
    net.wire((&us, "out"), (&them, "e0"));
    net.wire((&us, "ins"), (&inside, "e0"));
    them.address("e0", "172.16.172.69/24");
    them.address("lo", "20.1.1.1/24");
    inside.address("e0", "10.1.1.9/24");
    inside.run("ip route add default via 10.1.1.1");
    let theirs = Pluto::start(&them, suite.theirs, secret);
    let config = format!(
        "hostname gateway\n\
         crypto isakmp policy 1\n authentication pre-share\n{}\
         crypto isakmp key cisco123 address 172.16.172.69\n\
         crypto isakmp keepalive 10 2 periodic\n\
         crypto ipsec transform-set set esp-3des esp-md5-hmac\n\
         crypto map vpn 10 ipsec-isakmp\n set peer 172.16.172.69\n set transform-set set\n match address 101\n\
         interface FastEthernet0/0\n ip address 172.16.172.53 255.255.255.0\n crypto map vpn\n\
         interface FastEthernet0/1\n ip address 10.1.1.1 255.255.255.0\n\
         ip route 20.1.1.0 255.255.255.0 172.16.172.69\n\
         access-list 101 permit ip 10.1.1.0 0.0.0.255 20.1.1.0 0.0.0.255\nend\n",
        suite.ours
    );
    let bind = ["FastEthernet0/0=out", "FastEthernet0/1=ins"];
    let more = ["--profile", "ios-15", "--debug", "isakmp"];
    let ours = Some(Attached::start(PROGRAM, &us, &config, &bind, &more));
    Pair { ours, theirs, inside, _net: net }
}

impl Pair {
    fn ours(&mut self) -> &mut Attached {
        self.ours.as_mut().unwrap()
    }

    fn stands(&mut self) -> bool {
        self.ours().ask("show crypto isakmp sa").contains("QM_IDLE") && self.theirs.established()
    }

    fn log(&mut self) -> String {
        let ours = format!("{:#?}", self.ours().log());
        ours + &self.theirs.log()
    }

    /// All that we said and heard is well formed, and tshark reads it with our key.
    fn end(mut self) -> Ended {
        let ended = self.ours.take().unwrap().end();
        assert_eq!(ended.count("out", "(_ws.malformed && !isakmp) || udp.checksum.status == \"Bad\""), 0);
        ike_opened(&ended, "out");
        ended
    }
}

/// How many times main mode was begun from there.
fn begun(ended: &Ended, address: &str) -> usize {
    let first = "isakmp.exchangetype == 2 && isakmp.rspi == 00:00:00:00:00:00:00:00";
    ended.count("out", &format!("{first} && ip.src == {address}"))
}

fn they_begin(suite: Suite) {
    let mut pair = pair(suite, "cisco123");
    pair.theirs.whack("--name t --initiate --asynchronous");
    assert!(within(30, || pair.stands()), "{}", pair.log());
    pair.theirs.whack("--name t --terminate");
    let gone = within(30, || !pair.ours().ask("show crypto isakmp sa").contains("QM_IDLE"));
    assert!(gone && !pair.ours().said("not responding"), "their DELETE: {}", pair.log());
    let ended = pair.end();
    assert!(begun(&ended, "172.16.172.69") >= 1 && begun(&ended, "172.16.172.53") == 0);
}

fn we_begin(suite: Suite) {
    let mut pair = pair(suite, "cisco123");
    pair.inside.succeeds("ping -c 1 -W 1 20.1.1.1");
    assert!(within(30, || pair.stands()), "{}", pair.log());
    pair.ours().clear_sa();
    assert!(within(30, || !pair.theirs.established()), "our DELETE: {}", pair.log());
    let ended = pair.end();
    assert!(begun(&ended, "172.16.172.53") >= 1 && begun(&ended, "172.16.172.69") == 0);
}

fn keepalives() {
    let mut pair = pair(SUITES[0], "cisco123");
    pair.theirs.whack("--name t --initiate --asynchronous");
    assert!(within(30, || pair.stands()), "{}", pair.log());
    assert!(within(30, || pair.ours().said("ITS_ALIVE")), "{}", pair.log());
    pair.theirs.freeze(true);
    // A question within 10 s, then four more 2 s apart.
    let gone = within(90, || !pair.ours().ask("show crypto isakmp sa").contains("QM_IDLE"));
    pair.theirs.freeze(false);
    assert!(gone, "{}", pair.log());
}

fn another_key() {
    let mut pair = pair(SUITES[0], "cisco124");
    pair.theirs.whack("--name t --initiate --asynchronous");
    pair.inside.succeeds("ping -c 1 -W 1 20.1.1.1");
    assert!(!within(4, || pair.ours().ask("show crypto isakmp sa").contains("QM_IDLE")));
    assert!(!pair.theirs.established(), "{}", pair.log());
}
