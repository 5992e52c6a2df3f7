//! What concurrent clients did and were told, and whether any correct ensemble could have told them
//! so.
//!
//! Nothing here talks to a server: histories in, [`Anomaly`]s out. A time is the time since the
//! start of the run, on one clock for all clients. An operation that was never answered may have
//! taken effect at any time after it was sent, or never.
//!
//! | module | the promise |
//! |---|---|
//! | [`linearizable`] | any object: the search of Wing and Gong with remembered states (as in Lowe's and porcupine's checkers) |
//! | [`register`] | a znode's data with its versions: linearizable writes and synced reads; what plain reads may show |
//! | [`sequence`] | sequential creates: numbers are unique and grow, acknowledged ones are there, refused ones are not |
//! | [`bank`] | transfers by multi: the sum never changes |
//! | [`counter`] | increments of one client: each once, in their order |
//! | [`lock`] | an ephemeral znode is never held by two |
//! | [`session`] | what one session sees never goes back; an event comes before the change shows |
//! | [`writer`] | the requests of one session take effect in order, each once, and none after the session has moved |

pub mod anomaly;
pub mod bank;
pub mod counter;
pub mod linearizable;
pub mod lock;
pub mod operation;
pub mod register;
pub mod sequence;
pub mod session;
pub mod writer;

pub use anomaly::{Anomaly, Promise};
pub use operation::Span;
