//! `crypto ipsec …` and the commands under `crypto ipsec transform-set`.

use espalier_wire::Transform;
use espalier_wire::plane::DfBit;

use super::{At, Editor, Entry, Mode::Global, Mode::TransformSet as Sub, entry, when};
use crate::ios::diagnostic::Diagnostic;
use crate::ios::matching::{Command, Done, Form};
use crate::ios::model::{KilobyteLifetime, ReplayWindow, TransformMode, TransformSet};

pub(super) const COMMANDS: &[Entry] = &[
    entry(
        Global,
        "crypto ipsec transform-set <name:word> ~ { \
         esp-null | esp-des | esp-3des | esp-aes [{ 128 | 192 | 256 }] | esp-gcm [{ 128 | 192 | 256 }] | \
         esp-gmac [{ 128 | 192 | 256 }] | esp-chacha20-poly1305 | esp-md5-hmac | esp-sha-hmac | esp-sha256-hmac | \
         esp-sha384-hmac | esp-sha512-hmac }*",
        transform_set,
    ),
    entry(Global, "crypto ipsec security-association lifetime seconds ~ <seconds:120-86400>", lifetime_s),
    entry(
        Global,
        "crypto ipsec security-association lifetime kilobytes ~ { disable | <kilobytes:2560-536870912> }",
        lifetime_kb,
    ),
    entry(
        Global,
        "crypto ipsec security-association replay ~ { disable | window-size { 64 | 128 | 256 | 512 | 1024 } }",
        replay,
    ),
    entry(Global, "crypto ipsec df-bit ~ { clear | copy | set }", df_bit),
    entry(Global, "crypto ipsec nat-transparency udp-encapsulation", nat_transparency),
    entry(Sub, "mode ~ { tunnel | transport [require] }", mode),
];

/// The transform that the words mean together. A cipher without a key length has 128 bits; a cipher without integrity,
/// or integrity without a cipher, is refused: what cannot be verified is not accepted here (RFC 4835 section 3.1.1).
fn transform(command: &Command) -> Done<Transform> {
    let words: Vec<(&str, usize)> = command.keywords().skip(3).collect();
    let mut parts: Vec<String> = Vec::new();
    for (word, _) in &words {
        match parts.last_mut() {
            Some(part) if word.bytes().all(|b| b.is_ascii_digit()) => *part = format!("{part} {word}"),
            _ => parts.push((*word).to_owned()),
        }
    }
    parts.sort_by_key(|part| part.ends_with("-hmac"));
    let normal = |part: &str| match part {
        "esp-gcm" | "esp-gmac" => format!("{part} 128"),
        "esp-aes 128" => "esp-aes".to_owned(),
        _ => part.to_owned(),
    };
    let text = parts.iter().map(|part| normal(part)).collect::<Vec<_>>().join(" ");
    let found = Transform::ALL.iter().copied().find(|t| t.ios() == text);
    found.ok_or_else(|| Box::new(no_transform(command, &words, &text)))
}

fn no_transform(command: &Command, words: &[(&str, usize)], text: &str) -> Diagnostic {
    let place = words.first().map_or_else(|| command.place(), |(_, at)| command.place_at(*at));
    let alike = |t: &&Transform| !text.is_empty() && t.ios().split(' ').next() == text.split(' ').next();
    let mut offers: Vec<&str> = Transform::ALL.iter().filter(alike).map(|t| t.ios()).collect();
    if offers.is_empty() {
        let last = text.split(' ').next_back().unwrap_or("");
        let ends = |t: &&Transform| !last.is_empty() && t.ios().ends_with(last);
        offers = Transform::ALL.iter().filter(ends).map(|t| t.ios()).collect();
    }
    let diagnostic = match text {
        "" => Diagnostic::error(&command.place(), "incomplete command: transforms expected"),
        _ => Diagnostic::error(&place, format!("`{text}` is no transform of ESP here")),
    };
    if offers.is_empty() { diagnostic } else { diagnostic.help(format!("one of: {}", offers.join("; "))) }
}

fn transform_set(editor: &mut Editor<'_>, command: &Command) -> Done {
    let name = command.word("name")?.to_owned();
    let sets = &mut editor.config.ipsec.transform_sets;
    if !command.on() {
        sets.retain(|set| set.name != name);
        return Ok(());
    }
    let transform = transform(command)?;
    match sets.iter_mut().find(|set| set.name == name) {
        Some(set) => set.transform = transform,
        None => sets.push(TransformSet {
            name: name.clone(),
            transform,
            mode: None,
            place: command.place_of("name"),
        }),
    }
    editor.at = At::TransformSet(name);
    Ok(())
}

fn mode(editor: &mut Editor<'_>, command: &Command) -> Done {
    let choices = [
        ("tunnel", TransformMode::Tunnel),
        ("require", TransformMode::TransportRequired),
        ("transport", TransformMode::Transport),
    ];
    editor.transform_set(command)?.mode = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

/// `kilobytes N` or `kilobytes disable`.
pub(super) fn kilobytes(command: &Command) -> Done<Option<KilobyteLifetime>> {
    when(command, || match command.has("disable") {
        true => Ok(KilobyteLifetime::Disabled),
        false => command.value("kilobytes").map(KilobyteLifetime::Kilobytes),
    })
}

/// `disable` or `window-size N`.
pub(super) fn window(command: &Command) -> Option<ReplayWindow> {
    let of = ReplayWindow::Packets;
    let choices = [
        ("disable", ReplayWindow::Disabled),
        ("64", of(64)),
        ("128", of(128)),
        ("256", of(256)),
        ("512", of(512)),
        ("1024", of(1024)),
    ];
    command.choice(&choices).filter(|_| command.on())
}

fn lifetime_s(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.config.ipsec.lifetime_s = when(command, || command.value("seconds"))?;
    Ok(())
}

fn lifetime_kb(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.config.ipsec.lifetime_kb = kilobytes(command)?;
    Ok(())
}

fn replay(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.config.ipsec.replay = window(command);
    Ok(())
}

fn df_bit(editor: &mut Editor<'_>, command: &Command) -> Done {
    let choices = [("clear", DfBit::Clear), ("copy", DfBit::Copy), ("set", DfBit::Set)];
    editor.config.ipsec.df_bit = command.choice(&choices).filter(|_| command.on());
    Ok(())
}

fn nat_transparency(editor: &mut Editor<'_>, command: &Command) -> Done {
    editor.config.ipsec.nat_transparency = (command.form == Form::No).then_some(false);
    Ok(())
}
