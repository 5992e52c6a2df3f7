//! The requests.

use bytes::{Bytes, BytesMut};
use jute_proto::{
    Acl, AuthRequest, CheckRequest, CreateRequest, DeleteRequest, Encode, ErrorCode, GetAclRequest,
    GetAllChildrenNumberRequest, GetDataRequest, GetEphemeralsRequest, Id, MultiOp, MultiReadOp,
    MultiReadRequest, MultiRequest, OpCode, Perms, ReconfigRequest, Request, RequestHeader,
    SetAclRequest, SetDataRequest, SetWatchesRequest, Xid, Zxid,
};

use crate::raw::frame;

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Bytes of a request, at most.
    pub request_len: usize,
    /// Entries of an access control list.
    pub acl_entries: usize,
    /// Znodes of a large directory, and ephemeral znodes of a session.
    pub nodes: usize,
}

impl Size {
    /// The most that a server takes with ZooKeeper's defaults.
    pub const FULL: Self = Self { request_len: 1_000_000, acl_entries: 10_000, nodes: 100_000 };

    /// A tenth of that, for servers that were built for tests.
    pub const TENTH: Self = Self { request_len: 100_000, acl_entries: 1_000, nodes: 10_000 };
}

/// Each operation's costliest request, and some that do the most with what others left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costly {
    /// `create` and `delete` of a large znode.
    CreateLarge,
    /// The same with a long access control list.
    CreateLongAcl,
    /// `setData` with a large value.
    SetLarge,
    /// `setACL` with a long list.
    SetLongAcl,
    /// `multi` of many creates, and then of as many deletes.
    MultiCreate,
    /// `multi` of checks of a znode with a long list, by who has many identities.
    MultiCheck,
    /// `multi` of many writes below a quota.
    MultiBelowQuota,
    /// `multi` whose last operation fails.
    MultiThatFails,
    /// `multiRead` of many small znodes.
    MultiReadSmall,
    /// `multiRead` of one large znode, many times.
    MultiReadLarge,
    /// `setWatches` of many paths.
    SetWatches,
    /// `setWatches` of many paths that something has happened to.
    SetWatchesMissed,
    /// `reconfig` with a long text, by who may not do that.
    Reconfig,
    /// `auth` with a long password.
    Auth,
    /// `getAllChildrenNumber` of a large directory, a thousand times.
    Count,
    /// `getEphemerals` of a session with many.
    Ephemerals,
    /// `getACL` of a long list.
    ReadLongAcl,
}

/// A request with its header, and the code of its answer.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) frame: Bytes,
    pub(super) code: i32,
}

/// What a connection does.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Once, one after the other.
    pub(super) before: Vec<Call>,
    /// Again and again, all at once.
    pub(super) round: Vec<Call>,
    /// Once, when it is over.
    pub(super) after: Vec<Call>,
}

impl Costly {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::CreateLarge,
        Self::CreateLongAcl,
        Self::SetLarge,
        Self::SetLongAcl,
        Self::MultiCreate,
        Self::MultiCheck,
        Self::MultiBelowQuota,
        Self::MultiThatFails,
        Self::MultiReadSmall,
        Self::MultiReadLarge,
        Self::SetWatches,
        Self::SetWatchesMissed,
        Self::Reconfig,
        Self::Auth,
        Self::Count,
        Self::Ephemerals,
        Self::ReadLongAcl,
    ];

    /// What a connection does, whose znodes are all below `/costly-NUMBER`.
    pub(super) fn work(self, number: usize, size: Size) -> Work {
        let top = format!("/costly-{number}");
        let node = format!("{top}/n");
        let data = vec![b'z'; size.request_len - 100];
        let mut work =
            Work { before: vec![call(&create(&top, b"", Acl::open()))], ..Work::default() };
        let made = |work: &mut Work, data: &[u8], acl: Vec<Acl>| {
            work.before.push(call(&create(&node, data, acl)));
            work.after.push(call(&delete(&node)));
        };
        match self {
            Self::CreateLarge => {
                work.round = vec![call(&create(&node, &data, Acl::open())), call(&delete(&node))];
            }
            Self::CreateLongAcl => {
                work.round = vec![call(&create(&node, b"", long_list(size))), call(&delete(&node))];
            }
            Self::SetLarge => {
                made(&mut work, b"", Acl::open());
                work.round = vec![call(&set(&node, &data))];
            }
            Self::SetLongAcl => {
                made(&mut work, b"", Acl::open());
                let (path, acl) = (node.as_str().into(), Some(long_list(size)));
                work.round = vec![call(&Request::SetAcl(SetAclRequest { path, acl, version: -1 }))];
            }
            Self::MultiCreate => {
                let paths = paths(&top, size.request_len / 64);
                work.round = vec![creates(&paths), deletes(&paths)];
            }
            Self::MultiCheck => {
                let credentials = (0..98).map(|user| format!("user{user}:password"));
                work.before.extend(credentials.map(|text| auth(text.as_bytes())));
                made(&mut work, b"", long_list(size));
                work.round = vec![checks(&node, size)];
            }
            Self::MultiBelowQuota => below_quota(&mut work, number, &top, size),
            Self::MultiThatFails => {
                work.round = vec![creates_that_fail(&paths(&top, size.request_len / 64))];
            }
            Self::MultiReadSmall => {
                work.round = vec![reads(&top, size.request_len / (14 + top.len()))]
            }
            Self::MultiReadLarge => {
                made(&mut work, &data, Acl::open());
                work.round = vec![reads(&node, 2000)];
            }
            Self::SetWatches => work.round = vec![set_watches(&top, size, false)],
            Self::SetWatchesMissed => work.round = vec![set_watches(&top, size, true)],
            Self::Reconfig => work.round = vec![reconfig()],
            Self::Auth => work.round = vec![auth(&long_password(size))],
            Self::Count => {
                directory(&mut work, &top, size, 0);
                let request = GetAllChildrenNumberRequest { path: top.as_str().into() };
                work.round = vec![call(&Request::GetAllChildrenNumber(request)); 1000];
            }
            Self::Ephemerals => {
                directory(&mut work, &top, size, 1);
                let request = GetEphemeralsRequest { prefix: Some("/".into()) };
                work.round = vec![call(&Request::GetEphemerals(request))];
            }
            Self::ReadLongAcl => {
                made(&mut work, b"", long_list(size));
                let request = GetAclRequest { path: node.as_str().into() };
                work.round = vec![call(&Request::GetAcl(request)); 10];
            }
        }
        work.after.push(call(&delete(&top)));
        work
    }
}

fn long_password(size: Size) -> Vec<u8> {
    [b"user:", &vec![b'p'; size.request_len - 100][..]].concat()
}

fn checks(node: &str, size: Size) -> Call {
    let check = CheckRequest { path: node.into(), version: 0 };
    let ops = vec![MultiOp::Check(check); size.request_len / (17 + node.len())];
    call(&Request::Multi(MultiRequest { ops }))
}

fn creates_that_fail(paths: &[String]) -> Call {
    let mut ops = create_ops(paths);
    ops.push(MultiOp::Check(CheckRequest { path: "/".into(), version: 77 }));
    // Each operation has a code of its own.
    Call { frame: encode(&Request::Multi(MultiRequest { ops })), code: 0 }
}

fn encode(request: &Request<'_>) -> Bytes {
    let op_code = request.op_code();
    let xid = if op_code == OpCode::Auth {
        Xid::AUTH
    } else if op_code == OpCode::SetWatches {
        Xid::SET_WATCHES
    } else {
        Xid(1)
    };
    let framed = frame(|out| {
        RequestHeader { xid, op: request.op_code().into() }.encode(out);
        request.encode(out);
    });
    BytesMut::freeze(framed)
}

fn call(request: &Request<'_>) -> Call {
    Call { frame: encode(request), code: 0 }
}

fn create<'a>(path: &'a str, data: &'a [u8], acl: Vec<Acl>) -> Request<'a> {
    Request::Create(CreateRequest { path: path.into(), data: Some(data), acl: Some(acl), flags: 0 })
}

fn delete(path: &str) -> Request<'_> {
    Request::Delete(DeleteRequest { path: path.into(), version: -1 })
}

fn set<'a>(path: &'a str, data: &'a [u8]) -> Request<'a> {
    Request::SetData(SetDataRequest { path: path.into(), data: Some(data), version: -1 })
}

fn auth(credentials: &[u8]) -> Call {
    let scheme = "digest".into();
    call(&Request::Auth(AuthRequest { auth_type: 0, scheme, auth: Some(credentials) }))
}

/// A list whose last entry is the one that helps.
fn long_list(size: Size) -> Vec<Acl> {
    let address = |at: usize| format!("10.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255);
    let entry = |at| Acl { perms: Perms::ALL, id: Id::new("ip", address(at)) };
    (1..size.acl_entries).map(entry).chain(Acl::open()).collect()
}

fn paths(top: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{top}/{at:x}")).collect()
}

fn create_ops(paths: &[String]) -> Vec<MultiOp<'_>> {
    let create = |path: &'_ String| CreateRequest {
        path: path.clone().into(),
        data: None,
        acl: Some(Acl::open()),
        flags: 0,
    };
    paths.iter().map(|path| MultiOp::Create(create(path))).collect()
}

fn creates(paths: &[String]) -> Call {
    call(&Request::Multi(MultiRequest { ops: create_ops(paths) }))
}

fn deletes(paths: &[String]) -> Call {
    let delete = |path: &'_ String| DeleteRequest { path: path.clone().into(), version: -1 };
    let ops = paths.iter().map(|path| MultiOp::Delete(delete(path))).collect();
    call(&Request::Multi(MultiRequest { ops }))
}

fn below_quota(work: &mut Work, number: usize, top: &str, size: Size) {
    let quota = format!("/zookeeper/quota/costly-{number}");
    let (limits, stats) = (format!("{quota}/zookeeper_limits"), format!("{quota}/zookeeper_stats"));
    for (path, data) in [(&quota, ""), (&limits, "count=-1,bytes=-1"), (&stats, "")] {
        work.before.push(call(&create(path, data.as_bytes(), Acl::open())));
    }
    let text = format!("count=1,bytes=1=;{}=1", "k".repeat(size.request_len - 200));
    work.before.push(call(&set(&stats, text.as_bytes())));
    let write = SetDataRequest { path: top.into(), data: Some(b"12"), version: -1 };
    let ops = vec![MultiOp::SetData(write); size.request_len / (23 + top.len())];
    work.round = vec![call(&Request::Multi(MultiRequest { ops }))];
    work.after.extend([&stats, &limits, &quota].map(|path| call(&delete(path))));
}

fn reads(path: &str, count: usize) -> Call {
    let read = GetDataRequest { path: path.into(), watch: false };
    let ops = vec![MultiReadOp::GetData(read); count];
    call(&Request::MultiRead(MultiReadRequest { ops }))
}

/// Paths that are not there: with `missed` they have gone, else they are waited for.
fn set_watches(top: &str, size: Size, missed: bool) -> Call {
    let paths: Vec<_> =
        paths(top, size.request_len / (12 + top.len())).into_iter().map(Into::into).collect();
    let (data_watches, exist_watches) = if missed { (paths, vec![]) } else { (vec![], paths) };
    let relative_zxid = Zxid(0);
    let child_watches = Vec::new();
    let request = SetWatchesRequest { relative_zxid, data_watches, exist_watches, child_watches };
    call(&Request::SetWatches(request))
}

/// The longest text that is judged, by who may not change anything.
fn reconfig() -> Call {
    let line = |id: usize| format!("server.{id}=10.0.{}.{}:2888:3888;2181", id / 250, id % 250);
    let joining: Vec<String> = (4..350).map(|at| line(4 + at % 250)).collect();
    let request = ReconfigRequest {
        joining_servers: Some(joining.join(",").into()),
        leaving_servers: None,
        new_members: None,
        current_config_id: Zxid(-1),
    };
    Call { frame: encode(&Request::Reconfig(request)), code: ErrorCode::NoAuth.into() }
}

/// Fills a directory; its znodes end with the session where the flag says so.
fn directory(work: &mut Work, top: &str, size: Size, flags: i32) {
    let paths = paths(top, size.nodes);
    for some in paths.chunks(10_000) {
        let mut ops = create_ops(some);
        for op in &mut ops {
            if let MultiOp::Create(create) = op {
                create.flags = flags;
            }
        }
        work.before.push(call(&Request::Multi(MultiRequest { ops })));
        work.after.push(deletes(some));
    }
}
