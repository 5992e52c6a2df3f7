//! A connection on which requests are answered in order.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::super::leadership::check_quorum::QuorumCheck;
use super::super::leadership::contact::{ConnectionActivity, Contact, RequestMark};
use super::super::leadership::read_index::ReadIndex;
use super::super::leadership::timings::Timings;
use super::frame::Frames;
use super::frame::Room;
use super::frame::encode;
use super::message::{AppendResponse, Request, Response};
use super::stream::PeerStream;
use super::terms::check_response;
use super::terms::term_of;
use crate::env::time::{Instant, timeout};

/// How long the other server may take nothing at all of what is written.
const WRITE_PATIENCE: Duration = Duration::from_secs(3);

/// The parts of leadership that a connection to a peer tells of what comes, and asks what to send. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct LeadershipHandles {
    /// Is told of all that comes.
    pub(crate) contact: Contact,
    /// Whether a leader may send anything.
    pub(crate) quorum_check: QuorumCheck,
    /// Which round of reads a request belongs to, and which heartbeats reads ask for.
    pub(crate) read_index: ReadIndex,
}

impl LeadershipHandles {
    /// The leadership of a server with this contact to its peers.
    pub(crate) fn new(contact: Contact, timings: Timings) -> Self {
        let read_index = ReadIndex::new(contact.clone(), timings);
        Self { contact, quorum_check: QuorumCheck::default(), read_index }
    }

    /// Of the peers of server `own`.
    #[cfg(test)]
    pub(crate) fn of(own: u64) -> Self {
        Self::new(Contact::new(own), Timings::default())
    }
}

/// A connection, and the answers that are still to come on it.
///
/// The caller that waits for an answer may give up: the answer is skipped when it comes, but counts for reads.
#[derive(Debug)]
pub(crate) struct Link {
    stream: PeerStream,
    frames: Frames,
    leadership: LeadershipHandles,
    /// The other server.
    target: u64,
    /// The last term that a request spoke for.
    term: u64,
    /// Requests without an answer; what the answers to appends will be worth.
    owed: VecDeque<Option<RequestMark>>,
    /// When something last came, or was first asked since.
    activity: ConnectionActivity,
    /// Whether half a request may have been written.
    is_torn: bool,
}

impl Link {
    /// A connection to the server of that number.
    pub(super) fn new(stream: PeerStream, target: u64, leadership: LeadershipHandles) -> Self {
        let (frames, owed) = (Frames::new(Room::default()), VecDeque::new());
        leadership.contact.answering().note(target);
        let activity = ConnectionActivity::new();
        Self { stream, frames, leadership, target, term: 0, owed, activity, is_torn: false }
    }

    /// Whether nothing was written by half.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_torn
    }

    /// How many requests have no answer yet.
    pub(super) fn owed(&self) -> usize {
        self.owed.len()
    }

    /// When an answer is late, if one may take so long from when something last came or was first asked since.
    pub(super) fn late_at(&self, patience: Duration) -> Instant {
        self.activity.idle_at(patience)
    }

    /// Sends a request. After a failure, or when it is given up, the connection is of no use.
    pub(super) async fn send(&mut self, request: &Request) -> io::Result<()> {
        if self.is_torn {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let frame = encode(request)?;
        self.is_torn = true;
        self.term = term_of(request).unwrap_or(self.term);
        // Before the first byte: a read that begins while this is written is not confirmed by it.
        let stamp = match request {
            Request::Append(rpc) => Some(self.leadership.read_index.stamp(rpc.vote.term)),
            Request::Vote(_)
            | Request::PreVote(_)
            | Request::TransferLeader(_)
            | Request::BeginSnapshot { .. }
            | Request::Rows(_)
            | Request::EndSnapshot(_) => None,
        };
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
        if self.owed.is_empty() {
            self.activity.note();
        }
        self.owed.push_back(stamp);
        Ok(())
    }

    /// Waits for the answer to one of the last `wanted` requests; `None` when the other server says
    /// that it still works. Cancel-safe.
    pub(super) async fn receive(&mut self, wanted: usize) -> io::Result<Option<Response>> {
        loop {
            let response = self.frames.next(&mut self.stream).await?;
            check_response(&response, self.term)
                .map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
            self.activity.note();
            self.leadership.contact.answering().note(self.target);
            if matches!(response, Response::Working) {
                return Ok(None);
            }
            let is_wanted = self.owed.len() <= wanted;
            let stamp = self.owed.pop_front().ok_or(io::ErrorKind::InvalidData)?;
            if let Some(stamp) = stamp.filter(|_| keeps_term(&response)) {
                self.leadership.contact.note_answer(self.target, stamp);
            }
            if is_wanted {
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

/// Whether the answer to an append shows that the other server knows no later term.
fn keeps_term(response: &Response) -> bool {
    match response {
        Response::Append(response) => match response {
            AppendResponse::Success
            | AppendResponse::PartialSuccess(_)
            | AppendResponse::Conflict => true,
            AppendResponse::HigherVote(_) => false,
        },
        Response::Vote(_)
        | Response::TransferLeader(_)
        | Response::Snapshot(_)
        | Response::Taken
        | Response::Failed(_)
        | Response::Continue(_)
        | Response::Working => false,
    }
}
