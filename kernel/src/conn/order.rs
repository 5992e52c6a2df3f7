//! The order of the replies: what waits for its turn, and what is answered when.

use alloc::boxed::Box;

use bytes::{Bytes, BytesMut};
use jute_proto::{ErrorCode, OpCode, Xid, Zxid};

use super::close::CloseReason;
use super::conn::{Conn, Propose, View};
use super::rearm::Rearming;
use super::settings::Settings;

/// A request whose turn has not come.
#[derive(Debug)]
pub(super) enum Slot {
    /// A command in the log, or on its way there.
    Write { xid: Xid, op: OpCode, seq: u64, start_us: u64 },
    /// A request to be answered when what is in front of it has been, and when the barrier of this
    /// number has passed; one that takes long, by who has time for that.
    Waiting { frame: Bytes, start_us: u64, barrier: u64, long: bool },
    /// Watches that are being set, some at a time. Always in front.
    Rearming(Box<Rearming>),
    /// A request that failed already; the answer waits for its turn.
    Failed { xid: Xid, op: OpCode, code: ErrorCode, start_us: u64 },
}

/// How much is answered before others have their turn.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    /// The length of the output at which no more is.
    output_len: usize,
    /// Bytes of requests.
    requests_len: usize,
}

const TURN_LEN: usize = 64 << 10;

impl Turn {
    pub(super) fn new(settings: &Settings) -> Self {
        Self { output_len: settings.output_len_high, requests_len: TURN_LEN }
    }
}

impl Conn {
    /// Answers a request with an error when its turn comes.
    pub(super) fn refuse(&mut self, view: View<'_>, (xid, op): (Xid, OpCode), code: ErrorCode) {
        let start_us = view.now_us;
        if self.order.is_empty() {
            self.fail(view, xid, op, code, start_us);
        } else {
            self.order.push_back(Slot::Failed { xid, op, code, start_us });
        }
    }

    /// Every write that was acknowledged anywhere before the read barrier of this number was asked
    /// for is in the state that `view` shows. Answers what waited for it.
    pub fn barrier_passed(&mut self, view: View<'_>, log: &mut impl Propose, barrier: u64) {
        self.hold.passed(barrier);
        self.answer_waiting(view, Turn::new(view.settings));
        self.release(view, log);
    }

    /// Lets a write go its way that was held back, if it may now.
    fn release(&mut self, view: View<'_>, log: &mut impl Propose) {
        if self.closing.is_none()
            && let Some(frame) = self.hold.release()
        {
            self.request(view, log, frame);
        }
    }

    /// Whether requests could be served and are not, because many bytes wait in the output, or
    /// because nobody has looked yet.
    pub fn has_paused(&self) -> bool {
        if self.hold.may_release() && self.closing.is_none() {
            return true;
        }
        match self.order.front() {
            Some(Slot::Waiting { barrier, .. }) => self.hold.has_passed(*barrier),
            Some(Slot::Failed { .. } | Slot::Rearming(_)) => true,
            Some(Slot::Write { .. }) | None => false,
        }
    }

    /// Whether the request that is paused takes long to answer.
    pub fn takes_long(&self) -> bool {
        matches!(self.order.front(), Some(Slot::Waiting { long: true, .. }))
    }

    /// Makes a request wait.
    pub(super) fn waiting(
        &mut self,
        frame: Bytes,
        start_us: u64,
        barrier: u64,
        long: bool,
    ) -> Slot {
        if long {
            self.hold.until_answered();
        }
        self.waiting_len += frame.len();
        Slot::Waiting { frame, start_us, barrier, long }
    }

    /// Serves requests that were paused, until many bytes wait again.
    pub fn resume(&mut self, view: View<'_>, log: &mut impl Propose) {
        self.answer_waiting(view, Turn::new(view.settings));
        self.release(view, log);
    }

    /// Answers all that was paused; to be called before another write of this connection is
    /// applied, which the requests in front of it must not see.
    pub fn resume_all(&mut self, view: View<'_>) {
        let view = View { at_length: true, ..view };
        self.answer_waiting(view, Turn { output_len: usize::MAX, requests_len: usize::MAX });
    }

    pub(super) fn finish_write(
        &mut self,
        view: View<'_>,
        seq: u64,
        header: (Zxid, ErrorCode),
        body: impl FnOnce(&mut BytesMut),
    ) {
        match self.order.pop_front() {
            Some(Slot::Write { xid, op, seq: expected, start_us }) if expected == seq => {
                view.stats.write_latency_us.record(view.now_us.saturating_sub(start_us));
                self.reply(view, (xid, op), header, start_us, body);
                self.report_oversized(view, op, None);
            }
            // An outcome out of order would put every later reply in the wrong place.
            Some(_) | None => self.close(CloseReason::SessionMoved),
        }
    }

    pub(super) fn answer_waiting(&mut self, view: View<'_>, mut turn: Turn) {
        while self.closing.is_none() && self.out.len() < turn.output_len && turn.requests_len > 0 {
            match self.order.pop_front() {
                None => return,
                Some(write @ Slot::Write { .. }) => return self.order.push_front(write),
                Some(early @ Slot::Waiting { barrier, .. }) if !self.hold.has_passed(barrier) => {
                    return self.order.push_front(early);
                }
                Some(long @ Slot::Waiting { long: true, .. }) if !view.at_length => {
                    return self.order.push_front(long);
                }
                Some(Slot::Waiting { frame, start_us, long, .. }) => {
                    if long {
                        self.hold.answered();
                    }
                    self.waiting_len -= frame.len();
                    turn.requests_len = turn.requests_len.saturating_sub(frame.len());
                    self.answer(view, &frame, start_us);
                }
                Some(Slot::Rearming(rearming)) => {
                    self.waiting_len -= rearming.len();
                    turn.requests_len = turn.requests_len.saturating_sub(TURN_LEN);
                    self.go_on_rearming(view, rearming);
                }
                Some(Slot::Failed { xid, op, code, start_us }) => {
                    self.fail(view, xid, op, code, start_us);
                }
            }
        }
    }

    /// Sets some of the watches, and answers where those were the last.
    pub(super) fn go_on_rearming(&mut self, view: View<'_>, mut rearming: Box<Rearming>) {
        if self.rearm_some(view, &mut rearming) {
            self.hold.answered();
            let done = (view.replica.last_zxid(), ErrorCode::Ok);
            view.stats.read_latency_us.record(view.now_us.saturating_sub(rearming.start_us));
            self.reply(view, (rearming.xid, rearming.op), done, rearming.start_us, |_| {});
        } else if self.closing.is_none() {
            self.waiting_len += rearming.len();
            self.order.push_front(Slot::Rearming(rearming));
        }
    }

    pub(super) fn fail(
        &mut self,
        view: View<'_>,
        xid: Xid,
        op: OpCode,
        code: ErrorCode,
        start_us: u64,
    ) {
        let zxid = view.replica.last_zxid();
        self.reply_error(view, (xid, op), zxid, code, start_us);
    }
}
