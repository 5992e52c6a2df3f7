//! A client of the bare wire: one blocking socket, one request at a time or many in a row.
//!
//! It sends no pings of its own and hides nothing, so a test sees what the server says and when it
//! closes. Calls answer an [`Error`] rather than panic: what a crash test acknowledges depends on it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jute_proto::{
    Acl, ConnectRequest, ConnectResponse, Create2Response, CreateRequest, Decode, DecodeError,
    DeleteRequest, Encode, ErrorCode, ExistsRequest, ExistsResponse, Extensions,
    GetChildrenRequest, GetChildrenResponse, GetDataRequest, GetDataResponse, MultiOp,
    MultiRequest, MultiResponse, OpCode, OpResult, Reader, ReplyHeader, RequestHeader, SessionId,
    SetDataRequest, SetDataResponse, Stat, SyncRequest, WatcherEvent, WriteNumber, Xid, Zxid,
    begin_frame, end_frame,
};

/// How long a reply may take.
const REPLY_PATIENCE: Duration = Duration::from_secs(30);

/// The longest frame that the client reads, in bytes.
const FRAME_MAX: usize = 64 << 20;

/// Why a call has no result.
#[derive(Debug)]
pub enum Error {
    /// The server answered with an error code.
    Code(ErrorCode),
    /// The connection broke: whether the request took effect is unknown.
    Lost(String),
    /// What came is not what the protocol says.
    Malformed(String),
}

/// The result of a call.
pub type Result<T> = std::result::Result<T, Error>;

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A reply as it came.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its header.
    pub header: ReplyHeader,
    /// What follows the header.
    pub body: Bytes,
}

impl Reply {
    /// The body as the record `T`, or the error that the header names.
    pub fn decode<T: for<'a> Decode<'a>>(&self) -> Result<T> {
        self.ok()?;
        Ok(Reader::new(&self.body).record()?)
    }

    /// Nothing, or the error that the header names.
    pub fn ok(&self) -> Result<()> {
        match self.header.err {
            0 => Ok(()),
            code => Err(ErrorCode::try_from(code).map_or_else(
                |_| Error::Malformed(format!("unknown error code {code}")),
                Error::Code,
            )),
        }
    }
}

/// A watch event as it came, with the zxid of its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The zxid in the notification's header.
    pub zxid: Zxid,
    /// What happened.
    pub kind: i32,
    /// Where.
    pub path: String,
}

/// What names a session: enough to resume it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKey {
    /// The session.
    pub id: SessionId,
    /// Its password.
    pub password: Vec<u8>,
}

/// One connection with a session.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    next_xid: i32,
    session: SessionKey,
    timeout: Duration,
    read_only: bool,
    /// Where writes have numbers, the highest that was applied before this connection.
    last_number: Option<u64>,
    events: VecDeque<Event>,
}

/// What a connection asks for.
#[derive(Debug, Clone, Copy, Default)]
struct ConnectOptions {
    /// Content with a server that only reads.
    read_only: bool,
    /// What Grovekeeper adds to the protocol.
    extensions: Extensions,
}

impl RawClient {
    /// Connects with a new session of 10 s, or of what the server allows.
    ///
    /// # Panics
    ///
    /// When the server does not answer.
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::connect_for(addr, Duration::from_secs(10)).expect("a connection with a new session")
    }

    /// Connects with a new session that asks for `timeout`.
    pub fn connect_for(addr: SocketAddr, timeout: Duration) -> Result<Self> {
        let nobody = SessionKey { id: SessionId(0), password: vec![0; 16] };
        Self::handshake(addr, &nobody, timeout, ConnectOptions::default())
    }

    /// Connects with a new session and is content with a server that only reads: see
    /// [`is_read_only`](Self::is_read_only).
    pub fn connect_read_only(addr: SocketAddr) -> Result<Self> {
        let nobody = SessionKey { id: SessionId(0), password: vec![0; 16] };
        let options = ConnectOptions { read_only: true, ..ConnectOptions::default() };
        Self::handshake(addr, &nobody, Duration::from_secs(10), options)
    }

    /// Connects and resumes `session`; an expired one is [`ErrorCode::SessionExpired`].
    pub fn resume(addr: SocketAddr, session: &SessionKey) -> Result<Self> {
        Self::handshake(addr, session, Duration::from_secs(10), ConnectOptions::default())
    }

    /// Connects for writes with numbers ([`Numbered`]), with a new session or one to be resumed.
    ///
    /// Returns the highest number that was applied too.
    pub fn connect_numbered(
        addr: SocketAddr,
        session: Option<&SessionKey>,
        timeout: Duration,
    ) -> Result<(Self, u64)> {
        let nobody = SessionKey { id: SessionId(0), password: vec![0; 16] };
        let extensions = Extensions::EXACTLY_ONCE;
        let options = ConnectOptions { extensions, ..ConnectOptions::default() };
        let client = Self::handshake(addr, session.unwrap_or(&nobody), timeout, options)?;
        let last = client
            .last_number
            .ok_or_else(|| Error::Malformed("the server knows no numbers of writes".to_owned()))?;
        Ok((client, last))
    }

    fn handshake(
        addr: SocketAddr,
        session: &SessionKey,
        timeout: Duration,
        options: ConnectOptions,
    ) -> Result<Self> {
        let ConnectOptions { read_only, extensions } = options;
        let is_plain = extensions == Extensions::NONE;
        let mut stream = open(addr)?;
        let request = ConnectRequest {
            protocol_version: if is_plain { 0 } else { extensions.protocol_version() },
            last_zxid_seen: Zxid(0),
            timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
            session_id: session.id,
            password: &session.password,
            read_only: Some(read_only),
        };
        stream.write_all(&frame(|out| request.encode(out)))?;
        let body = read_frame(&mut stream)?;
        let mut reader = Reader::new(&body);
        let response: ConnectResponse<'_> = reader.record()?;
        if response.timeout_ms <= 0 {
            return Err(Error::Code(ErrorCode::SessionExpired));
        }
        let timeout_ms = u64::try_from(response.timeout_ms).unwrap_or(0);
        let granted = Extensions::of_protocol_version(response.protocol_version);
        let is_numbered = granted.is_some_and(|granted| granted.contains(Extensions::EXACTLY_ONCE));
        let last_number = if is_numbered { Some(reader.i64()?.cast_unsigned()) } else { None };
        Ok(Self {
            stream,
            next_xid: 1,
            session: SessionKey { id: response.session_id, password: response.password.to_owned() },
            timeout: Duration::from_millis(timeout_ms),
            read_only: response.read_only == Some(true),
            last_number,
            events: VecDeque::new(),
        })
    }

    /// Whether the server said that it only reads.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// The session of the connection.
    #[must_use]
    pub fn session(&self) -> &SessionKey {
        &self.session
    }

    /// The session timeout that the server granted.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The socket, for bytes that are no request.
    #[must_use]
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends a request and waits for its reply; events that come before it are kept for
    /// [`next_event`](Self::next_event).
    pub fn call(&mut self, op: OpCode, request: &impl Encode) -> Result<Reply> {
        let xid = self.send(op, request)?;
        self.receive(xid)
    }

    /// Sends a request without waiting; [`receive`](Self::receive) takes the reply.
    pub fn send(&mut self, op: OpCode, request: &impl Encode) -> Result<Xid> {
        let xid = Xid(self.next_xid);
        self.next_xid += 1;
        self.send_as(xid, op.into(), request)?;
        Ok(xid)
    }

    /// Sends a request with a given xid and operation code, valid or not.
    pub fn send_as(&mut self, xid: Xid, op: i32, request: &impl Encode) -> Result<()> {
        let bytes = frame(|out| {
            RequestHeader { xid, op }.encode(out);
            request.encode(out);
        });
        Ok(self.stream.write_all(&bytes)?)
    }

    /// Waits for the next reply, which must be that of `xid`.
    ///
    /// # Panics
    ///
    /// When a reply of another request comes first: replies keep the order of the requests.
    pub fn receive(&mut self, xid: Xid) -> Result<Reply> {
        loop {
            let reply = self.receive_any()?;
            if reply.header.xid == Xid::NOTIFICATION {
                self.keep_event(&reply)?;
                continue;
            }
            assert_eq!(reply.header.xid, xid, "replies come in the order of the requests");
            return Ok(reply);
        }
    }

    /// Waits for the next packet, whatever it is.
    pub fn receive_any(&mut self) -> Result<Reply> {
        let mut body = read_frame(&mut self.stream)?;
        let mut reader = Reader::new(&body);
        let header: ReplyHeader = reader.record()?;
        let start = reader.position();
        Ok(Reply { header, body: body.split_off(start) })
    }

    /// The next watch event, waited for if none has come yet.
    ///
    /// # Panics
    ///
    /// When a reply comes that nobody waits for.
    pub fn next_event(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let packet = self.receive_any()?;
            assert_eq!(packet.header.xid, Xid::NOTIFICATION, "an event, not a reply");
            self.keep_event(&packet)?;
        }
    }

    /// The events that came so far with replies, and are not yet taken.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    fn keep_event(&mut self, packet: &Reply) -> Result<()> {
        let event: WatcherEvent<'_> = Reader::new(&packet.body).record()?;
        self.events.push_back(Event {
            zxid: packet.header.zxid,
            kind: event.event_type,
            path: event.path.into_owned(),
        });
        Ok(())
    }

    /// Whether the server has closed the connection; what it sent before is read and dropped.
    pub fn closed(&mut self) -> bool {
        closed(&mut self.stream)
    }

    /// Tells the server that the client lives.
    pub fn ping(&mut self) -> Result<()> {
        self.send_as(Xid::PING, OpCode::Ping.into(), &Nothing)?;
        self.receive(Xid::PING)?.ok()
    }

    /// Closes the session.
    pub fn close(mut self) -> Result<()> {
        self.call(OpCode::CloseSession, &Nothing)?.ok()
    }

    /// Creates a znode open to the world; the path that it got.
    pub fn create(&mut self, path: &str, data: &[u8], flags: i32) -> Result<String> {
        let reply = self.call(OpCode::Create2, &create_request(path, data, flags))?;
        reply.ok()?;
        let response: Create2Response<'_> = Reader::new(&reply.body).record()?;
        Ok(response.path.into_owned())
    }

    /// The data of a znode and its Stat.
    pub fn get(&mut self, path: &str, watch: bool) -> Result<(Vec<u8>, Stat)> {
        let reply = self.call(OpCode::GetData, &GetDataRequest { path: path.into(), watch })?;
        reply.ok()?;
        let response: GetDataResponse<'_> = Reader::new(&reply.body).record()?;
        Ok((response.data.unwrap_or_default().to_owned(), response.stat))
    }

    /// Replaces the data of a znode.
    pub fn set(&mut self, path: &str, data: &[u8], version: i32) -> Result<Stat> {
        let request = SetDataRequest { path: path.into(), data: Some(data), version };
        Ok(self.call(OpCode::SetData, &request)?.decode::<SetDataResponse>()?.stat)
    }

    /// Deletes a znode, whatever its version.
    pub fn delete(&mut self, path: &str) -> Result<()> {
        self.call(OpCode::Delete, &DeleteRequest { path: path.into(), version: -1 })?.ok()
    }

    /// The Stat of a znode, `None` where there is none.
    pub fn exists(&mut self, path: &str, watch: bool) -> Result<Option<Stat>> {
        let reply = self.call(OpCode::Exists, &ExistsRequest { path: path.into(), watch })?;
        match reply.decode::<ExistsResponse>() {
            Ok(response) => Ok(Some(response.stat)),
            Err(Error::Code(ErrorCode::NoNode)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names of a znode's children, sorted.
    pub fn children(&mut self, path: &str, watch: bool) -> Result<Vec<String>> {
        let request = GetChildrenRequest { path: path.into(), watch };
        let reply = self.call(OpCode::GetChildren, &request)?;
        reply.ok()?;
        let response: GetChildrenResponse<'_> = Reader::new(&reply.body).record()?;
        let mut names: Vec<String> =
            response.children.into_iter().map(std::borrow::Cow::into_owned).collect();
        names.sort();
        Ok(names)
    }

    /// Runs a transaction; `Err` with the failing operation's code when nothing of it was done.
    pub fn multi(&mut self, ops: Vec<MultiOp<'_>>) -> Result<()> {
        let reply = self.call(OpCode::Multi, &MultiRequest { ops })?;
        reply.ok()?;
        let response: MultiResponse<'_> = Reader::new(&reply.body).record()?;
        for result in &response.results {
            if let OpResult::Error(code) = result
                && *code != 0
            {
                return Err(Error::Code(
                    ErrorCode::try_from(*code).unwrap_or(ErrorCode::SystemError),
                ));
            }
        }
        Ok(())
    }

    /// Waits until this server has applied everything that was decided before.
    pub fn sync(&mut self, path: &str) -> Result<()> {
        self.call(OpCode::Sync, &SyncRequest { path: path.into() })?.ok()
    }
}

/// A request for a znode open to the world.
#[must_use]
pub fn create_request<'a>(path: &'a str, data: &'a [u8], flags: i32) -> CreateRequest<'a> {
    CreateRequest { path: path.into(), data: Some(data), acl: Some(Acl::open()), flags }
}

/// The body of a request that has none.
#[derive(Debug, Clone, Copy)]
pub struct Nothing;

impl Encode for Nothing {
    fn encode(&self, _out: &mut BytesMut) {}
}

/// The body of a write with its number in its session ([`jute_proto::once`]).
#[derive(Debug, Clone, Copy)]
pub struct Numbered<'a, T>(pub WriteNumber, pub &'a T);

impl<T: Encode> Encode for Numbered<'_, T> {
    fn encode(&self, out: &mut BytesMut) {
        self.0.encode(out);
        self.1.encode(out);
    }
}

/// A body of any bytes.
#[derive(Debug, Clone, Copy)]
pub struct Noise<'a>(pub &'a [u8]);

impl Encode for Noise<'_> {
    fn encode(&self, out: &mut BytesMut) {
        out.extend_from_slice(self.0);
    }
}

/// Opens a socket without a handshake.
pub fn open(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(REPLY_PATIENCE))?;
    stream.set_write_timeout(Some(REPLY_PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether the other side closes the connection within the reply time; what it sends before is
/// dropped.
pub fn closed(stream: &mut TcpStream) -> bool {
    let mut sink = [0; 4096];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                let waiting = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
                return !waiting.contains(&error.kind());
            }
        }
    }
}

/// A frame around what `body` writes.
pub fn frame(body: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    let mark = begin_frame(&mut out);
    body(&mut out);
    end_frame(&mut out, mark);
    out
}

/// Reads one frame, its length taken off.
pub fn read_frame(stream: &mut TcpStream) -> Result<Bytes> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix)?;
    let announced = i32::from_be_bytes(prefix);
    let len = usize::try_from(announced)
        .ok()
        .filter(|len| *len <= FRAME_MAX)
        .ok_or_else(|| Error::Malformed(format!("a frame of {announced} bytes")))?;
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    Ok(body.into())
}
