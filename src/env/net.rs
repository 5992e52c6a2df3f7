//! Sockets.

/// Listens without a runtime: only to see whether a port is free.
pub use std::net::TcpListener as BlockingTcpListener;

pub use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
pub use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
