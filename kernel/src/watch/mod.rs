//! Watches: which connection of this server wants to hear of which path.
//!
//! * [`table`]: the registrations, by path and by watcher. They live in memory, belong to one
//!   connection and end with it.
//! * [`trigger`]: a change of the tree becomes events; the whole event matrix is there.
//!
//! Registration takes `&self`: reads run side by side under the shared lock of the replica and a
//! read that sets a watch is one step with the read. Changes fire under the exclusive lock, so no
//! registration runs beside a trigger.

pub mod table;
pub mod trigger;

pub use table::{WatchKind, WatchModes, WatchTable, WatcherId};
pub use trigger::Firing;
