//! Where the nodes are: slots of a slab, found by path through a sharded hash table.
//!
//! A slot's number is four bytes in the table and in the list of changes. The table is cut into
//! shards that grow one at a time, so that no single create pays for rehashing millions of nodes;
//! for the same reason the slab grows by chunks that never move.

use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::checkpoint_tracker::ListMark;
use super::node::Node;

/// The number of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(u32);

const SHARDS: usize = 256;
const CHUNK_LEN: usize = 1024;

enum Slot {
    Live(Node),
    /// A free slot, and which list of changes has its number.
    Free {
        list_mark: ListMark,
    },
}

/// What a node takes in the slab: no more than itself.
#[cfg(test)]
pub(super) const SLOT_SIZE: usize = size_of::<Slot>();

/// All nodes of a tree.
pub(super) struct NodeStore {
    chunks: Vec<Vec<Slot>>,
    free: Vec<NodeId>,
    shards: Vec<HashTable<NodeId>>,
    /// Seeded anew in each process, so that no client can choose paths that collide. Nothing is
    /// ever listed in the order of this table.
    hasher: DefaultHashBuilder,
    len: usize,
    /// The parent of the node that was made or removed last, where the next one's is mostly found. The
    /// slot may have another node by now, or none.
    last_parent: Option<NodeId>,
}

impl NodeStore {
    pub(super) fn new() -> Self {
        Self {
            chunks: Vec::new(),
            free: Vec::new(),
            shards: core::iter::repeat_with(HashTable::new).take(SHARDS).collect(),
            hasher: DefaultHashBuilder::default(),
            len: 0,
            last_parent: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        let hash = self.hasher.hash_one(path);
        self.shards[shard(hash)].find(hash, |id| *self.get(*id).path == *path).copied()
    }

    /// As [`find`](Self::find), for the parent of a node that is made or removed: mostly that of the one
    /// before, whose path is compared in place of being hashed and looked up.
    pub(super) fn find_parent(&self, path: &str) -> Option<NodeId> {
        let is_it = |id: &NodeId| self.live(*id).is_some_and(|node| node.path() == path);
        self.last_parent.filter(is_it).or_else(|| self.find(path))
    }

    /// The next node that is made or removed is probably below this one too.
    pub(super) fn expect_parent(&mut self, id: NodeId) {
        self.last_parent = Some(id);
    }

    pub(super) fn get(&self, id: NodeId) -> &Node {
        match self.slot(id) {
            Slot::Live(node) => node,
            Slot::Free { .. } => unreachable!("ids of deleted nodes are not kept"),
        }
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node {
        match self.slot_mut(id) {
            Slot::Live(node) => node,
            Slot::Free { .. } => unreachable!("ids of deleted nodes are not kept"),
        }
    }

    /// Makes room for about so many more nodes.
    pub(super) fn reserve(&mut self, nodes: usize) {
        // A shard that gets more than its share grows by itself.
        let share = nodes / SHARDS;
        let Self { chunks, shards, hasher, .. } = self;
        for shard in shards {
            shard.reserve(share, |id| rehash(chunks, hasher, *id));
        }
    }

    /// Puts a node, whose path is new, into a slot. The slot's place on `list`, the list of changes that
    /// grows at present, becomes the node's; what an older one awaited there is gone.
    pub(super) fn insert(&mut self, node: Node, list: ListMark) -> NodeId {
        let hash = self.hasher.hash_one(&*node.path);
        self.insert_hashed(hash, node, list)
    }

    /// As [`insert`](Self::insert), unless there is a node with this path already.
    pub(super) fn insert_new(&mut self, node: Node, list: ListMark) -> Option<NodeId> {
        let hash = self.hasher.hash_one(&*node.path);
        let known = self.shards[shard(hash)].find(hash, |id| self.get(*id).path == node.path);
        if known.is_some() {
            return None;
        }
        Some(self.insert_hashed(hash, node, list))
    }

    fn insert_hashed(&mut self, hash: u64, mut node: Node, list: ListMark) -> NodeId {
        let id = self.free_slot();
        let list_mark = self.list_mark(id);
        node.content.list_mark = if list_mark == list { list } else { ListMark::Unlisted };
        *self.slot_mut(id) = Slot::Live(node);
        let Self { chunks, shards, hasher, .. } = self;
        shards[shard(hash)].insert_unique(hash, id, |id| rehash(chunks, hasher, *id));
        self.len += 1;
        id
    }

    /// Takes a node out. Its slot, freed last, is the first to be used again.
    pub(super) fn remove(&mut self, id: NodeId) -> Node {
        let hash = self.hasher.hash_one(&*self.get(id).path);
        if let Ok(entry) = self.shards[shard(hash)].find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        let list_mark = self.get(id).content.list_mark;
        self.free.push(id);
        self.len -= 1;
        match core::mem::replace(self.slot_mut(id), Slot::Free { list_mark }) {
            Slot::Live(node) => node,
            Slot::Free { .. } => unreachable!("ids of deleted nodes are not kept"),
        }
    }

    /// The node of a slot, if there still is one.
    pub(super) fn live(&self, id: NodeId) -> Option<&Node> {
        match self.slot(id) {
            Slot::Live(node) => Some(node),
            Slot::Free { .. } => None,
        }
    }

    /// The node of a slot on the list of changes, if there still is one.
    pub(super) fn live_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        match self.slot_mut(id) {
            Slot::Live(node) => Some(node),
            Slot::Free { .. } => None,
        }
    }

    /// Which list of changes has a slot, live or free.
    pub(super) fn list_mark(&self, id: NodeId) -> ListMark {
        match self.slot(id) {
            Slot::Live(node) => node.content.list_mark,
            Slot::Free { list_mark } => *list_mark,
        }
    }

    /// Notes which list of changes has a slot, live or free.
    pub(super) fn set_list_mark(&mut self, id: NodeId, mark: ListMark) {
        match self.slot_mut(id) {
            Slot::Live(node) => node.content.list_mark = mark,
            Slot::Free { list_mark } => *list_mark = mark,
        }
    }

    /// All nodes, in the order of their slots, which nobody may see.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        let slots = (0..).map(NodeId).zip(self.chunks.iter().flatten());
        slots.filter_map(|(id, slot)| match slot {
            Slot::Live(node) => Some((id, node)),
            Slot::Free { .. } => None,
        })
    }

    fn free_slot(&mut self) -> NodeId {
        if let Some(id) = self.free.pop() {
            return id;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK_LEN) {
            self.chunks.push(Vec::with_capacity(CHUNK_LEN));
        }
        let chunk = self.chunks.len() - 1;
        let offset = self.chunks[chunk].len();
        self.chunks[chunk].push(Slot::Free { list_mark: ListMark::Unlisted });
        let id = u32::try_from(chunk * CHUNK_LEN + offset);
        NodeId(id.expect("memory ends long before four billion nodes"))
    }

    fn slot(&self, id: NodeId) -> &Slot {
        &self.chunks[id.chunk()][id.offset()]
    }

    fn slot_mut(&mut self, id: NodeId) -> &mut Slot {
        &mut self.chunks[id.chunk()][id.offset()]
    }
}

impl NodeId {
    fn chunk(self) -> usize {
        self.0 as usize / CHUNK_LEN
    }

    fn offset(self) -> usize {
        self.0 as usize % CHUNK_LEN
    }
}

/// The hash of a node in the table.
fn rehash(chunks: &[Vec<Slot>], hasher: &DefaultHashBuilder, id: NodeId) -> u64 {
    match &chunks[id.chunk()][id.offset()] {
        Slot::Live(node) => hasher.hash_one(&*node.path),
        Slot::Free { .. } => unreachable!("the table lists live nodes only"),
    }
}

/// Bits that the tables themselves do not use much: they take the lowest and the top seven.
fn shard(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

impl fmt::Debug for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeStore").field("len", &self.len).finish_non_exhaustive()
    }
}
