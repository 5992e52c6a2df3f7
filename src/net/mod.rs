//! Sockets: accepting clients, and the loop of each connection.

mod client_task;
mod four_letter;
mod listener;
mod secure;

pub use listener::Listener;
