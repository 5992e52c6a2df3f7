//! The way between servers: openraft's requests, and those of clients, over TCP.
//!
//! ```text
//! connecting server                       accepting server
//!   hello  magic, versions, purpose,  ──►   checks it
//!          ensemble, from, to
//!                                     ◄──   the version agreed on, or a refusal with its reason
//!   request                           ──►
//!                                     ◄──   response           one at a time on a connection
//! ```
//!
//! * [`hello`]: the greeting.
//! * [`stream`], [`frame`]: bytes on a connection, and messages with their lengths.
//! * [`dialer`]: connecting, and where peers are.
//! * [`security`]: TLS, where it is configured, and what certificates have to show.
//! * [`message`]: the requests and responses of Raft, in postcard.
//! * [`peer`]: the connecting side of Raft, one connection for each purpose, so that a heartbeat
//!   never waits behind a snapshot.
//! * [`gate`], [`server`]: the accepting side.
//! * [`transfer`], [`inbox`]: a checkpoint on its way out, and in.
//!
//! A hello says all versions that a server can talk; both sides then talk the newest that both
//! know. A peer without a common version, one of another ensemble, or one that takes this server
//! for another, is refused, with a line in the log of both.
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

mod complaints;
mod dialer;
pub(super) mod frame;
mod gate;
mod hello;
mod inbox;
mod message;
mod peer;
mod security;
mod server;
mod stream;
mod transfer;

pub use dialer::AddressBook;
pub(super) use dialer::Dialer;
pub(super) use gate::ForwardConn;
pub use hello::EnsembleName;
pub(super) use hello::{Own, Purpose};
pub(super) use peer::Peers;
pub(super) use security::Security;
pub(super) use server::PeerListener;
pub(super) use stream::PeerStream;
