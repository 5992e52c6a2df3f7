//! The session of a client, without a socket and without a clock.
//!
//! [`Session`] is a machine: what happens goes in through its methods (calls, bytes, the time, the
//! end of a connection), what is to be done comes out as bytes to send, as [`Effect`]s to carry
//! out and as the next moment at which it wants to be told the time. It is generic over the token
//! that stands for a caller waiting for an answer and over the place where watch events go, so
//! that tests drive it with plain numbers, in virtual time.
//!
//! | file | what |
//! |---|---|
//! | `machine` | the state, its phases and its entry points |
//! | `handshake` | opening a connection, taking up the session, losing it |
//! | `calls` | requests on their way and their answers |
//! | `once` | numbers of writes that are to happen once |
//! | `watches` | who watches what, and who is told |
//! | `rearm` | watches and credentials on a new connection |
//! | `leader` | extensions of the protocol, and the search for the leader |
//! | `extensions` | operations that only some servers have |
//! | `read_only` | leaving a read-only server for one that takes writes |
//! | `hosts` | which server to try next, and when |

mod extensions;
mod handshake;
#[cfg(test)]
mod harness_test;
mod hosts;
mod leader_search;
#[cfg(test)]
mod leader_search_test;
mod outstanding;
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

pub(crate) use request::{Reply, Request, WatchRegistration};
pub(crate) use settings::{Credential, Settings};
pub(crate) use state_machine::{Effect, Session, Time};
pub use status::{SavedSession, SessionState, Status};
pub use watches::WatchedEvent;
pub(crate) use watches::{Notice, WatchKind, WatcherId};
