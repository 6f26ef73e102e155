//! Interface names: `FastEthernet0/0`, `Fa0/0` and every abbreviation between.

use std::fmt;
use std::str::FromStr;

macro_rules! kinds {
    ($($variant:ident = $long:literal, $short:literal;)+) => {
        /// What an interface is, as IOS calls it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "long() says it")]
        pub enum InterfaceKind { $($variant,)+ }

        impl InterfaceKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word of the configuration: `FastEthernet`.
            pub const fn long(self) -> &'static str {
                match self { $(Self::$variant => $long,)+ }
            }

            /// The word of tables and log messages: `Fa`.
            pub const fn short(self) -> &'static str {
                match self { $(Self::$variant => $short,)+ }
            }
        }
    };
}

kinds! {
    Ethernet = "Ethernet", "Et";
    FastEthernet = "FastEthernet", "Fa";
    GigabitEthernet = "GigabitEthernet", "Gi";
    TenGigabitEthernet = "TenGigabitEthernet", "Te";
    Serial = "Serial", "Se";
    Atm = "ATM", "AT";
    Pos = "POS", "PO";
    Loopback = "Loopback", "Lo";
    PortChannel = "Port-channel", "Po";
    Vlan = "Vlan", "Vl";
    Tunnel = "Tunnel", "Tu";
    Null = "Null", "Nu";
}

impl InterfaceKind {
    /// The kind that `word` names or abbreviates in any case. A short form wins over a prefix (`te` is
    /// TenGigabitEthernet); a prefix of several kinds names none.
    pub fn of(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        // `PO` and `Po` differ in case only, in IOS as here: the channel is the one that exists in every box.
        if word == "po" {
            return Some(Self::PortChannel);
        }
        let short = Self::ALL.iter().find(|kind| kind.short().to_ascii_lowercase() == word);
        short.copied().or_else(|| {
            let mut hits = Self::ALL
                .iter()
                .filter(|kind| !word.is_empty() && kind.long().to_ascii_lowercase().starts_with(&word));
            hits.next().copied().filter(|_| hits.next().is_none())
        })
    }

    /// Bits per second of the interface when nothing says otherwise, as `show interfaces` has it on a 7200.
    pub const fn bandwidth_bps(self) -> u64 {
        match self {
            Self::Ethernet => 10_000_000,
            Self::FastEthernet => 100_000_000,
            Self::GigabitEthernet | Self::PortChannel | Self::Vlan => 1_000_000_000,
            Self::TenGigabitEthernet | Self::Null => 10_000_000_000,
            Self::Serial => 1_544_000,
            Self::Atm | Self::Pos => 155_000_000,
            Self::Loopback => 8_000_000_000,
            Self::Tunnel => 9_000,
        }
    }

    /// Whether it is Ethernet on the wire: it has a MAC address and can be attached to a segment.
    pub const fn is_ethernet(self) -> bool {
        matches!(
            self,
            Self::Ethernet
                | Self::FastEthernet
                | Self::GigabitEthernet
                | Self::TenGigabitEthernet
                | Self::PortChannel
                | Self::Vlan
        )
    }
}

/// The name of an interface: kind, slot/subslot/port (one to three numbers), sub-interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName {
    kind: InterfaceKind,
    /// The first `count` of them are the unit.
    numbers: [u16; 3],
    count: u8,
    sub: Option<u32>,
}

impl InterfaceName {
    /// What it is.
    pub const fn kind(self) -> InterfaceKind {
        self.kind
    }

    /// The sub-interface number, if it is one.
    pub const fn sub(self) -> Option<u32> {
        self.sub
    }

    /// As tables and log messages have it: `Fa0/0`.
    pub fn short(self) -> String {
        format!("{}{}", self.kind.short(), self.unit())
    }

    fn unit(self) -> String {
        let numbers: Vec<String> = self.numbers.iter().take(self.count.into()).map(u16::to_string).collect();
        let sub = self.sub.map_or_else(String::new, |sub| format!(".{sub}"));
        format!("{}{sub}", numbers.join("/"))
    }

    /// `kind` with the unit in `text` (`0/0`, `1`, `0/0.10`).
    pub fn with_unit(kind: InterfaceKind, text: &str) -> Option<Self> {
        let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        let (unit, sub) = match text.split_once('.') {
            Some((unit, sub)) => (unit, Some(Some(sub).filter(|s| digits(s))?.parse().ok()?)),
            None => (text, None),
        };
        let (mut numbers, mut count) = ([0; 3], 0u8);
        for part in unit.split('/') {
            *numbers.get_mut(usize::from(count))? = Some(part).filter(|p| digits(p))?.parse().ok()?;
            count += 1;
        }
        Some(Self { kind, numbers, count, sub })
    }
}

impl fmt::Display for InterfaceName {
    /// As configurations have it: `FastEthernet0/0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", self.kind.long(), self.unit()))
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names no interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no interface name (such as FastEthernet0/0, Gi0/1, Lo0)")]
pub struct NoInterfaceName(String);

impl FromStr for InterfaceName {
    type Err = NoInterfaceName;

    /// Takes `FastEthernet0/0`, `fa0/0`, `fast 0/0` and the like.
    fn from_str(s: &str) -> Result<Self, NoInterfaceName> {
        let trimmed = s.trim();
        let digit = trimmed.find(|c: char| c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (kind, unit) = trimmed.split_at(digit);
        InterfaceKind::of(kind.trim_end())
            .and_then(|kind| Self::with_unit(kind, unit))
            .ok_or_else(|| NoInterfaceName(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_mean_their_canonical_names() {
        for (text, long, short) in [
            ("Fa0/0", "FastEthernet0/0", "Fa0/0"),
            ("fast 0/0", "FastEthernet0/0", "Fa0/0"),
            ("FastEthernet 1/0", "FastEthernet1/0", "Fa1/0"),
            ("Lo0", "Loopback0", "Lo0"),
            ("l99", "Loopback99", "Lo99"),
            ("gi0/0/1.20", "GigabitEthernet0/0/1.20", "Gi0/0/1.20"),
            ("atm1/0", "ATM1/0", "AT1/0"),
            ("te1/1", "TenGigabitEthernet1/1", "Te1/1"),
            ("po1", "Port-channel1", "Po1"),
        ] {
            let name: InterfaceName = text.parse().unwrap();
            assert_eq!((name.to_string().as_str(), name.short().as_str()), (long, short), "{text}");
            assert_eq!(long.parse(), Ok(name));
        }
        for bad in ["", "Fa", "0/0", "t0", "Fa0/", "Fa0/0/0/0", "Fa-1", "Fa0/65536", "Fa0/0.", "Xx0"] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad}");
        }
    }
}
