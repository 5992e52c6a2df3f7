//! A checkpoint as the storage keeps it: rows of a state, and the state of rows.

use std::sync::Arc;

use kernel::replica::Replica;
use kernel::replica::checkpoint::{Checkpoint, CheckpointRow, Restore, RestoreError};
use kernel::tree::ChangedNodes;

use super::core::Core;
use crate::storage::{Row, RowRef, RowSource, StorageError, Table};

/// Changed nodes that a checkpoint takes at once: what a request may have to wait for.
const NODES_PER_LOCK: usize = 256;

/// Builds a replica from stored rows, with room for `more` nodes that are about to come from the log.
///
/// # Errors
/// [`StorageError`] where the rows cannot be read, [`RestoreError`] where they make no state.
pub fn restore(
    rows: &mut dyn Iterator<Item = Result<Row, StorageError>>,
    more: usize,
) -> Result<Result<Replica, RestoreError>, StorageError> {
    let mut restore = Restore::default();
    restore.expect_nodes(rows.size_hint().0.saturating_add(more));
    for row in rows {
        let row = row?;
        let Some(value) = row.value else { continue };
        let added = match row.table {
            Table::Nodes => restore.node(&row.key, &value),
            Table::Sessions => restore.session(&row.key, &value),
            Table::Meta => restore.meta(&row.key, &value),
        };
        if let Err(error) = added {
            return Ok(Err(error));
        }
    }
    Ok(restore.finish())
}

/// A checkpoint as the storage wants it.
pub(super) struct CheckpointRows {
    core: Arc<Core>,
    /// Until it is written.
    checkpoint: Option<Checkpoint>,
}

impl CheckpointRows {
    pub(super) fn new(core: Arc<Core>, checkpoint: Checkpoint) -> Self {
        Self { core, checkpoint: Some(checkpoint) }
    }
}

/// The next nodes of the checkpoint in progress.
fn next_changed(core: &Core) -> Option<ChangedNodes> {
    core.replica.write(|replica| replica.take_changed(NODES_PER_LOCK))
}

impl RowSource for CheckpointRows {
    fn rows(
        &mut self,
        each: &mut dyn FnMut(RowRef<'_>) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let Some(checkpoint) = self.checkpoint.take() else { return Ok(()) };
        for row in checkpoint.rows(|| next_changed(&self.core)) {
            match &row {
                CheckpointRow::Node(key, value) => {
                    each(RowRef { table: Table::Nodes, key, value: value.as_deref() })?;
                }
                CheckpointRow::Session(key, value) => {
                    each(RowRef { table: Table::Sessions, key, value: value.as_deref() })?;
                }
                CheckpointRow::Meta(key, value) => {
                    each(RowRef { table: Table::Meta, key, value: value.as_deref() })?;
                }
            }
        }
        Ok(())
    }
}
