//! Binding and route injection over the lives of a redundancy group and its interface.

use super::*;

const IFACE: IfIndex = IfIndex(0);

fn map(tied: bool, reverse_route: ReverseRoute) -> Map {
    let line = |n: u32, src: &str| {
        let (src, dst): (Ipv4Prefix, Ipv4Prefix) = (src.parse().unwrap(), "20.1.1.0/24".parse().unwrap());
        let entry = Entry {
            policy: PolicyId(n),
            peer: Ipv4Addr::new(172, 16, 172, 69),
            remote: dst,
            reverse_route,
            via: None,
        };
        Line::Permit(Selector::between(src.into(), dst.into()), entry)
    };
    Map {
        iface: IFACE,
        address: Ipv4Addr::new(172, 16, 172, 52),
        redundancy: tied.then(|| ("VPNHA".to_owned(), Ipv4Addr::new(172, 16, 172, 53))),
        lines: vec![line(0, "10.1.1.0/24"), line(1, "99.99.99.99/32")],
    }
}

struct Lab(CryptoMaps);

impl Lab {
    fn new(tied: bool, reverse_route: ReverseRoute, profile: &Profile) -> Self {
        Self(CryptoMaps::new(vec![map(tied, reverse_route)], profile, &mut Vec::new()))
    }

    /// The actions of an event in short: `bind 0 172.16.172.53`, `+20.1.1.0/24` …
    fn on(&mut self, event: Event) -> Vec<String> {
        let mut actions = Vec::new();
        self.0.on(Instant::ZERO, &event, &mut actions);
        let short = |a: Action| match a {
            Action::Command(Command::Unprotected { policy, state }) => {
                format!("{} {}", policy.0, state.cause)
            }
            Action::Command(other) => format!("{other:?}"),
            Action::Bind { policy, local } => format!("bind {} {local}", policy.0),
            Action::Unbind { policy, notify } => format!("unbind {} {notify}", policy.0),
            Action::RouteAdded(r) => format!("+{}", r.prefix),
            Action::RouteRemoved(r) => format!("-{}", r.prefix),
        };
        actions.into_iter().map(short).collect()
    }

    fn link(&mut self, up: bool) -> Vec<String> {
        self.on(Event::Interface { iface: IFACE, up })
    }

    fn group(&mut self, state: GroupState) -> Vec<String> {
        self.on(Event::Group { name: "VPNHA".to_owned(), state })
    }
}

const BOUND: [&str; 5] =
    ["0 no-sa", "bind 0 172.16.172.53", "1 no-sa", "bind 1 172.16.172.53", "+20.1.1.0/24"];

#[test]
fn a_tied_map_is_bound_while_active_and_injects_once() {
    let mut lab = Lab::new(true, ReverseRoute::On, &Profile::ios_12_3());
    assert!(lab.link(true).is_empty());
    assert!(lab.group(GroupState::Standby).is_empty());
    assert_eq!(lab.group(GroupState::Active), BOUND);
    let left = ["0 standby", "unbind 0 true", "1 standby", "unbind 1 true", "-20.1.1.0/24"];
    assert_eq!(lab.group(GroupState::Speak), left);
    assert!(lab.group(GroupState::Standby).is_empty());
}

#[test]
fn a_dead_link_sends_no_delete() {
    let mut lab = Lab::new(true, ReverseRoute::On, &Profile::ios_12_3());
    lab.link(true);
    lab.group(GroupState::Active);
    assert_eq!(lab.link(false)[1], "unbind 0 false");
    assert!(lab.group(GroupState::Init).is_empty());
}

#[test]
fn the_route_may_stay_until_standby() {
    let profile = Profile { withdrawal: Withdrawal::ReachingStandby, ..Profile::ios_12_3() };
    let mut lab = Lab::new(true, ReverseRoute::On, &profile);
    lab.link(true);
    assert!(!lab.group(GroupState::Speak).iter().any(|a| a.starts_with('+')));
    lab.group(GroupState::Active);
    assert!(!lab.group(GroupState::Speak).iter().any(|a| a.starts_with('-')));
    assert_eq!(lab.group(GroupState::Standby), ["-20.1.1.0/24"]);
}

#[test]
fn later_releases_inject_with_the_sas() {
    let mut lab = Lab::new(true, ReverseRoute::On, &Profile::ios_15());
    lab.link(true);
    assert_eq!(lab.group(GroupState::Active), BOUND[..4]);
    assert_eq!(lab.on(Event::SaUp(PolicyId(1))), ["1 no-sa", "+20.1.1.0/24"]);
    assert_eq!(lab.on(Event::SaDown(PolicyId(1))), ["-20.1.1.0/24"]);
    let mut lab = Lab::new(true, ReverseRoute::Static, &Profile::ios_15());
    lab.link(true);
    assert_eq!(lab.group(GroupState::Active), BOUND);
}

#[test]
fn without_a_group_the_link_decides_and_the_address_is_the_interfaces() {
    let mut lab = Lab::new(false, ReverseRoute::Off, &Profile::ios_12_3());
    let bound = ["0 no-sa", "bind 0 172.16.172.52", "1 no-sa", "bind 1 172.16.172.52"];
    assert_eq!(lab.link(true), bound);
    let failed = lab.on(Event::Failed { policy: PolicyId(0), cause: Cause::NoProposal });
    assert_eq!(failed, ["0 no-proposal"]);
    assert_eq!(lab.link(false), ["0 standby", "unbind 0 false", "1 standby", "unbind 1 false"]);
}
