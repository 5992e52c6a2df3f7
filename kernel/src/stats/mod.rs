//! Numbers that any thread may add to.

mod counter;
mod histogram;

pub use counter::Counter;
pub use histogram::{Extremes, Histogram};
