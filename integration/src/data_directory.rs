//! A data directory with everything that one can hold, and what its server shows of it.
//!
//! The example `data_directory` fills one with an earlier build, for `fixtures/data-COMMIT.tar.gz`. The test
//! `it data_directory` starts today's build on a copy, which must show the same.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use jute_proto::{
    Acl, CreateRequest, CreateTtlRequest, GetAclRequest, GetAclResponse, GetDataRequest,
    GetDataResponse, Id, MultiOp, OpCode, Perms, Reader, SessionId, WriteNumber,
};

use crate::eventually::within;
use crate::four_letter;
use crate::raw::{Numbered, RawClient, SessionKey, create_request};
use crate::{Kind, ServerOptions};

/// Sessions are to outlive the time between the last write and the test's first look.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(600);

/// Far longer than the bytes will be of interest.
const TTL_MS: i64 = 1_000_000_000_000;

/// The number of the write that has one.
const NUMBER: u64 = 1 << 40;

/// How long a checkpoint may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server of such a directory is started with.
#[must_use]
pub fn options() -> ServerOptions {
    ServerOptions::new(Kind::Grovekeeper)
        .set("extendedTypesEnabled", "true")
        .set("maxSessionTimeout", "600000")
        .set("snapCount", "20")
        .set("4lw.commands.whitelist", "*")
}

/// Writes nodes of every kind, waits until they are in a checkpoint, and writes more, so that the log goes on behind
/// it. Returns the sessions that stay: one that owns an ephemeral node, and one whose write has a number.
///
/// # Panics
///
/// When the server does not do as it is told.
#[must_use]
pub fn fill(addr: SocketAddr) -> [SessionKey; 2] {
    let mut client = RawClient::connect_for(addr, SESSION_TIMEOUT).expect("a session");
    let mut leaving = RawClient::connect_for(addr, SESSION_TIMEOUT).expect("a session");
    let (mut once, _) =
        RawClient::connect_numbered(addr, None, SESSION_TIMEOUT).expect("a session");
    create_all(&mut client);
    leaving.create("/gone", b"", 1).expect("created");
    leaving.close().expect("closed");
    let number = WriteNumber { number: NUMBER, answered: 7 };
    let write = Numbered(number, &create_request("/once", b"first", 0));
    once.call(OpCode::Create2, &write).expect("answered").ok().expect("created");
    let applied = raft_index(addr, "applied");
    let mut count = 0;
    within(PATIENCE, "there is a checkpoint of all that", || {
        client.set("/filler", format!("{count}").as_bytes(), -1).expect("written");
        count += 1;
        (raft_index(addr, "checkpoint") >= applied).then_some(())
    });
    client.set("/data", b"behind the checkpoint", -1).expect("written");
    client.delete("/to-delete").expect("deleted");
    client.create("/sequence/n-", b"c", 2).expect("created");
    let ops = vec![
        MultiOp::Create(create_request("/multi", b"one", 0)),
        MultiOp::Create(create_request("/multi/child", b"two", 0)),
    ];
    client.multi(ops).expect("done");
    [client.session().clone(), once.session().clone()]
}

fn create_all(client: &mut RawClient) {
    for (path, data, flags) in [
        ("/data", "first", 0),
        ("/filler", "", 0),
        ("/to-delete", "", 0),
        ("/ephemeral", "of a session", 1),
        ("/sequence", "", 0),
        ("/sequence/n-", "a", 2),
        ("/sequence/n-", "b", 3),
        ("/container", "", 4),
        ("/container/child", "x", 0),
        ("/limited", "", 0),
        ("/zookeeper/quota/limited", "", 0),
        ("/zookeeper/quota/limited/zookeeper_limits", "count=10,bytes=1000", 0),
        ("/zookeeper/quota/limited/zookeeper_stats", "count=0,bytes=0", 0),
        ("/limited/child", "0123456789", 0),
    ] {
        client.create(path, data.as_bytes(), flags).expect(path);
    }
    let create = |path: &'static str, acl| CreateRequest {
        path: path.into(),
        data: None,
        acl: Some(acl),
        flags: 0,
    };
    let private = vec![
        Acl { perms: Perms::READ, id: Id::new("world", "anyone") },
        Acl { perms: Perms::ALL, id: Id::new("digest", "user:hash=") },
        Acl { perms: Perms::ALL, id: Id::new("ip", "10.0.0.0/8") },
    ];
    for (path, acl) in [("/null", Acl::open()), ("/private", private)] {
        let created = client.call(OpCode::Create2, &create(path, acl)).expect("answered");
        created.ok().expect(path);
    }
    let ttl = CreateTtlRequest {
        path: "/ttl".into(),
        data: Some(b"x"),
        acl: Some(Acl::open()),
        flags: 5,
        ttl_ms: TTL_MS,
    };
    client.call(OpCode::CreateTtl, &ttl).expect("answered").ok().expect("created");
}

fn raft_index(addr: SocketAddr, which: &str) -> u64 {
    let answer = four_letter::ask(addr, "mntr").expect("answered");
    let name = format!("zk_raft_{which}_index\t");
    let value = answer.lines().find_map(|line| line.strip_prefix(&name)).expect("it is shown");
    value.trim().parse().expect("a number")
}

/// All nodes with data, access control list and Stat, one a line, and the sessions.
///
/// # Panics
///
/// When the server does not answer.
#[must_use]
pub fn show(addr: SocketAddr, sessions: &[SessionKey]) -> String {
    let mut client = RawClient::connect_for(addr, Duration::from_secs(10)).expect("a session");
    let mut text = String::new();
    for session in sessions {
        let (SessionId(id), password) = (session.id, hex(&session.password));
        let _ = writeln!(text, "session {id:#x} {password}");
    }
    let mut paths = vec!["/".to_owned()];
    while let Some(path) = paths.pop() {
        let mut names = client.children(&path, false).expect("listed");
        names.sort_unstable_by(|one, other| other.cmp(one));
        let parent = path.trim_end_matches('/');
        paths.extend(names.iter().map(|name| format!("{parent}/{name}")));
        text += &show_node(&mut client, &path);
    }
    client.close().expect("closed");
    text
}

fn show_node(client: &mut RawClient, path: &str) -> String {
    let get = GetDataRequest { path: path.into(), watch: false };
    let reply = client.call(OpCode::GetData, &get).expect("answered");
    let found: GetDataResponse<'_> = Reader::new(&reply.body).record().expect("it decodes");
    let data = found.data.map_or("null".to_owned(), |data| format!("\"{}\"", data.escape_ascii()));
    let reply =
        client.call(OpCode::GetAcl, &GetAclRequest { path: path.into() }).expect("answered");
    let list: GetAclResponse = Reader::new(&reply.body).record().expect("it decodes");
    let entry = |acl: &Acl| format!("{}:{}:{}", acl.id.scheme, acl.id.id, acl.perms.0);
    let acl: Vec<String> = list.acl.iter().map(entry).collect();
    let stat = found.stat;
    format!(
        "{path} {data} acl={} czxid={:#x} mzxid={:#x} pzxid={:#x} ctime={} mtime={} version={} cversion={} aversion={} \
         owner={:#x} children={}\n",
        acl.join(","),
        stat.czxid.0,
        stat.mzxid.0,
        stat.pzxid.0,
        stat.ctime,
        stat.mtime,
        stat.version,
        stat.cversion,
        stat.aversion,
        stat.ephemeral_owner.0,
        stat.num_children,
    )
}

/// The sessions in what [`show`] says.
///
/// # Panics
///
/// When it is something else.
#[must_use]
pub fn sessions(text: &str) -> Vec<SessionKey> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("session 0x"));
    let session = |line: &str| {
        let (id, password) = line.split_once(' ').expect("id and password");
        let id = i64::from_str_radix(id, 16).expect("a number");
        SessionKey { id: SessionId(id), password: from_hex(password) }
    };
    lines.map(session).collect()
}

/// Sends the numbered write again on a new connection of its session, as a client does that never had the answer.
/// Returns the highest number that was applied before, and the error code of the answer.
///
/// # Panics
///
/// When the session cannot be resumed.
#[must_use]
pub fn write_again(addr: SocketAddr, session: &SessionKey) -> (u64, i32) {
    let (mut once, last) =
        RawClient::connect_numbered(addr, Some(session), SESSION_TIMEOUT).expect("resumed");
    let number = WriteNumber { number: NUMBER, answered: 7 };
    let write = Numbered(number, &create_request("/once", b"first", 0));
    (last, once.call(OpCode::Create2, &write).expect("answered").header.err)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("text"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}
