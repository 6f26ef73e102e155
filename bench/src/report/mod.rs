//! What a run looks like: pure functions of its figures.

pub mod attach;
pub mod baseline;
pub mod bench;
pub mod beside;
pub mod compare;
pub mod cores;
pub mod document;
pub mod explain;
pub mod html;
pub mod json;
pub mod prediction;
pub mod profile;
pub mod require;
pub mod runs;
pub mod search;
pub mod seeds;
pub mod sweep;
pub mod text;
