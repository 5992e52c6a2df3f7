//! Which thread writes the log: the log's own, or one of the runtime's.
//!
//! Waking a sleeping thread, and waking from it the task that waits for the flush, takes a third of the time of a
//! flush. So if a small append finds the log idle, a task of the runtime writes and flushes it, and blocks meanwhile
//! ([`RaftLog::write_in_place`](super::RaftLog::write_in_place), decision 0016). The log's thread writes the rest: what
//! is large, what arrives while the log is being written, what needs a new segment, and everything while flushes are
//! slow.
//!
//! The log's thread also watches the task. If the task has not begun after [`WATCH_EVERY`], the thread writes in its
//! place. If the task has begun and does not end, the thread says so by [`InPlaceHooks::stuck`]: other tasks of the
//! same runtime thread may wait for it.
//!
//! Invariant: at most one of the two has the [`Writer`](super::writer::Writer), which lies in an `IdleWriter` between
//! two turns.

use std::sync::Arc;
use std::time::Duration;

use super::raft_log::{IdleWriter, LogShared, Operation};
use crate::env::thread;
use crate::env::thread::ThreadId;

/// Bytes that may be written in place: a handful of requests. With more on their way the thread is busy
/// anyway, and goes from one write to the next without being woken.
const BYTES_MAX: usize = 4 << 10;

/// Nothing is written in place as long as the last flush took longer.
const FLUSH_MAX: Duration = Duration::from_millis(1);

/// How often the thread checks whether the task is stuck, while one was asked to write in place.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// How the log reaches the task that writes in place. The hooks are called under no lock, and may neither block nor use
/// the log.
pub struct InPlaceHooks {
    /// Whether the task wants to write appends at the moment.
    pub wanted: Box<dyn Fn() -> bool + Send + Sync>,
    /// Asks the task to call [`InPlace::write`].
    pub to_write: Box<dyn Fn() + Send + Sync>,
    /// Says that the task has not begun, or not ended, for [`WATCH_EVERY`] or more.
    pub stuck: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for InPlaceHooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InPlaceHooks").finish_non_exhaustive()
    }
}

/// The task's handle: writes the log on the calling thread.
pub struct InPlace {
    slot: IdleWriter,
}

impl std::fmt::Debug for InPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InPlace").finish_non_exhaustive()
    }
}

impl InPlace {
    pub(super) fn new(slot: IdleWriter) -> Self {
        Self { slot }
    }

    /// Writes and flushes what waits, and calls its completions. Blocks as long as that takes.
    pub fn write(&self) {
        // Where the thread is at it, it takes everything.
        let Some(mut slot) = self.slot.try_lock() else { return };
        let Some(writer) = slot.as_mut() else { return };
        let has_room = |bytes| writer.has_room(bytes);
        let Some(operations) = take(writer.shared(), has_room) else { return };
        writer.process(operations);
        let mut queue = writer.shared().queue.lock();
        queue.turn.in_place = None;
        let more = !queue.operations.is_empty() || queue.closing;
        drop(queue);
        if more {
            writer.shared().wake.notify_one();
        }
    }
}

/// Takes the operations that wait, if they are for the task to write. Otherwise the log's thread is woken.
fn take(shared: &LogShared, has_room: impl Fn(usize) -> bool) -> Option<Vec<Operation>> {
    let mut queue = shared.queue.lock();
    if !std::mem::take(&mut queue.turn.asked) {
        return None;
    }
    let bytes: usize = queue.operations.iter().map(Operation::len).sum();
    if bytes > BYTES_MAX
        || !has_room(bytes)
        || !queue.operations.iter().all(Operation::may_be_in_place)
    {
        drop(queue);
        shared.wake.notify_one();
        return None;
    }
    queue.turn.in_place = Some(thread::current().id());
    Some(std::mem::take(&mut queue.operations))
}

/// Which of the two writes now, and which is to write next. Guarded by the lock of the queue.
#[derive(Debug, Default)]
pub(super) struct WriterTurn {
    hooks: Option<Arc<InPlaceHooks>>,
    /// The task was asked and has not begun.
    asked: bool,
    /// The thread that writes in place now, if one does.
    in_place: Option<ThreadId>,
    /// The log's thread writes now. It reads the queue again afterwards, so nobody has to wake it.
    thread_writes: bool,
    /// The last flush took longer than [`FLUSH_MAX`]: a task must not block that long.
    slow: bool,
    /// The task was asked since the thread's last tick. Then the thread ticks every [`WATCH_EVERY`].
    used: bool,
    /// How often the task was asked, now and at the thread's last tick. The same number twice, with something still
    /// unwritten, means that the task is stuck.
    asks: u64,
    asks_seen: u64,
}

/// What the caller that queued the first operation has to do, after it has released the queue.
pub(super) enum Wakeup {
    /// The writer is at work and reads the queue again.
    Nothing,
    WakeThread,
    Ask(Arc<InPlaceHooks>),
    /// Ask, and wake the thread so that it watches.
    AskAndWatch(Arc<InPlaceHooks>),
}

impl WriterTurn {
    pub(super) fn begin(&mut self, hooks: InPlaceHooks) {
        self.hooks = Some(Arc::new(hooks));
    }

    /// The log closes: from now on the thread writes all.
    pub(super) fn end(&mut self) -> Option<Arc<InPlaceHooks>> {
        self.hooks.take()
    }

    /// Whether the calling thread writes in place now: it must not wait for itself.
    pub(super) fn is_own_work(&self) -> bool {
        self.in_place == Some(thread::current().id())
    }

    /// Notes how long a flush took.
    pub(super) fn flushed(&mut self, took: Duration) {
        self.slow = took > FLUSH_MAX;
    }

    /// Schedules the write of the first operation in an empty queue.
    pub(super) fn queued(&mut self, may_be_in_place: bool) -> Wakeup {
        if self.in_place.is_some() || self.thread_writes {
            return Wakeup::Nothing;
        }
        match &self.hooks {
            Some(hooks) if may_be_in_place && !self.slow && (hooks.wanted)() => {
                self.asked = true;
                self.asks += 1;
                match std::mem::replace(&mut self.used, true) {
                    true => Wakeup::Ask(Arc::clone(hooks)),
                    false => Wakeup::AskAndWatch(Arc::clone(hooks)),
                }
            }
            _ => Wakeup::WakeThread,
        }
    }

    /// Whether the task has the queue: the log's thread leaves it alone.
    fn is_others(&self) -> bool {
        self.asked || self.in_place.is_some()
    }

    /// At a tick of the thread: if the task is stuck, takes the queue back for the thread, unless the task writes, and
    /// returns the hooks to say so.
    fn stuck_hook(&mut self) -> Option<Arc<InPlaceHooks>> {
        let seen = std::mem::replace(&mut self.asks_seen, self.asks);
        if !self.is_others() || seen != self.asks {
            return None;
        }
        self.asked = false;
        self.hooks.clone()
    }
}

/// What the log's thread does next.
pub(super) enum ThreadTask {
    Write,
    /// Write down the committed position: nothing happened for a tick.
    NoteCommitted,
    /// Write what is left, and end.
    Close,
}

/// Waits until it is the thread's turn.
pub(super) fn next_thread_task(shared: &LogShared, tick: Duration) -> ThreadTask {
    let mut queue = shared.queue.lock();
    queue.turn.thread_writes = false;
    let task = loop {
        let in_place = queue.turn.in_place.is_some();
        if queue.closing && !in_place {
            break ThreadTask::Close;
        }
        if !queue.operations.is_empty() && !queue.turn.is_others() {
            break ThreadTask::Write;
        }
        let wait = if queue.turn.used { WATCH_EVERY.min(tick) } else { tick };
        if !shared.wake.wait_for(&mut queue, wait).timed_out() {
            continue;
        }
        if let Some(hooks) = queue.turn.stuck_hook() {
            (hooks.stuck)();
        }
        if !queue.turn.is_others()
            && queue.operations.is_empty()
            && !std::mem::take(&mut queue.turn.used)
        {
            break ThreadTask::NoteCommitted;
        }
    };
    queue.turn.thread_writes = true;
    task
}
