//! `crypto map NAME …` and the commands under one of its entries.

use std::net::Ipv4Addr;

use super::isakmp::GROUPS;
use super::{At, Editor, Entry, Mode::CryptoMap as Sub, Mode::Global, entry, ipsec, when};
use crate::ios::matching::{Command, Done};
use crate::ios::model::{CryptoMap, CryptoMapEntry, Group, ReverseRoute};

pub(super) const COMMANDS: &[Entry] = &[
    entry(Global, "crypto map <map:word> ~ <sequence:1-65535> [ipsec-isakmp]", open),
    entry(Global, "crypto map <map:word> local-address ~ <interface:if>", local_address),
    entry(Sub, "description ~ <text:text>", description),
    entry(Sub, "set peer ~ <peer:addr> [default]", peer),
    entry(Sub, "set transform-set ~ { <set:word> }*", transform_sets),
    entry(
        Sub,
        "set pfs ~ [{ group1 | group2 | group5 | group14 | group15 | group16 | group19 | group20 }]",
        pfs,
    ),
    entry(Sub, "set security-association lifetime seconds ~ <seconds:120-86400>", lifetime_s),
    entry(
        Sub,
        "set security-association lifetime kilobytes ~ { disable | <kilobytes:2560-536870912> }",
        lifetime_kb,
    ),
    entry(
        Sub,
        "set security-association replay ~ { disable | window-size { 64 | 128 | 256 | 512 | 1024 } }",
        replay,
    ),
    entry(Sub, "set reverse-route tag ~ <tag:1-4294967295>", tag),
    entry(Sub, "match address ~ <list:word>", access_list),
    entry(
        Sub,
        "reverse-route ~ { static | remote-peer <next-hop:addr> | gateway | tag <tag:1-4294967295> }*",
        reverse_route,
    ),
];

/// The map called `name`, made when it is not there yet.
fn map<'a>(editor: &'a mut Editor<'_>, command: &Command) -> Done<&'a mut CryptoMap> {
    let name = command.word("map")?;
    let maps = &mut editor.config.crypto_maps;
    let at = maps.iter().position(|map| map.name == name).unwrap_or(maps.len());
    if at == maps.len() {
        let place = command.place_of("map");
        maps.push(CryptoMap {
            name: name.to_owned(),
            local_address: None,
            entries: Default::default(),
            place,
        });
    }
    maps.get_mut(at).ok_or_else(|| command.error("map", "no such crypto map"))
}

fn open(editor: &mut Editor<'_>, command: &Command) -> Done {
    let name = command.word("map")?.to_owned();
    let sequence: Option<u16> = command.option("sequence")?;
    if !command.on() {
        let maps = &mut editor.config.crypto_maps;
        match (sequence, maps.iter_mut().find(|map| map.name == name)) {
            (Some(sequence), Some(map)) if map.entries.len() > 1 => drop(map.entries.remove(&sequence)),
            _ => maps.retain(|map| map.name != name),
        }
        return Ok(());
    }
    let sequence: u16 = command.value("sequence")?;
    let entries = &mut map(editor, command)?.entries;
    // IOS wants the kind when an entry is made, and lets it out when an entry is changed.
    if !command.has("ipsec-isakmp") && !entries.contains_key(&sequence) {
        let message = format!("crypto map {name} has no entry {sequence} yet");
        let error = *command.error("sequence", message);
        return Err(Box::new(error.help("to make one, put `ipsec-isakmp` behind the number")));
    }
    let fresh = || CryptoMapEntry { place: command.place(), ..CryptoMapEntry::default() };
    entries.entry(sequence).or_insert_with(fresh);
    editor.at = At::CryptoMap(name, sequence);
    Ok(())
}

fn local_address(editor: &mut Editor<'_>, command: &Command) -> Done {
    let interface = when(command, || command.interface("interface"))?;
    map(editor, command)?.local_address = interface;
    Ok(())
}

fn description(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.crypto_map(command)?.description = when(command, || command.rest("text").map(str::to_owned))?;
    Ok(())
}

fn peer(editor: &mut Editor<'_>, command: &Command) -> Done {
    let peer: Option<Ipv4Addr> = command.option("peer")?;
    let default = command.has("default");
    let peers = &mut editor.crypto_map(command)?.peers;
    match peer {
        Some(peer) => {
            peers.retain(|p| *p != peer || command.on());
            if command.on() && !peers.contains(&peer) {
                // The default peer is the one that is tried first.
                peers.insert(if default { 0 } else { peers.len() }, peer);
            }
        }
        None => peers.clear(),
    }
    Ok(())
}

fn transform_sets(editor: &mut Editor<'_>, command: &Command) -> Done {
    let names = command.all("set");
    if command.on() && names.is_empty() {
        return Err(command.error("", "incomplete command: names of transform sets expected"));
    }
    let entry = editor.crypto_map(command)?;
    entry.transform_sets = if command.on() { names } else { Vec::new() };
    entry.transform_sets_place = command.place_of("set");
    Ok(())
}

fn pfs(editor: &mut Editor<'_>, command: &Command) -> Done {
    let words = GROUPS.map(|(number, group)| (format!("group{number}"), group));
    let named = words.iter().find(|(word, _)| command.has(word)).map(|(_, group)| *group);
    editor.crypto_map(command)?.pfs = command.on().then(|| named.unwrap_or(Group(1)));
    Ok(())
}

fn lifetime_s(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.crypto_map(command)?.lifetime_s = when(command, || command.value("seconds"))?;
    Ok(())
}

fn lifetime_kb(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.crypto_map(command)?.lifetime_kb = ipsec::kilobytes(command)?;
    Ok(())
}

fn replay(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.crypto_map(command)?.replay = ipsec::window(command);
    Ok(())
}

fn access_list(editor: &mut Editor<'_>, command: &Command) -> Done {
    let list = when(command, || command.word("list").map(str::to_owned))?;
    let entry = editor.crypto_map(command)?;
    entry.access_list = list;
    entry.access_list_place = command.place_of("list");
    Ok(())
}

fn reverse_route(editor: &mut Editor<'_>, command: &Command) -> Done {
    let route = when(command, || {
        Ok(ReverseRoute {
            is_static: command.has("static"),
            remote_peer: command.option("next-hop")?,
            gateway: command.has("gateway"),
            tag: command.option("tag")?,
        })
    })?;
    editor.crypto_map(command)?.reverse_route = route;
    Ok(())
}

/// `set reverse-route tag N`, the later spelling of `reverse-route tag N`.
fn tag(editor: &mut Editor<'_>, command: &Command) -> Done {
    let tag = when(command, || command.value("tag"))?;
    let entry = editor.crypto_map(command)?;
    match &mut entry.reverse_route {
        Some(route) => route.tag = tag,
        None => return Err(command.error("", "there is no `reverse-route` to tag yet")),
    }
    Ok(())
}
