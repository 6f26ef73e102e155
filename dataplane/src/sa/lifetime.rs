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

/// What an SA protected, and up to where there is nothing to tell: the part of its life that each packet touches.
#[derive(Debug, Clone)]
pub struct Meter {
    /// Packets sealed or opened.
    pub packets: u64,
    /// Bytes of IP packet inside them.
    pub bytes: u64,
    /// The next byte count at which something happens: one comparison a packet.
    next_bytes: u64,
    /// The next instant at which something happens.
    next_at: Instant,
}

impl Meter {
    /// Whether a look at the lifetime would find nothing.
    #[inline(always)]
    pub fn is_quiet(&self, now: Instant) -> bool {
        self.bytes < self.next_bytes && now < self.next_at
    }

    /// How many more bytes until there is something to tell; none, when there is now.
    #[inline(always)]
    pub(crate) fn quiet_bytes(&self, now: Instant) -> u64 {
        if now < self.next_at { self.next_bytes.saturating_sub(self.bytes) } else { 0 }
    }

    /// Count a packet of so many bytes.
    #[inline(always)]
    pub fn count(&mut self, bytes: u32) {
        self.packets += 1;
        self.bytes += u64::from(bytes);
    }

    /// Count packets of so many bytes in all.
    #[inline(always)]
    pub(crate) fn count_all(&mut self, packets: u64, bytes: u64) {
        self.packets += packets;
        self.bytes += bytes;
    }

    /// When to look next if no packet comes; [`Instant::MAX`]: never.
    pub fn deadline(&self) -> Instant {
        self.next_at
    }
}

/// One SA's limits as points in time and byte counts.
#[derive(Debug, Clone)]
pub struct Life {
    soft_at: Instant,
    hard_at: Instant,
    soft_bytes: u64,
    hard_bytes: u64,
    over: bool,
}

impl Life {
    /// The life of an SA installed at `now`, and the meter that goes with it.
    pub fn new(now: Instant, lifetime: Lifetime) -> (Self, Meter) {
        let at = |time: Option<_>| time.map_or(Instant::MAX, |time| now + time);
        let (soft_at, hard_at) = (at(lifetime.soft.time), at(lifetime.hard.time));
        let soft_bytes = lifetime.soft.bytes.unwrap_or(u64::MAX);
        let hard_bytes = lifetime.hard.bytes.unwrap_or(u64::MAX);
        let (next_bytes, next_at) = (soft_bytes.min(hard_bytes), soft_at.min(hard_at));
        let life = Self { soft_at, hard_at, soft_bytes, hard_bytes, over: false };
        (life, Meter { packets: 0, bytes: 0, next_bytes, next_at })
    }

    /// Look at the limits when the SA has protected what its meter says.
    pub fn look(&mut self, now: Instant, meter: &mut Meter) -> Reached {
        if meter.is_quiet(now) {
            return Reached::Nothing;
        }
        if self.over || meter.bytes >= self.hard_bytes || now >= self.hard_at {
            self.over = true;
            return Reached::Hard;
        }
        let first = meter.next_bytes != self.hard_bytes || meter.next_at != self.hard_at;
        (meter.next_bytes, meter.next_at) = (self.hard_bytes, self.hard_at);
        if first && (meter.bytes >= self.soft_bytes || now >= self.soft_at) {
            Reached::Soft
        } else {
            Reached::Nothing
        }
    }

    /// Whether the hard limit was reached.
    pub fn is_over(&self) -> bool {
        self.over
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
        let look = |(life, meter): &mut (Life, Meter), s, bytes| {
            meter.bytes = bytes;
            life.look(at(s), meter)
        };
        let mut by_time = Life::new(at(5), lifetime);
        assert_eq!((by_time.1.deadline(), look(&mut by_time, 14, 99)), (at(15), Reached::Nothing));
        assert_eq!(
            (look(&mut by_time, 15, 0), look(&mut by_time, 16, 150)),
            (Reached::Soft, Reached::Nothing)
        );
        assert_eq!((by_time.1.deadline(), look(&mut by_time, 25, 0)), (at(25), Reached::Hard));
        let mut by_bytes = Life::new(at(0), lifetime);
        assert_eq!(
            (look(&mut by_bytes, 0, 100), look(&mut by_bytes, 11, 199)),
            (Reached::Soft, Reached::Nothing)
        );
        assert_eq!((look(&mut by_bytes, 0, 200), by_bytes.0.is_over()), (Reached::Hard, true));
        let mut endless = Life::new(at(0), Lifetime::default());
        assert_eq!(
            (look(&mut endless, 1 << 20, u64::MAX - 1), endless.1.deadline()),
            (Reached::Nothing, Instant::MAX)
        );
    }
}
