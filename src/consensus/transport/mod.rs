//! The way between servers: Raft's requests, and those of clients, over TCP.
//!
//! ```text
//! connecting server                       accepting server
//!   handshake                        ◄──►
//!   request                           ──►
//!                                     ◄──   response           in order, many on their way
//! ```
//!
//! What must stay true:
//!
//! * Responses come in the order of their requests on each connection. Nothing else tells them apart.
//! * All that is written here is of types of this room: their bytes are frozen ([`message`], [`handshake`]).
//! * No peer is believed without proof that it is the member that it says, and none with an impossible term
//!   ([`terms`]).
//! * Whatever a peer sends, it takes a bounded amount of memory and connections ([`frame`], [`connection_limits`]).
//!
//! The files:
//!
//! * [`handshake`]: what a connection begins with.
//! * [`stream`], [`frame`]: bytes on a connection, and messages with their lengths.
//! * [`dialer`]: connecting, and where peers are.
//! * [`security`]: TLS, where it is configured, and what certificates have to show.
//! * [`message`]: the requests and responses of Raft, in postcard.
//! * [`peer`], [`link`]: the connecting side of Raft, one connection for each purpose, so that a
//!   heartbeat never waits behind entries or a checkpoint.
//! * [`append`]: entries, many requests on their way at once.
//! * [`heartbeat`]: heartbeats, on a connection that is read all the time.
//! * [`acknowledged`]: what a follower may not have lost. [`terms`]: which terms cannot be.
//! * [`authenticator`], [`acceptor`]: the accepting side. [`peer_service`]: the rooms above, as it sees them.
//! * [`snapshot_sender`], [`snapshot_receiver`]: a checkpoint on its way out, and in.
//!
//! A peer without a common version, one of another ensemble, or one that takes this server for
//! another, is refused, with a line in the log of both.
//!
//! # Versions, and how an ensemble is upgraded
//!
//! Servers are upgraded one by one, so neighbouring versions work together for a while:
//!
//! * *Messages.* A hello says the oldest and the newest version that its server talks; both sides
//!   then talk the newest that both know. Variants of messages are numbered, and
//!   new ones go to the end; a version is what both sides may send. The layout of the hello never changes.
//! * *What stays*: log entries, rows of checkpoints. A follower must be able to read what the leader
//!   wrote, now and after a restart. A new format is therefore used only when
//!   every member is known to read it: [`KnownVersions`] remembers the newest version of each from the
//!   greetings, and a member that has not been met counts as the oldest. All replicas must turn
//!   to it at the same entry, so the leader proposes the turn as a command of its own once
//!   [`Consensus::common_version`](super::Consensus::common_version) allows it, and the state keeps
//!   that it was made. There has been no such turn yet: one format of entries and rows exists.
//! * Then there is no way back: a server of the older version finds an entry or a row of a format that it does not
//!   know, and stops with a message that says so. Before, every server can be exchanged for the older
//!   version again.
//!
//! The oldest version that is still talked is raised by a release when those that it
//! leaves behind are out of use; nobody upgrades across more than that at once.
//!
//! A server that is too far behind for the log gets the checkpoint:
//!
//! ```text
//! leader                                  the other server
//!   BeginSnapshot its position        ──►
//!                                     ◄──   Continue, with the rows it has of that checkpoint
//!   Rows  Rows  Rows …                ──►   into `received.rows`
//!                                     ◄──   Taken  Taken  Taken …
//!   EndSnapshot number, check sum     ──►   reads them back, then replaces its state
//!                                     ◄──   Snapshot
//! ```

mod acceptor;
mod acknowledged;
mod address_book;
mod append;
mod authenticator;
mod connection_limits;
mod dialer;
pub(crate) mod frame;
mod handshake;
mod heartbeat;
mod link;
pub(crate) mod message;
mod peer;
mod peer_service;
#[cfg(test)]
pub(crate) mod scripted_peer;
mod security;
mod snapshot_receiver;
mod snapshot_sender;
mod stream;
mod terms;
mod wire_bytes;

pub(crate) use acceptor::{PeerListener, PeerServices};
pub use address_book::AddressBook;
pub(crate) use append::Appended;
pub(crate) use authenticator::ForwardConn;
pub(crate) use dialer::Dialer;
pub use handshake::hello::EnsembleName;
pub(crate) use handshake::hello::{LocalIdentity, Purpose};
pub(crate) use handshake::secret::Secret;
pub(crate) use handshake::start_proof::Starts;
pub use handshake::versions::KnownVersions;
pub(crate) use link::LeadershipHandles;
pub(crate) use peer::{Peer, Peers, Unreachable};
pub(crate) use peer_service::{BootstrapService, RaftService};
pub(crate) use security::Security;
pub(crate) use snapshot_sender::SnapshotRows;
pub(crate) use stream::PeerStream;
pub(crate) use wire_bytes::WireBytes;
