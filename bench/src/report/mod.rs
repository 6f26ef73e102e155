//! What a run looks like: pure functions of its figures.

pub mod baseline;
pub mod bench;
pub mod document;
pub mod profile;
pub mod require;
pub mod seeds;
pub mod text;
