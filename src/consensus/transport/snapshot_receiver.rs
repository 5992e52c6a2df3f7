//! The checkpoint of another server while it comes in.
//!
//! There is one, whatever the number of connections: the newest transfer has it. It outlives its
//! connection, so that a transfer that broke off is continued by the next one of the same
//! checkpoint, from the same leader or another.
//!
//! What must stay true:
//!
//! * Only the newest transfer adds rows. Each gets a number when it begins; rows of an older number are refused, though
//!   its connection may still be open.
//! * The rows in the spool are all of the checkpoint `of`. Another checkpoint begins with an empty spool.
//! * Rows are installed only when their count and check sum are what the sender says, and were read back from disk.
//! * From then to the end of the installation the lock is held, so that no transfer touches the rows.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::message::{Response, SnapshotMeta, WireBlock};
use super::peer_service::RaftService;
use super::snapshot_sender::SnapshotRows;
use crate::env::task;
use crate::storage::{RowBlock, RowsSoFar, Spool, SpoolRows, StorageError, Vote};

/// The one place for a checkpoint on its way in. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotReceiver {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    spool: Spool,
    /// Whose rows the spool has.
    of: Option<SnapshotMeta>,
    /// Counts transfers, so that one which was overtaken is told apart.
    transfer: u64,
}

/// A transfer that a connection takes part in.
#[derive(Debug)]
pub(crate) struct IncomingSnapshot {
    vote: Vote,
    meta: SnapshotMeta,
    transfer: u64,
}

impl SnapshotReceiver {
    pub(super) fn new(spool: Spool) -> Self {
        let state = State { spool, of: None, transfer: 0 };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Begins a transfer, or continues the one of the same checkpoint unless it is to be `anew`.
    /// The response says how far that one is; or that there is no need, or no right, to send it.
    pub(super) async fn begin(
        &self,
        raft: &dyn RaftService,
        (vote, meta): (Vote, SnapshotMeta),
        anew: bool,
    ) -> Result<(Response, Option<IncomingSnapshot>), String> {
        let state = self.lock().await;
        if let Err(answer) = raft.wants_snapshot(vote, meta.last) {
            return Ok((Response::Snapshot(answer), None));
        }
        let of = meta.clone();
        let (_, (transfer, so_far)) = on_disk(state, move |state| state.begin(of, anew)).await?;
        Ok((Response::Continue(so_far), Some(IncomingSnapshot { vote, meta, transfer })))
    }

    /// Takes a block of rows, which must follow the last one.
    pub(super) async fn take(
        &self,
        receiving: &IncomingSnapshot,
        block: WireBlock,
    ) -> Result<Response, String> {
        let transfer = receiving.transfer;
        on_disk(self.lock().await, move |state| state.take(transfer, block)).await?;
        Ok(Response::Taken)
    }

    /// Installs what came in, if it is all.
    pub(super) async fn install(
        &self,
        raft: &dyn RaftService,
        receiving: IncomingSnapshot,
        total: RowsSoFar,
    ) -> Result<Response, String> {
        let IncomingSnapshot { vote, meta, transfer } = receiving;
        // Locked to the end: nobody may touch the rows while they are installed.
        let (state, rows) =
            on_disk(self.lock().await, move |state| state.end(transfer, total)).await?;
        let installed = raft.install_snapshot(vote, meta, SnapshotRows(Box::new(rows))).await;
        if let Err(error) = on_disk(state, State::clear).await {
            tracing::warn!("rows of an installed checkpoint stay on disk: {error}");
        }
        installed.map(Response::Snapshot)
    }

    async fn lock(&self) -> OwnedMutexGuard<State> {
        Arc::clone(&self.state).lock_owned().await
    }
}

impl State {
    fn begin(&mut self, of: SnapshotMeta, anew: bool) -> Result<(u64, RowsSoFar), StorageError> {
        if anew || self.of.as_ref() != Some(&of) {
            self.clear()?;
            self.of = Some(of);
        }
        self.transfer += 1;
        Ok((self.transfer, self.spool.so_far()))
    }

    fn take(&mut self, transfer: u64, block: WireBlock) -> Result<(), StorageError> {
        self.check_transfer(transfer)?;
        let expected = self.spool.so_far().rows;
        if block.first != expected {
            let first = block.first;
            return Err(failed(format!("rows from {first} on came where {expected} was due")));
        }
        let check = block.check;
        let block = RowBlock::from(block);
        if block.check() != check {
            return Err(failed("rows were damaged on their way".to_owned()));
        }
        self.spool.append(&block)
    }

    /// The rows, when they are what the sender says that it sent.
    fn end(&mut self, transfer: u64, total: RowsSoFar) -> Result<SpoolRows, StorageError> {
        self.check_transfer(transfer)?;
        let so_far = self.spool.so_far();
        let verified = if so_far == total {
            self.spool.verified()
        } else {
            let (sent, came) = (total.rows, so_far.rows);
            Err(failed(format!("{sent} rows were sent, and {came} others came")))
        };
        if let Err(error) = &verified {
            tracing::warn!("a received checkpoint is dropped: {error}");
            self.clear()?;
        }
        verified
    }

    fn clear(&mut self) -> Result<(), StorageError> {
        self.of = None;
        self.spool.clear()
    }

    fn check_transfer(&self, transfer: u64) -> Result<(), StorageError> {
        if transfer == self.transfer && self.of.is_some() {
            return Ok(());
        }
        Err(failed("another transfer has overtaken this one".to_owned()))
    }
}

fn failed(what: String) -> StorageError {
    StorageError::State { what }
}

/// Works on the spool where it may block.
async fn on_disk<T: Send + 'static>(
    mut state: OwnedMutexGuard<State>,
    work: impl FnOnce(&mut State) -> Result<T, StorageError> + Send + 'static,
) -> Result<(OwnedMutexGuard<State>, T), String> {
    let worked = task::spawn_blocking(move || {
        let result = work(&mut state)?;
        Ok((state, result))
    });
    let worked: Result<_, StorageError> = worked.await.map_err(|error| error.to_string())?;
    worked.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{DataDir, LogPosition, OpenOptions, Row, Table};

    fn state(dir: &std::path::Path) -> State {
        let dir = DataDir::open(dir, &OpenOptions::new(1)).unwrap();
        State { spool: dir.spool().unwrap(), of: None, transfer: 0 }
    }

    fn meta(index: u64) -> SnapshotMeta {
        let last = Some(LogPosition { term: 1, index });
        SnapshotMeta { last, ..SnapshotMeta::default() }
    }

    fn row(number: u64) -> Row {
        let key = number.to_be_bytes().to_vec().into();
        Row { table: Table::Nodes, key, value: Some(vec![1; 100].into()) }
    }

    fn block(numbers: std::ops::Range<u64>) -> WireBlock {
        let mut block = RowBlock::default();
        numbers.clone().for_each(|number| block.push(&row(number)).unwrap());
        WireBlock::new(numbers.start, block)
    }

    fn total(blocks: &[WireBlock]) -> RowsSoFar {
        blocks.iter().cloned().fold(RowsSoFar::default(), |sum, block| sum.and(&block.into()))
    }

    #[test]
    fn a_broken_transfer_goes_on() {
        // The same checkpoint is continued, another one begins anew, and who is late is refused.
        let dir = tempfile::tempdir().unwrap();
        let mut snapshots = state(dir.path());
        let blocks = [block(0..5), block(5..9)];
        let (first, _) = snapshots.begin(meta(7), false).unwrap();
        snapshots.take(first, blocks[0].clone()).unwrap();
        let (second, so_far) = snapshots.begin(meta(7), false).unwrap();
        assert_eq!(so_far, total(&blocks[..1]));
        assert!(snapshots.take(first, blocks[1].clone()).is_err());
        assert!(snapshots.take(second, block(6..9)).is_err());
        snapshots.take(second, blocks[1].clone()).unwrap();
        let rows = snapshots.end(second, total(&blocks)).unwrap();
        assert!(rows.map(Result::unwrap).eq((0..9).map(row)));
        assert_eq!(snapshots.begin(meta(8), false).unwrap().1, RowsSoFar::default());
        assert_eq!(snapshots.begin(meta(7), false).unwrap().1, RowsSoFar::default());
    }

    #[test]
    fn damaged_rows_are_not_installed() {
        // Rows that changed on their way, or are not all, are refused; the next try begins anew.
        let dir = tempfile::tempdir().unwrap();
        let mut snapshots = state(dir.path());
        let (transfer, _) = snapshots.begin(meta(7), false).unwrap();
        let mut bad = block(0..5);
        bad.check ^= 1;
        assert!(snapshots.take(transfer, bad).is_err());
        snapshots.take(transfer, block(0..5)).unwrap();
        assert!(snapshots.end(transfer, total(&[block(0..6)])).is_err());
        assert_eq!(snapshots.begin(meta(7), false).unwrap().1, RowsSoFar::default());
    }

    #[test]
    fn a_sender_may_ask_for_a_new_beginning() {
        // Where both sides disagree about the rows that came, nothing of them is kept.
        let dir = tempfile::tempdir().unwrap();
        let mut snapshots = state(dir.path());
        let (transfer, _) = snapshots.begin(meta(7), false).unwrap();
        snapshots.take(transfer, block(0..5)).unwrap();
        assert_eq!(snapshots.begin(meta(7), true).unwrap().1, RowsSoFar::default());
    }
}
