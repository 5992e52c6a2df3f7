//! Servers that show each other certificates.

use std::fs;
use std::path::Path;

use integration::{Ensemble, EnsembleOptions, Kind, eventually};
use testkit::certificates::Authority;

use crate::patience::{client, create};

/// Writes an authority's certificate, and a key with a certificate for this machine, and with one for another.
fn write_keys(folder: &Path) {
    let authority = Authority::new(folder, "trust");
    authority.issue("key", &["127.0.0.1"]);
    authority.issue("elsewhere", &["elsewhere.example"]);
}

/// Starts a server again whose configuration has other lines about TLS.
fn restart_with(ensemble: &mut Ensemble, server: usize, lines: &str) {
    ensemble.stop(server);
    let file = ensemble.folder(server).join("zoo.cfg");
    let text = fs::read_to_string(&file).expect("the configuration");
    let others = text.lines().filter(|l| !l.contains("ssl") && !l.starts_with("portUnification"));
    let text: String = others.map(|line| format!("{line}\n")).collect();
    fs::write(&file, text + lines).expect("the configuration");
    ensemble.start(server);
}

#[test]
fn an_ensemble_changes_over_to_tls_while_it_serves() {
    // Restarted server by server, an ensemble goes from no TLS to TLS alone without an
    // interruption; then a server without it stays outside, and both sides say why.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).start();
    let keys = ensemble.root().to_owned();
    write_keys(&keys);
    let stores = format!(
        "ssl.quorum.keyStore.location={0}/key.pem\nssl.quorum.trustStore.location={0}/trust.pem\n",
        keys.display()
    );
    let steps =
        ["portUnification=true\n", "portUnification=true\nsslQuorum=true\n", "sslQuorum=true\n"];
    let mut expected = vec!["zookeeper".to_owned()];
    for (step, lines) in steps.iter().enumerate() {
        for server in ensemble.servers() {
            restart_with(&mut ensemble, server, &format!("{lines}{stores}"));
            ensemble.wait_until_all_serve();
            let name = format!("{step}-{server}");
            create(ensemble.addr((server + 1) % 3), &format!("/{name}"));
            expected.push(name);
        }
    }
    expected.sort();
    for addr in ensemble.addrs() {
        let mut client = client(addr);
        client.sync("/").expect("synced");
        assert_eq!(client.children("/", false).expect("listed"), expected);
    }

    restart_with(&mut ensemble, 0, "");
    let says = |server| ensemble.log(server).contains("only TLS is talked here");
    eventually("both sides say why", || (says(0) && (says(1) || says(2))).then_some(()));
    assert_eq!(ensemble.mode(0), None);
    create(ensemble.addr(1), "/still");
}

#[test]
fn a_certificate_speaks_for_the_host_that_it_names() {
    // With nothing but `sslQuorum` and the two files: a certificate of the same authority that was made for a host
    // elsewhere (a client's, say) is not heard as a member, whoever connects. With the right one the server is back.
    let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).prepare();
    let keys = ensemble.root().to_owned();
    write_keys(&keys);
    let lines = |file: &str| {
        let keys = keys.display();
        format!(
            "sslQuorum=true\nssl.quorum.keyStore.location={keys}/{file}\n\
             ssl.quorum.trustStore.location={keys}/trust.pem\n"
        )
    };
    for server in ensemble.servers() {
        restart_with(&mut ensemble, server, &lines("key.pem"));
    }
    ensemble.wait_until_all_serve();
    let outside = (ensemble.wait_for_leader() + 1) % 3;
    restart_with(&mut ensemble, outside, &lines("elsewhere.pem"));
    for server in ensemble.servers().filter(|server| *server != outside) {
        let says = || ensemble.log(server).contains("its certificate is not made out to");
        eventually("the server says why", || says().then_some(()));
    }
    create(ensemble.addr((outside + 1) % 3), "/without");
    assert_eq!(ensemble.mode(outside), None);
    restart_with(&mut ensemble, outside, &lines("key.pem"));
    ensemble.wait_until_all_serve();
    let mut client = client(ensemble.addr(outside));
    client.sync("/").expect("synced");
    assert!(client.exists("/without", false).expect("asked").is_some());
}
