//! Memory that packets move in.

mod pool;

pub use pool::Pool;
