//! The loop of one connection: bytes in, frames to the [`Conn`], bytes out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use jute_proto::{FrameError, next_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use super::four_letter::{self, Word};
use crate::conn::{CloseReason, Conn};
use crate::server::{Client, Shared};

/// How much is read at once: little from a quiet client, more from a busy one.
const READ_LEN_MIN: usize = 2 << 10;
const READ_LEN_MAX: usize = 64 << 10;

/// How long a closing connection may take for its last bytes.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a client until either side ends the connection.
pub(super) async fn run(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    peer: SocketAddr,
    stop: &CancellationToken,
) {
    let mut input = BytesMut::new();
    let patience = Duration::from_millis(shared.settings.handshake_timeout_ms);
    let first = tokio::select! {
        first = tokio::time::timeout(patience, read_first(&mut stream, &mut input)) => first,
        () = stop.cancelled() => return,
    };
    match first {
        Err(_) => tracing::debug!("{peer}: sent nothing for {patience:?}: closed"),
        Ok(Err(error)) => tracing::debug!("{peer}: {error}"),
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => match Word::parse(&input[..4]) {
            Some(word) => four_letter::serve(shared, word, &mut stream, &mut input).await,
            None => Task::new(shared, stream, peer, input).run(stop).await,
        },
    }
}

/// Reads until there are four bytes, which are a word or a length; false if the client left before.
async fn read_first(stream: &mut TcpStream, input: &mut BytesMut) -> std::io::Result<bool> {
    while input.len() < 4 {
        input.reserve(READ_LEN_MIN);
        if stream.read_buf(input).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the loop waited for.
enum Input {
    Received(usize),
    Sent(usize),
    Woken,
    Silent(u64),
    Failed,
    Stopped,
}

struct Task<'a> {
    shared: &'a Arc<Shared>,
    client: Arc<Client>,
    stream: TcpStream,
    input: BytesMut,
    output: BytesMut,
    read_len: usize,
}

impl<'a> Task<'a> {
    fn new(shared: &'a Arc<Shared>, stream: TcpStream, peer: SocketAddr, input: BytesMut) -> Self {
        let now_us = shared.clock.now_us();
        shared.stats.bytes_received.add(input.len() as u64);
        let conn = Conn::new(shared.next_conn_id(), peer, now_us);
        let client = shared.clients.insert(conn, now_us);
        let read_len = READ_LEN_MIN;
        Self { shared, client, stream, input, output: BytesMut::new(), read_len }
    }

    async fn run(mut self, stop: &CancellationToken) {
        let reason = self.serve(stop).await;
        let last_bytes = async {
            let _ = self.stream.write_all(&self.output).await;
            let _ = self.stream.shutdown().await;
        };
        let _ = tokio::time::timeout(LINGER, last_bytes).await;
        self.report(&reason);
        self.shared.disconnect(&self.client, reason);
    }

    /// One await a round; all that follows is done before the next.
    async fn serve(&mut self, stop: &CancellationToken) -> CloseReason {
        loop {
            self.take_frames();
            let (wants_input, idle_limit_us) = {
                let mut conn = self.client.conn.lock();
                let output = conn.take_output();
                if self.output.is_empty() {
                    self.output = output;
                } else {
                    self.output.unsplit(output);
                }
                if let Some(reason) = conn.close_reason() {
                    return reason.clone();
                }
                let settings = &self.shared.settings;
                let room = self.output.len() < settings.output_len_high;
                let crowded = conn.has_outstanding() && self.shared.is_crowded();
                (conn.wants_input(settings) && room && !crowded, conn.idle_limit_us(settings))
            };
            match self.wait(wants_input, idle_limit_us, stop).await {
                Input::Received(0) | Input::Failed => return CloseReason::Disconnected,
                Input::Received(len) => self.received(len),
                Input::Sent(len) => self.shared.stats.bytes_sent.add(len as u64),
                Input::Woken => {}
                Input::Silent(limit_ms) => return CloseReason::Idle(limit_ms),
                Input::Stopped => return CloseReason::ServerStops,
            }
        }
    }

    async fn wait(
        &mut self,
        wants_input: bool,
        idle_limit_us: u64,
        stop: &CancellationToken,
    ) -> Input {
        let heard_us = self.client.heard_us.load(Ordering::Relaxed);
        let now_us = self.shared.clock.now_us();
        let left = Duration::from_micros((heard_us + idle_limit_us).saturating_sub(now_us));
        let (mut reader, mut writer): (ReadHalf<'_>, WriteHalf<'_>) = self.stream.split();
        if wants_input {
            self.input.reserve(self.read_len);
        }
        tokio::select! {
            received = reader.read_buf(&mut self.input), if wants_input => {
                received.map_or(Input::Failed, Input::Received)
            }
            sent = writer.write_buf(&mut self.output), if !self.output.is_empty() => {
                sent.map_or(Input::Failed, Input::Sent)
            }
            () = self.client.wake.notified() => Input::Woken,
            // A client that is not listened to cannot be blamed for silence.
            () = tokio::time::sleep(left), if wants_input => Input::Silent(idle_limit_us / 1000),
            () = stop.cancelled() => Input::Stopped,
        }
    }

    fn received(&mut self, len: usize) {
        self.client.heard_us.store(self.shared.clock.now_us(), Ordering::Relaxed);
        self.shared.stats.bytes_received.add(len as u64);
        self.read_len = if len >= self.read_len {
            (self.read_len * 2).min(READ_LEN_MAX)
        } else {
            (self.read_len / 2).max(len.next_power_of_two()).max(READ_LEN_MIN)
        };
    }

    /// Hands over every whole frame, as far as the connection takes them.
    fn take_frames(&mut self) {
        let max = self.shared.settings.packet_len_max;
        if !matches!(jute_proto::frame_len(&self.input, max), Ok(Some(_)) | Err(_)) {
            return;
        }
        let replica = self.shared.replica.read();
        let mut conn = self.client.conn.lock();
        let view = self.shared.view(&replica);
        let mut log = &**self.shared;
        while conn.wants_input(&self.shared.settings) {
            match next_frame(&mut self.input, max) {
                Ok(Some(frame)) => conn.receive(view, &mut log, frame),
                Ok(None) => return,
                Err(error) => {
                    self.shared.stats.requests_too_large.increment();
                    let what = describe(&error, &self.input);
                    return conn.close(CloseReason::BadFrame(what));
                }
            }
        }
    }

    fn report(&self, reason: &CloseReason) {
        let conn = self.client.conn.lock();
        let (peer, session) = (conn.peer(), conn.session());
        if reason.is_suspicious() {
            tracing::warn!("{peer}, session {session}: closed: {reason}");
        } else {
            tracing::debug!("{peer}, session {session}: closed: {reason}");
        }
    }
}

/// What is wrong with a frame, and whose it is as far as its beginning tells.
fn describe(error: &FrameError, input: &[u8]) -> String {
    let (op, path) = Conn::describe(&input[4.min(input.len())..]);
    let op = op.map_or_else(|| "an unknown operation".to_owned(), |op| op.to_string());
    match path {
        Some(path) => format!("{error} (jute.maxbuffer); it asks for {op} of {path}"),
        None => format!("{error} (jute.maxbuffer); it asks for {op}"),
    }
}
