//! Threads of the operating system: those that write the log and checkpoints.

pub use std::thread::{
    Builder, JoinHandle, Thread, ThreadId, available_parallelism, current, park, scope, sleep,
    spawn,
};
