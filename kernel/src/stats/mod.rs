//! Numbers that any thread may add to.

mod counter;
mod spread;

pub use counter::Counter;
pub use spread::{Extremes, Spread};
