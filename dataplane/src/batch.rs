//! The frames that move together. Ports, stages and engines take many packets at once.

use crate::frame::Frame;

/// The most frames that a stage takes at once; longer lists are worked off in pieces of this.
pub const BATCH_MAX: usize = 512;

/// Frames in the order they came. Its memory is kept from batch to batch.
pub type Batch = Vec<Frame>;
