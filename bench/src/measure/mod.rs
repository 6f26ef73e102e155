//! What a run says of itself: the books of every packet, and the figures made from them.

pub mod clock;
pub mod figures;
pub mod lanes;
pub mod latency;
pub mod ledger;
pub mod outage;
mod parts;
pub mod phases;
pub mod recording;
pub mod rekeys;
pub mod series;
pub mod throughput;
pub mod topology;
