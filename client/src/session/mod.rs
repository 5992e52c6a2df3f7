//! The session of a client, without a socket and without a clock.
//!
//! [`Session`] is a state machine: what happens goes in through its methods (calls, bytes, the
//! time, the end of a connection), what is to be done comes out as bytes to send, as [`Effect`]s to
//! carry out and as the next moment at which it wants to be told the time. It is generic over the
//! token that stands for a caller waiting for an answer and over the place where watch events go,
//! so that tests drive it with plain numbers, in virtual time.
//!
//! [`Session`] conducts parts that each own their fields:
//!
//! | file | what |
//! |---|---|
//! | `state_machine` | the entry points, and what concerns several parts |
//! | `connection` | the phases of the connection, and all timings |
//! | `identity` | the session's id and password, and the newest transaction seen |
//! | `grants` | which extensions the server of the connection has |
//! | `outstanding` | requests that wait for their answers |
//! | `write_numbers` | numbers of writes that are to happen once |
//! | `watches` | who watches what, and who is told |
//! | `rearm` | setting the watches again on a new connection |
//! | `credentials` | what connections authenticate with |
//! | `hosts` | which server to try next, and when |
//! | `leader_search` | when only the leader will do |
//! | `read_write_search` | when to look for a server that takes writes |
//! | `packets` | the handshake and the framing, which the parts share |
//!
//! Rules that hold between them: a connection sends the handshake, and after its answer credentials,
//! watches and requests, in this order. Requests keep the order of the calls, over all connections.
//! Each call has one outcome, and each watch one end.

mod connection;
mod credentials;
mod grants;
#[cfg(test)]
mod harness_test;
mod hosts;
mod identity;
mod leader_search;
#[cfg(test)]
mod leader_search_test;
mod outstanding;
mod packets;
mod read_write_search;
mod rearm;
mod request;
mod settings;
mod state_machine;
#[cfg(test)]
mod state_machine_test;
mod status;
mod watches;
#[cfg(test)]
mod watches_test;
#[cfg(test)]
mod with_server_test;
mod write_numbers;
#[cfg(test)]
mod write_numbers_test;

pub(crate) use connection::Time;
pub(crate) use request::{Reply, Request, WatchRegistration};
pub(crate) use settings::{Credential, Settings};
pub(crate) use state_machine::{Effect, Session};
pub use status::{SavedSession, SessionState, Status};
pub use watches::WatchedEvent;
pub(crate) use watches::{Notice, WatchKind, WatcherId};
