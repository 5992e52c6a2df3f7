//! A client with a session that it keeps through everything: it pipelines, loses connections, moves
//! between servers, and checks all that it is shown on the way.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use jute_proto::{
    Encode, ErrorCode, GetDataResponse, OpCode, Reader, RequestHeader, SetDataResponse,
    SetWatchesRequest, Stat, SyncRequest, WatcherEvent, Xid,
};

use super::connection::{Connection, Refusal};
use super::dice::Dice;
use super::world::World;
use crate::eventually::pause_for;
use crate::raw::{self, Reply, SessionKey};
use history::session::SessionOrder;
use history::{Anomaly, Promise, Span};

/// What the answer to a request says about a znode's data.
#[derive(Debug, Clone)]
enum Shows {
    /// Nothing.
    Nothing,
    /// getData.
    Read { path: String, watch: bool },
    /// setData.
    Write { path: String },
}

/// A request to send.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    op: OpCode,
    body: BytesMut,
    shows: Shows,
}

impl Outgoing {
    pub(super) fn new(op: OpCode, request: &impl Encode) -> Self {
        let mut body = BytesMut::new();
        request.encode(&mut body);
        Self { op, body, shows: Shows::Nothing }
    }

    pub(super) fn sync(path: &str) -> Self {
        Self::new(OpCode::Sync, &SyncRequest { path: path.into() })
    }

    pub(super) fn get(path: &str, watch: bool) -> Self {
        let request = jute_proto::GetDataRequest { path: path.into(), watch };
        let shows = Shows::Read { path: path.to_owned(), watch };
        Self { shows, ..Self::new(OpCode::GetData, &request) }
    }

    pub(super) fn set(path: &str, data: &[u8], version: i32) -> Self {
        let request = jute_proto::SetDataRequest { path: path.into(), data: Some(data), version };
        let shows = Shows::Write { path: path.to_owned() };
        Self { shows, ..Self::new(OpCode::SetData, &request) }
    }

    pub(super) fn create(path: &str, data: &[u8], flags: i32) -> Self {
        Self::new(OpCode::Create2, &raw::create_request(path, data, flags))
    }

    pub(super) fn exists(path: &str) -> Self {
        let request = jute_proto::ExistsRequest { path: path.into(), watch: false };
        Self::new(OpCode::Exists, &request)
    }

    pub(super) fn delete(path: &str) -> Self {
        let request = jute_proto::DeleteRequest { path: path.into(), version: -1 };
        Self::new(OpCode::Delete, &request)
    }

    fn is_write(&self) -> bool {
        [OpCode::SetData, OpCode::Create2, OpCode::Delete, OpCode::Multi].contains(&self.op)
    }
}

/// A request that was sent, and what became of it.
#[derive(Debug)]
pub(super) struct Exchanged {
    pub(super) span: Span,
    /// The answer; `None` when none came.
    pub(super) reply: Option<Reply>,
}

impl Exchanged {
    /// The error of the answer, `Ok` for none; `None` when no answer came, or one that says nothing
    /// about whether the request was done.
    pub(super) fn code(&self) -> Option<ErrorCode> {
        let reply = self.reply.as_ref()?;
        match ErrorCode::try_from(reply.header.err) {
            Ok(ErrorCode::ConnectionLoss | ErrorCode::OperationTimeout) | Err(_) => None,
            Ok(code) => Some(code),
        }
    }

    /// Data and Stat of an answered getData.
    pub(super) fn data(&self) -> Option<(Vec<u8>, Stat)> {
        let reply = self.reply.as_ref().filter(|reply| reply.header.err == 0)?;
        let response: GetDataResponse<'_> = Reader::new(&reply.body).record().ok()?;
        Some((response.data.unwrap_or_default().to_owned(), response.stat))
    }

    /// The Stat of an answered setData or exists.
    pub(super) fn stat(&self) -> Option<Stat> {
        let reply = self.reply.as_ref().filter(|reply| reply.header.err == 0)?;
        Some(Reader::new(&reply.body).record::<SetDataResponse>().ok()?.stat)
    }
}

/// How a client came to its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attached {
    /// It is the one it had.
    Still,
    /// It is a new one of the same session: what was unanswered is uncertain.
    Resumed,
    /// The session is a new one.
    New,
}

/// A client and its session.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) world: Arc<World>,
    pub(super) name: String,
    pub(super) dice: Dice,
    pub(super) anomalies: Vec<Anomaly>,
    timeout_wanted: Duration,
    session: Option<Session>,
    connection: Option<Connection>,
    /// A connection that was left open when the session moved on.
    left_behind: Option<Connection>,
    next_xid: i32,
}

#[derive(Debug)]
struct Session {
    key: SessionKey,
    timeout: Duration,
    /// When the last request was sent that was answered: the server knew then that the client lived.
    proof: Duration,
    order: SessionOrder,
}

impl Client {
    pub(super) fn new(world: &Arc<World>, name: String, dice: Dice, timeout: Duration) -> Self {
        Self {
            world: Arc::clone(world),
            name,
            dice,
            anomalies: Vec::new(),
            timeout_wanted: timeout,
            session: None,
            connection: None,
            left_behind: None,
            next_xid: 1,
        }
    }

    /// The session's id; zero before the first.
    pub(super) fn session_id(&self) -> i64 {
        self.session.as_ref().map_or(0, |session| session.key.id.0)
    }

    /// Until when the session cannot have expired, as far as its answers prove.
    pub(super) fn alive_until(&self) -> Duration {
        self.session.as_ref().map_or(Duration::ZERO, |session| {
            (session.proof + session.timeout).saturating_sub(self.world.tick)
        })
    }

    pub(super) fn report(&mut self, promise: Promise, detail: &str) {
        let (name, at) = (&self.name, self.world.now());
        let id = self.session_id();
        let detail = format!("{name} (session {id:#x}) at {at:.3?}: {detail}");
        self.anomalies.push(Anomaly::new(promise, detail));
    }

    fn check(&mut self, result: Result<(), Anomaly>) {
        if let Err(anomaly) = result {
            self.report(anomaly.promise, &anomaly.detail);
        }
    }

    /// Sees to it that there is a connection; `None` when the round ends first.
    pub(super) fn attach(&mut self) -> Option<Attached> {
        self.attach_until(Duration::MAX)
    }

    /// As [`attach`](Self::attach); `None` also when it takes until `deadline`.
    pub(super) fn attach_until(&mut self, deadline: Duration) -> Option<Attached> {
        let mut outcome = Attached::Still;
        while self.connection.is_none() {
            if self.world.stopped() || self.world.now() > deadline {
                return None;
            }
            match self.connect() {
                Ok(attached) => outcome = attached,
                Err(Refusal::Lost) => pause_for(Duration::from_millis(self.dice.within(5..60))),
                Err(Refusal::Expired) => self.expired(),
            }
        }
        (!self.world.stopped()).then_some(outcome)
    }

    fn connect(&mut self) -> Result<Attached, Refusal> {
        let addr = self.world.addrs[self.dice.index(self.world.addrs.len())];
        let sent = self.world.now();
        let known = self.session.as_ref();
        let (connection, welcome) = Connection::open(
            addr,
            known.map(|session| &session.key),
            known.map(|session| session.order.last_zxid()).unwrap_or_default(),
            self.timeout_wanted,
            &self.world,
        )?;
        self.connection = Some(connection);
        if let Some(session) = &mut self.session {
            session.proof = sent;
            session.timeout = welcome.timeout;
            self.world.tally.resumed();
            self.rearm();
            return Ok(Attached::Resumed);
        }
        self.session = Some(Session {
            key: welcome.key,
            timeout: welcome.timeout,
            proof: sent,
            order: SessionOrder::default(),
        });
        Ok(Attached::New)
    }

    /// The server said that the session is gone.
    fn expired(&mut self) {
        let now = self.world.now();
        if now < self.alive_until() {
            let proof = self.session.as_ref().map(|session| session.proof).unwrap_or_default();
            let detail = format!("expired early: proved alive by a request sent at {proof:.3?}");
            self.report(Promise::Expiry, &detail);
        }
        self.world.tally.expired();
        self.session = None;
        self.connection = None;
    }

    /// Gives the watches of the session to the new connection.
    fn rearm(&mut self) {
        let Some(order) = self.session.as_ref().map(|session| &session.order) else { return };
        let paths = order.armed();
        if paths.is_empty() {
            return;
        }
        let request = SetWatchesRequest {
            relative_zxid: order.last_zxid(),
            data_watches: paths.into_iter().map(Into::into).collect(),
            exist_watches: Vec::new(),
            child_watches: Vec::new(),
        };
        let bytes = raw::frame(|out| {
            let op = OpCode::SetWatches.into();
            RequestHeader { xid: Xid::SET_WATCHES, op }.encode(out);
            request.encode(out);
        });
        if self.connection.as_mut().is_some_and(|connection| connection.send(&bytes).is_err()) {
            self.connection = None;
        }
    }

    /// Leaves the connection open and moves the session elsewhere, with the next
    /// [`attach`](Self::attach).
    pub(super) fn leave(&mut self) {
        self.left_behind = self.connection.take();
    }

    /// Sends all requests at once and waits for their answers. Without a connection nothing is
    /// sent; the answers are missing.
    pub(super) fn exchange(&mut self, requests: &[Outgoing]) -> Vec<Exchanged> {
        let sent = self.world.now();
        let lost = || Exchanged { span: Span::unanswered(sent), reply: None };
        let mut answers: Vec<Exchanged> = Vec::with_capacity(requests.len());
        let first = self.next_xid;
        if self.send(requests).is_ok() {
            if self.dice.one_in(150) {
                self.leave();
            }
            for (at, request) in requests.iter().enumerate() {
                let xid = Xid(first + i32::try_from(at).unwrap_or(0));
                let Ok(reply) = self.answer(xid, request, sent) else { break };
                let span = Span::new(sent, self.world.now());
                answers.push(Exchanged { span, reply: Some(reply) });
            }
        }
        if answers.len() < requests.len() {
            self.connection = None;
        }
        self.world.answered(sent);
        for answer in &answers {
            self.world.tally.answered(answer.reply.as_ref().is_some_and(|r| r.header.err == 0));
        }
        self.world.tally.unanswered(requests.len() - answers.len());
        answers.resize_with(requests.len(), lost);
        answers
    }

    fn send(&mut self, requests: &[Outgoing]) -> Result<(), Refusal> {
        let connection = self.connection.as_mut().ok_or(Refusal::Lost)?;
        let mut bytes = BytesMut::new();
        for request in requests {
            let xid = Xid(self.next_xid);
            self.next_xid += 1;
            bytes.extend_from_slice(&raw::frame(|out| {
                RequestHeader { xid, op: request.op.into() }.encode(out);
                out.extend_from_slice(&request.body);
            }));
        }
        connection.send(&bytes)
    }

    /// Waits for the answer to one request; takes the events that come before it.
    fn answer(&mut self, xid: Xid, request: &Outgoing, sent: Duration) -> Result<Reply, Refusal> {
        loop {
            let connection = self.connection.as_mut().ok_or(Refusal::Lost)?;
            let packet = connection.packet()?;
            let proof = sent.max(connection.ping_proof);
            if packet.header.xid == Xid::NOTIFICATION {
                self.event(&packet);
                continue;
            }
            if packet.header.xid == Xid::SET_WATCHES {
                continue;
            }
            if packet.header.xid != xid {
                let found = packet.header.xid;
                self.report(Promise::Fifo, &format!("answer {found:?} where {xid:?} was next"));
                return Err(Refusal::Lost);
            }
            if let Some(session) = &mut self.session {
                session.proof = session.proof.max(proof);
            }
            return self.judge(packet, request);
        }
    }

    /// Checks an answer against what the session knows.
    fn judge(&mut self, packet: Reply, request: &Outgoing) -> Result<Reply, Refusal> {
        let code = ErrorCode::try_from(packet.header.err);
        match code {
            Ok(ErrorCode::SessionExpired | ErrorCode::SessionMoved) => {
                // The next handshake tells what became of the session.
                return Err(Refusal::Lost);
            }
            Ok(
                ErrorCode::Ok
                | ErrorCode::NoNode
                | ErrorCode::NodeExists
                | ErrorCode::BadVersion
                | ErrorCode::RuntimeInconsistency
                | ErrorCode::ConnectionLoss
                | ErrorCode::OperationTimeout
                | ErrorCode::NotReadOnly
                // The disk is full: not done, and never will be.
                | ErrorCode::SystemError,
            ) => {}
            Ok(_) | Err(_) => {
                let detail = format!("{:?} was answered {}", request.op, packet.header.err);
                self.report(Promise::Protocol, &detail);
            }
        }
        let Some(session) = &mut self.session else { return Err(Refusal::Lost) };
        let answered = session.order.answered(packet.header.zxid);
        let mut seen = Ok(());
        if code == Ok(ErrorCode::Ok) {
            if request.is_write() {
                self.world.tally.acknowledged(self.world.now());
            }
            let stat = stat_of(&packet, &request.shows);
            match (&request.shows, stat) {
                (Shows::Read { path, watch }, Some(stat)) => {
                    seen = session.order.read(path, stat.mzxid, *watch);
                }
                (Shows::Write { path }, Some(stat)) => session.order.wrote(path, stat.mzxid),
                (Shows::Nothing | Shows::Read { .. } | Shows::Write { .. }, _) => {}
            }
        }
        self.check(answered);
        self.check(seen);
        Ok(packet)
    }

    fn event(&mut self, packet: &Reply) {
        let event: Result<WatcherEvent<'_>, _> = Reader::new(&packet.body).record();
        let Ok(event) = event else {
            self.report(Promise::Protocol, "an event that cannot be read");
            return;
        };
        self.world.tally.event();
        if let Some(session) = &mut self.session {
            let result = session.order.event(&event.path);
            self.check(result);
        }
    }

    /// Ends the session, when there is a connection to do so.
    pub(super) fn close(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let header = RequestHeader { xid: Xid(self.next_xid), op: OpCode::CloseSession.into() };
            if connection.send(&raw::frame(|out| header.encode(out))).is_ok() {
                while connection.packet().is_ok_and(|packet| packet.header.xid != header.xid) {}
            }
        }
        self.session = None;
        self.left_behind = None;
    }

    /// Goes without a word: the session is left to expire.
    pub(super) fn die(&mut self) {
        self.session = None;
        self.connection = None;
        self.left_behind = None;
    }

    /// A moment between two requests.
    pub(super) fn breathe(&mut self) {
        let millis = if self.dice.one_in(4) { self.dice.within(5..40) } else { 1 };
        pause_for(Duration::from_millis(millis));
    }
}

fn stat_of(packet: &Reply, shows: &Shows) -> Option<Stat> {
    let mut reader = Reader::new(&packet.body);
    match shows {
        Shows::Nothing => None,
        Shows::Read { .. } => Some(reader.record::<GetDataResponse<'_>>().ok()?.stat),
        Shows::Write { .. } => Some(reader.record::<SetDataResponse>().ok()?.stat),
    }
}
