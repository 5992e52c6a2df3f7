//! The rows that a checkpoint keeps of a replica, and back.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use jute_proto::{SessionId, Zxid};
use serde::{Deserialize, Serialize};

use super::node_ages::NodeAges;
use super::processes::{ProcessTable, StoredProcesses};
use super::reconfig::{Members, StoredMembers};
use super::replica::{Replica, VERSION_2};
use crate::ensemble::UnreadableConfiguration;
use crate::session::dedup::StoredReplyCache;
use crate::session::{ReplyCache, SessionRecord, SessionTable};
use crate::time::{ElapsedTime, WallTime};
use crate::tree::{ChangedNodes, LoadError, RemovedNodes, TreeLoader};

/// The version of the session and meta rows. Node rows carry their own.
pub const FORMAT: u8 = 1;

/// The version of the row of a session that has numbered its writes: its replies follow the record.
const FORMAT_REPLIES: u8 = 2;

/// The version of the meta row from [`VERSION_2`] on: what is new follows.
const FORMAT_2: u8 = 2;

/// The key of the meta row about the whole.
pub const META_KEY: &[u8] = b"replica";

/// The keys of the other meta rows begin so: the path of a node that may expire follows.
const AGE_KEY: &[u8] = b"age ";

/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Meta {
    format: u8,
    last_zxid: i64,
    last_wall_time: WallTime,
    digest: u64,
    ensemble: Option<u128>,
    members: StoredMembers,
}

/// What follows [`Meta`] from [`VERSION_2`] on.
///
/// Append only: bytes of earlier builds must stay readable; see docs/reference/formats.md.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct MetaV2 {
    version: u16,
    elapsed: ElapsedTime,
    processes: StoredProcesses,
    /// [`Replica::digest`].
    digest: u64,
}

/// What a replica has beside nodes and sessions.
#[derive(Debug, Default)]
pub(super) struct ReplicaMeta {
    pub(super) last_zxid: Zxid,
    pub(super) last_wall_time: WallTime,
    pub(super) elapsed: ElapsedTime,
    pub(super) version: u16,
    pub(super) processes: ProcessTable,
    pub(super) node_ages: NodeAges,
    pub(super) ensemble: Option<u128>,
    pub(super) members: Members,
}

/// A checkpoint that was begun: all that it holds but the changed nodes, which stay in the tree until
/// [`Replica::take_changed`].
pub struct Checkpoint {
    removed: RemovedNodes,
    sessions: Vec<(SessionId, Option<SessionRecord>)>,
    ages: Vec<(Box<str>, Option<ElapsedTime>)>,
    meta: Meta,
    once: Option<MetaV2>,
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
    /// A row about the whole, or its removal.
    Meta(Vec<u8>, Option<Vec<u8>>),
}

impl Checkpoint {
    /// The rows, encoded as they are asked for. `more` asks the replica for
    /// [`Replica::take_changed`], and may take and leave a lock each time.
    pub fn rows(
        self,
        more: impl FnMut() -> Option<ChangedNodes>,
    ) -> impl Iterator<Item = CheckpointRow> {
        let Self { removed, sessions, ages, meta, once } = self;
        let nodes = removed.rows(more).map(|row| CheckpointRow::Node(row.key, row.value));
        let sessions = sessions.into_iter().map(|(id, record)| {
            let value = record.map(|record| match &record.replies {
                None => encode(&(FORMAT, &record)),
                Some(replies) => encode(&(FORMAT_REPLIES, &record, replies.store())),
            });
            CheckpointRow::Session(id.0.to_be_bytes(), value)
        });
        let ages = ages.into_iter().map(|(path, since)| {
            let value = since.map(|since| since.0.to_le_bytes().to_vec());
            CheckpointRow::Meta([AGE_KEY, path.as_bytes()].concat(), value)
        });
        let meta = core::iter::once_with(move || {
            let row = match once {
                None => encode(&meta),
                Some(once) => encode(&(meta, once)),
            };
            CheckpointRow::Meta(META_KEY.to_vec(), Some(row))
        });
        nodes.chain(sessions).chain(ages).chain(meta)
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap_or_default()
}

impl Replica {
    /// Begins a checkpoint of what changed since the last one, as it is now: a short step, whatever
    /// changed. The one before must have been taken to its end.
    pub fn begin_checkpoint(&mut self) -> Checkpoint {
        let is_once = self.version() >= VERSION_2;
        let meta = Meta {
            format: if is_once { FORMAT_2 } else { FORMAT },
            last_zxid: self.last_zxid().0,
            last_wall_time: self.last_wall_time(),
            digest: self.tree().digest(),
            ensemble: self.ensemble(),
            members: self.members().store(),
        };
        let once = is_once.then(|| MetaV2 {
            version: self.version(),
            elapsed: self.elapsed(),
            processes: self.processes().store(),
            digest: self.digest(),
        });
        let (removed, ages) = (self.tree_mut().begin_checkpoint(), self.node_ages.take_dirty());
        Checkpoint { removed, sessions: self.sessions_mut().take_dirty(), ages, meta, once }
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
    #[error(
        "the checkpoint has format {0}; this server reads formats up to {FORMAT_2}: upgrade it"
    )]
    Format(u8),
    /// The rows are not those that the checkpoint was made of.
    #[error("the checkpoint's rows have digest {found:#x}, not {expected:#x}: it is damaged")]
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
    node_ages: NodeAges,
    meta: Option<(Meta, Option<MetaV2>)>,
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
            let stored: StoredReplyCache<'_> =
                postcard::from_bytes(rest).map_err(|_| unusable())?;
            let replies = ReplyCache::restore(&stored).ok_or_else(unusable)?;
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
        if let Some(path) = key.strip_prefix(AGE_KEY) {
            let path = core::str::from_utf8(path).map_err(|_| RestoreError::Meta)?;
            let since = value.try_into().map_err(|_| RestoreError::Meta)?;
            self.node_ages.load(path, ElapsedTime(u64::from_le_bytes(since)));
            return Ok(());
        }
        if key != META_KEY {
            return Err(RestoreError::Meta);
        }
        let unusable = |_| RestoreError::Meta;
        self.meta = Some(match value.first() {
            Some(&FORMAT) => (postcard::from_bytes(value).map_err(unusable)?, None),
            Some(&FORMAT_2) => {
                let (meta, once) = postcard::from_bytes(value).map_err(unusable)?;
                (meta, Some(once))
            }
            Some(newer) => return Err(RestoreError::Format(*newer)),
            None => return Err(RestoreError::Meta),
        });
        Ok(())
    }

    /// The replica that the rows make; a fresh one where there are none.
    ///
    /// # Errors
    /// [`RestoreError`] where they do not fit together.
    pub fn finish(self) -> Result<Replica, RestoreError> {
        let Some((meta, once)) = self.meta else {
            return if self.any_node { Err(RestoreError::Meta) } else { Ok(Replica::default()) };
        };
        let tree = self.tree.finish()?;
        if tree.digest() != meta.digest {
            let (found, expected) = (tree.digest(), meta.digest);
            return Err(RestoreError::Digest { found, expected });
        }
        let (expected, once) = (once.as_ref().map(|once| once.digest), once.unwrap_or_default());
        let meta = ReplicaMeta {
            last_zxid: Zxid(meta.last_zxid),
            last_wall_time: meta.last_wall_time,
            elapsed: once.elapsed,
            version: once.version,
            processes: ProcessTable::restore(once.processes),
            node_ages: self.node_ages,
            ensemble: meta.ensemble,
            members: Members::restore(&meta.members)?,
        };
        let replica = Replica::restored(tree, self.sessions, meta);
        match expected.filter(|expected| *expected != replica.digest()) {
            Some(expected) => Err(RestoreError::Digest { found: replica.digest(), expected }),
            None => Ok(replica),
        }
    }
}
