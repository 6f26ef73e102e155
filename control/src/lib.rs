//! The protocols as pure state machines: `(now, event) -> actions`.
#![forbid(unsafe_code)]

pub mod machine;

pub use machine::Machine;
