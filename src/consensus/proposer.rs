//! Gathers the commands of many connections into entries.
//!
//! Commands are encoded straight into the buffer that becomes the next entry. A task takes the
//! buffer whenever there is something in it and fewer than
//! [`ProposerOptions::entries_in_flight_max`] entries are on their way; what arrives meanwhile
//! gathers in the next one. So an idle server proposes a single command at once, and batches grow
//! by themselves with the load; there is no delay to be tuned.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::error::ProposeError;
use super::handle::{Consensus, Outcome};
use super::status::{Role, Status};

/// Limits of a [`Proposer`].
#[derive(Clone, Debug)]
pub struct ProposerOptions {
    /// Zero bytes at the front of every buffer, for the header that the seal writes.
    pub header_bytes: usize,
    /// An entry is closed when it is at least this long.
    pub batch_bytes_soft_max: usize,
    /// When this many bytes wait, [`Proposer::push`] refuses more.
    pub waiting_bytes_max: usize,
    /// Entries proposed and not applied yet. Two: one is flushed while the next one gathers and
    /// is handed over; more make batches smaller without making the disk faster.
    pub entries_in_flight_max: usize,
}

impl Default for ProposerOptions {
    fn default() -> Self {
        Self {
            header_bytes: 0,
            batch_bytes_soft_max: 1 << 20,
            waiting_bytes_max: 64 << 20,
            entries_in_flight_max: 2,
        }
    }
}

/// The queue in front of the consensus. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Proposer {
    shared: Arc<Shared>,
}

impl Proposer {
    /// Starts the proposing task. `seal` makes a finished buffer an entry: it gets the number of
    /// commands in it, and stamps the time. The task ends when the consensus stops.
    pub fn start(
        consensus: &Consensus,
        options: ProposerOptions,
        seal: impl FnMut(u32, BytesMut) -> Bytes + Send + 'static,
    ) -> Self {
        let queue = Queue { open: Batch::new(&options, 0), ..Queue::default() };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            waiting_bytes: AtomicUsize::new(0),
            filled: Notify::new(),
            consensus: consensus.clone(),
            options,
        });
        let task = Task { shared: Arc::clone(&shared), seal, in_flight: VecDeque::new() };
        tokio::spawn(task.run());
        Self { shared }
    }

    /// Adds one command: `encode` appends its bytes. Commands are applied in the order in which
    /// they were added, unless the leadership is lost in between.
    ///
    /// # Errors
    ///
    /// [`ProposeError::DiskFull`], [`ProposeError::Unavailable`] when too much waits,
    /// [`ProposeError::Stopped`]; `encode` was not called then.
    pub fn push(&self, encode: impl FnOnce(&mut BytesMut)) -> Result<(), ProposeError> {
        let Shared { queue, waiting_bytes, filled, consensus, options } = &*self.shared;
        if consensus.disk_full() {
            return Err(ProposeError::DiskFull);
        }
        let mut queue = queue.lock();
        if queue.stopped {
            return Err(ProposeError::Stopped);
        }
        if queue.waiting_bytes >= options.waiting_bytes_max {
            return Err(ProposeError::Unavailable);
        }
        let was_empty = queue.is_empty();
        let before = queue.open.buffer.len();
        encode(&mut queue.open.buffer);
        queue.open.commands += 1;
        let length = queue.open.buffer.len();
        queue.waiting_bytes += length - before;
        waiting_bytes.store(queue.waiting_bytes, Ordering::Relaxed);
        if length >= options.batch_bytes_soft_max {
            let closed = std::mem::replace(&mut queue.open, Batch::new(options, length));
            queue.closed.push_back(closed);
        }
        drop(queue);
        if was_empty {
            filled.notify_one();
        }
        Ok(())
    }

    /// Bytes that wait to be proposed.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.waiting_bytes.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// As in the queue, to be read without its lock.
    waiting_bytes: AtomicUsize,
    /// Signalled when the queue is no longer empty.
    filled: Notify,
    consensus: Consensus,
    options: ProposerOptions,
}

#[derive(Debug, Default)]
struct Queue {
    /// Closed because they were long enough; oldest first.
    closed: VecDeque<Batch>,
    /// Where commands are added.
    open: Batch,
    waiting_bytes: usize,
    /// The task has ended: nothing is proposed any more.
    stopped: bool,
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.commands == 0
    }

    fn take(&mut self, options: &ProposerOptions) -> Option<Batch> {
        let batch = match self.closed.pop_front() {
            Some(batch) => batch,
            None if self.open.commands == 0 => return None,
            None => {
                let expected = self.open.buffer.len();
                std::mem::replace(&mut self.open, Batch::new(options, expected))
            }
        };
        self.waiting_bytes -= batch.buffer.len() - options.header_bytes;
        Some(batch)
    }
}

/// An entry in the making.
#[derive(Debug, Default)]
struct Batch {
    buffer: BytesMut,
    commands: u32,
}

impl Batch {
    /// A buffer that is about to hold as much as the previous one did.
    fn new(options: &ProposerOptions, expected: usize) -> Self {
        let capacity = expected.min(options.batch_bytes_soft_max).max(512) + options.header_bytes;
        let mut buffer = BytesMut::with_capacity(capacity);
        buffer.resize(options.header_bytes, 0);
        Self { buffer, commands: 0 }
    }
}

/// Takes batches and proposes them.
struct Task<F> {
    shared: Arc<Shared>,
    seal: F,
    /// Proposed and not applied yet, oldest first.
    in_flight: VecDeque<Outcome>,
}

impl<F: FnMut(u32, BytesMut) -> Bytes> Task<F> {
    async fn run(mut self) {
        let mut status = self.shared.consensus.watch_status();
        // The consensus ends, or is dropped.
        let ended = |status: &Status| status.role == Role::Stopped;
        loop {
            let leads = status.wait_for(|status| status.is_leader() || ended(status)).await;
            if leads.is_ok_and(|status| ended(&status)) {
                break;
            }
            let mut changed = self.shared.consensus.watch_status();
            let stopped = changed.wait_for(ended);
            let next = tokio::select! {
                batch = next_batch(&self.shared, &mut self.in_flight) => batch,
                _ = stopped => break,
            };
            let entry = (self.seal)(next.commands, next.buffer);
            match self.shared.consensus.submit(entry).await {
                Ok(outcome) => self.in_flight.push_back(outcome),
                Err(ProposeError::Stopped) => break,
                // Those who wait for an answer see the change of leader and ask again.
                Err(error) => tracing::debug!(%error, "a batch was not proposed"),
            }
        }
        self.shared.queue.lock().stopped = true;
    }
}

/// Waits until an entry may be proposed and there is one.
async fn next_batch(shared: &Shared, in_flight: &mut VecDeque<Outcome>) -> Batch {
    loop {
        while in_flight.len() >= shared.options.entries_in_flight_max {
            if let Some(oldest) = in_flight.front_mut() {
                // Applied or lost: its place is free either way.
                let _ = oldest.await;
                in_flight.pop_front();
            }
        }
        let filled = shared.filled.notified();
        let batch = {
            let mut queue = shared.queue.lock();
            let batch = queue.take(&shared.options);
            shared.waiting_bytes.store(queue.waiting_bytes, Ordering::Relaxed);
            batch
        };
        if let Some(batch) = batch {
            return batch;
        }
        filled.await;
    }
}
