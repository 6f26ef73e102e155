//! What a run says of itself: the books of every packet, and the figures made from them.

pub mod ledger;
pub mod recording;
