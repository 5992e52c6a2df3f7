//! Who is let in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::complaints::Complaints;
use super::hello::{Own, Purpose, Versions, Welcomed, welcome};
use super::stream::{PeerStream, Transport};

/// How long a greeting may take.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of a peer that forwards requests of its clients.
#[derive(Debug)]
pub(in crate::consensus) struct ForwardConn {
    /// The number of that peer.
    pub(in crate::consensus) from: u64,
    /// The connection, greeted and welcome.
    pub(in crate::consensus) stream: PeerStream,
}

/// Who is let in.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    own: Own,
    versions: Versions,
    /// Takes connections for [`Purpose::Forward`]; without it they are refused.
    forwards: Option<mpsc::Sender<ForwardConn>>,
    complaints: Arc<Mutex<Complaints<IpAddr>>>,
}

impl Gate {
    pub(super) fn new(own: impl Into<Own>, forwards: Option<mpsc::Sender<ForwardConn>>) -> Self {
        Self { own: own.into(), versions: Versions::OWN, forwards, complaints: Arc::default() }
    }

    /// Gives a connection to whoever serves it; drops it where that one has too many waiting.
    pub(super) fn hand_over(&self, connection: ForwardConn) {
        let from = connection.from;
        let taken = self.forwards.as_ref().map(|forwards| forwards.try_send(connection));
        if taken.is_none_or(|sent| sent.is_err()) {
            tracing::warn!("a connection of server {from} to forward requests is not taken");
        }
    }

    /// Lets a peer in, or says in the log why not.
    pub(super) async fn admit(
        &self,
        stream: TcpStream,
        from: SocketAddr,
    ) -> Option<(Welcomed, PeerStream)> {
        let admitted = timeout(GREETING_TIMEOUT, self.greeted(stream)).await;
        let why = match admitted {
            Ok(Ok(admitted)) => {
                self.complaints.lock().forget(&from.ip());
                return Some(admitted);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it did not greet in time".to_owned(),
        };
        if self.complaints.lock().is_new(from.ip(), &why) {
            tracing::warn!("refused a connection from {from}: {why}");
        }
        None
    }

    async fn greeted(&self, stream: TcpStream) -> io::Result<(Welcomed, PeerStream)> {
        // Latency matters more than the number of packets.
        stream.set_nodelay(true)?;
        let mut transport = Transport::Plain(stream);
        let serves = |purpose| match purpose {
            Purpose::Raft | Purpose::Formation => true,
            Purpose::Forward => self.forwards.is_some(),
        };
        let welcomed =
            welcome(&mut transport, &self.own.membership(), self.versions, serves).await?;
        Ok((welcomed, PeerStream::new(transport, welcomed.version)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::Membership;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::dialer::{AddressBook, Dialer};
    use super::*;
    use crate::storage::ClusterId;

    fn member(server: u64) -> Membership {
        Membership { cluster: ClusterId(7), server }
    }

    /// Lets one connection in that is dialled by server 1.
    async fn meet(gate: &Gate, purpose: Purpose) -> (io::Result<PeerStream>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let book = AddressBook::default();
        book.set(2, format!("localhost:{}", listener.local_addr().unwrap().port()));
        let dialer = Dialer::new(member(1), book);
        let accept = async {
            let (stream, from) = listener.accept().await.unwrap();
            match gate.admit(stream, from).await {
                Some((welcomed, stream)) => {
                    assert_eq!((welcomed.from, welcomed.purpose), (1, purpose));
                    gate.hand_over(ForwardConn { from: 1, stream });
                    true
                }
                None => false,
            }
        };
        // The address in the book goes before this one, where nobody is.
        tokio::join!(dialer.dial(2, "127.0.0.1:1", purpose), accept)
    }

    #[tokio::test]
    async fn a_connection_that_forwards_reaches_its_server() {
        // Connections are told apart by their purpose; bytes behind the greeting arrive whole.
        let (sender, mut forwards) = mpsc::channel(1);
        let gate = Gate::new(member(2), Some(sender));
        let (dialled, admitted) = meet(&gate, Purpose::Forward).await;
        assert!(admitted);
        dialled.unwrap().write_all(b"hello").await.unwrap();
        let mut connection = forwards.recv().await.unwrap();
        let mut bytes = Vec::new();
        connection.stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!((connection.from, bytes.as_slice()), (1, b"hello".as_slice()));
    }

    #[tokio::test]
    async fn a_purpose_that_is_not_served_is_refused() {
        // A server that takes no forwarded requests says so, and still talks Raft.
        let gate = Gate::new(member(2), None);
        let (refused, admitted) = meet(&gate, Purpose::Forward).await;
        assert!(!admitted);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(meet(&gate, Purpose::Raft).await.0.is_ok());
    }
}
