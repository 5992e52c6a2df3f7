//! The client crate's store of keys and values, and what faults do to it.

use std::time::Duration;

use grovekeeper_client::store::{Store, StoreEvent, StoreWatch};
use grovekeeper_client::{Client, Error, ErrorCode};

use crate::client_world::{end_session, on_each, on_each_server};

#[test]
fn values_are_put_read_compared_and_deleted() {
    // Keys need no preparation, prefixes find what is below them, and comparing decides races.
    on_each(|_, zk| async move {
        let store = Store::new(&zk);
        assert!(store.get("/").await.expect("read").is_empty());
        store.put("/a/b/c", b"1").await.expect("put");
        store.put("a/b", b"2").await.expect("put");
        store.put("/ab", b"3").await.expect("put");
        assert_eq!(store.get("/a").await.expect("read"), ["2", "1"]);
        let entries = store.entries("/").await.expect("read");
        let keys: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["/a/b", "/a/b/c", "/ab"]);
        assert_eq!(store.value("/a").await.expect("read"), None);
        assert_eq!(store.value("/missing").await.expect("read"), None);
        // A key with others below it goes, they stay.
        assert!(store.delete("/a/b").await.expect("deleted"));
        assert!(!store.delete("/a/b").await.expect("nothing there"));
        assert_eq!(store.get("/a").await.expect("read"), ["1"]);
        assert!(store.compare_and_put("/n", None, b"1").await.expect("compared"));
        assert!(!store.compare_and_put("/n", None, b"2").await.expect("compared"));
        assert!(!store.compare_and_put("/n", Some(b"0"), b"2").await.expect("compared"));
        assert!(store.compare_and_put("/n", Some(b"1"), b"2").await.expect("compared"));
        assert_eq!(store.value("/n").await.expect("read").as_deref(), Some(&b"2"[..]));
        assert!(matches!(store.put("/n", b"").await, Err(Error::InvalidArgument(_))));
        let stale = store.clone().allow_stale_reads();
        assert_eq!(stale.value("/n").await.expect("read").as_deref(), Some(&b"2"[..]));
    });
}

#[test]
fn comparing_lets_exactly_one_win() {
    // Of many who put the same key in the same state one succeeds, round after round.
    on_each(|address, zk| async move {
        let store = Store::new(&zk);
        let other = Store::connect(&address.hosts).await.expect("connected");
        for round in 0..20_u8 {
            let value = [round];
            let expected = round.checked_sub(1).map(|last| [last]);
            let expected = expected.as_ref().map(<[u8; 1]>::as_slice);
            let (one, two) = tokio::join!(
                store.compare_and_put("/k", expected, &value),
                other.compare_and_put("/k", expected, &value),
            );
            assert_ne!(one.expect("compared"), two.expect("compared"), "round {round}");
        }
    });
}

#[test]
fn watches_tell_what_is_there_and_what_happens() {
    // First the present keys, then puts, deletions and the ends of leases, also as a callback.
    on_each(|address, zk| async move {
        let store = Store::new(&zk);
        store.put("/w/a", b"1").await.expect("put");
        let mut watch = store.watch("/w");
        let (send, mut called) = tokio::sync::mpsc::unbounded_channel();
        let guard = store.watch_with("/w", move |event| drop(send.send(event)));
        assert_eq!(watch.next().await, put("/w/a", "1"));
        store.put("/w/a", b"2").await.expect("put");
        assert_eq!(watch.next().await, put("/w/a", "2"));
        store.put("/w/x/y", b"3").await.expect("put");
        assert_eq!(watch.next().await, put("/w/x/y", "3"));
        store.delete("/w/a").await.expect("deleted");
        assert_eq!(watch.next().await, Some(StoreEvent::Deleted { key: "/w/a".to_owned() }));
        let server = Store::connect(&address.hosts).await.expect("connected");
        let lease = server.keep_lease("/w/s", "here");
        assert_eq!(watch.next().await, put("/w/s", "here"));
        drop((lease, server));
        assert_eq!(watch.next().await, expired("/w/s"));
        // The callback was told the same, as far as it looked.
        while called.recv().await != expired("/w/s") {}
        drop(guard);
        assert_eq!(called.recv().await, None);
    });
}

fn put(key: &str, value: &'static str) -> Option<StoreEvent> {
    Some(StoreEvent::Put { key: key.to_owned(), value: value.into() })
}

fn expired(key: &str) -> Option<StoreEvent> {
    Some(StoreEvent::LeaseExpired { key: key.to_owned() })
}

#[test]
fn a_lease_ends_unless_it_is_refreshed() {
    // It stands while it is refreshed, ends when it is not, and can be registered again.
    on_each(|address, zk| async move {
        let store = Store::new(&zk);
        let mut watch = store.watch("/leases");
        watch.ready().await.expect("set");
        let ttl = Duration::from_secs(4);
        store.register_lease("/leases/one", ttl).await.expect("registered");
        assert_eq!(watch.next().await, put("/leases/one", ""));
        let other = Store::connect(&address.hosts).await.expect("connected");
        let taken = other.register_lease("/leases/one", ttl).await;
        assert_eq!(taken, Err(Error::Server(ErrorCode::NodeExists)));
        // Refreshed more often than its time, it outlives that time.
        let mut quarter = tokio::time::interval(ttl / 4);
        for _ in 0..6 {
            quarter.tick().await;
            store.refresh_lease("/leases/one").expect("refreshed");
        }
        let keys = store.entries("/leases").await.expect("read");
        assert_eq!(keys, [("/leases/one".to_owned(), "".into())]);
        assert_eq!(watch.next().await, expired("/leases/one"));
        let refused = store.refresh_lease("/leases/one");
        assert_eq!(refused, Err(Error::Server(ErrorCode::NoNode)));
        other.register_lease("/leases/one", ttl).await.expect("registered");
        other.release_lease("/leases/one").await.expect("released");
        assert!(store.entries("/leases").await.expect("read").is_empty());
    });
}

#[test]
fn a_lease_ends_with_the_session_of_its_holder() {
    // Whoever dies without a word is gone from the store, and a kept lease comes back with the next
    // session.
    on_each(|address, zk| async move {
        let store = Store::new(&zk);
        let client = address.connect().await;
        let holder = Store::new(&client);
        holder.register_lease("/l/once", Duration::from_secs(60)).await.expect("registered");
        let kept = holder.keep_lease("/l/kept", "v");
        kept.ready().await.expect("there");
        let mut watch = store.watch("/l");
        watch.ready().await.expect("set");
        end_session(&address.hosts, &client.save_session());
        until(&mut watch, expired("/l/once")).await;
        client.status().wait_for(|status| status.generation == 1).await.expect("alive");
        kept.ready().await.expect("there again");
        assert_eq!(store.entries("/l").await.expect("read"), [("/l/kept".to_owned(), "v".into())]);
        let refused = holder.refresh_lease("/l/once");
        assert_eq!(refused, Err(Error::Server(ErrorCode::NoNode)));
    });
}

async fn until(watch: &mut StoreWatch, wanted: Option<StoreEvent>) {
    while watch.next().await != wanted {}
}

#[test]
fn the_store_goes_on_after_the_crash_of_its_server() {
    // What was acknowledged is there, leases stand, and watches tell what is new.
    on_each_server(|mut server| async move {
        let client = Client::connect(&server.connect_string()).await.expect("connected");
        let store = Store::new(&client);
        store.put("/k", b"1").await.expect("put");
        let kept = store.keep_lease("/s/one", "here");
        kept.ready().await.expect("there");
        let mut watch = store.watch("/k");
        assert_eq!(watch.next().await, put("/k", "1"));
        server.kill();
        server.start_again();
        assert_eq!(store.value("/k").await.expect("read").as_deref(), Some(&b"1"[..]));
        assert_eq!(store.get("/s").await.expect("read"), ["here"]);
        store.put("/k", b"2").await.expect("put");
        assert_eq!(watch.next().await, put("/k", "2"));
    });
}
