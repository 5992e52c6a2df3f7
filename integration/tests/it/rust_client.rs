//! The crate `zookeeper-client`, an unmodified Rust client of ZooKeeper.

use std::future::Future;
use std::time::Duration;

use integration::Server;
use zookeeper_client::{
    Acls, AddWatchMode, Client, CreateMode, CreateOptions, Error, EventType, LockPrefix,
    MultiReadResult, MultiWriteError, MultiWriteResult,
};

const PATIENCE: Duration = Duration::from_secs(30);
const PERSISTENT: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());
const EPHEMERAL: CreateOptions<'static> = CreateMode::Ephemeral.with_acls(Acls::anyone_all());

fn run<F: Future<Output = ()>>(scenario: impl FnOnce(String) -> F) {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let scenario = scenario(server.connect_string());
        tokio::time::timeout(PATIENCE, scenario).await.expect("the scenario ends in time");
    });
}

async fn connect(hosts: &str) -> Client {
    Client::connector()
        .with_session_timeout(Duration::from_secs(8))
        .connect(hosts)
        .await
        .expect("connected")
}

#[test]
fn znodes_are_created_read_written_and_deleted() {
    // Each basic call has the outcome and the Stat that ZooKeeper documents.
    run(|hosts| async move {
        let zk = connect(&hosts).await;
        let (made, _) = zk.create("/a", b"one", &PERSISTENT).await.expect("created");
        let (data, stat) = zk.get_data("/a").await.expect("read");
        assert_eq!((data.as_slice(), stat), (&b"one"[..], made));
        let changed = zk.set_data("/a", b"three", Some(0)).await.expect("set");
        assert_eq!((changed.version, changed.data_length), (1, 5));
        assert_eq!(zk.set_data("/a", b"", Some(0)).await, Err(Error::BadVersion));
        assert_eq!(zk.create("/a", b"", &PERSISTENT).await.map(drop), Err(Error::NodeExists));
        zk.mkdir("/a/b/c", &PERSISTENT).await.expect("made");
        assert_eq!(zk.delete("/a", None).await, Err(Error::NotEmpty));
        assert_eq!(zk.list_children("/a").await.expect("listed"), ["b"]);
        assert_eq!(zk.count_descendants_number("/a").await.expect("counted"), 2);
        zk.delete("/a/b/c", None).await.expect("deleted");
        assert_eq!(zk.check_stat("/a/b/c").await.expect("asked"), None);
    });
}

#[test]
fn sequence_numbers_and_ephemerals_belong_to_the_session() {
    // Numbers follow the parent's count of creations; ephemerals end with the client.
    run(|hosts| async move {
        let (zk, other) = (connect(&hosts).await, connect(&hosts).await);
        zk.create("/s", b"", &PERSISTENT).await.expect("created");
        let options = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
        for expected in ["0000000000", "0000000001"] {
            let (stat, sequence) = zk.create("/s/n-", b"", &options).await.expect("created");
            assert_eq!(sequence.to_string(), expected);
            assert_ne!(stat.ephemeral_owner, 0);
        }
        let (_, gone) = other.check_and_watch_stat("/s/n-0000000001").await.expect("watched");
        drop(zk);
        assert_eq!(gone.changed().await.event_type, EventType::NodeDeleted);
        assert!(other.list_children("/s").await.expect("listed").len() < 2);
    });
}

#[test]
fn watches_tell_what_happened_and_where() {
    // One-shot and recursive watches, each with its events in order.
    run(|hosts| async move {
        let (zk, other) = (connect(&hosts).await, connect(&hosts).await);
        let (_, created) = zk.check_and_watch_stat("/w").await.expect("watched");
        let mut below = zk.watch("/w", AddWatchMode::PersistentRecursive).await.expect("watched");
        other.create("/w", b"", &PERSISTENT).await.expect("created");
        assert_eq!(created.changed().await.event_type, EventType::NodeCreated);
        other.create("/w/x", b"", &PERSISTENT).await.expect("created");
        other.set_data("/w/x", b"1", None).await.expect("set");
        let mut seen = Vec::new();
        for _ in 0..3 {
            let event = below.changed().await;
            seen.push((event.event_type, event.path));
        }
        let expected = [
            (EventType::NodeCreated, "/w".to_owned()),
            (EventType::NodeCreated, "/w/x".to_owned()),
            (EventType::NodeDataChanged, "/w/x".to_owned()),
        ];
        assert_eq!(seen, expected);
    });
}

#[test]
fn transactions_do_all_or_nothing() {
    // A multi answers each result; a failed one names the operation and leaves no trace.
    run(|hosts| async move {
        let zk = connect(&hosts).await;
        let mut writer = zk.new_multi_writer();
        writer.add_create("/t", b"1", &PERSISTENT).expect("added");
        writer.add_set_data("/t", b"2", Some(0)).expect("added");
        writer.add_check_version("/t", 1).expect("added");
        writer.add_create("/t/x", b"", &EPHEMERAL).expect("added");
        writer.add_delete("/t/x", None).expect("added");
        let results = writer.commit().await.expect("committed");
        assert!(matches!(&results[0], MultiWriteResult::Create { path, .. } if path == "/t"));
        assert!(matches!(&results[1], MultiWriteResult::SetData { stat } if stat.version == 1));
        let mut writer = zk.new_multi_writer();
        writer.add_set_data("/t", b"3", None).expect("added");
        writer.add_delete("/t/x", None).expect("added");
        let failed = writer.commit().await;
        let expected = MultiWriteError::OperationFailed { index: 1, source: Error::NoNode };
        assert_eq!(failed, Err(expected));
        let mut reader = zk.new_multi_reader();
        reader.add_get_data("/t").expect("added");
        reader.add_get_children("/t/missing").expect("added");
        let read = reader.commit().await.expect("read");
        assert!(matches!(&read[0], MultiReadResult::Data { data, .. } if data == b"2"));
        assert!(matches!(&read[1], MultiReadResult::Error { err: Error::NoNode }));
    });
}

#[test]
fn digest_identities_open_what_their_acl_guards() {
    // A creator's znode is closed to others until they show the same credentials.
    run(|hosts| async move {
        let (owner, other) = (connect(&hosts).await, connect(&hosts).await);
        owner.auth("digest", b"ann:pw").await.expect("authenticated");
        let options = CreateMode::Persistent.with_acls(Acls::creator_all());
        owner.create("/mine", b"1", &options).await.expect("created");
        assert_eq!(other.get_data("/mine").await, Err(Error::NoAuth));
        assert_eq!(other.create("/x", b"", &options).await.map(drop), Err(Error::InvalidAcl));
        other.auth("digest", b"ann:pw").await.expect("authenticated");
        assert_eq!(other.get_data("/mine").await.expect("read").0, b"1");
        let users = other.list_auth_users().await.expect("listed");
        assert!(users.iter().any(|user| (user.scheme(), user.user()) == ("digest", "ann")));
    });
}

#[test]
fn a_lock_passes_from_one_client_to_the_next() {
    // The crate's lock recipe: the second client gets the lock when the first lets go.
    run(|hosts| async move {
        let (one, two) = (connect(&hosts).await, connect(&hosts).await);
        one.create("/locks", b"", &PERSISTENT).await.expect("created");
        let prefix = || LockPrefix::new_curator("/locks", "n-").expect("a prefix");
        let first = one.lock(prefix(), b"", Acls::anyone_all()).await.expect("locked");
        let waiting = two.lock(prefix(), b"", Acls::anyone_all());
        tokio::pin!(waiting);
        let pause = Duration::from_millis(300);
        assert!(tokio::time::timeout(pause, &mut waiting).await.is_err(), "the lock is held");
        drop(first);
        waiting.await.expect("locked");
    });
}

#[test]
fn a_session_outlives_its_client_when_detached() {
    // A detached session is resumed by another client object, with its ephemerals.
    run(|hosts| async move {
        let zk = Client::connector().with_detached().connect(&hosts).await.expect("connected");
        let (made, _) = zk.create("/kept", b"", &EPHEMERAL).await.expect("created");
        let session = zk.into_session();
        let id = session.id();
        let again = Client::connector().with_session(session).connect(&hosts).await;
        let again = again.expect("resumed");
        let stat = again.check_stat("/kept").await.expect("asked").expect("still there");
        assert_eq!((again.session_id(), stat), (id, made));
    });
}
