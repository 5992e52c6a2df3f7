//! A connection on which requests are answered in order.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::super::hearing::Hearing;
use super::frame::{Frames, Room, encode};
use super::message::{Request, Response};
use super::stream::PeerStream;

/// How long the other server may take nothing at all of what is written.
const WRITE_PATIENCE: Duration = Duration::from_secs(3);

/// A connection, and the answers that are still to come on it.
///
/// Whoever waits for an answer may give up: the answer is skipped when it comes.
#[derive(Debug)]
pub(super) struct Link {
    stream: PeerStream,
    frames: Frames,
    /// Whom to tell that the other server, this one, was heard.
    tell: (Hearing, u64),
    /// Requests without an answer.
    owed: usize,
    /// When the other server was heard last.
    heard: Instant,
    /// Whether half a request may have been written.
    is_torn: bool,
}

impl Link {
    /// A connection to the server of that number.
    pub(super) fn new(stream: PeerStream, tell: (Hearing, u64)) -> Self {
        let frames = Frames::new(Room::default());
        tell.0.hear(tell.1);
        Self { stream, frames, tell, owed: 0, heard: Instant::now(), is_torn: false }
    }

    /// Whether nothing was written by half.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_torn
    }

    /// How many requests have no answer yet.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// When the other server was heard last, or was first asked something since.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Sends a request. After a failure, or when it is given up, the connection is of no use.
    pub(super) async fn send(&mut self, request: &Request) -> io::Result<()> {
        if self.is_torn {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let frame = encode(request)?;
        self.is_torn = true;
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            let written = timeout(WRITE_PATIENCE, self.stream.write(rest)).await;
            match written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => rest = &rest[written..],
            }
        }
        let flushed = timeout(WRITE_PATIENCE, self.stream.flush()).await;
        flushed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        self.is_torn = false;
        if self.owed == 0 {
            self.heard = Instant::now();
        }
        self.owed += 1;
        Ok(())
    }

    /// Waits for the answer to one of the last `wanted` requests; `None` when the other server says
    /// that it still works. Cancel-safe.
    pub(super) async fn receive(&mut self, wanted: usize) -> io::Result<Option<Response>> {
        loop {
            let response = self.frames.next(&mut self.stream).await?;
            self.heard = Instant::now();
            self.tell.0.hear(self.tell.1);
            if matches!(response, Response::Working) {
                return Ok(None);
            }
            let owed = self.owed;
            self.owed = owed.checked_sub(1).ok_or(io::ErrorKind::InvalidData)?;
            if owed <= wanted {
                return Ok(Some(response));
            }
        }
    }

    /// Waits until the connection is of no use any more. Cancel-safe.
    pub(super) async fn closed(&mut self) {
        // Skips answers that nobody waits for.
        while self.receive(0).await.is_ok() {}
    }
}
