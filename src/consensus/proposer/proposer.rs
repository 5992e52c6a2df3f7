//! The queue in front of the consensus, as the rest of the server sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::super::error::{ProposeError, ReadError};
use super::super::handle::Consensus;
use super::batch::Ack;
use super::calls::Calls;
use super::host;
use super::liaison::{Commands, Liaison};
use super::queue::Queue;
use super::task::{Contact, Task};

/// Barriers that may wait to be asked for.
const BARRIERS_WAITING_MAX: usize = 64;

/// Limits of a [`Proposer`].
#[derive(Clone, Debug)]
pub struct ProposerOptions {
    /// Zero bytes at the front of every buffer, for the header that the seal writes.
    pub header_bytes: usize,
    /// A batch is closed when it is at least this long.
    pub batch_bytes_soft_max: usize,
    /// When this many bytes are not known to be applied, [`Proposer::push`] refuses more.
    pub waiting_bytes_max: usize,
    /// Entries proposed and not applied yet. Two: one is flushed while the next one gathers and
    /// is handed over; more make batches smaller without making the disk faster.
    pub entries_in_flight_max: usize,
    /// Batches sent to the leader and not known to be applied. More than entries, as the way is
    /// longer.
    pub batches_in_flight_max: usize,
}

impl Default for ProposerOptions {
    fn default() -> Self {
        Self {
            header_bytes: 0,
            batch_bytes_soft_max: 1 << 20,
            waiting_bytes_max: 64 << 20,
            entries_in_flight_max: 2,
            batches_in_flight_max: 8,
        }
    }
}

/// The queue in front of the consensus. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Proposer {
    shared: Arc<Shared>,
}

impl Proposer {
    /// Starts the proposing task. The task ends when the consensus stops.
    pub fn start(
        consensus: &Consensus,
        options: ProposerOptions,
        commands: impl Commands,
        liaison: Arc<dyn Liaison>,
    ) -> Self {
        let (ask, barriers) = mpsc::channel(BARRIERS_WAITING_MAX);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(&options)),
            unfinished_bytes: AtomicUsize::new(0),
            filled: Notify::new(),
            consensus: consensus.clone(),
            options,
            contact: Contact::default(),
            calls: Calls::default(),
            ask,
        });
        let proposer = Self { shared: Arc::clone(&shared) };
        if let Some(forwards) = consensus.take_forwards() {
            tokio::spawn(host::run(proposer.clone(), forwards, Arc::clone(&liaison)));
        }
        tokio::spawn(Task::new(shared, commands, liaison, barriers).run());
        proposer
    }

    /// Adds one command of a client: `encode` appends its bytes. Commands are applied in the order in
    /// which they were added, by whichever server leads.
    ///
    /// # Errors
    ///
    /// [`ProposeError::DiskFull`], [`ProposeError::Unavailable`] when too much waits,
    /// [`ProposeError::Stopped`]; `encode` was not called then.
    pub fn push(&self, encode: impl FnOnce(&mut BytesMut)) -> Result<(), ProposeError> {
        self.add(1, None, None, encode)
    }

    /// Adds one command that the leader of `term` gives on its own: nothing comes of it if that
    /// leadership ends first.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_as_leader(
        &self,
        term: u64,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<(), ProposeError> {
        self.add(1, Some(term), None, encode)
    }

    /// Adds commands that a follower sent to the leader of `term`.
    pub(super) fn push_forwarded(
        &self,
        term: u64,
        commands: u32,
        payload: &[u8],
        ack: Ack,
    ) -> Result<(), ProposeError> {
        self.add(commands, Some(term), Some(ack), |buffer| buffer.extend_from_slice(payload))
    }

    fn add(
        &self,
        commands: u32,
        term: Option<u64>,
        ack: Option<Ack>,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<(), ProposeError> {
        let Shared { queue, unfinished_bytes, filled, consensus, options, .. } = &*self.shared;
        // What a follower took cannot be refused any more, it waits; whether the disk of another leader
        // is full is for that one to say.
        if ack.is_none() && consensus.disk_full() && consensus.leads() {
            return Err(ProposeError::DiskFull);
        }
        let mut queue = queue.lock();
        if queue.stopped {
            return Err(ProposeError::Stopped);
        }
        if queue.unfinished_bytes >= options.waiting_bytes_max {
            return Err(ProposeError::Unavailable);
        }
        let was_empty = queue.is_empty();
        let before = queue.open.buffer.len();
        encode(&mut queue.open.buffer);
        if let Some(term) = term {
            queue.open.bind(term);
        }
        if let Some(ack) = ack {
            queue.open.on_applied(ack);
        }
        queue.added(commands, before, options);
        unfinished_bytes.store(queue.unfinished_bytes, Ordering::Relaxed);
        drop(queue);
        if was_empty {
            filled.notify_one();
        }
        Ok(())
    }

    /// Bytes of commands that are not known to be applied.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.unfinished_bytes.load(Ordering::Relaxed)
    }

    /// Waits until every write that was acknowledged anywhere before the call is applied here.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: it cannot be known now; worth another try unless it says that the server stops.
    pub async fn read_barrier(&self) -> Result<(), ReadError> {
        let asked = Instant::now();
        let (answer, answered) = oneshot::channel();
        self.shared.ask.send(answer).await.map_err(|_| ReadError::Stopped)?;
        answered.await.unwrap_or(Err(ReadError::NoQuorum))?;
        self.shared.contact.made_at(asked);
        Ok(())
    }

    /// The age of the last moment of which this server knows that a majority stood behind its leader (or
    /// behind itself, where it leads).
    pub fn without_contact(&self) -> Duration {
        self.shared.without_contact()
    }

    pub(super) fn consensus(&self) -> &Consensus {
        &self.shared.consensus
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.shared.calls
    }
}

/// Asks for a read barrier.
pub(super) type AskBarrier = oneshot::Sender<Result<(), ReadError>>;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Mutex<Queue>,
    /// As in the queue, to be read without its lock.
    pub(super) unfinished_bytes: AtomicUsize,
    /// Signalled when the queue is no longer empty.
    pub(super) filled: Notify,
    pub(super) consensus: Consensus,
    pub(super) options: ProposerOptions,
    pub(super) contact: Contact,
    /// Where the leader opened the way to itself.
    pub(super) calls: Calls,
    ask: mpsc::Sender<AskBarrier>,
}

impl Shared {
    pub(super) fn without_contact(&self) -> Duration {
        // Kept beyond the end of the leadership: a deposed leader had contact until then.
        if let Some(age) = self.consensus.since_quorum() {
            self.contact.made_before(age);
        }
        self.contact.age()
    }
}
