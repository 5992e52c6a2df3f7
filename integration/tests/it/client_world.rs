//! What the tests of the client crate share: a scenario on each kind of server.

use std::future::Future;
use std::time::Duration;

use grovekeeper_client::{Client, CreateMode, ErrorCode, SavedSession};
use integration::raw::{self, SessionKey};
use integration::{Kind, RawClient, Server, ServerOptions, eventually};

pub(crate) const PERSISTENT: CreateMode = CreateMode::Persistent;
pub(crate) const EPHEMERAL: CreateMode = CreateMode::Ephemeral;

/// How long a scenario may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a scenario finds its server.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    pub(crate) hosts: String,
}

impl Address {
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(&self.hosts).await.expect("connected")
    }
}

/// The servers that a test of the client runs against: the one that the environment names, else
/// Grovekeeper, and Apache ZooKeeper where it is installed.
pub(crate) fn kinds() -> Vec<Kind> {
    if std::env::var_os("GROVEKEEPER_TEST_SERVER").is_some() {
        return vec![Kind::from_env()];
    }
    let kinds = [Kind::Grovekeeper, Kind::ZooKeeper];
    kinds.into_iter().filter(|kind| kind.installed()).collect()
}

/// Runs a scenario with a server of its own and a client of it, once for each kind of server.
pub(crate) fn on_each<F: Future<Output = ()>>(scenario: impl Fn(Address, Client) -> F) {
    on_each_with(|options| options, scenario);
}

/// As [`on_each`], with settings of the server.
pub(crate) fn on_each_with<F: Future<Output = ()>>(
    settings: impl Fn(ServerOptions) -> ServerOptions,
    scenario: impl Fn(Address, Client) -> F,
) {
    for kind in kinds() {
        let server = settings(ServerOptions::new(kind)).start();
        let address = Address { hosts: server.connect_string() };
        run(async {
            let client = address.connect().await;
            scenario(address, client).await;
        });
    }
}

/// Runs a scenario that starts and stops its server itself, once for each kind of server. Sessions
/// last long enough for a restart on a busy machine.
pub(crate) fn on_each_server<F: Future<Output = ()>>(scenario: impl Fn(Server) -> F) {
    let patient = |options: ServerOptions| {
        options.set("minSessionTimeout", "40000").set("maxSessionTimeout", "60000")
    };
    on_each_server_with(patient, scenario);
}

/// As [`on_each_server`], with settings of the server instead.
pub(crate) fn on_each_server_with<F: Future<Output = ()>>(
    settings: impl Fn(ServerOptions) -> ServerOptions,
    scenario: impl Fn(Server) -> F,
) {
    for kind in kinds() {
        run(scenario(settings(ServerOptions::new(kind)).start()));
    }
}

/// Runs a scenario that must end in time.
pub(crate) fn run(scenario: impl Future<Output = ()>) {
    run_within(PATIENCE, scenario);
}

/// As [`run`], with more time or less.
pub(crate) fn run_within(patience: Duration, scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(patience, scenario).await.expect("the scenario ends in time");
    });
}

/// Closes a session behind the back of its client.
pub(crate) fn end_session(hosts: &str, session: &SavedSession) {
    let addr = hosts.parse().expect("an address");
    let key = SessionKey { id: session.id, password: session.password.to_vec() };
    // The client may take its session back before it is closed.
    eventually("the session is over", || match RawClient::resume(addr, &key) {
        Ok(thief) => {
            let _ = thief.close();
            None
        }
        Err(raw::Error::Code(ErrorCode::SessionExpired)) => Some(()),
        Err(_) => None,
    });
}

/// Waits until a znode has `count` children; one that is missing has none.
pub(crate) async fn in_line(zk: &Client, path: &str, count: usize) {
    loop {
        let (_, created) = zk.exists_and_watch(path).await.expect("watched");
        match zk.list_and_watch(path).await {
            Ok((children, _, _)) if children.len() == count => return,
            Ok((_, _, change)) => drop(change.await.expect("told")),
            Err(_) if count == 0 => return,
            Err(_) => drop(created.await.expect("told")),
        }
    }
}
