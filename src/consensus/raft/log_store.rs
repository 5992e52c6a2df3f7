//! The storage's log as openraft wants it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};

use bytes::Bytes;
use futures_util::{Stream, stream};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::membership;
use super::types::{
    self, Commands, Entry, LogId, RaftVote, TypeConfig, log_id, position, raft_vote,
};
use crate::storage::log::EntryKind;
use crate::storage::{LogEntry, LogPosition, RaftLog};

/// Entries read at once when many are applied.
const READ_ENTRIES_MAX: u64 = 256;
/// Payload bytes sent to a peer at once.
const REPLICATE_BYTES_MAX: usize = 4 << 20;

/// Reads and writes the log for openraft. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LogStore {
    log: RaftLog,
}

impl LogStore {
    pub(crate) fn new(log: RaftLog) -> Self {
        Self { log }
    }

    /// Up to where entries are known to be committed, as far as they are here. After a crash that position
    /// may be newer than the entries that survived: it is saved before they are flushed here when a
    /// majority of the others has them.
    pub(crate) fn committed(&self) -> Option<LogPosition> {
        let last = self.log.state().last;
        self.log.committed().filter(|committed| Some(*committed) <= last)
    }

    /// The entries of a range in order, some at a time, read ahead by a thread of its own.
    pub(crate) fn read_ahead(
        &self,
        range: Range<u64>,
    ) -> io::Result<impl Iterator<Item = io::Result<Vec<Entry>>> + use<>> {
        let batches = self.log.read_ahead(range)?;
        Ok(batches.map(|batch| batch?.into_iter().map(from_stored).collect()))
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<Entry>> {
        self.log.read(range)?.into_iter().map(from_stored).collect()
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        stream::iter(Entries { store: self.clone(), range: bounds(&range), read: Vec::new() })
    }

    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.read(bounds(&range))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let mut entries = self.read(start..end.min(start.saturating_add(READ_ENTRIES_MAX)))?;
        let mut bytes = 0;
        let fits = entries.iter().position(|entry| {
            let full = bytes >= REPLICATE_BYTES_MAX;
            if let EntryPayload::Normal(batch) = &entry.payload {
                bytes += batch.0.len();
            }
            full
        });
        entries.truncate(fits.unwrap_or(entries.len()));
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<RaftVote>> {
        Ok(self.log.vote().map(raft_vote))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let state = self.log.state();
        Ok(LogState {
            last_purged_log_id: state.purged.map(log_id),
            last_log_id: state.last.map(log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> io::Result<()> {
        let (done, saved) = oneshot::channel();
        self.log.save_vote(
            types::vote(vote),
            Box::new(move |result| {
                let _ = done.send(result);
            }),
        );
        saved.await.unwrap_or_else(|_| Err(io::Error::other("the log is closed")))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.log.save_committed(committed.as_ref().map(position));
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.committed().map(log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(to_stored);
        self.log.append(entries, Box::new(move |result| callback.io_completed(result)))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.log.truncate(last.map_or(0, |last| last.index + 1));
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        // Nobody depends on a purge: it need not be waited for.
        self.log.purge(position(&upto), Box::new(|_| ()));
        Ok(())
    }
}

/// Reads a long range piece by piece.
struct Entries {
    store: LogStore,
    range: Range<u64>,
    /// What was read and not taken yet, last entry first.
    read: Vec<Entry>,
}

impl Iterator for Entries {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read.is_empty() && !self.range.is_empty() {
            let start = self.range.start;
            let end = self.range.end.min(start.saturating_add(READ_ENTRIES_MAX));
            self.range.start = end;
            match self.store.read(start..end) {
                Ok(entries) => self.read = entries,
                Err(error) => {
                    self.range = 0..0;
                    return Some(Err(error));
                }
            }
            self.read.reverse();
        }
        self.read.pop().map(Ok)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index.saturating_add(1),
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

fn to_stored(entry: Entry) -> LogEntry {
    let (kind, payload) = match entry.payload {
        EntryPayload::Blank => (EntryKind::Blank, Bytes::new()),
        EntryPayload::Normal(Commands(bytes)) => (EntryKind::Normal, bytes),
        EntryPayload::Membership(changed) => (EntryKind::Membership, membership::encode(&changed)),
    };
    LogEntry { position: position(&entry.log_id), kind, payload }
}

fn from_stored(entry: LogEntry) -> io::Result<Entry> {
    let payload = match entry.kind {
        EntryKind::Blank => EntryPayload::Blank,
        EntryKind::Normal => EntryPayload::Normal(Commands(entry.payload)),
        EntryKind::Membership => {
            EntryPayload::Membership(membership::decode(&entry.payload).map_err(io::Error::other)?)
        }
    };
    Ok(Entry { log_id: log_id(entry.position), payload })
}
