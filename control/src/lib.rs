//! The protocols as pure state machines: `(now, event) -> actions`.
#![forbid(unsafe_code)]

pub mod crypto_map;
pub mod host;
pub mod machine;
pub mod ospf;
pub mod profile;
pub mod rri;

pub use machine::Machine;
