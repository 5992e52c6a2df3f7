//! What several tests need: waiting for what a busy ensemble does in its own time.

use std::net::SocketAddr;
use std::time::Duration;

use integration::raw::SessionKey;
use integration::tree::{self, Tree};
use integration::{Ensemble, EnsembleOptions, Kind, RawClient, within};
use jute_proto::Zxid;

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Three servers of the kind that the environment names.
pub(crate) fn three() -> EnsembleOptions {
    EnsembleOptions::new(Kind::from_env(), 3)
}

/// A client with a new session, as soon as the server at `addr` gives one.
pub(crate) fn client(addr: SocketAddr) -> RawClient {
    within(PATIENCE, "a new session", || RawClient::connect_for(addr, Duration::from_secs(10)).ok())
}

/// The client of `session`, as soon as the server at `addr` resumes it.
pub(crate) fn resumed(addr: SocketAddr, session: &SessionKey) -> RawClient {
    within(PATIENCE, "the session is resumed", || RawClient::resume(addr, session).ok())
}

/// A server other than `leader`.
pub(crate) fn follower(ensemble: &Ensemble, leader: usize) -> usize {
    ensemble.servers().find(|server| *server != leader).expect("a second server")
}

/// Creates `path` on the server at `addr`, however often it takes; the zxid of the creation.
pub(crate) fn create(addr: SocketAddr, path: &str) -> Zxid {
    within(PATIENCE, "a znode is created", || {
        let mut client = RawClient::connect_for(addr, Duration::from_secs(10)).ok()?;
        let created = client.create(path, b"", 0).is_ok();
        let there = client.sync(path).and_then(|()| client.exists(path, false)).ok()??;
        let _ = client.close();
        // An attempt before may have done it without an answer.
        (created || there.version == 0).then_some(there.czxid)
    })
}

/// What all servers hold from `root` down, as soon as it is the same; each has an own view of
/// `/zookeeper`.
pub(crate) fn agreed(ensemble: &Ensemble, root: &str) -> Tree {
    within(PATIENCE, "all servers hold the same", || {
        let mut trees = Vec::new();
        for addr in ensemble.addrs() {
            trees.push(tree::read(addr, root, "/zookeeper").ok()?);
        }
        let first = trees.pop()?;
        trees.iter().all(|other| *other == first).then_some(first)
    })
}
