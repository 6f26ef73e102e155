//! What a run looks like: pure functions of its figures.

pub mod attach;
pub mod bench;
pub mod compare;
pub mod document;
pub mod explain;
pub mod require;
pub mod seeds;
pub mod text;
