//! Tasks and timers: the one place of the client that asks the runtime for them. Sockets are in
//! [`transport`](crate::transport), randomness in [`random`](crate::random).

use std::time::Duration;

pub(crate) use tokio::task::{JoinHandle, yield_now};
pub(crate) use tokio::time::{Instant, Sleep, sleep_until};

/// The runtime's clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Runs a task. It needs the runtime of the caller.
pub(crate) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(task)
}

/// Runs something to its end in the background, if there is a runtime to do so.
pub(crate) fn spawn_detached(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// The outcome of `work`; `None` if it takes longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    tokio::time::timeout(limit, work).await.ok()
}
