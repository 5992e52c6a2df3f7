//! The replicated session records.
//!
//! A command of a client passes two checks, in this order:
//!
//! 1. *Order on the connection*: [`SessionTable::claim`]. The session has one owner, the connection that opened or
//!    resumed it last, and the owner's commands are numbered from 1 without gaps. So a command that a server
//!    sends again is applied once, and one of a replaced connection is not applied (`SESSIONMOVED`).
//! 2. *Number in the session*, for writes of clients that number them: [`SessionTable::check_duplicate`]. It holds
//!    over all connections of the session, see [`dedup`](super::dedup).
//!
//! `digest` and `cached_weight` follow from the records. So a record changes only in the functions here, and each
//! takes the old hash out before and puts the new one in after.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use jute_proto::{SessionId, WriteNumber};
use serde::{Deserialize, Serialize};

use super::dedup::{CachedReply, Dedup, ReplyCache};
use crate::ensemble::ServerId;
use crate::tree::digest::mix;

/// A client connection, named so that no other connection ever has the same name: not on another
/// server, not after a restart.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
pub struct ConnId {
    /// The server (its `myid`) that holds the connection.
    pub server: ServerId,
    /// A random number drawn when that server's process started; the `process` of its
    /// [`Registration`](crate::replica::Registration).
    pub boot: u64,
    /// Counts the connections of that process, from 1. 0 stands for "no connection": the server
    /// itself speaks, as when it closes an expired session.
    pub number: u64,
}

impl ConnId {
    /// The origin of commands that no client sent.
    pub const NONE: Self = Self { server: ServerId(0), boot: 0, number: 0 };

    /// Whether a server rather than a client speaks.
    pub fn is_none(&self) -> bool {
        self.number == 0
    }
}

/// What every replica knows of a live session.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The negotiated timeout in milliseconds.
    pub timeout_ms: u32,
    /// The only connection whose writes count.
    pub owner: ConnId,
    /// The sequence number of the owner's next command.
    pub next_seq: u64,
    /// Of each server that ever held the session, its newest connection that did, in the order of
    /// the servers: an older one that asks (again) is late.
    pub newest: Vec<ConnId>,
    /// Replies to numbered writes; `None` for a session that never had one. A checkpoint keeps them
    /// beside the record.
    #[serde(skip)]
    pub replies: Option<Box<ReplyCache>>,
}

impl SessionRecord {
    /// A new session, whose first command (number 0) is the creation itself.
    pub fn new(timeout_ms: u32, owner: ConnId) -> Self {
        Self { timeout_ms, owner, next_seq: 1, newest: vec![owner], replies: None }
    }

    /// A hash of the record without its kept replies.
    fn hash(&self, id: SessionId) -> u64 {
        let owners = [&self.owner].into_iter().chain(&self.newest);
        let numbers = owners.flat_map(|conn| [conn.server.0, conn.boot, conn.number]);
        let hash = numbers.fold(mix(id.0.cast_unsigned(), self.timeout_ms.into()), mix);
        hash.wrapping_add(seq_hash(id).wrapping_mul(self.next_seq))
    }

    /// The hash of the record with its kept replies, and what these weigh.
    fn measure(&self, id: SessionId) -> (u64, usize) {
        let (hash, weight) =
            self.replies.as_ref().map_or((0, 0), |replies| (replies.hash(), replies.weight()));
        (self.hash(id).wrapping_add(hash), weight)
    }

    fn judge(&self, conn: ConnId, seq: u64) -> Claim {
        if self.owner != conn {
            return Claim::Moved;
        }
        match seq.cmp(&self.next_seq) {
            core::cmp::Ordering::Less => Claim::Repeated,
            core::cmp::Ordering::Greater => Claim::Gap,
            core::cmp::Ordering::Equal => Claim::Granted,
        }
    }

    /// Takes note of a connection; false where a newer one of the same server process was there
    /// before. Numbers of another process say nothing: what an ended one sent was sent before.
    fn note(&mut self, conn: ConnId) -> bool {
        match self.newest.binary_search_by_key(&conn.server, |known| known.server) {
            Ok(at) => {
                let known = &mut self.newest[at];
                if known.boot == conn.boot && known.number >= conn.number {
                    return false;
                }
                *known = conn;
            }
            Err(at) => self.newest.insert(at, conn),
        }
        true
    }
}

/// What each command of the owner adds to the hash of a session.
fn seq_hash(id: SessionId) -> u64 {
    mix(1, id.0.cast_unsigned()) | 1
}

/// What became of the wish of a connection to have a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attach {
    /// It has it; this connection had it before.
    Given(ConnId),
    /// It asked before, and the session has moved on since (a server sends again what may have been
    /// lost).
    Late,
    /// There is no such session.
    Unknown,
}

/// Whether a command may be applied, by the session that it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// It is the owner's next command.
    Granted,
    /// The owner sent it before: it has been applied, and answered, already.
    Repeated,
    /// Commands between the last applied one and this one are missing; they, and then this one, are
    /// on their way again.
    Gap,
    /// Another connection owns the session (`SESSIONMOVED`).
    Moved,
    /// There is no such session: it expired or was closed.
    Unknown,
}

/// What the kept replies of all sessions may weigh together: one that writes while others do not take their
/// answers must not fill the memory of every server.
const CACHED_WEIGHT_MAX: usize = 64 << 20;

/// All live sessions, and which records changed since the last checkpoint.
#[derive(Debug, Default)]
pub struct SessionTable {
    sessions: BTreeMap<SessionId, SessionRecord>,
    dirty: BTreeSet<SessionId>,
    /// The sum of the records' hashes.
    digest: u64,
    /// What the kept replies weigh together.
    cached_weight: usize,
}

impl SessionTable {
    /// Adds a session owned by `owner`, whose first command (number 0) is the creation itself.
    /// Returns false, and changes nothing, where the id is taken.
    pub fn create(&mut self, id: SessionId, timeout_ms: u32, owner: ConnId) -> bool {
        if self.sessions.contains_key(&id) {
            return false;
        }
        self.load(id, SessionRecord::new(timeout_ms, owner));
        self.dirty.insert(id);
        true
    }

    /// Gives the session to another connection.
    pub fn attach(&mut self, id: SessionId, timeout_ms: u32, owner: ConnId) -> Attach {
        let Some(record) = self.sessions.get_mut(&id) else { return Attach::Unknown };
        let hash = record.hash(id);
        if !record.note(owner) {
            return Attach::Late;
        }
        let before = core::mem::replace(&mut record.owner, owner);
        record.timeout_ms = timeout_ms;
        record.next_seq = 1;
        self.digest = self.digest.wrapping_sub(hash).wrapping_add(record.hash(id));
        self.dirty.insert(id);
        Attach::Given(before)
    }

    /// Judges the command number `seq` of `conn`.
    pub fn judge(&self, id: SessionId, conn: ConnId, seq: u64) -> Claim {
        self.sessions.get(&id).map_or(Claim::Unknown, |record| record.judge(conn, seq))
    }

    /// Judges the command number `seq` of `conn` and, where it is granted, counts it.
    pub fn claim(&mut self, id: SessionId, conn: ConnId, seq: u64) -> Claim {
        let Some(record) = self.sessions.get_mut(&id) else { return Claim::Unknown };
        let claim = record.judge(conn, seq);
        if claim == Claim::Granted {
            record.next_seq += 1;
            self.digest = self.digest.wrapping_add(seq_hash(id));
            self.dirty.insert(id);
        }
        claim
    }

    /// Judges a numbered write that was [granted](Claim::Granted) by its number in the session, see
    /// [`ReplyCache::check`].
    pub fn check_duplicate(&mut self, id: SessionId, write: WriteNumber, weight: usize) -> Dedup {
        self.with_replies(id, |replies| replies.check(write, weight)).unwrap_or(Dedup::BadNumber)
    }

    /// Whether the reply to a numbered write, which may weigh so much, can be kept beside those of all
    /// other sessions. One that was applied before needs no room.
    pub fn has_room_for_reply(&self, id: SessionId, write: WriteNumber, weight: usize) -> bool {
        let replies = self.sessions.get(&id).and_then(|record| record.replies.as_ref());
        let freed = replies.map_or(0, |replies| replies.weight_up_to(write.answered));
        let others = self.cached_weight.saturating_sub(freed);
        // One alone always has room, as in a session.
        let has_room = others == 0 || others + weight <= CACHED_WEIGHT_MAX;
        has_room || write.number <= self.last_write_number(id)
    }

    /// Changes the reply cache of a session, and the sums over all sessions with it.
    fn with_replies<T>(
        &mut self,
        id: SessionId,
        work: impl FnOnce(&mut ReplyCache) -> T,
    ) -> Option<T> {
        let replies = self.sessions.get_mut(&id)?.replies.get_or_insert_default();
        let (hash, weight) = (replies.hash(), replies.weight());
        let result = work(replies);
        self.digest = self.digest.wrapping_sub(hash).wrapping_add(replies.hash());
        self.cached_weight = self.cached_weight - weight + replies.weight();
        Some(result)
    }

    /// A hash of all records and kept replies that does not depend on their order.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Keeps the reply to a write that was just judged to be [`Dedup::New`].
    pub fn keep_reply(&mut self, id: SessionId, number: u64, weight: usize, reply: CachedReply) {
        self.with_replies(id, |replies| replies.record(number, weight, reply));
    }

    /// The highest number of a write that was applied in the session; 0 where there is none.
    pub fn last_write_number(&self, id: SessionId) -> u64 {
        let replies = self.sessions.get(&id).and_then(|record| record.replies.as_ref());
        replies.map_or(0, |replies| replies.last())
    }

    /// Forgets the session; its record is returned where there was one.
    pub fn remove(&mut self, id: SessionId) -> Option<SessionRecord> {
        let record = self.sessions.remove(&id)?;
        self.uncount(id, &record);
        self.dirty.insert(id);
        Some(record)
    }

    /// The record of a live session.
    pub fn get(&self, id: SessionId) -> Option<&SessionRecord> {
        self.sessions.get(&id)
    }

    /// The live sessions in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, &SessionRecord)> {
        self.sessions.iter().map(|(id, record)| (*id, record))
    }

    /// How many sessions live.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session lives.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The records that changed since the last call: `None` for a session that ended.
    pub fn take_dirty(&mut self) -> Vec<(SessionId, Option<SessionRecord>)> {
        core::mem::take(&mut self.dirty)
            .into_iter()
            .map(|id| (id, self.sessions.get(&id).cloned()))
            .collect()
    }

    /// Puts a record back as a checkpoint kept it.
    pub fn load(&mut self, id: SessionId, record: SessionRecord) {
        let (hash, weight) = record.measure(id);
        self.digest = self.digest.wrapping_add(hash);
        self.cached_weight += weight;
        if let Some(before) = self.sessions.insert(id, record) {
            self.uncount(id, &before);
        }
    }

    fn uncount(&mut self, id: SessionId, record: &SessionRecord) {
        let (hash, weight) = record.measure(id);
        self.digest = self.digest.wrapping_sub(hash);
        self.cached_weight -= weight;
    }
}

#[cfg(test)]
#[path = "table_test.rs"]
mod tests;
