//! No request takes longer, or leaves more behind, than its bytes say.
//!
//! Each of these is a request, or a few, that an outsider may send. What was worse than linear in the bytes of
//! a request took minutes here, so a generous deadline tells it apart, also on a busy machine.

use std::sync::mpsc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use jute_proto::{
    Acl, AuthRequest, CheckRequest, ConnectRequest, CreateRequest, DeleteRequest, Encode,
    ErrorCode, GetChildrenRequest, GetDataRequest, Id, MultiOp, MultiReadOp, MultiReadRequest,
    MultiRequest, MultiResponse, OpCode, OpResult, Perms, Reader, ReconfigRequest, ReplyHeader,
    Request, SessionId, SetAclRequest, SetDataRequest, SetWatchesRequest, Xid, Zxid,
};
use kernel::conn::Propose;
use kernel::ensemble::{Configuration, MembershipChange, ServerSpec};
use kernel::limits::{IDENTITIES_LEN_MAX, MULTI_READ_LEN_MIN, REQUEST_LEN_LONG, RESULT_LEN_LONG};
use kernel::replica::entry::encode_identities;
use kernel::replica::{Command, Op, Origin, Outcome};
use kernel::tree::OpError;
use testkit::InMemoryServer;
use testkit::server::{frame, handshake};

/// The largest request of a server with ZooKeeper's defaults.
const REQUEST_LEN: usize = 0xf_ffff;

/// Runs something that has to end.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(Duration::from_secs(40)).unwrap_or_else(|_| panic!("too long: {what}"))
}

/// One server with one client, whose session is open.
struct Server(InMemoryServer);

impl Server {
    fn new() -> Self {
        let mut connected = InMemoryServer::default();
        // Nobody takes the output here.
        connected.settings.output_len_max = usize::MAX;
        connected.connect("a", [127, 0, 0, 1]);
        let hello = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(0),
            timeout_ms: 10_000,
            session_id: SessionId(0),
            password: &[0; 16],
            read_only: Some(false),
        };
        connected.receive("a", handshake(&hello));
        let mut server = Self(connected);
        server.apply();
        server.take();
        server
    }

    /// Sends a request; what it proposes is not applied yet.
    fn send(&mut self, request: &Request<'_>) -> usize {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        let frame = frame(1, request.op_code().into(), &body);
        let len = frame.len();
        self.0.receive("a", frame);
        len
    }

    /// Applies what was proposed, and returns the last outcome.
    fn apply(&mut self) -> Option<Outcome> {
        std::iter::from_fn(|| self.0.apply_next()).last()
    }

    /// Takes what was sent to the client.
    fn take(&mut self) -> Bytes {
        self.0.conns.get_mut("a").expect("connected").take_output().freeze()
    }

    /// The replies to what was sent so far: header and body of each.
    fn replies(&mut self) -> Vec<(ReplyHeader, Bytes)> {
        let (mut output, mut replies) = (self.take(), Vec::new());
        while output.has_remaining() {
            let len = usize::try_from(output.get_i32()).expect("a length");
            let mut body = output.split_to(len);
            let header: ReplyHeader = Reader::new(&body).record().expect("a header");
            body.advance(16);
            replies.push((header, body));
        }
        replies
    }

    /// Sends a request, applies it, and returns the code of its reply.
    fn call(&mut self, request: &Request<'_>) -> i32 {
        self.send(request);
        self.apply();
        self.replies().last().expect("a reply").0.err
    }

    fn auth(&mut self, credentials: &[u8]) -> i32 {
        let scheme = "digest".into();
        self.call(&Request::Auth(AuthRequest { auth_type: 0, scheme, auth: Some(credentials) }))
    }
}

fn entry(perms: i32, scheme: &str, id: &str) -> Acl {
    Acl { perms: Perms(perms), id: Id::new(scheme, id) }
}

fn addresses(count: usize) -> Vec<Acl> {
    let address = |at: usize| format!("10.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255);
    (0..count).map(|at| entry(31, "ip", &address(at))).collect()
}

fn create<'a>(path: &'a str, data: &'a [u8], acl: Vec<Acl>) -> CreateRequest<'a> {
    CreateRequest { path: path.into(), data: Some(data), acl: Some(acl), flags: 0 }
}

fn code(code: ErrorCode) -> i32 {
    code.into()
}

#[test]
fn a_long_list_is_judged_at_once() {
    // A list of the most entries that there may be is set, and the next entry is one too many: INVALIDACL,
    // before the log. (All pairs were compared, under the lock of the replica.)
    in_time("a list of 10,000 entries", || {
        let mut server = Server::new();
        assert_eq!(server.call(&Request::Create(create("/a", b"", addresses(10_000)))), 0);
        server.send(&Request::Create(create("/b", b"", addresses(10_001))));
        assert!(server.0.log.queue.is_empty(), "it went into the log");
        assert_eq!(server.replies()[0].0.err, code(ErrorCode::InvalidAcl));
        let set = SetAclRequest { path: "/a".into(), acl: Some(addresses(40_000)), version: -1 };
        assert_eq!(server.call(&Request::SetAcl(set)), code(ErrorCode::InvalidAcl));
    });
}

#[test]
fn a_long_list_is_asked_at_once() {
    // A multi of the longest request names a node again and again whose list has 10,000 entries, for a
    // connection with a hundred identities that the last entry names: each look is a look-up.
    in_time("30,000 checks of a list of 10,000 entries", || {
        let mut server = Server::new();
        for user in 0..98 {
            assert_eq!(server.auth(format!("user{user}:password").as_bytes()), 0);
        }
        let mut list = addresses(9_999);
        list.push(entry(31, "auth", ""));
        list.truncate(9_900);
        list.push(entry(1, "world", "anyone"));
        assert_eq!(server.call(&Request::Create(create("/a", b"", list))), 0);
        let check = MultiOp::Check(CheckRequest { path: "/a".into(), version: 0 });
        let multi = MultiRequest { ops: vec![check; 30_000] };
        assert!(server.send(&Request::Multi(multi)) < REQUEST_LEN);
        let applied = server.apply();
        assert!(matches!(applied, Some(Outcome::Request(Ok(_)))), "{applied:?}");
    });
}

#[test]
fn identities_are_as_long_together_as_they_may_be() {
    // Each write carries all of them into the log, so that they have a number and a length together: one that
    // is too long is AUTHFAILED, and the connection ends.
    let mut server = Server::new();
    let user = |at: usize| format!("{at:04}{}:p", "u".repeat(1000));
    let mut proved = 0;
    while server.auth(user(proved).as_bytes()) == 0 {
        proved += 1;
        assert!(proved * 1000 <= IDENTITIES_LEN_MAX);
    }
    assert!((proved + 2) * 1000 > IDENTITIES_LEN_MAX, "{proved}");
    let ended = server.0.conns["a"].close_reason().map(ToString::to_string);
    let expected = "authentication failed: the identities of a connection cannot be that long";
    assert_eq!(ended.as_deref(), Some(expected));
}

#[test]
fn what_auth_becomes_is_bounded_before_the_log() {
    // Each `auth` entry becomes all identities. A list that would become too long, and a multi of lists that
    // would together, are INVALIDACL and do not go into the log; what fits is applied.
    let mut server = Server::new();
    for user in 0..98 {
        assert_eq!(server.auth(format!("user{user:04}:password").as_bytes()), 0);
    }
    let auths = |count: i32| (0..count).map(|at| entry(at << 5 | 31, "auth", "")).collect();
    assert_eq!(server.call(&Request::Create(create("/fits", b"", auths(100)))), 0);
    server.send(&Request::Create(create("/a", b"", auths(103))));
    let paths: Vec<String> = (0..900).map(|at| format!("/n{at}")).collect();
    let multi = |count: usize| {
        let ops = paths[..count].iter().map(|path| MultiOp::Create(create(path, b"", auths(1))));
        Request::Multi(MultiRequest { ops: ops.collect() })
    };
    server.send(&multi(900));
    assert!(server.0.log.queue.is_empty(), "one of them went into the log");
    for (header, _) in server.replies() {
        assert_eq!(header.err, code(ErrorCode::InvalidAcl));
    }
    assert_eq!(server.call(&multi(600)), 0);
}

#[test]
fn an_entry_of_an_older_server_cannot_grow_without_end() {
    // A log may hold what an older server took: 30,000 `auth` entries for 98 identities of 1 KB, which became 3 GB
    // when they were applied, again at each start. Now it has an outcome, the same on each server.
    in_time("an entry that would become 3 GB", || {
        let mut server = Server::new();
        let identities: Vec<Id> =
            (0..98).map(|at| Id::new("digest", format!("{at:03}{}:h", "u".repeat(1000)))).collect();
        let list = (0..30_000).map(|at| entry(at << 5 | 31, "auth", "")).collect();
        let mut body = BytesMut::new();
        create("/poison", b"", list).encode(&mut body);
        let origin = Origin {
            session: server.0.conns["a"].session(),
            conn: server.0.conns["a"].id(),
            seq: 1,
        };
        let op = Op::Request { op_code: OpCode::Create.into(), body: &body };
        let command = Command { origin, identities: &encode_identities(&identities), op };
        assert_eq!(server.0.log.propose(&command), Ok(()));
        let before = server.0.replica.tree().digest();
        assert_eq!(server.apply(), Some(Outcome::Request(Err(OpError::InvalidAcl))));
        assert_eq!(server.0.replica.tree().digest(), before);
    });
}

#[test]
fn a_reply_to_many_reads_is_bounded() {
    // 40 KB that ask for 2 GB: the reads whose results do not fit fail for themselves, the others are answered.
    let mut server = Server::new();
    let data = vec![b'z'; 1_000_000];
    assert_eq!(server.call(&Request::Create(create("/big", &data, Acl::open()))), 0);
    assert_eq!(server.call(&Request::Create(create("/small", b"s", Acl::open()))), 0);
    let read = |path: &'static str| {
        MultiReadOp::GetData(GetDataRequest { path: path.into(), watch: false })
    };
    let mut ops = vec![read("/big"); 2200];
    ops.push(read("/small"));
    let list = GetChildrenRequest { path: "/".into(), watch: false };
    ops.push(MultiReadOp::GetChildren(list));
    server.send(&Request::MultiRead(MultiReadRequest { ops }));
    let (header, body) = server.replies().pop().expect("a reply");
    assert_eq!(header.err, 0);
    assert!(body.len() < MULTI_READ_LEN_MIN + 13 * 2203, "{}", body.len());
    let results = Reader::new(&body).record::<MultiResponse<'_>>().expect("results").results;
    let failed = OpResult::error(ErrorCode::MarshallingError);
    assert_eq!(results.iter().filter(|result| **result == failed).count(), 2200 - 4);
    assert!(matches!(results[2200], OpResult::GetData(_)), "{:?}", results[2200]);
    assert!(matches!(results[2201], OpResult::GetChildren(_)));
}

#[test]
fn what_takes_long_waits_for_who_has_time_and_keeps_its_place() {
    // A long result, and the answer to a long request, are made by who has time for them. The write behind
    // them is not proposed before, so that applying it does not have to make them; all answers keep their
    // order.
    in_time("a long result, and a long request", || {
        let mut server = Server::new();
        let data = vec![b'd'; RESULT_LEN_LONG + 1];
        assert_eq!(server.call(&Request::Create(create("/long", &data, Acl::open()))), 0);
        assert_eq!(server.call(&Request::Create(create("/n", b"", Acl::open()))), 0);
        let long = GetDataRequest { path: "/long".into(), watch: false };
        let short = GetDataRequest { path: "/n".into(), watch: false };
        let reads = vec![MultiReadOp::GetData(short.clone()); REQUEST_LEN_LONG / 10];
        let many = Request::MultiRead(MultiReadRequest { ops: reads });
        for first in [Request::GetData(long), many] {
            server.0.at_length = false;
            let set = SetDataRequest { path: "/n".into(), data: Some(b"new"), version: 0 };
            server.send(&first);
            server.send(&Request::SetData(set));
            assert!(server.0.conns["a"].takes_long() && server.replies().is_empty());
            assert!(server.0.log.queue.is_empty(), "the write is held back");
            server.0.resume("a");
            assert_eq!(server.replies().len(), 1, "the first one is answered");
            assert_eq!(server.0.log.queue.len(), 1, "the write goes its way");
            server.send(&Request::GetData(short.clone()));
            server.apply();
            let [(written, _), (read, body)] = &server.replies()[..] else { panic!("two replies") };
            assert_eq!((written.err, read.err), (0, 0));
            assert_eq!(Reader::new(body).buffer(), Ok(Some(&b"new"[..])));
            assert!(!server.0.conns["a"].has_paused());
            server.0.at_length = true;
            assert_eq!(
                server.call(&Request::Delete(DeleteRequest { path: "/n".into(), version: -1 })),
                0
            );
            assert_eq!(server.call(&Request::Create(create("/n", b"", Acl::open()))), 0);
        }
    });
}

#[test]
fn many_watches_are_set_in_pieces() {
    // A request of a hundred thousand paths does not hold the state for all of them at once; a write that
    // comes behind it is proposed when all are set, and answered behind it.
    let mut server = Server::new();
    let paths: Vec<_> = (0..100_000).map(|at| format!("/x{at}").into()).collect();
    server.send(&Request::SetWatches(SetWatchesRequest {
        relative_zxid: Zxid(0),
        data_watches: Vec::new(),
        exist_watches: paths,
        child_watches: Vec::new(),
    }));
    let watched = |server: &Server| server.0.replica.watches().count();
    let first = watched(&server);
    assert!((1..10_000).contains(&first), "{first}");
    server.0.resume("a");
    assert!(watched(&server) > first && server.take().is_empty());
    let conn = &server.0.conns["a"];
    assert!(conn.has_paused() && conn.has_outstanding());
    server.send(&Request::Create(create("/x7", b"", Acl::open())));
    assert!(server.0.log.queue.is_empty(), "the write is held back");
    while server.0.conns["a"].has_paused() {
        server.0.resume("a");
    }
    server.apply();
    assert_eq!(watched(&server), 100_000 - 1);
    let xids: Vec<_> = server.replies().iter().map(|(header, _)| header.xid).collect();
    assert_eq!(xids, [Xid(1), Xid::NOTIFICATION, Xid(1)], "watches, event, write");
}

#[test]
fn a_change_of_members_is_judged_in_linear_time() {
    // A megabyte of joining servers, each of which is compared with all others; nobody needs to be permitted
    // anything for that.
    in_time("40,000 joining servers", || {
        let servers: Vec<ServerSpec> = (0..250)
            .map(|id| ServerSpec::parse(id, &format!("10.0.0.{id}:2888:3888;2181")).unwrap())
            .collect();
        let current = Configuration::first(&servers);
        let joiner = |at: usize| format!("{}=10.1.{}.{}:1:2;3", at % 250, at / 250 % 250, at % 250);
        let joining: Vec<String> = (0..40_000).map(joiner).collect();
        let joining = joining.join(",");
        let change = MembershipChange { joining: Some(&joining), ..MembershipChange::default() };
        assert_eq!(change.apply(&current, false).map(|servers| servers.len()), Ok(250));
    });
}

#[test]
fn what_a_reconfig_names_is_checked_before_the_log() {
    // A host with a line break, and a text of 100 KB, are bad arguments and do not go into the log. Where
    // members cannot be changed at all, that is said instead.
    let mut server = Server::new();
    let change = |server: &mut Server, joining: &str| {
        let request = Request::Reconfig(ReconfigRequest {
            joining_servers: Some(joining.to_owned().into()),
            leaving_servers: None,
            new_members: None,
            current_config_id: Zxid(-1),
        });
        let reply = server.send(&request);
        let logged = !server.0.log.queue.is_empty();
        server.apply();
        (reply > 0 && logged, server.replies().last().map(|(header, _)| header.err))
    };
    let (broken, long) =
        ("server.4=h\nx:1:2;3", format!("server.4=h:1:2;3{}", ",".repeat(100_000)));
    assert_eq!(change(&mut server, broken), (true, Some(code(ErrorCode::ReconfigDisabled))));
    server.0.settings.policy.reconfig = true;
    for text in [broken, &long, "server.4=h\tx:1:2;3", "server.4=h:1:2;c d:3"] {
        assert_eq!(change(&mut server, text), (false, Some(code(ErrorCode::BadArguments))));
    }
}

#[test]
fn the_end_of_a_session_takes_what_its_nodes_say() {
    // Ten thousand ephemeral nodes beside each other go in one transaction, in time that follows their number.
    in_time("the end of a session with 100,000 nodes", || {
        let mut server = Server::new();
        assert_eq!(server.call(&Request::Create(create("/t", b"", Acl::open()))), 0);
        for first in (0..100_000).step_by(10_000) {
            let paths: Vec<String> = (first..first + 10_000).map(|at| format!("/t/{at}")).collect();
            let ops = paths.iter().map(|path| {
                MultiOp::Create(CreateRequest { flags: 1, ..create(path, b"", Acl::open()) })
            });
            assert_eq!(server.call(&Request::Multi(MultiRequest { ops: ops.collect() })), 0);
        }
        assert_eq!(server.0.replica.tree().ephemeral_count(), 100_000);
        assert_eq!(server.call(&Request::CloseSession), 0);
        assert_eq!(server.0.replica.tree().ephemeral_count(), 0);
        assert_eq!(server.0.replica.tree().node_count(), 6);
        let tree = server.0.replica.tree();
        assert_eq!(tree.digest(), tree.recomputed_digest());
    });
}
