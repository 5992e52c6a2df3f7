//! Clients that talk TLS, and those who may not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grovekeeper_client::{
    Acl, Client, CreateOptions, Error, ErrorCode, Id, Perms, SessionState, Tls,
};
use integration::{Kind, RawClient, Server, ServerOptions, eventually, raw};
use tempfile::TempDir;
use testkit::certificates::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client_world::{PERSISTENT, kinds, run};

/// How long whoever may not come in tries to.
const TRIES_FOR: Duration = Duration::from_secs(2);

/// A server with a secure port, and keys for those who want to reach it.
struct World {
    server: Server,
    hosts: String,
    folder: TempDir,
    ours: Authority,
    others: Authority,
}

impl World {
    fn new(kind: Kind, settings: impl FnOnce(ServerOptions) -> ServerOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ours = Authority::new(folder.path(), "trust");
        let others = Authority::new(folder.path(), "others");
        ours.issue("server", &["localhost", "127.0.0.1"]);
        ours.issue("ann", &[]);
        let (options, port) = ServerOptions::new(kind).secure_port(folder.path());
        let server = settings(options).start();
        Self { server, hosts: format!("127.0.0.1:{port}"), folder, ours, others }
    }

    fn pem(&self, name: &str) -> Vec<u8> {
        read(self.folder.path(), name)
    }

    /// TLS as the client `name`.
    fn tls(&self, name: &str) -> Tls {
        let tls = Tls::trusting(&self.pem("trust")).expect("authorities");
        tls.identity(&self.pem(name)).expect("a key and a certificate")
    }

    async fn connect(&self, tls: Tls) -> Result<Client, Error> {
        Client::builder().tls(tls).connect(&self.hosts).await
    }

    /// Whether a client of this kind does not come in.
    async fn is_refused(&self, tls: Tls) -> bool {
        let outcome =
            Client::builder().tls(tls).connect_timeout(TRIES_FOR).connect(&self.hosts).await;
        matches!(outcome, Err(Error::Unreachable))
    }
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(format!("{name}.pem"))).expect("a key or a certificate")
}

fn of(name: &str) -> Vec<Acl> {
    let id = Id::new("x509", format!("O=Example\\, Inc.,CN={name}"));
    vec![Acl { perms: Perms::ALL, id }]
}

#[test]
fn clients_are_known_by_their_certificates() {
    // A client with TLS is whom its certificate names: it owns what it creates for itself and opens
    // what a list opens for that name; others, and clients without TLS, do not.
    for kind in kinds() {
        let world = World::new(kind, |options| options);
        run(async {
            world.ours.issue("bob", &[]);
            let ann = world.connect(world.tls("ann")).await.expect("connected");
            let bob = world.connect(world.tls("bob")).await.expect("connected");
            let plain = Client::connect(&world.server.connect_string()).await.expect("connected");
            let options = CreateOptions::from(PERSISTENT).acl(of("ann"));
            ann.create("/ann", b"1", options).await.expect("created");
            assert_eq!(&ann.get("/ann").await.expect("read").0[..], b"1");
            for other in [&bob, &plain] {
                let refused = other.get("/ann").await.expect_err("not for others");
                assert_eq!(refused.code(), Some(ErrorCode::NoAuth));
            }
            ann.set_acl("/ann", of("bob"), None).await.expect("set");
            bob.set("/ann", b"2", None).await.expect("set");
            let who = ann.who_am_i().await.expect("asked");
            let proved = who.iter().find(|id| id.scheme == "x509").map(|id| id.user.as_str());
            assert_eq!(proved, Some("O=Example\\, Inc.,CN=ann"));
        });
    }
}

#[test]
fn large_answers_arrive_whole() {
    // Many requests in flight and megabytes of answers go through TLS as they do without it.
    let world = World::new(Kind::Grovekeeper, |options| options);
    run(async {
        let zk = world.connect(world.tls("ann")).await.expect("connected");
        let data: Vec<u8> = (0..500_000_u32).map(|at| (at % 251) as u8).collect();
        zk.create("/large", &data, PERSISTENT).await.expect("created");
        let reads: Vec<_> = (0..60).map(|_| zk.get("/large")).collect();
        let writes: Vec<_> = (0..20).map(|_| zk.set("/large", &data, None)).collect();
        for read in reads {
            assert!(read.await.expect("read").0 == data);
        }
        for write in writes {
            write.await.expect("written");
        }
    });
}

#[test]
fn a_session_outlives_its_server_over_tls() {
    // After a kill the client shakes hands again and takes its session up.
    let mut world = World::new(Kind::Grovekeeper, |options| {
        options.set("minSessionTimeout", "40000").set("maxSessionTimeout", "60000")
    });
    run(async {
        let zk = world.connect(world.tls("ann")).await.expect("connected");
        let mut status = zk.status();
        let session = status.borrow().session;
        world.server.kill();
        status.wait_for(|now| !now.state.is_connected()).await.expect("it is noticed");
        world.server.start_again();
        status.wait_for(|now| now.state == SessionState::Connected).await.expect("connected again");
        zk.create("/again", b"", PERSISTENT).await.expect("created");
        assert_eq!(zk.status().borrow().session, session);
    });
}

#[test]
fn who_has_no_right_certificate_stays_outside() {
    // A client of another authority, one without a certificate, one that trusts nobody who stands for
    // the server, one that looks for another host, and one without TLS; the log says why.
    for kind in kinds() {
        let world = World::new(kind, |options| options);
        run(async {
            world.others.issue("stranger", &[]);
            assert!(world.is_refused(world.tls("stranger")).await);
            assert!(world.is_refused(Tls::trusting(&world.pem("trust")).expect("valid")).await);
            let misled = Tls::trusting(&world.pem("others")).expect("valid");
            let misled = misled.identity(&world.pem("ann")).expect("valid");
            assert!(world.is_refused(misled).await);
            world.connect(world.tls("ann")).await.expect("connected");
        });
        let secure = world.hosts.parse().expect("an address");
        let lost = RawClient::connect_for(secure, Duration::from_secs(5));
        assert!(matches!(lost, Err(raw::Error::Lost(_))), "{lost:?}");
        if kind == Kind::Grovekeeper {
            // What is said comes after the connection has been closed.
            eventually("the log says why", || {
                let log = world.server.log();
                (log.contains("UnknownIssuer") && log.contains("does not talk TLS")).then_some(())
            });
        }
    }
}

#[test]
fn the_name_of_the_server_is_looked_at() {
    // A server with a certificate for another host is not talked to, unless that is asked for.
    let mut world = World::new(Kind::Grovekeeper, |options| options);
    world.ours.issue("server", &["elsewhere.example"]);
    world.server.kill();
    world.server.start_again();
    run(async {
        assert!(world.is_refused(world.tls("ann")).await);
        let careless = world.tls("ann").without_host_verification().expect("valid");
        world.connect(careless).await.expect("connected");
    });
}

#[test]
fn certificates_of_clients_may_be_optional() {
    // With ssl.clientAuth=none nobody is asked; with want, who shows one is known by it.
    for (setting, known) in [("none", false), ("want", true)] {
        let world = World::new(Kind::Grovekeeper, |options| options.set("ssl.clientAuth", setting));
        run(async {
            let guest = Tls::trusting(&world.pem("trust")).expect("valid");
            let guest = world.connect(guest).await.expect("connected");
            let ann = world.connect(world.tls("ann")).await.expect("connected");
            let has_proof = async |zk: &Client| {
                zk.who_am_i().await.expect("asked").iter().any(|id| id.scheme == "x509")
            };
            assert!(!has_proof(&guest).await);
            assert_eq!(has_proof(&ann).await, known);
        });
    }
}

#[test]
fn the_superuser_may_be_named_by_a_certificate() {
    // Whoever's certificate has the configured subject may do everything.
    for kind in kinds() {
        let super_user = "O=Example\\\\, Inc.,CN=ann";
        let world = World::new(kind, |options| {
            options.set("X509AuthenticationProvider.superUser", super_user)
        });
        run(async {
            world.ours.issue("bob", &[]);
            let ann = world.connect(world.tls("ann")).await.expect("connected");
            let bob = world.connect(world.tls("bob")).await.expect("connected");
            let options = CreateOptions::from(PERSISTENT).acl(of("bob"));
            bob.create("/bob", b"", options).await.expect("created");
            ann.set("/bob", b"x", None).await.expect("set");
        });
    }
}

#[test]
fn one_port_may_serve_both() {
    // With client.portUnification the client port takes clients with TLS and without.
    let world =
        World::new(Kind::Grovekeeper, |options| options.set("client.portUnification", "true"));
    let both = world.server.connect_string();
    run(async {
        let plain = Client::connect(&both).await.expect("connected");
        let secure =
            Client::builder().tls(world.tls("ann")).connect(&both).await.expect("connected");
        plain.create("/both", b"", PERSISTENT).await.expect("created");
        secure.sync("/").await.expect("synced");
        assert!(secure.exists("/both").await.expect("asked").is_some());
    });
}

/// Asks a word over TLS.
async fn ask(world: &World, word: &str) -> String {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(&world.pem("trust")).expect("a certificate");
    roots.add(authority).expect("usable");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(&world.hosts).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.expect("hands are shaken");
    stream.write_all(word.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer, and a clean end");
    answer
}

#[test]
fn who_does_not_speak_tls_does_not_flood_the_log() {
    // A client without TLS that tries the secure port again and again is named once a minute.
    let world = World::new(Kind::Grovekeeper, |options| options);
    let port = world.hosts.parse().expect("an address");
    for _ in 0..20 {
        let mut stream = raw::open(port).expect("accepted by the system");
        std::io::Write::write_all(&mut stream, b"ruok, ruok, ruok").expect("sent");
        assert!(raw::closed(&mut stream), "it is refused");
    }
    let said = world.server.log().matches("refused a connection from 127.0.0.1").count();
    assert_eq!(said, 1, "{}", world.server.log());
}

#[test]
fn words_are_answered_on_the_secure_port_too() {
    // Four-letter words over TLS tell the same; conf shows the port, and the connections are listed.
    let world = World::new(Kind::Grovekeeper, |options| {
        options.set("ssl.clientAuth", "none").set("4lw.commands.whitelist", "*")
    });
    run(async {
        assert!(ask(&world, "srvr").await.contains("Mode: standalone"));
        let conf = ask(&world, "conf").await;
        let port = world.hosts.rsplit(':').next().expect("a port");
        assert!(conf.contains(&format!("secureClientPort={port}\n")), "{conf}");
        let guest = Tls::trusting(&world.pem("trust")).expect("valid");
        let zk = world.connect(guest).await.expect("connected");
        let session = zk.status().borrow().session;
        let cons = world.server.four_letter_word("cons").expect("it serves");
        assert!(cons.contains(&format!("sid={session}")), "{cons}");
    });
}
