//! Who tells the world the time. Only here are clocks read.

pub mod pin;
pub mod simulated;
