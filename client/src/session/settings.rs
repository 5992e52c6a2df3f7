//! The settings of a session.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jute_proto::Extensions;

use super::status::SavedSession;

/// A scheme and what proves an identity in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credential {
    pub(crate) scheme: String,
    pub(crate) auth: Bytes,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// The settings of a [`Session`](super::Session).
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Whether to ask for anything beyond ZooKeeper's protocol.
    pub(crate) extensions: bool,
    /// Whether to ask for linearizable reads.
    pub(crate) linearizable_reads: bool,
    /// Whether to look for the leader.
    pub(crate) prefer_leader: bool,
    /// Whether writes are to be repeated after a lost connection, where the server sees to it that
    /// they happen once.
    pub(crate) exactly_once: bool,
    /// How many servers there are to try.
    pub(crate) hosts: usize,
    /// The session timeout to ask for.
    pub(crate) timeout: Duration,
    /// Whether a server in read-only mode will do.
    pub(crate) read_only: bool,
    /// Whether a new session follows one that was lost.
    pub(crate) renew: bool,
    /// Whether the session goes on when the client is closed.
    pub(crate) detached: bool,
    /// The session to take up.
    pub(crate) resume: Option<SavedSession>,
    /// The credentials with which every connection authenticates.
    pub(crate) credentials: Vec<Credential>,
    /// Longest pause between two rounds of trying all servers.
    pub(crate) backoff_max: Duration,
    /// Whether to try the servers in random order.
    pub(crate) shuffle: bool,
    /// The seed of the chance in the order of servers and the length of pauses.
    pub(crate) seed: u64,
    /// How many requests may wait for their answers.
    pub(crate) outstanding_max: usize,
    /// How many bytes the waiting requests may have together.
    pub(crate) outstanding_bytes_max: usize,
    /// The longest request in bytes.
    pub(crate) request_max: usize,
    /// The longest answer in bytes.
    pub(crate) response_max: usize,
}

/// The protocol version of clients that know nothing beyond ZooKeeper's protocol.
const PLAIN_VERSION: i32 = 0;

impl Settings {
    /// The defaults, for so many servers.
    pub(crate) fn new(hosts: usize) -> Self {
        Self {
            extensions: true,
            linearizable_reads: false,
            prefer_leader: false,
            exactly_once: true,
            hosts,
            timeout: Duration::from_secs(10),
            read_only: false,
            renew: true,
            detached: false,
            resume: None,
            credentials: Vec::new(),
            backoff_max: Duration::from_secs(2),
            shuffle: true,
            seed: 0,
            outstanding_max: 16_384,
            outstanding_bytes_max: 64 << 20,
            request_max: 0xf_ffff,
            response_max: 128 << 20,
        }
    }
    /// The protocol version of the handshake, which says which extensions are asked for. A server
    /// that is not Grovekeeper ignores it; the session is a plain one there. `leader_only` asks a
    /// server that does not lead to refuse the session.
    pub(super) fn protocol_version(&self, leader_only: bool) -> i32 {
        if !self.extensions {
            return PLAIN_VERSION;
        }
        let mut wanted = Extensions::PAGES;
        if self.linearizable_reads {
            wanted = wanted.with(Extensions::LINEARIZABLE_READS);
        }
        if self.exactly_once {
            wanted = wanted.with(Extensions::EXACTLY_ONCE);
        }
        if self.prefer_leader {
            wanted = wanted.with(Extensions::TELL_LEADER);
            if leader_only {
                wanted = wanted.with(Extensions::LEADER_ONLY);
            }
        }
        wanted.protocol_version()
    }
}
