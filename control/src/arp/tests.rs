//! One router's ARP against hand-made packets of its neighbours.

use super::*;
use proptest::prelude::*;

const IFACE: IfIndex = IfIndex(1);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 3);
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 9);
const OWN_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const OTHER_MAC: Mac = Mac([2, 0, 0, 0, 0, 3]);
const VIRTUAL_MAC: Mac = Mac([0, 0, 0x0c, 7, 0xac, 1]);

fn names(iface: IfIndex) -> String {
    format!("FastEthernet0/{}", iface.0)
}

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_ms(ms)
}

struct Router {
    arp: ArpMachine,
    actions: Vec<Action>,
}

impl Router {
    fn new() -> Self {
        let mut router = Self { arp: ArpMachine::new(Settings::default()), actions: Vec::new() };
        let addresses = vec![Ipv4Prefix::new(OWN, 24).unwrap()];
        router.on(0, Event::Configure(InterfaceConfig { iface: IFACE, mac: OWN_MAC, addresses }));
        router.on(0, Event::InterfaceUp { iface: IFACE });
        router
    }

    fn on(&mut self, ms: u64, event: Event) {
        self.arp.on(at(ms), event, &mut self.actions);
    }

    fn hear(&mut self, ms: u64, arp: Arp) {
        self.on(ms, Event::Packet { iface: IFACE, payload: arp.emit().to_vec() });
    }

    fn run(&mut self, ms: u64) {
        while let Some(due) = self.arp.next_deadline().filter(|due| *due <= at(ms)) {
            self.arp.timer(due, &mut self.actions);
        }
    }

    /// Everything since the last call but traces, in words.
    fn did(&mut self) -> Vec<String> {
        let say = |action| match action {
            Action::Send { src_mac, dst_mac, arp, .. } => {
                assert_eq!(frame(src_mac, dst_mac, &arp).len(), 60);
                Some(format!("{:?} {} {src_mac} -> {} {dst_mac}", arp.operation, arp.sender, arp.target))
            }
            Action::Command(Command::Neighbour { addr, mac, .. }) => Some(format!("{addr} is at {mac}")),
            Action::Command(Command::DropNeighbour { addr, .. }) => Some(format!("{addr} is gone")),
            Action::Command(other) => panic!("{other:?}"),
            Action::Release { mac, packets, .. } => Some(format!("release {} to {mac}", packets.len())),
            Action::Trace(_) => None,
        };
        self.actions.drain(..).filter_map(say).collect()
    }
}

fn packet(operation: Operation, sender: Ipv4Addr, sender_mac: Mac, target: Ipv4Addr) -> Arp {
    Arp { operation, sender_mac, sender, target_mac: Mac::default(), target }
}

fn reply() -> Arp {
    packet(Operation::Reply, OTHER, OTHER_MAC, OWN)
}

const ASK: &str = "Request 10.1.1.1 02:00:00:00:00:01 -> 10.1.1.3 ff:ff:ff:ff:ff:ff";

#[test]
fn addresses_are_announced_when_the_interface_comes_up() {
    let announced = "Request 10.1.1.1 02:00:00:00:00:01 -> 10.1.1.1 ff:ff:ff:ff:ff:ff";
    assert_eq!(Router::new().did(), [announced]);
}

#[test]
fn a_neighbour_is_asked_for_once_and_gets_what_waited() {
    let mut router = Router::new();
    router.did();
    router.on(0, Event::Need { iface: IFACE, addr: OTHER });
    (0..6).for_each(|n| router.on(1, Event::Resolve { iface: IFACE, addr: OTHER, packet: vec![n] }));
    assert_eq!(router.did(), [ASK]);
    assert_eq!(router.arp.counters().held_lost, 2, "four wait");
    router.hear(2, reply());
    assert_eq!(router.did(), ["10.1.1.3 is at 02:00:00:00:00:03", "release 4 to 02:00:00:00:00:03"]);
    router.on(3, Event::Resolve { iface: IFACE, addr: OTHER, packet: vec![7] });
    assert_eq!(router.did(), ["release 1 to 02:00:00:00:00:03"]);
}

#[test]
fn three_requests_then_five_seconds_of_silence() {
    let mut router = Router::new();
    router.on(0, Event::Resolve { iface: IFACE, addr: OTHER, packet: vec![1] });
    router.did();
    router.run(2_999);
    assert_eq!(router.did(), [ASK, ASK]);
    router.run(3_000);
    assert_eq!(router.arp.counters().held_lost, 1);
    router.on(7_999, Event::Need { iface: IFACE, addr: OTHER });
    assert!(router.did().is_empty());
    router.run(8_000);
    router.on(8_000, Event::Need { iface: IFACE, addr: OTHER });
    assert_eq!(router.did(), [ASK]);
    // An absent neighbour that announces itself is there again.
    router.run(11_000);
    router.did();
    router.hear(11_500, Arp::announcement(OTHER, OTHER_MAC));
    assert_eq!(router.did(), ["10.1.1.3 is at 02:00:00:00:00:03"]);
}

#[test]
fn a_request_for_us_is_answered_and_teaches_and_others_do_not() {
    let mut router = Router::new();
    router.did();
    router.hear(0, packet(Operation::Request, OTHER, OTHER_MAC, Ipv4Addr::new(10, 1, 1, 7)));
    router.hear(0, Arp::announcement(OTHER, OTHER_MAC));
    assert!(router.did().is_empty(), "RFC 826: no new entry from what is not for us");
    router.hear(1, packet(Operation::Request, OTHER, OTHER_MAC, OWN));
    let answer = "Reply 10.1.1.1 02:00:00:00:00:01 -> 10.1.1.3 02:00:00:00:00:03";
    assert_eq!(router.did(), ["10.1.1.3 is at 02:00:00:00:00:03", answer]);
    let moved = Mac([2, 0, 0, 0, 0, 0x33]);
    router.hear(2, Arp::announcement(OTHER, moved));
    assert_eq!(router.did(), ["10.1.1.3 is at 02:00:00:00:00:33"], "known: updated");
    router.hear(3, packet(Operation::Request, Ipv4Addr::UNSPECIFIED, OTHER_MAC, OWN));
    assert_eq!(router.did(), ["Reply 10.1.1.1 02:00:00:00:00:01 -> 0.0.0.0 02:00:00:00:00:03"], "a probe");
}

#[test]
fn a_virtual_address_is_answered_for_while_active_only() {
    let mut router = Router::new();
    router.did();
    let ask = packet(Operation::Request, OTHER, OTHER_MAC, VIRTUAL);
    let set = |active| Event::Virtual { iface: IFACE, addr: VIRTUAL, mac: VIRTUAL_MAC, active };
    router.hear(0, ask);
    assert!(router.did().is_empty());
    router.on(1, Event::Need { iface: IFACE, addr: VIRTUAL });
    router.hear(1, packet(Operation::Reply, VIRTUAL, VIRTUAL_MAC, OWN));
    router.did();
    router.on(2, set(true));
    router.on(2, Event::Announce { iface: IFACE, addr: VIRTUAL, mac: VIRTUAL_MAC });
    let announced = "Reply 10.1.1.9 00:00:0c:07:ac:01 -> 10.1.1.9 ff:ff:ff:ff:ff:ff";
    assert_eq!(router.did(), ["10.1.1.9 is gone", announced], "it was a neighbour, now it is us");
    router.hear(3, ask);
    assert_eq!(router.did()[1], "Reply 10.1.1.9 00:00:0c:07:ac:01 -> 10.1.1.3 02:00:00:00:00:03");
    router.hear(4, Arp::announcement(VIRTUAL, VIRTUAL_MAC));
    assert_eq!(router.arp.counters().conflicts, 0, "the other member of the group is no conflict");
    router.on(5, set(false));
    router.hear(6, ask);
    assert!(router.did().is_empty());
}

#[test]
fn a_duplicate_address_is_said_and_defended_every_ten_seconds_at_most() {
    let mut router = Router::new();
    router.did();
    for ms in [0, 9_999, 10_000] {
        router.hear(ms, packet(Operation::Request, OWN, OTHER_MAC, OTHER));
    }
    let said = |a: &&Action| matches!(a, Action::Trace(Trace { what: What::Duplicate { .. }, .. }));
    let Some(Action::Trace(trace)) = router.actions.iter().find(said) else { panic!("not said") };
    let expected = "%IP-4-DUPADDR: Duplicate address 10.1.1.1 on FastEthernet0/1, sourced by 0200.0000.0003";
    assert_eq!(trace.line(&names), expected);
    assert_eq!(router.did().len(), 2);
    assert_eq!(router.arp.counters().conflicts, 3);
}

#[test]
fn what_ages_is_asked_for_before_it_is_dropped() {
    let age = 4 * 3_600_000;
    let mut router = Router::new();
    router.hear(0, packet(Operation::Request, OTHER, OTHER_MAC, OWN));
    router.did();
    router.run(age);
    let unicast = "Request 10.1.1.1 02:00:00:00:00:01 -> 10.1.1.3 02:00:00:00:00:03";
    assert_eq!(router.did(), [unicast]);
    router.hear(age + 10, reply());
    assert!(router.did().is_empty(), "still there: nobody notices");
    router.run(2 * age + 10 + 3_000);
    assert_eq!(router.did(), [unicast, unicast, unicast, "10.1.1.3 is gone"]);
    assert_eq!(router.arp.next_deadline(), None);
}

#[test]
fn an_interface_that_goes_down_forgets() {
    let mut router = Router::new();
    router.hear(0, packet(Operation::Request, OTHER, OTHER_MAC, OWN));
    router.on(0, Event::Resolve { iface: IFACE, addr: Ipv4Addr::new(10, 1, 1, 4), packet: vec![1] });
    router.did();
    router.on(1, Event::InterfaceDown { iface: IFACE });
    router.hear(2, reply());
    router.on(2, Event::Need { iface: IFACE, addr: OTHER });
    assert_eq!(router.did(), ["10.1.1.3 is gone"]);
    assert_eq!((router.arp.counters().held_lost, router.arp.next_deadline()), (1, None));
}

#[test]
fn liars_are_not_learned_from() {
    let mut router = Router::new();
    router.did();
    router.hear(0, packet(Operation::Request, OTHER, Mac::BROADCAST, OWN));
    router.hear(0, packet(Operation::Request, Ipv4Addr::new(10, 9, 9, 9), OTHER_MAC, OWN));
    router.on(0, Event::Packet { iface: IFACE, payload: vec![0; 27] });
    assert!(router.did().is_empty());
    let Counters { malformed, off_link, .. } = router.arp.counters();
    assert_eq!((malformed, off_link), (2, 1));
}

#[test]
fn show_arp() {
    let mut router = Router::new();
    router.on(0, Event::Virtual { iface: IFACE, addr: VIRTUAL, mac: VIRTUAL_MAC, active: true });
    router.hear(0, packet(Operation::Request, OTHER, OTHER_MAC, OWN));
    router.on(0, Event::Need { iface: IFACE, addr: Ipv4Addr::new(10, 1, 1, 200) });
    let expected = "Protocol  Address          Age (min)  Hardware Addr   Type   Interface
Internet  10.1.1.1                -   0200.0000.0001  ARPA   FastEthernet0/1
Internet  10.1.1.3               12   0200.0000.0003  ARPA   FastEthernet0/1
Internet  10.1.1.9                -   0000.0c07.ac01  ARPA   FastEthernet0/1
Internet  10.1.1.200              0   Incomplete      ARPA
";
    assert_eq!(router.arp.show(at(12 * 60_000 + 59_999), &names), expected);
}

proptest! {
    #[test]
    fn noise_fills_no_memory(packets in proptest::collection::vec((any::<[u8; 20]>(), any::<bool>()), 0..200)) {
        let mut arp = ArpMachine::new(Settings { entries: 8, ..Settings::default() });
        let addresses = vec![Ipv4Prefix::new(OWN, 8).unwrap()];
        let mut actions = Vec::new();
        arp.on(at(0), Event::Configure(InterfaceConfig { iface: IFACE, mac: OWN_MAC, addresses }), &mut actions);
        arp.on(at(0), Event::InterfaceUp { iface: IFACE }, &mut actions);
        for (noise, request) in packets {
            let mut payload = vec![0, 1, 8, 0, 6, 4, 0, if request { 1 } else { 2 }];
            payload.extend_from_slice(&noise);
            payload[14] = 10;
            if noise[19] > 40 {
                payload[24..].copy_from_slice(&OWN.octets());
            }
            arp.on(at(u64::from(noise[0])), Event::Packet { iface: IFACE, payload }, &mut actions);
        }
        prop_assert!(arp.show(at(0), &names).lines().count() <= 10);
        arp.timer(at(100_000_000), &mut actions);
    }
}
