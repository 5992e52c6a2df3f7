//! kazoo, the Python client, and its recipes.

use grovekeeper_client::recipes::{Lock, LockStyle};
use grovekeeper_client::{Client, CreateMode};
use integration::{EnsembleOptions, Kind, Server, Tool};

use crate::rolling::restarts_and_kills;

fn server() -> Server {
    Server::options().set("4lw.commands.whitelist", "*").start()
}

#[test]
fn kazoo_works_with_znodes_acls_and_sessions() {
    // Everything that kazoo's client object offers has the outcome that its documentation names.
    Tool::Kazoo.run("basics", &server());
}

#[test]
fn kazoo_is_told_of_every_change_it_watches() {
    // One-shot watches, and kazoo's own watchers on top of them.
    Tool::Kazoo.run("watches", &server());
}

#[test]
fn kazoo_recipes_coordinate_several_clients() {
    // Locks, elections, parties, queues, barriers, counters, leases, caches and partitions.
    Tool::Kazoo.run("recipes", &server());
}

#[test]
fn kazoo_goes_on_when_the_server_is_killed_and_comes_back() {
    // Session, ephemerals, locks and watchers of a client outlive kill -9 of its server.
    Tool::Kazoo.run_through("restart", &mut server(), |server| {
        server.kill();
        server.start_again();
    });
}

#[test]
fn kazoo_keeps_a_lock_an_election_and_a_group_through_rolling_restarts() {
    // While three servers are restarted one after the other and their leader is killed, clients
    // take turns at a lock and as leader, never two at once, and their sessions go on.
    let mut ensemble = EnsembleOptions::new(Kind::from_env(), 3).start();
    Tool::Kazoo.run_through_faults("rolling", &mut ensemble, restarts_and_kills);
}

#[test]
fn kazoo_and_the_rust_client_take_turns_at_the_same_lock() {
    // Whichever convention the names follow, only one of them is under the lock at a time, and both
    // get it again and again.
    let server = server();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    std::thread::scope(|scope| {
        let kazoo = scope.spawn(|| Tool::Kazoo.run("lock", &server));
        runtime.block_on(async {
            let zk = Client::connect(&server.connect_string()).await.expect("connected");
            for (path, style) in
                [("/interop/kazoo", LockStyle::Kazoo), ("/interop/curator", LockStyle::Curator)]
            {
                take_turns(&zk, path, style).await;
            }
        });
        kazoo.join().expect("kazoo's side ends well");
    });
}

/// Counts under the lock until kazoo has counted as often as its suite does.
async fn take_turns(zk: &Client, path: &str, style: LockStyle) {
    const ROUNDS: u32 = 25;
    let count = format!("{path}/count");
    zk.create_all(path).await.expect("created");
    zk.create(&count, b"0", CreateMode::Persistent).await.expect("created");
    let lock = Lock::new(zk, &format!("{path}/lock")).style(style).data("rust");
    for mine in 1.. {
        let guard = lock.acquire().await.expect("locked");
        let (value, stat) = zk.get(&count).await.expect("read");
        let text = std::str::from_utf8(&value).expect("text");
        let next = text.parse::<u32>().expect("a number") + 1;
        // Were kazoo under the lock, the version would be wrong.
        zk.set(&count, next.to_string().as_bytes(), stat.version).await.expect("counted");
        guard.release().await.expect("released");
        if next - mine == ROUNDS {
            return;
        }
    }
}
