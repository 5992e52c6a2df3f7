use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use jute_proto::{Acl, SessionId, Zxid};
use proptest::prelude::*;

use super::super::row;
use super::super::tree::Tree;
use super::*;
use crate::time::WallTime;
use crate::tree::{Create, CreateOp, OpContext, Policy, TreeLoader, WriteOp};

/// What is below a node, counted by going through all nodes.
fn counted(tree: &Tree, above: &str) -> Descendants {
    let prefix = if above == "/" { "/".to_owned() } else { format!("{above}/") };
    let nodes = tree.nodes().iter().map(|(_, node)| node);
    let nodes = nodes.filter(|node| node.path() != above && node.path().starts_with(&prefix));
    nodes.fold(Descendants::default(), |descendants, node| Descendants {
        nodes: descendants.nodes + 1,
        bytes: descendants.bytes + node.content.data_len() as u64,
    })
}

fn assert_counts(tree: &Tree) {
    for (id, node) in tree.nodes().iter() {
        assert_eq!(tree.nodes().descendants(id), counted(tree, node.path()), "{}", node.path());
    }
}

/// A tree of the same nodes, made of rows that come in another order.
fn reloaded(tree: &Tree, last_first: bool) -> Tree {
    let mut rows: Vec<_> =
        tree.nodes().iter().map(|(_, node)| (node.path(), &node.content)).collect();
    rows.sort_by_key(|(path, _)| *path);
    if last_first {
        rows.reverse();
    }
    let mut loader = TreeLoader::new();
    for (path, content) in rows {
        loader.add(path.as_bytes(), &row::encode(content, Vec::new())).expect("its own row");
    }
    loader.finish().expect("a whole tree")
}

#[derive(Clone, Debug)]
enum Step {
    Create(String, usize),
    Delete(String),
    Set(String, usize),
    /// All of these, or none.
    Multi(Vec<Self>),
}

/// Paths of few names, so that most steps find what they need.
fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]", 1..5).prop_map(|names| format!("/{}", names.join("/")))
}

fn step() -> impl Strategy<Value = Step> {
    let one = prop_oneof![
        3 => (path(), 0_usize..9).prop_map(|(path, len)| Step::Create(path, len)),
        1 => path().prop_map(Step::Delete),
        2 => (path(), 0_usize..9).prop_map(|(path, len)| Step::Set(path, len)),
    ];
    one.prop_recursive(1, 8, 5, |one| prop::collection::vec(one, 0..5).prop_map(Step::Multi))
}

fn write<'a>(step: &'a Step, data: &'a [u8], open: &'a [Acl]) -> WriteOp<'a> {
    match step {
        Step::Create(path, len) => WriteOp::Create(Create {
            op: CreateOp::Create,
            path,
            data: Some(&data[..*len]),
            acl: Some(open),
            flags: 0,
            ttl_ms: -1,
        }),
        Step::Delete(path) => WriteOp::Delete { path, version: -1 },
        Step::Set(path, len) => WriteOp::SetData { path, data: Some(&data[..*len]), version: -1 },
        Step::Multi(steps) => {
            WriteOp::Multi(steps.iter().map(|step| write(step, data, open)).collect())
        }
    }
}

proptest! {
    #[test]
    fn what_is_below_a_node_is_known(steps in prop::collection::vec(step(), 0..60)) {
        // Whatever is created, set, deleted and taken back, and in whatever order a checkpoint is loaded,
        // each node knows how many nodes and bytes are below it.
        let (mut tree, open) = (Tree::new(), Acl::open());
        for (at, step) in (1..).zip(&steps) {
            let (zxid, session, policy) = (Zxid(at), SessionId(1), Policy::default());
            let ctx = OpContext { zxid, wall_time: WallTime(0), session, identities: &[], policy };
            let _ = tree.apply(&ctx, &write(step, &[7; 9], &open), &mut Vec::new());
        }
        assert_counts(&tree);
        for last_first in [false, true] {
            assert_counts(&reloaded(&tree, last_first));
        }
    }
}
