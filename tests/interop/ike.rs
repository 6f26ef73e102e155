//! IKEv1 and ESP with strongSwan: who begins, which suite, whose keepalive, whose DELETE, whose restart; and what the two
//! cannot agree on.

use std::process::Stdio;

use espalier_tests::charon::{self, Connection};
use espalier_tests::missing;
use espalier_tests::namespaces::{no_namespaces, within};
use espalier_tests::sites::{AES, SUITES, Sites, Suite, connection, judged};
use libtest_mimic::Trial;

use crate::{PROGRAM, case};

pub(super) fn cases() -> Vec<Trial> {
    let tshark = || missing(&["tshark", "--version"]);
    let absent = charon::missing().or_else(no_namespaces).or_else(tshark);
    let case = |name: &str, test: Box<dyn FnOnce() + Send>| case("ike", name, absent.as_ref(), test);
    // The longest first.
    let mut cases = vec![case("our rekey of phase 1 loses nothing", Box::new(our_rekey))];
    for suite in SUITES {
        cases.push(case(&format!("we begin, {}", suite.name), Box::new(move || we_begin(suite))));
        cases.push(case(&format!("they begin, {}", suite.name), Box::new(move || they_begin(suite))));
    }
    let more: [(&str, fn()); 10] = [
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
    cases.extend(more.map(|(name, test)| case(name, Box::new(test))));
    cases
}

fn we_begin(suite: Suite) {
    let mut sites = Sites::new(PROGRAM, &suite, &connection(&suite), "");
    sites.tunnel();
    assert_eq!(sites.theirs.sas(), (1, 1), "{}", sites.theirs.log());
    sites.pings(10);
    let shown = sites.ours().ask("show crypto isakmp sa");
    assert!(shown.contains("QM_IDLE"), "{shown}");
    let ended = sites.end();
    judged(&ended);
    let begun = ended.count("out", &first_from("172.16.172.53"));
    assert!(begun >= 1, "we did not begin");
}

fn they_begin(suite: Suite) {
    let mut sites = Sites::new(PROGRAM, &suite, &connection(&suite), "");
    assert!(sites.theirs.initiate(), "{}", sites.theirs.log());
    assert!(within(30, || sites.ping_in()), "{}", sites.theirs.log());
    sites.pings(10);
    assert_eq!(sites.theirs.sas(), (1, 1), "{}", sites.theirs.log());
    let ended = sites.end();
    judged(&ended);
    let begun = ended.count("out", &first_from("172.16.172.53"));
    assert_eq!(begun, 0, "we began, too");
}

fn their_rekeys() {
    let often = Connection {
        more: "rekey_time = 5s\n over_time = 3s\n rand_time = 0s",
        child: "rekey_time = 3s\n life_time = 6s\n rand_time = 0s",
        ..connection(&AES)
    };
    let mut sites = Sites::new(PROGRAM, &AES, &often, "");
    assert!(sites.theirs.initiate(), "{}", sites.theirs.log());
    assert!(within(30, || sites.ping_out()));
    sites.pings(120);
    let log = sites.theirs.log();
    let pairs = log.matches("CHILD_SA c{").filter(|_| true).count();
    let made = log.lines().filter(|l| l.contains("CHILD_SA c{") && l.contains("established")).count();
    let phase1 = log.lines().filter(|l| l.contains("IKE_SA t[") && l.contains("established")).count();
    assert!(made >= 3 && phase1 >= 2, "{made} of {pairs}, {phase1}\n{log}");
    judged(&sites.end());
}

/// Of phase 2 see the transfer.
fn our_rekey() {
    let mut sites = Sites::new(PROGRAM, &AES, &connection(&AES), "crypto isakmp policy 1\n lifetime 60");
    sites.tunnel();
    // A fifth of so short a lifetime is left when it is replaced.
    sites.pings(520);
    let shown = sites.ours().ask("show crypto isakmp sa");
    let made =
        sites.theirs.log().lines().filter(|l| l.contains("IKE_SA t[") && l.contains("established")).count();
    assert!(made == 2 && shown.contains("QM_IDLE"), "{made}\n{shown}\n{}", sites.theirs.log());
    let ended = sites.end();
    judged(&ended);
    assert_eq!(ended.count("out", &first_from("172.16.172.53")), 2, "we begin both");
}

/// The first messages of main mode from there.
fn first_from(address: &str) -> String {
    format!("isakmp.exchangetype == 2 && ip.src == {address} && isakmp.rspi == 00:00:00:00:00:00:00:00")
}

fn transfer() {
    let mut sites = Sites::new(
        PROGRAM,
        &AES,
        &connection(&AES),
        "crypto ipsec security-association lifetime kilobytes 2560",
    );
    sites.tunnel();
    let receive = "import socket,hashlib\ns=socket.create_server(('20.1.1.1',7777))\nc,_=s.accept()\nh=hashlib.sha256()\n\
                   while True:\n d=c.recv(65536)\n if not d: break\n h.update(d)\nprint(h.hexdigest())";
    let send = "import socket,hashlib\nd=bytes(i*i%251 for i in range(4194304))\n\
                s=socket.create_connection(('20.1.1.1',7777),60)\ns.settimeout(120)\ns.sendall(d)\ns.close()\n\
                print(hashlib.sha256(d).hexdigest())";
    let receiver =
        sites.them.command("/usr/bin/python3").args(["-c", receive]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(within(30, || sites.them.run("ss -ltn").contains(":7777")));
    let sent = sites.inside.command("/usr/bin/python3").args(["-c", send]).output().unwrap();
    let got = receiver.wait_with_output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    assert_eq!(got.stdout, sent.stdout, "another file arrived");
    // 4 MiB are more than 2560 KiB: new SAs, and the packets between did not suffer.
    assert!(within(30, || sites.ours().said("%") || sites.theirs.sas().1 >= 1));
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
    let mut sites =
        Sites::new(PROGRAM, &AES, &connection(&AES), &format!("crypto isakmp keepalive 10 2 {mode}"));
    sites.tunnel();
    // While there is no traffic, only periodic ones are asked, and answered.
    if mode == "periodic" {
        assert!(within(30, || sites.ours().said("ITS_ALIVE")));
    } else {
        std::thread::sleep(std::time::Duration::from_secs(11));
        assert!(!sites.ours().said("ITS_ALIVE"));
    }
    sites.theirs.freeze(true);
    // Periodic: a question within 10 s, then four more 2 s apart. On demand: traffic that nothing answers is asked
    // about after 10 s at the earliest.
    let gone = within(90, || {
        sites.ping_out();
        sites.ours().said("not responding")
    });
    sites.theirs.freeze(false);
    assert!(gone, "{}", sites.ours().ask("show crypto ipsec sa"));
    assert!(sites.ours().said("Crypto tunnel is DOWN"));
}

fn we_fall_silent() {
    let watchful = Connection {
        more: "dpd_delay = 1s\n dpd_timeout = 8s",
        child: "dpd_action = clear",
        ..connection(&AES)
    };
    let mut sites = Sites::new(PROGRAM, &AES, &watchful, "");
    sites.tunnel();
    std::thread::sleep(std::time::Duration::from_secs(10));
    assert_eq!(sites.theirs.sas(), (1, 1), "our answers were not heard: {}", sites.theirs.log());
    sites.ours.take().unwrap().kill();
    assert!(within(30, || sites.theirs.sas() == (0, 0)), "{}", sites.theirs.log());
    // Back, killed and back once more before they notice: INITIAL-CONTACT takes the old SAs away at once.
    sites.start();
    sites.tunnel();
    sites.ours.take().unwrap().kill();
    sites.start();
    sites.tunnel();
    assert_eq!(sites.theirs.sas(), (1, 1), "{}", sites.theirs.log());
}

fn they_restart() {
    let mut sites = Sites::new(PROGRAM, &AES, &connection(&AES), "");
    sites.tunnel();
    sites.theirs.restart();
    assert!(sites.theirs.initiate(), "{}", sites.theirs.log());
    sites.pings(5);
    let shown = sites.ours().ask("show crypto isakmp sa");
    assert_eq!(shown.matches("QM_IDLE").count(), 1, "{shown}");
}

fn deletes() {
    let mut sites = Sites::new(PROGRAM, &AES, &connection(&AES), "");
    sites.tunnel();
    sites.theirs.swanctl(&["--terminate", "--child", "c"]);
    assert!(within(30, || sites.we_have_nothing()), "{}", sites.ours().ask("show crypto ipsec sa"));
    assert!(within(30, || sites.ping_out()));
    sites.theirs.swanctl(&["--terminate", "--ike", "t"]);
    assert!(within(30, || !sites.ours().ask("show crypto isakmp sa").contains("QM_IDLE")));
    assert!(!sites.ours().said("not responding"), "keepalives noticed it, not their DELETE");
    sites.tunnel();
    sites.ours().clear_sa();
    assert!(within(30, || sites.theirs.sas() == (0, 0)), "{}", sites.theirs.log());
    sites.tunnel();
    judged(&sites.end());
}

fn we_leave() {
    let mut sites = Sites::new(PROGRAM, &AES, &connection(&AES), "");
    sites.tunnel();
    sites.end();
    assert!(within(30, || sites.theirs.sas() == (0, 0)), "{}", sites.theirs.log());
}

fn another_key() {
    let other = Connection { secret: "cisco124", ..connection(&AES) };
    let mut sites = Sites::new(PROGRAM, &AES, &other, "");
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
    let mut sites = Sites::new(PROGRAM, &AES, &other, "");
    assert!(!within(4, || sites.ping_out()));
    assert!(!sites.theirs.initiate());
    assert!(sites.theirs.log().contains("NO_PROPOSAL_CHOSEN") || sites.theirs.log().contains("NO_PROP"));
    assert!(!sites.ping_out());
    assert!(sites.end().lost("no-proposal") > 0);
}
