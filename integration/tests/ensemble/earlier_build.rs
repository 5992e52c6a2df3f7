//! Data directories of an earlier build.
//!
//! `fixtures/earlier-build.tar.gz` holds those of three servers of commit 8aece55, which were stopped once and killed
//! later. Servers had no lives then, entries no sections, and no version was in force.

use std::path::Path;
use std::process::Command;

use integration::{Ensemble, EnsembleOptions, Kind, within};

use crate::patience::{PATIENCE, agreed, client, create};

/// Three servers that are to start with what an earlier build left.
fn unpacked() -> Ensemble {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/earlier-build.tar.gz");
    let ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3)
        .set("extendedTypesEnabled", "true")
        .set("maxSessionTimeout", "600000")
        .prepare();
    for server in ensemble.servers() {
        let mut tar = Command::new("tar");
        tar.arg("-xzf").arg(&fixture).arg("-C").arg(ensemble.folder(server));
        tar.arg("--strip-components=1").arg(format!("{}/data", server + 1));
        assert!(tar.status().expect("tar runs").success());
    }
    ensemble
}

fn assert_kept(ensemble: &Ensemble, server: usize) {
    let mut client = client(ensemble.addr(server));
    client.sync("/").expect("in contact");
    let mut get = |path: &str| client.get(path, false).expect(path);
    assert_eq!((get("/a").0, get("/a").1.version), (b"three".to_vec(), 1));
    assert_eq!((get("/a/b").0, get("/a/b").1.version), (b"four".to_vec(), 1));
    assert_eq!(get("/later").0, b"after the checkpoint");
    assert_eq!(get("/eph").0, b"mine", "its session has ten minutes");
    assert!(get("/eph").1.ephemeral_owner.0 != 0);
    assert_eq!((get("/container").0, get("/ttl").0), (b"x".to_vec(), b"x".to_vec()));
    assert!(client.set("/readonly", b"", -1).is_err(), "its list allows reading alone");
    let children = client.children("/a", false).expect("asked");
    assert_eq!(children.len(), 20, "twenty, and /a/b, without the one that was deleted");
}

#[test]
fn what_an_earlier_build_left_is_read_and_gone_on_with() {
    // Three servers with the directories of a build without lives go on as the same ensemble. Clients write, a new
    // version is in force, and a server whose disk is lost is taken in as a new life.
    let mut ensemble = unpacked();
    for server in ensemble.servers() {
        ensemble.start(server);
    }
    ensemble.wait_until_all_serve();
    for server in ensemble.servers() {
        assert_kept(&ensemble, server);
        let is_raised = || ensemble.log(server).contains("version 2 is in force").then_some(());
        within(PATIENCE, "the version is raised", is_raised);
    }
    create(ensemble.addr(0), "/now");
    let lost = (ensemble.wait_for_leader() + 1) % 3;
    ensemble.wipe(lost);
    ensemble.start(lost);
    ensemble.wait_until_all_serve();
    assert_kept(&ensemble, lost);
    assert!(agreed(&ensemble, "/").len() > 25);
}
