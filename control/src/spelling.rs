//! How IOS spells what several machines print: interface names and times gone by. No machine keeps text of its own;
//! whoever prints asks here.

use espalier_wire::{Duration, IfIndex};

/// An interface's names, given by whoever knows the configuration.
pub trait InterfaceNames {
    /// As in the configuration: `FastEthernet0/0`.
    fn long(&self, iface: IfIndex) -> String;

    /// As in debug lines: `Fa0/0`.
    fn short(&self, iface: IfIndex) -> String {
        abbreviated(&self.long(iface))
    }
}

impl<F: Fn(IfIndex) -> String> InterfaceNames for F {
    fn long(&self, iface: IfIndex) -> String {
        self(iface)
    }
}

/// The first two letters of an interface's type and its number: `FastEthernet0/0` is `Fa0/0`.
pub fn abbreviated(long: &str) -> String {
    let digits = long.find(|c: char| c.is_ascii_digit()).unwrap_or(long.len());
    let (kind, number) = long.split_at(digits);
    kind.chars().take(2).collect::<String>() + number
}

/// Time gone by: `03:21:20`, from a day on `1d03h`, from a week on `1w2d`.
pub fn elapsed(time: Duration) -> String {
    let s = time.as_whole_s();
    let (hours, days) = (s / 3600, s / 86_400);
    match days {
        0 => format!("{hours:02}:{:02}:{:02}", s / 60 % 60, s % 60),
        1..=6 => format!("{days}d{:02}h", hours % 24),
        7.. => format!("{}w{}d", days / 7, days % 7),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_as_ios_does() {
        assert_eq!(abbreviated("FastEthernet0/0"), "Fa0/0");
        assert_eq!(abbreviated("Loopback0"), "Lo0");
        assert_eq!(elapsed(Duration::from_s(3 * 3600 + 21 * 60 + 20)), "03:21:20");
        assert_eq!(elapsed(Duration::from_s(86_400 + 3 * 3600)), "1d03h");
        assert_eq!(elapsed(Duration::from_s(9 * 86_400)), "1w2d");
    }
}
