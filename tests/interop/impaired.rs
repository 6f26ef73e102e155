//! IKE over a bad wire with strongSwan: messages lost, doubled, overtaken, and noise. Retransmission as RFC 2408 section 5.1
//! has it: the same bytes again after a while, and our last message again in answer to a duplicate.

use std::collections::{BTreeMap, BTreeSet};

use espalier_tests::ike_opened::ike_opened;
use espalier_tests::namespaces::{no_namespaces, within};
use espalier_tests::sites::{AES, Seen, Sites};
use espalier_tests::{charon, missing};
use libtest_mimic::Trial;

use crate::{PROGRAM, case};

/// The messages of main mode are numbered before those of quick mode.
const MAIN_MODE: u64 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    We,
    They,
}

pub(super) fn cases() -> Vec<Trial> {
    let tools = || missing(&["tshark", "--version"]).or_else(|| missing(&["ethtool", "--version"]));
    let python = || missing(&["/usr/bin/python3", "-c", "import socket"]);
    let absent = charon::missing().or_else(no_namespaces).or_else(tools).or_else(python);
    let mut cases = Vec::new();
    for begins in [Begins::We, Begins::They] {
        // Main mode's six messages are 1 to 6, quick mode's three are 7 to 9.
        let (who, late) = match begins {
            // What is late is theirs: it is for us to see that it is old.
            Begins::We => ("we begin", "late=2,6,8"),
            Begins::They => ("they begin", "late=1,5,7"),
        };
        for rule in ["lose=1,4,7", "lose=2,5,8", "lose=3,6,9", late, "double", "noise=1", "noise=2"] {
            let run = move || impaired(begins, rule);
            cases.push(case("a bad wire", &format!("{who}, {rule}"), absent.as_ref(), run));
        }
    }
    cases
}

fn impaired(begins: Begins, rule: &'static str) {
    let mut sites = Sites::impaired(PROGRAM, &AES, rule);
    let up = match begins {
        Begins::We => within(75, || sites.ping_out()),
        // Where it gives up before the wire lets it through, it is told to begin again, as its user would. Traffic of ours
        // would begin a negotiation of our own meanwhile.
        Begins::They => within(60, || sites.theirs.initiate()) && within(30, || outbound(&mut sites)),
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
    if rule == "double" {
        answered_again(&seen, begins);
    }
    let ended = sites.end();
    copies_have_reasons(&seen, begins, &ended.log);
    assert_eq!(ended.count("out", "(_ws.malformed && !isakmp) || ip.checksum.status == \"Bad\""), 0);
    let (sealed, opened) = (ended.count("out", "esp"), ended.count("out", "esp && icmp"));
    assert!(sealed > 0 && sealed == opened, "{opened} of {sealed} ESP packets opened");
    ike_opened(&ended, "out");
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

/// Each copy of ours has its reason: what it answers came again, or our timer said it again, of which the router tells.
/// (That the timer takes ten seconds is judged in virtual time.)
fn copies_have_reasons(seen: &[Seen], begins: Begins, log: &[String]) {
    for (ours, theirs) in answers(begins) {
        let phase = if *ours <= MAIN_MODE { "retransmitting phase 1" } else { "retransmitting phase 2" };
        let by_timer = log.iter().filter(|line| line.contains(phase)).count();
        let asked = theirs.map_or(0, |theirs| arrivals(seen, theirs) - 1);
        let copies = seen.iter().filter(|s| s.number == *ours).count();
        assert!(copies - 1 <= asked + by_timer, "{ours}: {copies} copies, {asked}, {by_timer}: {seen:#?}");
    }
}

/// Each message of theirs that came twice was answered twice.
fn answered_again(seen: &[Seen], begins: Begins) {
    for (ours, _) in answers(begins).iter().filter(|(_, theirs)| theirs.is_some()) {
        let copies = seen.iter().filter(|s| s.number == *ours).count();
        assert!(copies >= 2, "{ours}: {copies} copies: {seen:#?}");
    }
}

/// Our messages, each with the one of theirs whose copy it answers. Where we begin, their last of main mode only brings on
/// our next message, of another exchange; where they do, the last of either mode has no answer.
fn answers(begins: Begins) -> &'static [(u64, Option<u64>)] {
    match begins {
        Begins::We => &[(1, None), (3, Some(2)), (5, Some(4)), (7, None), (9, Some(8))],
        Begins::They => &[(2, Some(1)), (4, Some(3)), (6, Some(5)), (8, Some(7))],
    }
}

/// How many times a message of theirs reached us.
fn arrivals(seen: &[Seen], number: u64) -> usize {
    let copies = seen.iter().filter(|s| s.number == number);
    let fates = copies.map(|s| match s.fate.as_str() {
        "lost" => 0,
        "doubled" => 2,
        // What is late comes right after the next copy.
        _ => 1,
    });
    fates.sum()
}
