//! The Java client: Curator's recipes, and the plain client for what Curator does not touch.

use grovekeeper_client::Client;
use grovekeeper_client::recipes::{Lock, ReadWriteLock, Semaphore};
use integration::{EnsembleOptions, Kind, Server, Tool};

use crate::rolling::restarts_and_kills;
use crate::turns::take_turns;

fn server() -> Server {
    Server::options().set("extendedTypesEnabled", "true").start()
}

#[test]
fn curator_recipes_coordinate_several_clients() {
    // Locks, leaders, caches, discovery, persistent nodes, transactions, counters and barriers.
    Tool::Java.run("CuratorSuite", &server());
}

#[test]
fn the_plain_java_client_has_every_call_answered() {
    // Persistent and recursive watches, removal, TTL and container nodes, multi reads, whoAmI.
    Tool::Java.run("PlainSuite", &server());
}

#[test]
fn curator_goes_on_when_the_server_is_killed_and_comes_back() {
    // Leadership, locks, caches and re-armed watches of a client outlive kill -9 of its server.
    Tool::Java.run_through("RestartSuite", &mut server(), |server| {
        server.kill();
        server.start_again();
    });
}

#[test]
fn curator_keeps_a_lock_an_election_and_a_group_through_rolling_restarts() {
    // While three servers are restarted one after the other and their leader is killed, clients
    // take turns at a lock and as leader, never two at once, and their sessions go on.
    let mut ensemble = EnsembleOptions::new(Kind::from_env(), 3).start();
    Tool::Java.run_through_faults("RollingSuite", &mut ensemble, restarts_and_kills);
}

#[test]
fn curator_and_the_rust_client_take_turns_at_the_same_locks() {
    // A mutex, a write lock and a semaphore of one permit: only one of the two holds it at a time,
    // and both get it again and again.
    let server = server();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    std::thread::scope(|scope| {
        let curator = scope.spawn(|| Tool::Java.run("LockSuite", &server));
        runtime.block_on(async {
            let zk = Client::connect(&server.connect_string()).await.expect("connected");
            let mutex = Lock::new(&zk, "/interop/mutex/lock");
            take_turns(&zk, "/interop/mutex/count", async || mutex.acquire().await).await;
            let write = ReadWriteLock::new(&zk, "/interop/write/lock").write();
            take_turns(&zk, "/interop/write/count", async || write.acquire().await).await;
            let semaphore = Semaphore::new(&zk, "/interop/semaphore/lock", 1);
            take_turns(&zk, "/interop/semaphore/count", async || semaphore.acquire().await).await;
        });
        curator.join().expect("Curator's side ends well");
    });
}
