//! ESP on cores.

pub mod crypto;
