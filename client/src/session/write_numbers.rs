//! Numbers of writes, so that one that is sent again on another connection happens once.
//!
//! See [`jute_proto::once`] for what clients and servers agree on.

use jute_proto::{WriteNumber, once};

use super::outstanding::OutstandingRequest;

/// The numbers of a client's writes, and how many of these are under way.
#[derive(Debug)]
pub(super) struct WriteNumbers {
    /// Whether the server of the present connection keeps replies.
    granted: bool,
    /// How far numbers begin behind those of others who had the session: a random number, so that
    /// neither of two takes the other's for its own.
    stride: u64,
    /// The highest number given.
    last: u64,
    /// No answer is waited for up to this number.
    answered: u64,
    /// Writes under way on the present connection, and what their answers weigh.
    writes: usize,
    weighing: usize,
}

impl WriteNumbers {
    /// Numbers that begin at a place of their own for each seed.
    pub(super) fn new(seed: u64) -> Self {
        // 33 bits leave room for two billion owners of a session.
        let stride = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) + 1;
        Self { granted: false, stride, last: stride, answered: stride, writes: 0, weighing: 0 }
    }

    /// A connection is open. `applied` is the highest number that was applied in its session, where
    /// the server keeps replies. Returns it where what was sent before may be sent again.
    pub(super) fn open(&mut self, applied: Option<u64>) -> Option<u64> {
        self.granted = applied.is_some();
        let own = applied.filter(|applied| *applied <= self.last);
        if own.is_none() {
            if let Some(of_others) = applied {
                self.last = of_others.saturating_add(self.stride);
            }
            self.give_up();
        }
        own
    }

    /// The connection is lost.
    pub(super) fn interrupted(&mut self) {
        (self.granted, self.writes, self.weighing) = (false, 0, 0);
    }

    /// No answer is waited for to any number given so far.
    pub(super) fn give_up(&mut self) {
        self.answered = self.last;
    }

    /// Whether a request may be sent now.
    pub(super) fn has_room<T>(&self, request: &OutstandingRequest<T>) -> bool {
        !self.granted
            || !request.op.facts().exactly_once
            || once::has_room(self.writes, self.weighing, weight(request))
    }

    /// Numbers a request that is to be sent, if it has no number yet and needs one.
    pub(super) fn number<T>(&mut self, request: &mut OutstandingRequest<T>) -> Option<WriteNumber> {
        if !self.granted || !request.op.facts().exactly_once {
            return None;
        }
        self.writes += 1;
        self.weighing += weight(request);
        let number = *request.number.get_or_insert_with(|| {
            self.last = self.last.saturating_add(1);
            self.last
        });
        Some(WriteNumber { number, answered: self.answered })
    }

    /// A request was answered.
    pub(super) fn answered<T>(&mut self, request: &OutstandingRequest<T>) {
        if let Some(number) = request.number {
            self.answered = number;
            self.writes -= 1;
            self.weighing -= weight(request);
        }
    }
}

fn weight<T>(request: &OutstandingRequest<T>) -> usize {
    once::weight(request.op, request.body.len())
}
