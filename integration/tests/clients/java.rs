//! The Java client: Curator's recipes, and the plain client for what Curator does not touch.

use integration::{EnsembleOptions, Kind, Server, Tool};

use crate::rolling::restarts_and_kills;

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
