//! The limits of a server, seen from its client port: who is closed, when, and what the log says.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use grovekeeper::app::Server;
use grovekeeper::config::Config;
use jute_proto::{
    ConnectRequest, ConnectResponse, CreateRequest, Encode, ErrorCode, GetDataRequest, OpCode,
    Reader, ReplyHeader, Request, RequestHeader, SessionId, Xid, Zxid, begin_frame, end_frame,
};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long anything may take that has to happen.
const DEADLINE: Duration = Duration::from_secs(20);

async fn start(change: impl FnOnce(&mut Config)) -> (TempDir, Server) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut config = Config::standalone(dir.path().join("data"));
    config.clients.addr.set_port(0);
    config.admin.enabled = false;
    change(&mut config);
    (dir, Server::start(config).await.expect("it starts"))
}

/// One connection, raw.
struct Client {
    stream: TcpStream,
    input: BytesMut,
    session: SessionId,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.client_addr()).await.expect("it listens");
        Self { stream, input: BytesMut::new(), session: SessionId(0) }
    }

    /// Opens a session; `None` where the server closes the connection instead.
    async fn open(server: &Server, timeout_ms: i32) -> Option<Self> {
        let mut client = Self::connect(server).await;
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(0),
            timeout_ms,
            session_id: SessionId(0),
            password: &[0; 16],
            read_only: Some(false),
        };
        let mut out = BytesMut::new();
        let mark = begin_frame(&mut out);
        request.encode(&mut out);
        end_frame(&mut out, mark);
        client.write(&out).await;
        let frame = client.frame().await?;
        let response: ConnectResponse<'_> = Reader::new(&frame).record().expect("an answer");
        client.session = response.session_id;
        Some(client)
    }

    async fn write(&mut self, bytes: &[u8]) {
        // The server may have closed the connection meanwhile; reading shows it.
        let _ = self.stream.write_all(bytes).await;
    }

    async fn send(&mut self, requests: &[(i32, Request<'_>)]) {
        let mut out = BytesMut::new();
        for (xid, request) in requests {
            let mark = begin_frame(&mut out);
            RequestHeader { xid: Xid(*xid), op: request.op_code().into() }.encode(&mut out);
            request.encode(&mut out);
            end_frame(&mut out, mark);
        }
        self.write(&out).await;
    }

    /// The next frame; `None` when the connection ends.
    async fn frame(&mut self) -> Option<Vec<u8>> {
        let next = async {
            loop {
                let frame = jute_proto::next_frame(&mut self.input, 1 << 30).expect("sound");
                if let Some(frame) = frame {
                    return Some(frame.to_vec());
                }
                if !matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {
                    return None;
                }
            }
        };
        tokio::time::timeout(DEADLINE, next).await.expect("an answer or the end, in time")
    }

    async fn reply(&mut self) -> Option<(i32, ErrorCode)> {
        let frame = self.frame().await?;
        let header: ReplyHeader = Reader::new(&frame).record().expect("a header");
        Some((header.xid.0, ErrorCode::try_from(header.err).expect("a known code")))
    }

    async fn is_closed(&mut self) -> bool {
        self.frame().await.is_none()
    }
}

fn create<'a>(path: &'a str, data: &'a [u8]) -> Request<'a> {
    let acl = Some(jute_proto::Acl::open());
    Request::Create(CreateRequest { path: path.into(), data: Some(data), acl, flags: 0 })
}

fn get(path: &str) -> Request<'_> {
    Request::GetData(GetDataRequest { path: path.into(), watch: false })
}

/// What is logged on this thread.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logged {
    /// Collects until the guard is dropped. The server's tasks run on the test's thread.
    fn collect() -> (Self, tracing::subscriber::DefaultGuard) {
        let logged = Self::default();
        let writer = logged.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }

    /// The first line with this text, as soon as there is one.
    async fn line(&self, text: &str) -> String {
        let look = async {
            loop {
                let all = String::from_utf8_lossy(&self.0.lock()).into_owned();
                if let Some(line) = all.lines().find(|line| line.contains(text)) {
                    return line.to_owned();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, look).await.expect("a line in time")
    }
}

#[tokio::test]
async fn a_packet_over_the_limit_is_named_although_it_never_arrives_whole() {
    // The log names session, address, operation, path and size of a packet over jute.maxbuffer of
    // which only the beginning comes, in pieces; the connection ends and is counted.
    let (logged, _guard) = Logged::collect();
    let (_dir, server) = start(|config| config.limits.jute_max_buffer = 1000).await;
    let mut client = Client::open(&server, 10_000).await.expect("a session");
    let mut frame = BytesMut::new();
    frame.extend_from_slice(&1_000_000_i32.to_be_bytes());
    RequestHeader { xid: Xid(1), op: OpCode::Create.into() }.encode(&mut frame);
    create("/big/one", b"").encode(&mut frame);
    client.stream.set_nodelay(true).expect("an option");
    client.write(&frame[..4]).await;
    client.write(&frame[4..14]).await;
    client.write(&frame[14..]).await;
    assert!(client.is_closed().await);
    let line = logged.line("jute.maxbuffer").await;
    let address = client.stream.local_addr().map(|addr| addr.to_string()).unwrap_or_default();
    for part in [&client.session.to_string(), &address, "create of /big/one", "1000000"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(server.node().core().stats.requests_too_large.get(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_reply_over_the_limit_is_named_and_sent() {
    // A reply that a client with the same jute.maxbuffer will not take is sent all the same; the
    // log names session, address, operation, path and size.
    let (logged, _guard) = Logged::collect();
    let (_dir, server) = start(|config| config.limits.jute_max_buffer = 200).await;
    let mut client = Client::open(&server, 10_000).await.expect("a session");
    client.send(&[(1, create("/r", &[b'x'; 150])), (2, get("/r"))]).await;
    assert_eq!(client.reply().await, Some((1, ErrorCode::Ok)));
    assert_eq!(client.reply().await, Some((2, ErrorCode::Ok)));
    let line = logged.line("jute.maxbuffer").await;
    let address = client.stream.local_addr().map(|addr| addr.to_string()).unwrap_or_default();
    for part in [&client.session.to_string(), &address, "getData of /r", "238 bytes"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert_eq!(server.node().core().stats.conns.replies_too_large.get(), 1);
    server.stop().await;
}

#[tokio::test]
async fn connections_in_all_are_limited() {
    // maxCnxns counts every address; a place that is free again is given away.
    let (_dir, server) = start(|config| config.clients.max_total = Some(2)).await;
    let first = Client::open(&server, 10_000).await.expect("a session");
    let second = Client::open(&server, 10_000).await.expect("a session");
    assert!(Client::connect(&server).await.is_closed().await);
    assert_eq!(server.node().core().stats.conns.connections_rejected.get(), 1);
    drop(first);
    let again = async { while Client::open(&server, 10_000).await.is_none() {} };
    tokio::time::timeout(DEADLINE, again).await.expect("a free place");
    drop(second);
    server.stop().await;
}

#[tokio::test]
async fn who_never_shakes_hands_is_closed_in_time() {
    // nio.sessionlessCnxnTimeout counts from the accept: sending a byte now and then buys no time.
    let (_dir, server) = start(|config| config.clients.handshake_timeout_ms = 200).await;
    assert!(Client::connect(&server).await.is_closed().await);
    let mut slow = Client::connect(&server).await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    slow.write(&1000_i32.to_be_bytes()).await;
    let (mut reader, mut writer) = slow.stream.split();
    let drip = async {
        let mut byte = [0];
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    let _ = writer.write_all(&[0]).await;
                }
                read = reader.read(&mut byte) => return matches!(read, Ok(0) | Err(_)),
            }
        }
    };
    assert!(tokio::time::timeout(DEADLINE, drip).await.expect("the end, in time"));
    server.stop().await;
}

#[tokio::test]
async fn who_is_silent_for_the_session_timeout_is_closed() {
    // An idle connection ends with its session; one that pings lives on.
    let (_dir, server) = start(|config| {
        config.sessions.tick_time_ms = 50;
        config.sessions.min_timeout_ms = 100;
    })
    .await;
    let mut idle = Client::open(&server, 2000).await.expect("a session");
    let mut busy = Client::open(&server, 2000).await.expect("a session");
    let ping = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        loop {
            ticks.tick().await;
            busy.send(&[(-2, Request::Ping)]).await;
            assert_eq!(busy.reply().await, Some((-2, ErrorCode::Ok)));
        }
    };
    tokio::select! {
        closed = idle.is_closed() => assert!(closed),
        () = ping => {}
    }
    server.stop().await;
}

#[tokio::test]
async fn large_requests_share_their_room() {
    // A request over largeRequestThreshold that does not fit into largeRequestMaxBytes ends its
    // connection; others are served, and so is the next one that fits.
    let (_dir, server) = start(|config| {
        config.limits.large_request_threshold_bytes = Some(100);
        config.limits.large_request_max_bytes = 1000;
    })
    .await;
    let mut client = Client::open(&server, 10_000).await.expect("a session");
    for round in 0..3 {
        client.send(&[(round, create(&format!("/n{round}"), &[1; 800]))]).await;
        assert_eq!(client.reply().await, Some((round, ErrorCode::Ok)));
    }
    let mut other = Client::open(&server, 10_000).await.expect("a session");
    other.send(&[(1, create("/m", &[1; 1000]))]).await;
    assert!(other.is_closed().await);
    assert_eq!(server.node().core().stats.large_requests_rejected.get(), 1);
    client.send(&[(9, get("/m"))]).await;
    assert_eq!(client.reply().await, Some((9, ErrorCode::NoNode)));
    server.stop().await;
}

#[tokio::test]
async fn requests_that_waited_too_long_are_refused_in_order() {
    // With request_throttle_max_requests writes wait in front of the server; those that waited
    // longer than throttled_op_wait_time are THROTTLEDOP, in their place, and not done.
    let (_dir, server) = start(|config| {
        config.throttle.max_requests = Some(1);
        // Any wait is too long.
        config.throttle.throttled_op_wait_ms = Some(0);
    })
    .await;
    let mut client = Client::open(&server, 10_000).await.expect("a session");
    let requests = [(1, create("/a", b"")), (2, create("/b", b"")), (-2, Request::Ping)];
    client.send(&requests).await;
    assert_eq!(client.reply().await, Some((1, ErrorCode::Ok)));
    assert_eq!(client.reply().await, Some((2, ErrorCode::ThrottledOp)));
    assert_eq!(client.reply().await, Some((-2, ErrorCode::Ok)));
    client.send(&[(3, get("/a")), (4, get("/b"))]).await;
    assert_eq!(client.reply().await, Some((3, ErrorCode::Ok)));
    assert_eq!(client.reply().await, Some((4, ErrorCode::NoNode)));
    assert_eq!(server.node().core().stats.conns.throttled_ops.get(), 1);
    server.stop().await;
}

#[tokio::test]
async fn requests_that_wait_are_served_without_the_limit_on_waiting() {
    // request_throttle_max_requests alone only slows down: everything is answered, in order.
    let (_dir, server) = start(|config| {
        config.throttle.max_requests = Some(2);
        config.throttle.stall_ms = 1;
    })
    .await;
    let mut client = Client::open(&server, 10_000).await.expect("a session");
    let paths: Vec<String> = (0..20).map(|n| format!("/n{n}")).collect();
    let requests: Vec<_> = (0..).zip(&paths).map(|(xid, path)| (xid, create(path, b""))).collect();
    client.send(&requests).await;
    for xid in 0..20 {
        assert_eq!(client.reply().await, Some((xid, ErrorCode::Ok)));
    }
    server.stop().await;
}

#[tokio::test]
async fn connection_requests_are_limited() {
    // With connection_throttle_tokens a burst of clients is cut down to the bucket's size.
    let (_dir, server) = start(|config| {
        config.throttle.connections.tokens = Some(2);
        config.throttle.connections.fill_time_ms = 3_600_000;
    })
    .await;
    let mut served = Vec::new();
    for _ in 0..4 {
        served.extend(Client::open(&server, 10_000).await);
    }
    assert_eq!(served.len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn snap_count_entries_make_a_checkpoint() {
    // After snapCount entries a checkpoint is written, without anyone asking for it.
    let (_dir, server) = start(|config| config.data.checkpoint_after_entries = 4).await;
    let mut client = Client::open(&server, 10_000).await.expect("a session");
    for round in 0..6 {
        client.send(&[(round, create(&format!("/n{round}"), b""))]).await;
        assert_eq!(client.reply().await, Some((round, ErrorCode::Ok)));
    }
    let state = server.node().consensus().data_dir().state().clone();
    let written = async {
        while state.mark().position.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, written).await.expect("a checkpoint in time");
    server.stop().await;
}

#[tokio::test]
async fn many_large_reads_behind_a_write_are_all_answered() {
    // A client that reads gets every reply, also where those that one write held back are more
    // bytes together than may ever wait for a client.
    let (_dir, server) = start(|_| {}).await;
    let mut client = Client::open(&server, 60_000).await.expect("a session");
    let data = vec![7; 900_000];
    client.send(&[(1, create("/n", &data))]).await;
    assert_eq!(client.reply().await, Some((1, ErrorCode::Ok)));
    let mut requests = vec![(2, create("/m", b""))];
    requests.extend((3..103).map(|xid| (xid, get("/n"))));
    client.send(&requests).await;
    for xid in 2..103 {
        assert_eq!(client.reply().await, Some((xid, ErrorCode::Ok)));
    }
    server.stop().await;
}
