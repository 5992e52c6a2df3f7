//! The suites of third-party clients, each against a server of its own.
//!
//! What a client's suite does is written in the client's own language under `integration/clients/`;
//! here is only which suites there are and how the server is set up for them.

mod c;
mod java;
mod kazoo;
mod node;
mod rolling;
mod secure;
mod turns;
mod zkcli;
