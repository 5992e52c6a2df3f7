//! The client crate: every operation, on Grovekeeper and on Apache ZooKeeper.

use std::time::Duration;

use grovekeeper_client::recipes::Lock;
use grovekeeper_client::{
    Acl, AddWatchMode, Client, CreateMode, CreateOptions, Error, ErrorCode, EventType, Fate,
    MultiResult, ReadResult, SessionState, WatchNotice, WatchedEvent, WatcherType,
};

use crate::client_world::{EPHEMERAL, PERSISTENT, on_each, on_each_with, run};

#[test]
fn znodes_are_created_read_written_and_deleted() {
    // Each basic call has the outcome and the metadata that ZooKeeper documents.
    on_each(|_, zk| async move {
        let made = zk.create("/a", b"one", PERSISTENT).await.expect("created");
        assert_eq!(made.path, "/a");
        let (data, stat) = zk.get("/a").await.expect("read");
        assert_eq!((&data[..], stat), (&b"one"[..], made.stat));
        let set = zk.set("/a", b"three", 0).await.expect("set");
        assert_eq!((set.version, set.data_length), (1, 5));
        assert_eq!(code(zk.set("/a", b"", 0).await), ErrorCode::BadVersion);
        assert_eq!(code(zk.create("/a", b"", PERSISTENT).await), ErrorCode::NodeExists);
        zk.create_all("/a/b/c").await.expect("made");
        zk.create_all("/a/b/c").await.expect("made already");
        assert_eq!(code(zk.delete("/a", None).await), ErrorCode::NotEmpty);
        let (children, stat) = zk.list("/a").await.expect("listed");
        assert_eq!((children, stat.num_children), (vec!["b".to_owned()], 1));
        assert_eq!(zk.count_descendants("/a").await.expect("counted"), 2);
        zk.delete("/a/b/c", None).await.expect("deleted");
        assert_eq!(zk.exists("/a/b/c").await.expect("asked"), None);
        assert!(zk.exists("/a").await.expect("asked").is_some());
        zk.sync("/").await.expect("synced");
        assert!(matches!(zk.get("a").await, Err(Error::InvalidPath { .. })));
        assert!(zk.config().await.is_ok());
    });
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Error>) -> ErrorCode {
    let error = outcome.expect_err("refused");
    assert_eq!(error.fate(), Fate::NotApplied);
    error.code().expect("a code")
}

#[test]
fn calls_keep_their_order_without_being_awaited() {
    // A hundred calls are made before the first is awaited, and take effect in that order.
    on_each(|_, zk| async move {
        let create = zk.create("/n", b"", PERSISTENT);
        let sets: Vec<_> = (0..100).map(|version| zk.set("/n", b"x", version)).collect();
        let read = zk.get("/n");
        let delete = zk.delete("/n", 100);
        delete.await.expect("deleted");
        assert_eq!(read.await.expect("read").1.version, 100);
        for (set, version) in sets.into_iter().zip(1..) {
            assert_eq!(set.await.expect("set").version, version);
        }
        create.await.expect("created");
    });
}

#[test]
fn every_kind_of_znode_can_be_created() {
    // Sequential ones are numbered, ephemeral ones are the session's, TTLs are a matter of settings.
    on_each_with(
        |options| options.set("extendedTypesEnabled", "true"),
        |_, zk| async move {
            zk.create("/c", b"", CreateMode::Container).await.expect("created");
            for expected in ["/c/n-0000000000", "/c/n-0000000001"] {
                let made = zk.create("/c/n-", b"", CreateMode::EphemeralSequential).await;
                let made = made.expect("created");
                assert_eq!(made.path, expected);
                assert_eq!(made.stat.ephemeral_owner, zk.status().borrow().session);
            }
            let mut mine = zk.ephemerals("/").await.expect("listed");
            mine.sort_unstable();
            assert_eq!(mine, ["/c/n-0000000000", "/c/n-0000000001"]);
            let brief = CreateOptions::with_ttl(Duration::from_secs(60));
            zk.create("/t", b"", brief).await.expect("created");
            let numbered = CreateOptions::sequential_with_ttl(Duration::from_secs(60));
            let made = zk.create("/t-", b"", numbered).await.expect("created");
            assert!(made.path.starts_with("/t-0"), "{}", made.path);
            let refused = zk.create("/x", b"", CreateMode::PersistentWithTtl).await;
            assert!(matches!(refused, Err(Error::InvalidArgument(_))));
        },
    );
}

#[test]
fn transactions_do_all_or_nothing() {
    // Each operation has its result; the one that fails is named and nothing is done.
    on_each(|_, zk| async move {
        let results = zk
            .multi()
            .create("/t", b"1", PERSISTENT)
            .set("/t", b"2", 0)
            .check("/t", 1)
            .create("/t/x", b"", EPHEMERAL)
            .delete("/t/x", None)
            .commit()
            .await
            .expect("committed");
        assert!(matches!(&results[0], MultiResult::Created { path, .. } if path == "/t"));
        assert!(matches!(&results[1], MultiResult::Set(stat) if stat.version == 1));
        assert_eq!(results[2], MultiResult::Checked);
        assert_eq!((results.len(), &results[4]), (5, &MultiResult::Deleted));
        let failed = zk.multi().set("/t", b"3", None).delete("/t/x", None).commit().await;
        assert_eq!(failed, Err(Error::Multi { index: 1, code: ErrorCode::NoNode }));
        let read = zk.multi_read().get("/t").list("/t").get("/missing").commit().await;
        let read = read.expect("read");
        assert!(matches!(&read[0], ReadResult::Data(data, _) if &data[..] == b"2"));
        assert_eq!(read[1], ReadResult::Children(Vec::new()));
        assert_eq!(read[2], ReadResult::Failed(Error::Server(ErrorCode::NoNode)));
    });
}

#[test]
fn access_control_lists_guard_znodes() {
    // A creator's znode is closed to others until they show the same credentials.
    on_each(|server, zk| async move {
        let owner = Client::builder().digest_auth("ann", "pw").connect(&server.hosts).await;
        let owner = owner.expect("connected");
        let guarded = CreateOptions::new(CreateMode::Persistent).acl(Acl::creator_all());
        owner.create("/mine", b"1", guarded).await.expect("created");
        assert_eq!(code(zk.get("/mine").await), ErrorCode::NoAuth);
        zk.add_auth("digest", "ann:pw").await.expect("authenticated");
        assert_eq!(&zk.get("/mine").await.expect("read").0[..], b"1");
        let (acl, stat) = zk.get_acl("/mine").await.expect("read");
        assert_eq!((acl[0].id.scheme.as_str(), stat.aversion), ("digest", 0));
        let stat = zk.set_acl("/mine", Acl::open(), 0).await.expect("set");
        assert_eq!(stat.aversion, 1);
        let who = zk.who_am_i().await.expect("asked");
        assert!(who.iter().any(|id| (&id.scheme[..], &id.user[..]) == ("digest", "ann")));
        assert_eq!(code(zk.set_acl("/mine", Acl::open(), 0).await), ErrorCode::BadVersion);
    });
}

#[test]
fn bad_credentials_end_the_client() {
    // A scheme that the server does not know is an error for the caller and the end of the client.
    on_each(|_, zk| async move {
        assert_eq!(zk.add_auth("nonsense", "x").await, Err(Error::AuthFailed));
        assert_eq!(zk.status().borrow().state, SessionState::AuthFailed);
        assert_eq!(zk.get("/").await.map(drop), Err(Error::AuthFailed));
    });
}

#[test]
fn one_shot_watches_are_futures() {
    // Each kind of watch tells of the change that it waits for, and then is over.
    on_each(|server, zk| async move {
        let other = server.connect().await;
        let (none, created) = zk.exists_and_watch("/w").await.expect("watched");
        assert_eq!(none, None);
        other.create("/w", b"", PERSISTENT).await.expect("created");
        assert_eq!(told(created.await), (EventType::NodeCreated, "/w".to_owned()));
        let (_, _, changed) = zk.get_and_watch("/w").await.expect("watched");
        let (_, _, grown) = zk.list_and_watch("/w").await.expect("watched");
        other.set("/w", b"1", None).await.expect("set");
        other.create("/w/x", b"", PERSISTENT).await.expect("created");
        assert_eq!(told(changed.await), (EventType::NodeDataChanged, "/w".to_owned()));
        assert_eq!(told(grown.await), (EventType::NodeChildrenChanged, "/w".to_owned()));
        assert_eq!(code(zk.get_and_watch("/missing").await), ErrorCode::NoNode);
        let (_, over) = zk.exists_and_watch("/w").await.expect("watched");
        zk.close().await;
        assert_eq!(over.await, Err(Error::Closed { fate: Fate::NotApplied }));
    });
}

fn told(outcome: Result<WatchedEvent, Error>) -> (EventType, String) {
    let event = outcome.expect("an event");
    (event.kind, event.path)
}

#[test]
fn persistent_watches_are_streams() {
    // They tell every change in order, below a chroot with the paths of the caller, and are taken
    // back when they are dropped.
    on_each(|server, zk| async move {
        let other = server.connect().await;
        zk.create_all("/app/w").await.expect("created");
        let app = zk.chroot("/app").expect("a path");
        let mut all = app.watch("/", AddWatchMode::PersistentRecursive).await.expect("watched");
        let mut one = app.watch("/w", AddWatchMode::Persistent).await.expect("watched");
        other.set("/app/w", b"1", None).await.expect("set");
        other.create("/app/w/x", b"", PERSISTENT).await.expect("created");
        other.delete("/app/w/x", None).await.expect("deleted");
        let changed = (EventType::NodeDataChanged, "/w".to_owned());
        let created = (EventType::NodeCreated, "/w/x".to_owned());
        let deleted = (EventType::NodeDeleted, "/w/x".to_owned());
        let children = (EventType::NodeChildrenChanged, "/w".to_owned());
        assert_eq!(take(&mut all, 3).await, [changed.clone(), created, deleted]);
        assert_eq!(take(&mut one, 3).await, [changed, children.clone(), children]);
        assert!(zk.has_watch("/app/w", WatcherType::Any).await.expect("asked"));
        drop(one);
        assert!(!zk.has_watch("/app/w", WatcherType::Any).await.expect("asked"));
        zk.close().await;
        assert_eq!(all.next().await, None);
    });
}

async fn take(
    stream: &mut grovekeeper_client::WatchStream,
    count: usize,
) -> Vec<(EventType, String)> {
    let mut events = Vec::new();
    while events.len() < count {
        match stream.next().await.expect("the session lives") {
            WatchNotice::Event(event) => events.push((event.kind, event.path)),
            WatchNotice::Gap => panic!("a gap on an unbroken connection"),
        }
    }
    events
}

#[test]
fn a_slow_reader_of_a_stream_is_told_that_it_missed_something() {
    // Events that nobody takes have a bound; beyond it the stream says that there is a gap.
    on_each(|server, zk| async move {
        let watcher = Client::builder().watch_buffer(10).connect(&server.hosts).await;
        let watcher = watcher.expect("connected");
        zk.create("/b", b"", PERSISTENT).await.expect("created");
        let mut events = watcher.watch("/b", AddWatchMode::Persistent).await.expect("watched");
        let sets: Vec<_> = (0..50).map(|_| zk.set("/b", b"", None)).collect();
        for set in sets {
            set.await.expect("set");
        }
        // The server answers this after the events.
        watcher.sync("/").await.expect("synced");
        watcher.get("/b").await.expect("read");
        assert_eq!(events.next().await, Some(WatchNotice::Gap));
    });
}

#[test]
fn a_chroot_hides_what_is_above_it() {
    // The client of a connect string with a path sees that path as its root, in every answer.
    on_each(|server, zk| async move {
        zk.create_all("/apps/one").await.expect("created");
        let app = Client::connect(&format!("{}/apps/one", server.hosts)).await;
        let app = app.expect("connected");
        assert_eq!(app.create("/x", b"", EPHEMERAL).await.expect("created").path, "/x");
        assert_eq!(app.list("/").await.expect("listed").0, ["x"]);
        assert_eq!(app.ephemerals("/").await.expect("listed"), ["/x"]);
        assert!(zk.exists("/apps/one/x").await.expect("asked").is_some());
        let results = app.multi().create("/y-", b"", CreateMode::PersistentSequential).commit();
        let results = results.await.expect("committed");
        let [MultiResult::Created { path, .. }] = &results[..] else { panic!("{results:?}") };
        assert!(path.starts_with("/y-0"), "{path}");
        // A root that is missing is made with the first path below it.
        let fresh = zk.chroot("/fresh/root").expect("a path");
        fresh.create_all("/x").await.expect("created");
        assert!(zk.exists("/fresh/root/x").await.expect("asked").is_some());
        Lock::new(&zk.chroot("/other").expect("a path"), "/")
            .acquire()
            .await
            .expect("locked")
            .release()
            .await
            .expect("released");
    });
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    // Connecting gives up in time.
    run(async {
        let address = format!("127.0.0.1:{}", integration::free_port());
        let timeout = Duration::from_millis(300);
        let refused = Client::builder().connect_timeout(timeout).connect(&address).await;
        assert_eq!(refused.map(drop), Err(Error::Unreachable));
    });
}
