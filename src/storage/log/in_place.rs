//! Whose turn it is to write the log: a thread of its own, or the caller's own tasks.
//!
//! A thread that sleeps has to be woken, and then has to wake whoever waits for the flush: that takes as
//! long as a third of a flush. So where a small append finds the log idle, it is written by
//! whoever [`RaftLog::write_in_place`](super::RaftLog::write_in_place) names, who blocks meanwhile. The
//! thread writes everything else: what is large, what comes while the log is being written, what
//! needs a new segment, and everything on a disk that was slow the last time.
//!
//! The thread also watches. Where it finds after a while that the caller has not come, it
//! writes; where the caller does not come back, it says so, since others may depend on it.

use std::sync::Arc;
use std::time::Duration;

use super::raft_log::{Operation, Shared, Slot};
use crate::env::thread;
use crate::env::thread::ThreadId;

/// Bytes that may be written in place: a handful of requests. With more on their way the thread is busy
/// anyway, and goes from one write to the next without being woken.
const BYTES_MAX: usize = 4 << 10;

/// Nothing is written in place as long as the last flush took longer.
const FLUSH_MAX: Duration = Duration::from_millis(1);

/// How often the thread looks whether the caller is stuck, while something is written in place.
const WATCH_EVERY: Duration = Duration::from_millis(20);

/// How the log reaches the one who writes in place. None may block or use the log.
pub struct Call {
    /// Whether appends are to be written in place at the moment.
    pub wanted: Box<dyn Fn() -> bool + Send + Sync>,
    /// Asks for [`InPlace::write`].
    pub to_write: Box<dyn Fn() + Send + Sync>,
    /// Says that the one who was asked has not come, or has not come back, for 20 ms or more.
    pub stuck: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

/// Writes the log in place.
pub struct InPlace {
    slot: Slot,
}

impl std::fmt::Debug for InPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InPlace").finish_non_exhaustive()
    }
}

impl InPlace {
    pub(super) fn new(slot: Slot) -> Self {
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
        queue.turns.in_place = None;
        let more = !queue.operations.is_empty() || queue.closing;
        drop(queue);
        if more {
            writer.shared().wake.notify_one();
        }
    }
}

/// What waits, where it is for the caller to write.
fn take(shared: &Shared, has_room: impl Fn(usize) -> bool) -> Option<Vec<Operation>> {
    let mut queue = shared.queue.lock();
    if !std::mem::take(&mut queue.turns.called) {
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
    queue.turns.in_place = Some(thread::current().id());
    Some(std::mem::take(&mut queue.operations))
}

/// Who writes, and who is to.
#[derive(Debug, Default)]
pub(super) struct Turns {
    call: Option<Arc<Call>>,
    /// The caller was called and has not begun.
    called: bool,
    /// Where something is being written in place.
    in_place: Option<ThreadId>,
    /// The thread is at work, and looks at the queue again afterwards.
    thread_at_work: bool,
    /// The last flush took long.
    slow: bool,
    /// Somebody was called since the thread looked last.
    used: bool,
    /// How often somebody was called; and what that was when the thread looked last.
    calls: u64,
    calls_seen: u64,
}

/// What an operation that finds the queue empty has to do.
pub(super) enum ToDo {
    /// Somebody is at work and looks again.
    Nothing,
    WakeThread,
    Call(Arc<Call>),
    /// Call, and have the thread watch.
    CallAndWatch(Arc<Call>),
}

impl Turns {
    pub(super) fn begin(&mut self, call: Call) {
        self.call = Some(Arc::new(call));
    }

    /// From now on the thread writes all.
    pub(super) fn end(&mut self) -> Option<Arc<Call>> {
        self.call.take()
    }

    /// Whether the calling thread is the one that writes in place.
    pub(super) fn is_own_work(&self) -> bool {
        self.in_place == Some(thread::current().id())
    }

    /// A flush took this long.
    pub(super) fn flushed(&mut self, took: Duration) {
        self.slow = took > FLUSH_MAX;
    }

    /// Sees to it that an operation is written that found the queue empty.
    pub(super) fn queued(&mut self, may_be_in_place: bool) -> ToDo {
        if self.in_place.is_some() || self.thread_at_work {
            return ToDo::Nothing;
        }
        match &self.call {
            Some(call) if may_be_in_place && !self.slow && (call.wanted)() => {
                self.called = true;
                self.calls += 1;
                match std::mem::replace(&mut self.used, true) {
                    true => ToDo::Call(Arc::clone(call)),
                    false => ToDo::CallAndWatch(Arc::clone(call)),
                }
            }
            _ => ToDo::WakeThread,
        }
    }

    /// Whether what waits is for somebody else than the thread.
    fn is_others(&self) -> bool {
        self.called || self.in_place.is_some()
    }

    /// Looks whether the one who was called is stuck; then what waits is for the thread, unless it is
    /// being written.
    fn look(&mut self) -> Option<Arc<Call>> {
        let seen = std::mem::replace(&mut self.calls_seen, self.calls);
        if !self.is_others() || seen != self.calls {
            return None;
        }
        self.called = false;
        self.call.clone()
    }
}

/// What the thread is to do.
pub(super) enum ThreadTask {
    Write,
    /// Nothing happened for a tick.
    NoteCommitted,
    /// Write what is left, and end.
    Close,
}

/// Waits until it is the thread's turn.
pub(super) fn next_of_thread(shared: &Shared, tick: Duration) -> ThreadTask {
    let mut queue = shared.queue.lock();
    queue.turns.thread_at_work = false;
    let task = loop {
        let in_place = queue.turns.in_place.is_some();
        if queue.closing && !in_place {
            break ThreadTask::Close;
        }
        if !queue.operations.is_empty() && !queue.turns.is_others() {
            break ThreadTask::Write;
        }
        let wait = if queue.turns.used { WATCH_EVERY.min(tick) } else { tick };
        if !shared.wake.wait_for(&mut queue, wait).timed_out() {
            continue;
        }
        if let Some(call) = queue.turns.look() {
            (call.stuck)();
        }
        if !queue.turns.is_others()
            && queue.operations.is_empty()
            && !std::mem::take(&mut queue.turns.used)
        {
            break ThreadTask::NoteCommitted;
        }
    };
    queue.turns.thread_at_work = true;
    task
}
