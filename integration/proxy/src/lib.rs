//! A TCP proxy between servers that breaks the network between them on demand.
//!
//! Each ordered pair of servers has ports of its own here: what server A connects to in order to
//! reach B. What flows on them obeys two [`PathState`]s, one for each direction, so that a cut or a
//! delay holds for everything that A sends to B, whoever opened the connection.
//!
//! A cut holds bytes back rather than dropping them, as the retransmissions of TCP do: when it is
//! healed they arrive, unless a side has given the connection up meanwhile. A connection that is
//! opened through a cut waits until its first packet could pass.
//!
//! What is done to single connections keeps to TCP as well. Bytes of one may be held back while later
//! ones pass, as on a way that loses packets of one and not of the other. They arrive in their order and
//! without a hole, also when their sender has ended meanwhile.

mod network;
mod path;
mod pump;

pub use network::{Network, On};
pub use path::PathState;
