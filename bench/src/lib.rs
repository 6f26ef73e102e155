//! The laboratory.

pub mod capture;
pub mod staged;
