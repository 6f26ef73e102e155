//! The machine as one router: what it shows and prints, its jitter, and noise. Elections between routers are cases
//! under `tests/conformance/hsrp`.

use super::config::{Preempt, TrackConfig};
use super::*;
use espalier_wire::Duration;
use espalier_wire::hsrp::{Message, OpCode, Password, Version};
use proptest::prelude::*;
use trace::Class;

const OUTSIDE: IfIndex = IfIndex(0);
const INSIDE: IfIndex = IfIndex(1);
const TRACKED: ObjectId = ObjectId(1);
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(172, 16, 172, 53);

fn names(iface: IfIndex) -> String {
    format!("FastEthernet0/{}", iface.0)
}

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_ms(ms)
}

/// 7204VXR-1 of the reference document.
fn vxr1() -> InterfaceConfig {
    let address = Ipv4Addr::new(172, 16, 172, 52);
    let mut config = InterfaceConfig::new(OUTSIDE, Mac([2, 0, 0, 0, 0, 52]), address);
    let mut group = GroupConfig::new(1, Some(VIRTUAL));
    group.priority = Some(200);
    group.preempt = Some(Preempt::default());
    group.name = Some("VPNHA".to_owned());
    group.tracks.push(TrackConfig { object: TRACKED, iface: Some(INSIDE), decrement: 150 });
    config.groups.push(group);
    config
}

struct Router {
    hsrp: Hsrp,
    actions: Vec<Action>,
}

impl Router {
    fn new(config: InterfaceConfig) -> Self {
        let mut router = Self { hsrp: Hsrp::new(Random::from_seed(1)), actions: Vec::new() };
        router.on(0, Event::Configure(config));
        router.on(0, Event::InterfaceUp { iface: OUTSIDE });
        router
    }

    fn on(&mut self, ms: u64, event: Event) {
        self.hsrp.on(at(ms), event, &mut self.actions);
    }

    fn run(&mut self, ms: u64) {
        while let Some(due) = self.hsrp.next_deadline().filter(|due| *due <= at(ms)) {
            self.hsrp.timer(due, &mut self.actions);
        }
    }

    fn hear(&mut self, ms: u64, state: State, priority: u8) {
        self.run(ms);
        let message = hello(state, priority);
        let (src, src_mac) = (Ipv4Addr::new(172, 16, 172, 54), Mac([2, 0, 0, 0, 0, 54]));
        self.on(ms, Event::Packet { iface: OUTSIDE, src, src_mac, payload: message.emit() });
    }

    fn lines(&mut self, class: Class) -> Vec<String> {
        let traces = self.actions.drain(..).filter_map(|a| match a {
            Action::Trace(trace) => Some(trace),
            _ => None,
        });
        traces.filter(|t| t.class() <= class).map(|t| t.line(&names, false)).collect()
    }
}

fn hello(state: State, priority: u8) -> Message {
    Message {
        version: Version::V1,
        op: OpCode::Hello,
        state,
        hello_time: Duration::from_s(3),
        hold_time: Duration::from_s(10),
        priority,
        group: 1,
        identifier: Mac::default(),
        virtual_address: VIRTUAL,
        password: Some(Password::default()),
        md5: None,
    }
}

#[test]
fn show_standby_of_the_active_router() {
    let mut router = Router::new(vxr1());
    router.hear(100_000, State::Standby, 100);
    let text = show::standby(&router.hsrp, at(102_780), &names);
    let hello = router.hsrp.next_deadline().unwrap() - at(102_780);
    let expected = format!(
        "FastEthernet0/0 - Group 1
  State is Active
    2 state changes, last state change 00:01:21
  Virtual IP address is 172.16.172.53
  Active virtual MAC address is 0000.0c07.ac01
    Local virtual MAC address is 0000.0c07.ac01 (v1 default)
  Hello time 3 sec, hold time 10 sec
    Next hello sent in 0.{:03} secs
  Preemption enabled
  Active router is local
  Standby router is 172.16.172.54, priority 100 (expires in 7.220 sec)
  Priority 200 (configured 200)
    Track interface FastEthernet0/1 state Up decrement 150
  IP redundancy name is \"VPNHA\" (cfgd)
",
        hello.as_ms()
    );
    assert!(hello < Duration::from_s(1));
    assert_eq!(text, expected);
}

#[test]
fn show_standby_while_the_interface_is_down() {
    let mut router = Router::new(vxr1());
    router.run(60_000);
    router.on(60_000, Event::Tracked { object: TRACKED, up: false });
    router.on(60_000, Event::InterfaceDown { iface: OUTSIDE });
    let text = show::standby(&router.hsrp, at(60_000 + 449_000), &names);
    let expected = "FastEthernet0/0 - Group 1
  State is Init (interface down)
    3 state changes, last state change 00:07:29
  Virtual IP address is 172.16.172.53
  Active virtual MAC address is unknown
    Local virtual MAC address is 0000.0c07.ac01 (v1 default)
  Hello time 3 sec, hold time 10 sec
  Preemption enabled
  Active router is unknown
  Standby router is unknown
  Priority 50 (configured 200)
    Track interface FastEthernet0/1 state Down decrement 150
  IP redundancy name is \"VPNHA\" (cfgd)
";
    assert_eq!(text, expected);
    assert_eq!(router.hsrp.next_deadline(), None, "nothing runs on an interface that is down");
}

#[test]
fn show_standby_brief_of_a_standby_router() {
    let mut config = vxr1();
    (config.groups[0].priority, config.groups[0].preempt) = (None, None);
    let mut router = Router::new(config);
    (2..30).for_each(|s| router.hear(s * 1000, State::Active, 200));
    let expected = "                     P indicates configured to preempt.
                     |
Interface   Grp Prio P State    Active addr     Standby addr    Group addr
Fa0/0       1   100    Standby  172.16.172.54   local           172.16.172.53
";
    assert_eq!(show::standby_brief(&router.hsrp, &names), expected);
    let text = show::standby(&router.hsrp, at(29_960), &names);
    assert!(text.contains("Active router is 172.16.172.54, priority 200 (expires in 9.040 sec)"), "{text}");
    assert!(text.contains("Priority 100 (default 100)"), "{text}");
}

#[test]
fn calls_from_the_interface_layer_are_printed_as_the_document_has_them() {
    let line = |api| Trace { iface: OUTSIDE, group: None, what: What::Api(api) }.line(&names, false);
    assert_eq!(line(Api::HardwareStateChange), "HSRP: API Hardware state change");
    assert_eq!(
        line(Api::NotAnHsrpAddress(Ipv4Addr::new(172, 16, 172, 52))),
        "HSRP: Fa0/0 API 172.16.172.52 is not an HSRP address"
    );
    assert_eq!(line(Api::MacAddressUpdate), "HSRP: Fa0/0 API MAC address update");
    assert_eq!(line(Api::ComingUp), "HSRP: Fa0/0 API Software interface coming up");
    assert_eq!(line(Api::AddActiveAddresses), "HSRP: Fa0/0 API Add active HSRP addresses to ARP table");
}

#[test]
fn another_virtual_address_is_complained_about_once() {
    let mut config = vxr1();
    config.groups[0].address = Some(Ipv4Addr::new(172, 16, 172, 50));
    let mut router = Router::new(config);
    (2..5).for_each(|s| router.hear(s * 1000, State::Active, 250));
    assert_eq!(
        router.lines(Class::Syslog),
        [
            "%HSRP-4-DIFFVIP1: FastEthernet0/0 Grp 1 active routers virtual IP address 172.16.172.53 is different \
          to the locally configured address 172.16.172.50"
        ]
    );
}

#[test]
fn hellos_are_jittered_and_the_hold_time_is_not() {
    let mut router = Router::new(vxr1());
    router.run(21_000);
    let mut gaps = Vec::new();
    let mut last = at(21_000);
    for _ in 0..500 {
        let due = router.hsrp.next_deadline().unwrap();
        gaps.push((due - last).as_ms());
        router.hsrp.timer(due, &mut router.actions);
        last = due;
    }
    assert!(gaps.iter().all(|gap| (2850..=3000).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().min() < Some(&2870) && gaps.iter().max() > Some(&2980), "spread over all of it");
    let mut standby = Router::new(vxr1());
    standby.hear(5_000, State::Active, 250);
    standby.run(14_999);
    let silent = |lines: Vec<String>| lines.iter().any(|l| l.contains("Active router is unknown"));
    assert!(!silent(standby.lines(Class::Event)));
    standby.run(15_000);
    assert!(silent(standby.lines(Class::Event)));
}

#[test]
fn the_virtual_mac_and_address_are_ours_while_active_only() {
    let mut router = Router::new(vxr1());
    router.run(20_999);
    assert_eq!(router.hsrp.active_addresses().count(), 0);
    router.run(21_000);
    let mac = Version::V1.virtual_mac(1);
    assert_eq!(router.hsrp.active_addresses().collect::<Vec<_>>(), [(OUTSIDE, VIRTUAL, mac)]);
    router.on(21_500, Event::Shutdown);
    assert_eq!(router.hsrp.active_addresses().count(), 0);
    assert_eq!(router.hsrp.named("VPNHA"), Some((OUTSIDE, 1, GroupState::Init, Some(VIRTUAL))));
}

#[test]
fn what_leads_to_nothing_is_counted() {
    let mut router = Router::new(vxr1());
    router.hear(500, State::Active, 1);
    router.run(2_000);
    let mut send = |src, payload| {
        router.on(2_000, Event::Packet { iface: OUTSIDE, src, src_mac: Mac::default(), payload });
    };
    let other = Ipv4Addr::new(172, 16, 172, 54);
    send(other, vec![0xff]);
    send(other, Message { version: Version::V2, ..hello(State::Active, 1) }.emit());
    send(other, Message { password: None, ..hello(State::Active, 1) }.emit());
    send(other, Message { group: 2, ..hello(State::Active, 1) }.emit());
    send(Ipv4Addr::new(172, 16, 172, 52), hello(State::Active, 1).emit());
    send(other, vec![0, 3, 0, 1, 0, 14, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    let expected = Counters {
        malformed: 1,
        other_version: 1,
        not_running: 2,
        bad_authentication: 1,
        own_address: 1,
        advertisements: 1,
    };
    assert_eq!(router.hsrp.counters(), expected);
}

proptest! {
    #[test]
    fn noise_neither_panics_nor_stops_the_clock(
        messages in proptest::collection::vec((0u64..60_000, any::<[u8; 20]>(), any::<bool>()), 0..60),
        preempt: bool,
    ) {
        let mut config = vxr1();
        config.groups[0].preempt = preempt.then(Preempt::default);
        let mut router = Router::new(config);
        let mut messages = messages;
        messages.sort();
        for (ms, noise, honest) in messages {
            router.run(ms);
            let mut payload = noise.to_vec();
            if honest {
                // Op code, state and priority as they come, the rest as a member would send it.
                let state = [0, 1, 2, 4, 8, 16][usize::from(noise[2]) % 6];
                payload = hello(State::Active, noise[5]).emit();
                (payload[1], payload[2], payload[4]) = (noise[1] % 3, state, noise[4]);
            }
            let src = Ipv4Addr::new(172, 16, 172, 48 + noise[0] % 8);
            router.on(ms, Event::Packet { iface: OUTSIDE, src, src_mac: Mac::default(), payload });
            prop_assert!(router.hsrp.next_deadline().is_some_and(|due| due > at(ms)));
        }
    }
}
