//! The rows of a checkpoint, as a disk holds them.

use std::collections::BTreeMap;

use kernel::replica::Replica;
use kernel::replica::checkpoint::{CheckpointRow, Restore, RestoreError};

/// Rows by table and key: nodes are 0, sessions 1, the one about the whole 2.
pub type Rows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// Writes a checkpoint, which takes so many nodes at a time.
pub fn store(replica: &mut Replica, rows: &mut Rows, nodes: usize) {
    let checkpoint = replica.begin_checkpoint();
    for row in checkpoint.rows(|| replica.take_changed(nodes)) {
        let (table, key, value) = match row {
            CheckpointRow::Node(key, value) => (0, key.to_vec(), value.map(|v| v.to_vec())),
            CheckpointRow::Session(key, value) => (1, key.to_vec(), value),
            CheckpointRow::Meta(key, value) => (2, key, value),
        };
        match value {
            Some(value) => rows.insert((table, key), value),
            None => rows.remove(&(table, key)),
        };
    }
}

/// The replica that the rows make.
pub fn restore(rows: &Rows) -> Result<Replica, RestoreError> {
    let mut restore = Restore::default();
    for ((table, key), value) in rows {
        match table {
            0 => restore.node(key, value)?,
            1 => restore.session(key, value)?,
            _ => restore.meta(key, value)?,
        }
    }
    restore.finish()
}
