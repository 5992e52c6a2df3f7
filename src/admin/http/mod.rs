//! HTTP for operators: the administration server and the Prometheus endpoint. docs/compatibility.md says how far they
//! are ZooKeeper's.
//!
//! * [`Surfaces`]: binds the addresses, then serves until the server stops.
//! * `listener`: connections, their number and their time.
//! * `router`: which path leads where. `command`: the names of the commands.
//! * `answer`: the JSON of an answer. `run`, `connections`, `shed`: what the commands answer.
//! * `access`: who may run the privileged ones.
//!
//! There is no TLS here yet: what the commands tell is for a network that is trusted.

mod access;
mod answer;
mod command;
mod connections;
mod listener;
mod router;
mod run;
mod shed;
mod surfaces;

pub use surfaces::{Surfaces, SurfacesError};
