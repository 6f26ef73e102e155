//! What a run says of itself: the books of every packet, and the figures made from them.

pub mod clock;
pub mod figures;
pub mod lanes;
pub mod latency;
pub mod ledger;
pub mod load;
pub mod outage;
mod parts;
pub mod phases;
pub mod recording;
pub mod rekeys;
pub mod rig;
pub mod scaling;
pub mod search;
pub mod series;
pub mod stages;
pub mod throughput;
pub mod topology;
