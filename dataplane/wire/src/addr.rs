//! Link and network addresses. Prefixes are `ipnet`'s, under the field's name.

use std::fmt;
use std::str::FromStr;

pub use ipnet::IpNet as Prefix;
pub use ipnet::Ipv4Net as Ipv4Prefix;

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether the group bit is set (broadcast included).
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// The Ethernet group address of an IPv4 multicast group (RFC 1112 section 6.4).
    pub const fn of_multicast(group: std::net::Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// As IOS prints it: `0000.0c07.ac01`.
    pub fn ios(self) -> String {
        let [a, b, c, d, e, f] = self.0;
        format!("{a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{f:02x}")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no Ethernet address (aa:bb:cc:dd:ee:ff or aabb.ccdd.eeff)")]
pub struct NoMac(String);

impl FromStr for Mac {
    type Err = NoMac;

    /// Takes `aa:bb:cc:dd:ee:ff` and `aabb.ccdd.eeff`.
    fn from_str(s: &str) -> Result<Self, NoMac> {
        let bad = || NoMac(s.to_owned());
        let (separator, digits) = if s.contains('.') { ('.', 4) } else { (':', 2) };
        if s.split(separator).any(|part| part.len() != digits) {
            return Err(bad());
        }
        let hex: Vec<u8> = s.bytes().filter(|b| *b != separator as u8).collect();
        let mut mac = [0; 6];
        if hex.len() != 12 {
            return Err(bad());
        }
        for (byte, pair) in mac.iter_mut().zip(hex.chunks_exact(2)) {
            let text = std::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(text, 16).map_err(|_| bad())?;
        }
        Ok(Self(mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_reads_and_prints_both_spellings() {
        let mac: Mac = "0000.0c07.ac01".parse().unwrap();
        assert_eq!(mac.to_string(), "00:00:0c:07:ac:01");
        assert_eq!(mac.ios(), "0000.0c07.ac01");
        assert_eq!("00:00:0c:07:ac:01".parse(), Ok(mac));
        for bad in ["", "00:00:0c:07:ac", "0000.0c07.ac0", "zz:00:00:00:00:00", "+0:00:0c:07:ac:01x"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}
