//! Sockets.

/// Listens without a runtime: only to see whether a port is free.
pub use std::net::TcpListener as BlockingTcpListener;
/// Looks names up, and blocks meanwhile: at the start only.
pub use std::net::ToSocketAddrs;

pub use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
pub use tokio::net::{TcpListener, TcpStream, lookup_host};
