//! Opening a connection to a server.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};

/// A server as the connect string names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name or an address.
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// Opens a connection. The name is looked up each time, because the addresses behind it change; of
/// several addresses `choice` says which is tried first.
pub(super) async fn dial(host: Host, choice: usize) -> io::Result<TcpStream> {
    let mut addrs: Vec<SocketAddr> = lookup_host((host.name.as_str(), host.port)).await?.collect();
    if !addrs.is_empty() {
        let first = choice % addrs.len();
        addrs.rotate_left(first);
    }
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for addr in addrs {
        match TcpStream::connect(addr).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
