//! HTTP for operators: the administration server (protocol section 8.2) and the Prometheus endpoint
//! (8.3).
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
