//! The stages: one verb a file. Their order is in [`pipeline`](crate::pipeline).

pub mod classify;
pub mod crypt;
pub mod decap;
pub mod ecn;
pub mod encap;
pub mod forward;
pub mod fragment;
pub mod icmp;
pub mod locate;
pub mod punt;
pub mod reassemble;
