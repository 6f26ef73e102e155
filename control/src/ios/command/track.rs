//! `track …`: objects that HSRP groups and static routes watch.

use super::{At, Editor, Entry, Mode::Global, Mode::Track as Sub, entry, when};
use crate::ios::matching::{Command, Done};
use crate::ios::model::{Track, TrackObject};

pub(super) const COMMANDS: &[Entry] = &[
    entry(
        Global,
        "track <number:1-500> ~ interface <interface:if> { line-protocol | ip routing }",
        interface,
    ),
    entry(Global, "track <number:1-500> ip route <address:addr> <mask:mask> reachability", route),
    entry(Global, "track <number:1-500>", reopen),
    entry(Sub, "delay ~ { up <up:0-180> | down <down:0-180> }*", delay),
];

fn open(editor: &mut Editor<'_>, command: &Command, object: TrackObject) -> Done {
    let number: u16 = command.value("number")?;
    let fresh = Track { object, delay_up_s: None, delay_down_s: None, place: command.place() };
    editor.config.tracks.entry(number).and_modify(|track| track.object = object).or_insert(fresh);
    editor.at = At::Track(number);
    Ok(())
}

fn interface(editor: &mut Editor<'_>, command: &Command) -> Done {
    if !command.on() {
        return remove(editor, command);
    }
    let interface = command.interface("interface")?;
    let protocol = command.has("line-protocol");
    let object =
        if protocol { TrackObject::LineProtocol(interface) } else { TrackObject::IpRouting(interface) };
    open(editor, command, object)
}

fn route(editor: &mut Editor<'_>, command: &Command) -> Done {
    if !command.on() {
        return remove(editor, command);
    }
    open(editor, command, TrackObject::Reachability(command.prefix("address", "mask")?.trunc()))
}

fn reopen(editor: &mut Editor<'_>, command: &Command) -> Done {
    if !command.on() {
        return remove(editor, command);
    }
    let number: u16 = command.value("number")?;
    if !editor.config.tracks.contains_key(&number) {
        return Err(command.error("number", format!("track {number} is not defined: what does it watch?")));
    }
    editor.at = At::Track(number);
    Ok(())
}

fn remove(editor: &mut Editor<'_>, command: &Command) -> Done {
    let number: u16 = command.value("number")?;
    editor.config.tracks.remove(&number);
    editor.forget(&At::Track(number).header());
    Ok(())
}

fn delay(editor: &mut Editor<'_>, command: &Command) -> Done {
    let up = when(command, || command.option("up"))?.flatten();
    let down = when(command, || command.option("down"))?.flatten();
    let track = editor.track(command)?;
    (track.delay_up_s, track.delay_down_s) = (up, down);
    Ok(())
}
