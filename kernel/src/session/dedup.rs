//! Duplicate detection: a numbered write that comes again is answered from its session's reply cache.
//!
//! See [`jute_proto::once`] for what clients and servers agree on. The scheme is that of Raft's client sessions
//! (Ongaro's dissertation, 6.3): a session numbers its writes, and the state machine keeps the replies that
//! the client may still ask for. The cache is replicated state: it is in checkpoints and in the digest.
//!
//! ```text
//!            answered                          last
//! ───────────────┼───[r]────[r]──gap──[r]────────┼───────────────▶ number of a write
//!   BadNumber    │  Duplicate    Skipped         │     New
//! ```
//!
//! Between two calls of a [`ReplyCache`] this holds:
//!
//! * Cached numbers rise, are above `answered`, and are not above `last`.
//! * Neither `answered` nor `last` goes back. A client that said that it has a reply cannot ask for it again.
//! * `weight` and `kept_hash` are the sums over the cached replies.
//!
//! A write that [`check`](ReplyCache::check) calls [`Dedup::New`] must be applied and its reply
//! [recorded](ReplyCache::record) before the next check. The check found room for this one reply, and `last`
//! is raised by recording.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use jute_proto::{ErrorCode, WriteNumber, Zxid, once};
use serde::{Deserialize, Serialize};

use crate::tree::digest::{hash_bytes, mix};

/// A reply as it was sent, and is sent again. It keeps the zxid of its time, so that a client sees one history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CachedReply {
    /// The transaction that the write was.
    pub zxid: Zxid,
    /// What became of it.
    pub code: ErrorCode,
    /// The encoded record.
    pub body: Arc<[u8]>,
}

/// What duplicate detection says of a numbered write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dedup {
    /// It was not applied yet: now it is to be, and its reply to be [kept](ReplyCache::record).
    New,
    /// It was applied before, and had this reply.
    Duplicate(CachedReply),
    /// It was not applied, and later ones were. It never will be: applied now it would come behind writes that
    /// the client sent after it.
    Skipped,
    /// The client says that it does not wait for its answer, or has more unanswered writes than it may. It breaks
    /// the rules of [`jute_proto::once`], so its connection is closed.
    BadNumber,
}

/// The numbers of a session, and the replies that may be asked for again. A window of bounded length and weight.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplyCache {
    /// The highest number that was applied.
    last: u64,
    /// The client waits for no answer up to this number, and once it has said so, never will.
    answered: u64,
    /// In the order of their numbers.
    kept: VecDeque<CacheEntry>,
    /// What these weigh together.
    weight: usize,
    /// The sum of their hashes.
    kept_hash: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct CacheEntry {
    number: u64,
    weight: usize,
    reply: CachedReply,
    hash: u64,
}

impl ReplyCache {
    /// The highest number that was applied; 0 where there is none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// What the kept replies weigh together.
    pub(super) fn weight(&self) -> usize {
        self.weight
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
    pub fn check(&mut self, write: WriteNumber, weight: usize) -> Dedup {
        if write.number <= write.answered {
            return Dedup::BadNumber;
        }
        self.answered = self.answered.max(write.answered);
        while self.kept.front().is_some_and(|kept| kept.number <= self.answered) {
            let Some(CacheEntry { weight, hash, .. }) = self.kept.pop_front() else { break };
            self.weight -= weight;
            self.kept_hash = self.kept_hash.wrapping_sub(hash);
        }
        if write.number <= self.answered {
            return Dedup::BadNumber;
        }
        if write.number <= self.last {
            return match self.kept.binary_search_by_key(&write.number, |kept| kept.number) {
                Ok(at) => Dedup::Duplicate(self.kept[at].reply.clone()),
                Err(_) => Dedup::Skipped,
            };
        }
        let has_room = once::has_room(self.kept.len(), self.weight, weight);
        if has_room { Dedup::New } else { Dedup::BadNumber }
    }

    /// Keeps the reply to a write that was judged to be [`Dedup::New`].
    pub fn record(&mut self, number: u64, weight: usize, reply: CachedReply) {
        self.last = number;
        self.weight += weight;
        let parts = [number, weight as u64, reply.zxid.0.cast_unsigned(), code_bits(reply.code)];
        let hash = hash_bytes(parts.into_iter().fold(0, mix), &reply.body);
        self.kept_hash = self.kept_hash.wrapping_add(hash);
        self.kept.push_back(CacheEntry { number, weight, reply, hash });
    }
}

fn code_bits(code: ErrorCode) -> u64 {
    u64::from(i32::from(code).cast_unsigned())
}

impl CacheEntry {
    fn store(&self) -> StoredReply<'_> {
        let Self { number, weight, reply: CachedReply { zxid, code, body }, .. } = self;
        StoredReply { number: *number, weight: *weight, zxid: zxid.0, code: (*code).into(), body }
    }
}

/// [`ReplyCache`] as a checkpoint keeps them.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredReplyCache<'a> {
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

impl ReplyCache {
    pub(crate) fn store(&self) -> StoredReplyCache<'_> {
        let kept = self.kept.iter().map(CacheEntry::store).collect();
        StoredReplyCache { last: self.last, answered: self.answered, kept }
    }

    /// `None` where it makes no sense.
    pub(crate) fn restore(stored: &StoredReplyCache<'_>) -> Option<Self> {
        let mut replies = Self { last: stored.answered, ..Self::default() };
        for kept in &stored.kept {
            let code = ErrorCode::try_from(kept.code).ok()?;
            let reply = CachedReply { zxid: Zxid(kept.zxid), code, body: kept.body.into() };
            if kept.number <= replies.last {
                return None;
            }
            replies.record(kept.number, kept.weight, reply);
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

    fn reply(zxid: i64) -> CachedReply {
        CachedReply { zxid: Zxid(zxid), code: ErrorCode::Ok, body: Arc::from(&b"x"[..]) }
    }

    /// Judges a write and applies it, if it is its turn, with its number as the zxid.
    fn write(replies: &mut ReplyCache, number: u64, answered: u64) -> Dedup {
        let dedup = replies.check(WriteNumber { number, answered }, WEIGHT);
        if dedup == Dedup::New {
            replies.record(number, WEIGHT, reply(number as i64));
        }
        dedup
    }

    #[test]
    fn a_write_is_applied_once_and_answered_again() {
        // A number is applied the first time and answered with what was kept from then on, also when
        // later ones came in between.
        let mut replies = ReplyCache::default();
        assert_eq!(write(&mut replies, 5, 0), Dedup::New);
        assert_eq!(write(&mut replies, 6, 0), Dedup::New);
        for _ in 0..2 {
            assert_eq!(write(&mut replies, 5, 0), Dedup::Duplicate(reply(5)));
            assert_eq!(write(&mut replies, 6, 0), Dedup::Duplicate(reply(6)));
        }
        assert_eq!((replies.len(), replies.last()), (2, 6));
    }

    #[test]
    fn what_the_client_has_is_dropped() {
        // ReplyCache are kept until the client says that it has them, and no longer; the highest number
        // stays.
        let mut replies = ReplyCache::default();
        for number in 1..=3 {
            write(&mut replies, number, 0);
        }
        assert_eq!(write(&mut replies, 3, 2), Dedup::Duplicate(reply(3)));
        assert_eq!(replies.len(), 1);
        assert_eq!(write(&mut replies, 4, 3), Dedup::New);
        // What was said once is not taken back: the answer to 3 is gone.
        assert_eq!(write(&mut replies, 3, 2), Dedup::BadNumber);
        assert_eq!((replies.len(), replies.last(), replies.weight), (1, 4, WEIGHT));
    }

    #[test]
    fn a_number_that_was_passed_over_is_never_applied() {
        // A connection may have refused a write and taken the next one. Sent again it would come
        // behind that, so it is not applied any more, and its client learns that it was not.
        let mut replies = ReplyCache::default();
        assert_eq!(write(&mut replies, 4, 0), Dedup::New);
        assert_eq!(write(&mut replies, 3, 0), Dedup::Skipped);
        assert_eq!(write(&mut replies, 4, 3), Dedup::Duplicate(reply(4)));
    }

    #[test]
    fn a_client_without_manners_is_refused() {
        // Neither a write that nobody waits for nor one more than may be unanswered is applied.
        let mut replies = ReplyCache::default();
        assert_eq!(write(&mut replies, 7, 7), Dedup::BadNumber);
        for number in 1..=once::WRITES_MAX as u64 {
            assert_eq!(write(&mut replies, number, 0), Dedup::New);
        }
        let next = once::WRITES_MAX as u64 + 1;
        assert_eq!(write(&mut replies, next, 0), Dedup::BadNumber);
        assert_eq!(write(&mut replies, next, 1), Dedup::New);
    }

    #[test]
    fn large_replies_count_by_their_weight() {
        // A large one alone passes; together they stay within the limit.
        let mut replies = ReplyCache::default();
        let number = |number, answered| WriteNumber { number, answered };
        assert_eq!(replies.check(number(1, 0), once::WEIGHT_MAX + 1), Dedup::New);
        replies.record(1, once::WEIGHT_MAX + 1, reply(1));
        assert_eq!(replies.check(number(2, 0), 1), Dedup::BadNumber);
        assert_eq!(replies.check(number(2, 1), 1), Dedup::New);
    }

    #[test]
    fn they_come_back_from_a_checkpoint() {
        // ReplyCache and numbers are the same after a restart; rows that make no sense are refused.
        let mut replies = ReplyCache::default();
        for number in [3, 4, 9] {
            write(&mut replies, number, 3);
        }
        let row = postcard::to_stdvec(&replies.store()).expect("memory");
        let stored: StoredReplyCache<'_> = postcard::from_bytes(&row).expect("its own encoding");
        assert_eq!(ReplyCache::restore(&stored), Some(replies.clone()));
        let mut unordered = replies.store();
        unordered.kept.reverse();
        assert_eq!(ReplyCache::restore(&unordered), None);
        let unfinished = StoredReplyCache { last: 4, ..replies.store() };
        assert_eq!(ReplyCache::restore(&unfinished), None);
    }
}
