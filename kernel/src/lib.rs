//! What a server does with requests, as a function of its arguments.
//!
//! ```text
//! frames -> conn -> command ... log ... -> replica.apply -> tree, session -> watch -> conn -> replies
//! ```
//!
//! The crate is `no_std`: it has no files, sockets, clocks, threads or chance. The server brings the time, the
//! frames and the entries of the log, and sends what comes out. It logs nothing either; what an operator should know is
//! a value that its caller takes.
//!
//! * [`conn`]: one client connection without a socket.
//! * [`replica`]: log entries; tree, sessions and watches behind one `apply`; what a checkpoint keeps.
//! * [`tree`]: znodes and their rules.
//! * [`session`]: session records, expiry, credentials.
//! * [`watch`]: registrations, and which change tells whom.
//! * [`ensemble`]: who belongs to an ensemble, and what a `reconfig` makes of it.
//! * [`limits`]: how long things may get.
//! * [`stats`]: numbers that any thread may add to.
//! * [`time`]: the kinds of time.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod conn;
pub mod ensemble;
pub mod limits;
pub mod replica;
pub mod session;
pub mod stats;
pub mod time;
pub mod tree;
pub mod watch;
