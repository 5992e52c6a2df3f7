//! Sockets: accepting clients, and the loop of each connection.
//!
//! * [`Listener`]: accepts clients, within the limits that [`Descriptors`] and the configuration set; `secure` is TLS.
//! * [`ClientService`]: what the tasks of all clients share.
//! * `client_task`: the loop of one connection; `long_write_permit` is when it may send a long write on its way.
//! * `four_letter`: the four-letter words, which come in at the same port.

mod client_task;
mod descriptors;
mod four_letter;
mod listener;
mod long_write_permit;
mod secure;
mod service;

pub use descriptors::Descriptors;
pub use listener::{Listener, ListenerError};
pub use service::ClientService;
