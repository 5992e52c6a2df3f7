use futures_util::stream;
use openraft::storage::RaftStateMachine as _;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::consensus::typ::{Batch, Entry};
use crate::storage::{DataDir, LogPosition, OpenOptions};

/// A state without rows.
pub(in crate::consensus) struct Nothing;

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
    machine: Machine<Nothing>,
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
        let state = dir.state().clone();
        let machine = Machine::new(Nothing, state, checkpoints, limits, again_to).unwrap();
        Self { machine, written, dir, _temp: temp }
    }

    async fn apply(&mut self, index: u64) {
        let payload = EntryPayload::Normal(Batch(Default::default()));
        let entry = Entry { log_id: log_id(LogPosition { term: 1, index }), payload };
        self.machine.apply(stream::iter([Ok((entry, None))])).await.unwrap();
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
    slot.submit(Job { source, mark: CheckpointMark::default() });
    fixture.written.recv().await.unwrap();
    assert!(fixture.machine.try_create_snapshot_builder(false).await.is_some());
    assert_eq!(fixture.checkpoint().await, Some(3));
}
