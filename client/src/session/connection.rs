//! The phase of a session's connection, and the times at which something is due.

use std::time::Duration;

/// A moment, as the time since the client was started.
pub(crate) type Time = Duration;

/// The shortest time for a connection attempt, however many servers share the session timeout.
const ATTEMPT_MIN: Duration = Duration::from_secs(1);

/// The longest time for each step of an attempt, however long sessions last: Apache ZooKeeper,
/// while it starts, takes connections that it then never answers.
const ATTEMPT_MAX: Duration = Duration::from_secs(4);

/// How many attempts there is time for within the session timeout, however few servers there are:
/// one that hangs must not cost the session.
const ATTEMPTS: usize = 3;

/// The longest silence towards the server.
const PING_MAX: Duration = Duration::from_secs(10);

/// How long closing may take.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// The phase of the connection: what the session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits until the next attempt.
    Waiting { until: Time },
    /// Waits for a connection to be opened.
    Dialing { deadline: Time },
    /// Waits for the answer to the handshake.
    Handshaking { deadline: Time },
    /// Sends requests and takes answers.
    Open { since: Time },
    /// Waits for the answer to the last request.
    Closing { deadline: Time },
    /// Does nothing any more. No phase follows.
    Ended,
}

/// A step that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The next attempt.
    Dial,
    /// The attempt took too long.
    AttemptFailed,
    /// The server of a connection that is open `since` then was silent for too long.
    Lost { since: Time },
    /// The client was silent for too long.
    Ping,
    /// The server did not answer the last request in time.
    Closed,
}

/// The one connection that a session has at a time: its phase, and the last signs of life on it.
///
/// Time comes in as an argument; nothing here reads a clock. All timings are parts of the session
/// timeout, so that a client gives a server up, and finds another, before the ensemble gives the
/// session up.
#[derive(Debug)]
pub(super) struct Connection {
    phase: Phase,
    /// The session timeout: the one asked for, until a server has granted one.
    timeout: Duration,
    /// When a server last said anything. The ensemble counts the session timeout from about then.
    last_heard: Time,
    last_sent: Time,
}

impl Connection {
    pub(super) fn new(timeout: Duration) -> Self {
        let phase = Phase::Waiting { until: Time::ZERO };
        Self { phase, timeout, last_heard: Time::ZERO, last_sent: Time::ZERO }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    // How the phases follow each other.

    /// Begins a session: the first attempt is due at once, and the session timeout counts from now.
    pub(super) fn begin(&mut self, now: Time, timeout: Duration) {
        self.timeout = timeout;
        self.last_heard = now;
        self.wait_until(now);
    }

    pub(super) fn wait_until(&mut self, until: Time) {
        self.phase = Phase::Waiting { until };
    }

    /// An attempt begins, at one of so many servers.
    pub(super) fn dial(&mut self, now: Time, servers: usize) {
        let attempts = u32::try_from(servers.max(ATTEMPTS)).unwrap_or(u32::MAX);
        let patience = (self.timeout / attempts).clamp(ATTEMPT_MIN, ATTEMPT_MAX);
        self.phase = Phase::Dialing { deadline: now + patience };
    }

    /// The socket is open. Returns whether an attempt was waiting for it, so that the handshake is
    /// to be sent.
    pub(super) fn handshake(&mut self, now: Time) -> bool {
        let Phase::Dialing { deadline } = self.phase else { return false };
        // The answer may take as long as opening the connection might have taken.
        let patience = (self.timeout / 3).min(ATTEMPT_MAX);
        self.phase = Phase::Handshaking { deadline: deadline.max(now + patience) };
        true
    }

    /// A server has granted the session this timeout.
    pub(super) fn open(&mut self, now: Time, timeout: Duration) {
        self.timeout = timeout;
        self.phase = Phase::Open { since: now };
    }

    /// The last request was sent.
    pub(super) fn close(&mut self, now: Time) {
        self.phase = Phase::Closing { deadline: now + CLOSE_MAX.min(self.timeout) };
    }

    pub(super) fn end(&mut self) {
        self.phase = Phase::Ended;
    }

    // Signs of life.

    pub(super) fn heard(&mut self, now: Time) {
        self.last_heard = now;
    }

    pub(super) fn sent(&mut self, now: Time) {
        self.last_sent = now;
    }

    // The passing of time.

    /// The step that is due, if any. It stays due until the phase or a sign of life changes that.
    pub(super) fn due(&self, now: Time) -> Option<Due> {
        match self.phase {
            Phase::Waiting { until } => (until <= now).then_some(Due::Dial),
            Phase::Dialing { deadline } | Phase::Handshaking { deadline } => {
                (deadline <= now).then_some(Due::AttemptFailed)
            }
            Phase::Open { since } if self.silence_at() <= now => Some(Due::Lost { since }),
            Phase::Open { .. } => (self.ping_at() <= now).then_some(Due::Ping),
            Phase::Closing { deadline } => (deadline <= now).then_some(Due::Closed),
            Phase::Ended => None,
        }
    }

    /// When something is due next.
    pub(super) fn due_at(&self) -> Option<Time> {
        match self.phase {
            Phase::Waiting { until: at }
            | Phase::Dialing { deadline: at }
            | Phase::Handshaking { deadline: at }
            | Phase::Closing { deadline: at } => Some(at),
            Phase::Open { .. } => Some(self.silence_at().min(self.ping_at())),
            Phase::Ended => None,
        }
    }

    /// When there has been no connection for the session timeout; `None` while there is one.
    pub(super) fn overdue_at(&self) -> Option<Time> {
        match self.phase {
            Phase::Waiting { .. } | Phase::Dialing { .. } | Phase::Handshaking { .. } => {
                Some(self.last_heard + self.timeout)
            }
            Phase::Open { .. } | Phase::Closing { .. } | Phase::Ended => None,
        }
    }

    /// When to send a ping, so that the server does not take the client for gone.
    fn ping_at(&self) -> Time {
        self.last_sent + (self.timeout / 3).min(PING_MAX)
    }

    /// When the server has been silent for too long. A ping was answered long before, and a third
    /// of the session timeout is left to find another server.
    fn silence_at(&self) -> Time {
        self.last_heard + self.timeout * 2 / 3
    }
}
