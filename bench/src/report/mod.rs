//! What a run looks like: pure functions of its figures.

pub mod bench;
pub mod document;
pub mod html;
pub mod json;
pub mod require;
pub mod seeds;
pub mod sweep;
pub mod text;
