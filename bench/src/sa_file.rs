//! SA files: manual security associations as TOML, for `encap` and `decap`. CONTRACT: one `[[sa]]` table each.
//!
//! Whatever is wrong is said with file, line and column, and nothing is guessed. What a user may want to know but can
//! live with (a weak DES key) is a warning.

use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use espalier_dataplane::crypto::key_warnings;
use espalier_dataplane::sa::WINDOW_MAX;
use espalier_wire::plane::{
    DfBit, Fragmentation, Lifetime, Mode, PolicyId, PortRange, Rule, RuleAction, SaSpec, Secret, Selector,
    UdpPorts,
};
use espalier_wire::{Prefix, Spi, Transform};
use serde::Deserialize;
use toml::Spanned;

use crate::place::{Mistake, Place, nearest};

#[cfg(test)]
mod tests;

/// The smallest path MTU that makes sense: IPv4's minimum (RFC 791) has no room for ESP's headers and a fragment.
const MTU_MIN: u16 = 128;
/// The replay window where the file says nothing.
const WINDOW: u32 = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    sa: Vec<Spanned<Sa>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sa {
    spi: Spanned<u32>,
    src: Spanned<IpAddr>,
    dst: Spanned<IpAddr>,
    mode: Option<Spanned<String>>,
    transform: Spanned<String>,
    key: Option<Spanned<String>>,
    auth_key: Option<Spanned<String>>,
    #[serde(default)]
    esn: bool,
    replay_window: Option<Spanned<u32>>,
    udp_encap: Option<Ports>,
    selector: Option<Spanned<Traffic>>,
    mtu: Option<Spanned<u16>>,
    df_bit: Option<Spanned<String>>,
    fragmentation: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ports {
    src: u16,
    dst: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Traffic {
    src: Option<Spanned<String>>,
    dst: Option<Spanned<String>>,
    protocol: Option<u8>,
    src_port: Option<u16>,
    dst_port: Option<u16>,
}

/// The SAs of a file, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaFile {
    /// The SAs.
    pub sas: Vec<SaSpec>,
    /// What the user should know about them.
    pub warnings: Vec<Mistake>,
}

impl SaFile {
    /// Read the file at `path`.
    ///
    /// # Errors
    /// One sentence: the file cannot be read, or what is wrong with it and where.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| format!("{name}: {e}"))?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{name}:1:1: not UTF-8 text"))?;
        Self::parse(&name, &text).map_err(|mistake| mistake.to_string())
    }

    /// Read `text`, which came from the file named `name`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(name: &str, text: &str) -> Result<Self, Mistake> {
        let source = Source { name: name.into(), text };
        let file: File = toml::from_str(text).map_err(|e| {
            let message = e.message().trim().to_owned();
            source.at(e.span().unwrap_or(0..0)).says(with_nearest(&message))
        })?;
        if file.sa.is_empty() {
            return Err(source.at(0..0).says("no [[sa]] in it"));
        }
        let mut read = Self { sas: Vec::new(), warnings: Vec::new() };
        for sa in &file.sa {
            let spec = source.spec(sa)?;
            if read.sas.iter().any(|other| other.spi == spec.spi) {
                let message = format!("SPI 0x{:08x} is that of an SA above", spec.spi.0);
                return Err(source.at(sa.get_ref().spi.span()).says(message));
            }
            let place = source.at(sa.get_ref().key.as_ref().map_or(sa.span(), Spanned::span));
            let warnings = key_warnings(spec.transform, spec.key.bytes());
            read.warnings.extend(warnings.iter().map(|warning| place.says(warning.to_string())));
            read.sas.push(spec);
        }
        Ok(read)
    }

    /// The policy under which a host seals: each SA in turn takes what its selector names, the first that matches.
    /// The n-th SA serves policy n.
    pub fn rules(&self) -> Vec<Rule> {
        let any = |prefix: &str| prefix.parse::<Prefix>().ok();
        let everything = [any("0.0.0.0/0"), any("::/0")].into_iter().flatten();
        let everything: Vec<Selector> = everything.map(|p| Selector::between(p, p)).collect();
        let rules = |(policy, sa): (PolicyId, &SaSpec)| {
            let selectors = sa.selector.map_or_else(|| everything.clone(), |s| vec![s]);
            let rule = move |selector| Rule { selector, action: RuleAction::Protect(policy) };
            selectors.into_iter().map(rule).collect::<Vec<_>>()
        };
        (0..).map(PolicyId).zip(&self.sas).flat_map(rules).collect()
    }
}

/// serde names the fields it expected: name the nearest of them.
fn with_nearest(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next().filter(|_| message.starts_with("unknown field")) {
        Some(word) => format!("unknown key \"{word}\"{}", nearest(word, quoted)),
        None => message.lines().next().unwrap_or_default().to_owned(),
    }
}

struct Source<'a> {
    name: Arc<str>,
    text: &'a str,
}

impl Source<'_> {
    fn at(&self, span: Range<usize>) -> Place {
        Place::in_text(&self.name, self.text, span.start)
    }

    fn spec(&self, table: &Spanned<Sa>) -> Result<SaSpec, Mistake> {
        let sa = table.get_ref();
        let transform = self.transform(&sa.transform)?;
        if *sa.spi.get_ref() == 0 {
            return Err(self.at(sa.spi.span()).says("SPI 0 never stands on the wire (RFC 4303 section 2.1)"));
        }
        let (src, dst) = (*sa.src.get_ref(), *sa.dst.get_ref());
        if src.is_ipv4() != dst.is_ipv4() {
            return Err(self.at(sa.dst.span()).says("src and dst are not of one address family"));
        }
        let key = self.key("key", transform, transform.key_len(), sa.key.as_ref(), table)?;
        let auth_key =
            self.key("auth_key", transform, transform.auth_key_len(), sa.auth_key.as_ref(), table)?;
        let selector = sa.selector.as_ref().map(|s| self.selector(s, src)).transpose()?;
        Ok(SaSpec {
            spi: Spi(*sa.spi.get_ref()),
            src,
            dst,
            mode: self
                .one_of(sa.mode.as_ref(), &[("tunnel", Mode::Tunnel), ("transport", Mode::Transport)])?,
            transform,
            key,
            auth_key,
            esn: sa.esn,
            replay_window: self.window(sa.replay_window.as_ref())?,
            udp_encap: sa.udp_encap.as_ref().map(|p| UdpPorts { src: p.src, dst: p.dst }),
            selector,
            mtu: self.mtu(sa.mtu.as_ref())?,
            df_bit: self.one_of(
                sa.df_bit.as_ref(),
                &[("copy", DfBit::Copy), ("set", DfBit::Set), ("clear", DfBit::Clear)],
            )?,
            fragmentation: self.one_of(
                sa.fragmentation.as_ref(),
                &[
                    ("before-encryption", Fragmentation::BeforeEncryption),
                    ("after-encryption", Fragmentation::AfterEncryption),
                ],
            )?,
            lifetime: Lifetime::default(),
        })
    }

    fn transform(&self, text: &Spanned<String>) -> Result<Transform, Mistake> {
        let name = text.get_ref();
        name.parse().map_err(|_| {
            let near = nearest(name, Transform::ALL.iter().map(|t| t.name()));
            let all: Vec<&str> = Transform::ALL.iter().map(|t| t.name()).collect();
            let list = if near.is_empty() { format!(" (one of {})", all.join(" ")) } else { near };
            self.at(text.span()).says(format!("unknown transform \"{name}\"{list}"))
        })
    }

    /// The word's meaning; the first of `words` where there is none.
    fn one_of<T: Copy>(&self, word: Option<&Spanned<String>>, words: &[(&str, T)]) -> Result<T, Mistake> {
        let Some(first) = words.first() else { return Err(self.at(0..0).says("no words")) };
        let Some(word) = word else { return Ok(first.1) };
        let found = words.iter().find(|(name, _)| name == word.get_ref());
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
            self.at(word.span()).says(format!("\"{}\" is none of {}", word.get_ref(), names.join(", ")))
        })
    }

    fn key(
        &self,
        field: &str,
        transform: Transform,
        need: usize,
        text: Option<&Spanned<String>>,
        table: &Spanned<Sa>,
    ) -> Result<Secret, Mistake> {
        let Some(text) = text else {
            return match need {
                0 => Ok(Secret::new(Vec::new())),
                _ => Err(self
                    .at(table.span())
                    .says(format!("{field} is missing: {transform} takes {need} bytes"))),
            };
        };
        let place = self.at(text.span());
        let bytes = hex(text.get_ref())
            .ok_or_else(|| place.says(format!("{field} is not hexadecimal digits, two a byte")))?;
        if bytes.len() != need {
            let salt = transform.cipher().salt_len();
            let salted =
                if salt > 0 && field == "key" { format!(", {salt} of them salt") } else { String::new() };
            let message = format!("{transform}: {field} has {} bytes, not {need}{salted}", bytes.len());
            return Err(place.says(message));
        }
        Ok(Secret::new(bytes))
    }

    fn window(&self, size: Option<&Spanned<u32>>) -> Result<u32, Mistake> {
        let Some(size) = size else { return Ok(WINDOW) };
        match *size.get_ref() {
            n if n <= WINDOW_MAX => Ok(n),
            n => Err(self
                .at(size.span())
                .says(format!("a replay window of {n} packets, more than {WINDOW_MAX}"))),
        }
    }

    fn mtu(&self, mtu: Option<&Spanned<u16>>) -> Result<Option<u16>, Mistake> {
        match mtu {
            Some(mtu) if *mtu.get_ref() < MTU_MIN => {
                Err(self.at(mtu.span()).says(format!("an MTU of {} bytes, under {MTU_MIN}", mtu.get_ref())))
            }
            other => Ok(other.map(|m| *m.get_ref())),
        }
    }

    fn selector(&self, traffic: &Spanned<Traffic>, outer: IpAddr) -> Result<Selector, Mistake> {
        let t = traffic.get_ref();
        let prefix = |text: &Option<Spanned<String>>| text.as_ref().map(|text| self.prefix(text)).transpose();
        let (src, dst) = (prefix(&t.src)?, prefix(&t.dst)?);
        let is_ipv4 = src.or(dst).map_or(outer.is_ipv4(), |p| p.addr().is_ipv4());
        let any = if is_ipv4 { "0.0.0.0/0" } else { "::/0" }.parse::<Prefix>();
        let any = any.map_err(|e| self.at(traffic.span()).says(e.to_string()))?;
        let (src, dst) = (src.unwrap_or(any), dst.unwrap_or(any));
        if src.addr().is_ipv4() != dst.addr().is_ipv4() {
            return Err(self.at(traffic.span()).says("the selector's addresses are not of one family"));
        }
        let ports = |port: Option<u16>| port.map_or(PortRange::ANY, PortRange::one);
        Ok(Selector {
            src,
            dst,
            protocol: t.protocol,
            src_ports: ports(t.src_port),
            dst_ports: ports(t.dst_port),
        })
    }

    /// A prefix, or an address that is a prefix of one.
    fn prefix(&self, text: &Spanned<String>) -> Result<Prefix, Mistake> {
        let word = text.get_ref();
        let found = word.parse::<Prefix>().ok().or_else(|| word.parse::<IpAddr>().ok().map(Prefix::from));
        let bad = || self.at(text.span()).says(format!("\"{word}\" is no address or prefix"));
        found.map(|p| p.trunc()).ok_or_else(bad)
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let byte = |pair: &[u8]| {
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)
    };
    digits.chunks(2).map(byte).collect()
}
