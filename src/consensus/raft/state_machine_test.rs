use futures_util::stream;
use openraft::storage::RaftStateMachine as _;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::consensus::raft::types::{Commands, Entry};
use crate::storage::log::{EntryKind, LogFlush};
use crate::storage::{DataDir, LogEntry, LogPosition, OpenOptions, RowRef};

/// A state without rows.
pub(crate) struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, _: Committed<'_>) -> Result<(), Fatal> {
        Ok(())
    }

    fn batch_end(&mut self) {}

    fn begin_checkpoint(&mut self) -> Box<dyn RowSource> {
        Box::new(Vec::<Row>::new())
    }

    fn install(
        &mut self,
        _: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    ) -> Result<(), Fatal> {
        Ok(())
    }
}

/// A machine that wants a checkpoint after each second entry.
struct Fixture {
    machine: Machine,
    written: mpsc::UnboundedReceiver<()>,
    dir: DataDir,
    _temp: TempDir,
}

impl Fixture {
    fn new(again_to: u64) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path(), &OpenOptions::new(1)).unwrap();
        let (sender, written) = mpsc::unbounded_channel();
        let checkpoints = Checkpoints::start(dir.state().clone(), sender).unwrap();
        let limits = CheckpointLimits { bytes: u64::MAX, entries: 2 };
        let machine = Machine::new(Box::new(Nothing), &dir, checkpoints, limits, again_to).unwrap();
        Self { machine, written, dir, _temp: temp }
    }

    async fn apply(&mut self, index: u64) {
        let payload = EntryPayload::Normal(Commands(Default::default()));
        let entry = Entry { log_id: log_id(LogPosition { term: 1, index }), payload };
        self.machine.apply(stream::iter([Ok((entry, None))])).await.unwrap();
    }

    /// Puts entries into the log and waits until they are on disk.
    fn append(&self, indexes: std::ops::Range<u64>) {
        let entries = indexes.map(|index| LogEntry {
            position: LogPosition { term: 1, index },
            kind: EntryKind::Normal,
            payload: Default::default(),
        });
        let (sender, done) = std::sync::mpsc::channel();
        let done_with = Box::new(move |result| sender.send(result).unwrap());
        self.dir.log().append(entries, done_with).unwrap();
        done.recv().unwrap().unwrap();
    }

    /// Up to which entry all is applied, after what is known to be committed was applied again; and how
    /// many were.
    fn apply_again(&mut self, committed: Option<u64>) -> (Option<u64>, u64) {
        let log = self.dir.log();
        log.save_committed(committed.map(|index| LogPosition { term: 1, index }));
        let before = self.machine.entries_since_checkpoint;
        self.machine.apply_again(&LogStore::new(log.clone())).unwrap();
        let applied = self.machine.applied.map(|applied| applied.index);
        (applied, self.machine.entries_since_checkpoint.saturating_sub(before))
    }

    /// Where the newest checkpoint stands, when none is being written.
    async fn checkpoint(&self) -> Option<u64> {
        self.machine.checkpoints.wait_until_idle().await;
        self.dir.state().mark().position.map(|position| position.index)
    }
}

#[tokio::test]
async fn no_checkpoint_is_begun_while_the_log_is_applied_again() {
    // What a restart applies again comes first, however much that is; then the checkpoint that it made
    // due is begun, and it holds all of it.
    let mut fixture = Fixture::new(5);
    for index in 1..5 {
        fixture.apply(index).await;
        assert_eq!(fixture.checkpoint().await, None, "after entry {index}");
    }
    fixture.apply(5).await;
    assert_eq!(fixture.checkpoint().await, Some(5));
}

#[tokio::test]
async fn a_checkpoint_that_became_due_meanwhile_needs_no_further_entry() {
    // What was applied while a checkpoint was being written may make the next one due. A server on
    // which nobody writes any more begins it all the same.
    let mut fixture = Fixture::new(0);
    let checkpoints = Arc::clone(&fixture.machine.checkpoints);
    let slot = checkpoints.reserve().unwrap();
    for index in 1..4 {
        fixture.apply(index).await;
    }
    assert_eq!(fixture.dir.state().mark().position, None);
    let source = Box::new(Vec::<Row>::new());
    slot.submit(Job { source, mark: CheckpointMark::default(), log: LogFlush::of_nothing() });
    fixture.written.recv().await.unwrap();
    assert!(fixture.machine.try_create_snapshot_builder(false).await.is_some());
    assert_eq!(fixture.checkpoint().await, Some(3));
}

#[tokio::test]
async fn what_is_committed_is_applied_again_once() {
    // After a restart each entry that is known to be committed is applied, once and in order, and none that
    // is not: another leader may have replaced it.
    let mut fixture = Fixture::new(u64::MAX);
    fixture.append(0..8);
    assert_eq!(fixture.apply_again(None), (None, 0));
    assert_eq!(fixture.apply_again(Some(0)), (Some(0), 1));
    assert_eq!(fixture.apply_again(Some(5)), (Some(5), 5));
    assert_eq!(fixture.apply_again(Some(5)), (Some(5), 0));
    // Known to be committed, and lost here with the crash.
    assert_eq!(fixture.apply_again(Some(20)), (Some(5), 0));
    assert_eq!(fixture.checkpoint().await, None);
}

#[tokio::test]
async fn nothing_is_applied_behind_a_hole() {
    // Where the log does not go on where the state stands, the consensus is left to say so.
    let mut fixture = Fixture::new(u64::MAX);
    fixture.append(3..8);
    assert_eq!(fixture.apply_again(Some(6)), (None, 0));
}

#[tokio::test]
async fn a_checkpoint_is_begun_when_all_is_applied_again() {
    // No later entry is needed for it.
    let mut fixture = Fixture::new(4);
    fixture.append(0..5);
    assert_eq!(fixture.apply_again(Some(4)).0, Some(4));
    assert_eq!(fixture.checkpoint().await, Some(4));
}

/// Rows that cannot be read.
struct Unreadable;

impl RowSource for Unreadable {
    fn rows(
        &mut self,
        _: &mut dyn FnMut(RowRef<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        Err(StorageError::State { what: "unreadable".to_owned() })
    }
}

#[tokio::test]
async fn a_checkpoint_that_fails_ends_the_server_and_purges_nothing() {
    // Who purges the log is told of none, is handed the one before it, and the next entries end the
    // server.
    let mut fixture = Fixture::new(0);
    let checkpoints = Arc::clone(&fixture.machine.checkpoints);
    let mark = CheckpointMark {
        position: Some(LogPosition { term: 1, index: 7 }),
        ..CheckpointMark::default()
    };
    let job = Job { source: Box::new(Unreadable), mark, log: LogFlush::of_nothing() };
    checkpoints.reserve().unwrap().submit(job);
    assert_eq!(fixture.checkpoint().await, None);
    assert!(fixture.written.try_recv().is_err());
    let mut builder = fixture.machine.try_create_snapshot_builder(false).await.unwrap();
    assert_eq!(builder.build_snapshot().await.unwrap().meta.last_log_id, None);
    let ended = fixture.machine.apply(stream::iter([])).await.unwrap_err();
    assert!(ended.to_string().contains("unreadable"), "{ended}");
}
