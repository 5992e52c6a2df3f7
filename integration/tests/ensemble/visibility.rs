//! What is written at one server is seen at the others.

use std::time::Duration;

use integration::RawClient;
use integration::raw::SessionKey;

use crate::patience::{client, three};

#[test]
fn a_write_at_any_server_is_seen_at_all_after_sync() {
    // Each server takes writes, and a client of another sees them after a sync.
    let ensemble = three().start();
    let mut clients: Vec<RawClient> = ensemble.addrs().into_iter().map(client).collect();
    for writer in ensemble.servers() {
        for round in 0..10 {
            let path = format!("/from-{writer}-{round}");
            clients[writer].create(&path, b"x", 0).expect("created");
            for reader in &mut clients {
                reader.sync("/").expect("synced");
                let (data, _) = reader.get(&path, false).expect("seen after a sync");
                assert_eq!(data, b"x");
            }
        }
    }
}

#[test]
fn a_watch_at_one_server_sees_the_write_at_another() {
    // The event comes before a read shows the change.
    let ensemble = three().start();
    let mut writer = client(ensemble.addr(0));
    let mut watcher = client(ensemble.addr(1));
    writer.create("/watched", b"old", 0).expect("created");
    watcher.sync("/watched").expect("synced");
    watcher.get("/watched", true).expect("armed");
    writer.set("/watched", b"new", -1).expect("set");
    watcher.sync("/watched").expect("synced");
    let (data, _) = watcher.get("/watched", false).expect("read");
    assert_eq!(data, b"new");
    let events = watcher.take_events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].path, "/watched");
}

#[test]
fn a_session_moves_and_its_old_connection_ends() {
    // A session that is resumed at another server sees its own writes there and keeps its
    // ephemerals; the connection that it left is closed.
    let ensemble = three().start();
    let mut old = client(ensemble.addr(0));
    old.create("/mine", b"", 1).expect("an ephemeral");
    let key: SessionKey = old.session().clone();
    let mut moved = RawClient::resume(ensemble.addr(1), &key).expect("resumed at once");
    moved.sync("/mine").expect("synced");
    let stat = moved.exists("/mine", false).expect("asked").expect("still there");
    assert_eq!(stat.ephemeral_owner, key.id);
    // Apache ZooKeeper notices with the next request only, and answers it with an error.
    let _ = old.create("/late", b"", 0);
    let mut other = RawClient::connect_for(ensemble.addr(2), Duration::from_secs(10)).expect("new");
    other.sync("/").expect("synced");
    assert_eq!(other.exists("/late", false).expect("asked"), None, "a late write is refused");
    moved.create("/after", b"", 0).expect("the session goes on");
}
