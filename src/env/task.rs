//! Tasks of the runtime, and work that would block it.

pub use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
pub use tokio::task::{AbortHandle, JoinHandle, spawn, spawn_blocking, unconstrained, yield_now};

/// Runs something long on this thread. If the runtime has several threads, the other tasks of this one go to another
/// meanwhile.
pub fn block_in_place<T>(work: impl FnOnce() -> T) -> T {
    let has_threads = |runtime: Handle| runtime.runtime_flavor() == RuntimeFlavor::MultiThread;
    if Handle::try_current().is_ok_and(has_threads) {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
