//! The data model: a tree of znodes, its rules, and nothing else.
//!
//! * [`Tree::apply`] judges a [`WriteOp`] and carries it out or says why not. It reads its
//!   arguments and the tree only, so replicas that apply the same writes have the same trees.
//! * [`Change`]s tell the watches what happened.
//! * Reads ([`Tree::get`] and the access-checked ones of `read`) take `&Tree` and may run side by
//!   side.
//! * [`Tree::begin_checkpoint`] and [`Tree::take_changed`] hand out what a checkpoint has to write,
//!   [`TreeLoader`] reads it back.
//! * [`Tree::digest`] is equal for equal trees.
//!
//! Where is what:
//!
//! | file | what |
//! |---|---|
//! | `tree` | [`Tree`] conducts the parts: attach, detach, change, and taking a `multi` back |
//! | `apply/` | one file an operation, made of these primitives |
//! | `read`, `pages` | reads with their access checks; parts of long lists and of subtrees |
//! | `node`, `node_store`, `directory`, `children` | a node and the rules of its stat; slots and lookup by path; what is below a node |
//! | `acl`, `acl_index`, `scheme` | lists, each once; checks; what an id of each scheme stands for |
//! | `ephemerals`, `expirable`, `quota`, `totals` | what follows from the nodes: by session, by kind, usage, digest and size |
//! | `checkpoint_tracker`, `checkpoint`, `row` | what a checkpoint has to write, copy-on-write; rows and back |
//! | `undo` | how to take a `multi` back |
//!
//! Invariants: every node but the root has its parent in the tree; ephemeral nodes have no
//! children; the [built-in](path::BUILT_IN) nodes are always there; the indexes of ephemeral,
//! container and TTL nodes and of quotas, the digest, the data size and what is below each node follow
//! from the nodes; a failed operation leaves no trace.

pub mod acl;
mod acl_index;
mod apply;
mod checkpoint;
mod checkpoint_tracker;
mod children;
pub mod digest;
mod directory;
mod ephemerals;
mod error;
mod expirable;
mod node;
mod node_store;
mod pages;
pub mod path;
mod policy;
mod prefix_map;
mod quota;
mod quota_text;
mod read;
mod row;
mod scheme;
mod totals;
#[expect(clippy::module_inception, reason = "the folder is named after its central type")]
mod tree;
mod txn;
mod undo;

pub use acl::{AclList, AclRef};
pub use checkpoint::{ChangedNodes, LoadError, NodeRow, RemovedNodes, TreeLoader};
pub use error::OpError;
pub use expirable::{ExpirySearch, ExpirySettings};
pub use node::{Node, NodeKind, TTL_MS_MAX};
pub use pages::Subtree;
pub use policy::Policy;
pub(crate) use prefix_map::PrefixMap;
pub use quota::{QuotaEvent, QuotaUnit};
pub use row::RowError;
pub use tree::Tree;
pub use txn::{Change, ChangeKind, Create, CreateOp, OpContext, TxnResult, WriteOp};
