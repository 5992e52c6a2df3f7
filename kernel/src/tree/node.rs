//! One znode and the rules of its stat.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use jute_proto::{SessionId, Stat, Zxid};

use super::acl::{AclList, AclRef};
use super::checkpoint_tracker::ListMark;
use super::children::Children;
use super::digest;
use super::directory::Directory;
use super::path;
use crate::time::WallTime;

/// What ends the life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Only `delete`.
    Persistent,
    /// The end of a session.
    Ephemeral(SessionId),
    /// Losing the last child.
    Container,
    /// Having no child and no new data for this many milliseconds.
    Ttl(i64),
}

/// `ephemeralOwner` of a container, in files of ZooKeeper.
const CONTAINER_OWNER: i64 = i64::MIN;
/// The top byte of `ephemeralOwner` of a node with a time to live, in files of ZooKeeper.
const TTL_OWNER: i64 = 0xff << 56;

/// The longest time to live in milliseconds; ZooKeeper keeps it in 40 bits.
pub const TTL_MS_MAX: i64 = (1 << 40) - 1;

impl NodeKind {
    /// The kind as ZooKeeper keeps it, in one number.
    pub(super) const fn owner(self) -> i64 {
        match self {
            Self::Persistent => 0,
            Self::Ephemeral(session) => session.0,
            Self::Container => CONTAINER_OWNER,
            Self::Ttl(ttl_ms) => TTL_OWNER | ttl_ms,
        }
    }

    /// The kind without its number.
    pub(super) const fn tag(self) -> KindTag {
        match self {
            Self::Persistent => KindTag::Persistent,
            Self::Ephemeral(_) => KindTag::Ephemeral,
            Self::Container => KindTag::Container,
            Self::Ttl(_) => KindTag::Ttl,
        }
    }

    /// The kind of a tag and an owner, for example of a checkpoint; `None` where they do not fit
    /// together.
    pub(super) fn from_parts(tag: u8, owner: i64) -> Option<Self> {
        let tag = [KindTag::Persistent, KindTag::Ephemeral, KindTag::Container, KindTag::Ttl]
            .into_iter()
            .find(|known| *known as u8 == tag)?;
        let kind = tag.with_owner(owner);
        (kind.owner() == owner).then_some(kind)
    }
}

/// A [`NodeKind`] in one byte. The owner alone would not do: a session id may look like a time to
/// live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum KindTag {
    Persistent = 0,
    Ephemeral = 1,
    Container = 2,
    Ttl = 3,
}

impl KindTag {
    const fn with_owner(self, owner: i64) -> NodeKind {
        match self {
            Self::Persistent => NodeKind::Persistent,
            Self::Ephemeral => NodeKind::Ephemeral(SessionId(owner)),
            Self::Container => NodeKind::Container,
            Self::Ttl => NodeKind::Ttl(owner & TTL_MS_MAX),
        }
    }
}

/// The persistent part of a stat, and the kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Persisted {
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) ctime: WallTime,
    pub(super) mtime: WallTime,
    pub(super) kind: NodeKind,
    pub(super) version: i32,
    pub(super) creates: i32,
    pub(super) aversion: i32,
}

/// All of a node but its path and its children: what a checkpoint keeps and a failed `multi`
/// puts back. Cheap to clone: data and ACL are shared.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) data: Option<Arc<[u8]>>,
    pub(super) acl: AclRef,
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) ctime: WallTime,
    pub(super) mtime: WallTime,
    /// With `tag` the node's kind, in 9 bytes instead of the 16 of [`NodeKind`].
    owner: i64,
    tag: KindTag,
    /// How often the data was set.
    pub(super) version: i32,
    /// How often a child was created: the number of the next sequential child.
    pub(super) creates: i32,
    /// How often the ACL was set.
    pub(super) aversion: i32,
    /// Which list of changes has the slot of this node. These two belong to [`Node`]; here they fit
    /// into what alignment leaves free.
    pub(super) list_mark: ListMark,
    /// Whether the last checkpoint has a row for this path, or the one under way will.
    pub(super) stored: bool,
    /// Hash of path and data, so that a change of the stat need not hash the data again.
    hash: u64,
}

impl Content {
    /// A node as it is when created.
    pub(super) fn new(
        path: &str,
        data: Option<&[u8]>,
        acl: AclRef,
        kind: NodeKind,
        (zxid, wall_time): (Zxid, WallTime),
    ) -> Self {
        let (czxid, mzxid, pzxid) = (zxid, zxid, zxid);
        let (ctime, mtime) = (wall_time, wall_time);
        let (version, creates, aversion) = (0, 0, 0);
        let persisted =
            Persisted { czxid, mzxid, pzxid, ctime, mtime, kind, version, creates, aversion };
        Self::restore(path, data, acl, &persisted)
    }

    /// A node as a checkpoint kept it.
    pub(super) fn restore(
        path: &str,
        data: Option<&[u8]>,
        acl: AclRef,
        persisted: &Persisted,
    ) -> Self {
        Self {
            data: data.map(Arc::from),
            acl,
            czxid: persisted.czxid,
            mzxid: persisted.mzxid,
            pzxid: persisted.pzxid,
            ctime: persisted.ctime,
            mtime: persisted.mtime,
            owner: persisted.kind.owner(),
            tag: persisted.kind.tag(),
            version: persisted.version,
            creates: persisted.creates,
            aversion: persisted.aversion,
            list_mark: ListMark::Unlisted,
            stored: false,
            hash: digest::hash_content(path, data),
        }
    }

    /// What a checkpoint keeps besides data and ACL.
    pub(super) fn persisted(&self) -> Persisted {
        Persisted {
            czxid: self.czxid,
            mzxid: self.mzxid,
            pzxid: self.pzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            kind: self.kind(),
            version: self.version,
            creates: self.creates,
            aversion: self.aversion,
        }
    }

    pub(super) const fn kind(&self) -> NodeKind {
        self.tag.with_owner(self.owner)
    }

    /// Replaces the data and nothing else.
    pub(super) fn put_data(&mut self, path: &str, data: Option<&[u8]>) {
        self.hash = digest::hash_content(path, data);
        self.data = data.map(Arc::from);
    }

    /// The rule of `setData`: a new version, mzxid and mtime, also for the same data.
    pub(super) fn set_data(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        zxid: Zxid,
        wall_time: WallTime,
    ) {
        self.put_data(path, data);
        self.version = next_version(self.version);
        self.mzxid = zxid;
        self.mtime = wall_time;
    }

    /// The rule of `reconfig`: as `setData`, but ZooKeeper gives the node of the configuration the
    /// version -1 each time.
    pub(super) fn set_config(&mut self, path: &str, data: &[u8], zxid: Zxid, wall_time: WallTime) {
        self.put_data(path, Some(data));
        self.version = -1;
        self.mzxid = zxid;
        self.mtime = wall_time;
    }

    /// The rule of `setACL`: a new aversion, and nothing else shows it.
    pub(super) fn set_acl(&mut self, acl: AclRef) {
        self.acl = acl;
        self.aversion = next_version(self.aversion);
    }

    /// The rule for a parent whose child is created.
    pub(super) fn child_created(&mut self, zxid: Zxid) {
        self.creates = self.creates.wrapping_add(1);
        self.pzxid = zxid;
    }

    /// The rule for a parent whose child is deleted.
    pub(super) fn child_deleted(&mut self, zxid: Zxid) {
        self.pzxid = zxid;
    }

    pub(super) fn data_len(&self) -> usize {
        self.data.as_deref().map_or(0, <[u8]>::len)
    }

    /// This node's part of the tree's digest.
    pub(super) fn digest(&self) -> u64 {
        let versions = (self.version as u32 as u64) << 32 | self.creates as u32 as u64;
        let kind_and_aversion = (self.tag as u64) << 32 | u64::from(self.aversion as u32);
        [
            self.acl.hash(),
            self.czxid.0 as u64,
            self.mzxid.0 as u64,
            self.pzxid.0 as u64,
            self.ctime.0 as u64,
            self.mtime.0 as u64,
            self.owner as u64,
            versions,
            kind_and_aversion,
        ]
        .into_iter()
        .fold(self.hash, digest::mix)
    }
}

/// The version after this one. It wraps around and leaves out -1, which would mean "any".
fn next_version(version: i32) -> i32 {
    match version.wrapping_add(1) {
        -1 => 0,
        next => next,
    }
}

/// A znode.
pub struct Node {
    pub(super) path: Arc<str>,
    pub(super) content: Content,
    /// Boxed, for most nodes have none.
    pub(super) directory: Option<Box<Directory>>,
}

impl Node {
    pub(super) fn new(path: Arc<str>, content: Content) -> Self {
        Self { path, content, directory: None }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its path as a cheap shared pointer.
    #[must_use]
    pub fn shared_path(&self) -> &Arc<str> {
        &self.path
    }

    /// Its data. Null data is not the same as empty data.
    #[must_use]
    pub fn data(&self) -> Option<&[u8]> {
        self.content.data.as_deref()
    }

    /// Its access control list.
    #[must_use]
    pub fn acl(&self) -> &AclList {
        &self.content.acl
    }

    /// Its access control list as a cheap shared pointer.
    #[must_use]
    pub fn shared_acl(&self) -> &AclRef {
        &self.content.acl
    }

    /// What ends its life.
    #[must_use]
    pub fn kind(&self) -> NodeKind {
        self.content.kind()
    }

    /// The transaction that last set the data; catch-up of data watches compares it.
    #[must_use]
    pub fn mzxid(&self) -> Zxid {
        self.content.mzxid
    }

    /// When the data was last set.
    #[must_use]
    pub fn mtime(&self) -> WallTime {
        self.content.mtime
    }

    /// The transaction that last changed the set of children; catch-up of child watches compares it.
    #[must_use]
    pub fn pzxid(&self) -> Zxid {
        self.content.pzxid
    }

    /// How many children it has.
    #[must_use]
    pub fn child_count(&self) -> usize {
        self.child_list().len()
    }

    /// Bytes of the names of its children.
    #[must_use]
    pub fn names_len(&self) -> u64 {
        self.directory.as_ref().map_or(0, |directory| directory.names_len())
    }

    /// The names of its children, sorted.
    pub fn children(&self) -> impl ExactSizeIterator<Item = &str> {
        let offset = path::child_name_offset(&self.path);
        self.child_list().iter().map(move |child| &child[offset..])
    }

    /// The paths of its children, sorted.
    pub(super) fn child_list(&self) -> &Children {
        static NONE: Children = Children::new();
        self.directory.as_ref().map_or(&NONE, |directory| &directory.children)
    }

    /// The stat that clients see: cversion counts creates and deletes of children, and only
    /// ephemeral nodes show an owner.
    #[must_use]
    pub fn stat(&self) -> Stat {
        let content = &self.content;
        let num_children = self.child_count() as i32;
        Stat {
            czxid: content.czxid,
            mzxid: content.mzxid,
            ctime: content.ctime.0,
            mtime: content.mtime.0,
            version: content.version,
            cversion: content.creates.wrapping_mul(2).wrapping_sub(num_children),
            aversion: content.aversion,
            ephemeral_owner: match content.kind() {
                NodeKind::Ephemeral(session) => session,
                NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => SessionId(0),
            },
            data_length: content.data_len() as i32,
            num_children,
            pzxid: content.pzxid,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("path", &self.path)
            .field("data_len", &self.content.data_len())
            .field("kind", &self.content.kind())
            .field("stat", &self.stat())
            .finish()
    }
}

#[cfg(test)]
#[path = "node_test.rs"]
mod tests;
