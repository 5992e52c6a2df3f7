//! The requests of a connection that are not answered yet, in the order in which they came.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::Bytes;
use jute_proto::{ErrorCode, OpCode, Xid};

use super::hold::Hold;
use super::rearm::Rearming;
use super::settings::Settings;

/// What the reply to a request needs to know of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestMeta {
    /// The client's number for it.
    pub(super) xid: Xid,
    pub(super) op: OpCode,
    /// When it came, in microseconds of the server's clock.
    pub(super) start_us: u64,
}

/// A request whose turn has not come.
#[derive(Debug)]
enum Slot {
    /// A command in the log, or on its way there.
    Write { request: RequestMeta, seq: u64 },
    /// A request to be answered when what is in front of it has been, and when the barrier of this
    /// number has passed; one that takes long (`long`) only in a long read
    /// (`View::at_length`).
    Waiting { frame: Bytes, start_us: u64, barrier: u64, long: bool },
    /// Watches that are being set, some at a time. Always in front.
    Rearming(Box<Rearming>),
    /// A request that failed already; the answer waits for its turn.
    Failed { request: RequestMeta, code: ErrorCode },
}

/// A request that may be answered now.
#[derive(Debug)]
pub(super) enum Ready {
    /// What this server answers from its own state.
    Read { frame: Bytes, start_us: u64 },
    /// Watches of which some more are to be set.
    Rearming(Box<Rearming>),
    /// What failed when it came.
    Failed { request: RequestMeta, code: ErrorCode },
}

/// The requests that are not answered yet. Their order is that of the replies.
///
/// * Requests leave at the front only, so nothing is answered before what came earlier.
/// * No request behind a write leaves before the outcome of the write is known. Outcomes come in the order of the
///   writes; the connection ends where one does not.
/// * `waiting_len` is the length of all frames that are kept. `hold` counts the slots that take long to answer.
#[derive(Debug, Default)]
pub(super) struct Requests {
    slots: VecDeque<Slot>,
    waiting_len: usize,
    hold: Hold,
    /// The number of the next command.
    next_seq: u64,
}

impl Requests {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether one more request may be taken from the socket. While a write is held back none may: it would overtake.
    pub(super) fn has_room(&self, settings: &Settings) -> bool {
        !self.hold.is_holding()
            && self.slots.len() < settings.waiting_requests_max
            && self.waiting_len < settings.waiting_len_max
    }

    /// The number that the next command must have.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The command of the next number is on its way to the log.
    pub(super) fn proposed(&mut self) {
        self.next_seq += 1;
    }

    /// The number of the last command that was proposed.
    pub(super) fn last_seq(&self) -> Option<u64> {
        self.next_seq.checked_sub(1)
    }

    /// Whether a command waits for its outcome.
    pub(super) fn is_outstanding(&self, seq: u64) -> bool {
        let of_command = |slot: &Slot| match slot {
            Slot::Write { seq, .. } => Some(*seq),
            Slot::Waiting { .. } | Slot::Rearming(_) | Slot::Failed { .. } => None,
        };
        // Outcomes come in order, so the first one decides.
        self.slots.iter().find_map(of_command).is_some_and(|first| first <= seq)
    }

    /// Adds the write that was proposed last. Where its outcome `comes_late`, later writes wait for it.
    pub(super) fn push_write(&mut self, request: RequestMeta, comes_late: bool) {
        let seq = self.next_seq - 1;
        if comes_late {
            self.hold.until_outcome(seq);
        }
        self.slots.push_back(Slot::Write { request, seq });
    }

    /// Adds a request to be answered when its turn has come and the read barrier has passed; 0 is none.
    pub(super) fn push_read(&mut self, frame: Bytes, start_us: u64, barrier: u64, long: bool) {
        self.hold.until(barrier);
        let slot = self.waiting(frame, start_us, barrier, long);
        self.slots.push_back(slot);
    }

    /// Puts a request back to the front that turned out to take long.
    pub(super) fn put_off(&mut self, frame: Bytes, start_us: u64) {
        let slot = self.waiting(frame, start_us, 0, true);
        self.slots.push_front(slot);
    }

    /// Adds a request that failed.
    pub(super) fn push_failed(&mut self, request: RequestMeta, code: ErrorCode) {
        self.slots.push_back(Slot::Failed { request, code });
    }

    /// Begins to set watches: writes wait until [`Self::end_rearming`].
    pub(super) fn begin_rearming(&mut self) {
        self.hold.until_answered();
    }

    /// Puts the watches back to the front that are not all set.
    pub(super) fn put_back(&mut self, rearming: Box<Rearming>) {
        self.waiting_len += rearming.len();
        self.slots.push_front(Slot::Rearming(rearming));
    }

    /// All watches are set.
    pub(super) fn end_rearming(&mut self) {
        self.hold.answered();
    }

    fn waiting(&mut self, frame: Bytes, start_us: u64, barrier: u64, long: bool) -> Slot {
        if long {
            self.hold.until_answered();
        }
        self.waiting_len += frame.len();
        Slot::Waiting { frame, start_us, barrier, long }
    }

    /// Whether a read that comes now, and waits for this barrier, may be answered at once.
    pub(super) fn may_answer(&self, barrier: u64) -> bool {
        self.slots.is_empty() && self.hold.has_passed(barrier)
    }

    /// Takes the request in front, if it may be answered now; one that takes long only where there is time for it.
    pub(super) fn next_ready(&mut self, at_length: bool) -> Option<Ready> {
        match self.slots.pop_front()? {
            write @ Slot::Write { .. } => self.slots.push_front(write),
            early @ Slot::Waiting { barrier, .. } if !self.hold.has_passed(barrier) => {
                self.slots.push_front(early);
            }
            long @ Slot::Waiting { long: true, .. } if !at_length => self.slots.push_front(long),
            Slot::Waiting { frame, start_us, long, .. } => {
                if long {
                    self.hold.answered();
                }
                self.waiting_len -= frame.len();
                return Some(Ready::Read { frame, start_us });
            }
            Slot::Rearming(rearming) => {
                self.waiting_len -= rearming.len();
                return Some(Ready::Rearming(rearming));
            }
            Slot::Failed { request, code } => return Some(Ready::Failed { request, code }),
        }
        None
    }

    /// Takes the write in front, whose outcome is there. `None` where another one is in front, or none: the reply
    /// would be in the wrong place.
    pub(super) fn finish_write(&mut self, seq: u64) -> Option<RequestMeta> {
        match self.slots.pop_front()? {
            Slot::Write { request, seq: expected } if expected == seq => Some(request),
            Slot::Write { .. } | Slot::Waiting { .. } | Slot::Rearming(_) | Slot::Failed { .. } => {
                None
            }
        }
    }

    /// The outcome of this command was handled.
    pub(super) fn outcome_known(&mut self, seq: u64) {
        self.hold.outcome(seq);
    }

    /// This read barrier has passed, and those before it.
    pub(super) fn barrier_passed(&mut self, barrier: u64) {
        self.hold.passed(barrier);
    }

    /// Whether a request could be answered, or a held write proposed, and is not: there was no room in the output, no
    /// time, or nobody has looked since a barrier passed. Who sees this must call
    /// [`Conn::resume`](super::Conn::resume).
    pub(super) fn has_paused(&self) -> bool {
        self.hold.may_release()
            || match self.slots.front() {
                Some(Slot::Waiting { barrier, .. }) => self.hold.has_passed(*barrier),
                Some(Slot::Failed { .. } | Slot::Rearming(_)) => true,
                Some(Slot::Write { .. }) | None => false,
            }
    }

    /// Whether the request in front takes long to answer.
    pub(super) fn takes_long(&self) -> bool {
        matches!(self.slots.front(), Some(Slot::Waiting { long: true, .. }))
    }

    /// Whether a write that comes now must be [held back](Self::hold_back).
    pub(super) fn holds_writes(&self) -> bool {
        self.hold.stands()
    }

    /// Keeps a write from the log until [`Self::release`] gives it back.
    pub(super) fn hold_back(&mut self, frame: Bytes) {
        self.hold.keep(frame);
    }

    /// Gives the held write back, if it may go to the log now.
    pub(super) fn release(&mut self) -> Option<Bytes> {
        self.hold.release()
    }

    /// Forgets all requests: the connection ends.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.hold.drop_held();
        self.waiting_len = 0;
    }
}
