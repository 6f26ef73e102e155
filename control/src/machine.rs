//! What every protocol here is: a value that turns `(now, event)` into actions.

use espalier_wire::Instant;

/// A protocol as a value. It reads no clock and does no I/O: whoever drives it gives it the time and its events, and
/// carries out its actions in the order they were pushed.
///
/// The driver's contract: `now` never runs backwards, and [`Machine::timer`] is called once `next_deadline()` is
/// reached (late is allowed, and harmless but for the lateness itself).
pub trait Machine {
    /// What can happen to it.
    type Event;
    /// What it wants done.
    type Action;

    /// Something happened.
    fn on(&mut self, now: Instant, event: Self::Event, actions: &mut Vec<Self::Action>);

    /// Time has passed: fire every timer whose deadline is not after `now`.
    fn timer(&mut self, now: Instant, actions: &mut Vec<Self::Action>);

    /// When [`Machine::timer`] wants to be called next.
    fn next_deadline(&self) -> Option<Instant>;
}
