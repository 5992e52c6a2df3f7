//! The replicated state and the one way to change it.
//!
//! * [`entry`]: what a Raft entry carries: a batch of commands under one stamp.
//! * [`section`]: entries of the newer format, commands in sections of one sender each; [`ProcessTable`]: what
//!   of each sender was applied.
//! * [`replica`](Replica): tree, sessions and watches of one server. It applies commands one by one;
//!   what that means for the connections is an [`Outcome`] and the events given to an [`EventSink`].
//! * `session_end`: how a session ends, in parts where it has many ephemeral nodes.
//! * [`Members`]: who belongs to the ensemble, and how that changes.
//! * `answer`: the records of replies to writes, as clients read them.
//! * [`checkpoint`]: the rows that a checkpoint keeps of it, and back.
//!
//! Applying is deterministic: it reads the command, its stamp and this state, and nothing else. A
//! failed operation is a normal outcome. What cannot be decoded is [`entry::EntryError`], and the
//! server that meets it must stop rather than differ from the others.

pub(crate) mod answer;
pub mod checkpoint;
pub mod entry;
mod node_ages;
mod outcome;
mod processes;
mod reconfig;
#[expect(clippy::module_inception, reason = "the folder is named after its central type")]
mod replica;
pub mod section;
mod session_end;

pub use entry::{Command, EntryError, EntryHeader, Op, Origin};
pub use outcome::{Event, EventSink, Outcome};
pub use processes::{ProcessTable, Registration, SectionClaim};
pub use reconfig::{Members, Pending};
pub use replica::{Applied, Expired, Now, Replica, Stamp, VERSION_2};
pub(crate) use replica::{Logged, logged};
pub use section::{Section, Sender};
