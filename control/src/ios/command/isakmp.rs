//! `crypto isakmp …` and the commands under `crypto isakmp policy`.

use std::net::Ipv4Addr;

use espalier_wire::plane::Secret;

use super::{At, Editor, Entry, Mode::Global, Mode::Policy as Sub, entry, put, when};
use crate::ios::matching::{Command, Done};
use crate::ios::model::{
    Authentication, Encryption, Group, Hash, Identity, Keepalive, KeepaliveMode, Policy, PreSharedKey,
};

pub(super) const COMMANDS: &[Entry] = &[
    entry(Global, "crypto isakmp policy <number:1-10000>", policy),
    entry(
        Global,
        "crypto isakmp key [{ 0 | 6 }] <key:word> address <address:addr> [<mask:mask>] [no-xauth]",
        key,
    ),
    entry(
        Global,
        "crypto isakmp keepalive ~ <seconds:10-3600> [<retry:2-60>] [{ periodic | on-demand }]",
        keepalive,
    ),
    entry(Global, "crypto isakmp identity ~ { address | hostname }", identity),
    entry(Global, "crypto isakmp invalid-spi-recovery", invalid_spi_recovery),
    entry(Global, "crypto isakmp nat keepalive ~ <seconds:5-3600>", nat_keepalive),
    entry(Sub, "encr ~ { des | 3des | aes [{ 128 | 192 | 256 }] }", encryption),
    entry(Sub, "encryption ~ { des | 3des | aes [{ 128 | 192 | 256 }] }", encryption),
    entry(Sub, "hash ~ { md5 | sha | sha256 | sha384 | sha512 }", hash),
    entry(Sub, "authentication ~ { pre-share | rsa-sig }", authentication),
    entry(Sub, "group ~ { 1 | 2 | 5 | 14 | 15 | 16 | 19 | 20 }", group),
    entry(Sub, "lifetime ~ <seconds:60-86400>", lifetime),
];

/// The groups by their words.
pub(super) const GROUPS: [(&str, Group); 8] = [
    ("1", Group(1)),
    ("2", Group(2)),
    ("5", Group(5)),
    ("14", Group(14)),
    ("15", Group(15)),
    ("16", Group(16)),
    ("19", Group(19)),
    ("20", Group(20)),
];

fn policy(editor: &mut Editor<'_>, command: &Command) -> Done {
    let number: u16 = command.value("number")?;
    if !command.on() {
        editor.config.isakmp.policies.remove(&number);
        return Ok(());
    }
    let fresh = || Policy { place: command.place(), ..Policy::default() };
    editor.config.isakmp.policies.entry(number).or_insert_with(fresh);
    editor.at = At::Policy(number);
    Ok(())
}

fn key(editor: &mut Editor<'_>, command: &Command) -> Done {
    if command.has("6") && command.on() {
        return Err(command.error("", "an encrypted key cannot be read: give it in the clear"));
    }
    let address: Ipv4Addr = command.value("address")?;
    let mask = command.option("mask")?.unwrap_or(Ipv4Addr::BROADCAST);
    let key = PreSharedKey {
        key: Secret::new(command.word("key")?.as_bytes().to_vec()),
        address,
        mask,
        no_xauth: command.has("no-xauth"),
        place: command.place(),
    };
    let same = |k: &PreSharedKey| k.address == address && k.mask == mask;
    put(&mut editor.config.isakmp.keys, same, command.on().then_some(key));
    Ok(())
}

fn keepalive(editor: &mut Editor<'_>, command: &Command) -> Done {
    let modes = [("periodic", KeepaliveMode::Periodic), ("on-demand", KeepaliveMode::OnDemand)];
    editor.config.isakmp.keepalive = when(command, || {
        Ok(Keepalive {
            interval_s: command.value("seconds")?,
            retry_s: command.option("retry")?,
            mode: command.choice(&modes),
        })
    })?;
    Ok(())
}

fn identity(editor: &mut Editor<'_>, command: &Command) -> Done {
    let choices = [("address", Identity::Address), ("hostname", Identity::Hostname)];
    editor.config.isakmp.identity = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn invalid_spi_recovery(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.config.isakmp.invalid_spi_recovery = command.on();
    Ok(())
}

fn nat_keepalive(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.config.isakmp.nat_keepalive_s = when(command, || command.value("seconds"))?;
    Ok(())
}

fn encryption(editor: &mut Editor<'_>, command: &Command) -> Done {
    let choices = [
        ("des", Encryption::Des),
        ("3des", Encryption::TripleDes),
        ("192", Encryption::Aes192),
        ("256", Encryption::Aes256),
        ("aes", Encryption::Aes128),
    ];
    editor.policy(command)?.encryption = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn hash(editor: &mut Editor<'_>, command: &Command) -> Done {
    let all = [Hash::Md5, Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];
    let choices = all.map(|hash| (hash.ios(), hash));
    editor.policy(command)?.hash = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn authentication(editor: &mut Editor<'_>, command: &Command) -> Done {
    let choices = [("pre-share", Authentication::PreShare), ("rsa-sig", Authentication::RsaSignature)];
    editor.policy(command)?.authentication = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn group(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.policy(command)?.group = command.choice(&GROUPS).filter(|_| command.on());
    Ok(())
}

fn lifetime(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.policy(command)?.lifetime_s = when(command, || command.value("seconds"))?;
    Ok(())
}
