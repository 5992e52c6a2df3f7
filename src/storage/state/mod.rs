//! The checkpoint of the state: rows in a redb database, written in one transaction each.
//!
//! ```text
//! table "meta"        key -> value        single values of the state
//! table "sessions"    key -> value        session id -> session
//! table "nodes"       key -> value        path -> node
//! table "checkpoint"  "format"            u32, little-endian
//!                     "position"          term u64, index u64, little-endian; absent: nothing applied
//!                     "membership"        opaque
//! ```
//!
//! The position stands in the same transaction as the rows, so that the rows are exactly the state
//! after that entry. A crash leaves the previous checkpoint or the new one, never a mixture.

mod backend;
mod reader;
mod state_db;

pub use reader::{Rows, StateReader};
pub(super) use state_db::VerifiedState;
pub use state_db::{CheckpointMark, CheckpointSize, StateDb};
