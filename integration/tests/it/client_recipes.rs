//! The client crate's other recipes, and what faults do to them.

use grovekeeper_client::recipes::{
    Barrier, CacheEvent, Counter, DoubleBarrier, Group, PersistentNode, Queue, ServiceRegistry,
    TreeCache,
};
use grovekeeper_client::{Client, EventType};

use crate::client_world::{PERSISTENT, end_session, in_line, on_each, on_each_server};

#[test]
fn a_persistent_node_comes_back() {
    // Deleted, or gone with its session, it is created again; dropped, it goes.
    on_each(|address, zk| async move {
        let owner = address.connect().await;
        let node = PersistentNode::start(&owner, "/kept/here", "1");
        node.ready().await.expect("there");
        let (_, gone) = zk.exists_and_watch("/kept/here").await.expect("watched");
        zk.delete("/kept/here", None).await.expect("deleted");
        gone.await.expect("told");
        until_holds(&zk, "/kept/here", "1").await;
        node.set("2");
        until_holds(&zk, "/kept/here", "2").await;
        end_session(&address.hosts, &owner.save_session());
        let mut status = owner.status();
        status.wait_for(|status| status.generation == 1).await.expect("alive");
        until_holds(&zk, "/kept/here", "2").await;
        node.close().await;
        assert_eq!(zk.exists("/kept/here").await.expect("asked"), None);
    });
}

/// Waits until a znode holds `data`.
async fn until_holds(zk: &Client, path: &str, data: &str) {
    loop {
        let (_, change) = zk.exists_and_watch(path).await.expect("watched");
        if zk.get(path).await.is_ok_and(|(held, _)| held == data.as_bytes()) {
            return;
        }
        change.await.expect("told");
    }
}

#[test]
fn a_persistent_node_waits_for_the_one_of_an_older_session() {
    // What a crashed predecessor left behind is not touched, and replaced when it goes.
    on_each(|address, zk| async move {
        let old = address.connect().await;
        old.create("/n", b"old", grovekeeper_client::CreateMode::Ephemeral).await.expect("made");
        let node = PersistentNode::start(&zk, "/n", "new");
        zk.sync("/").await.expect("synced");
        assert_eq!(&zk.get("/n").await.expect("read").0[..], b"old");
        assert!(!node.is_present());
        old.close().await;
        node.ready().await.expect("there");
        assert_eq!(&zk.get("/n").await.expect("read").0[..], b"new");
    });
}

#[test]
fn a_group_knows_who_is_there() {
    // Members come and go with their guards, and come back after a session loss.
    on_each(|address, zk| async move {
        let group = Group::new(&zk, "/workers");
        let mut changes = group.watch();
        assert!(changes.next().await.expect("read").is_empty());
        let member = address.connect().await;
        let one = Group::new(&member, "/workers").join("one", "1");
        let two = group.join("two", "2");
        while changes.next().await.expect("read").len() < 2 {}
        let names: Vec<String> =
            group.members().await.expect("read").into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["one", "two"]);
        end_session(&address.hosts, &member.save_session());
        // Perhaps the one that goes is back before anyone looks.
        member.status().wait_for(|status| status.generation == 1).await.expect("alive");
        one.ready().await.expect("there");
        drop(two);
        loop {
            let members = changes.next().await.expect("read");
            if members.iter().map(|one| &one.name[..]).eq(["one"]) {
                break;
            }
        }
    });
}

#[test]
fn services_are_found_where_they_are() {
    // An instance is found by its service's name while it lives.
    on_each(|_, zk| async move {
        let registry = ServiceRegistry::new(&zk, "/services");
        assert!(registry.services().await.expect("read").is_empty());
        let one = registry.register("search", "one", "10.0.0.1:80");
        one.ready().await.expect("there");
        let found = registry.instances("search").await.expect("read");
        assert_eq!((&found[0].name[..], &found[0].data[..]), ("one", &b"10.0.0.1:80"[..]));
        assert_eq!(registry.services().await.expect("read"), ["search"]);
        let mut changes = registry.watch("search");
        assert_eq!(changes.next().await.expect("read").len(), 1);
        drop(one);
        assert!(changes.next().await.expect("read").is_empty());
    });
}

#[test]
fn a_barrier_holds_through_the_crash_of_its_server() {
    // Who waits goes on waiting after a restart, and goes on when the barrier is lifted.
    on_each_server(|mut server| async move {
        let zk = Client::connect(&server.connect_string()).await.expect("connected");
        let barrier = Barrier::new(&zk, "/b/x");
        barrier.wait().await.expect("no barrier");
        barrier.set().await.expect("set");
        barrier.set().await.expect("set already");
        let waiting = {
            let barrier = barrier.clone();
            tokio::spawn(async move { barrier.wait().await })
        };
        zk.sync("/").await.expect("synced");
        server.kill();
        server.start_again();
        zk.status().wait_for(|status| status.state.is_connected()).await.expect("alive");
        assert!(!waiting.is_finished());
        barrier.lift().await.expect("lifted");
        waiting.await.expect("joined").expect("went on");
    });
}

#[test]
fn a_double_barrier_begins_and_ends_together() {
    // Nobody begins before all are there or ends before all are done; the lost are not waited for.
    on_each(|address, zk| async move {
        let other = address.connect().await;
        let enter = |client: &Client| {
            let barrier = DoubleBarrier::new(client, "/d", 3);
            tokio::spawn(async move { barrier.enter().await })
        };
        let (one, two) = (enter(&zk), enter(&zk));
        in_line(&zk, "/d", 2).await;
        assert!(!one.is_finished() && !two.is_finished());
        let lost = enter(&other).await.expect("joined").expect("inside");
        let one = one.await.expect("joined").expect("inside");
        let two = two.await.expect("joined").expect("inside");
        let leaving = tokio::spawn(one.leave());
        in_line(&zk, "/d", 3).await;
        assert!(!leaving.is_finished());
        end_session(&address.hosts, &other.save_session());
        two.leave().await.expect("left");
        leaving.await.expect("joined").expect("left");
        drop(lost);
        in_line(&zk, "/d", 0).await;
    });
}

#[test]
fn a_counter_loses_no_change() {
    // Many add at the same time; the sum is right.
    on_each(|address, zk| async move {
        let counter = Counter::new(&zk, "/counters/c");
        assert_eq!(counter.get().await.expect("read"), 0);
        let mut adding = Vec::new();
        for _ in 0..4 {
            let client = address.connect().await;
            adding.push(tokio::spawn(async move {
                let counter = Counter::new(&client, "/counters/c");
                for delta in [3, -1, 3] {
                    counter.add(delta).await.expect("added");
                }
            }));
        }
        for add in adding {
            add.await.expect("joined");
        }
        assert_eq!(counter.get().await.expect("read"), 20);
        assert_eq!(&zk.get("/counters/c").await.expect("read").0[..], b"20");
        assert!(counter.add(i64::MAX).await.is_err());
    });
}

#[test]
fn a_queue_keeps_its_entries_and_their_order_through_a_crash() {
    // First in, first out, each entry to one taker; takers wait for entries.
    on_each_server(|mut server| async move {
        let zk = Client::connect(&server.connect_string()).await.expect("connected");
        let queue = Queue::new(&zk, "/q");
        assert_eq!(queue.try_take().await.expect("asked"), None);
        for number in 0..5_u8 {
            queue.put(&[number]).await.expect("put");
        }
        server.kill();
        server.start_again();
        assert_eq!(queue.len().await.expect("counted"), 5);
        for number in 0..5_u8 {
            assert_eq!(&queue.take().await.expect("taken")[..], [number]);
        }
        assert!(queue.is_empty().await.expect("counted"));
        let taking = {
            let queue = queue.clone();
            tokio::spawn(async move { queue.take().await })
        };
        queue.put(b"last").await.expect("put");
        assert_eq!(&taking.await.expect("joined").expect("taken")[..], b"last");
    });
}

#[test]
fn a_tree_cache_follows_its_tree_through_crashes_and_lost_sessions() {
    // After every fault the mirror is what the server has, and what changed was told.
    on_each_server(|mut server| async move {
        let hosts = server.connect_string();
        let zk = Client::connect(&hosts).await.expect("connected");
        let owner = Client::connect(&hosts).await.expect("connected");
        zk.create_all("/t/a/b").await.expect("created");
        let (cache, mut events) = TreeCache::start_listening(&owner, "/t");
        cache.ready().await.expect("mirrored");
        assert_eq!(cache.children("/t"), ["a"]);
        let paths = |cache: &TreeCache| -> Vec<String> {
            cache.entries().into_iter().map(|(path, _, _)| path).collect()
        };
        assert_eq!(paths(&cache), ["/t", "/t/a", "/t/a/b"]);
        zk.set("/t/a", b"1", None).await.expect("set");
        zk.create("/t/c", b"2", PERSISTENT).await.expect("created");
        until_told(&mut events, EventType::NodeCreated, "/t/c").await;
        assert_eq!(&cache.get("/t/a").expect("mirrored").0[..], b"1");
        server.kill();
        server.start_again();
        zk.delete("/t/a/b", None).await.expect("deleted");
        until_told(&mut events, EventType::NodeDeleted, "/t/a/b").await;
        end_session(&hosts, &owner.save_session());
        zk.set("/t/c", b"3", None).await.expect("set");
        until_told(&mut events, EventType::NodeDataChanged, "/t/c").await;
        assert_eq!(paths(&cache), ["/t", "/t/a", "/t/c"]);
        drop(cache);
        while events.recv().await.is_some() {}
    });
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other events do not matter here")]
async fn until_told(
    events: &mut grovekeeper_client::recipes::CacheEvents,
    kind: EventType,
    wanted: &str,
) {
    loop {
        let told = match events.recv().await.expect("the mirror lives") {
            CacheEvent::Added { path, .. } => (EventType::NodeCreated, path),
            CacheEvent::Changed { path, .. } => (EventType::NodeDataChanged, path),
            CacheEvent::Removed { path, .. } => (EventType::NodeDeleted, path),
            _ => continue,
        };
        if told == (kind, wanted.to_owned()) {
            return;
        }
    }
}
