//! The commands under `interface`, HSRP's left to `standby`.

use espalier_wire::plane::{DfBit, Secret};

use super::{Editor, Entry, Mode::Interface, entry, when};
use crate::ios::matching::{Command, Done, Form};
use crate::ios::model::{
    CryptoMapBinding, Duplex, InterfaceOspf, OspfAuthentication, OspfNetworkType, Speed,
};

pub(super) const COMMANDS: &[Entry] = &[
    entry(Interface, "description ~ <text:text>", description),
    entry(Interface, "ip address ~ <address:addr> <mask:mask> [secondary]", address),
    entry(Interface, "shutdown", shutdown),
    entry(Interface, "mtu ~ <bytes:64-9216>", mtu),
    entry(Interface, "ip mtu ~ <bytes:68-9216>", ip_mtu),
    entry(Interface, "bandwidth ~ <kbps:1-10000000>", bandwidth),
    entry(Interface, "delay ~ <tens-of-microseconds:1-16777215>", delay),
    entry(Interface, "duplex ~ { auto | full | half }", duplex),
    entry(Interface, "speed ~ { auto | 10 | 100 | 1000 }", speed),
    entry(Interface, "ip unreachables", unreachables),
    entry(Interface, "crypto map ~ <map:word> [redundancy <group:word> [stateful]]", crypto_map),
    entry(Interface, "crypto ipsec df-bit ~ { clear | copy | set }", df_bit),
    entry(Interface, "ip ospf <process:1-65535> area <area:area>", ospf_area),
    entry(Interface, "ip ospf cost ~ <cost:1-65535>", ospf_cost),
    entry(Interface, "ip ospf hello-interval ~ <seconds:1-65535>", ospf_hello),
    entry(Interface, "ip ospf dead-interval ~ <seconds:1-65535>", ospf_dead),
    entry(Interface, "ip ospf retransmit-interval ~ <seconds:1-65535>", ospf_retransmit),
    entry(Interface, "ip ospf transmit-delay ~ <seconds:1-65535>", ospf_transmit),
    entry(Interface, "ip ospf priority ~ <priority:0-255>", ospf_priority),
    entry(Interface, "ip ospf network ~ { broadcast | point-to-point }", ospf_network),
    entry(Interface, "ip ospf mtu-ignore", ospf_mtu_ignore),
    entry(Interface, "ip ospf authentication ~ [{ message-digest | null }]", ospf_authentication),
    entry(Interface, "ip ospf authentication-key ~ [{ 0 | 7 }] <key:word>", ospf_password),
    entry(Interface, "ip ospf message-digest-key <id:1-255> ~ md5 [{ 0 | 7 }] <key:word>", ospf_digest_key),
];

fn description(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.interface(command)?.description = when(command, || command.rest("text").map(str::to_owned))?;
    Ok(())
}

fn address(editor: &mut Editor<'_>, command: &Command) -> Done {
    let interface = editor.interface(command)?;
    if !command.given("address") {
        interface.address = None;
        interface.secondary.clear();
        return Ok(());
    }
    let address = command.prefix("address", "mask")?;
    if address.prefix_len() < 31 && [address.network(), address.broadcast()].contains(&address.addr()) {
        return Err(
            command.error("address", format!("{} is no host's address under this mask", address.addr()))
        );
    }
    match (command.has("secondary"), command.on()) {
        (true, true) if !interface.secondary.contains(&address) => interface.secondary.push(address),
        (true, true) => {}
        (true, false) => interface.secondary.retain(|a| *a != address),
        (false, true) => {
            interface.address = Some(address);
            interface.address_place = command.place_of("address");
        }
        (false, false) => interface.address = interface.address.filter(|a| *a != address),
    }
    Ok(())
}

fn shutdown(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.interface(command)?.shutdown = command.on();
    Ok(())
}

fn mtu(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.interface(command)?.mtu = when(command, || command.value("bytes"))?;
    Ok(())
}

fn ip_mtu(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.interface(command)?.ip_mtu = when(command, || command.value("bytes"))?;
    Ok(())
}

fn bandwidth(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.interface(command)?.bandwidth_kbps = when(command, || command.value("kbps"))?;
    Ok(())
}

fn delay(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.interface(command)?.delay_10us = when(command, || command.value("tens-of-microseconds"))?;
    Ok(())
}

fn duplex(editor: &mut Editor<'_>, command: &Command) -> Done {
    let choices = [("auto", Duplex::Auto), ("full", Duplex::Full), ("half", Duplex::Half)];
    editor.interface(command)?.duplex = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn speed(editor: &mut Editor<'_>, command: &Command) -> Done {
    let mbps = Speed::Mbps;
    let choices = [("auto", Speed::Auto), ("10", mbps(10)), ("100", mbps(100)), ("1000", mbps(1000))];
    editor.interface(command)?.speed = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn unreachables(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.interface(command)?.unreachables = (command.form == Form::No).then_some(false);
    Ok(())
}

fn crypto_map(editor: &mut Editor<'_>, command: &Command) -> Done {
    let binding = when(command, || {
        Ok(CryptoMapBinding {
            map: command.word("map")?.to_owned(),
            redundancy: command.maybe("group").map(str::to_owned),
            place: command.place_of("map"),
        })
    })?;
    if command.on() && command.has("stateful") {
        return Err(command.error("", "stateful failover is not modelled here: leave `stateful` out"));
    }
    editor.interface(command)?.crypto_map = binding;
    Ok(())
}

fn df_bit(editor: &mut Editor<'_>, command: &Command) -> Done {
    let choices = [("clear", DfBit::Clear), ("copy", DfBit::Copy), ("set", DfBit::Set)];
    editor.interface(command)?.df_bit = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn ospf<'a>(editor: &'a mut Editor<'_>, command: &Command) -> Done<&'a mut InterfaceOspf> {
    let ospf = &mut editor.interface(command)?.ospf;
    ospf.place = command.place();
    Ok(ospf)
}

fn ospf_area(editor: &mut Editor<'_>, command: &Command) -> Done {
    let process = when(command, || Ok((command.value("process")?, command.value("area")?)))?;
    ospf(editor, command)?.process = process;
    Ok(())
}

fn ospf_cost(editor: &mut Editor<'_>, command: &Command) -> Done {
    ospf(editor, command)?.cost = when(command, || command.value("cost"))?;
    Ok(())
}

fn ospf_hello(editor: &mut Editor<'_>, command: &Command) -> Done {
    ospf(editor, command)?.hello_interval_s = when(command, || command.value("seconds"))?;
    Ok(())
}

fn ospf_dead(editor: &mut Editor<'_>, command: &Command) -> Done {
    ospf(editor, command)?.dead_interval_s = when(command, || command.value("seconds"))?;
    Ok(())
}

fn ospf_retransmit(editor: &mut Editor<'_>, command: &Command) -> Done {
    ospf(editor, command)?.retransmit_interval_s = when(command, || command.value("seconds"))?;
    Ok(())
}

fn ospf_transmit(editor: &mut Editor<'_>, command: &Command) -> Done {
    ospf(editor, command)?.transmit_delay_s = when(command, || command.value("seconds"))?;
    Ok(())
}

fn ospf_priority(editor: &mut Editor<'_>, command: &Command) -> Done {
    ospf(editor, command)?.priority = when(command, || command.value("priority"))?;
    Ok(())
}

fn ospf_network(editor: &mut Editor<'_>, command: &Command) -> Done {
    let choices =
        [("broadcast", OspfNetworkType::Broadcast), ("point-to-point", OspfNetworkType::PointToPoint)];
    ospf(editor, command)?.network = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn ospf_mtu_ignore(editor: &mut Editor<'_>, command: &Command) -> Done {
    ospf(editor, command)?.mtu_ignore = command.on();
    Ok(())
}

fn ospf_authentication(editor: &mut Editor<'_>, command: &Command) -> Done {
    let kind = command
        .choice(&[("message-digest", OspfAuthentication::MessageDigest), ("null", OspfAuthentication::Null)]);
    ospf(editor, command)?.authentication = command.on().then(|| kind.unwrap_or(OspfAuthentication::Simple));
    Ok(())
}

/// A key in clear, of as many bytes as it may have at most: IOS cuts longer ones without a word, which nobody wants.
fn clear_key(command: &Command, most: usize) -> Done<Secret> {
    if command.has("7") {
        return Err(command.error("", "an encrypted key cannot be read: give it in the clear"));
    }
    let key = command.word("key")?;
    if key.len() > most {
        return Err(command.error("key", format!("the key has more than {most} characters")));
    }
    Ok(Secret::new(key.as_bytes().to_vec()))
}

fn ospf_password(editor: &mut Editor<'_>, command: &Command) -> Done {
    ospf(editor, command)?.password = when(command, || clear_key(command, 8))?;
    Ok(())
}

fn ospf_digest_key(editor: &mut Editor<'_>, command: &Command) -> Done {
    let id: u8 = command.value("id")?;
    let key = when(command, || clear_key(command, 16))?;
    let keys = &mut ospf(editor, command)?.digest_keys;
    keys.retain(|(other, _)| *other != id);
    keys.extend(key.map(|key| (id, key)));
    Ok(())
}
