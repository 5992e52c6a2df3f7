use alloc::boxed::Box;
use alloc::vec::Vec;

use super::*;
use jute_proto::Acl;

fn content(kind: NodeKind) -> Content {
    let acl = Arc::new(AclList::new(&Acl::open()));
    Content::new("/a", Some(b"data"), acl, kind, (Zxid(7), WallTime(1000)))
}

fn node(kind: NodeKind) -> Node {
    Node::new("/a".into(), content(kind))
}

fn children(paths: &[&str]) -> Option<Box<Directory>> {
    let mut directory = Box::<Directory>::default();
    paths.iter().for_each(|path| directory.insert(Arc::from(*path)));
    Some(directory)
}

#[test]
fn the_data_version_leaves_out_minus_one() {
    // A version of -1 could not be asked for, because -1 means any.
    let mut content = content(NodeKind::Persistent);
    for (before, after) in [(0, 1), (i32::MAX, i32::MIN), (-2, 0), (-3, -2)] {
        content.version = before;
        content.set_data("/a", Some(b"data"), Zxid(8), WallTime(1001));
        assert_eq!(content.version, after);
    }
}

#[test]
fn the_reported_cversion_counts_creates_and_deletes() {
    // Two creates and one delete make three changes, with one child left.
    let mut node = node(NodeKind::Persistent);
    for zxid in [8, 9] {
        node.content.child_created(Zxid(zxid));
    }
    node.content.child_deleted(Zxid(10));
    node.directory = children(&["/a/b"]);
    let stat = node.stat();
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (3, 1, Zxid(10)));
    assert_eq!((stat.version, stat.mzxid, stat.mtime), (0, Zxid(7), 1000));
}

#[test]
fn only_ephemeral_nodes_show_an_owner() {
    // The marks of containers and times to live stay inside.
    let session = SessionId(0x1234);
    let shown = |kind| node(kind).stat().ephemeral_owner;
    assert_eq!(shown(NodeKind::Ephemeral(session)), session);
    for kind in [NodeKind::Persistent, NodeKind::Container, NodeKind::Ttl(TTL_MS_MAX)] {
        assert_eq!(shown(kind), SessionId(0));
    }
}

#[test]
fn a_kind_survives_as_tag_and_owner() {
    // The owner is the number that ZooKeeper keeps; what does not fit together is refused.
    let kinds = [
        (NodeKind::Persistent, 0),
        (NodeKind::Ephemeral(SessionId(-5)), -5),
        (NodeKind::Container, i64::MIN),
        (NodeKind::Ttl(1000), 0xff00_0000_0000_03e8_u64 as i64),
        (NodeKind::Ttl(TTL_MS_MAX), 0xff00_00ff_ffff_ffff_u64 as i64),
    ];
    for (kind, owner) in kinds {
        assert_eq!(kind.owner(), owner);
        assert_eq!(NodeKind::from_parts(kind.tag() as u8, owner), Some(kind));
    }
    for (tag, owner) in [(0, 1), (2, 0), (3, 1000), (3, -1), (4, 0)] {
        assert_eq!(NodeKind::from_parts(tag, owner), None);
    }
}

#[test]
fn null_data_and_empty_data_differ() {
    // Both have length 0, but a client reads back what it wrote, and the digest sees it.
    let mut node = node(NodeKind::Persistent);
    node.content.put_data("/a", None);
    let null = node.content.digest();
    assert_eq!((node.data(), node.stat().data_length), (None, 0));
    node.content.put_data("/a", Some(b""));
    assert_eq!((node.data(), node.stat().data_length), (Some(&b""[..]), 0));
    assert_ne!(node.content.digest(), null);
}

#[test]
fn children_are_names_in_order() {
    // The names are cut out of the children's paths, also below the root.
    let mut top = node(NodeKind::Persistent);
    top.directory = children(&["/a/z", "/a/b", "/a/é"]);
    assert_eq!(top.children().collect::<Vec<_>>(), ["b", "z", "é"]);
    let mut root = Node::new("/".into(), content(NodeKind::Persistent));
    assert_eq!(root.children().len(), 0);
    root.directory = children(&["/a"]);
    assert_eq!(root.children().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_node_is_small() {
    // A million of them fit in little memory: 120 bytes besides path, data and children.
    assert!(size_of::<Node>() <= 120, "{}", size_of::<Node>());
    assert_eq!(super::super::node_store::SLOT_SIZE, size_of::<Node>());
}

#[test]
fn the_count_of_creates_wraps_around() {
    // After two to the 31 creates numbers go on below zero, as ZooKeeper documents.
    let mut node = node(NodeKind::Persistent);
    node.content.creates = i32::MAX;
    node.content.child_created(Zxid(8));
    assert_eq!((node.content.creates, node.stat().cversion), (i32::MIN, 0));
}
