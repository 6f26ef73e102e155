//! IKE over a bad wire with strongSwan: messages lost, doubled, overtaken, and noise. Retransmission as RFC 2408 section 5.1
//! has it: the same bytes again after a while, and our last message again in answer to a duplicate.

use std::collections::{BTreeMap, BTreeSet};

use espalier_tests::namespaces::{no_namespaces, within};
use espalier_tests::sites::{AES, Seen, Sites};
use espalier_tests::{charon, missing, peers_are_required};
use libtest_mimic::{Arguments, Trial};

const PROGRAM: &str = env!("CARGO_BIN_EXE_espalier-tested");
/// From a message of ours to its next copy, if nothing asks for it sooner.
const PATIENCE: f64 = 10.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    We,
    They,
}

fn main() {
    let mut arguments = Arguments::from_args();
    // They wait for timers most of the time.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let tools = || missing(&["tshark", "--version"]).or_else(|| missing(&["ethtool", "--version"]));
    let python = || missing(&["/usr/bin/python3", "-c", "import socket"]);
    let absent = charon::missing().or_else(no_namespaces).or_else(tools).or_else(python);
    let why = absent.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
    let ignored = absent.is_some() && !peers_are_required();
    let mut trials = Vec::new();
    for begins in [Begins::We, Begins::They] {
        // Main mode's six messages are 1 to 6, quick mode's three are 7 to 9.
        let (who, late) = match begins {
            // What is late is theirs: it is for us to see that it is old.
            Begins::We => ("we begin", "late=2,6,8"),
            Begins::They => ("they begin", "late=1,5,7"),
        };
        for rule in ["lose=1,4,7", "lose=2,5,8", "lose=3,6,9", late, "double", "noise=1", "noise=2"] {
            let run = move || {
                impaired(begins, rule);
                Ok(())
            };
            trials.push(Trial::test(format!("{who}, {rule}{why}"), run).with_ignored_flag(ignored));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn impaired(begins: Begins, rule: &'static str) {
    let mut sites = Sites::impaired(PROGRAM, &AES, rule);
    let up = match begins {
        Begins::We => within(75, || sites.ping_out()),
        // Where it gives up before the wire lets it through, it is told to begin again, as its user would. Traffic of ours
        // would begin a negotiation of our own meanwhile.
        Begins::They => within(60, || sites.theirs.initiate()) && within(25, || outbound(&mut sites)),
    };
    assert!(up, "no tunnel: {:#?}\n{}", sites.seen(), sites.theirs.log());
    if rule.starts_with("noise") {
        // Where a keepalive or a DELETE was lost, something may have begun anew; in the end traffic gets through.
        assert!(within(30, || sites.ping_out() && sites.ping_in()), "{:#?}", sites.seen());
        sites.end();
        return;
    }
    sites.pings(10);
    assert!(sites.ping_in());
    assert_eq!(sites.theirs.sas(), (1, 1), "{}", sites.theirs.log());
    let shown = sites.ours().ask("show crypto isakmp sa");
    assert_eq!(shown.matches("QM_IDLE").count(), 1, "{shown}");
    let seen = sites.seen();
    one_negotiation(&seen, begins);
    sent_again_in_time(&seen);
    if rule == "double" {
        answered_again(&seen, begins);
    }
    // Of IKE messages that come again tshark takes the wrong IV, so here it judges all but those.
    let ended = sites.end();
    assert_eq!(ended.count("out", "(_ws.malformed && !isakmp) || ip.checksum.status == \"Bad\""), 0);
    let (sealed, opened) = (ended.count("out", "esp"), ended.count("out", "esp && icmp"));
    assert!(sealed > 0 && sealed == opened, "{opened} of {sealed} ESP packets opened");
}

/// We have an outbound SA: the last message of quick mode has come.
fn outbound(sites: &mut Sites) -> bool {
    let shown = sites.ours().ask("show crypto ipsec sa");
    let spi = shown.lines().find_map(|line| line.trim().strip_prefix("current outbound spi: "));
    spi.is_some_and(|spi| spi.trim_start_matches("0x") != "0")
}

/// One main mode of six messages and one quick mode of three, whatever was sent again: copies are the same bytes, and
/// nothing began anew.
fn one_negotiation(seen: &[Seen], begins: Begins) {
    let cookies: BTreeSet<&str> = seen.iter().map(|s| s.initiator.as_str()).collect();
    assert_eq!(cookies.len(), 1, "it began anew: {seen:#?}");
    let mut messages: BTreeMap<(u64, bool), BTreeSet<u64>> = BTreeMap::new();
    for s in seen.iter().filter(|s| s.number > 0) {
        messages.entry((s.exchange, s.ours == (begins == Begins::We))).or_default().insert(s.number);
    }
    let counts: Vec<((u64, bool), usize)> = messages.iter().map(|(key, all)| (*key, all.len())).collect();
    // By exchange, and whether they are the initiator's.
    assert_eq!(counts, [((2, false), 3), ((2, true), 3), ((32, false), 1), ((32, true), 2)], "{seen:#?}");
}

/// A copy of ours comes in answer to a duplicate of theirs, or after our patience, and not before.
fn sent_again_in_time(seen: &[Seen]) {
    for (at, copy) in seen.iter().enumerate().filter(|(_, s)| s.ours && s.number > 0 && s.copy > 1) {
        let before = seen.iter().take(at).rfind(|s| s.ours && s.number == copy.number).unwrap();
        let span = copy.at - before.at;
        let asked = seen.iter().take(at).any(|s| {
            let again = s.copy > 1 || s.fate == "doubled";
            !s.ours && s.number > 0 && again && s.at >= before.at - 0.05
        });
        assert!(
            asked || (PATIENCE - 0.5..PATIENCE + 2.0).contains(&span),
            "{copy:?} after {span} s: {seen:#?}"
        );
    }
}

/// Each message of theirs that came twice was answered twice, but for what has no answer: the last of either mode where
/// they begin, and where we do the one that only brings on our next message of another exchange.
fn answered_again(seen: &[Seen], begins: Begins) {
    let twice: BTreeSet<u64> =
        seen.iter().filter(|s| s.ours && s.copy == 2 && s.number > 0).map(|s| s.number).collect();
    let expected: &[u64] = match begins {
        Begins::We => &[3, 5, 9],
        Begins::They => &[2, 4, 6, 8],
    };
    assert_eq!(twice.iter().copied().collect::<Vec<_>>(), expected, "{seen:#?}");
    let span = seen.last().map_or(0.0, |s| s.at) - seen.first().map_or(0.0, |s| s.at);
    assert!(span < PATIENCE, "nothing had to wait for a retransmission, yet it took {span} s: {seen:#?}");
}
