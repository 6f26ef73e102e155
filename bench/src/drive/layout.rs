//! How workers are laid out over cores: owners of SAs, and the helpers of each.

use std::fmt;
use std::str::FromStr;

/// `1` one core does all; `1+3` one owner with three helpers; `4x` four owners; `2x+1` two owners with a helper each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    /// Cores that own SAs.
    pub owners: usize,
    /// Cores that crypt for each owner.
    pub helpers: usize,
}

/// More than any machine has, so that a slip of the finger does not start a million threads.
const CORES_MAX: usize = 1024;

impl Layout {
    /// One core that does all.
    pub const ONE: Self = Self { owners: 1, helpers: 0 };

    /// Cores it takes.
    pub const fn cores(self) -> usize {
        self.owners * (1 + self.helpers)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match (self.owners, self.helpers) {
            (1, 0) => "1".to_owned(),
            (1, helpers) => format!("1+{helpers}"),
            (owners, 0) => format!("{owners}x"),
            (owners, helpers) => format!("{owners}x+{helpers}"),
        };
        f.pad(&text)
    }
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text} is no layout: 1, 1+3 (helpers), 4x (owners) or 2x+1 (owners with helpers)");
        let number = |text: &str| text.parse::<usize>().ok().filter(|n| (1..=CORES_MAX).contains(n));
        let (owners, helpers) = match text.split_once('+') {
            Some((owners, helpers)) => (owners, number(helpers).ok_or_else(wrong)?),
            None => (text, 0),
        };
        let owners = match owners.strip_suffix('x') {
            Some(owners) => number(owners).ok_or_else(wrong)?,
            None if owners == "1" => 1,
            None => return Err(wrong()),
        };
        let layout = Self { owners, helpers };
        if layout.cores() > CORES_MAX { Err(wrong()) } else { Ok(layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_read_back() {
        for (text, owners, helpers) in [("1", 1, 0), ("1+3", 1, 3), ("4x", 4, 0), ("2x+1", 2, 1)] {
            let layout: Layout = text.parse().unwrap();
            assert_eq!((layout, layout.to_string().as_str()), (Layout { owners, helpers }, text));
            assert_eq!(layout.cores(), owners * (1 + helpers));
        }
        for wrong in ["", "0", "2", "0x", "1+", "1+0", "x", "1x+2x", "9999x", "600x+1", "-1"] {
            assert!(wrong.parse::<Layout>().is_err(), "{wrong}");
        }
        assert_eq!("1x".parse::<Layout>().map(|l| l.to_string()), Ok("1".to_owned()));
    }
}
