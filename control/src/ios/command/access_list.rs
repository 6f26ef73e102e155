//! `access-list N …`, `ip access-list …` and the entries under it.

use std::net::Ipv4Addr;

use super::{Act, At, Editor, Entry, Mode::ExtendedList, Mode::Global, Mode::StandardList, entry};
use crate::ios::matching::{Command, Done};
use crate::ios::model::{
    AccessList, AccessListEntry, AccessListKind, AccessListRule, AddressMatch, PortMatch, Protocol,
};

macro_rules! source {
    () => {
        "{ permit | deny } { any | host <source:addr> | <source:addr> [<source-wildcard:wildcard>] } [log] ]"
    };
}

macro_rules! rule {
    () => {
        "{ permit | deny } { ip | ahp | eigrp | esp | gre | icmp | igmp | ipinip | nos | ospf | pcp | pim | tcp | udp | <protocol:0-255> } \
         { any | host <source:addr> | <source:addr> <source-wildcard:wildcard> } \
         [{ eq <source-port:port> | neq <source-port:port> | lt <source-port:port> | gt <source-port:port> | \
         range <source-port:port> <source-last:port> }] \
         { any | host <destination:addr> | <destination:addr> <destination-wildcard:wildcard> } \
         [{ eq <port:port> | neq <port:port> | lt <port:port> | gt <port:port> | range <port:port> <last:port> | \
         echo | echo-reply | unreachable | time-exceeded | <icmp:0-255> }] [established] [log] ]"
    };
}

pub(super) const COMMANDS: &[Entry] = &[
    entry(Global, concat!("access-list <standard:1-99> [ ", source!()), numbered_standard),
    entry(Global, concat!("access-list <standard:1300-1999> [ ", source!()), numbered_standard),
    entry(Global, concat!("access-list <extended:100-199> [ ", rule!()), numbered_extended),
    entry(Global, concat!("access-list <extended:2000-2699> [ ", rule!()), numbered_extended),
    Entry { mode: Global, syntax: "access-list <number:1-2699> remark <text:text>", act: Act::Ignore },
    entry(Global, "ip access-list standard <name:word>", open_standard),
    entry(Global, "ip access-list extended <name:word>", open_extended),
    entry(StandardList, concat!("[<sequence:1-2147483647>] [ ", source!()), standard),
    entry(ExtendedList, concat!("[<sequence:1-2147483647>] [ ", rule!()), extended),
    Entry { mode: StandardList, syntax: "remark <text:text>", act: Act::Ignore },
    Entry { mode: ExtendedList, syntax: "remark <text:text>", act: Act::Ignore },
];

/// Whether nothing but the list or the entry is named, which only a `no` form may do.
fn is_bare(command: &Command) -> Done<bool> {
    let bare = !command.has("permit") && !command.has("deny");
    if bare && command.on() {
        return Err(command.error("", "incomplete command: `permit` or `deny` expected"));
    }
    Ok(bare)
}

fn numbered_standard(editor: &mut Editor<'_>, command: &Command) -> Done {
    numbered(editor, command, command.word("standard")?, AccessListKind::Standard)
}

fn numbered_extended(editor: &mut Editor<'_>, command: &Command) -> Done {
    numbered(editor, command, command.word("extended")?, AccessListKind::Extended)
}

fn numbered(editor: &mut Editor<'_>, command: &Command, number: &str, kind: AccessListKind) -> Done {
    // `099` is list 99.
    let name = number.trim_start_matches('0').to_owned();
    if is_bare(command)? {
        editor.config.access_lists.retain(|list| list.name != name);
        return Ok(());
    }
    open(editor, command, name, kind)?;
    let done = write(editor, command, kind);
    editor.at = At::Global;
    done
}

fn open_standard(editor: &mut Editor<'_>, command: &Command) -> Done {
    named(editor, command, AccessListKind::Standard)
}

fn open_extended(editor: &mut Editor<'_>, command: &Command) -> Done {
    named(editor, command, AccessListKind::Extended)
}

fn named(editor: &mut Editor<'_>, command: &Command, kind: AccessListKind) -> Done {
    let name = command.word("name")?.to_owned();
    if !command.on() {
        editor.forget(&At::AccessList(name.clone(), kind).header());
        editor.config.access_lists.retain(|list| list.name != name);
        return Ok(());
    }
    let number = name.parse::<u16>().ok().filter(|n| n.to_string() == name);
    if name.starts_with(|c: char| c.is_ascii_digit()) && number.and_then(AccessList::kind_of) != Some(kind) {
        return Err(command
            .error("name", format!("`{name}` cannot name such a list: a number of its kind, or a word")));
    }
    open(editor, command, name, kind)
}

fn open(editor: &mut Editor<'_>, command: &Command, name: String, kind: AccessListKind) -> Done {
    match editor.config.access_list(&name) {
        Some(list) if list.kind != kind => {
            return Err(command.error("name", format!("access list {name} is of the other kind")));
        }
        Some(_) => {}
        None => {
            let list = AccessList { name: name.clone(), kind, entries: Vec::new(), place: command.place() };
            editor.config.access_lists.push(list);
        }
    }
    editor.at = At::AccessList(name, kind);
    Ok(())
}

fn standard(editor: &mut Editor<'_>, command: &Command) -> Done {
    write(editor, command, AccessListKind::Standard)
}

fn extended(editor: &mut Editor<'_>, command: &Command) -> Done {
    write(editor, command, AccessListKind::Extended)
}

/// Add or take away one entry of the list the editor is in.
fn write(editor: &mut Editor<'_>, command: &Command, kind: AccessListKind) -> Done {
    let sequence: Option<u32> = command.option("sequence")?;
    if is_bare(command)? {
        let sequence: u32 = command.value("sequence")?;
        editor.access_list(command)?.entries.retain(|entry| entry.sequence != sequence);
        return Ok(());
    }
    let rule = match kind {
        AccessListKind::Standard => {
            AccessListRule::ip(address(command, "source", "source-wildcard")?, AddressMatch::ANY)
        }
        AccessListKind::Extended => rule(command)?,
    };
    let permit = command.has("permit");
    let entries = &mut editor.access_list(command)?.entries;
    let same = |entry: &AccessListEntry| entry.permit == permit && entry.rule == rule;
    if !command.on() {
        entries.retain(|entry| !same(entry));
        return Ok(());
    }
    // IOS takes an entry that is there already without a word, and adds nothing.
    if entries.iter().any(same) {
        return Ok(());
    }
    let last = entries.last().map_or(0, |entry| entry.sequence);
    let sequence = sequence.unwrap_or_else(|| last.saturating_add(10));
    if entries.iter().any(|entry| entry.sequence == sequence) {
        return Err(command.error("sequence", format!("the list has an entry {sequence} already")));
    }
    entries.push(AccessListEntry { sequence, permit, rule, log: command.has("log"), place: command.place() });
    entries.sort_by_key(|entry| entry.sequence);
    Ok(())
}

fn rule(command: &Command) -> Done<AccessListRule> {
    let protocol = match command.option("protocol")? {
        Some(number) => Protocol::Number(number),
        None => command.choice(Protocol::NAMES).map_or(Protocol::Any, Protocol::Number),
    };
    let (source_port, destination_port) = ports(command)?;
    let icmp = [("echo", 8), ("echo-reply", 0), ("unreachable", 3), ("time-exceeded", 11)];
    let rule = AccessListRule {
        protocol,
        source: address(command, "source", "source-wildcard")?,
        source_port,
        destination: address(command, "destination", "destination-wildcard")?,
        destination_port,
        established: command.has("established"),
        icmp_type: command.option("icmp")?.or(command.choice(&icmp)),
    };
    let has_ports = matches!(protocol, Protocol::Number(6 | 17));
    if !has_ports && (source_port.is_some() || destination_port.is_some()) {
        let at = if source_port.is_some() { "source-port" } else { "port" };
        return Err(command.error(at, format!("{protocol} has no ports: tcp or udp")));
    }
    if rule.established && protocol != Protocol::Number(6) {
        return Err(command.error("", "only tcp can be `established`"));
    }
    if rule.icmp_type.is_some() && protocol != Protocol::Number(1) {
        return Err(command.error("icmp", "only icmp has such types"));
    }
    Ok(rule)
}

/// The address called `name`; where there is none, the `any` in its stead.
fn address(command: &Command, name: &str, wildcard: &str) -> Done<AddressMatch> {
    let Some(address): Option<Ipv4Addr> = command.option(name)? else { return Ok(AddressMatch::ANY) };
    let wildcard = command.option(wildcard)?.unwrap_or(Ipv4Addr::UNSPECIFIED);
    Ok(AddressMatch::new(address, wildcard))
}

/// The source's ports and the destination's; each operator belongs to the argument right behind it.
fn ports(command: &Command) -> Done<(Option<PortMatch>, Option<PortMatch>)> {
    let of = |first: &str, last: &str| -> Done<Option<PortMatch>> {
        let Some(operator) = command.keyword_before(first) else { return Ok(None) };
        let port = command.port(first)?;
        Ok(Some(match operator {
            "eq" => PortMatch::Eq(port),
            "neq" => PortMatch::Neq(port),
            "lt" => PortMatch::Lt(port),
            "gt" => PortMatch::Gt(port),
            _ => {
                let last_port = command.port(last)?;
                if last_port < port {
                    return Err(command.error(last, "a range ends behind its beginning"));
                }
                PortMatch::Range(port, last_port)
            }
        }))
    };
    Ok((of("source-port", "source-last")?, of("port", "last")?))
}
