//! The replicated state and the one way to change it.
//!
//! * [`entry`]: what a Raft entry carries: a batch of commands under one stamp.
//! * [`replica`]: tree, sessions and watches of one server; applies commands, answers nothing itself.
//! * [`effect`]: what applying a command means for the connections of this server.
//! * [`checkpoint`]: the rows that a checkpoint keeps of it, and back.
//!
//! Applying is deterministic: it reads the command, its stamp and this state, and nothing else. A
//! failed operation is a normal outcome. What cannot be decoded is [`entry::EntryError`], and the
//! server that meets it must stop rather than differ from the others.

pub mod checkpoint;
pub mod effect;
pub mod entry;
mod replica;

pub use effect::{Effects, Outcome};
pub use entry::{Command, EntryHeader, Op, Origin};
pub use replica::{Position, Replica};
