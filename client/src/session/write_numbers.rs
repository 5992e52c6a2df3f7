//! Numbers of writes, so that one that is sent again on another connection happens once.
//!
//! See [`jute_proto::once`] for what clients and servers agree on. Two rules must hold here. A
//! write keeps its number when it is sent again, because the server knows it by that number. And no
//! more writes are under way than the server keeps replies for, because it closes the connection of
//! a client that has more.

use jute_proto::{OpCode, WriteNumber, once};

use crate::random::SplitMix64;

/// The numbers of a client's writes, and how many of these are under way.
#[derive(Debug)]
pub(super) struct WriteNumbers {
    /// Whether the server of the present connection keeps replies. It is false without a
    /// connection: no write gets a number then, for the next server may be one that does not keep
    /// replies.
    granted: bool,
    /// How far numbers begin behind those of others who had the session: a random number, so that
    /// neither of two takes the other's for its own.
    stride: u64,
    /// The highest number given.
    last: u64,
    /// The client waits for no answer up to this number. The server forgets the replies up to there.
    answered_up_to: u64,
    /// Numbered writes under way on the present connection, and what their answers weigh.
    writes: usize,
    weight: usize,
}

impl WriteNumbers {
    /// Numbers that begin at a place of their own for each seed.
    pub(super) fn new(seed: u64) -> Self {
        // 33 bits leave room for two billion owners of a session.
        let stride = (SplitMix64::new(seed).next() >> 32) + 1;
        Self { granted: false, stride, last: stride, answered_up_to: stride, writes: 0, weight: 0 }
    }

    /// A connection is open. `applied` is the highest number that the server applied in the session;
    /// `None` if it keeps no replies. Returns `applied` if writes of the last connection may be sent
    /// again.
    ///
    /// A number beyond the last one given is another client's, which had the session in between.
    /// The server's replies may be that client's, so nothing is sent again, and later numbers begin
    /// beyond its own.
    pub(super) fn connected(&mut self, applied: Option<u64>) -> Option<u64> {
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
    pub(super) fn disconnected(&mut self) {
        self.granted = false;
        self.writes = 0;
        self.weight = 0;
    }

    /// The client waits for no answer to any number given so far.
    pub(super) fn give_up(&mut self) {
        self.answered_up_to = self.last;
    }

    /// Whether a request with so long a record may be sent now.
    pub(super) fn has_room(&self, op: OpCode, record_len: usize) -> bool {
        !self.granted
            || !op.facts().exactly_once
            || once::has_room(self.writes, self.weight, once::weight(op, record_len))
    }

    /// The number to send a request with, where it needs one: `given` if it was sent before, the
    /// next otherwise.
    pub(super) fn send(
        &mut self,
        op: OpCode,
        record_len: usize,
        given: Option<u64>,
    ) -> Option<WriteNumber> {
        if !self.granted || !op.facts().exactly_once {
            return None;
        }
        self.writes += 1;
        self.weight += once::weight(op, record_len);
        let number = given.unwrap_or_else(|| {
            self.last = self.last.saturating_add(1);
            self.last
        });
        Some(WriteNumber { number, answered: self.answered_up_to })
    }

    /// The write with this number was answered.
    pub(super) fn answered(&mut self, number: u64, op: OpCode, record_len: usize) {
        self.answered_up_to = number;
        self.writes -= 1;
        self.weight -= once::weight(op, record_len);
    }
}
