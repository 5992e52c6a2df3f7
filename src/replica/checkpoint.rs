//! The rows that a checkpoint keeps of a replica, and back.

use std::fmt;

use jute_proto::{SessionId, Zxid};
use serde::{Deserialize, Serialize};

use super::reconfig::{Members, StoredMembers};
use super::replica::Replica;
use crate::ensemble::UnreadableConfiguration;
use crate::session::replies::StoredReplies;
use crate::session::{Replies, SessionRecord, SessionTable};
use crate::tree::{ChangedNodes, LoadError, RemovedNodes, TreeLoader};

/// The version of the session and meta rows. Node rows carry their own.
pub const FORMAT: u8 = 1;

/// The version of the row of a session that has numbered its writes: its replies follow the record.
const FORMAT_REPLIES: u8 = 2;

/// The key of the one meta row.
pub const META_KEY: &[u8] = b"replica";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Meta {
    format: u8,
    last_zxid: i64,
    last_time_ms: i64,
    digest: u64,
    ensemble: Option<u128>,
    members: StoredMembers,
}

/// A checkpoint that was begun: all that it holds but the changed nodes, which stay in the tree until
/// [`Replica::take_changed`].
pub struct Checkpoint {
    removed: RemovedNodes,
    sessions: Vec<(SessionId, Option<SessionRecord>)>,
    meta: Meta,
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({} sessions, {:?})", self.sessions.len(), self.meta)
    }
}

/// One row, in the order in which rows are to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CheckpointRow {
    /// A node, or its removal.
    Node(bytes::Bytes, Option<bytes::Bytes>),
    /// A session, or its end.
    Session([u8; 8], Option<Vec<u8>>),
    /// The one row about the whole.
    Meta(Vec<u8>),
}

impl Checkpoint {
    /// The rows, encoded as they are asked for. `more` asks the replica for
    /// [`Replica::take_changed`], and may take and leave a lock each time.
    pub fn rows(
        self,
        more: impl FnMut() -> Option<ChangedNodes>,
    ) -> impl Iterator<Item = CheckpointRow> {
        let Self { removed, sessions, meta } = self;
        let nodes = removed.rows(more).map(|row| CheckpointRow::Node(row.key, row.value));
        let sessions = sessions.into_iter().map(|(id, record)| {
            let value = record.map(|record| match &record.replies {
                None => encode(&(FORMAT, &record)),
                Some(replies) => encode(&(FORMAT_REPLIES, &record, replies.store())),
            });
            CheckpointRow::Session(id.0.to_be_bytes(), value)
        });
        let meta = std::iter::once_with(move || CheckpointRow::Meta(encode(&meta)));
        nodes.chain(sessions).chain(meta)
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}

impl Replica {
    /// Begins a checkpoint of what changed since the last one, as it is now: a short step, whatever
    /// changed. The one before must have been taken to its end.
    pub fn begin_checkpoint(&mut self) -> Checkpoint {
        let meta = Meta {
            format: FORMAT,
            last_zxid: self.last_zxid().0,
            last_time_ms: self.last_time_ms(),
            digest: self.tree().digest(),
            ensemble: self.ensemble(),
            members: self.members().store(),
        };
        let removed = self.tree_mut().begin_checkpoint();
        Checkpoint { removed, sessions: self.sessions_mut().take_dirty(), meta }
    }

    /// The next nodes of the checkpoint that was begun, as they were then: see
    /// [`Tree::take_changed`](crate::tree::Tree::take_changed).
    pub fn take_changed(&mut self, limit: usize) -> Option<ChangedNodes> {
        self.tree_mut().take_changed(limit)
    }
}

/// Why rows are not the checkpoint of a replica.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreError {
    /// The nodes are not one tree.
    #[error("the checkpoint's nodes are unusable: {0}")]
    Tree(#[from] LoadError),
    /// A session row does not decode.
    #[error("the checkpoint's session {} is unusable", .0.escape_ascii())]
    Session(Vec<u8>),
    /// The row about the whole does not decode.
    #[error("the checkpoint's meta row is unusable")]
    Meta,
    /// Who belongs to the ensemble cannot be read.
    #[error("the checkpoint's list of servers is unusable: {0}")]
    Members(#[from] UnreadableConfiguration),
    /// A newer server wrote it.
    #[error("the checkpoint has format {0}; this server reads format {FORMAT}: upgrade it")]
    Format(u8),
    /// The nodes are not those that the checkpoint was made of.
    #[error("the checkpoint's nodes have digest {found:#x}, not {expected:#x}: it is damaged")]
    Digest {
        /// What the rows give.
        found: u64,
        /// What was noted when they were written.
        expected: u64,
    },
}

/// Builds a replica from rows in any order.
#[derive(Debug, Default)]
pub struct Restore {
    tree: TreeLoader,
    sessions: SessionTable,
    meta: Option<Meta>,
    any_node: bool,
}

impl Restore {
    /// About so many rows of nodes are to come: makes room for them.
    pub fn expect_nodes(&mut self, nodes: usize) {
        self.tree.expect(nodes);
    }

    /// Adds the row of a node.
    ///
    /// # Errors
    /// [`RestoreError::Tree`] where it does not decode.
    pub fn node(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        self.any_node = true;
        Ok(self.tree.add(key, value)?)
    }

    /// Adds the row of a session.
    ///
    /// # Errors
    /// [`RestoreError::Session`] where it does not decode, [`RestoreError::Format`] where it is
    /// newer than this server.
    pub fn session(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let unusable = || RestoreError::Session(key.to_vec());
        let id = key.try_into().map(i64::from_be_bytes).map_err(|_| unusable())?;
        let (format, row) = value.split_first().ok_or_else(unusable)?;
        let (mut record, rest): (SessionRecord, &[u8]) = match *format {
            FORMAT | FORMAT_REPLIES => postcard::take_from_bytes(row).map_err(|_| unusable())?,
            newer => return Err(RestoreError::Format(newer)),
        };
        if *format == FORMAT_REPLIES {
            let stored: StoredReplies<'_> = postcard::from_bytes(rest).map_err(|_| unusable())?;
            let replies = Replies::restore(&stored).ok_or_else(unusable)?;
            record.replies = Some(Box::new(replies));
        }
        self.sessions.load(SessionId(id), record);
        Ok(())
    }

    /// Adds a row about the whole.
    ///
    /// # Errors
    /// [`RestoreError::Meta`] or [`RestoreError::Format`].
    pub fn meta(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        if key != META_KEY {
            return Err(RestoreError::Meta);
        }
        if let Some(newer) = value.first().filter(|format| **format != FORMAT) {
            return Err(RestoreError::Format(*newer));
        }
        self.meta = Some(postcard::from_bytes(value).map_err(|_| RestoreError::Meta)?);
        Ok(())
    }

    /// The replica that the rows make; a fresh one where there are none.
    ///
    /// # Errors
    /// [`RestoreError`] where they do not fit together.
    pub fn finish(self) -> Result<Replica, RestoreError> {
        let Some(meta) = self.meta else {
            return if self.any_node { Err(RestoreError::Meta) } else { Ok(Replica::default()) };
        };
        let tree = self.tree.finish()?;
        if tree.digest() != meta.digest {
            let (found, expected) = (tree.digest(), meta.digest);
            return Err(RestoreError::Digest { found, expected });
        }
        let (zxid, time_ms) = (Zxid(meta.last_zxid), meta.last_time_ms);
        let members = Members::restore(&meta.members)?;
        Ok(Replica::restored(tree, self.sessions, zxid, time_ms, meta.ensemble, members))
    }
}
