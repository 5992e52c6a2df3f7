//! One operation through everything between the sockets: frames, connection, log entry, replica,
//! tree, reply. `bench/instructions` runs it under callgrind and counts.
//!
//! Clock, disk, sockets, tasks and locks are left out: what is left does the same on every run. A
//! burst is what a client with ten requests in flight sends at once; its writes are one log entry.

use std::hint::black_box;

use bytes::BytesMut;
use jute_proto::{
    Acl, ConnectRequest, CreateRequest, Encode, GetChildrenRequest, GetDataRequest, LeaderHint,
    OpCode, RequestHeader, SessionId, SetDataRequest, Xid, Zxid, begin_frame, end_frame,
    next_frame,
};
use kernel::conn::{Conn, ConnStats, Propose, Refusal, Settings, Surroundings, View};
use kernel::ensemble::ServerId;
use kernel::replica::entry::{next_command, push_command};
use kernel::replica::section::{self, RESERVED_LEN, next_section};
use kernel::replica::{
    Command, Event, EventSink, Op, Origin, Replica, SectionClaim, Sender, Stamp, VERSION_2,
};
use kernel::session::ConnId;
use kernel::time::{ElapsedTime, WallTime};

/// Nodes before the measurement.
const NODES: usize = 10_000;
/// Requests of a burst.
const BURST: usize = 10;
/// Bursts that are measured.
const BURSTS: usize = 1000;
const DATA: [u8; 100] = [b'x'; 100];
const FRAME_LEN_MAX: usize = 1 << 20;

fn main() {
    // Without an operation, as `cargo test` calls it, each runs once to show that it works.
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let bursts = if named.is_empty() { 1 } else { BURSTS };
    for op in ["create", "set", "get", "list"] {
        if named.is_empty() || named.iter().any(|name| name == op) {
            run(op, bursts);
        }
    }
}

fn run(op: &str, bursts: usize) {
    let mut server = Server::new();
    server.handle(handshake());
    for first in (0..NODES).step_by(BURST) {
        server.handle(burst(first, |number| request("create", number)));
    }
    // Created nodes are new ones; the others are visited in no order.
    let number = |at: usize| if op == "create" { NODES + at } else { at * 7919 % NODES };
    let input: Vec<_> = (0..bursts)
        .map(|at| burst(at * BURST, |number_of| request(op, number(number_of))))
        .collect();
    server.replies = 0;
    measured(&mut server, input);
    assert_eq!(server.replies, bursts, "each burst has its answer at once");
}

/// What callgrind counts.
#[inline(never)]
fn measured(server: &mut Server, input: Vec<BytesMut>) {
    for burst in input {
        server.handle(burst);
    }
}

/// One server with one connection.
struct Server {
    settings: Settings,
    stats: ConnStats,
    replica: Replica,
    conn: Conn,
    log: Log,
    /// Times that there was output.
    replies: usize,
}

impl Server {
    fn new() -> Self {
        let id = ConnId { server: ServerId(1), boot: 1, number: 1 };
        let peer = ([127, 0, 0, 1], 40_000).into();
        let mut replica = Replica::default();
        let origin = Origin { session: SessionId(0), conn: ConnId::NONE, seq: 0 };
        let stamp = Stamp { term: 1, index: 1, ..Stamp::default() };
        for op in [
            Op::RaiseVersion { version: VERSION_2 },
            Op::RegisterServer { server: ServerId(1), process: 1 },
        ] {
            let command = Command { origin, identities: &[], op };
            replica.apply(&stamp, &command, &mut Nobody).expect("a command");
        }
        Self {
            settings: Settings::default(),
            stats: ConnStats::default(),
            replica,
            conn: Conn::new(id, peer, 0),
            log: Log::default(),
            replies: 0,
        }
    }

    /// What the task of a connection and the appliers of the log do with one burst.
    fn handle(&mut self, mut input: BytesMut) {
        let Self { settings, stats, replica, conn, log, replies } = self;
        let around = Surroundings { settings, stats, now_us: 0, read_only: false };
        while let Some(frame) = next_frame(&mut input, FRAME_LEN_MAX).expect("a good frame") {
            conn.receive(View { replica, around, at_length: false }, log, frame);
        }
        if let Some(entry) = log.seal(settings) {
            let (header, mut sections) = section::open(&entry).expect("its own encoding");
            let section::Header { wall_time, elapsed, policy } = header;
            let stamp = Stamp { term: 1, index: log.number, wall_time, elapsed, policy };
            replica.begin_entry(&stamp);
            let section = next_section(&mut sections).expect("its own encoding").expect("one");
            assert_eq!(replica.claim_section(section.sender), SectionClaim::Granted);
            let mut rest = section.commands;
            for number in 0..section.count {
                let command = next_command(&mut rest, number).expect("its own encoding");
                let applied = replica.apply(&stamp, &command, &mut Nobody).expect("decoded before");
                let zxid = replica.last_zxid();
                let view = View { replica, around, at_length: false };
                conn.complete(view, command.origin.seq, zxid, applied.outcome);
            }
        }
        let output = black_box(conn.take_output());
        assert!(conn.close_reason().is_none(), "{:?}", conn.close_reason());
        *replies += usize::from(!output.is_empty());
    }
}

/// Commands on their way into an entry.
#[derive(Default)]
struct Log {
    batch: BytesMut,
    count: u32,
    /// The number of the last section.
    number: u64,
}

impl Log {
    fn seal(&mut self, settings: &Settings) -> Option<bytes::Bytes> {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return None;
        }
        self.number += 1;
        let policy = settings.policy;
        let header =
            section::Header { wall_time: WallTime(1000), elapsed: ElapsedTime(1000), policy };
        let sender = Sender { server: ServerId(1), incarnation: 1, number: self.number };
        let batch = self.batch.split();
        Some(section::seal(batch, &header, Some((sender, count)), std::iter::empty()))
    }
}

impl Propose for Log {
    fn propose(&mut self, command: &Command<'_>) -> Result<(), Refusal> {
        if self.batch.is_empty() {
            self.batch.resize(RESERVED_LEN, 0);
        }
        push_command(&mut self.batch, command);
        self.count += 1;
        Ok(())
    }

    fn read_barrier(&mut self, _conn: ConnId) -> u64 {
        0
    }

    fn leader(&self, _secure: bool) -> LeaderHint<'static> {
        LeaderHint::Here
    }

    fn next_session_id(&mut self) -> SessionId {
        SessionId(1)
    }

    fn may_connect(&mut self, _tokens: u32) -> bool {
        true
    }
}

/// Nobody watches.
struct Nobody;

impl EventSink for Nobody {
    fn event(&mut self, _event: Event<'_>) {}
}

fn handshake() -> BytesMut {
    let mut out = BytesMut::new();
    let mark = begin_frame(&mut out);
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: Zxid(0),
        timeout_ms: 30_000,
        session_id: SessionId(0),
        password: &[0; 16],
        read_only: Some(false),
    }
    .encode(&mut out);
    end_frame(&mut out, mark);
    out
}

/// Frames of consecutive requests, as one read from a socket gives them.
fn burst(first: usize, request: impl Fn(usize) -> (OpCode, BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    for number in first..first + BURST {
        let (op, body) = request(number);
        let mark = begin_frame(&mut out);
        let xid = Xid(i32::try_from(number + 1).expect("a small number"));
        RequestHeader { xid, op: op.into() }.encode(&mut out);
        out.extend_from_slice(&body);
        end_frame(&mut out, mark);
    }
    out
}

/// The operation and its record, for the node with this number.
fn request(op: &str, number: usize) -> (OpCode, BytesMut) {
    // The bursts before it have made all parents: the first node of each hundred is one.
    let path = match number % 100 {
        0 => format!("/node-{:06}", number / 100),
        _ => format!("/node-{:06}/child-{number:08}", number / 100),
    };
    let (path, data) = (path.into(), Some(&DATA[..]));
    let mut body = BytesMut::new();
    let op = match op {
        "create" => {
            let acl = Some(Acl::open());
            CreateRequest { path, data, acl, flags: 0 }.encode(&mut body);
            OpCode::Create
        }
        "set" => {
            SetDataRequest { path, data, version: -1 }.encode(&mut body);
            OpCode::SetData
        }
        "get" => {
            GetDataRequest { path, watch: false }.encode(&mut body);
            OpCode::GetData
        }
        // 99 children.
        "list" => {
            let path = format!("/node-{:06}", number / 100).into();
            GetChildrenRequest { path, watch: false }.encode(&mut body);
            OpCode::GetChildren
        }
        other => panic!("{other}: unknown operation"),
    };
    (op, body)
}
