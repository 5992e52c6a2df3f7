//! The costliest requests that an outsider may send, and what others notice of them.
//!
//! One connection sends a request again as soon as it is answered, or a hundred do, each another one; what a
//! request makes is removed again. Meanwhile bystanders read and write one znode each at the same server,
//! and wait for each answer. `bin/costly` does it for as long as is asked for, and prints the figures.

mod bystander;
mod request;
mod run;

pub use bystander::{Bystander, Latencies};
pub use request::{Costly, Size};
pub use run::{Noticed, Run};
