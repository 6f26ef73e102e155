//! Memory that packets move in, and rings that they move over.

mod pool;
#[allow(unsafe_code, reason = "a hint to the cache; its block says why it is sound")]
mod prefetch;
mod ring;
#[allow(unsafe_code, reason = "boxes cross as pointers; its block says why it is sound")]
mod spsc;
pub(crate) mod sync;

pub use pool::Pool;
pub use prefetch::{prefetch, prefetch_line, prefetch_lines};
pub use ring::Ring;
pub use spsc::{Receiver, Sender, spsc};
