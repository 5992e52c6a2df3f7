//! kazoo, the Python client, and its recipes.

use grovekeeper_client::Client;
use grovekeeper_client::recipes::{Lock, LockStyle};
use integration::{EnsembleOptions, Kind, Server, Tool};

use crate::rolling::restarts_and_kills;
use crate::turns::take_turns;

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
                let lock = Lock::new(&zk, &format!("{path}/lock")).style(style).data("rust");
                take_turns(&zk, &format!("{path}/count"), async || lock.acquire().await).await;
            }
        });
        kazoo.join().expect("kazoo's side ends well");
    });
}
