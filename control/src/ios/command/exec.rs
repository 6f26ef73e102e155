//! `show …` and `debug …` command words. What they print is not said here.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use espalier_wire::Ipv4Prefix;

use crate::ios::diagnostic::Diagnostic;
use crate::ios::matching::{Command, Done, Form, Walk};
use crate::ios::model::InterfaceName;
use crate::ios::syntax::Net;
use crate::ios::text;

/// An exec command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exec {
    /// `show standby [brief]`.
    ShowStandby {
        /// One line a group.
        brief: bool,
    },
    /// `show track [N]`.
    ShowTrack(Option<u16>),
    /// `show crypto isakmp sa [detail]`.
    ShowIsakmpSa {
        /// With algorithms and the rest of the lifetime.
        detail: bool,
    },
    /// `show crypto ipsec sa`.
    ShowIpsecSa,
    /// `show crypto map`.
    ShowCryptoMap,
    /// `show crypto session`.
    ShowCryptoSession,
    /// `show ip route [A]`.
    ShowIpRoute(Option<Ipv4Addr>),
    /// `show ip cef [A [M] | A/L] [detail]`.
    ShowIpCef {
        /// One prefix only; an address without a mask is one of 32 bits and means the route that it would take.
        prefix: Option<Ipv4Prefix>,
        /// With the adjacencies.
        detail: bool,
    },
    /// `show ip ospf neighbor`.
    ShowOspfNeighbor,
    /// `show ip ospf database`.
    ShowOspfDatabase,
    /// `show ip ospf interface [I]`.
    ShowOspfInterface(Option<InterfaceName>),
    /// `show arp` and `show ip arp`.
    ShowArp,
    /// `show access-lists` and `show ip access-lists`.
    ShowAccessLists,
    /// `show running-config`.
    ShowRunningConfig,
    /// `show ip interface brief`.
    ShowIpInterfaceBrief,
    /// `show interfaces [I]`.
    ShowInterfaces(Option<InterfaceName>),
    /// `debug …` and `no debug …`.
    Debug {
        /// What.
        debug: Debug,
        /// On, or off.
        on: bool,
    },
}

/// What can be debugged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Debug {
    /// `debug standby`: events and packets.
    Standby,
    /// `debug standby events`.
    StandbyEvents,
    /// `debug crypto isakmp`.
    Isakmp,
    /// `debug crypto ipsec`.
    Ipsec,
    /// `debug ip ospf`: adjacencies and events.
    Ospf,
    /// `debug ip ospf adj`.
    OspfAdjacency,
    /// `debug ip ospf events`.
    OspfEvents,
}

type Make = fn(&Command) -> Done<Exec>;

/// One entry for each command.
const COMMANDS: &[(&str, Make)] = &[
    ("show standby [{ brief | all }]", |c| Ok(Exec::ShowStandby { brief: c.has("brief") })),
    ("show track [<object:1-500>]", |c| c.option("object").map(Exec::ShowTrack)),
    ("show crypto isakmp sa [detail]", |c| Ok(Exec::ShowIsakmpSa { detail: c.has("detail") })),
    ("show crypto ipsec sa [detail]", |_| Ok(Exec::ShowIpsecSa)),
    ("show crypto map", |_| Ok(Exec::ShowCryptoMap)),
    ("show crypto session", |_| Ok(Exec::ShowCryptoSession)),
    ("show ip route [<address:addr>]", |c| c.option("address").map(Exec::ShowIpRoute)),
    ("show ip cef [{ <address:addr> [<mask:mask>] | <prefix:word> }] [detail]", cef),
    ("show ip ospf neighbor", |_| Ok(Exec::ShowOspfNeighbor)),
    ("show ip ospf database", |_| Ok(Exec::ShowOspfDatabase)),
    ("show ip ospf interface [<interface:if>]", |c| interface(c).map(Exec::ShowOspfInterface)),
    ("show ip arp", |_| Ok(Exec::ShowArp)),
    ("show arp", |_| Ok(Exec::ShowArp)),
    ("show access-lists", |_| Ok(Exec::ShowAccessLists)),
    ("show ip access-lists", |_| Ok(Exec::ShowAccessLists)),
    ("show running-config", |_| Ok(Exec::ShowRunningConfig)),
    ("show ip interface brief", |_| Ok(Exec::ShowIpInterfaceBrief)),
    ("show interfaces [<interface:if>]", |c| interface(c).map(Exec::ShowInterfaces)),
    ("debug standby", |c| debug(c, Debug::Standby)),
    ("debug standby events", |c| debug(c, Debug::StandbyEvents)),
    ("debug crypto isakmp", |c| debug(c, Debug::Isakmp)),
    ("debug crypto ipsec", |c| debug(c, Debug::Ipsec)),
    ("debug ip ospf", |c| debug(c, Debug::Ospf)),
    ("debug ip ospf adj", |c| debug(c, Debug::OspfAdjacency)),
    ("debug ip ospf events", |c| debug(c, Debug::OspfEvents)),
];

static NET: LazyLock<(Net, usize)> = LazyLock::new(|| {
    let mut net = Net::default();
    let start = net.add(COMMANDS.iter().enumerate().map(|(at, (syntax, _))| (at, *syntax)));
    (net, start)
});

fn interface(command: &Command) -> Done<Option<InterfaceName>> {
    if command.given("interface") { command.interface("interface").map(Some) } else { Ok(None) }
}

fn debug(command: &Command, debug: Debug) -> Done<Exec> {
    Ok(Exec::Debug { debug, on: command.on() })
}

fn cef(command: &Command) -> Done<Exec> {
    let prefix = match (command.given("prefix"), command.given("address")) {
        (true, _) => Some(command.value::<Ipv4Prefix>("prefix")?),
        (false, true) if command.given("mask") => Some(command.prefix("address", "mask")?),
        (false, true) => Some(Ipv4Prefix::from(command.value::<Ipv4Addr>("address")?)),
        (false, false) => None,
    };
    Ok(Exec::ShowIpCef { prefix, detail: command.has("detail") })
}

/// The exec command in `text`, abbreviated as IOS takes it: `sh crypto isa sa det`. The diagnostic of any other text
/// names the nearest command.
pub fn parse_exec(text: &str) -> Result<Exec, Box<Diagnostic>> {
    let line = text::lines("command", text).into_iter().find(|line| !text::words(&line.text).is_empty());
    let Some(line) = line else {
        return Err(Box::new(Diagnostic::error(&text::Place::default(), "no command")));
    };
    let words = text::words(&line.text);
    if line.text.len() > text::LINE_MAX {
        return Err(Box::new(Diagnostic::error(&text::Place::new(&line, 0..1), "the line is too long")));
    }
    let negated = words.first().and_then(|span| line.text.get(span.clone())) == Some("no");
    let (form, skip) = if negated { (Form::No, 1) } else { (Form::Set, 0) };
    let walk = Walk { line: &line, words: words.get(skip..).unwrap_or_default(), form };
    let (net, start) = &*NET;
    let syntax = |at: usize| COMMANDS.get(at).map_or("", |(syntax, _)| *syntax);
    let command = walk.through(net, *start, &syntax).map_err(|miss| miss.diagnostic)?;
    let make = COMMANDS.get(command.index).map(|(_, make)| make);
    let exec = make.map_or_else(|| Err(command.error("", "no such command")), |make| make(&command))?;
    if negated && !matches!(exec, Exec::Debug { .. }) {
        return Err(command.error("", "only `debug` has a `no`"));
    }
    Ok(exec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_mean_their_commands() {
        let cef = |prefix: Option<&str>, detail| Exec::ShowIpCef {
            prefix: prefix.map(|p| p.parse().unwrap()),
            detail,
        };
        for (text, exec) in [
            ("show standby", Exec::ShowStandby { brief: false }),
            ("sh stand br", Exec::ShowStandby { brief: true }),
            ("sh crypto isa sa det", Exec::ShowIsakmpSa { detail: true }),
            ("show crypto isakmp sa", Exec::ShowIsakmpSa { detail: false }),
            ("SH CRY IPS SA", Exec::ShowIpsecSa),
            ("sh ip ro", Exec::ShowIpRoute(None)),
            ("sh ip cef", cef(None, false)),
            ("show ip cef 20.1.1.0 detail", cef(Some("20.1.1.0/32"), true)),
            ("show ip cef 20.1.1.0 255.255.255.0", cef(Some("20.1.1.0/24"), false)),
            ("show ip cef 20.1.1.0/24 det", cef(Some("20.1.1.0/24"), true)),
            ("sh ip os nei", Exec::ShowOspfNeighbor),
            ("sh run", Exec::ShowRunningConfig),
            ("sh ip int br", Exec::ShowIpInterfaceBrief),
            ("sh int fa 0/0", Exec::ShowInterfaces(Some("FastEthernet0/0".parse().unwrap()))),
            ("sh ip arp", Exec::ShowArp),
            ("debug standby events", Exec::Debug { debug: Debug::StandbyEvents, on: true }),
            ("no deb ip ospf adj", Exec::Debug { debug: Debug::OspfAdjacency, on: false }),
        ] {
            assert_eq!(parse_exec(text), Ok(exec), "{text}");
        }
    }

    #[test]
    fn errors_name_the_nearest() {
        let error = |text: &str| parse_exec(text).unwrap_err();
        assert_eq!(
            error("show stanby").help.unwrap(),
            "did you mean `standby`? (show standby [{ brief | all }])"
        );
        assert_eq!(error("show crypto i sa").message, "ambiguous: `i` abbreviates `ipsec` and `isakmp`");
        assert!(error("show ip").message.starts_with("incomplete command"));
        assert!(error("no show arp").message.contains("only `debug`"));
        assert!(error("").message.contains("no command"));
        assert!(parse_exec("show ip cef banana").is_err());
    }
}
