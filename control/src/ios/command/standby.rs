//! `standby …` under `interface`: HSRP. Without a number the group is 0.

use std::net::Ipv4Addr;

use super::{Editor, Entry, Mode::Interface, entry, put, when};
use crate::ios::matching::{Command, Done};
use crate::ios::model::{
    Preempt, StandbyAddress, StandbyGroup, StandbyTimer, StandbyTimers, StandbyTrack, TrackTarget,
};

pub(super) const COMMANDS: &[Entry] = &[
    entry(Interface, "standby version ~ { 1 | 2 }", version),
    entry(Interface, "standby delay ~ { minimum <minimum:0-10000> | reload <reload:0-10000> }*", delay),
    entry(Interface, "standby [<group:0-4095>] ip ~ [<address:addr> [secondary]]", ip),
    entry(Interface, "standby [<group:0-4095>] priority ~ <priority:0-255> [preempt]", priority),
    entry(
        Interface,
        "standby [<group:0-4095>] preempt ~ \
         [delay { minimum <minimum:0-3600> | reload <reload:0-3600> | sync <sync:0-3600> }*]",
        preempt,
    ),
    entry(Interface, "standby [<group:0-4095>] name ~ <name:word>", name),
    entry(
        Interface,
        "standby [<group:0-4095>] timers ~ { msec <hello-ms:15-999> | <hello:1-254> } \
         { msec <hold-ms:50-3000> | <hold:1-255> }",
        timers,
    ),
    entry(Interface, "standby [<group:0-4095>] authentication ~ [text] <text:word>", authentication),
    entry(Interface, "standby [<group:0-4095>] mac-address ~ <mac:mac>", mac_address),
    entry(
        Interface,
        "standby [<group:0-4095>] track { <object:1-500> | <interface:if> } ~ [{ shutdown | [decrement] <decrement:1-255> }]",
        track,
    ),
    entry(Interface, "standby <group:0-4095>", remove),
];

/// The group of the command, made when it is not there yet.
fn group<'a>(editor: &'a mut Editor<'_>, command: &Command) -> Done<&'a mut StandbyGroup> {
    let number: u16 = command.option("group")?.unwrap_or(0);
    let place = command.place();
    let groups = &mut editor.interface(command)?.standby.groups;
    Ok(groups.entry(number).or_insert_with(|| StandbyGroup { place, ..StandbyGroup::default() }))
}

/// `no standby 1`; without `no` there is no such command.
fn remove(editor: &mut Editor<'_>, command: &Command) -> Done {
    if command.on() {
        return Err(command.error("", "incomplete command: `ip`, `priority`, `preempt`, … expected"));
    }
    let number: u16 = command.value("group")?;
    editor.interface(command)?.standby.groups.remove(&number);
    Ok(())
}

fn version(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.interface(command)?.standby.version =
        command.choice(&[("1", 1), ("2", 2)]).filter(|_| command.on());
    Ok(())
}

fn delay(editor: &mut Editor<'_>, command: &Command) -> Done {
    let minimum = when(command, || command.option("minimum"))?.flatten();
    let reload = when(command, || command.option("reload"))?.flatten();
    let standby = &mut editor.interface(command)?.standby;
    (standby.delay_minimum_s, standby.delay_reload_s) = (minimum, reload);
    Ok(())
}

fn ip(editor: &mut Editor<'_>, command: &Command) -> Done {
    let address: Option<Ipv4Addr> = command.option("address")?;
    let group = group(editor, command)?;
    match address.filter(|_| command.has("secondary")) {
        Some(secondary) => {
            group.secondary.retain(|a| *a != secondary);
            group.secondary.extend(command.on().then_some(secondary));
        }
        None => {
            let ip = address.map_or(StandbyAddress::Learned, StandbyAddress::Configured);
            group.ip = command.on().then_some(ip);
        }
    }
    Ok(())
}

fn priority(editor: &mut Editor<'_>, command: &Command) -> Done {
    let group = group(editor, command)?;
    group.priority = when(command, || command.value("priority"))?;
    // IOS before 12.1 has both in one command.
    if command.on() && command.has("preempt") {
        group.preempt.get_or_insert_default();
    }
    Ok(())
}

fn preempt(editor: &mut Editor<'_>, command: &Command) -> Done {
    group(editor, command)?.preempt = when(command, || {
        Ok(Preempt {
            delay_minimum_s: command.option("minimum")?,
            delay_reload_s: command.option("reload")?,
            delay_sync_s: command.option("sync")?,
        })
    })?;
    Ok(())
}

fn name(editor: &mut Editor<'_>, command: &Command) -> Done {
    group(editor, command)?.name = when(command, || command.word("name").map(str::to_owned))?;
    Ok(())
}

fn timer(command: &Command, seconds: &str, milliseconds: &str) -> Done<StandbyTimer> {
    match command.option(milliseconds)? {
        Some(ms) => Ok(StandbyTimer::Milliseconds(ms)),
        None => command.value(seconds).map(StandbyTimer::Seconds),
    }
}

fn timers(editor: &mut Editor<'_>, command: &Command) -> Done {
    let timers = when(command, || {
        let (hello, hold) = (timer(command, "hello", "hello-ms")?, timer(command, "hold", "hold-ms")?);
        if hold.duration() <= hello.duration() {
            let at = if command.given("hold") { "hold" } else { "hold-ms" };
            return Err(command.error(at, "the hold time must be longer than the hello time"));
        }
        Ok(StandbyTimers { hello, hold })
    })?;
    group(editor, command)?.timers = timers;
    Ok(())
}

fn authentication(editor: &mut Editor<'_>, command: &Command) -> Done {
    let text = when(command, || command.word("text").map(str::to_owned))?;
    // RFC 2281 section 5.1: the field has 8 bytes.
    if text.as_ref().is_some_and(|text| text.len() > 8) {
        return Err(command.error("text", "authentication data has 8 characters at most"));
    }
    group(editor, command)?.authentication = text;
    Ok(())
}

fn mac_address(editor: &mut Editor<'_>, command: &Command) -> Done {
    group(editor, command)?.mac_address = when(command, || command.value("mac"))?;
    Ok(())
}

fn track(editor: &mut Editor<'_>, command: &Command) -> Done {
    let target = match command.option("object")? {
        Some(object) => TrackTarget::Object(object),
        None => TrackTarget::Interface(command.interface("interface")?),
    };
    let track = StandbyTrack {
        target,
        decrement: command.option("decrement")?,
        shutdown: command.has("shutdown"),
        place: command.place(),
    };
    put(&mut group(editor, command)?.tracks, |t| t.target == target, command.on().then_some(track));
    Ok(())
}
