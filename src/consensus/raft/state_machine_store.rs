//! Feeds committed entries to the state machine.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};

use super::checkpoints::{CheckpointJob, Checkpoints};
use super::log_store::LogStore;
use super::membership;
use super::types::LogId;
use super::types::Payload;
use super::types::Snapshot;
use super::types::SnapshotMeta;
use super::types::StoredMembership;
use super::types::TypeConfig;
use super::types::log_id;
use super::types::position;
use crate::consensus::error::Fatal;
use crate::consensus::state_machine::{Committed, StateMachine};
use crate::consensus::transport::SnapshotRows;
use crate::env::task::block_in_place;
use crate::storage::state::CheckpointMark;
use crate::storage::{DataDir, RaftLog, StateDb, StorageError};

/// The state machine as openraft wants it. It belongs to one task of openraft, so nothing in it needs a lock.
///
/// The order of flush, apply and checkpoint:
///
/// 1. An entry is applied when a majority has it on disk. This server need not be one of them: its own flush may still
///    be under way.
/// 2. A checkpoint is begun between two batches, at `applied`. It takes a handle of the log ([`RaftLog::flush`]), and
///    counts only when all up to `applied` is on this server's own disk, so that no state is newer than the log behind
///    it.
/// 3. When it is on disk openraft hears of it, and purges the log behind it.
pub(super) struct StateMachineStore {
    machine: Box<dyn StateMachine>,
    log: RaftLog,
    state: StateDb,
    checkpoints: Arc<Checkpoints>,
    /// The last entry that `machine` has applied.
    applied: Option<LogId>,
    /// The newest configuration among the entries that are applied: it goes into checkpoints.
    membership: StoredMembership,
    /// Log bytes applied since the last checkpoint was begun.
    bytes_since_checkpoint: u64,
    /// Entries applied since then.
    entries_since_checkpoint: u64,
    /// A checkpoint is begun when there are this many of either.
    limits: CheckpointLimits,
    /// Up to where entries are only applied again after a restart.
    again_to: u64,
}

/// How much may be applied before a checkpoint is begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckpointLimits {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// What an entry costs in the log beside its payload, about.
const ENTRY_OVERHEAD_BYTES: u64 = 64;

impl StateMachineStore {
    pub(super) fn new(
        machine: Box<dyn StateMachine>,
        dir: &DataDir,
        checkpoints: Arc<Checkpoints>,
        limits: CheckpointLimits,
        again_to: u64,
    ) -> Result<Self, Fatal> {
        let (log, state) = (dir.log().clone(), dir.state().clone());
        let mark = state.mark();
        Ok(Self {
            machine,
            log,
            state,
            checkpoints,
            applied: mark.position.map(log_id),
            membership: membership::decode_stored(&mark.membership)?,
            bytes_since_checkpoint: 0,
            entries_since_checkpoint: 0,
            limits,
            again_to,
        })
    }

    /// Applies again, behind the checkpoint, what is known to be committed. openraft would do the same when it
    /// starts, entry after entry; here a thread reads and checks the next ones meanwhile.
    pub(super) fn apply_again(&mut self, log: &LogStore) -> Result<(), Fatal> {
        let mut next = self.applied.map_or(0, |applied| applied.index + 1);
        let range = next..log.committed().map_or(0, |committed| committed.index + 1);
        if range.is_empty() {
            return Ok(());
        }
        let unreadable = |error: io::Error| Fatal(error.to_string());
        for batch in log.read_ahead(range).map_err(unreadable)? {
            for entry in batch.map_err(unreadable)? {
                // What is missing the consensus finds, which asks for the same entries.
                if entry.log_id.index != next {
                    return Ok(());
                }
                self.apply_one(entry.log_id, &entry.payload)
                    .map_err(|Fatal(what)| Fatal(cannot_be_applied(&entry.log_id, &what)))?;
                next += 1;
            }
            self.machine.batch_end();
        }
        self.begin_checkpoint_if_due();
        Ok(())
    }

    /// Begins a checkpoint of all that is applied; false when one is being written.
    pub(super) fn begin_checkpoint(&mut self) -> bool {
        // After a failure the server ends: what could not be written is in no later checkpoint.
        if self.checkpoints.failure().is_some() {
            return false;
        }
        let Some(slot) = self.checkpoints.reserve() else { return false };
        self.bytes_since_checkpoint = 0;
        self.entries_since_checkpoint = 0;
        let mark = CheckpointMark {
            position: self.applied.as_ref().map(position),
            membership: membership::encode_stored(&self.membership),
        };
        // Entries are applied when a majority has them, which this server need not belong to.
        let log = self.log.flush();
        slot.submit(CheckpointJob { source: self.machine.begin_checkpoint(), mark, log });
        true
    }

    /// Begins a checkpoint where enough was applied since the last one. Not before all is applied that the
    /// log had when the server started: writing would only delay that, and clients wait for it.
    fn begin_checkpoint_if_due(&mut self) {
        let applied = self.applied.as_ref().map_or(0, |applied| applied.index);
        let is_due = self.bytes_since_checkpoint >= self.limits.bytes
            || self.entries_since_checkpoint >= self.limits.entries;
        if is_due && applied >= self.again_to {
            self.begin_checkpoint();
        }
    }

    fn apply_one(&mut self, log_id: LogId, payload: &Payload) -> Result<(), Fatal> {
        let payload = match payload {
            EntryPayload::Blank => None,
            // A no-op that renews the lease (`leadership/lease_keepalive.rs`).
            EntryPayload::Normal(batch) if batch.0.is_empty() => None,
            EntryPayload::Normal(batch) => {
                self.bytes_since_checkpoint += batch.0.len() as u64;
                Some(batch.0.as_ref())
            }
            EntryPayload::Membership(changed) => {
                self.membership = StoredMembership::new(Some(log_id), changed.clone());
                None
            }
        };
        self.bytes_since_checkpoint += ENTRY_OVERHEAD_BYTES;
        self.entries_since_checkpoint += 1;
        let at = position(&log_id);
        self.machine.apply(Committed { term: at.term, index: at.index, payload })?;
        self.applied = Some(log_id);
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for StateMachineStore {
    type SnapshotData = SnapshotRows;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            self.apply_one(entry.log_id, &entry.payload)
                .map_err(|Fatal(what)| io::Error::other(cannot_be_applied(&entry.log_id, &what)))?;
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        self.machine.batch_end();
        if let Some(failure) = self.checkpoints.failure() {
            return Err(io::Error::other(failure));
        }
        self.begin_checkpoint_if_due();
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        if force {
            return Some(self.get_snapshot_builder().await);
        }
        // Asked for because a checkpoint was written: hand over that one. The next may be due already, and
        // on a server that is idle now no entry comes that would begin it.
        self.begin_checkpoint_if_due();
        Some(SnapshotBuilder { state: self.state.clone(), checkpoints: None })
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.checkpoints.wait_until_idle().await;
        self.begin_checkpoint();
        let checkpoints = Some(Arc::clone(&self.checkpoints));
        SnapshotBuilder { state: self.state.clone(), checkpoints }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotRows,
    ) -> io::Result<()> {
        // A checkpoint of the state that is replaced must not come after this one.
        self.checkpoints.wait_until_idle().await;
        let mark = CheckpointMark {
            position: meta.last_log_id.as_ref().map(position),
            membership: membership::encode_stored(&meta.last_membership),
        };
        block_in_place(|| {
            self.state.replace(snapshot.0, &mark)?;
            let mut rows = self.state.reader()?.rows_ahead()?;
            self.machine.install(&mut rows).map_err(io::Error::other)
        })?;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.bytes_since_checkpoint = 0;
        self.entries_since_checkpoint = 0;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot<SnapshotRows>>> {
        Ok(latest(&self.state)?)
    }
}

fn cannot_be_applied(log_id: &LogId, what: &str) -> String {
    format!("entry {log_id} cannot be applied: {what}")
}

/// Hands the newest checkpoint to openraft.
pub(super) struct SnapshotBuilder {
    state: StateDb,
    /// Where a checkpoint is being written that must be waited for.
    checkpoints: Option<Arc<Checkpoints>>,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotRows;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot<SnapshotRows>> {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.wait_until_idle().await;
            if let Some(failure) = checkpoints.failure() {
                return Err(io::Error::other(failure));
            }
        }
        let nothing = || Snapshot {
            meta: SnapshotMeta::default(),
            snapshot: SnapshotRows(Box::new(std::iter::empty())),
        };
        Ok(latest(&self.state)?.unwrap_or_else(nothing))
    }
}

/// The checkpoint on disk.
fn latest(state: &StateDb) -> Result<Option<Snapshot<SnapshotRows>>, StorageError> {
    let reader = state.reader()?;
    let mark = reader.mark()?;
    let Some(position) = mark.position else { return Ok(None) };
    let last_membership = membership::decode_stored(&mark.membership)
        .map_err(|Fatal(what)| StorageError::State { what })?;
    let meta = SnapshotMeta { last_log_id: Some(log_id(position)), last_membership };
    Ok(Some(Snapshot { meta, snapshot: SnapshotRows(Box::new(reader.rows())) }))
}

#[cfg(test)]
#[path = "state_machine_store_test.rs"]
pub(super) mod tests;
