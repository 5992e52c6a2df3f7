//! openraft's own suite for log stores and state machines, against ours on a real directory.

use openraft::StorageError as RaftStorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::checkpoints::Checkpoints;
use super::log_store::LogStore;
use super::state_machine_store::tests::Nothing;
use super::state_machine_store::{CheckpointLimits, StateMachineStore};
use super::types::TypeConfig;
use crate::storage::{DataDir, OpenOptions};

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachineStore, TempDir> for Builder {
    async fn build(
        &self,
    ) -> Result<(TempDir, LogStore, StateMachineStore), RaftStorageError<TypeConfig>> {
        let temp = tempfile::tempdir().unwrap();
        let mut options = OpenOptions::new(0);
        // Every case of the suite gets a new log: a small one is prepared faster.
        options.log.segment_bytes = 1 << 16;
        let dir = DataDir::open(temp.path(), &options).unwrap();
        let (written, _) = mpsc::unbounded_channel();
        let checkpoints = Checkpoints::start(dir.state().clone(), written).unwrap();
        let limits = CheckpointLimits { bytes: u64::MAX, entries: u64::MAX };
        let machine =
            StateMachineStore::new(Box::new(Nothing), &dir, checkpoints, limits, 0).unwrap();
        Ok((temp, LogStore::new(dir.log().clone()), machine))
    }
}

/// The log store and the state machine keep openraft's contract.
#[test]
fn the_log_store_passes_the_suite_of_openraft() {
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(Suite::<TypeConfig, _, _, _, _>::test_all(Builder))
        .unwrap();
}
