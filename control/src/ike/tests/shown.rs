//! The document's `show` commands.

use espalier_wire::plane::{Counters, Direction, SaCounters};

use super::super::show::{Binding, BoundEntry};
use super::super::*;
use super::harness::*;

fn bindings() -> Vec<Binding> {
    let entries = vec![BoundEntry { policy: POLICY, selector: entry(0).selector, peer: B }];
    vec![Binding { interface: "FastEthernet0/0".into(), map: "vpn".into(), local: A, mtu: 1500, entries }]
}

#[test]
fn isakmp_sas_are_shown_as_in_the_document() {
    let keepalive = Some(Keepalive::every(espalier_wire::Duration::from_s(10)));
    let c = Config { keepalive, ..config() };
    let mut w = World::new([c.clone(), c], [entry(0), entry(1)], 1);
    w.need(1);
    w.s(608);
    let plain = w.ikes[1].show_isakmp_sa();
    assert_eq!(
        plain,
        "dst             src             state          conn-id slot\n\
         172.16.172.53   172.16.172.69   QM_IDLE              1    0\n"
    );
    let detail = w.ikes[0].show_isakmp_sa_detail(w.now);
    let row = "1     172.16.172.53   172.16.172.69            des  md5  psk  1  23:49:52 K\n\
               \x20      Connection-id:Engine-id =  1:1(software)\n";
    assert!(detail.ends_with(row), "{detail}");
}

#[test]
fn ipsec_sas_are_shown_as_in_the_document() {
    let mut c = config();
    c.volume_jitter = 0;
    let mut w = World::new([c.clone(), c], [entry(0), entry(1)], 1);
    w.need(1);
    w.s(651);
    let (inbound, outbound) = {
        let sas = w.ikes[0].sas().next().unwrap();
        (sas.inbound.spi, sas.outbound.spi)
    };
    let used = |packets, bytes| SaCounters { packets, bytes, ..SaCounters::default() };
    let counters = Counters {
        sas: vec![
            (Direction::Inbound, inbound, used(5, 3 * 1024)),
            (Direction::Outbound, outbound, used(5, 2 * 1024)),
        ],
        send_errors: vec![(POLICY, 6)],
        ..Counters::default()
    };
    let text = w.ikes[0].show_ipsec_sa(&bindings(), &counters, w.now);
    for line in [
        "interface: FastEthernet0/0",
        "    Crypto map tag: vpn, local addr. 172.16.172.53",
        "   local  ident (addr/mask/prot/port): (99.99.99.99/255.255.255.255/0/0)",
        "   remote ident (addr/mask/prot/port): (20.1.1.0/255.255.255.0/0/0)",
        "   current_peer: 172.16.172.69:500",
        "     PERMIT, flags={origin_is_acl,}",
        "    #pkts encaps: 5, #pkts encrypt: 5, #pkts digest: 5",
        "    #send errors 6, #recv errors 0",
        "     local crypto endpt.: 172.16.172.53, remote crypto endpt.: 172.16.172.69",
        "     path mtu 1500, media mtu 1500",
        "        transform: esp-des esp-md5-hmac ,",
        "        in use settings ={Tunnel, }",
        "        slot: 0, conn id: 2000, flow_id: 1, crypto map: vpn",
        "        slot: 0, conn id: 2001, flow_id: 2, crypto map: vpn",
        "        crypto engine type: Software, engine_id: 1",
        "        sa timing: remaining key lifetime (k/sec): (4607997/2949)",
        "        sa timing: remaining key lifetime (k/sec): (4607998/2949)",
        "        IV size: 8 bytes",
        "        replay detection support: Y",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    assert!(text.contains(&format!("     current outbound spi: {:X}\n", outbound.0)));
    assert!(text.contains(&format!("      spi: {inbound}\n")));
    let session = w.ikes[0].show_session(&bindings());
    assert!(session.contains("Session status: UP-ACTIVE"), "{session}");
}

#[test]
fn an_entry_without_sas_is_shown_too() {
    let w = World::plain();
    let text = w.ikes[0].show_ipsec_sa(&bindings(), &Counters::default(), w.now);
    assert!(text.contains("     current outbound spi: 0\n"), "{text}");
}
