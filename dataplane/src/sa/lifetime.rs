//! How long an SA lives, in time and in bytes, and what was told about it.

use espalier_wire::Instant;
use espalier_wire::plane::{Expiry, Lifetime};

/// What a look at the lifetime found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Nothing new.
    Nothing,
    /// The soft limit, for the first time.
    Soft,
    /// The hard limit: the SA is over.
    Hard,
}

/// One SA's limits as points in time and byte counts.
#[derive(Debug, Clone)]
pub struct Life {
    soft_at: Instant,
    hard_at: Instant,
    soft_bytes: u64,
    hard_bytes: u64,
    /// The next byte count at which something happens: one comparison a packet.
    next_bytes: u64,
    /// The next instant at which something happens.
    next_at: Instant,
    over: bool,
}

impl Life {
    /// The life of an SA installed at `now`.
    pub fn new(now: Instant, lifetime: Lifetime) -> Self {
        let at = |time: Option<_>| time.map_or(Instant::MAX, |time| now + time);
        let (soft_at, hard_at) = (at(lifetime.soft.time), at(lifetime.hard.time));
        let soft_bytes = lifetime.soft.bytes.unwrap_or(u64::MAX);
        let hard_bytes = lifetime.hard.bytes.unwrap_or(u64::MAX);
        Self {
            soft_at,
            hard_at,
            soft_bytes,
            hard_bytes,
            next_bytes: soft_bytes.min(hard_bytes),
            next_at: soft_at.min(hard_at),
            over: false,
        }
    }

    /// Whether a look would find nothing, now and with `bytes` bytes protected.
    pub fn is_quiet(&self, now: Instant, bytes: u64) -> bool {
        bytes < self.next_bytes && now < self.next_at
    }

    /// Look at the limits when the SA has protected `bytes` bytes.
    pub fn look(&mut self, now: Instant, bytes: u64) -> Reached {
        if bytes < self.next_bytes && now < self.next_at {
            return Reached::Nothing;
        }
        if self.over || bytes >= self.hard_bytes || now >= self.hard_at {
            self.over = true;
            return Reached::Hard;
        }
        let first = self.next_bytes != self.hard_bytes || self.next_at != self.hard_at;
        (self.next_bytes, self.next_at) = (self.hard_bytes, self.hard_at);
        if first && (bytes >= self.soft_bytes || now >= self.soft_at) {
            Reached::Soft
        } else {
            Reached::Nothing
        }
    }

    /// Whether the hard limit was reached.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// When to look next if no packet comes; [`Instant::MAX`]: never.
    pub fn deadline(&self) -> Instant {
        self.next_at
    }
}

impl Reached {
    /// As the control plane hears it.
    pub fn expiry(self) -> Option<Expiry> {
        match self {
            Self::Nothing => None,
            Self::Soft => Some(Expiry::Soft),
            Self::Hard => Some(Expiry::Hard),
        }
    }
}

#[cfg(test)]
mod tests {
    use espalier_wire::Duration;
    use espalier_wire::plane::Limit;

    use super::*;

    fn limit(s: u64, bytes: u64) -> Limit {
        Limit { time: Some(Duration::from_s(s)), bytes: Some(bytes) }
    }

    #[test]
    fn soft_once_then_hard_by_whichever_comes_first() {
        let at = |s| Instant::ZERO + Duration::from_s(s);
        let lifetime = Lifetime { soft: limit(10, 100), hard: limit(20, 200) };
        let mut by_time = Life::new(at(5), lifetime);
        assert_eq!((by_time.deadline(), by_time.look(at(14), 99)), (at(15), Reached::Nothing));
        assert_eq!((by_time.look(at(15), 0), by_time.look(at(16), 150)), (Reached::Soft, Reached::Nothing));
        assert_eq!((by_time.deadline(), by_time.look(at(25), 0)), (at(25), Reached::Hard));
        let mut by_bytes = Life::new(at(0), lifetime);
        assert_eq!(
            (by_bytes.look(at(0), 100), by_bytes.look(at(11), 199)),
            (Reached::Soft, Reached::Nothing)
        );
        assert_eq!((by_bytes.look(at(0), 200), by_bytes.is_over()), (Reached::Hard, true));
        let mut endless = Life::new(at(0), Lifetime::default());
        assert_eq!(
            (endless.look(at(1 << 20), u64::MAX - 1), endless.deadline()),
            (Reached::Nothing, Instant::MAX)
        );
    }
}
