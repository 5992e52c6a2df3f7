//! kazoo, the Python client, and its recipes.

use integration::{Server, Tool};

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
