//! Helpers shared by the tests beside this crate.
