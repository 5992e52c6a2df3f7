//! The way between servers: openraft's requests over TCP.
//!
//! ```text
//! connecting server                       accepting server
//!   hello  magic, version, ensemble,  ──►   checks it
//!          from, to
//!                                     ◄──   welcome, or a refusal with its reason
//!   request                           ──►
//!                                     ◄──   response           one at a time on a connection
//! ```
//!
//! * [`frame`]: lengths, the hello, and their limits.
//! * [`message`]: the requests and responses, in postcard.
//! * [`peer`]: the connecting side, one connection for each purpose, so that a heartbeat never waits
//!   behind a snapshot.
//! * [`server`]: the accepting side.
//!
//! The version in the hello is that of everything behind it. A server that speaks several greets
//! with its newest; one that does not know it answers with its own newest, and the first greets again.
//! A peer of another ensemble, or one that takes this server for another, is refused, with a line in
//! the log of both.
//!
//! Left out: a snapshot that breaks off starts anew.

mod frame;
mod message;
mod peer;
mod server;

pub(super) use frame::Membership;
pub(super) use peer::Peers;
pub(super) use server::PeerListener;
