//! Extensions of the protocol, and looking for the leader with them.
//!
//! A server that is not Grovekeeper ignores what is asked for; the session is a plain one there.

use jute_proto::{ConnectResponse, Extensions, LeaderHint, Reader};

use super::handshake::ProtocolError;
use super::state_machine::{Session, Time};

/// How the search for the leader is going.
#[derive(Debug, Default)]
pub(super) struct LeaderSearch {
    /// Since when there has been no connection.
    pub(super) since: Time,
    /// Where the leader is said to be.
    pub(super) aim: Option<String>,
}

/// What a server said about itself.
pub(super) struct ConnectReply<'a> {
    pub(super) response: ConnectResponse<'a>,
    granted: Extensions,
    hint: Option<LeaderHint<'a>>,
    /// The highest number of a write that was applied in the session, where the server keeps replies.
    pub(super) applied: Option<u64>,
}

impl<'a> ConnectReply<'a> {
    pub(super) fn decode(frame: &'a [u8]) -> Result<Self, ProtocolError> {
        let mut reader = Reader::new(frame);
        let response: ConnectResponse<'_> = reader.record()?;
        let granted = Extensions::of_protocol_version(response.protocol_version);
        let granted = granted.unwrap_or(Extensions::NONE);
        let told = granted.contains(Extensions::TELL_LEADER) && !reader.is_empty();
        let hint = if told { Some(reader.record()?) } else { None };
        let keeps = granted.contains(Extensions::EXACTLY_ONCE) && !reader.is_empty();
        let applied = if keeps { Some(reader.i64()? as u64) } else { None };
        Ok(Self { response, granted, hint, applied })
    }

    /// Whether the session was refused because another server leads.
    fn is_misplaced(&self) -> bool {
        let refused = self.response.timeout_ms <= 0;
        refused && self.hint.as_ref().is_some_and(|hint| *hint != LeaderHint::Here)
    }
}

/// What clients send that know nothing beyond ZooKeeper's protocol.
const PLAIN_VERSION: i32 = 0;

impl<T, W: Clone> Session<T, W> {
    /// What the handshake asks for. Only the leader will do at first; when it is not found in a third
    /// of the time that the session has, any server will.
    pub(super) fn protocol_version(&self, now: Time) -> i32 {
        if !self.settings.extensions {
            return PLAIN_VERSION;
        }
        let mut wanted = Extensions::PAGES;
        if self.settings.linearizable_reads {
            wanted = wanted.with(Extensions::LINEARIZABLE_READS);
        }
        if self.settings.exactly_once {
            wanted = wanted.with(Extensions::EXACTLY_ONCE);
        }
        if self.settings.prefer_leader {
            wanted = wanted.with(Extensions::TELL_LEADER);
            if now < self.leader_search.since + self.status.timeout / 3 {
                wanted = wanted.with(Extensions::LEADER_ONLY);
            }
        }
        wanted.protocol_version()
    }

    /// Goes on to where the leader is said to be, if this server would not do. Returns whether it
    /// goes on.
    pub(super) fn sent_on(&mut self, now: Time, reply: &ConnectReply<'_>) -> bool {
        if !reply.is_misplaced() {
            self.granted = reply.granted;
            self.status.linearizable = reply.granted.contains(Extensions::LINEARIZABLE_READS);
            self.status.exactly_once = reply.applied.is_some();
            self.status.at_leader = reply.hint == Some(LeaderHint::Here);
            return false;
        }
        self.retry(now);
        if let Some(LeaderHint::At(address)) = &reply.hint {
            self.leader_search.aim = Some(address.to_string());
        }
        true
    }
}
