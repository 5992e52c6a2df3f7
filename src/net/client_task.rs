//! The loop of one connection: bytes in, frames to the [`Conn`], bytes out.
//!
//! ```text
//! serve ─► take_frames:  whole frames of `input` go to the Conn, under a lock of the replica
//!   ▲      then, under the lock of the Conn: take its output, say whether the task is idle
//!   │      resume:       what the Conn paused, where its output was taken
//!   └───── wait:         for input, room in the socket, a wake-up, a permit, silence
//! ```
//!
//! A round has one wait, and all that came is dealt with before the next one. What keeps a round from reading is said
//! by four things. The Conn takes no more (`wants_input`). The whole server has too much to do (`held`, crowded). A
//! long write has no permit yet (`left_behind`). Output was not taken (`paused`).
//!
//! A task never holds the thread for long: it gives way after [`BURST_US_MAX`] (`more`), and what takes long by itself
//! has permits ([`LongRequests`](crate::node::LongRequests)).

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use jute_proto::{FrameError, next_frame};
use kernel::conn::CloseKind;
use kernel::conn::{CloseReason, Conn, View};
use kernel::limits::REQUEST_LEN_LONG;
use kernel::replica::Replica;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::io::poll_read_buf;
use tokio_util::sync::CancellationToken;

use super::four_letter::{self, Word};
use super::long_write_permit::{LongWritePermit, takes_turns};
use super::secure::AcceptedStream;
use super::service::ClientService;
use crate::env::task::yield_now;
use crate::env::time::{sleep, timeout};
use crate::node::{ConnectionHandle, Core, Ingress, LongRequestPermit, OverLimit};
use crate::tls::Transport;

/// How much is read at once: little from a quiet client, more from a busy one.
const READ_LEN_MIN: usize = 2 << 10;
const READ_LEN_MAX: usize = 64 << 10;

/// How much is written at once: the system copies it while the tasks of other clients wait.
const WRITE_LEN_MAX: usize = 512 << 10;

/// A larger input buffer goes once it is empty, so that a quiet connection keeps little memory.
const INPUT_KEPT_MAX: usize = 4 * READ_LEN_MAX;

/// After so long requests of other clients, and writes, have their turn, in microseconds.
const BURST_US_MAX: u64 = 2_000;

/// The clock is looked at after so many short requests, and after each longer one.
const REQUESTS_PER_LOOK: u32 = 16;
const REQUEST_LEN_SHORT: usize = 4 << 10;

/// How much of a frame over the limit is read to say what it asked for, and for how long.
const DESCRIBED_LEN_MAX: usize = 4 << 10;
const DESCRIBED_WITHIN: Duration = Duration::from_secs(1);

/// How long a closing connection may take for its last bytes.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a client until either side ends the connection.
pub(super) async fn run(
    service: &ClientService,
    mut accepted: AcceptedStream,
    peer: SocketAddr,
    stop: &CancellationToken,
) {
    let core = service.core();
    let mut input = BytesMut::new();
    let stream = &mut accepted.stream;
    let patience = Duration::from_millis(core.settings.handshake_timeout_ms);
    let first = tokio::select! {
        first = timeout(patience, read_first(stream, &mut input)) => first,
        () = stop.cancelled() => return,
    };
    match first {
        Err(_) => {
            core.stats.sessionless_expired.increment();
            tracing::debug!("{peer}: sent nothing for {patience:?}: closed");
        }
        Ok(Err(error)) => tracing::debug!("{peer}: {error}"),
        Ok(Ok(false)) => {}
        Ok(Ok(true)) => match Word::parse(&input[..4]) {
            Some(word) => four_letter::serve(&service.view, word, stream, peer, &mut input).await,
            None => ClientTask::new(&service.ingress, accepted, peer, input).run(stop).await,
        },
    }
}

/// Reads until there are four bytes, which are a word or a length; false if the client left before.
async fn read_first(stream: &mut Transport, input: &mut BytesMut) -> io::Result<bool> {
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

/// The task that owns the socket of a connection.
struct ClientTask<'a> {
    core: &'a Core,
    ingress: &'a Ingress,
    client: Arc<ConnectionHandle>,
    stream: Transport,
    /// Whether something was written that the stream may still hold back.
    unflushed: bool,
    /// What was received and not handed over: whole frames, and the beginning of one.
    input: BytesMut,
    /// What the Conn gave out and the socket has not taken. While there is some, nobody else may write to the socket:
    /// see `task_idle` of [`ConnectionHandle`].
    output: BytesMut,
    /// How much is read at once.
    read_len: usize,
    /// Whether the session is open, as far as this task has seen.
    open: bool,
    /// Set while requests wait in `input` because the server has too many. Kept over rounds, so that a request knows
    /// how long it waited, and dropped when `input` has no whole frame.
    held: Option<Held>,
    /// Whether whole frames were left behind because others had to have their turn: the next wait ends at once.
    more: bool,
    /// The length of a long write that was left behind, as it has no permit. What comes behind it waits too, for
    /// requests are handed over in order; but it is read, up to a limit, so that pings keep the session.
    left_behind: Option<usize>,
    /// Bytes of large requests that this connection has to give back: when nothing of it is outstanding, and at its
    /// end.
    large_bytes: u64,
    /// The permit for a long write, which lasts until the write has its outcome.
    long_write: LongWritePermit,
}

/// Requests wait because the server has too many.
#[derive(Clone, Copy)]
struct Held {
    /// Since when, in microseconds of the server's clock.
    since_us: u64,
    /// When to look again; `None` where the server takes requests again, and those behind only wait for their turn.
    stall: Option<Duration>,
}

impl<'a> ClientTask<'a> {
    fn new(
        ingress: &'a Ingress,
        accepted: AcceptedStream,
        peer: SocketAddr,
        input: BytesMut,
    ) -> Self {
        let core = &**ingress.core();
        core.stats.bytes_received.add(input.len() as u64);
        let AcceptedStream { stream, is_secure, subject } = accepted;
        let (stream, outlet) = stream.share();
        let client = core.connect(peer, outlet, |conn| {
            if is_secure {
                conn.secured(&core.settings, subject);
            }
        });
        Self {
            core,
            ingress,
            client,
            stream,
            unflushed: false,
            input,
            output: BytesMut::new(),
            read_len: READ_LEN_MIN,
            open: false,
            held: None,
            more: false,
            left_behind: None,
            large_bytes: 0,
            long_write: LongWritePermit::new(&ingress.long_requests),
        }
    }

    async fn run(mut self, stop: &CancellationToken) {
        let reason = self.serve(stop).await;
        // Who sees the connection end finds in the log why.
        self.report(&reason);
        let last_bytes = async {
            let _ = self.stream.write_all(&self.output).await;
            let _ = self.stream.shutdown().await;
        };
        let _ = timeout(LINGER, last_bytes).await;
        self.ingress.large_requests.release(self.large_bytes);
        self.core.disconnect(&self.client, reason).await;
    }

    /// One await a round; all that follows is done before the next.
    async fn serve(&mut self, stop: &CancellationToken) -> CloseReason {
        loop {
            if let Some(error) = self.take_frames().await {
                let reason = self.refuse_frame(error).await;
                self.client.conn.lock().close(reason);
            }
            let (wants_input, idle_limit_us, paused, long) = {
                let mut conn = self.client.conn.lock();
                let settings = &self.core.settings;
                let reason = conn.close_reason().cloned();
                if let Some(reason) = reason {
                    self.output.unsplit(conn.take_output());
                    self.client.set_task_idle(false);
                    return reason;
                }
                // What the socket does not take yet stays with the connection, which has a limit for it:
                // joined to what is left here, it would be copied.
                let takes = self.output.is_empty();
                if takes {
                    self.output = conn.take_output();
                }
                for reply in conn.take_oversized() {
                    tracing::warn!("{reply}");
                }
                if !self.open && conn.is_open() {
                    self.open = true;
                    self.client.opened(conn.session(), self.core.clock.now_us());
                }
                if self.large_bytes > 0 && !conn.has_outstanding() {
                    self.ingress.large_requests.release(std::mem::take(&mut self.large_bytes));
                }
                let crowded = conn.has_outstanding() && self.ingress.is_crowded();
                let held = self.held.is_some_and(|held| held.stall.is_some());
                // A client whose write waits for a permit is read all the same: its pings keep its session.
                let is_full = |len| self.input.len() > len + READ_LEN_MAX;
                let waits = held || self.left_behind.is_some_and(is_full);
                let wants_input = conn.wants_input(settings) && !crowded && !waits;
                // What is resumed into an output that is still full would pause again at once.
                let paused = conn.has_paused() && takes;
                // From here on until the next round takes the lock again, the apply thread may write replies to the
                // socket in place of this task. So everything that has to be done when replies come keeps the task from
                // being idle.
                let task_idle = wants_input
                    && !paused
                    && self.open
                    && self.output.is_empty()
                    && self.large_bytes == 0
                    && self.long_write.is_none();
                self.client.set_task_idle(task_idle);
                (wants_input, conn.idle_limit_us(settings), paused, conn.takes_long())
            };
            if paused {
                self.resume(long).await;
                continue;
            }
            match self.wait(wants_input, idle_limit_us, stop).await {
                Input::Received(0) | Input::Failed => return CloseReason::Disconnected,
                Input::Received(len) => self.received(len),
                Input::Sent(len) => {
                    self.core.stats.bytes_sent.add(len as u64);
                    self.unflushed = len > 0 && self.stream.wants_flush();
                    if self.output.is_empty() {
                        // Lets the connection have the whole buffer again.
                        self.output = BytesMut::new();
                    } else {
                        yield_now().await;
                    }
                }
                Input::Woken => {}
                Input::Silent(silent_ms) => return self.silent(silent_ms),
                Input::Stopped => return CloseReason::ServerStops,
            }
        }
    }

    /// Serves what was paused, as far as there is room for it, then lets others have their turn.
    async fn resume(&self, long: bool) {
        let resume = |replica: &Replica, at_length| {
            let view = View { at_length, ..self.core.view(replica) };
            self.client.resume(view, &mut &*self.ingress);
        };
        if long {
            let permit = self.ingress.long_requests.acquire().await;
            let replica = self.core.replica.read_at_length().await;
            permit.run(|| resume(&replica, true));
        } else {
            resume(&*self.core.replica.read().await, false);
        }
        yield_now().await;
    }

    async fn wait(
        &mut self,
        wants_input: bool,
        idle_limit_us: u64,
        stop: &CancellationToken,
    ) -> Input {
        let heard_us = self.client.heard_us();
        let now_us = self.core.clock.now_us();
        let left = Duration::from_micros((heard_us + idle_limit_us).saturating_sub(now_us));
        let stall = self.held.and_then(|held| held.stall);
        if wants_input {
            self.input.reserve(self.read_len);
        }
        let input = wants_input.then_some(&mut self.input);
        tokio::select! {
            moved = exchange(&mut self.stream, input, &mut self.output, self.unflushed) => {
                moved.unwrap_or(Input::Failed)
            }
            () = self.client.woken() => Input::Woken,
            () = self.long_write.granted() => Input::Woken,
            () = yield_now(), if self.more => Input::Woken,
            // A client that is not listened to cannot be blamed for silence.
            () = sleep(stall.unwrap_or(left)), if wants_input || stall.is_some() => {
                match stall {
                    Some(_) => Input::Woken,
                    None => Input::Silent(idle_limit_us / 1000),
                }
            }
            () = stop.cancelled() => Input::Stopped,
        }
    }

    fn silent(&self, silent_ms: u64) -> CloseReason {
        match self.input.len() {
            0 => CloseReason::Idle(silent_ms),
            received => CloseReason::HalfPacket { received, silent_ms },
        }
    }

    fn received(&mut self, len: usize) {
        // Who has no session yet does not get more time for it by sending a little.
        if self.open {
            self.client.received(self.core.clock.now_us());
        }
        self.core.stats.bytes_received.add(len as u64);
        self.read_len = if len >= self.read_len {
            (self.read_len * 2).min(READ_LEN_MAX)
        } else {
            (self.read_len / 2).max(len.next_power_of_two()).max(READ_LEN_MIN)
        };
    }

    /// Hands over whole frames, as far as the connection takes them and for as long as others may have to
    /// wait. Returns what is wrong with the next one.
    async fn take_frames(&mut self) -> Option<FrameError> {
        // Goes on only where a whole frame is left behind.
        let held = self.held.take();
        self.more = false;
        self.left_behind = None;
        self.long_write.end(|seq| self.client.conn.lock().is_outstanding(seq));
        if self.input.is_empty() {
            if self.input.capacity() > INPUT_KEPT_MAX {
                self.input = BytesMut::new();
            }
            return None;
        }
        let max = self.core.settings.packet_len_max;
        let len = match jute_proto::frame_len(&self.input, max) {
            Ok(Some(len)) => len,
            // Nothing whole is held back, and the rest has to be read.
            Ok(None) => return None,
            Err(error) => {
                let wanted = self.client.conn.lock().wants_input(&self.core.settings);
                return wanted.then_some(error);
            }
        };
        let core = self.core;
        if len <= REQUEST_LEN_LONG {
            let replica = core.replica.read().await;
            return self.hand_frames_over(&replica, held, false);
        }
        self.take_long_frame(len, held).await
    }

    /// Hands a frame over that takes long, if it has a permit, and behind it what there is time for.
    async fn take_long_frame(&mut self, len: usize, held: Option<Held>) -> Option<FrameError> {
        let core = self.core;
        let before = {
            let conn = self.client.conn.lock();
            if !conn.wants_input(&core.settings) {
                // Others have the room meanwhile.
                self.long_write.used(None);
                self.held = held.map(|held| Held { stall: None, ..held });
                return None;
            }
            conn.last_seq()
        };
        if takes_turns(&self.input) && !self.long_write.ask(self.ingress.long_requests.room_of(len))
        {
            self.left_behind = Some(len);
            self.held = held.map(|held| Held { stall: None, ..held });
            return None;
        }
        let permit = match self.long_write.is_granted() {
            true => LongRequestPermit::of_write(),
            false => self.ingress.long_requests.acquire().await,
        };
        let replica = core.replica.read_at_length().await;
        let refused = permit.run(|| self.hand_frames_over(&replica, held, true));
        let last = self.client.conn.lock().last_seq();
        self.long_write.used(last.filter(|_| last != before));
        refused
    }

    /// The part of it that has the replica. A frame that takes long is left behind where there is no time
    /// for it.
    fn hand_frames_over(
        &mut self,
        replica: &Replica,
        held: Option<Held>,
        at_length: bool,
    ) -> Option<FrameError> {
        let core = self.core;
        let max = core.settings.packet_len_max;
        let client = Arc::clone(&self.client);
        let mut conn = client.conn.lock();
        let view = View { at_length, ..core.view(replica) };
        if !core.serving.may_answer(view.now_us) {
            conn.close(CloseReason::NotServing);
            return None;
        }
        let mut short = 0;
        while conn.wants_input(&core.settings) {
            if short >= REQUESTS_PER_LOOK {
                short = 0;
                if core.clock.now_us().saturating_sub(view.now_us) > BURST_US_MAX {
                    self.more = true;
                    break;
                }
            }
            if let Some(stall) = self.ingress.stall() {
                let since_us = held.map_or(view.now_us, |held| held.since_us);
                self.held = Some(Held { since_us, stall: Some(stall) });
                return None;
            }
            let next = jute_proto::frame_len(&self.input, max).ok().flatten();
            if !at_length && next.is_some_and(|len| len > REQUEST_LEN_LONG) {
                self.more = true;
                break;
            }
            match next_frame(&mut self.input, max) {
                Ok(Some(frame)) => {
                    let is_short = frame.len() < REQUEST_LEN_SHORT;
                    short += if is_short { 1 } else { REQUESTS_PER_LOOK };
                    let is_long = frame.len() > REQUEST_LEN_LONG;
                    self.hand_over(&mut conn, view, frame, held);
                    client.note_paused(&conn);
                    if is_long {
                        self.more = true;
                        break;
                    }
                }
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
        self.held = held.map(|held| Held { stall: None, ..held });
        None
    }

    /// Gives a frame to the connection, or refuses it where it was held for too long.
    fn hand_over(&mut self, conn: &mut Conn, view: View<'_>, frame: Bytes, held: Option<Held>) {
        let len = frame.len() as u64;
        if self.ingress.large_requests.is_large(len) {
            match self.ingress.large_requests.reserve(len) {
                Ok(()) => self.large_bytes += len,
                Err(OverLimit { in_flight, max }) => {
                    self.core.stats.large_requests_rejected.increment();
                    return conn.close(CloseReason::LargeRequests { len, in_flight, max });
                }
            }
        }
        let mut log = self.ingress;
        let Some(held) = held else { return conn.receive(view, &mut log, frame) };
        let waited_us = view.now_us.saturating_sub(held.since_us);
        if self.ingress.is_stale(waited_us, conn.timeout_ms()) {
            conn.close(CloseReason::Stale(waited_us / 1000));
        } else if self.ingress.waited_too_long(waited_us) {
            conn.receive_throttled(view, &mut log, frame);
        } else {
            conn.receive(view, &mut log, frame);
        }
    }

    /// Reads on for a moment, so that the log can say what a frame over the limit asked for.
    async fn refuse_frame(&mut self, error: FrameError) -> CloseReason {
        if matches!(error, FrameError::TooLong { .. }) {
            self.core.stats.requests_too_large.increment();
            if self.open {
                let described = async {
                    while self.input.len() < DESCRIBED_LEN_MAX && path_of(&self.input).is_none() {
                        self.input.reserve(READ_LEN_MIN);
                        if !matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {
                            return;
                        }
                    }
                };
                let _ = timeout(DESCRIBED_WITHIN, described).await;
            }
        }
        CloseReason::BadFrame(describe(&error, &self.input))
    }

    fn report(&self, reason: &CloseReason) {
        let conn = self.client.conn.lock();
        let (peer, session) = (conn.peer(), conn.session());
        if matches!(reason.kind(), CloseKind::Idle) && !conn.is_open() {
            self.core.stats.sessionless_expired.increment();
        }
        if matches!(reason, CloseReason::Stale(_)) {
            self.core.stats.stale_requests.increment();
        }
        if reason.is_suspicious() {
            tracing::warn!("{peer}, session {session}: closed: {reason}");
        } else {
            tracing::debug!("{peer}, session {session}: closed: {reason}");
        }
    }
}

/// Writes what there is to write, or reads; whichever can be done first. Nothing is lost when it is
/// dropped half-way.
async fn exchange(
    stream: &mut Transport,
    mut input: Option<&mut BytesMut>,
    output: &mut BytesMut,
    unflushed: bool,
) -> io::Result<Input> {
    poll_fn(|cx| {
        let mut stream = Pin::new(&mut *stream);
        if !output.is_empty() {
            let some = &output[..output.len().min(WRITE_LEN_MAX)];
            if let Poll::Ready(sent) = stream.as_mut().poll_write(cx, some) {
                return Poll::Ready(sent.map(|len| {
                    output.advance(len);
                    Input::Sent(len)
                }));
            }
        } else if unflushed && let Poll::Ready(flushed) = stream.as_mut().poll_flush(cx) {
            return Poll::Ready(flushed.map(|()| Input::Sent(0)));
        }
        match input.as_deref_mut() {
            Some(input) => {
                let received = ready!(poll_read_buf(stream, cx, input));
                Poll::Ready(received.map(Input::Received))
            }
            None => Poll::Pending,
        }
    })
    .await
}

/// What is wrong with a frame, and what it asks for as far as its beginning tells.
fn describe(error: &FrameError, input: &[u8]) -> String {
    if matches!(error, FrameError::Negative { .. }) {
        return error.to_string();
    }
    let (op, path) = Conn::describe(&input[4.min(input.len())..]);
    let op = op.map_or_else(|| "an unknown operation".to_owned(), |op| op.to_string());
    match path {
        Some(path) => format!("{error} (jute.maxbuffer); it asks for {op} of {path}"),
        None => format!("{error} (jute.maxbuffer); it asks for {op}"),
    }
}

fn path_of(input: &[u8]) -> Option<String> {
    Conn::describe(&input[4.min(input.len())..]).1
}
