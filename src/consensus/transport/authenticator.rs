//! Authenticates connecting servers: TLS, the handshake, and whether they are known.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kernel::ensemble::MemberId;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::address_book::AddressBook;
use super::connection_limits::ConnectionPermit;
use super::frame::Room;
use super::handshake::hello::AcceptedHello;
use super::handshake::hello::LocalIdentity;
use super::handshake::hello::Purpose;
use super::handshake::hello::receive_hello;
use super::handshake::secret::HandshakeParties;
use super::handshake::start_proof;
use super::security::{Accepted, Security};
use super::stream::PeerStream;
use super::stream::prepare;
use crate::env::net::TcpStream;
use crate::env::time::timeout;
use crate::telemetry::RateLimitedLog;

/// A connection on which a follower forwards requests of its clients to its leader.
#[derive(Debug)]
pub(crate) struct ForwardConn {
    /// The member that opened it.
    pub(crate) from: u64,
    /// [`Purpose::Forward`] where that is the follower, [`Purpose::Lead`] where it is the leader.
    pub(crate) purpose: Purpose,
    /// The connection, behind the handshake.
    pub(crate) stream: PeerStream,
    /// Its place among the connections of that member.
    pub(crate) permit: ConnectionPermit,
    /// Where its long messages come in.
    pub(crate) room: Room,
}

/// Decides which connecting servers are served. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Authenticator {
    own: LocalIdentity,
    security: Security,
    /// Where the other servers are known to be.
    book: AddressBook,
    /// Takes connections for [`Purpose::Forward`] and [`Purpose::Lead`]; without it they are refused.
    forwards: Option<mpsc::Sender<ForwardConn>>,
    rate_limited_log: Arc<Mutex<RateLimitedLog<IpAddr>>>,
}

impl Authenticator {
    pub(super) fn new(
        own: impl Into<LocalIdentity>,
        (security, book): (Security, AddressBook),
        forwards: Option<mpsc::Sender<ForwardConn>>,
    ) -> Self {
        let (own, rate_limited_log) = (own.into(), Arc::default());
        Self { own, security, book, forwards, rate_limited_log }
    }

    /// Gives a connection to the task that serves it; drops it if too many wait there.
    pub(super) fn hand_over(&self, connection: ForwardConn) {
        let from = connection.from;
        let taken = self.forwards.as_ref().map(|forwards| forwards.try_send(connection));
        if taken.is_none_or(|sent| sent.is_err()) {
            tracing::warn!("a connection of server {from} to forward requests is not taken");
        }
    }

    /// Authenticates a peer, or says in the log why it is refused.
    pub(super) async fn authenticate(
        &self,
        stream: TcpStream,
        from: SocketAddr,
    ) -> Option<(AcceptedHello, PeerStream)> {
        let authenticated = self.try_authenticate(stream).await;
        let error = match authenticated {
            Ok(authenticated) => {
                self.rate_limited_log.lock().forget(&from.ip());
                return Some(authenticated);
            }
            Err(error) => error,
        };
        if error.kind() == io::ErrorKind::UnexpectedEof {
            tracing::debug!("{from} left without a greeting");
        } else {
            self.log_rejection(from, &error);
        }
        None
    }

    /// Logs what is wrong with the peer at this address, but not again and again.
    pub(super) fn log_rejection(&self, from: SocketAddr, error: &io::Error) {
        if self.rate_limited_log.lock().should_log(from.ip(), &error.to_string()) {
            tracing::warn!("refused a connection from {from}: {error}");
        }
    }

    async fn try_authenticate(&self, stream: TcpStream) -> io::Result<(AcceptedHello, PeerStream)> {
        let late = || io::Error::new(io::ErrorKind::TimedOut, "it did not greet in time");
        let handshake = timeout(self.security.handshake_timeout(), self.handshake(stream));
        handshake.await.unwrap_or_else(|_| Err(late()))
    }

    async fn handshake(&self, stream: TcpStream) -> io::Result<(AcceptedHello, PeerStream)> {
        prepare(&stream)?;
        let Accepted { mut transport, refusal, proof } = self.security.accept(stream).await?;
        let check = |accepted: &AcceptedHello| {
            if let Some(refusal) = refusal {
                return Err(refusal.to_owned());
            }
            let number = MemberId::number_of(accepted.from);
            let known = self.book.all(number);
            // A server that looks for its ensemble may not be known yet, and learns only where it is.
            if known.is_empty() && accepted.purpose != Purpose::Bootstrap {
                return Err(format!(
                    "server {number} is no member of the ensemble, and not in the configuration file"
                ));
            }
            self.own.starts.check_version(accepted.version)?;
            if let Some(doubt) = self.security.doubt(&proof, &known) {
                return Err(doubt);
            }
            match accepted.purpose {
                Purpose::Raft | Purpose::Forward | Purpose::Lead
                    if !self.own.ensemble.is_decided() =>
                {
                    Err("it has no data, and has not decided on an ensemble".to_owned())
                }
                Purpose::Forward | Purpose::Lead if self.forwards.is_none() => {
                    Err("forwarded requests are not served here".to_owned())
                }
                Purpose::Raft | Purpose::Forward | Purpose::Bootstrap | Purpose::Lead => Ok(()),
            }
        };
        let own = self.own.identity();
        let versions = &self.own.versions;
        let accepted = receive_hello(&mut transport, &own, versions.own(), check).await?;
        versions.learn(accepted.from, accepted.newest);
        if accepted.version >= start_proof::SINCE {
            let from = MemberId::from_raft_id(accepted.from);
            let (dialler, acceptor) = (accepted.from, self.own.member.number);
            let parties =
                HandshakeParties { dialler, acceptor, purpose: accepted.purpose, dials: false };
            self.own.starts.exchange(&mut transport, Some(from), &parties).await?;
        }
        Ok((accepted, PeerStream::new(transport, accepted.version)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::handshake::hello::PeerIdentity;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::connection_limits::{ConnectionLimits, Owner};
    use super::super::dialer::Dialer;
    use super::*;
    use crate::storage::ClusterId;
    use crate::tls::test_keys::Authority;
    use crate::tls::{PeerTlsOptions, TlsOptions};

    fn member(server: u64) -> PeerIdentity {
        PeerIdentity { cluster: ClusterId(7), server }
    }

    fn authenticator(
        security: Security,
        forwards: Option<mpsc::Sender<ForwardConn>>,
    ) -> Authenticator {
        let book = AddressBook::default();
        book.set(1, "one.example:7".to_owned());
        Authenticator::new(member(2), (security, book), forwards)
    }

    /// Authenticates one connection that is dialled by server 1: what both sides make of it.
    async fn meet(
        authenticator: &Authenticator,
        security: Security,
        purpose: Purpose,
    ) -> (io::Result<PeerStream>, io::Result<(AcceptedHello, PeerStream)>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let book = AddressBook::default();
        book.set(2, format!("localhost:{}", listener.local_addr().unwrap().port()));
        let dialer = Dialer::new(member(1), book, security);
        let accept = async {
            let (stream, _) = listener.accept().await.unwrap();
            authenticator.try_authenticate(stream).await
        };
        // The address in the book goes before this one, where nobody is.
        tokio::join!(dialer.dial(2, "127.0.0.1:1", purpose), accept)
    }

    #[tokio::test]
    async fn a_connection_that_forwards_reaches_its_server() {
        // Connections are told apart by their purpose; bytes behind the greeting arrive whole.
        let (sender, mut forwards) = mpsc::channel(1);
        let authenticator = authenticator(Security::default(), Some(sender));
        let (dialled, authenticated) =
            meet(&authenticator, Security::default(), Purpose::Forward).await;
        let (accepted, stream) = authenticated.unwrap();
        assert_eq!((accepted.from, accepted.purpose), (1, Purpose::Forward));
        let (permit, room) =
            (ConnectionLimits::default().acquire(Owner::Server(1)), Room::default());
        authenticator.hand_over(ForwardConn {
            from: 1,
            purpose: Purpose::Forward,
            stream,
            permit,
            room,
        });
        dialled.unwrap().write_all(b"hello").await.unwrap();
        let mut connection = forwards.recv().await.unwrap();
        let mut bytes = Vec::new();
        connection.stream.read_to_end(&mut bytes).await.unwrap();
        assert_eq!((connection.from, bytes.as_slice()), (1, b"hello".as_slice()));
    }

    #[tokio::test]
    async fn a_purpose_that_is_not_served_is_refused() {
        // A server that takes no forwarded requests says so, and still talks Raft.
        let authenticator = authenticator(Security::default(), None);
        let (dialled, authenticated) =
            meet(&authenticator, Security::default(), Purpose::Forward).await;
        assert_eq!(dialled.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(authenticated.is_err());
        assert!(meet(&authenticator, Security::default(), Purpose::Raft).await.0.is_ok());
    }

    fn security(tls: TlsOptions, change: impl FnOnce(&mut PeerTlsOptions)) -> Security {
        let mut options = PeerTlsOptions {
            tls,
            dial: true,
            accept_plain: false,
            verify_client_host: false,
            handshake_timeout_ms: 60_000,
        };
        change(&mut options);
        Security::load(Some(options)).unwrap()
    }

    /// What both sides say, the connecting one first.
    async fn errors(accepting: &Security, dialling: &Security) -> (String, String) {
        let authenticator = authenticator(accepting.clone(), None);
        let (dialled, authenticated) = meet(&authenticator, dialling.clone(), Purpose::Raft).await;
        let text = |error: io::Error| error.to_string();
        let dialled = dialled.err().map(text).unwrap_or_default();
        (dialled, authenticated.err().map(text).unwrap_or_default())
    }

    #[tokio::test]
    async fn servers_without_the_right_certificate_stay_outside() {
        // Another authority, no TLS at all, and TLS where there is none: both sides have words.
        let dir = tempfile::tempdir().unwrap();
        let ours = Authority::new(&dir.path().join("ours"));
        let others = Authority::new(&dir.path().join("others"));
        let tls = security(ours.options("two", "localhost"), |_| {});
        let good = security(ours.options("one", "localhost"), |_| {});
        assert_eq!(errors(&tls, &good).await, Default::default());
        let foreign = security(others.options("foreign", "localhost"), |_| {});
        let (dialled, authenticated) = errors(&tls, &foreign).await;
        assert!(
            dialled.contains("UnknownIssuer") && !authenticated.is_empty(),
            "{dialled} {authenticated}"
        );
        let trusting = TlsOptions {
            trust_store: Some(dir.path().join("ours/trust.pem")),
            ..others.options("foreign", "localhost")
        };
        let (dialled, authenticated) = errors(&tls, &security(trusting, |_| {})).await;
        assert!(
            !dialled.is_empty() && authenticated.contains("UnknownIssuer"),
            "{dialled} {authenticated}"
        );
        let (dialled, authenticated) = errors(&tls, &Security::default()).await;
        assert!(dialled.contains("sslQuorum") && authenticated.contains("sslQuorum"));
        let (dialled, authenticated) = errors(&Security::default(), &good).await;
        assert!(!dialled.is_empty() && authenticated.contains("sslQuorum"));
    }

    #[tokio::test]
    async fn an_ensemble_changes_over_server_by_server() {
        // Where both ways are accepted, servers with and without TLS meet in all combinations.
        let dir = tempfile::tempdir().unwrap();
        let ours = Authority::new(dir.path());
        let both = |dial| {
            security(ours.options("both", "localhost"), |options| {
                (options.dial, options.accept_plain) = (dial, true);
            })
        };
        let only = security(ours.options("only", "localhost"), |_| {});
        let none = Security::default();
        for (accepting, dialling) in [
            (&none, &both(false)),
            (&both(false), &none),
            (&both(false), &both(true)),
            (&both(true), &both(false)),
            (&both(true), &only),
            (&only, &both(true)),
        ] {
            assert_eq!(errors(accepting, dialling).await, Default::default());
        }
    }

    #[tokio::test]
    async fn a_certificate_may_have_to_fit_the_address() {
        // Where it is wanted, a connecting server needs a certificate for the host where it is known: that of
        // a client on another host, or of another member, will not do.
        let dir = tempfile::tempdir().unwrap();
        let ours = Authority::new(dir.path());
        let strict = security(ours.options("two", "localhost"), |options| {
            options.verify_client_host = true;
        });
        for (host, fits) in [("one.example", true), ("127.0.0.1", false), ("three.example", false)]
        {
            let (dialled, authenticated) =
                errors(&strict, &security(ours.options("one", host), |_| {})).await;
            assert_eq!(dialled, authenticated);
            assert_eq!(dialled.is_empty(), fits, "{host}: {dialled}");
        }
    }
}
