//! The tree against a model so naive that it is obviously right: one sorted map from path to node,
//! copied whole before each `multi`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jute_proto::{Acl, ErrorCode, Id, Perms, SessionId, Stat, Zxid};
use kernel::time::WallTime;
use kernel::tree::{
    Change, ChangeKind, ChangedNodes, Create, CreateOp, NodeKind, OpContext, OpError, Policy,
    RemovedNodes, Tree, TreeLoader, TxnResult, WriteOp,
};
use proptest::prelude::*;

/// Who may do what to a node; three lists are enough to meet each check both ways.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Access {
    Open,
    ReadOnly,
    UserOnly,
}

impl Access {
    fn list(self) -> Vec<Acl> {
        match self {
            Self::Open => Acl::open(),
            Self::ReadOnly => Acl::read_only(),
            Self::UserOnly => vec![Acl { perms: Perms::ALL, id: user() }],
        }
    }

    fn allows(self, needed: Perms, is_user: bool) -> Result<(), OpError> {
        let allowed = match self {
            Self::Open => true,
            Self::ReadOnly => needed == Perms::READ,
            Self::UserOnly => is_user,
        };
        if allowed { Ok(()) } else { Err(OpError::NoAuth) }
    }
}

fn user() -> Id {
    Id::new("digest", "user:hash")
}

/// A write of the test, with all that it needs.
#[derive(Clone, Debug)]
enum Op {
    Create { path: String, data: Option<Vec<u8>>, access: Access, flags: i32 },
    Delete { path: String, version: i32 },
    SetData { path: String, data: Option<Vec<u8>>, version: i32 },
    SetAcl { path: String, access: Access, version: i32 },
    Check { path: String, version: i32 },
    DeleteContainer { path: String },
    CloseSession,
    Multi(Vec<Self>),
}

#[derive(Clone, Debug)]
enum Step {
    Write { op: Op, session: i64, is_user: bool },
    Checkpoint,
    BeginCheckpoint,
    GoOn,
    EndCheckpoint,
    Restart,
}

/// Some paths that hit often, some that are never there, and a few built-in and invalid ones.
fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "bb", "é"]);
    let deep = prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/")));
    let odd = prop::sample::select(vec!["/", "/zookeeper", "/a/", "x", "/a//b", "/.", "/a/s-"]);
    prop_oneof![12 => deep, 1 => odd.prop_map(str::to_owned)]
}

fn data() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..20))
}

fn version() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(-1), 1 => 0..3]
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![8 => Just(Access::Open), 1 => Just(Access::ReadOnly), 1 => Just(Access::UserOnly)]
}

/// The operations that a `multi` may hold.
fn small_op() -> impl Strategy<Value = Op> {
    let flags = prop_oneof![4 => Just(0), 2 => Just(1), 2 => Just(2), 1 => Just(3), 1 => Just(4), 1 => Just(5)];
    let create = (path(), data(), access(), flags)
        .prop_map(|(path, data, access, flags)| Op::Create { path, data, access, flags });
    let delete = (path(), version()).prop_map(|(path, version)| Op::Delete { path, version });
    let set = (path(), data(), version()).prop_map(|(path, data, version)| Op::SetData {
        path,
        data,
        version,
    });
    let check = (path(), version()).prop_map(|(path, version)| Op::Check { path, version });
    prop_oneof![8 => create, 4 => delete, 3 => set, 1 => check]
}

fn op() -> impl Strategy<Value = Op> {
    let set_acl = (path(), access(), version()).prop_map(|(path, access, version)| Op::SetAcl {
        path,
        access,
        version,
    });
    prop_oneof![
        16 => small_op(),
        2 => set_acl,
        2 => path().prop_map(|path| Op::DeleteContainer { path }),
        1 => Just(Op::CloseSession),
        6 => prop::collection::vec(small_op(), 0..6).prop_map(Op::Multi),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (op(), 1..4i64, prop::bool::weighted(0.7))
            .prop_map(|(op, session, is_user)| Step::Write { op, session, is_user }),
        2 => Just(Step::Checkpoint),
        2 => Just(Step::BeginCheckpoint),
        2 => Just(Step::GoOn),
        1 => Just(Step::EndCheckpoint),
        1 => Just(Step::Restart),
    ]
}

#[derive(Clone, Debug)]
struct ModelNode {
    data: Option<Vec<u8>>,
    access: Access,
    kind: NodeKind,
    czxid: i64,
    mzxid: i64,
    pzxid: i64,
    ctime: i64,
    mtime: i64,
    version: i32,
    creates: i32,
    aversion: i32,
}

#[derive(Clone)]
struct Model(BTreeMap<String, ModelNode>);

/// What the model says of an operation: result and changes, in forms that compare.
type Answer = Result<Shown, OpError>;

#[derive(Clone, Debug, PartialEq)]
enum Shown {
    Created(String, Stat),
    Deleted,
    Set(Stat),
    Checked,
    Multi(Vec<Self>),
    MultiFailed(Vec<ErrorCode>),
    Closed(usize),
}

struct Asker {
    zxid: i64,
    wall_time: i64,
    session: SessionId,
    is_user: bool,
}

type Changes = Vec<(ChangeKind, String)>;

impl Model {
    fn new() -> Self {
        let node = |access| ModelNode {
            data: Some(Vec::new()),
            access,
            kind: NodeKind::Persistent,
            czxid: 0,
            mzxid: 0,
            pzxid: 0,
            ctime: 0,
            mtime: 0,
            version: 0,
            creates: 0,
            aversion: 0,
        };
        let open = ["/", "/zookeeper", "/zookeeper/quota"];
        let mut nodes: BTreeMap<_, _> =
            open.map(|path| (path.to_owned(), node(Access::Open))).into();
        let config = ModelNode { aversion: -1, ..node(Access::ReadOnly) };
        nodes.insert("/zookeeper/config".to_owned(), config);
        Self(nodes)
    }

    fn children(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let below = self.0.keys().filter_map(|other| other.strip_prefix(&prefix));
        below.filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned).collect()
    }

    fn count_below(&self, path: &str) -> usize {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        self.0
            .keys()
            .filter(|other| other.len() > prefix.len() && other.starts_with(&prefix))
            .count()
    }

    fn stat(&self, path: &str) -> Stat {
        let node = &self.0[path];
        let children = self.children(path).len() as i32;
        Stat {
            czxid: Zxid(node.czxid),
            mzxid: Zxid(node.mzxid),
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            cversion: 2 * node.creates - children,
            aversion: node.aversion,
            ephemeral_owner: match node.kind {
                NodeKind::Ephemeral(session) => session,
                NodeKind::Persistent | NodeKind::Container | NodeKind::Ttl(_) => SessionId(0),
            },
            data_length: node.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children,
            pzxid: Zxid(node.pzxid),
        }
    }

    fn apply(&mut self, asker: &Asker, op: &Op, changes: &mut Changes) -> Answer {
        match op {
            Op::Create { path, data, access, flags } => {
                self.create(asker, path, data.as_deref(), (*access, *flags), changes)
            }
            Op::Delete { path, version } => {
                let parent = self.deletable_parent(path)?;
                parent.access.allows(Perms::DELETE, asker.is_user)?;
                let node = self.0.get(path).ok_or(OpError::NoNode)?;
                expect(*version, node.version)?;
                self.remove(asker, path, changes)
            }
            Op::DeleteContainer { path } => {
                if BUILT_IN.contains(&path.as_str()) || !path.contains('/') {
                    return Err(OpError::BadArguments);
                }
                let node = self.0.get(path).ok_or(OpError::NoNode)?;
                let is_container = node.kind == NodeKind::Container;
                if !self.children(path).is_empty() {
                    return Err(OpError::NotEmpty);
                }
                if is_container {
                    self.remove(asker, path, changes)
                } else {
                    Err(OpError::BadVersion)
                }
            }
            Op::SetData { path, data, version } => {
                let node = self.valid(path)?;
                node.access.allows(Perms::WRITE, asker.is_user)?;
                expect(*version, node.version)?;
                node.data.clone_from(data);
                node.version += 1;
                (node.mzxid, node.mtime) = (asker.zxid, asker.wall_time);
                changes.push((ChangeKind::DataChanged, path.clone()));
                Ok(Shown::Set(self.stat(path)))
            }
            Op::SetAcl { path, access, version } => {
                let node = self.valid(path)?;
                node.access.allows(Perms::ADMIN, asker.is_user)?;
                expect(*version, node.aversion)?;
                node.access = *access;
                node.aversion += 1;
                Ok(Shown::Set(self.stat(path)))
            }
            Op::Check { path, version } => {
                let node = self.valid(path)?;
                node.access.allows(Perms::READ, asker.is_user)?;
                expect(*version, node.version).map(|()| Shown::Checked)
            }
            Op::CloseSession => {
                let kind = NodeKind::Ephemeral(asker.session);
                let of_session = self.0.iter().filter(|(_, node)| node.kind == kind);
                let paths: Vec<String> = of_session.map(|(path, _)| path.clone()).collect();
                for path in &paths {
                    self.remove(asker, path, changes)?;
                }
                Ok(Shown::Closed(paths.len()))
            }
            Op::Multi(ops) => Ok(self.multi(asker, ops, changes)),
        }
    }

    fn multi(&mut self, asker: &Asker, ops: &[Op], changes: &mut Changes) -> Shown {
        let (before, changes_before) = (self.clone(), changes.len());
        let mut results = Vec::new();
        for op in ops {
            match self.apply(asker, op, changes) {
                Ok(result) => results.push(result),
                Err(error) => {
                    *self = before;
                    changes.truncate(changes_before);
                    let code = |at: usize| match at.cmp(&results.len()) {
                        std::cmp::Ordering::Less => ErrorCode::Ok,
                        std::cmp::Ordering::Equal => error.into(),
                        std::cmp::Ordering::Greater => ErrorCode::RuntimeInconsistency,
                    };
                    return Shown::MultiFailed((0..ops.len()).map(code).collect());
                }
            }
        }
        Shown::Multi(results)
    }

    fn create(
        &mut self,
        asker: &Asker,
        path: &str,
        data: Option<&[u8]>,
        (access, flags): (Access, i32),
        changes: &mut Changes,
    ) -> Answer {
        if flags == 5 {
            return Err(OpError::Unimplemented);
        }
        let (above, _) = path.rsplit_once('/').ok_or(OpError::BadArguments)?;
        let above = if above.is_empty() { "/" } else { above };
        let parent = self.0.get(above).ok_or(OpError::NoNode)?;
        parent.access.allows(Perms::CREATE, asker.is_user)?;
        let number = if flags & 2 != 0 { format!("{:010}", parent.creates) } else { String::new() };
        let path = format!("{path}{number}");
        check_path(&path)?;
        if self.0.contains_key(&path) {
            return Err(OpError::NodeExists);
        }
        if matches!(parent.kind, NodeKind::Ephemeral(_)) {
            return Err(OpError::NoChildrenForEphemerals);
        }
        let kind = match flags {
            1 | 3 => NodeKind::Ephemeral(asker.session),
            4 => NodeKind::Container,
            _ => NodeKind::Persistent,
        };
        let parent = self.0.get_mut(above).expect("found above");
        parent.creates += 1;
        parent.pzxid = asker.zxid;
        let (zxid, time) = (asker.zxid, asker.wall_time);
        let node = ModelNode {
            data: data.map(<[u8]>::to_vec),
            access,
            kind,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            version: 0,
            creates: 0,
            aversion: 0,
        };
        self.0.insert(path.clone(), node);
        changes.push((ChangeKind::Created, path.clone()));
        let stat = self.stat(&path);
        Ok(Shown::Created(path, stat))
    }

    fn deletable_parent(&self, path: &str) -> Result<&ModelNode, OpError> {
        if BUILT_IN.contains(&path) {
            return Err(OpError::BadArguments);
        }
        let (above, _) = path.rsplit_once('/').ok_or(OpError::BadArguments)?;
        self.0.get(if above.is_empty() { "/" } else { above }).ok_or(OpError::NoNode)
    }

    fn remove(&mut self, asker: &Asker, path: &str, changes: &mut Changes) -> Answer {
        if !self.children(path).is_empty() {
            return Err(OpError::NotEmpty);
        }
        self.0.remove(path);
        let (above, _) = path.rsplit_once('/').expect("an absolute path");
        let above = if above.is_empty() { "/" } else { above };
        self.0.get_mut(above).expect("parents stay").pzxid = asker.zxid;
        changes.push((ChangeKind::Deleted, path.to_owned()));
        Ok(Shown::Deleted)
    }

    fn valid(&mut self, path: &str) -> Result<&mut ModelNode, OpError> {
        check_path(path)?;
        self.0.get_mut(path).ok_or(OpError::NoNode)
    }
}

const BUILT_IN: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

fn check_path(path: &str) -> Result<(), OpError> {
    let names = path.strip_prefix('/').ok_or(OpError::BadArguments)?.split('/');
    let good = path == "/" || names.into_iter().all(|name| !matches!(name, "" | "." | ".."));
    if good { Ok(()) } else { Err(OpError::BadArguments) }
}

fn expect(expected: i32, current: i32) -> Result<(), OpError> {
    if expected == -1 || expected == current { Ok(()) } else { Err(OpError::BadVersion) }
}

/// The tree under test and the disk that its checkpoints go to.
struct Subject {
    tree: Tree,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    under_way: Option<UnderWay>,
}

/// A checkpoint that was begun, and what the tree was then.
struct UnderWay {
    removed: RemovedNodes,
    taken: VecDeque<ChangedNodes>,
    digest: u64,
}

impl Subject {
    fn apply(&mut self, asker: &Asker, op: &Op, changes: &mut Vec<Change>) -> Answer {
        let identities = if asker.is_user { vec![user()] } else { Vec::new() };
        let ctx = OpContext {
            zxid: Zxid(asker.zxid),
            wall_time: WallTime(asker.wall_time),
            session: asker.session,
            identities: &identities,
            policy: Policy::default(),
        };
        let mut lists = Vec::new();
        collect_lists(op, &mut lists);
        let mut lists = lists.iter();
        let op = write_op(op, &mut lists);
        self.tree.apply(&ctx, &op, changes).map(show)
    }

    fn begin_checkpoint(&mut self) {
        if self.under_way.is_none() {
            let (removed, digest) = (self.tree.begin_checkpoint(), self.tree.digest());
            self.under_way = Some(UnderWay { removed, taken: VecDeque::new(), digest });
        }
    }

    /// Takes some of what the checkpoint under way, if there is one, has to write.
    fn go_on(&mut self) {
        if let Some(under_way) = &mut self.under_way {
            under_way.taken.extend(self.tree.take_changed(2));
        }
    }

    /// Ends the checkpoint under way, if there is one, and writes another.
    fn checkpoint(&mut self) -> Tree {
        self.end_checkpoint();
        self.begin_checkpoint();
        self.end_checkpoint().expect("a checkpoint was begun")
    }

    /// Writes the rest of the checkpoint under way. The disk then holds the tree as it was when the
    /// checkpoint was begun, which is returned.
    fn end_checkpoint(&mut self) -> Option<Tree> {
        let UnderWay { removed, mut taken, digest } = self.under_way.take()?;
        for row in removed.rows(|| taken.pop_front().or_else(|| self.tree.take_changed(2))) {
            match row.value {
                Some(value) => self.disk.insert(row.key.to_vec(), value.to_vec()),
                None => self.disk.remove(&*row.key),
            };
        }
        let mut loader = TreeLoader::new();
        for (key, value) in self.disk.iter().rev() {
            loader.add(key, value).expect("rows of a checkpoint");
        }
        let mut loaded = loader.finish().expect("a whole checkpoint");
        assert_eq!(loaded.digest(), digest);
        let changed = loaded.begin_checkpoint();
        assert_eq!(changed.rows(|| loaded.take_changed(1)).count(), 0);
        Some(loaded)
    }

    /// Compares all there is to see.
    fn compare(&self, model: &Model) {
        let mut sessions = BTreeMap::<SessionId, BTreeSet<&str>>::new();
        for (path, expected) in &model.0 {
            let node = self.tree.get(path).unwrap_or_else(|| panic!("{path} is missing"));
            assert_eq!(node.path(), path);
            assert_eq!(node.data(), expected.data.as_deref(), "{path}");
            assert_eq!(node.acl().entries(), expected.access.list(), "{path}");
            assert_eq!(node.kind(), expected.kind, "{path}");
            assert_eq!(node.stat(), model.stat(path), "{path}");
            assert!(node.children().eq(model.children(path)), "{path}");
            let everyone = Policy { skip_acl: true, ..Policy::default() };
            let below = self.tree.count_descendants(path, &[], everyone);
            assert_eq!(below, Ok(model.count_below(path) as u64), "{path}");
            if let NodeKind::Ephemeral(session) = expected.kind {
                sessions.entry(session).or_default().insert(path);
            }
        }
        assert_eq!(self.tree.node_count(), model.0.len() + 1);
        let found: BTreeMap<_, BTreeSet<_>> = self
            .tree
            .sessions_with_ephemerals()
            .map(|(session, paths)| (session, paths.map(|path| &**path).collect()))
            .collect();
        assert_eq!(found, sessions);
        assert_eq!(
            self.tree.ephemeral_count(),
            sessions.values().map(BTreeSet::len).sum::<usize>()
        );
        let size = |(path, node): (&String, &ModelNode)| {
            (path.len() + node.data.as_ref().map_or(0, Vec::len)) as u64
        };
        assert_eq!(self.tree.approximate_data_size(), model.0.iter().map(size).sum::<u64>());
        assert_eq!(self.tree.digest(), self.tree.recomputed_digest());
    }
}

/// The lists that an operation refers to, in the order in which [`write_op`] takes them.
fn collect_lists(op: &Op, lists: &mut Vec<Vec<Acl>>) {
    match op {
        Op::Create { access, .. } | Op::SetAcl { access, .. } => lists.push(access.list()),
        Op::Multi(ops) => ops.iter().for_each(|op| collect_lists(op, lists)),
        Op::Delete { .. }
        | Op::SetData { .. }
        | Op::Check { .. }
        | Op::DeleteContainer { .. }
        | Op::CloseSession => {}
    }
}

fn write_op<'a>(op: &'a Op, lists: &mut std::slice::Iter<'a, Vec<Acl>>) -> WriteOp<'a> {
    match op {
        Op::Create { path, data, access: _, flags } => WriteOp::Create(Create {
            op: if *flags == 4 { CreateOp::Container } else { CreateOp::Create2 },
            path,
            data: data.as_deref(),
            acl: lists.next().map(Vec::as_slice),
            flags: *flags,
            ttl_ms: -1,
        }),
        Op::Delete { path, version } => WriteOp::Delete { path, version: *version },
        Op::SetData { path, data, version } => {
            WriteOp::SetData { path, data: data.as_deref(), version: *version }
        }
        Op::SetAcl { path, access: _, version } => {
            WriteOp::SetAcl { path, acl: lists.next().map(Vec::as_slice), version: *version }
        }
        Op::Check { path, version } => WriteOp::Check { path, version: *version },
        Op::DeleteContainer { path } => WriteOp::DeleteContainer { path, age_ms: None },
        Op::CloseSession => WriteOp::CloseSession,
        Op::Multi(ops) => WriteOp::Multi(ops.iter().map(|op| write_op(op, lists)).collect()),
    }
}

fn show(result: TxnResult) -> Shown {
    match result {
        TxnResult::Created { op: _, path, stat } => Shown::Created((*path).to_owned(), stat),
        TxnResult::Deleted => Shown::Deleted,
        TxnResult::DataSet(stat)
        | TxnResult::AclSet(stat)
        | TxnResult::Reconfigured { stat, .. } => Shown::Set(stat),
        TxnResult::Checked => Shown::Checked,
        TxnResult::Multi(results) => Shown::Multi(results.into_iter().map(show).collect()),
        TxnResult::MultiFailed(codes) => Shown::MultiFailed(codes),
        TxnResult::SessionClosed { ephemerals } => Shown::Closed(ephemerals),
    }
}

proptest! {
    #[test]
    fn the_tree_behaves_like_a_sorted_map(steps in prop::collection::vec(step(), 1..60)) {
        // Whatever is written, whichever part of it fails, and wherever the server restarts, the
        // tree answers and holds what the model does.
        let mut model = Model::new();
        let (tree, disk) = (Tree::new(), BTreeMap::new());
        let mut subject = Subject { tree, disk, under_way: None };
        let mut zxid = 0;
        for step in steps {
            match step {
                Step::Write { op, session, is_user } => {
                    zxid += 1;
                    let (session, wall_time) = (SessionId(session), zxid * 10);
                    let asker = Asker { zxid, wall_time, session, is_user };
                    let (mut expected, mut changes) = (Vec::new(), Vec::new());
                    let answer = model.apply(&asker, &op, &mut expected);
                    prop_assert_eq!(subject.apply(&asker, &op, &mut changes), answer);
                    let told = changes.into_iter().map(|c| (c.kind, (*c.path).to_owned()));
                    prop_assert_eq!(told.collect::<Changes>(), expected);
                }
                Step::Checkpoint => drop(subject.checkpoint()),
                Step::BeginCheckpoint => subject.begin_checkpoint(),
                Step::GoOn => subject.go_on(),
                Step::EndCheckpoint => drop(subject.end_checkpoint()),
                Step::Restart => subject.tree = subject.checkpoint(),
            }
            subject.compare(&model);
        }
    }
}
