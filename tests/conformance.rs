//! Every case under `conformance/`, machine by machine.

use espalier_tests::conformance::run;
use espalier_tests::hsrp_lan::Lan;
use espalier_tests::network::Network;

#[test]
fn hsrp() {
    run("hsrp", || Lan::new(1));
}

#[test]
fn ospf() {
    run("ospf", Network::default);
}

#[test]
fn ike() {
    run("ike", Network::default);
}

/// Tracked objects, reverse routes, the routing table and ARP, as a failover drives them.
#[test]
fn routes() {
    run("routes", Network::default);
}
