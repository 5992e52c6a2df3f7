//! Replies to the numbered writes of a session, kept until its client has them.
//!
//! See [`jute_proto::once`] for what clients and servers agree on.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use jute_proto::{ErrorCode, WriteNumber, Zxid, once};
use serde::{Deserialize, Serialize};

use crate::tree::digest::{hash_bytes, mix};

/// A reply as it was sent, and is sent again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptReply {
    /// The transaction that the write was.
    pub zxid: Zxid,
    /// What became of it.
    pub code: ErrorCode,
    /// The encoded record.
    pub body: Arc<[u8]>,
}

/// What is to be done about a numbered write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// It was not applied yet: now it is to be, and its reply to be [kept](Replies::keep).
    Next,
    /// It was applied before.
    Again(KeptReply),
    /// It was not applied, later ones were: it never will be.
    Skipped,
    /// The client says that it does not wait for its answer, or has more unanswered writes than it may.
    Refused,
}

/// The numbers of a session, and the replies that may be asked for again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Replies {
    /// The highest number that was applied.
    last: u64,
    /// The client waits for no answer up to this number, and once it has said so, never will.
    answered: u64,
    /// In the order of their numbers.
    kept: VecDeque<Kept>,
    /// What these weigh together.
    weighing: usize,
    /// The sum of their hashes.
    kept_hash: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Kept {
    number: u64,
    weight: usize,
    reply: KeptReply,
    hash: u64,
}

impl Replies {
    /// The highest number that was applied; 0 where there is none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// What the kept replies weigh together.
    pub(super) fn weight(&self) -> usize {
        self.weighing
    }

    /// What those weigh that are dropped when the client has them up to this number.
    pub(super) fn weight_up_to(&self, answered: u64) -> usize {
        let dropped = self.kept.iter().take_while(|kept| kept.number <= answered);
        dropped.map(|kept| kept.weight).sum()
    }

    /// A hash of the numbers and the kept replies; 0 where there are none, as of a session without any.
    pub(super) fn hash(&self) -> u64 {
        mix(self.last, self.answered).wrapping_sub(mix(0, 0)).wrapping_add(self.kept_hash)
    }

    /// How many replies are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether no reply is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Judges a write whose reply weighs no more than `weight`, and drops the replies that its client
    /// has.
    pub fn judge(&mut self, write: WriteNumber, weight: usize) -> Place {
        if write.number <= write.answered {
            return Place::Refused;
        }
        self.answered = self.answered.max(write.answered);
        while self.kept.front().is_some_and(|kept| kept.number <= self.answered) {
            let Some(Kept { weight, hash, .. }) = self.kept.pop_front() else { break };
            self.weighing -= weight;
            self.kept_hash = self.kept_hash.wrapping_sub(hash);
        }
        if write.number <= self.answered {
            return Place::Refused;
        }
        if write.number <= self.last {
            return match self.kept.binary_search_by_key(&write.number, |kept| kept.number) {
                Ok(at) => Place::Again(self.kept[at].reply.clone()),
                Err(_) => Place::Skipped,
            };
        }
        let has_room = once::has_room(self.kept.len(), self.weighing, weight);
        if has_room { Place::Next } else { Place::Refused }
    }

    /// Keeps the reply to a write that was judged to be [`Place::Next`].
    pub fn keep(&mut self, number: u64, weight: usize, reply: KeptReply) {
        self.last = number;
        self.weighing += weight;
        let parts = [number, weight as u64, reply.zxid.0.cast_unsigned(), code_bits(reply.code)];
        let hash = hash_bytes(parts.into_iter().fold(0, mix), &reply.body);
        self.kept_hash = self.kept_hash.wrapping_add(hash);
        self.kept.push_back(Kept { number, weight, reply, hash });
    }
}

fn code_bits(code: ErrorCode) -> u64 {
    u64::from(i32::from(code).cast_unsigned())
}

impl Kept {
    fn store(&self) -> StoredReply<'_> {
        let Self { number, weight, reply: KeptReply { zxid, code, body }, .. } = self;
        StoredReply { number: *number, weight: *weight, zxid: zxid.0, code: (*code).into(), body }
    }
}

/// [`Replies`] as a checkpoint keeps them.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredReplies<'a> {
    last: u64,
    answered: u64,
    #[serde(borrow)]
    kept: Vec<StoredReply<'a>>,
}

/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
struct StoredReply<'a> {
    number: u64,
    weight: usize,
    zxid: i64,
    code: i32,
    body: &'a [u8],
}

impl Replies {
    pub(crate) fn store(&self) -> StoredReplies<'_> {
        let kept = self.kept.iter().map(Kept::store).collect();
        StoredReplies { last: self.last, answered: self.answered, kept }
    }

    /// `None` where it makes no sense.
    pub(crate) fn restore(stored: &StoredReplies<'_>) -> Option<Self> {
        let mut replies = Self { last: stored.answered, ..Self::default() };
        for kept in &stored.kept {
            let code = ErrorCode::try_from(kept.code).ok()?;
            let reply = KeptReply { zxid: Zxid(kept.zxid), code, body: kept.body.into() };
            if kept.number <= replies.last {
                return None;
            }
            replies.keep(kept.number, kept.weight, reply);
        }
        let is_sound = stored.kept.is_empty() || stored.last >= replies.last;
        (replies.last, replies.answered) = (stored.last, stored.answered);
        is_sound.then_some(replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEIGHT: usize = 100;

    fn reply(zxid: i64) -> KeptReply {
        KeptReply { zxid: Zxid(zxid), code: ErrorCode::Ok, body: Arc::from(&b"x"[..]) }
    }

    /// Judges a write and applies it, if it is its turn, with its number as the zxid.
    fn write(replies: &mut Replies, number: u64, answered: u64) -> Place {
        let place = replies.judge(WriteNumber { number, answered }, WEIGHT);
        if place == Place::Next {
            replies.keep(number, WEIGHT, reply(number as i64));
        }
        place
    }

    #[test]
    fn a_write_is_applied_once_and_answered_again() {
        // A number is applied the first time and answered with what was kept from then on, also when
        // later ones came in between.
        let mut replies = Replies::default();
        assert_eq!(write(&mut replies, 5, 0), Place::Next);
        assert_eq!(write(&mut replies, 6, 0), Place::Next);
        for _ in 0..2 {
            assert_eq!(write(&mut replies, 5, 0), Place::Again(reply(5)));
            assert_eq!(write(&mut replies, 6, 0), Place::Again(reply(6)));
        }
        assert_eq!((replies.len(), replies.last()), (2, 6));
    }

    #[test]
    fn what_the_client_has_is_dropped() {
        // Replies are kept until the client says that it has them, and no longer; the highest number
        // stays.
        let mut replies = Replies::default();
        for number in 1..=3 {
            write(&mut replies, number, 0);
        }
        assert_eq!(write(&mut replies, 3, 2), Place::Again(reply(3)));
        assert_eq!(replies.len(), 1);
        assert_eq!(write(&mut replies, 4, 3), Place::Next);
        // What was said once is not taken back: the answer to 3 is gone.
        assert_eq!(write(&mut replies, 3, 2), Place::Refused);
        assert_eq!((replies.len(), replies.last(), replies.weighing), (1, 4, WEIGHT));
    }

    #[test]
    fn a_number_that_was_passed_over_is_never_applied() {
        // A connection may have refused a write and taken the next one. Sent again it would come
        // behind that, so it is not applied any more, and its client learns that it was not.
        let mut replies = Replies::default();
        assert_eq!(write(&mut replies, 4, 0), Place::Next);
        assert_eq!(write(&mut replies, 3, 0), Place::Skipped);
        assert_eq!(write(&mut replies, 4, 3), Place::Again(reply(4)));
    }

    #[test]
    fn a_client_without_manners_is_refused() {
        // Neither a write that nobody waits for nor one more than may be unanswered is applied.
        let mut replies = Replies::default();
        assert_eq!(write(&mut replies, 7, 7), Place::Refused);
        for number in 1..=once::WRITES_MAX as u64 {
            assert_eq!(write(&mut replies, number, 0), Place::Next);
        }
        let next = once::WRITES_MAX as u64 + 1;
        assert_eq!(write(&mut replies, next, 0), Place::Refused);
        assert_eq!(write(&mut replies, next, 1), Place::Next);
    }

    #[test]
    fn large_replies_count_by_their_weight() {
        // A large one alone passes; together they stay within the limit.
        let mut replies = Replies::default();
        let number = |number, answered| WriteNumber { number, answered };
        assert_eq!(replies.judge(number(1, 0), once::WEIGHT_MAX + 1), Place::Next);
        replies.keep(1, once::WEIGHT_MAX + 1, reply(1));
        assert_eq!(replies.judge(number(2, 0), 1), Place::Refused);
        assert_eq!(replies.judge(number(2, 1), 1), Place::Next);
    }

    #[test]
    fn they_come_back_from_a_checkpoint() {
        // Replies and numbers are the same after a restart; rows that make no sense are refused.
        let mut replies = Replies::default();
        for number in [3, 4, 9] {
            write(&mut replies, number, 3);
        }
        let row = postcard::to_stdvec(&replies.store()).expect("memory");
        let stored: StoredReplies<'_> = postcard::from_bytes(&row).expect("its own encoding");
        assert_eq!(Replies::restore(&stored), Some(replies.clone()));
        let mut unordered = replies.store();
        unordered.kept.reverse();
        assert_eq!(Replies::restore(&unordered), None);
        let unfinished = StoredReplies { last: 4, ..replies.store() };
        assert_eq!(Replies::restore(&unfinished), None);
    }
}
