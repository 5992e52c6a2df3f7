//! The replicated session records.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use jute_proto::{SessionId, WriteNumber};
use serde::{Deserialize, Serialize};

use super::replies::{KeptReply, Place, Replies};
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
    pub server: u64,
    /// A random number drawn when that server's process started.
    pub boot: u64,
    /// Counts the connections of that process, from 1. 0 stands for "no connection": the server
    /// itself speaks, as when it closes an expired session.
    pub number: u64,
}

impl ConnId {
    /// The origin of commands that no client sent.
    pub const NONE: Self = Self { server: 0, boot: 0, number: 0 };

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
    pub replies: Option<Box<Replies>>,
}

impl SessionRecord {
    /// A new session, whose first command (number 0) is the creation itself.
    pub fn new(timeout_ms: u32, owner: ConnId) -> Self {
        Self { timeout_ms, owner, next_seq: 1, newest: vec![owner], replies: None }
    }

    /// A hash of the record without its kept replies.
    fn hash(&self, id: SessionId) -> u64 {
        let owners = [&self.owner].into_iter().chain(&self.newest);
        let numbers = owners.flat_map(|conn| [conn.server, conn.boot, conn.number]);
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
const KEPT_WEIGHT_MAX: usize = 64 << 20;

/// All live sessions, and which records changed since the last checkpoint.
#[derive(Debug, Default)]
pub struct SessionTable {
    sessions: BTreeMap<SessionId, SessionRecord>,
    dirty: BTreeSet<SessionId>,
    /// The sum of the records' hashes.
    digest: u64,
    /// What the kept replies weigh together.
    kept_weight: usize,
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
    /// [`Replies::judge`].
    pub fn place(&mut self, id: SessionId, write: WriteNumber, weight: usize) -> Place {
        self.with_replies(id, |replies| replies.judge(write, weight)).unwrap_or(Place::Refused)
    }

    /// Whether the reply to a numbered write, which may weigh so much, can be kept beside those of all
    /// other sessions. One that was applied before needs no room.
    pub fn may_keep(&self, id: SessionId, write: WriteNumber, weight: usize) -> bool {
        let replies = self.sessions.get(&id).and_then(|record| record.replies.as_ref());
        let freed = replies.map_or(0, |replies| replies.weight_up_to(write.answered));
        let others = self.kept_weight.saturating_sub(freed);
        // One alone always has room, as in a session.
        let has_room = others == 0 || others + weight <= KEPT_WEIGHT_MAX;
        has_room || write.number <= self.last_number(id)
    }

    fn with_replies<T>(
        &mut self,
        id: SessionId,
        work: impl FnOnce(&mut Replies) -> T,
    ) -> Option<T> {
        let replies = self.sessions.get_mut(&id)?.replies.get_or_insert_default();
        let (hash, weight) = (replies.hash(), replies.weight());
        let result = work(replies);
        self.digest = self.digest.wrapping_sub(hash).wrapping_add(replies.hash());
        self.kept_weight = self.kept_weight - weight + replies.weight();
        Some(result)
    }

    /// A hash of all records and kept replies that does not depend on their order.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Keeps the reply to a write that was just judged to be [`Place::Next`].
    pub fn keep(&mut self, id: SessionId, number: u64, weight: usize, reply: KeptReply) {
        self.with_replies(id, |replies| replies.keep(number, weight, reply));
    }

    /// The highest number of a write that was applied in the session; 0 where there is none.
    pub fn last_number(&self, id: SessionId) -> u64 {
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
        self.kept_weight += weight;
        if let Some(before) = self.sessions.insert(id, record) {
            self.uncount(id, &before);
        }
    }

    fn uncount(&mut self, id: SessionId, record: &SessionRecord) {
        let (hash, weight) = record.measure(id);
        self.digest = self.digest.wrapping_sub(hash);
        self.kept_weight -= weight;
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use jute_proto::{ErrorCode, Zxid};

    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn conn(number: u64) -> ConnId {
        ConnId { server: 1, boot: 2, number }
    }

    fn table() -> SessionTable {
        let mut table = SessionTable::default();
        assert!(table.create(SESSION, 6000, conn(1)));
        table
    }

    #[test]
    fn commands_are_granted_once_and_in_order() {
        // A command is granted once, its repetition is recognised, a later one does not overtake.
        let mut table = table();
        assert_eq!(table.claim(SESSION, conn(1), 2), Claim::Gap);
        assert_eq!(table.claim(SESSION, conn(1), 1), Claim::Granted);
        assert_eq!(table.claim(SESSION, conn(1), 1), Claim::Repeated);
        assert_eq!(table.claim(SESSION, conn(1), 2), Claim::Granted);
    }

    #[test]
    fn a_replaced_connection_is_refused() {
        // After a session moved, late commands of the old connection are refused as moved.
        let mut table = table();
        assert_eq!(table.attach(SESSION, 4000, conn(2)), Attach::Given(conn(1)));
        assert_eq!(table.claim(SESSION, conn(1), 1), Claim::Moved);
        assert_eq!(table.claim(SESSION, conn(2), 1), Claim::Granted);
    }

    #[test]
    fn a_session_that_moved_on_does_not_come_back() {
        // A connection that asks for the session a second time, after others had it, is late; a new
        // connection of the same server, and one of the server's next process, are not.
        let mut table = table();
        let (here, there) = (conn(2), ConnId { server: 2, boot: 8, number: 1 });
        assert_eq!(table.attach(SESSION, 4000, here), Attach::Given(conn(1)));
        assert_eq!(table.attach(SESSION, 4000, there), Attach::Given(here));
        assert_eq!(table.attach(SESSION, 4000, here), Attach::Late);
        assert_eq!(table.attach(SESSION, 4000, conn(1)), Attach::Late);
        assert_eq!(table.get(SESSION).map(|record| record.owner), Some(there));
        assert_eq!(table.attach(SESSION, 4000, conn(3)), Attach::Given(there));
        let restarted = ConnId { server: 1, boot: 3, number: 1 };
        assert_eq!(table.attach(SESSION, 4000, restarted), Attach::Given(conn(3)));
        assert_eq!(table.attach(SessionId(8), 4000, conn(9)), Attach::Unknown);
    }

    #[test]
    fn an_ended_session_is_unknown_and_reported_as_removed() {
        // A checkpoint after the end of a session removes its row.
        let mut table = table();
        assert_eq!(table.take_dirty().len(), 1);
        table.remove(SESSION);
        assert_eq!(table.claim(SESSION, conn(1), 1), Claim::Unknown);
        assert_eq!(table.take_dirty(), vec![(SESSION, None)]);
        assert!(table.take_dirty().is_empty());
    }

    #[test]
    fn the_digest_follows_from_the_records() {
        // Whatever came before: equal tables have equal digests, and each field of a record counts.
        let mut one = table();
        one.claim(SESSION, conn(1), 1);
        one.attach(SESSION, 4000, conn(2));
        one.claim(SESSION, conn(2), 1);
        one.create(SessionId(8), 1, conn(3));
        let mut digests = vec![one.digest()];
        one.remove(SessionId(8));
        let mut other = SessionTable::default();
        other.load(SESSION, one.get(SESSION).unwrap().clone());
        assert_eq!(one.digest(), other.digest());
        let changes: [fn(&mut SessionRecord); 4] = [
            |record| record.timeout_ms += 1,
            |record| record.owner.number += 1,
            |record| record.next_seq += 1,
            |record| record.newest.clear(),
        ];
        for change in changes {
            let mut record = one.get(SESSION).unwrap().clone();
            change(&mut record);
            other.load(SESSION, record);
            assert!(!digests.contains(&other.digest()));
            digests.push(other.digest());
        }
    }

    #[test]
    fn kept_replies_are_bounded_over_all_sessions() {
        // When all sessions together keep as much as may be kept, none gets more; room that an answered or
        // ended session frees can be used.
        let mut table = SessionTable::default();
        let weight = KEPT_WEIGHT_MAX / 4;
        let write = |number, answered| WriteNumber { number, answered };
        let reply = KeptReply { zxid: Zxid(1), code: ErrorCode::Ok, body: [].into() };
        let keep = |table: &mut SessionTable, id, write: WriteNumber| {
            let may = table.may_keep(id, write, weight);
            if may {
                assert_eq!(table.place(id, write, weight), Place::Next);
                table.keep(id, write.number, weight, reply.clone());
            }
            may
        };
        for id in 1..=5 {
            assert!(table.create(SessionId(id), 6000, conn(1)));
            assert_eq!(keep(&mut table, SessionId(id), write(1, 0)), id < 5);
        }
        assert!(table.may_keep(SessionId(1), write(1, 0), weight), "it was applied before");
        assert!(keep(&mut table, SessionId(1), write(2, 1)), "it takes its own place");
        table.remove(SessionId(2));
        assert!(keep(&mut table, SessionId(5), write(1, 0)));
        (1..=5).for_each(|id| drop(table.remove(SessionId(id))));
        assert_eq!((table.digest(), table.kept_weight), (0, 0));
    }

    #[test]
    fn an_id_is_given_once() {
        // Creating a session under a live id changes nothing.
        let mut table = table();
        assert!(!table.create(SESSION, 1, conn(9)));
        assert_eq!(table.get(SESSION).map(|record| record.owner), Some(conn(1)));
    }
}
