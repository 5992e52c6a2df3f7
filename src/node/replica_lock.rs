//! The lock around the replica.
//!
//! Applying a long command has the lock for as long as that takes. The tasks of the clients share their
//! threads with those that keep the lead, so none of them may hold its thread up for that long: a task
//! waits for the lock as for anything else, and its thread does other work meanwhile.
//!
//! * The apply thread gives the lock back after each long command, and after some short ones
//!   ([`ReplicaLock::write`]). Tasks that wait are admitted then: the lock is not taken again before all
//!   of them have it, or [`ARRIVE_WITHIN`] has passed.
//! * While a task reads for long ([`ReplicaLock::read_at_length`]), others read beside it, even if the apply thread
//!   waits to write: it waits for the long read all the same.
//! * What others need to know of the replica without its lock is published whenever it is given back
//!   ([`Figures`]).
//!
//! A round of admission:
//!
//! ```text
//! tasks of clients                            apply thread
//! try_read fails, the lock is taken           has the lock alone
//! join: waiting += 1                            │
//! wait for `admitted`                           │  downgrades to a shared lock: nobody can write now
//!                                               │  rounds += 1, expected = waiting, wakes all
//! try_read_recursive: beside the apply thread   │  waits until expected is 0
//! leave: expected -= 1                          │
//! reads                                       gives its shared lock back; it can write when all have read
//! ```
//!
//! Lock order: the replica, then `ReaderQueue::state`. The second one is held for a few instructions, but for
//! the wait of the apply thread, which releases it.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jute_proto::Zxid;
use kernel::replica::Replica;
use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::Notify;

use crate::env::task::block_in_place;

/// Short commands are waited for in place: to switch to another task and back takes as long.
const WAIT_IN_PLACE_MAX: Duration = Duration::from_millis(1);

/// How long those that waited are waited for. They only have to be run, which takes a while where processors are
/// scarce; who does not come has to wait for one more command.
const ARRIVE_WITHIN: Duration = Duration::from_millis(50);

/// The replica of a server.
#[derive(Debug)]
pub struct ReplicaLock {
    lock: RwLock<Replica>,
    readers: ReaderQueue,
    /// Whether the apply thread, which has the lock alone, will have it for long: then nobody waits in place. A hint:
    /// who sees an old value waits in place for up to [`WAIT_IN_PLACE_MAX`], or in the queue without need.
    is_long: AtomicBool,
    /// How many read for long. A hint too: it decides only whether a task tries to read past a waiting writer.
    long_reads: AtomicUsize,
    figures: Figures,
}

/// The replica, for one who reads for long.
#[derive(Debug)]
pub struct LongRead<'a> {
    lock: &'a ReplicaLock,
    replica: RwLockReadGuard<'a, Replica>,
}

/// The tasks that wait for the lock.
#[derive(Debug, Default)]
struct ReaderQueue {
    /// Wakes all that wait when they are admitted.
    admitted: Notify,
    state: Mutex<QueueState>,
    /// Signalled when all that were admitted have come.
    all_arrived: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    /// How many rounds of admission there were.
    rounds: u64,
    /// How many tasks wait for the next one.
    waiting: usize,
    /// How many of those that were admitted in the last one have not come.
    expected: usize,
}

/// A task in the queue. It leaves when this is dropped: it has the lock, or it was dropped itself. So a task that gives
/// up is never waited for.
struct QueuedReader<'a> {
    readers: &'a ReaderQueue,
    /// How many rounds there had been when it joined. With one more it is among the expected; with two more the apply
    /// thread has given up on it.
    round: u64,
}

/// Numbers about the replica, as of when the lock was last given back.
#[derive(Debug, Default)]
pub struct Figures {
    last_zxid: AtomicI64,
    nodes: AtomicUsize,
    ephemerals: AtomicUsize,
    sessions: AtomicUsize,
    data_size: AtomicU64,
    has_quota_events: AtomicBool,
}

impl Figures {
    fn publish(&self, replica: &Replica) {
        let tree = replica.tree();
        self.last_zxid.store(replica.last_zxid().0, Ordering::Release);
        self.nodes.store(tree.node_count(), Ordering::Relaxed);
        self.ephemerals.store(tree.ephemeral_count(), Ordering::Relaxed);
        self.sessions.store(replica.sessions().len(), Ordering::Relaxed);
        self.data_size.store(tree.approximate_data_size(), Ordering::Relaxed);
        self.has_quota_events.store(tree.has_quota_events(), Ordering::Relaxed);
    }

    /// The zxid of the last operation.
    pub fn last_zxid(&self) -> Zxid {
        Zxid(self.last_zxid.load(Ordering::Acquire))
    }

    /// How many nodes there are, as [`Tree::node_count`](kernel::tree::Tree::node_count) says.
    pub fn nodes(&self) -> usize {
        self.nodes.load(Ordering::Relaxed)
    }

    /// How many nodes are ephemeral.
    pub fn ephemerals(&self) -> usize {
        self.ephemerals.load(Ordering::Relaxed)
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Whether quotas were exceeded that nobody was told of.
    pub(super) fn has_quota_events(&self) -> bool {
        self.has_quota_events.load(Ordering::Relaxed)
    }

    /// Bytes of all paths and data.
    pub fn data_size(&self) -> u64 {
        self.data_size.load(Ordering::Relaxed)
    }
}

impl ReplicaLock {
    pub(super) fn new(replica: Replica) -> Self {
        let figures = Figures::default();
        figures.publish(&replica);
        Self {
            lock: RwLock::new(replica),
            readers: ReaderQueue::default(),
            is_long: AtomicBool::new(false),
            long_reads: AtomicUsize::new(0),
            figures,
        }
    }

    /// What is known of the replica without its lock.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// The replica, shared with other readers.
    pub async fn read(&self) -> RwLockReadGuard<'_, Replica> {
        // A writer waits for the long read. So this keeps nobody waiting.
        if self.long_reads.load(Ordering::Relaxed) > 0
            && let Some(guard) = self.lock.try_read_recursive()
        {
            return guard;
        }
        self.read_in_queue().await
    }

    /// The replica, shared with other readers, for one who has it for longer than a few milliseconds.
    pub async fn read_at_length(&self) -> LongRead<'_> {
        // Not beside another one: one after the other, they would never let anybody write.
        let replica = self.read_in_queue().await;
        self.long_reads.fetch_add(1, Ordering::Relaxed);
        LongRead { lock: self, replica }
    }

    async fn read_in_queue(&self) -> RwLockReadGuard<'_, Replica> {
        loop {
            if let Some(guard) = self.try_read() {
                return guard;
            }
            let admitted = self.readers.admitted.notified();
            tokio::pin!(admitted);
            // From here on a wake-up is not missed.
            admitted.as_mut().enable();
            let queued = self.readers.join();
            // The lock may have been given back before that.
            if let Some(guard) = self.lock.try_read() {
                return guard;
            }
            admitted.await;
            // Past a writer that waits already: who woke this task shares the lock until all have come.
            let guard = self.lock.try_read_recursive();
            drop(queued);
            if let Some(guard) = guard {
                return guard;
            }
        }
    }

    fn try_read(&self) -> Option<RwLockReadGuard<'_, Replica>> {
        let guard = self.lock.try_read();
        if guard.is_some() || self.is_long.load(Ordering::Relaxed) {
            return guard;
        }
        self.lock.try_read_for(WAIT_IN_PLACE_MAX)
    }

    /// The replica, for a thread that may wait.
    pub fn read_blocking(&self) -> RwLockReadGuard<'_, Replica> {
        self.lock.read()
    }

    /// Has the replica alone. Those that wait for it are admitted before it can be had alone again. May block the
    /// thread: for the apply thread alone, and for threads that may wait.
    pub(super) fn write<T>(&self, work: impl FnOnce(&mut Replica) -> T) -> T {
        let mut replica = self.lock.write();
        let done = work(&mut replica);
        self.is_long.store(false, Ordering::Relaxed);
        self.figures.publish(&replica);
        let waited_for = self.readers.has_waiting();
        self.give_back(replica, waited_for);
        done
    }

    /// Ends a write. `waited_for`: whether tasks were found in the queue.
    fn give_back(&self, replica: RwLockWriteGuard<'_, Replica>, waited_for: bool) {
        if waited_for {
            // Without a gap in which another writer could come between.
            let shared = RwLockWriteGuard::downgrade(replica);
            self.readers.admit_readers();
            drop(shared);
        } else {
            drop(replica);
            // A task that joined behind the look found the lock taken. Nobody else would wake it before the next write.
            self.readers.wake_late();
        }
    }

    /// The writer that has the replica alone will have it for long: nobody is to wait for it in place.
    pub(super) fn takes_long(&self) {
        self.is_long.store(true, Ordering::Relaxed);
    }
}

impl Deref for LongRead<'_> {
    type Target = Replica;

    fn deref(&self) -> &Replica {
        &self.replica
    }
}

impl Drop for LongRead<'_> {
    fn drop(&mut self) {
        self.lock.long_reads.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ReaderQueue {
    fn join(&self) -> QueuedReader<'_> {
        let mut queue = self.state.lock();
        queue.waiting += 1;
        QueuedReader { readers: self, round: queue.rounds }
    }

    fn has_waiting(&self) -> bool {
        self.state.lock().waiting > 0
    }

    /// Wakes those that wait, to try again. To be called without the lock: who joins from here on finds it free.
    fn wake_late(&self) {
        if self.has_waiting() {
            self.admitted.notify_waiters();
        }
    }

    /// Wakes those that wait, and waits until they have come. The caller shares the lock, so that none of them can find
    /// it taken.
    fn admit_readers(&self) {
        let mut queue = self.state.lock();
        queue.rounds += 1;
        queue.expected = std::mem::take(&mut queue.waiting);
        self.admitted.notify_waiters();
        // They may be tasks of this very thread, which others are to run then.
        block_in_place(|| {
            self.all_arrived.wait_while_for(&mut queue, |queue| queue.expected > 0, ARRIVE_WITHIN);
        });
    }
}

impl Drop for QueuedReader<'_> {
    fn drop(&mut self) {
        let mut queue = self.readers.state.lock();
        if self.round == queue.rounds {
            queue.waiting -= 1;
        } else if self.round + 1 == queue.rounds {
            queue.expected -= 1;
            if queue.expected == 0 {
                self.readers.all_arrived.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::thread;

    use jute_proto::SessionId;
    use kernel::replica::{Command, Event, EventSink, Op, Stamp};

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// How long anything may take that has to happen.
    const DEADLINE: Duration = Duration::from_secs(60);

    struct Nobody;

    impl EventSink for Nobody {
        fn event(&mut self, _event: Event<'_>) {}
    }

    fn runtime(threads: usize) -> Runtime {
        Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap()
    }

    #[test]
    fn who_waits_for_the_lock_holds_no_thread_up() {
        // While a long command is applied, and a hundred tasks of clients wait for the lock, the one thread of
        // the runtime does other work.
        let (lock, runtime) = (Arc::new(ReplicaLock::new(Replica::default())), runtime(1));
        let (done, works) = mpsc::channel();
        let readers: Vec<_> = lock.write(|_| {
            lock.takes_long();
            let read = |lock: Arc<ReplicaLock>| async move { lock.read().await.last_zxid() };
            let readers = (0..100).map(|_| runtime.spawn(read(Arc::clone(&lock)))).collect();
            for _ in 0..10 {
                let done = done.clone();
                runtime.spawn(async move { done.send(()) });
                works.recv_timeout(DEADLINE).expect("the thread is free");
            }
            readers
        });
        for reader in readers {
            assert_eq!(runtime.block_on(reader).unwrap(), Zxid(0));
        }
    }

    #[test]
    fn whoever_applies_without_a_pause_gives_each_a_turn() {
        // The lock is taken again at once, again and again; each task that waits has it between two commands.
        let (lock, runtime) = (Arc::new(ReplicaLock::new(Replica::default())), runtime(4));
        let stop = Arc::new(AtomicBool::new(false));
        let (applying, stopped) = (Arc::clone(&lock), Arc::clone(&stop));
        let applier = thread::spawn(move || {
            let mut commands = 0_u64;
            while !stopped.load(Ordering::Relaxed) {
                applying.write(|_| {
                    applying.takes_long();
                    (0..20_000).for_each(|number| commands = commands.wrapping_add(number));
                });
            }
            commands
        });
        let readers: Vec<_> = (0..20)
            .map(|_| {
                let lock = Arc::clone(&lock);
                runtime.spawn(async move {
                    for _ in 0..50 {
                        drop(lock.read().await);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for reader in readers {
                tokio::time::timeout(DEADLINE, reader).await.expect("in time").unwrap();
            }
        });
        stop.store(true, Ordering::Relaxed);
        applier.join().unwrap();
        let queue = lock.readers.state.lock();
        assert_eq!((queue.waiting, queue.expected), (0, 0));
    }

    #[tokio::test]
    async fn others_read_beside_a_long_read() {
        // Who wants the lock alone waits for the long read; a short read does not wait for either. Another long
        // read does.
        let lock = Arc::new(ReplicaLock::new(Replica::default()));
        let long = lock.read_at_length().await;
        let writes = Arc::clone(&lock);
        let writer = thread::spawn(move || writes.write(|_| ()));
        let waits = || lock.lock.try_read().is_none();
        tokio::time::timeout(DEADLINE, async {
            while !waits() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("it waits");
        assert!(futures_util::FutureExt::now_or_never(lock.read()).is_some());
        assert!(futures_util::FutureExt::now_or_never(lock.read_at_length()).is_none());
        drop(long);
        writer.join().unwrap();
        assert_eq!(lock.long_reads.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_task_that_joins_late_is_woken() {
        // A write ends that has looked at the queue; only then a task joins. It does not wait for the next write, which
        // may never come.
        let lock = ReplicaLock::new(Replica::default());
        let replica = lock.lock.write();
        lock.takes_long();
        let waited_for = lock.readers.has_waiting();
        let mut read = Box::pin(lock.read());
        assert!(futures_util::FutureExt::now_or_never(&mut read).is_none());
        lock.give_back(replica, waited_for);
        assert!(futures_util::FutureExt::now_or_never(read).is_some(), "nobody wakes it");
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_line() {
        // A task that is dropped while it waits is not waited for.
        let lock = ReplicaLock::new(Replica::default());
        let alone = lock.lock.write();
        lock.takes_long();
        for _ in 0..3 {
            let read = lock.read();
            assert!(futures_util::FutureExt::now_or_never(read).is_none());
        }
        assert_eq!(lock.readers.state.lock().waiting, 0);
        drop(alone);
    }

    #[test]
    fn figures_are_those_of_the_last_write() {
        // What is looked at without the lock is what the replica was when the lock was given back.
        let lock = ReplicaLock::new(Replica::default());
        assert_eq!((lock.figures().last_zxid(), lock.figures().nodes()), (Zxid(0), 5));
        lock.write(|replica| {
            let stamp = Stamp { term: 7, index: 1, ..Stamp::default() };
            replica.begin_entry(&stamp);
            let create = Op::CreateSession { timeout_ms: 1000 };
            let command = Command::of_server_for(SessionId(1), create);
            replica.apply(&stamp, &command, &mut Nobody).unwrap();
        });
        assert_eq!(lock.figures().last_zxid(), Zxid((7 << 32) + 1));
    }
}
