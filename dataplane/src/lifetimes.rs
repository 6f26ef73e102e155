//! When to look at which SA, though no packet comes.

use std::collections::BTreeSet;

use espalier_wire::{Instant, Spi};

use crate::policy::PolicyRef;
use crate::sa::InboundRef;

/// An SA that has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// An inbound one.
    Inbound(InboundRef),
    /// A policy's outbound one, as long as it has this SPI.
    Outbound(PolicyRef, Spi),
    /// The same, for the NAT on its way to remember it.
    Keepalive(PolicyRef, Spi),
}

/// Deadlines, earliest first. One of an SA that is gone finds nothing and is forgotten.
#[derive(Debug, Default)]
pub struct Lifetimes(BTreeSet<(Instant, Timer)>);

impl Lifetimes {
    /// Look at `timer`'s SA at `at`; [`Instant::MAX`] is never.
    pub fn set(&mut self, at: Instant, timer: Timer) {
        if at < Instant::MAX {
            self.0.insert((at, timer));
        }
    }

    /// Take a timer that is due by `now`.
    pub fn due(&mut self, now: Instant) -> Option<Timer> {
        let due = self.0.first().is_some_and(|(at, _)| *at <= now);
        if due { self.0.pop_first().map(|(_, timer)| timer) } else { None }
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }
}
