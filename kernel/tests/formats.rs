//! What earlier builds wrote into logs and checkpoints is read, and written the same: docs/reference/formats.md.
//!
//! `golden/COMMIT.txt` holds bytes that this commit wrote. A new build never writes into these files; a new format
//! gets lines of its own, in a file of the commit that first wrote it.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    Acl, CreateRequest, CreateTtlRequest, Encode, Id, OpCode, Perms, ReconfigRequest, Request,
    SessionId, SetDataRequest,
};
use kernel::ensemble::ServerId;
use kernel::replica::entry::{
    begin_batch, decode_identities, encode_identities, next_command, open_entry, push_command,
    seal_batch,
};
use kernel::replica::section::{self, RESERVED_LEN, Section, Sender, next_section};
use kernel::replica::{Command, EntryHeader, Event, EventSink, Op, Origin, Replica, Stamp};
use kernel::session::ConnId;
use kernel::time::{ElapsedTime, WallTime};
use kernel::tree::Policy;
use testkit::checkpoint::{Rows, restore, store};
use testkit::golden::{bytes as golden, from_hex, hex};

/// Entries of format 1 alone.
const BUILD_8AECE55: &str = include_str!("golden/8aece55.txt");

/// Entries of both formats; version 2 is in force.
const BUILD_5DE72FB: &str = include_str!("golden/5de72fb.txt");

/// How many variants of `Op` build 8aece55 had; 5de72fb has all others.
const NUMBERS_8AECE55: usize = 10;

const CONN: ConnId = ConnId { server: ServerId(3), boot: 0x1122_3344_5566_7788, number: 9 };

const SESSION: SessionId = SessionId(0x0300_0000_0000_0005);

/// One of each operation, in the order of their numbers.
fn ops() -> Vec<Op<'static>> {
    vec![
        Op::Request { op_code: 5, body: b"\0\0\0\x02/a" },
        Op::CreateSession { timeout_ms: 40_000 },
        Op::AttachSession { timeout_ms: 5_000 },
        Op::CloseSession,
        Op::ExpireSession { owner: CONN },
        Op::DeleteContainer { path: "/c" },
        Op::NameEnsemble { name: 0x6f1c << 100 },
        Op::SetMembers { text: "server.1=h:1:2:participant;0.0.0.0:3\nversion=0" },
        Op::FinishReconfig { zxid: 0x1_0000_0007, done: true },
        Op::Numbered { number: 1 << 33, answered: 7, op_code: 2, body: b"\0\0\0\x02/a" },
        Op::RaiseVersion { version: 2 },
        Op::RegisterServer { server: ServerId(300), process: u64::MAX },
        Op::ExpireSessionIn { owner: CONN, term: 3 },
        Op::DeleteContainerIn { path: "/c", czxid: 0x1_0000_0002, mzxid: 0x1_0000_0003, term: 3 },
        Op::FinishReconfigIn { zxid: 0x1_0000_0007, done: false, term: 3 },
    ]
}

/// The number of an operation in the log, and its name in the golden files. Both stay; a new one has the next number.
fn number(op: &Op<'_>) -> (u8, &'static str) {
    match op {
        Op::Request { .. } => (0, "Request"),
        Op::CreateSession { .. } => (1, "CreateSession"),
        Op::AttachSession { .. } => (2, "AttachSession"),
        Op::CloseSession => (3, "CloseSession"),
        Op::ExpireSession { .. } => (4, "ExpireSession"),
        Op::DeleteContainer { .. } => (5, "DeleteContainer"),
        Op::NameEnsemble { .. } => (6, "NameEnsemble"),
        Op::SetMembers { .. } => (7, "SetMembers"),
        Op::FinishReconfig { .. } => (8, "FinishReconfig"),
        Op::Numbered { .. } => (9, "Numbered"),
        Op::RaiseVersion { .. } => (10, "RaiseVersion"),
        Op::RegisterServer { .. } => (11, "RegisterServer"),
        Op::ExpireSessionIn { .. } => (12, "ExpireSessionIn"),
        Op::DeleteContainerIn { .. } => (13, "DeleteContainerIn"),
        Op::FinishReconfigIn { .. } => (14, "FinishReconfigIn"),
    }
}

fn identities() -> Vec<Id> {
    vec![Id::new("ip", "10.0.0.7"), Id::new("digest", "super:abc=")]
}

fn command<'a>(op: Op<'a>, identities: &'a [u8]) -> Command<'a> {
    Command { origin: Origin { session: SESSION, conn: CONN, seq: 300 }, identities, op }
}

#[test]
fn operations_keep_their_numbers() {
    // The log knows an operation by its place among the others: swapped, inserted or removed, it would be another.
    for (place, op) in ops().iter().enumerate() {
        let (number, name) = number(op);
        assert_eq!(usize::from(number), place, "{name}");
        assert_eq!(postcard::to_stdvec(op).expect("it encodes")[0], number, "{name}");
    }
}

#[test]
fn commands_of_earlier_builds_are_read() {
    // Each operation is what it was when an earlier build wrote it, and is written the same.
    let identities = encode_identities(&identities());
    for (file, count) in [(BUILD_8AECE55, NUMBERS_8AECE55), (BUILD_5DE72FB, usize::MAX)] {
        assert_eq!(hex(&golden(file, "identities")), hex(&identities));
        assert_eq!(decode_identities(&golden(file, "identities")), Ok(self::identities()));
        for op in ops().into_iter().take(count) {
            let (_, name) = number(&op);
            let bytes = golden(file, &format!("command.{name}"));
            let expected = command(op, &identities);
            assert_eq!(next_command(&mut &*bytes, 0), Ok(expected.clone()));
            let mut written = BytesMut::new();
            push_command(&mut written, &expected);
            assert_eq!(hex(&written), hex(&bytes), "{name}");
        }
    }
}

/// The commands of one session, in the order of their numbers.
struct Writer {
    commands: BytesMut,
    count: u32,
    seq: u64,
}

impl Writer {
    fn new(seq: u64) -> Self {
        Self { commands: BytesMut::new(), count: 0, seq }
    }

    fn push(&mut self, op: Op<'_>) {
        let is_claim = matches!(op, Op::Request { .. } | Op::Numbered { .. });
        let seq = if is_claim { self.seq } else { 0 };
        self.seq += u64::from(is_claim);
        let identities = encode_identities(&identities());
        let origin = Origin { session: SESSION, conn: CONN, seq };
        push_command(&mut self.commands, &Command { origin, identities: &identities, op });
        self.count += 1;
    }

    fn request(&mut self, request: &Request<'_>) {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        self.push(Op::Request { op_code: request.op_code().into(), body: &body });
    }

    fn create(&mut self, path: &str, data: Option<&[u8]>, flags: i32) {
        self.request(&Request::Create2(create(path, data, flags)));
    }
}

fn create<'a>(path: &'a str, data: Option<&'a [u8]>, flags: i32) -> CreateRequest<'a> {
    CreateRequest { path: path.into(), data, acl: Some(Acl::open()), flags }
}

fn create_ttl(path: &str) -> Request<'_> {
    let (data, acl) = (Some(&b"x"[..]), Some(Acl::open()));
    Request::CreateTtl(CreateTtlRequest { path: path.into(), data, acl, flags: 5, ttl_ms: 60_000 })
}

const MEMBERS: &str =
    "server.1=h:1:2:participant;0.0.0.0:3\nserver.3=i:1:2:participant;0.0.0.0:3\nversion=0";

/// An entry of format 1: a session, nodes of every kind, a numbered write, and a change of members that is pending.
fn first_entry(raises: bool) -> Bytes {
    let mut writer = Writer::new(1);
    writer.push(Op::NameEnsemble { name: 0x6f1c << 100 });
    writer.push(Op::SetMembers { text: MEMBERS });
    writer.push(Op::CreateSession { timeout_ms: 40_000 });
    writer.create("/a", Some(b"one"), 0);
    writer.create("/a/ephemeral", Some(b""), 1);
    writer.create("/a/sequential-", None, 2);
    writer.create("/container", Some(b"x"), 4);
    writer.request(&create_ttl("/ttl"));
    let mut private = create("/private", Some(b"secret"), 0);
    private.acl = Some(vec![
        Acl { perms: Perms::READ, id: Id::new("world", "anyone") },
        Acl { perms: Perms::ALL, id: Id::new("digest", "user:hash=") },
    ]);
    writer.request(&Request::Create(private));
    writer.create("/zookeeper/quota/a", Some(b""), 0);
    writer.create("/zookeeper/quota/a/zookeeper_limits", Some(b"count=5,bytes=100"), 0);
    let set = SetDataRequest { path: "/a".into(), data: Some(b"two"), version: 0 };
    writer.request(&Request::SetData(set));
    let mut body = BytesMut::new();
    Request::Create(create("/once", Some(b"x"), 0)).encode(&mut body);
    let op_code = OpCode::Create.into();
    writer.push(Op::Numbered { number: 1 << 33, answered: 7, op_code, body: &body });
    writer.request(&Request::Reconfig(ReconfigRequest {
        joining_servers: Some("server.30=j:1:2:observer;0.0.0.0:3".into()),
        leaving_servers: None,
        new_members: None,
        current_config_id: jute_proto::Zxid(-1),
    }));
    if raises {
        writer.push(Op::RaiseVersion { version: 2 });
    }
    let mut buffer = BytesMut::new();
    begin_batch(&mut buffer);
    buffer.extend_from_slice(&writer.commands);
    seal_batch(
        buffer,
        &EntryHeader { wall_time: WallTime(TIME_MS), policy: policy(), count: writer.count },
    )
}

const TIME_MS: i64 = 1_764_000_000_123;

fn policy() -> Policy {
    Policy { extended_types: true, reconfig: true, skip_acl: true, ..Policy::default() }
}

/// The number of the last command in the first entry that its session counts.
const LAST_SEQ: u64 = 11;

/// An entry of format 2: a process registers, and its first section has a node with a time to live.
fn second_entry() -> Bytes {
    let mut own = Writer::new(LAST_SEQ + 1);
    own.request(&create_ttl("/ages"));
    own.create("/own", Some(b"y"), 0);
    let mut nobody = BytesMut::new();
    let register = Op::RegisterServer { server: ServerId(3), process: 0x99 };
    push_command(&mut nobody, &Command::of_server(register));
    let header = section::Header {
        wall_time: WallTime(TIME_MS + 7),
        elapsed: ElapsedTime(5_000),
        policy: policy(),
    };
    let sender = Sender { server: ServerId(3), incarnation: 2, number: 1 };
    let sections = [
        Section { sender: Sender::default(), count: 1, commands: &nobody },
        Section { sender, count: own.count, commands: &own.commands },
    ];
    section::seal(BytesMut::zeroed(RESERVED_LEN), &header, None, sections.into_iter())
}

struct Nobody;

impl EventSink for Nobody {
    fn event(&mut self, _: Event<'_>) {}
}

/// Applies entries from index 1 on, in term 1.
fn applied<'a>(entries: impl IntoIterator<Item = &'a Vec<u8>>) -> Replica {
    let mut replica = Replica::default();
    for (index, entry) in (1..).zip(entries) {
        let stamp = Stamp { term: 1, index, ..Stamp::default() };
        if entry[0] == section::FORMAT {
            let (header, mut rest) = section::open(entry).expect("it decodes");
            let section::Header { wall_time, elapsed, policy } = header;
            let stamp = Stamp { wall_time, elapsed, policy, ..stamp };
            replica.begin_entry(&stamp);
            while let Some(section) = next_section(&mut rest).expect("it decodes") {
                replica.claim_section(section.sender);
                apply(&mut replica, &stamp, section.count, section.commands);
            }
        } else {
            let (header, commands) = open_entry(entry).expect("it decodes");
            let EntryHeader { wall_time, policy, count } = header;
            let stamp = Stamp { wall_time, policy, ..stamp };
            replica.begin_entry(&stamp);
            apply(&mut replica, &stamp, count, commands);
        }
    }
    replica
}

fn apply(replica: &mut Replica, stamp: &Stamp, count: u32, mut commands: &[u8]) {
    for number in 0..count {
        let command = next_command(&mut commands, number).expect("it decodes");
        replica.apply(stamp, &command, &mut Nobody).expect("it decodes");
    }
    assert!(commands.is_empty());
}

/// The entries in a golden file.
fn entries(file: &str) -> Vec<Vec<u8>> {
    let mut entries = vec![golden(file, "entry.1")];
    if file == BUILD_5DE72FB {
        entries.push(golden(file, "entry.2"));
    }
    entries
}

/// The rows in a golden file: table, key and value.
fn rows(file: &str) -> Rows {
    let lines = file.lines().filter_map(|line| line.strip_prefix("row "));
    let row = |line: &str| {
        let mut words = line.split(' ');
        let mut next = || words.next().expect("table, key and value");
        let table = next().parse().expect("a table's number");
        ((table, from_hex(next())), from_hex(next()))
    };
    lines.map(row).collect()
}

#[test]
fn entries_of_earlier_builds_are_read() {
    // The header and all commands of an entry are what they were; the entry is written the same today.
    let written = [(BUILD_8AECE55, first_entry(false)), (BUILD_5DE72FB, first_entry(true))];
    for (file, written) in written {
        let bytes = golden(file, "entry.1");
        let (header, _) = open_entry(&bytes).expect("it decodes");
        assert_eq!((header.wall_time, header.policy), (WallTime(TIME_MS), policy()));
        assert_eq!(hex(&written), hex(&bytes));
    }
    let bytes = golden(BUILD_5DE72FB, "entry.2");
    let (header, _) = section::open(&bytes).expect("it decodes");
    assert_eq!((header.elapsed, header.policy), (ElapsedTime(5_000), policy()));
    assert_eq!(hex(&second_entry()), hex(&bytes));
}

#[test]
fn rows_of_earlier_builds_are_read() {
    // A checkpoint that an earlier build wrote has all that its log made, and the log makes the same rows today.
    for file in [BUILD_8AECE55, BUILD_5DE72FB] {
        let mut replica = applied(&entries(file));
        let mut written = Rows::new();
        store(&mut replica, &mut written, 3);
        let shown = |rows: &Rows| -> BTreeMap<String, String> {
            let key = |(table, key): &(u8, Vec<u8>)| format!("{table} {}", key.escape_ascii());
            rows.iter().map(|(at, value)| (key(at), hex(value))).collect()
        };
        assert_eq!(shown(&written), shown(&rows(file)));
        let restored = restore(&rows(file)).expect("they are read");
        assert_eq!(restored.digest(), replica.digest());
        assert_holds_what_was_written(&restored);
    }
}

fn assert_holds_what_was_written(replica: &Replica) {
    let node = |path| replica.tree().get(path).unwrap_or_else(|| panic!("{path} is there"));
    assert_eq!((node("/a").data(), node("/a").stat().version), (Some(&b"two"[..]), 1));
    assert_eq!(node("/a/ephemeral").stat().ephemeral_owner, SESSION);
    assert_eq!(node("/a/sequential-0000000001").data(), None);
    assert_eq!(
        (node("/container").data(), node("/ttl").data()),
        (Some(&b"x"[..]), Some(&b"x"[..]))
    );
    assert_eq!(node("/private").acl().entries()[1].id, Id::new("digest", "user:hash="));
    let limits = node("/zookeeper/quota/a/zookeeper_limits");
    assert_eq!(limits.data(), Some(&b"count=5,bytes=100"[..]));
    assert_eq!(replica.ensemble(), Some(0x6f1c << 100));
    let members = replica.members();
    assert_eq!(members.current.as_ref().map(|current| current.servers.len()), Some(2));
    assert_eq!(members.pending.as_ref().map(|pending| pending.servers.len()), Some(3));
    let session = replica.sessions().get(SESSION).expect("the session is there");
    assert_eq!((session.timeout_ms, session.owner), (40_000, CONN));
    let replies = session.replies.as_ref().expect("a write was numbered");
    assert_eq!((replies.last(), replies.len()), (1 << 33, 1));
}
