//! The task of a client: select, then handle.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;

use crate::runtime::{Instant, Sleep, now, sleep_until, yield_now};
use crate::session::{Effect, SessionState, Time};

use super::dial::{Host, dial, takes_writes};
use super::session_handle::{SessionHandle, Token};
use super::stream::{Security, Stream};
use super::watch_queue::WatchQueue;

/// How much room is made for what the server sends, and the least that a read is given. Answers
/// that nobody has taken yet are slices of that room, so it is used up before there is more.
const READ_ROOM: usize = 64 * 1024;
const READ_ROOM_MIN: usize = 4 * 1024;

/// How long the driver sleeps where the session asks for nothing.
const IDLE: Duration = Duration::from_secs(3600);

/// Drives the session until it ends. `seed` decides which of a server's addresses comes first.
pub(crate) async fn run(
    handle: Arc<SessionHandle>,
    hosts: Vec<Host>,
    security: Security,
    seed: u64,
) {
    let start = now();
    let mut driver = Driver {
        handle: EndOnDrop(handle),
        hosts,
        security,
        dials: usize::try_from(seed % 1021).unwrap_or_default(),
        start,
        alarm: Box::pin(sleep_until(start)),
        connection: Connection::None,
        probe: None,
        input: BytesMut::new(),
        output: BytesMut::new(),
        has_unread: false,
        effects: VecDeque::new(),
    };
    driver.handle(Input::Start);
    while driver.carry_out_effects() {
        let input = driver.select().await;
        driver.handle(input);
    }
}

/// An event for the driver.
enum Input {
    Start,
    Wake,
    Dialed(io::Result<Stream>),
    Read(io::Result<usize>),
    /// There is more of what was read.
    Rest,
    /// A server was asked whether it takes writes.
    Probed(usize, bool),
}

enum Connection {
    None,
    Dialing(Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>),
    Open(Stream),
}

struct Driver {
    handle: EndOnDrop,
    hosts: Vec<Host>,
    security: Security,
    dials: usize,
    start: Instant,
    alarm: Pin<Box<Sleep>>,
    connection: Connection,
    probe: Option<Probe>,
    input: BytesMut,
    output: BytesMut,
    /// Whether `input` may have more whole packets.
    has_unread: bool,
    effects: VecDeque<Effect<Token, Arc<WatchQueue>>>,
}

impl Driver {
    fn now(&self) -> Time {
        self.start.elapsed()
    }

    async fn select(&mut self) -> Input {
        if self.has_unread {
            return self.yield_to_callers().await;
        }
        tokio::select! {
            biased;
            // The driver looks at the other inputs after each step, so that the first cannot starve
            // them.
            input = advance(&mut self.connection, &mut self.input, &mut self.output) => input,
            () = self.handle.0.wake.notified() => Input::Wake,
            () = self.alarm.as_mut() => Input::Wake,
            input = advance_probe(&mut self.probe) => input,
        }
    }

    /// Lets the callers that were answered ask again, and sends what they ask, so that the server
    /// works on it while the rest of its answers is taken.
    async fn yield_to_callers(&mut self) -> Input {
        yield_now().await;
        let now = self.now();
        self.handle.0.session.lock().take_output(now, &mut self.output);
        if let Connection::Open(stream) = &mut self.connection {
            stream.send_some(&mut self.output).await;
        }
        Input::Rest
    }

    fn handle(&mut self, input: Input) {
        let now = self.now();
        let handle = Arc::clone(&self.handle.0);
        let mut session = handle.session.lock();
        match input {
            Input::Start => session.start(now),
            Input::Wake => {}
            Input::Probed(host, writable) => {
                self.probe = None;
                if writable {
                    session.found_writable(now, host);
                }
            }
            Input::Dialed(Ok(stream)) => {
                self.connection = Connection::Open(stream);
                session.socket_opened(now);
            }
            Input::Dialed(Err(error)) => {
                tracing::debug!(%error, "a server could not be reached");
                self.connection = Connection::None;
                session.disconnected(now);
            }
            Input::Rest | Input::Read(Ok(1..)) => {
                self.has_unread = session.receive(now, &mut self.input);
            }
            Input::Read(outcome) => {
                self.has_unread = false;
                if let Err(error) = outcome {
                    tracing::debug!(%error, "the connection is lost");
                }
                self.connection = Connection::None;
                session.disconnected(now);
            }
        }
        if handle.closing.load(Ordering::Acquire) {
            session.close(now);
        }
        session.tick(now);
    }

    /// Carries out what the session wants. Returns whether there is more to come.
    fn carry_out_effects(&mut self) -> bool {
        let now = self.now();
        let handle = Arc::clone(&self.handle.0);
        let (deadline, ended) = {
            let mut session = handle.session.lock();
            session.take_effects(&mut self.effects);
            session.take_output(now, &mut self.output);
            (session.deadline(), session.has_ended())
        };
        let deadline = self.start + deadline.unwrap_or(now + IDLE);
        // A deadline that has moved back is met early and set again then: cheaper than setting it
        // at every packet.
        if deadline < self.alarm.deadline() || self.alarm.is_elapsed() {
            self.alarm.as_mut().reset(deadline);
        }
        while let Some(effect) = self.effects.pop_front() {
            match effect {
                Effect::Dial(host) => self.dial(self.hosts.get(host).cloned()),
                Effect::Probe(host) => self.probe(host),
                Effect::DialAt(address) => self.dial(Host::parse(&address)),
                Effect::Hangup => {
                    self.connection = Connection::None;
                    self.probe = None;
                    self.has_unread = false;
                    self.input.clear();
                    self.output.clear();
                }
                told @ (Effect::Complete(..) | Effect::Notify(..) | Effect::Status(_)) => {
                    tell(&handle, told);
                }
            }
        }
        !ended
    }

    fn probe(&mut self, host: usize) {
        if let Some(server) = self.hosts.get(host) {
            let security = self.security.clone();
            let answer = Box::pin(takes_writes(server.clone(), self.dials, security));
            self.probe = Some(Probe { host, answer });
        }
    }

    fn dial(&mut self, host: Option<Host>) {
        self.dials += 1;
        let (choice, security) = (self.dials, self.security.clone());
        self.connection = Connection::Dialing(Box::pin(async move {
            let host = host.ok_or(io::ErrorKind::InvalidInput)?;
            dial(host, choice, security).await
        }));
    }
}

/// A question to another server, under way.
struct Probe {
    host: usize,
    answer: Pin<Box<dyn Future<Output = bool> + Send>>,
}

async fn advance_probe(probe: &mut Option<Probe>) -> Input {
    match probe {
        Some(probe) => Input::Probed(probe.host, probe.answer.as_mut().await),
        None => pending().await,
    }
}

/// Answers a caller, tells a watch, or shows the status.
fn tell(handle: &SessionHandle, effect: Effect<Token, Arc<WatchQueue>>) {
    match effect {
        // A caller that has gone away does not want to know.
        Effect::Complete(token, outcome) => drop(token.send(outcome)),
        Effect::Notify(sink, notice) => sink.put(notice),
        Effect::Status(status) => {
            handle.status.send_replace(status);
        }
        Effect::Dial(_) | Effect::DialAt(_) | Effect::Probe(_) | Effect::Hangup => {}
    }
}

/// Does the next bit of work on the connection. Nothing is lost when it is dropped half-way: all
/// progress is in the buffers.
async fn advance(
    connection: &mut Connection,
    input: &mut BytesMut,
    output: &mut BytesMut,
) -> Input {
    match connection {
        Connection::None => pending().await,
        Connection::Dialing(dial) => Input::Dialed(dial.await),
        Connection::Open(stream) => Input::Read(exchange(stream, input, output).await),
    }
}

/// Writes what there is to write, and returns after the first read.
async fn exchange(
    stream: &mut Stream,
    input: &mut BytesMut,
    output: &mut BytesMut,
) -> io::Result<usize> {
    if input.capacity() - input.len() < READ_ROOM_MIN {
        input.reserve(READ_ROOM);
    }
    stream.exchange(input, output).await
}

/// Sees to it that no caller waits for ever, should the runtime drop the driver.
struct EndOnDrop(Arc<SessionHandle>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let mut effects = VecDeque::new();
        {
            let mut session = self.0.session.lock();
            session.end(SessionState::Closed);
            session.take_effects(&mut effects);
        }
        for effect in effects {
            tell(&self.0, effect);
        }
    }
}
