use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use jute_proto::{Acl, SessionId, Zxid};
use proptest::prelude::*;

use super::*;
use crate::time::WallTime;
use crate::tree::{Create, CreateOp, OpContext, Tree, TxnResult, WriteOp};

fn node_path(target: &str, name: &str) -> String {
    format!("{}{target}/{name}", path::QUOTA)
}

#[test]
fn only_the_deepest_quota_counts() {
    // Usage below a nested quota does not add up to the outer one.
    let mut quotas = Quotas::default();
    for path in ["/a", "/a/b"] {
        quotas.node_set(&node_path(path, LIMITS).into(), None);
        quotas.node_set(&node_path(path, STATS).into(), None);
    }
    let deepest =
        |quotas: &Quotas, path| deepest(&quotas.by_path, path).map(|(path, _)| path.to_owned());
    assert_eq!(deepest(&quotas, "/a/b/c").as_deref(), Some("/a/b"));
    assert_eq!(deepest(&quotas, "/a/bc").as_deref(), Some("/a"));
    assert_eq!(deepest(&quotas, "/a").as_deref(), Some("/a"));
    assert_eq!(deepest(&quotas, "/ab"), None);
    quotas.node_detached(&node_path("/a/b", LIMITS));
    assert_eq!(deepest(&quotas, "/a/b/c").as_deref(), Some("/a"));
    quotas.node_set(&"/zookeeper/quota/zookeeper_limits".into(), None);
    assert_eq!(deepest(&quotas, "/z"), None, "the root has no quota");
}

/// A tree with a quota on `/a` and one on `/a/b`.
struct Quoted {
    tree: Tree,
    zxid: i64,
    open: Vec<Acl>,
}

/// What a script does.
#[derive(Clone, Debug)]
enum Step {
    Create(&'static str, usize),
    Delete(&'static str),
    Set(&'static str, usize),
    /// A client writes into a stats node.
    Text(&'static str, &'static str),
}

const PATHS: [&str; 6] = ["/a/x", "/a/y", "/a/b/x", "/a/b", "/a/b/y", "/c"];
const STATS_NODES: [&str; 2] =
    ["/zookeeper/quota/a/zookeeper_stats", "/zookeeper/quota/a/b/zookeeper_stats"];
const TEXTS: [&str; 3] = ["count=7,bytes=70", "bytes=3=;mine=4", "nonsense"];

impl Quoted {
    fn new() -> Self {
        let mut quoted = Self { tree: Tree::new(), zxid: 0, open: Acl::open() };
        let quota = ["/a", "/a/b", "/zookeeper/quota/a", "/zookeeper/quota/a/b"];
        let limits = quota[..2].iter().map(|path| node_path(path, LIMITS));
        let paths: Vec<String> = quota.iter().map(ToString::to_string).chain(limits).collect();
        for path in paths.iter().map(String::as_str).chain(STATS_NODES) {
            let op = quoted.create(path, b"");
            assert!(matches!(op, Ok(TxnResult::Created { .. })), "{path}");
        }
        quoted
    }

    fn create(&mut self, path: &str, data: &[u8]) -> Result<TxnResult, OpError> {
        let open = self.open.clone();
        self.apply(&create(path, data, &open))
    }

    fn apply(&mut self, op: &WriteOp<'_>) -> Result<TxnResult, OpError> {
        self.zxid += 1;
        let (zxid, session, policy) = (Zxid(self.zxid), SessionId(1), Policy::default());
        let ctx = OpContext { zxid, wall_time: WallTime(0), session, identities: &[], policy };
        self.tree.apply(&ctx, op, &mut Vec::new())
    }

    fn texts(&self) -> Vec<Option<String>> {
        let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
        let data = |path| self.tree.get(path).and_then(|node| node.data());
        STATS_NODES.iter().map(|path| data(path).map(text)).collect()
    }
}

fn create<'a>(path: &'a str, data: &'a [u8], open: &'a [Acl]) -> WriteOp<'a> {
    let (op, data, acl) = (CreateOp::Create, Some(data), Some(open));
    WriteOp::Create(Create { op, path, data, acl, flags: 0, ttl_ms: -1 })
}

impl Step {
    fn write<'a>(&'a self, open: &'a [Acl]) -> WriteOp<'a> {
        let data = |len: &usize| &[7; 9][..*len];
        match self {
            Self::Create(path, len) => create(path, data(len), open),
            Self::Delete(path) => WriteOp::Delete { path, version: -1 },
            Self::Set(path, len) => WriteOp::SetData { path, data: Some(data(len)), version: -1 },
            Self::Text(path, text) => {
                WriteOp::SetData { path, data: Some(text.as_bytes()), version: -1 }
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::sample::select(&PATHS[..]);
    let stats = || prop::sample::select(&STATS_NODES[..]);
    prop_oneof![
        4 => (path(), 0_usize..9).prop_map(|(path, len)| Step::Create(path, len)),
        2 => path().prop_map(Step::Delete),
        3 => (path(), 0_usize..9).prop_map(|(path, len)| Step::Set(path, len)),
        1 => (stats(), prop::sample::select(&TEXTS[..])).prop_map(|(at, text)| Step::Text(at, text)),
        1 => stats().prop_map(Step::Delete),
        1 => (stats(), 0_usize..9).prop_map(|(path, len)| Step::Create(path, len)),
    ]
}

proptest! {
    #[test]
    fn a_multi_counts_as_its_operations_do_one_by_one(
        scripts in prop::collection::vec(prop::collection::vec(step(), 1..8), 1..12)
    ) {
        // The texts of usage after a multi are those after its operations alone; a multi that fails leaves
        // them as they were, and whatever comes next counts on from there.
        let (mut whole, mut single, open) = (Quoted::new(), Quoted::new(), Acl::open());
        for script in &scripts {
            let ops: Vec<WriteOp<'_>> = script.iter().map(|step| step.write(&open)).collect();
            let (before, digest) = (whole.texts(), whole.tree.digest());
            let applied = whole.apply(&WriteOp::Multi(ops.clone())).unwrap();
            if matches!(applied, TxnResult::MultiFailed(_)) {
                prop_assert_eq!(whole.texts(), before);
                prop_assert_eq!(whole.tree.digest(), digest);
                continue;
            }
            for op in &ops {
                prop_assert!(single.apply(op).is_ok());
            }
            prop_assert_eq!(whole.texts(), single.texts(), "{:?}", script);
        }
        prop_assert_eq!(whole.tree.digest(), whole.tree.recomputed_digest());
    }
}

#[test]
fn a_long_text_costs_nothing_at_the_next_writes() {
    // What a client writes into a stats node is not copied by each write below the quota (it took 0.5 ms a
    // write, and 36 GB for a multi): the next write leaves what the tree itself writes.
    let mut quoted = Quoted::new();
    let text = format!("count=1,bytes=1=;{}=1", "k".repeat(900_000));
    let path = STATS_NODES[0];
    let long = WriteOp::SetData { path, data: Some(text.as_bytes()), version: -1 };
    quoted.apply(&long).unwrap();
    assert_eq!(quoted.texts()[0].as_deref(), Some(&text[..]));
    let set = WriteOp::SetData { path: "/a", data: Some(b""), version: -1 };
    let done = quoted.apply(&WriteOp::Multi(vec![set; 40_000])).unwrap();
    assert!(matches!(done, TxnResult::Multi(results) if results.len() == 40_000));
    assert_eq!(quoted.texts()[0].as_deref(), Some("count=1,bytes=1"));
}

#[test]
fn a_quota_is_made_at_once_however_much_is_below_it() {
    // To create the stats node counts the subtree, which may be large; doing it again and again does not go
    // through it each time.
    let mut quoted = Quoted::new();
    for at in 0..20_000 {
        quoted.create(&format!("/a/n{at}"), b"12").unwrap();
    }
    let (path, open) = (STATS_NODES[0], Acl::open());
    let again = [WriteOp::Delete { path, version: -1 }, create(path, b"", &open)];
    quoted.apply(&WriteOp::Multi(again.into_iter().cycle().take(20_000).collect())).unwrap();
    assert_eq!(quoted.texts()[0].as_deref(), Some("count=20002,bytes=40000"));
}
