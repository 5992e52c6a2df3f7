//! The queue in front of the consensus, as the rest of the server sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kernel::ensemble::ServerId;
use kernel::replica::Sender;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::super::error::{ProposeError, ReadError};
use super::super::handle::Consensus;
use super::batch::TermSection;
use super::progress::Progress;
use super::queue::Queue;
use super::reverse_dials::ReverseDials;
use super::sealer::BatchSealer;
use super::task::ProposerTask;
use crate::consensus::peer_status::PeerStatus;
use crate::env::task;
use crate::env::time::Instant;

/// Barriers that may wait to be asked for.
const BARRIERS_WAITING_MAX: usize = 64;

/// Limits of a [`Proposer`].
#[derive(Clone, Debug)]
pub struct ProposerOptions {
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
    shared: Arc<ProposerState>,
}

impl Proposer {
    /// Starts the proposing task. The task ends when the consensus stops.
    pub fn start(
        consensus: &Consensus,
        options: ProposerOptions,
        sealer: impl BatchSealer,
        peer_status: Arc<dyn PeerStatus>,
        progress: Progress,
    ) -> Self {
        let (ask, barriers) = mpsc::channel(BARRIERS_WAITING_MAX);
        let shared = Arc::new(ProposerState {
            queue: Mutex::new(Queue::new()),
            unfinished_bytes: AtomicUsize::new(0),
            filled: Notify::new(),
            consensus: consensus.clone(),
            options,
            reverse_dials: ReverseDials::default(),
            progress,
            ask,
        });
        // A server that starts has the time of a whole loss of contact to find a leader.
        consensus.contact().quorum().note_at(Instant::now());
        let proposer = Self { shared: Arc::clone(&shared) };
        task::spawn(ProposerTask::new(shared, Box::new(sealer), peer_status, barriers).run());
        proposer
    }

    /// Adds one command of a client: `encode` appends its bytes. Commands are applied in the order in
    /// which they were added, by whichever server leads, each once.
    ///
    /// # Errors
    ///
    /// [`ProposeError::DiskFull`], [`ProposeError::Unavailable`] when too much waits,
    /// [`ProposeError::Stopped`]; `encode` was not called then.
    pub fn push(&self, encode: impl FnOnce(&mut BytesMut)) -> Result<(), ProposeError> {
        self.refuse_on_full_disk()?;
        self.queue(|queue, options| queue.add_own(1, options, encode))
    }

    /// Adds one command that the leader of `term` gives on its own: nothing comes of it if that
    /// leadership ends first. It may be applied twice.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_as_leader(
        &self,
        term: u64,
        encode: impl FnOnce(&mut BytesMut),
    ) -> Result<(), ProposeError> {
        self.refuse_on_full_disk()?;
        let mut commands = BytesMut::new();
        encode(&mut commands);
        self.push_term_section(self.shared.unnumbered(term, commands.freeze()))
    }

    /// Adds a section that the leader of its term has taken.
    pub(crate) fn push_term_section(&self, section: TermSection) -> Result<(), ProposeError> {
        self.queue(|queue, _| queue.add_term_section(section))
    }

    /// What a follower took cannot be refused any more, it waits; whether the disk of another leader is
    /// full is for that one to say.
    fn refuse_on_full_disk(&self) -> Result<(), ProposeError> {
        let consensus = &self.shared.consensus;
        if consensus.disk_full() && consensus.leads() {
            return Err(ProposeError::DiskFull);
        }
        Ok(())
    }

    fn queue(&self, add: impl FnOnce(&mut Queue, &ProposerOptions)) -> Result<(), ProposeError> {
        let ProposerState { queue, unfinished_bytes, filled, options, .. } = &*self.shared;
        let mut queue = queue.lock();
        if queue.stopped {
            return Err(ProposeError::Stopped);
        }
        if queue.unfinished_bytes >= options.waiting_bytes_max {
            return Err(ProposeError::Unavailable);
        }
        let was_empty = queue.is_empty();
        add(&mut queue, options);
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
        self.shared.consensus.contact().quorum().note_at(asked);
        Ok(())
    }

    /// The age of the last moment of which this server knows that a majority stood behind its leader (or
    /// behind itself, where it leads).
    pub fn without_contact(&self) -> Duration {
        self.shared.consensus.without_contact()
    }

    pub(crate) fn consensus(&self) -> &Consensus {
        &self.shared.consensus
    }

    /// The version in force, as far as it is applied here.
    pub(crate) fn version(&self) -> u16 {
        self.shared.progress.get().version
    }

    /// A section of commands that may be applied twice, in this term.
    pub(crate) fn push_unnumbered(&self, term: u64, commands: Bytes) -> Result<(), ProposeError> {
        self.push_term_section(self.shared.unnumbered(term, commands))
    }

    pub(crate) fn reverse_dials(&self) -> &ReverseDials {
        &self.shared.reverse_dials
    }
}

/// Asks for a read barrier.
pub(crate) type BarrierRequest = oneshot::Sender<Result<(), ReadError>>;

#[derive(Debug)]
pub(crate) struct ProposerState {
    pub(super) queue: Mutex<Queue>,
    /// As in the queue, to be read without its lock.
    pub(super) unfinished_bytes: AtomicUsize,
    /// Signalled when the queue is no longer empty.
    pub(crate) filled: Notify,
    pub(crate) consensus: Consensus,
    pub(crate) options: ProposerOptions,
    /// Connections that the leader opened to this follower.
    pub(crate) reverse_dials: ReverseDials,
    /// What became of what this process wants written.
    pub(crate) progress: Progress,
    ask: mpsc::Sender<BarrierRequest>,
}

impl ProposerState {
    pub(crate) fn unnumbered(&self, term: u64, commands: Bytes) -> TermSection {
        let sender =
            Sender { server: ServerId(self.consensus.member().number), ..Sender::default() };
        TermSection { sender: Some(sender), count: 1, commands, term, ack: None }
    }
}
