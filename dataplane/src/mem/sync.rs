//! What is shared between cores is made of: the standard library's, or under `--cfg loom` loom's, which tries every
//! order in which two cores can see each other's writes.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc,
    atomic::{AtomicPtr, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicPtr, AtomicUsize, Ordering},
};

/// Lets the other core go on; longer from call to call.
#[derive(Default)]
pub(crate) struct Patience(#[cfg(not(loom))] crossbeam::utils::Backoff);

impl Patience {
    pub(crate) fn wait(&self) {
        #[cfg(loom)]
        loom::thread::yield_now();
        #[cfg(not(loom))]
        self.0.snooze();
    }
}
