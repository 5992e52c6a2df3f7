//! Writes checkpoints on a thread of their own, one at a time.

use std::sync::Arc;
use std::sync::mpsc;

use parking_lot::Mutex;
use tokio::sync::{mpsc as async_mpsc, watch};

use crate::env::thread;
use crate::env::thread::JoinHandle;
use crate::storage::log::LogFlush;
use crate::storage::state::CheckpointMark;
use crate::storage::{RowSource, StateDb, StorageError};

/// A checkpoint to be written.
pub(super) struct CheckpointJob {
    pub(super) source: Box<dyn RowSource>,
    pub(super) mark: CheckpointMark,
    /// That the entries it comes from are on disk.
    pub(super) log: LogFlush,
}

/// The thread that writes checkpoints, seen from outside.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// `None` while it is dropped, which ends the thread.
    jobs: Option<mpsc::Sender<CheckpointJob>>,
    state: StateDb,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Whether one is being written.
    busy: watch::Sender<bool>,
    /// Why none can be written any more.
    failure: Mutex<Option<String>>,
}

/// The right to submit one checkpoint.
pub(super) struct Reservation<'a>(&'a Checkpoints);

impl Reservation<'_> {
    pub(super) fn submit(self, job: CheckpointJob) {
        if self.0.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            self.0.fail("the thread that writes checkpoints has ended".to_owned());
        }
    }
}

impl Checkpoints {
    /// Starts the thread. `written` gets a message after each checkpoint that is on disk.
    pub(super) fn start(
        state: StateDb,
        written: async_mpsc::UnboundedSender<()>,
    ) -> Result<Arc<Self>, StorageError> {
        let (jobs, queue) = mpsc::channel::<CheckpointJob>();
        let checkpoints = Arc::new(Self {
            jobs: Some(jobs),
            state: state.clone(),
            thread: Mutex::default(),
            busy: watch::Sender::new(false),
            failure: Mutex::default(),
        });
        // Weak, so that the thread ends when nobody can submit any more.
        let weak = Arc::downgrade(&checkpoints);
        let thread = thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || {
                for job in queue {
                    let result = write(&state, job);
                    let Some(checkpoints) = weak.upgrade() else { return };
                    if let Err(error) = &result {
                        checkpoints.fail(error.to_string());
                    }
                    // Before the message, upon which the next one may be begun.
                    checkpoints.busy.send_replace(false);
                    if result.is_ok() {
                        // Nobody waits for the message while the server stops.
                        let _ = written.send(());
                    }
                }
            })
            .map_err(|source| StorageError::Io {
                action: "start a thread for checkpoints in",
                path: "state.redb".into(),
                source,
            })?;
        *checkpoints.thread.lock() = Some(thread);
        Ok(checkpoints)
    }

    /// Reserves the thread; `None` while it is busy.
    pub(super) fn reserve(&self) -> Option<Reservation<'_>> {
        let was_idle = self.busy.send_if_modified(|busy| !std::mem::replace(busy, true));
        was_idle.then_some(Reservation(self))
    }

    /// Waits until no checkpoint is being written.
    pub(crate) async fn wait_until_idle(&self) {
        // The sender is in self, so this cannot fail.
        let _ = self.busy.subscribe().wait_for(|busy| !busy).await;
    }

    /// Why no checkpoint can be written any more.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    fn fail(&self, why: String) {
        tracing::error!(why, "a checkpoint cannot be written");
        self.failure.lock().get_or_insert(why);
        self.busy.send_replace(false);
    }
}

impl Drop for Checkpoints {
    /// Waits for the thread, so that nobody writes to the data directory afterwards.
    fn drop(&mut self) {
        self.jobs = None;
        self.state.close();
        if let Some(thread) = self.thread.lock().take() {
            // The thread itself may have been the last to hold a reference.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn write(state: &StateDb, mut job: CheckpointJob) -> Result<(), StorageError> {
    let size = state.write_checkpoint(&mut *job.source, &job.mark, &job.log)?;
    let position = job.mark.position.map_or_else(|| "nothing".to_owned(), |p| p.to_string());
    tracing::debug!(position, rows = size.rows, bytes = size.bytes, "checkpoint written");
    Ok(())
}
