//! The permit of one connection for a long write.

use std::future::poll_fn;

use jute_proto::OpCode;
use kernel::conn::Handling;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::PollSemaphore;

use crate::node::LongRequests;

/// Whether a connection has the room that a long write takes, see [`LongRequests`].
#[derive(Debug)]
pub(super) struct LongWritePermit {
    /// Keeps the place in the queue, also while the connection does something else.
    room: PollSemaphore,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// No long write is in front.
    #[default]
    None,
    /// One is, and waits for so much room.
    Waits(u32),
    /// It has its room and was not handed over yet.
    Granted(OwnedSemaphorePermit),
    /// It was handed over, and waits for the outcome of this command.
    Used { _permit: OwnedSemaphorePermit, seq: u64 },
}

impl LongWritePermit {
    pub(super) fn new(long_requests: &LongRequests) -> Self {
        Self { room: long_requests.write_room(), state: State::None }
    }

    /// Whether a write that takes so much room has it; joins the queue where it has not.
    pub(super) fn ask(&mut self, room: u32) -> bool {
        if matches!(self.state, State::None) {
            self.state = State::Waits(room);
        }
        self.is_granted()
    }

    pub(super) const fn is_granted(&self) -> bool {
        matches!(self.state, State::Granted(_))
    }

    /// Whether there is neither a permit nor a wish for one.
    pub(super) const fn is_none(&self) -> bool {
        matches!(self.state, State::None)
    }

    /// Waits for the room. Where none was asked for, it never comes.
    pub(super) async fn granted(&mut self) {
        let State::Waits(room) = self.state else { return std::future::pending().await };
        let permit = poll_fn(|cx| self.room.poll_acquire_many(cx, room)).await;
        // The room is there for as long as the server runs.
        self.state = permit.map_or(State::None, State::Granted);
    }

    /// The write was handed over as this command; or it could not be, and has to ask again.
    pub(super) fn used(&mut self, seq: Option<u64>) {
        let state = std::mem::take(&mut self.state);
        self.state = match (state, seq) {
            (State::Granted(permit), Some(seq)) => State::Used { _permit: permit, seq },
            (State::Granted(_), None) => State::None,
            (other, _) => other,
        };
    }

    /// Gives the room back, unless the command still waits for its outcome.
    pub(super) fn end(&mut self, is_outstanding: impl FnOnce(u64) -> bool) {
        if let State::Used { seq, .. } = self.state
            && !is_outstanding(seq)
        {
            self.state = State::None;
        }
    }
}

/// Whether the frame in front, whose header is there, is for an operation that waits for its turn where it is long.
pub(super) fn takes_turns(input: &[u8]) -> bool {
    // The length of the frame and the xid come before.
    let code = input.get(8..).and_then(<[u8]>::first_chunk);
    let op = code.and_then(|code| OpCode::try_from(i32::from_be_bytes(*code)).ok());
    op.is_some_and(|op| Handling::of(op).long_takes_turns)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_permit_lasts_until_the_outcome() {
        // Who takes all the room lets nobody else have any, until its command has an outcome. Who waits keeps its
        // place while it does something else.
        let work = LongRequests::with_permits(1);
        let all = work.room_of(1 << 20);
        let [mut one, mut next, mut last] = [(); 3].map(|()| LongWritePermit::new(&work));
        assert!(one.granted().now_or_never().is_none(), "nobody asked");
        assert!(!one.ask(all));
        one.granted().await;
        assert!(one.ask(all));
        one.used(Some(7));
        assert!(!next.ask(all) && !last.ask(1));
        for _ in 0..2 {
            assert!(next.granted().now_or_never().is_none());
            assert!(last.granted().now_or_never().is_none());
        }
        one.end(|seq| seq == 7);
        assert!(next.granted().now_or_never().is_none());
        one.end(|_| false);
        assert!(one.is_none());
        assert!(last.granted().now_or_never().is_none(), "it came last");
        assert!(next.granted().now_or_never().is_some());
        // It could not go its way: the next one may.
        next.used(None);
        assert!(next.is_none() && last.granted().now_or_never().is_some());
    }

    #[test]
    fn a_multi_is_known_by_its_header() {
        // The operation stands behind the length and the xid.
        let frame = |code: i32| [&[0, 0, 0, 8, 0, 0, 0, 1], &code.to_be_bytes()[..]].concat();
        assert!(takes_turns(&frame(14)));
        assert!(!takes_turns(&frame(22)) && !takes_turns(&frame(14)[..11]));
    }
}
