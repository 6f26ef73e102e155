//! The anti-replay window (RFC 4303 section 3.4.3): a word that is shifted where it holds the window, else RFC 6479's ring of
//! words that is not; and the inference of the high half of extended sequence numbers (RFC 4303 appendix A2.2).
//!
//! A packet is checked before its ICV is verified and committed after: what is not authentic never moves the window.

/// The largest window, in packets.
pub const WINDOW_MAX: u32 = 8192;

const WORD: u64 = 64;

/// What an inbound SA knows about the sequence numbers it has seen.
#[derive(Debug)]
pub struct Window {
    /// The highest number committed; 0 before the first.
    top: u64,
    /// Of windows that a word holds: the number `top - n` has bit n. It is shifted, and stands beside the rest of the SA.
    recent: u64,
    size: u32,
    /// Words of the ring, less one: a power of two, so that no division is needed.
    mask: u32,
    /// The ring of larger windows.
    ring: Box<[u64]>,
}

impl Window {
    /// A window of `size` packets, at most [`WINDOW_MAX`] (more is taken as that); 0 checks nothing.
    pub fn new(size: u32) -> Self {
        let size = size.min(WINDOW_MAX);
        // A window that does not begin at a word's boundary touches one word more than it fills.
        let words = (size + WORD as u32 - 1).div_ceil(WORD as u32).next_power_of_two();
        let is_large = size > WORD as u32;
        let ring = if is_large { vec![0; words as usize].into_boxed_slice() } else { Box::default() };
        Self { top: 0, recent: 0, size, mask: words - 1, ring }
    }

    #[inline(always)]
    fn is_small(&self) -> bool {
        self.size <= WORD as u32
    }

    /// The highest sequence number committed.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// The whole number whose low half is `low`; `None` when it would lie before the SA's first packet.
    pub fn infer(&self, low: u32, esn: bool) -> Option<u64> {
        if !esn {
            return Some(u64::from(low));
        }
        // Without a window nothing is too old: take the number nearest to the highest.
        let size = if self.size == 0 { 1 << 31 } else { self.size };
        let (top_high, top_low) = (self.top >> 32, self.top as u32);
        let bottom = top_low.wrapping_sub(size - 1);
        let high = match (top_low >= size - 1, low >= bottom) {
            (true, true) | (false, false) => Some(top_high),
            (true, false) => top_high.checked_add(1).filter(|high| *high <= u64::from(u32::MAX)),
            (false, true) => top_high.checked_sub(1),
        };
        high.map(|high| (high << 32) | u64::from(low))
    }

    /// Whether `seq` is new as far as the window knows.
    pub fn check(&self, seq: u64) -> bool {
        if self.size == 0 || seq > self.top {
            return true;
        }
        if seq == 0 || self.top - seq >= u64::from(self.size) {
            return false;
        }
        if self.is_small() {
            return self.recent >> (self.top - seq) & 1 == 0;
        }
        self.word(seq) & bit(seq) == 0
    }

    /// Check again (its batch may hold the same number twice) and remember an authentic `seq`. `false`: a replay.
    #[inline(always)]
    pub fn commit(&mut self, seq: u64) -> bool {
        if seq <= self.top || !self.is_small() {
            return self.commit_elsewhere(seq);
        }
        let ahead = seq - self.top;
        self.recent = if ahead < WORD { self.recent << ahead | 1 } else { 1 };
        self.top = seq;
        true
    }

    /// Remember so many authentic numbers, which follow the highest and are new for that reason.
    #[inline]
    pub fn commit_next(&mut self, count: u64) {
        if !self.is_small() {
            return (0..count).for_each(|_| _ = self.commit_elsewhere(self.top + 1));
        }
        self.recent = if count < WORD { self.recent << count | ((1 << count) - 1) } else { u64::MAX };
        self.top += count;
    }

    /// The same for a number that is not the highest, or for a large window.
    fn commit_elsewhere(&mut self, seq: u64) -> bool {
        if !self.check(seq) {
            return false;
        }
        if self.is_small() {
            // Without a window numbers may be older than a word holds.
            self.recent |= 1u64.checked_shl((self.top - seq).min(WORD) as u32).unwrap_or(0);
            return true;
        }
        self.advance(seq);
        *self.word_mut(seq) |= bit(seq);
        true
    }

    /// Clear the words between the old highest number and a new one (RFC 6479 section 3).
    fn advance(&mut self, seq: u64) {
        let (old, new, mask) = (self.top / WORD, seq / WORD, u64::from(self.mask));
        let cleared = new.saturating_sub(old).min(mask + 1);
        for word in new + 1 - cleared..=new {
            self.ring[(word & mask) as usize] = 0;
        }
        self.top = self.top.max(seq);
    }

    #[inline(always)]
    fn word_mut(&mut self, seq: u64) -> &mut u64 {
        &mut self.ring[((seq / WORD) & u64::from(self.mask)) as usize]
    }

    #[inline(always)]
    fn word(&self, seq: u64) -> u64 {
        self.ring[((seq / WORD) & u64::from(self.mask)) as usize]
    }
}

const fn bit(seq: u64) -> u64 {
    1 << (seq % WORD)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The definition: a set of every number seen.
    #[derive(Default)]
    struct Naive {
        seen: BTreeSet<u64>,
        top: u64,
    }

    impl Naive {
        fn is_new(&self, seq: u64, size: u64) -> bool {
            seq != 0 && (seq > self.top || self.top - seq < size && !self.seen.contains(&seq))
        }

        fn commit(&mut self, seq: u64, size: u64) -> bool {
            let new = self.is_new(seq, size);
            if new {
                self.seen.insert(seq);
                self.top = self.top.max(seq);
            }
            new
        }
    }

    /// Steps that stay about the window's size, with an occasional leap.
    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![6 => -3i64..4, 3 => -300i64..300, 1 => -9000i64..20_000]
    }

    /// How many numbers come in order before a step: seldom any.
    fn next() -> impl Strategy<Value = u64> {
        prop_oneof![8 => Just(0u64), 1 => 1u64..4, 1 => 60u64..70, 1 => 0u64..300]
    }

    proptest! {
        #[test]
        fn equals_the_set_of_all_numbers_seen(
            size in prop_oneof![1u32..200, Just(64), Just(WINDOW_MAX)],
            start in prop_oneof![Just(0u64), Just((1u64 << 32) - 200), Just((7u64 << 32) - 5000)],
            steps in proptest::collection::vec((step(), any::<bool>(), next()), 1..300),
        ) {
            let mut window = Window::new(size);
            let mut naive = Naive::default();
            let mut at = start;
            for (step, authentic, next) in steps {
                window.commit_next(next);
                (0..next).for_each(|_| _ = naive.commit(naive.top + 1, u64::from(size)));
                at = at.saturating_add_signed(step);
                let new = naive.is_new(at, u64::from(size));
                prop_assert_eq!(window.check(at), new, "{} in {:?}", at, window);
                if authentic {
                    prop_assert_eq!(window.commit(at), naive.commit(at, u64::from(size)));
                    prop_assert!(!window.check(at));
                }
                prop_assert_eq!(window.top(), naive.top);
            }
        }

        #[test]
        fn the_high_half_is_inferred_within_the_window_and_2_31_ahead(
            size in 1u32..=WINDOW_MAX,
            top in prop_oneof![0u64..10_000, (1u64 << 32) - 10_000..(1u64 << 32) + 10_000, 5u64 << 32..9u64 << 32],
            back in 0u64..8192,
            ahead in 0u64..1 << 31,
        ) {
            let mut window = Window::new(size);
            prop_assume!(top > 0);
            window.commit(top);
            let behind = top.saturating_sub(back % u64::from(size)).max(1);
            prop_assert_eq!(window.infer(behind as u32, true), Some(behind));
            prop_assert_eq!(window.infer((top + ahead) as u32, true), Some(top + ahead));
            prop_assert_eq!(window.infer(top as u32, false), Some(top & 0xffff_ffff));
        }
    }

    #[test]
    fn the_edges() {
        let mut off = Window::new(0);
        assert!(off.commit(5) && off.commit(5) && off.check(0));
        let fresh = Window::new(64);
        assert_eq!(fresh.infer(u32::MAX, true), None, "before the first packet");
        assert!(!fresh.check(0), "0 is never sent");
        let mut late = Window::new(64);
        assert!(late.commit(u64::MAX) && !late.commit(u64::MAX));
        assert_eq!(late.infer(5, true), None, "past the last number");
    }
}
