//! One client connection, without a socket.
//!
//! A [`Conn`] is given frames, outcomes and events, and appends replies to its output; it never
//! waits, reads no clock and does no IO. Its methods are of four kinds:
//!
//! * *input*: [`Conn::receive`] (a frame), [`Conn::complete`] (the outcome of one of its commands),
//!   [`Conn::notify`] (a watch event), [`Conn::close`];
//! * *output*: [`Conn::take_output`], bytes for the socket, to be asked after each input, or
//!   [`Conn::output`] and [`Conn::output_sent`] for who sends them right there;
//! * *state*: [`Conn::close_reason`], [`Conn::wants_input`], [`Conn::idle_limit_us`];
//! * *reports*: [`Conn::report`] for `cons` and its relatives.
//!
//! The order of replies is the order of requests. A write is sent off at once and its place is kept;
//! whatever comes behind it waits for its outcome and is answered right then, before the next
//! command is applied. So a read between two writes of its session sees the first and not the second
//! (ZooKeeper's FIFO guarantee), and a watch event is always before the reply that shows its change.

mod auth_packets;
mod bounds;
mod close;
mod close_kind;
#[expect(clippy::module_inception, reason = "the folder is named after its central type")]
mod conn;
mod credentials;
mod eager;
mod handling;
mod handshake;
mod hold;
mod output;
mod oversized;
mod pages;
mod read;
mod rearm;
mod report;
mod requests;
mod session;
mod settings;
mod stats;
mod surroundings;
mod write;

pub use close::CloseReason;
pub use close_kind::CloseKind;
pub use conn::Conn;
pub use handling::{Handling, ReadBarrier, Route};
pub use oversized::OversizedReply;
pub use report::ConnReport;
pub use settings::{ConnectWeights, Settings};
pub use stats::ConnStats;
pub use surroundings::{Propose, Refusal, Surroundings, View};
