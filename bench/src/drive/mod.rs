//! Who tells the world the time, and which core a thread runs on. Beside this only what measures throughput reads a clock.

pub mod counters;
pub mod host;
pub mod lab;
pub mod layout;
pub mod pin;
pub mod pinned;
mod run;
pub mod simulated;
pub mod topology;
