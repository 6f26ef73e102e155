//! ESP on cores.
#![deny(unsafe_code)]

pub mod batch;
pub mod crypto;
pub mod fate;
pub mod fib;
pub mod frame;
pub mod hash;
pub mod host;
pub mod lifetimes;
pub mod mem;
pub mod pipeline;
pub mod policy;
pub mod sa;
pub mod stage;
#[cfg(test)]
mod testing;
pub mod worker;
