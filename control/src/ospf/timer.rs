//! Timers as data: an array of deadlines, indexed by an enum.

use espalier_wire::Instant;

/// `N` timers, each stopped or with a deadline.
#[derive(Debug, Clone)]
pub(super) struct Timers<const N: usize>([Option<Instant>; N]);

impl<const N: usize> Default for Timers<N> {
    fn default() -> Self {
        Self([None; N])
    }
}

impl<const N: usize> Timers<N> {
    pub(super) fn start(&mut self, timer: usize, at: Instant) {
        if let Some(slot) = self.0.get_mut(timer) {
            *slot = Some(at);
        }
    }

    /// Start, unless it runs already and ends earlier.
    pub(super) fn start_by(&mut self, timer: usize, at: Instant) {
        if self.at(timer).is_none_or(|running| at < running) {
            self.start(timer, at);
        }
    }

    pub(super) fn stop(&mut self, timer: usize) {
        if let Some(slot) = self.0.get_mut(timer) {
            *slot = None;
        }
    }

    pub(super) fn at(&self, timer: usize) -> Option<Instant> {
        self.0.get(timer).copied().flatten()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// A timer whose deadline is not after `now`, stopped.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<usize> {
        let due = self.0.iter().position(|at| at.is_some_and(|at| at <= now))?;
        self.stop(due);
        Some(due)
    }
}
