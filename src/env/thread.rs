//! Threads of the operating system: those that write the log and checkpoints.

pub use std::thread::{
    Builder, JoinHandle, ThreadId, available_parallelism, current, scope, sleep, spawn,
};
