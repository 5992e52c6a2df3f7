//! Sockets: accepting clients, and the loop of each connection.

mod client_task;
mod four_letter;
mod listener;
mod secure;
mod write_turn;

pub use listener::Listener;
