//! Rounds that lose disks: a minority of the servers comes back empty at the worst moments, the rest is
//! partitioned, and clients with recorded histories go on all the while.
//!
//! Each round plays one [`Situation`]. It counts only where it was seen to be reached: by what the servers
//! log, by who leads in which term, by what was acknowledged. A run that reaches one of them in too
//! few rounds has failed, as one that breaks a promise.
//!
//! While no majority of the old disks is there, nothing may be acknowledged. The rounds watch that, and
//! the checkers of the histories find what was acknowledged and is gone, doubled or stale.

mod run;
mod scenes;
mod situation;
mod stage;

pub use run::{Options, Verdict, run};
pub use situation::{Situation, Situations};
