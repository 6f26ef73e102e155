//! IOS configuration text and the model it means, both ways.
//!
//! ```text
//! text ── text::words ── matching ── command tables ──> model::Config ── print ──> text
//!                            │              │                  │
//!                            └── syntax     └── diagnostics ───┴── check
//! ```
//!
//! [`parse`] reads a file, [`Config::apply`] takes lines at run time, [`print()`] writes what `show running-config`
//! shows, [`parse_exec`] reads `show …` and `debug …`. What a configuration *does* is not said here.

mod check;
pub mod command;
pub mod diagnostic;
mod matching;
pub mod model;
mod parse;
mod print;
mod syntax;
pub mod text;

pub use command::{Debug, Exec, parse_exec};
pub use diagnostic::{Diagnostic, Severity};
pub use model::{Config, Interface, InterfaceName};
pub use parse::{Parsed, parse, parse_bytes};
pub use print::print;

#[cfg(test)]
mod tests;
