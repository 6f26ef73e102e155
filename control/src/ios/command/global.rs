//! The commands of the outermost mode that no other table has: hostname, interface, ip route.

use super::{At, Editor, Entry, Mode::Global, entry, put, when};
use crate::ios::matching::{Command, Done};
use crate::ios::model::{Interface, NextHop, StaticRoute};

pub(super) const COMMANDS: &[Entry] = &[
    entry(Global, "hostname ~ <name:word>", hostname),
    entry(Global, "interface <name:if> [{ point-to-point | multipoint }]", interface),
    entry(
        Global,
        "ip route <destination:addr> <mask:mask> { <next-hop:addr> | <interface:if> [<next-hop:addr>] } ~ \
         [<distance:1-255>] { name <name:word> | permanent | tag <tag:1-4294967295> | track <track:1-500> }*",
        route,
    ),
];

fn hostname(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.config.hostname = when(command, || command.word("name").map(str::to_owned))?;
    Ok(())
}

fn interface(editor: &mut Editor<'_>, command: &Command) -> Done {
    let name = command.interface("name")?;
    if !command.on() {
        editor.config.interfaces.retain(|interface| interface.name != name);
        editor.forget(&At::Interface(name).header());
        return Ok(());
    }
    if editor.config.interface(name).is_none() {
        editor.config.interfaces.push(Interface::new(name, command.place_of("name")));
    }
    editor.at = At::Interface(name);
    Ok(())
}

fn route(editor: &mut Editor<'_>, command: &Command) -> Done {
    let destination = command.prefix("destination", "mask")?;
    if destination.trunc() != destination {
        return Err(
            command.error("destination", format!("{} has host bits under its mask", destination.addr()))
        );
    }
    let interface = if command.given("interface") { Some(command.interface("interface")?) } else { None };
    let next_hop = match (interface, command.option("next-hop")?) {
        (Some(interface), Some(address)) => NextHop::Both(interface, address),
        (Some(interface), None) => NextHop::Interface(interface),
        (None, _) => NextHop::Address(command.value("next-hop")?),
    };
    let route = StaticRoute {
        destination,
        next_hop,
        distance: command.option("distance")?,
        name: command.maybe("name").map(str::to_owned),
        permanent: command.has("permanent"),
        tag: command.option("tag")?,
        track: command.option("track")?,
        place: command.place(),
    };
    let same = |r: &StaticRoute| r.destination == destination && r.next_hop == next_hop;
    put(&mut editor.config.routes, same, command.on().then_some(route));
    Ok(())
}
