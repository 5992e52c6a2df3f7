//! The commands of the scripts about connections, sessions and the replica.
//!
//! `repeat TIMES NAME OP ARGS..` sends a request several times, numbering its last word, and shows the
//! last answer alone. `NAME connect` shakes hands, `NAME OP ARGS..` sends a request with the connection's next xid, and
//! ` ; ` sends several in one burst. What was proposed is applied at the end of each line, unless
//! `hold` was said: then `apply [COUNT]` does it. After each line the packets that went out are
//! shown, connection by connection, and which connections ended and why. `members LINE..` says who
//! belongs to the ensemble, `finish done|not` what became of a `reconfig`. After `NAME connect once`
//! writes are numbered: `NAME once NUMBER ANSWERED OP ARGS..`. `restart [LOST]` kills the server.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    ConnectRequest, Encode, ErrorCode, Extensions, OpCode, Reader, ReplyHeader, Response,
    SessionId, WatcherEvent, WriteNumber, Xid, Zxid, session_password,
};
use kernel::conn::{ConnectWeights, Refusal};
use kernel::replica::{Op, Origin};
use kernel::session::{ConnId, ConnectionThrottle, ThrottleSettings};
use testkit::InMemoryServer;
use testkit::server::{frame, handshake};

use crate::golden::words;
use crate::requests;
use crate::shown;

/// Where commands come from that a server gives by itself.
const SERVER: Origin = Origin { session: SessionId(0), conn: ConnId::NONE, seq: 0 };

/// What a client remembers of its connection.
#[derive(Default)]
struct Client {
    next_xid: i32,
    /// Requests without a reply: xid and operation.
    waiting: Vec<(Xid, i32)>,
    input: BytesMut,
    connected: bool,
    conn: ConnId,
    session: SessionId,
    /// The last zxid of a reply or event.
    seen: Zxid,
}

#[derive(Default)]
pub(crate) struct ConnRunner {
    server: InMemoryServer,
    clients: BTreeMap<String, Client>,
    hold: bool,
}

impl ConnRunner {
    pub(crate) fn run(&mut self, line: &str) -> String {
        let mut out = String::new();
        let all = words(line);
        let args: Vec<&str> = all.iter().map(String::as_str).collect();
        match args.as_slice() {
            ["settings", pairs @ ..] => pairs.iter().for_each(|pair| self.set(pair)),
            ["hold"] => self.hold = true,
            ["apply"] => while self.server.apply_next().is_some() {},
            ["apply", count] => (0..number(count)).for_each(|_| drop(self.server.apply_next())),
            ["clock", ms] => {
                self.server.now_us = number(ms) as u64 * 1000;
                self.server.log.now_ms = number(ms) as u64;
            }
            ["repeat", times, rest @ ..] => {
                for time in 0..number(times) {
                    let last = format!("{}{time}", rest[rest.len() - 1]);
                    self.send(rest[0], &[&rest[1..rest.len() - 1], &[last.as_str()]].concat());
                    out = self.show();
                }
            }
            ["log", state] => self.server.log.refusal = refusal(state),
            ["sessions"] => out = self.sessions(),
            ["tree"] => out = self.tree(),
            ["watches"] => out = format!("{}\n", self.server.replica.watches().count()),
            ["expire", name] => self.expire(name),
            ["members", servers @ ..] => {
                let text = format!("{}\nversion=0", servers.join("\n"));
                self.server.forge(SERVER, Op::SetMembers { text: &text });
            }
            ["finish", how] => {
                let pending = self.server.replica.members().pending.as_ref();
                let zxid = pending.map_or(0, |pending| pending.zxid.0);
                self.server.forge(SERVER, Op::FinishReconfig { zxid, done: *how == "done" });
            }
            ["end", session] => self.expire_session(SessionId(number(session))),
            ["forge", name, seq, op, rest @ ..] => out = self.forge(name, seq, op, rest),
            ["drop", name] => {
                self.server.disconnect(name);
                self.clients.remove(*name);
            }
            ["restart", lost @ ..] => {
                self.server.restart(lost.first().map_or(0, |lost| number(lost) as usize));
            }
            [name, "connect", options @ ..] => self.connect(name, options),
            [name, "socket"] => {
                self.server.connect(name, [127, 0, 0, 1]);
                self.clients.insert((*name).to_owned(), Client::default());
            }
            [name, "resume"] => self.server.resume(name),
            [name, "waits-to-send"] => {
                let wants = self.server.conns[*name].wants_input(&self.server.settings);
                out = format!("{}\n", !wants);
            }
            [name, requests @ ..] => {
                for request in requests.split(|word| *word == ";") {
                    self.send(name, request);
                }
            }
            [] => panic!("a command"),
        }
        if !self.hold && args[0] != "forge" {
            while self.server.apply_next().is_some() {}
        }
        out.push_str(&self.show());
        out
    }

    fn set(&mut self, pair: &str) {
        let (key, value) = pair.split_once('=').expect("key=value");
        let settings = &mut self.server.settings;
        match key {
            "min" => settings.session_timeout_ms_min = number(value) as u32,
            "max" => settings.session_timeout_ms_max = number(value) as u32,
            "enforce" => settings.enforced_schemes = Some(vec![value.to_owned()]),
            "super" => settings.auth.super_digest = Some(value.to_owned()),
            "reconfig" => self.server.stamp.policy.reconfig = value == "yes",
            "eager-acl" => settings.eager_acl_check = value == "yes",
            "output-max" => settings.output_len_max = number(value) as usize,
            "output-high" => settings.output_len_high = number(value) as usize,
            "waiting-max" => settings.waiting_requests_max = number(value) as usize,
            "waiting-bytes-max" => settings.waiting_len_max = number(value) as usize,
            "throttle" => {
                let throttle = ThrottleSettings {
                    tokens: number(value) as u32,
                    fill_time_ms: 100,
                    ..ThrottleSettings::default()
                };
                self.server.log.throttle = Some(ConnectionThrottle::new(throttle, 0));
            }
            "weights" => settings.connect_weights = Some(ConnectWeights { renew: 2, global: 3 }),
            _ => panic!("no setting {key}"),
        }
    }

    fn connect(&mut self, name: &str, options: &[&str]) {
        let option = |key: &str| {
            options.iter().find_map(|option| option.strip_prefix(key)?.strip_prefix('='))
        };
        let session = match option("session") {
            Some("mine") => self.clients[name].session,
            Some(of) => self.clients.get(of).map_or_else(|| SessionId(number(of)), |c| c.session),
            None => SessionId(0),
        };
        let password = match option("password") {
            Some("wrong") => [7; 16],
            _ => session_password(session),
        };
        let request = ConnectRequest {
            protocol_version: if options.contains(&"pages") {
                Extensions::PAGES.protocol_version()
            } else if options.contains(&"once") {
                Extensions::EXACTLY_ONCE.protocol_version()
            } else {
                0
            },
            last_zxid_seen: Zxid(option("seen").map_or(0, number)),
            timeout_ms: option("timeout").map_or(10_000, |ms| number(ms) as i32),
            session_id: session,
            password: &password,
            read_only: (!options.contains(&"old")).then_some(false),
        };
        let address = option("from").map_or([127, 0, 0, 1], |last| [10, 0, 0, number(last) as u8]);
        self.server.connect(name, address);
        let conn = self.server.conns[name].id();
        self.clients.insert(name.to_owned(), Client { next_xid: 1, conn, ..Client::default() });
        self.server.receive(name, handshake(&request));
    }

    fn send(&mut self, name: &str, request: &[&str]) {
        let client = self.clients.get_mut(name).expect("a connected client");
        let (op, args) = request.split_first().expect("an operation");
        let mut body = BytesMut::new();
        let code = match (*op, args) {
            ("op", [code, rest @ ..]) => {
                rest.iter().for_each(|byte| body.extend_from_slice(&[number(byte) as u8]));
                number(code) as i32
            }
            ("raw", bytes) => {
                let bytes: Vec<u8> = bytes.iter().map(|byte| number(byte) as u8).collect();
                return self.server.receive(name, Bytes::from(bytes));
            }
            ("late", args) => return self.late(name, args),
            ("once", [write, answered, op, args @ ..]) => {
                let (write, answered) = (number(write) as u64, number(answered) as u64);
                WriteNumber { number: write, answered }.encode(&mut body);
                let request = requests::parse(op, args);
                request.encode(&mut body);
                request.op_code().into()
            }
            (op, args) => {
                let request = requests::parse(op, args);
                request.encode(&mut body);
                request.op_code().into()
            }
        };
        let xid = fixed_xid(code).unwrap_or_else(|| {
            client.next_xid += 1;
            Xid(client.next_xid - 1)
        });
        client.waiting.push((xid, code));
        self.server.receive(name, frame(xid.0, code, &body));
    }

    /// A request that waited too long before it was looked at.
    fn late(&mut self, name: &str, args: &[&str]) {
        let client = self.clients.get_mut(name).expect("a connected client");
        let request = requests::parse(args[0], &args[1..]);
        let mut body = BytesMut::new();
        request.encode(&mut body);
        let code: i32 = request.op_code().into();
        let xid = fixed_xid(code).unwrap_or(Xid(client.next_xid));
        client.next_xid += 1;
        client.waiting.push((xid, code));
        self.server.receive_throttled(name, frame(xid.0, code, &body));
    }

    /// A command of this connection with any number, as after a change of leader.
    fn forge(&mut self, name: &str, seq: &str, op: &str, rest: &[&str]) -> String {
        let Client { conn, session, .. } = self.clients[name];
        let origin = Origin { session, conn, seq: number(seq) as u64 };
        let mut body = BytesMut::new();
        match op {
            "close-session" => self.server.forge(origin, Op::CloseSession),
            "attach" => self.server.forge(origin, Op::AttachSession { timeout_ms: 6000 }),
            "create-session" => self.server.forge(origin, Op::CreateSession { timeout_ms: 6000 }),
            op => {
                let request = requests::parse(op, rest);
                request.encode(&mut body);
                let op_code = request.op_code().into();
                self.server.forge(origin, Op::Request { op_code, body: &body });
            }
        }
        let outcome = self.server.apply_next().expect("it was proposed");
        format!("{}\n", shown::outcome(&outcome))
    }

    /// The server gives the session up, because its connection was silent.
    fn expire(&mut self, name: &str) {
        let Client { conn, session, .. } = self.clients[name];
        self.propose_expiry(session, conn);
    }

    fn expire_session(&mut self, session: SessionId) {
        let record = self.server.replica.sessions().get(session).expect("a session");
        self.propose_expiry(session, record.owner);
    }

    fn propose_expiry(&mut self, session: SessionId, owner: ConnId) {
        let origin = Origin { session, conn: ConnId::NONE, seq: 0 };
        self.server.forge(origin, Op::ExpireSession { owner });
    }

    fn sessions(&self) -> String {
        let mut out = String::new();
        for (id, record) in self.server.replica.sessions().iter() {
            let (owner, next) = (record.owner.number, record.next_seq);
            let timeout_ms = record.timeout_ms;
            writeln!(out, "{id} timeout={timeout_ms} owner={owner} next={next}").expect("memory");
        }
        if out.is_empty() { "none\n".to_owned() } else { out }
    }

    fn tree(&self) -> String {
        let zxid = self.server.replica.last_zxid().0;
        format!("{} nodes at @{zxid}\n", self.server.replica.tree().node_count())
    }

    fn show(&mut self) -> String {
        let mut out = String::new();
        let mut gone = Vec::new();
        for (name, conn) in &mut self.server.conns {
            let client = self.clients.get_mut(name).expect("each connection has its client");
            client.input.extend_from_slice(&conn.take_output());
            while let Some(packet) =
                jute_proto::next_frame(&mut client.input, 1 << 30).expect("frames are sound")
            {
                writeln!(out, "{name}: {}", packet_text(client, &packet)).expect("memory");
            }
            if let Some(reason) = conn.close_reason() {
                writeln!(out, "{name}: closed: {reason}").expect("memory");
                gone.push(name.clone());
            }
        }
        for name in gone {
            self.server.disconnect(&name);
        }
        out
    }
}

/// One packet as its client reads it.
fn packet_text(client: &mut Client, packet: &[u8]) -> String {
    let mut reader = Reader::new(packet);
    if !client.connected {
        client.connected = true;
        let len = packet.len();
        let response = reader.record::<jute_proto::ConnectResponse<'_>>().expect("a handshake");
        client.session = response.session_id;
        let applied = if reader.is_empty() {
            String::new()
        } else {
            format!(" applied={}", reader.i64().expect("a number"))
        };
        return shown::handshake(&response, len) + &applied;
    }
    let header: ReplyHeader = reader.record().expect("a header");
    client.seen = client.seen.max(header.zxid);
    let zxid = header.zxid.0;
    if header.xid == Xid::NOTIFICATION {
        let event: WatcherEvent<'_> = reader.record().expect("an event");
        return format!("event {} {} @{zxid}", shown::event_type(event.event_type), event.path);
    }
    let place = client.waiting.iter().position(|(xid, _)| *xid == header.xid);
    let (_, op) = client
        .waiting
        .remove(place.unwrap_or_else(|| panic!("a reply to {} without a request", header.xid)));
    let xid = header.xid;
    if header.err != 0 {
        let code = ErrorCode::try_from(header.err).expect("a known code");
        assert!(reader.is_empty() || op == i32::from(OpCode::Sasl), "an error has no record");
        return format!("{xid} @{zxid} {code}");
    }
    let op = OpCode::try_from(op).expect("what is answered exists");
    let response = Response::decode(op, &mut reader).expect("the record of its operation");
    assert!(reader.is_empty(), "bytes behind the reply to {op}");
    format!("{xid} @{zxid} {op}{}", shown::response(&response))
}

fn fixed_xid(code: i32) -> Option<Xid> {
    match OpCode::try_from(code) {
        Ok(OpCode::Ping) => Some(Xid::PING),
        Ok(OpCode::Auth) => Some(Xid::AUTH),
        Ok(OpCode::SetWatches | OpCode::SetWatches2) => Some(Xid::SET_WATCHES),
        _ => None,
    }
}

fn refusal(state: &str) -> Option<Refusal> {
    match state {
        "full" => Some(Refusal::DiskFull),
        "unavailable" => Some(Refusal::Unavailable),
        "open" => None,
        _ => panic!("the log is full, unavailable or open"),
    }
}

pub(crate) fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}
