use alloc::borrow::ToOwned;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::time::WallTime;
use crate::tree::{Create, CreateOp, OpContext, Policy, WriteOp};
use jute_proto::{Acl, SessionId, Zxid};
use proptest::prelude::*;

/// The rows of a tree with each kind of node.
fn rows() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut tree = Tree::new();
    let open = Acl::open();
    let kinds = [
        ("/a", 0, CreateOp::Create),
        ("/a/e", 1, CreateOp::Create),
        ("/c", 4, CreateOp::Container),
    ];
    for (zxid, (path, flags, op)) in (1..).zip(kinds) {
        let policy = Policy::default();
        let session = SessionId(-7);
        let ctx = OpContext {
            zxid: Zxid(zxid),
            wall_time: WallTime(5),
            session,
            identities: &[],
            policy,
        };
        let create =
            Create { op, path, data: Some(b"some data"), acl: Some(&open), flags, ttl_ms: -1 };
        tree.apply(&ctx, &WriteOp::Create(create), &mut Vec::new()).expect("a good create");
    }
    let rows = tree.begin_checkpoint().rows(|| tree.take_changed(3));
    rows.map(|row| (row.key.to_vec(), row.value.expect("a node").to_vec())).collect()
}

fn load(rows: &[(Vec<u8>, Vec<u8>)]) -> Result<Tree, LoadError> {
    let mut loader = TreeLoader::new();
    for (key, value) in rows {
        loader.add(key, value)?;
    }
    loader.finish()
}

fn value_of(path: &str) -> Vec<u8> {
    let rows = rows();
    rows.into_iter().find(|(key, _)| key == path.as_bytes()).expect("a row").1
}

#[test]
fn rows_that_are_not_one_tree_are_refused() {
    // What is missing, double or in an impossible place is named.
    let path = |text: &str| text.to_owned();
    let value = value_of("/a");
    let with = |key: &str| [rows(), vec![(key.into(), value.clone())]].concat();
    let without = |key: &str| {
        let mut rows = rows();
        rows.retain(|(path, _)| path != key.as_bytes());
        rows
    };
    assert!(load(&rows()).is_ok());
    let cases = [
        (with("/a"), LoadError::Twice(path("/a"))),
        (with("/a/e/x"), LoadError::EphemeralParent(path("/a/e/x"))),
        (with("/none/x"), LoadError::NoParent(path("/none/x"))),
        (with("a"), LoadError::Path(path("a"))),
        (with("/a/"), LoadError::Path(path("/a/"))),
        (with(""), LoadError::Path(path(""))),
        (without("/a"), LoadError::NoParent(path("/a/e"))),
        (without("/"), LoadError::NoBuiltIn("/")),
        (without("/zookeeper/quota"), LoadError::NoBuiltIn("/zookeeper/quota")),
        (Vec::new(), LoadError::NoBuiltIn("/")),
    ];
    for (rows, expected) in cases {
        assert_eq!(load(&rows).err(), Some(expected));
    }
    let foreign = [(vec![b'/', 0xff], value)];
    assert_eq!(load(&foreign).err(), Some(LoadError::NotText(vec![b'/', 0xff])));
}

#[test]
fn values_that_are_no_nodes_are_refused() {
    // A newer format, a cut record, one that goes on and one that contradicts itself.
    let refused = |value: &[u8]| match TreeLoader::new().add(b"/a", value) {
        Err(LoadError::Row { path, reason }) if path == "/a" => reason,
        other => panic!("{other:?}"),
    };
    let value = value_of("/a/e");
    assert_eq!(refused(&[]), RowError::Empty);
    assert_eq!(refused(&[&[2], &value[1..]].concat()), RowError::Format(2));
    assert_eq!(refused(&[&value[..], &[0]].concat()), RowError::Trailing(1));
    for len in 1..value.len() {
        assert!(matches!(refused(&value[..len]), RowError::Record(_)), "{len}");
    }
    // The kind is an ephemeral one, numbered 1, and its owner follows as 13 for -7.
    let kind = value.windows(2).position(|bytes| bytes == [1, 13]).expect("kind and owner");
    let mut persistent = value;
    persistent[kind] = 0;
    assert_eq!(refused(&persistent), RowError::Kind { tag: 0, owner: -7 });
}

#[test]
fn the_format_of_a_row_stays_as_it_is() {
    // Data directories of earlier builds stay readable.
    let row = [
        &[1, 1, 9][..],
        b"some data",
        &[1, 62, 5],
        b"world",
        &[6],
        b"anyone",
        &[4, 4, 4, 10, 10, 1, 13, 0, 0, 0],
    ];
    assert_eq!(value_of("/a/e"), row.concat());
}

proptest! {
    #[test]
    fn damaged_rows_never_panic(
        row in 0..7usize,
        at in any::<prop::sample::Index>(),
        byte: u8,
        in_key: bool,
    ) {
        // Whatever a disk makes of a byte, loading ends with a tree or with an error.
        let mut rows = rows();
        let (key, value) = &mut rows[row];
        let bytes = if in_key { key } else { value };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(tree) = load(&rows) {
            prop_assert_eq!(tree.digest(), tree.recomputed_digest());
        }
    }

    #[test]
    fn noise_is_no_row(noise in prop::collection::vec(any::<u8>(), 0..60)) {
        // Random bytes behind the right format number do not panic either.
        let _ = TreeLoader::new().add(b"/a", &[&[1], &noise[..]].concat());
    }
}
