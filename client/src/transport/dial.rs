//! Opening a connection to a server.

use std::io;
use std::net::SocketAddr;

use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use crate::runtime::within;

use super::stream::{Security, Stream};

/// How long a server may take to say whether it takes writes.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// A server as the connect string names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name or an address.
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Host {
    /// The port on which servers listen for clients unless they are told otherwise.
    const PORT: u16 = 2181;

    /// Reads `host:port`, where the port may be left out; an IPv6 address stands in brackets.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => match rest.split_once(']')? {
                (name, "") => (name, ""),
                (name, rest) => (name, rest.strip_prefix(':')?),
            },
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let port = if port.is_empty() { Self::PORT } else { port.parse().ok()? };
        (!name.is_empty()).then(|| Self { name: name.to_owned(), port })
    }
}

/// Opens a connection. The name is looked up each time, because the addresses behind it change; of
/// several addresses `choice` says which is tried first.
pub(super) async fn dial(host: Host, choice: usize, security: Security) -> io::Result<Stream> {
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
                return security.secure(stream, &host).await;
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Whether a server takes writes, by the four-letter word for it.
pub(super) async fn takes_writes(host: Host, choice: usize, security: Security) -> bool {
    let asked = async {
        let mut stream = dial(host, choice, security).await?;
        io::Result::Ok(stream.ask(b"isro", 16).await? == b"rw")
    };
    matches!(within(PROBE_MAX, asked).await, Some(Ok(true)))
}
