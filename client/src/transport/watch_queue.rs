//! The queue of events between the session and the caller that watches.

use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::error::Error;
use crate::session::{Notice, WatchedEvent};

/// A queue of events with a bound: when it is full, its content is replaced by the notice that
/// something is missing.
#[derive(Debug)]
pub(crate) struct WatchQueue {
    state: Mutex<State>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<QueuedNotice>,
    end: Option<Error>,
    waker: Option<Waker>,
}

/// A notice that the watching caller takes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QueuedNotice {
    Event(WatchedEvent),
    Gap,
}

impl WatchQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { state: Mutex::new(State::default()), capacity }
    }

    /// Adds a notice and wakes the reader.
    pub(crate) fn put(&self, notice: Notice) {
        let mut state = self.state.lock();
        match notice {
            Notice::Event(event) if state.queue.len() < self.capacity => {
                state.queue.push_back(QueuedNotice::Event(event));
            }
            Notice::Event(_) => {
                state.queue.clear();
                state.queue.push_back(QueuedNotice::Gap);
            }
            // Events before the gap are of no use: the caller has to read everything again.
            Notice::Gap => {
                state.queue.clear();
                state.queue.push_back(QueuedNotice::Gap);
            }
            Notice::End(error) => state.end = Some(error),
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes the next notice, or the error that ended the watch.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<QueuedNotice, Error>> {
        let mut state = self.state.lock();
        if let Some(notice) = state.queue.pop_front() {
            return Poll::Ready(Ok(notice));
        }
        if let Some(error) = &state.end {
            return Poll::Ready(Err(error.clone()));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
