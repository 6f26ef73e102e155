//! Memory that packets move in.

mod pool;
#[allow(unsafe_code, reason = "a hint to the cache; its block says why it is sound")]
mod prefetch;
mod ring;

pub use pool::Pool;
pub use prefetch::prefetch;
pub use ring::Ring;
