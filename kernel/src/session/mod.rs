//! Sessions: who they are, which connection speaks for them, and when they end.
//!
//! * [`table`]: the replicated records. A session names the one connection that may write for it and
//!   the sequence number that it must use next, so that a command sent twice is applied once and a
//!   command from a connection that was replaced is refused.
//! * [`dedup`]: duplicate detection. Answers to numbered writes are kept until the client has them, so
//!   that a write that it sends again on another connection happens once.
//! * [`expiry`]: deadlines in buckets of one tick. Only the leader decides that a session is over,
//!   and it does so by proposing its close like any other write.
//! * [`auth`]: the credentials of an `auth` packet become identities of the connection.
//! * [`id`]: how session ids are made.
//!
//! Nothing here reads a clock: time is an argument.

pub mod auth;
pub mod dedup;
pub mod expiry;
pub mod id;
pub mod table;
pub mod throttle;

pub use dedup::{CachedReply, Dedup, ReplyCache};
pub use expiry::{Expiry, Overdue};
pub use id::SessionIds;
pub use table::{Attach, Claim, ConnId, SessionRecord, SessionTable};
pub use throttle::{ConnectionThrottle, ThrottleSettings};
