//! Tasks of the runtime, and work that would block it.

pub use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
pub use tokio::task::{
    AbortHandle, JoinError, JoinHandle, JoinSet, block_in_place, spawn, spawn_blocking,
    unconstrained, yield_now,
};
