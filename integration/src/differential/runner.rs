//! Plays the cases of a script against a server.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use bytes::BytesMut;
use jute_proto::{
    Acl, AuthRequest, ConnectRequest, ConnectResponse, CreateMode, CreateRequest, Encode, OpCode,
    Reader, ReplyHeader, RequestHeader, SessionId, WatcherEvent, Xid, Zxid, begin_frame, end_frame,
    session_password,
};

use super::client::{RawConnection, Received};
use super::command::{self, Arguments, Command, Line, Names};
use super::script::{Case, Script};
use super::transcript::Transcript;
use crate::four_letter;

/// The session timeout that connections ask for unless told otherwise.
const TIMEOUT_MS: i32 = 10_000;

/// The parent of the znodes of all cases, so that the root of the tree has the same children in each.
const ROOTS: &str = "/cases";

/// The length of an answer to the handshake, as it is today.
const HANDSHAKE_LEN: usize = 37;

/// The answers of one case, by step.
pub type Answers = Vec<Vec<String>>;

impl Script {
    /// Plays all cases, one after the other, and returns their answers.
    ///
    /// # Panics
    /// Where a step is not understood, or the server cannot be reached.
    #[must_use]
    pub fn run(&self, addr: SocketAddr) -> Vec<Answers> {
        let words = self.words().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let words: BTreeMap<String, String> = words.collect();
        let setup = Setup { addr, auth: self.setup() };
        let cases = self.cases.iter().enumerate();
        cases.map(|(index, case)| Player::new(setup, index, &words).play(case)).collect()
    }
}

/// What the harness does for itself: it makes the znode of a case, and ends its sessions.
#[derive(Clone, Copy, Debug)]
struct Setup<'a> {
    addr: SocketAddr,
    /// The scheme and bytes to authenticate with.
    auth: Option<(&'a str, &'a str)>,
}

/// A connection of a case.
#[derive(Debug)]
struct Client {
    raw: RawConnection,
    /// Bytes that wait for the next step.
    output: BytesMut,
    /// What has not been answered.
    expected: VecDeque<Expected>,
    session: SessionId,
    password: Vec<u8>,
    xid: i32,
    last_zxid: Zxid,
    open: bool,
}

/// A packet that the server owes.
#[derive(Debug)]
enum Expected {
    Handshake,
    Reply { xid: i32, op: Option<OpCode> },
    Anything,
}

#[derive(Debug)]
struct Player<'a> {
    setup: Setup<'a>,
    names: Names,
    clients: BTreeMap<String, Client>,
    /// Sessions left without a connection.
    dropped: Vec<(SessionId, Vec<u8>)>,
    transcript: Transcript,
}

impl<'a> Player<'a> {
    fn new(setup: Setup<'a>, index: usize, words: &BTreeMap<String, String>) -> Self {
        let root = format!("{ROOTS}/{index:03}");
        let (started_ms, base) = (now_ms(), setup.create_root(&root));
        let transcript = Transcript::new(&root, started_ms, base);
        let zxids = BTreeMap::from([("base".to_owned(), base.0)]);
        let names = Names { root, words: words.clone(), zxids };
        Self { setup, names, clients: BTreeMap::new(), dropped: Vec::new(), transcript }
    }

    fn play(mut self, case: &Case) -> Answers {
        for step in &case.steps {
            self.transcript.begin_step();
            self.step(&step.input);
        }
        self.close_all();
        self.transcript.finish()
    }

    fn step(&mut self, input: &str) {
        let line = command::parse(input, &self.names);
        self.send(&line);
        if line.ignored {
            self.transcript.forget_step();
        }
    }

    fn send(&mut self, line: &Line) {
        let name = line.connection.as_str();
        match &line.command {
            Command::Connect(arguments) => self.connect(name, arguments),
            Command::FourLetterWord(arguments) => self.four_letter_word(arguments),
            Command::Drop => {
                if let Some(client) = self.clients.remove(name) {
                    self.dropped.push((client.session, client.password));
                }
            }
            Command::Mark(mark) => {
                let zxid = self.client(name).last_zxid.0;
                self.names.zxids.insert(mark.clone(), zxid);
            }
            Command::Await => {
                self.client(name).expected.push_back(Expected::Anything);
                self.receive_expected(name);
            }
            Command::Request { xid, op, body } => {
                self.client(name).request(*xid, *op, body);
                if !line.pipelined {
                    self.receive_expected(name);
                }
            }
            Command::Frame(body) => {
                let client = self.raw_client(name);
                let mark = begin_frame(&mut client.output);
                client.output.extend_from_slice(body);
                end_frame(&mut client.output, mark);
                self.await_unless(name, line.pipelined);
            }
            Command::Bytes(bytes) => {
                self.raw_client(name).output.extend_from_slice(bytes);
                self.await_unless(name, line.pipelined);
            }
        }
    }

    fn await_unless(&mut self, name: &str, pipelined: bool) {
        if !pipelined {
            self.raw_client(name).expected.push_back(Expected::Anything);
            self.receive_expected(name);
        }
    }

    /// The connection of that name, opened and with a session of its own if it is new.
    fn client(&mut self, name: &str) -> &mut Client {
        if !self.clients.contains_key(name) {
            let client = Client::connected(self.setup.addr, SessionId(0), &[0; 16]);
            self.clients.insert(name.to_owned(), client);
        }
        self.raw_client(name)
    }

    /// The connection of that name, opened if it is new.
    fn raw_client(&mut self, name: &str) -> &mut Client {
        let addr = self.setup.addr;
        self.clients.entry(name.to_owned()).or_insert_with(|| Client::open(addr))
    }

    fn connect(&mut self, name: &str, arguments: &Arguments) {
        let (session, password) = match arguments.get("session") {
            None => (SessionId(0), vec![0; 16]),
            Some(word) => self.session_named(word),
        };
        let password = match arguments.get("password") {
            None => password,
            Some("derived") => session_password(session).to_vec(),
            Some(hex) => command::bytes_of_hex(hex),
        };
        let read_only = match arguments.get("ro") {
            Some("yes") => Some(true),
            Some("none") => None,
            _ => Some(false),
        };
        let request = ConnectRequest {
            protocol_version: arguments.number("version", 0),
            last_zxid_seen: Zxid(arguments.get("lastzxid").map_or(0, |word| self.names.zxid(word))),
            timeout_ms: arguments.number("timeout", TIMEOUT_MS),
            session_id: session,
            password: &password,
            read_only,
        };
        let mut client = Client::open(self.setup.addr);
        client.handshake(&request);
        self.clients.insert(name.to_owned(), client);
        self.receive_expected(name);
    }

    /// The session of a connection, open or dropped before, or one given by its number.
    fn session_named(&self, word: &str) -> (SessionId, Vec<u8>) {
        if let Some(client) = self.clients.get(word) {
            return (client.session, client.password.clone());
        }
        match word {
            "dropped" => self.dropped.last().cloned().unwrap_or_default(),
            number => (SessionId(command::number(number)), vec![0; 16]),
        }
    }

    fn receive_expected(&mut self, name: &str) {
        let Some(client) = self.clients.get_mut(name) else { return };
        client.flush();
        while let Some(expected) = client.expected.pop_front() {
            match client.raw.receive() {
                Received::Frame(frame) => {
                    let (line, again) = client.read(&frame, &expected, &self.transcript);
                    self.transcript.push(line);
                    if again {
                        client.expected.push_front(expected);
                    }
                }
                end @ (Received::Closed | Received::Silence) => {
                    let text = if end == Received::Closed { "closed" } else { "silence" };
                    self.transcript.push(text.to_owned());
                    client.expected.clear();
                    client.open = false;
                }
            }
        }
    }

    fn four_letter_word(&mut self, arguments: &Arguments) {
        let answer = four_letter::ask(self.setup.addr, &command::unescape(arguments.at(0)));
        let answer = answer.filter(|answer| !answer.is_empty());
        let answer = answer.unwrap_or_else(|| "no answer".to_owned());
        if let Some(wanted) = arguments.get("has") {
            let wanted = wanted.split(',').map(command::unescape);
            let missing: Vec<String> = wanted.filter(|word| !answer.contains(word)).collect();
            self.transcript.push(format!("lacks {missing:?}"));
            return;
        }
        let answer = self.clients.values().filter(|client| client.session != SessionId(0)).fold(
            answer.replace(&self.names.root, "~"),
            |answer, client| {
                let session = client.session.to_string();
                answer.replace(&session, &self.transcript.session(client.session))
            },
        );
        for line in answer.lines() {
            let end = line.find(['=', ':', '\t']).filter(|_| arguments.has("keys"));
            self.transcript.push(format!("| {}", &line[..end.unwrap_or(line.len())]));
        }
    }

    /// Ends all sessions, so that none of them expires during a later case.
    fn close_all(&mut self) {
        let clients = std::mem::take(&mut self.clients);
        for mut client in clients.into_values() {
            if client.session == SessionId(0) {
                continue;
            }
            if client.open {
                client.close_session();
            } else {
                self.dropped.push((client.session, client.password));
            }
        }
        for (session, password) in std::mem::take(&mut self.dropped) {
            self.setup.connect(session, &password).close_session();
        }
    }
}

impl Client {
    fn open(addr: SocketAddr) -> Self {
        Self {
            raw: RawConnection::open(addr).expect("the server accepts"),
            output: BytesMut::new(),
            expected: VecDeque::new(),
            session: SessionId(0),
            password: Vec::new(),
            xid: 0,
            last_zxid: Zxid(0),
            open: true,
        }
    }

    fn connected(addr: SocketAddr, session_id: SessionId, password: &[u8]) -> Self {
        let mut client = Self::open(addr);
        client.handshake(&ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(0),
            timeout_ms: TIMEOUT_MS,
            session_id,
            password,
            read_only: Some(false),
        });
        client.flush();
        client.expected.clear();
        match client.raw.receive() {
            Received::Frame(frame) => client.welcome(&frame),
            Received::Closed | Received::Silence => client.open = false,
        }
        client
    }

    fn handshake(&mut self, request: &ConnectRequest<'_>) {
        let mark = begin_frame(&mut self.output);
        request.encode(&mut self.output);
        end_frame(&mut self.output, mark);
        self.expected.push_back(Expected::Handshake);
    }

    fn welcome(&mut self, frame: &[u8]) {
        if let Ok(response) = Reader::new(frame).record::<ConnectResponse<'_>>() {
            self.session = response.session_id;
            self.password = response.password.to_vec();
        }
    }

    fn request(&mut self, xid: Option<i32>, op: i32, body: &[u8]) {
        let xid = xid.unwrap_or_else(|| {
            self.xid += 1;
            self.xid
        });
        let mark = begin_frame(&mut self.output);
        RequestHeader { xid: Xid(xid), op }.encode(&mut self.output);
        self.output.extend_from_slice(body);
        end_frame(&mut self.output, mark);
        self.expected.push_back(Expected::Reply { xid, op: OpCode::try_from(op).ok() });
    }

    /// Sends a request and waits for its reply, whatever it says.
    fn exchange(&mut self, op: OpCode, request: &impl Encode) {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        self.request(None, op.into(), &body);
        self.flush();
        let reply = self.raw.receive();
        assert!(matches!(reply, Received::Frame(_)), "{op} of the harness: {reply:?}");
    }

    fn flush(&mut self) {
        let output = self.output.split();
        self.raw.send(&output);
    }

    /// Writes a packet as text, and tells whether the expected one is still to come.
    fn read(
        &mut self,
        frame: &[u8],
        expected: &Expected,
        transcript: &Transcript,
    ) -> (String, bool) {
        let (xid, op) = match *expected {
            // Frames that a script makes up may be a handshake too.
            Expected::Anything if self.session == SessionId(0) && frame.len() == HANDSHAKE_LEN => {
                return self.read(frame, &Expected::Handshake, transcript);
            }
            Expected::Handshake => {
                let response = Reader::new(frame).record::<ConnectResponse<'_>>();
                self.welcome(frame);
                let line = response.map(|response| transcript.connected(&response));
                return (line.unwrap_or_else(|error| format!("UNDECODABLE {error}")), false);
            }
            Expected::Reply { xid, op } => (Some(xid), op),
            Expected::Anything => (None, None),
        };
        let mut reader = Reader::new(frame);
        let Ok(header) = reader.record::<ReplyHeader>() else {
            return ("UNDECODABLE header".to_owned(), false);
        };
        self.last_zxid = self.last_zxid.max(header.zxid);
        if header.xid == Xid::NOTIFICATION {
            let event = reader.record::<WatcherEvent<'_>>();
            let line = event.map(|event| transcript.event(&header, &event));
            let line = line.unwrap_or_else(|error| format!("UNDECODABLE {error}"));
            return (line, xid.is_some());
        }
        let line = transcript.reply(&header, op, reader.rest());
        match xid {
            Some(xid) if Xid(xid) != header.xid => {
                (format!("xid {} instead of {xid}: {line}", header.xid), false)
            }
            Some(_) | None => (line, false),
        }
    }

    /// Ends the session and waits until the server has done so.
    fn close_session(&mut self) -> Zxid {
        if !self.open {
            return Zxid(0);
        }
        self.request(None, OpCode::CloseSession.into(), &[]);
        self.flush();
        let mut last = Zxid(0);
        while let Received::Frame(frame) = self.raw.receive() {
            if let Ok(header) = Reader::new(&frame).record::<ReplyHeader>() {
                last = last.max(header.zxid);
            }
        }
        last
    }
}

impl Setup<'_> {
    fn connect(&self, session: SessionId, password: &[u8]) -> Client {
        let mut client = Client::connected(self.addr, session, password);
        if let Some((scheme, auth)) = self.auth {
            let auth = Some(auth.as_bytes());
            let packet = AuthRequest { auth_type: 0, scheme: scheme.into(), auth };
            client.exchange(OpCode::Auth, &packet);
        }
        client
    }

    /// Creates the znode of a case, and returns the last zxid before its first step.
    fn create_root(&self, root: &str) -> Zxid {
        let mut client = self.connect(SessionId(0), &[0; 16]);
        // The first one is refused for all cases but the first.
        for path in [ROOTS, root] {
            let flags = CreateMode::Persistent.into();
            let acl = Some(Acl::open());
            let create = CreateRequest { path: path.into(), data: Some(b""), acl, flags };
            client.exchange(OpCode::Create, &create);
        }
        client.close_session()
    }
}

/// Milliseconds since 1970, to judge the times that servers stamp.
#[expect(clippy::disallowed_methods, reason = "the servers under test stamp with this clock")]
fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(i64::MAX)
}
