//! Two sums over all nodes of a tree: their digests, and the bytes that they take.

use super::node::{Content, Node};

/// What follows from the nodes by adding up, in whatever order they came.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// The wrapping sum of the digests of all nodes.
    digest: u64,
    /// Bytes of all paths and data.
    data_size: u64,
}

/// What a node's content adds to the sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    digest: u64,
    pub(super) data_len: u64,
}

impl Share {
    pub(super) fn of(content: &Content) -> Self {
        Self { digest: content.digest(), data_len: content.data_len() as u64 }
    }
}

impl Totals {
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn data_size(&self) -> u64 {
        self.data_size
    }

    /// A node came.
    pub(super) fn add(&mut self, node: &Node) {
        let Share { digest, data_len } = Share::of(&node.content);
        self.digest = self.digest.wrapping_add(digest);
        self.data_size += node.path.len() as u64 + data_len;
    }

    /// A node went.
    pub(super) fn remove(&mut self, node: &Node) {
        let Share { digest, data_len } = Share::of(&node.content);
        self.digest = self.digest.wrapping_sub(digest);
        self.data_size -= node.path.len() as u64 + data_len;
    }

    /// The content of a node changed.
    pub(super) fn replace(&mut self, before: Share, now: Share) {
        self.digest = self.digest.wrapping_sub(before.digest).wrapping_add(now.digest);
        self.data_size = self.data_size - before.data_len + now.data_len;
    }
}
