//! Sockets: accepting clients, and the loop of each connection.

mod client_task;
mod four_letter;
mod listener;
mod long_write_permit;
mod secure;

pub use listener::Listener;
