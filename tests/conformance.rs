//! Every case under `conformance/`, machine by machine.

use espalier_tests::conformance::run;
use espalier_tests::hsrp_lan::Lan;
use espalier_tests::ike_wire::IkeWire;
use espalier_tests::network::Network;
use espalier_tests::ospf_wire::OspfWire;

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

/// Packets in, and what comes of them: one router, and stations made of words.
#[test]
fn ospf_packets() {
    run("ospf_packets", OspfWire::default);
}

/// Two machines whose messages are lost, repeated and changed.
#[test]
fn ike_packets() {
    run("ike_packets", IkeWire::default);
}

/// Tracked objects, reverse routes, the routing table and ARP, as a failover drives them.
#[test]
fn routes() {
    run("routes", Network::default);
}
