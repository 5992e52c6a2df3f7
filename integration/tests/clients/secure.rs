//! Third-party clients that talk TLS.

use std::path::Path;

use integration::{Server, Tool};

use testkit::certificates::Authority;

/// A server with a secure port, and where that is; in `folder` are the keys of two clients that it
/// trusts and of one that it does not.
fn server(folder: &Path) -> (Server, String) {
    let ours = Authority::new(folder, "trust");
    let others = Authority::new(folder, "others");
    ours.issue("server", &["localhost", "127.0.0.1"]);
    ours.issue("ann", &[]);
    ours.issue("bob", &[]);
    others.issue("stranger", &[]);
    let (options, port) = Server::options().secure_port(folder);
    (options.start(), format!("127.0.0.1:{port}"))
}

#[test]
fn the_java_client_talks_tls_and_is_known_by_its_certificate() {
    // Netty's client with PEM files: large data, an owner by its subject, and strangers outside.
    let folder = tempfile::tempdir().expect("a folder");
    let (_server, hosts) = server(folder.path());
    Tool::Java.run_at("SecureSuite", folder.path(), &hosts);
}

#[test]
fn kazoo_talks_tls_and_is_known_by_its_certificate() {
    // The same with Python's TLS.
    let folder = tempfile::tempdir().expect("a folder");
    let (_server, hosts) = server(folder.path());
    Tool::Kazoo.run_at("secure", folder.path(), &hosts);
}
