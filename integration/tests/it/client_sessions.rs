//! The client crate: what happens to calls, watches and sessions when servers and connections fail.

use std::time::Duration;

use grovekeeper_client::{
    AddWatchMode, Client, Error, ErrorCode, EventType, Fate, SessionState, Status, WatchNotice,
};
use integration::Server;
use tokio::sync::watch;

use crate::client_world::{EPHEMERAL, PERSISTENT, end_session, on_each, on_each_server, run};

async fn until(status: &mut watch::Receiver<Status>, wanted: impl Fn(&Status) -> bool) -> Status {
    *status.wait_for(wanted).await.expect("the client lives")
}

fn state_is(state: SessionState) -> impl Fn(&Status) -> bool {
    move |status| status.state == state
}

#[test]
fn a_session_survives_the_crash_of_its_server() {
    // After kill -9 and a restart the client has the same session, its ephemerals and its watches;
    // calls made in between are done.
    on_each_server(|mut server| async move {
        let client = Client::connect(&server.connect_string()).await.expect("connected");
        client.create("/e", b"", EPHEMERAL).await.expect("created");
        let (_, watch) = client.exists_and_watch("/later").await.expect("watched");
        let mut stream = client.watch("/later", AddWatchMode::Persistent).await.expect("watched");
        let session = client.status().borrow().session;
        let mut status = client.status();
        server.kill();
        until(&mut status, state_is(SessionState::Suspended)).await;
        let create = client.create("/later", b"1", PERSISTENT);
        server.start_again();
        create.await.expect("created");
        assert_eq!(watch.await.expect("told").kind, EventType::NodeCreated);
        // The server has a new epoch, so the stream cannot know that nothing happened.
        let mut notices = Vec::new();
        while !matches!(notices.last(), Some(WatchNotice::Event(_))) {
            notices.push(stream.next().await.expect("the session lives"));
        }
        assert!(notices.len() <= 2, "{notices:?}");
        assert!(client.exists("/e").await.expect("asked").is_some());
        let after = until(&mut status, state_is(SessionState::Connected)).await;
        assert_eq!((after.session, after.generation), (session, 0));
    });
}

#[test]
fn a_session_that_expires_is_followed_by_another() {
    // The loss is seen in the status, ends streams, and the same client goes on with a new session.
    on_each(|address, other| async move {
        let client = Client::connect(&address.hosts).await.expect("connected");
        client.create("/e", b"", EPHEMERAL).await.expect("created");
        let mut stream = client.watch("/", AddWatchMode::Persistent).await.expect("watched");
        let (_, watch) = client.exists_and_watch("/never").await.expect("watched");
        let mut status = client.status();
        end_session(&address.hosts, &client.save_session());
        let after = until(&mut status, |status| {
            status.generation == 1 && status.state == SessionState::Connected
        });
        let after = after.await;
        assert_eq!(watch.await, Err(Error::SessionLost { fate: Fate::NotApplied }));
        while stream.next().await.is_some() {}
        assert_eq!(other.exists("/e").await.expect("asked"), None);
        let made = client.create("/e", b"", EPHEMERAL).await.expect("created");
        assert_eq!(made.stat.ephemeral_owner, after.session);
    });
}

#[test]
fn a_single_session_ends_with_its_loss() {
    // Who asked for it gets no second session: calls fail with the loss.
    on_each(|address, _| async move {
        let client = Client::builder().single_session().connect(&address.hosts).await;
        let client = client.expect("connected");
        let mut status = client.status();
        end_session(&address.hosts, &client.save_session());
        until(&mut status, state_is(SessionState::Lost)).await;
        let lost = Err(Error::SessionLost { fate: Fate::NotApplied });
        assert_eq!(client.get("/").await.map(drop), lost);
    });
}

#[test]
fn a_detached_session_is_taken_up_by_another_client() {
    // Its ephemerals outlive the client, and the saved session opens it again; a wrong one does not.
    on_each(|address, other| async move {
        let builder = || Client::builder().detached();
        let first = builder().connect(&address.hosts).await.expect("connected");
        first.create("/kept", b"", EPHEMERAL).await.expect("created");
        let saved = first.save_session();
        first.close().await;
        let second = builder().resume(saved.clone()).connect(&address.hosts).await;
        let second = second.expect("resumed");
        assert_eq!(second.status().borrow().session, saved.id);
        assert_eq!(second.ephemerals("/").await.expect("listed"), ["/kept"]);
        end_session(&address.hosts, &saved);
        drop(second);
        let refused = builder().resume(saved).connect(&address.hosts).await;
        assert_eq!(refused.map(drop), Err(Error::SessionLost { fate: Fate::NotApplied }));
        assert_eq!(other.exists("/kept").await.expect("asked"), None);
    });
}

#[test]
fn a_client_that_is_dropped_closes_its_session_and_leaves_no_task() {
    // Ephemerals go at once, not after the timeout, and the client's one task ends.
    on_each(|address, other| async move {
        let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let client = Client::connect(&address.hosts).await.expect("connected");
        client.create("/e", b"", EPHEMERAL).await.expect("created");
        let (_, gone) = other.exists_and_watch("/e").await.expect("watched");
        let watch = client.watch("/", AddWatchMode::PersistentRecursive).await.expect("watched");
        let call = client.get("/");
        drop(client);
        call.await.expect("calls made before are answered");
        assert_eq!(gone.await.expect("told").kind, EventType::NodeDeleted);
        drop(watch);
        let left = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        while left() > before {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_call_whose_answer_was_lost_says_that_its_fate_is_unknown() {
    // Of changes under way when the server dies each is done, or fails with what is known of it,
    // and what it says is true.
    on_each_server(|mut server| async move {
        let client = Client::connect(&server.connect_string()).await.expect("connected");
        client.create("/n", b"", PERSISTENT).await.expect("created");
        let mut status = client.status();
        let sets: Vec<_> = (0..2000).map(|_| client.set("/n", b"x", None)).collect();
        server.kill();
        until(&mut status, |status| status.state != SessionState::Connected).await;
        server.start_again();
        let (mut done, mut unknown) = (0, 0);
        for set in sets {
            match set.await {
                Ok(_) => done += 1,
                Err(error) => match error.fate() {
                    Fate::Applied => done += 1,
                    Fate::Unknown => unknown += 1,
                    Fate::NotApplied => {}
                },
            }
        }
        let version = client.get("/n").await.expect("read").1.version;
        assert!(
            (done..=done + unknown).contains(&version),
            "{version} changes, {done} done, {unknown} unknown"
        );
    });
}

#[test]
fn an_idle_session_is_kept_alive() {
    // Pings alone keep a session for several times its timeout.
    on_each(|address, _| async move {
        let builder = Client::builder().session_timeout(Duration::from_secs(1));
        let client = builder.connect(&address.hosts).await.expect("connected");
        let mut status = client.status();
        let lost = until(&mut status, |status| status.generation > 0);
        assert!(tokio::time::timeout(Duration::from_secs(4), lost).await.is_err());
        client.get("/").await.expect("read");
    });
}

#[test]
fn another_server_of_the_list_takes_over() {
    // Servers that are not there are passed over, also while connecting.
    run(async {
        let server = Server::start();
        let dead = integration::free_port();
        let hosts = format!("127.0.0.1:{dead},{}", server.connect_string());
        for _ in 0..4 {
            let client = Client::connect(&hosts).await.expect("connected");
            client.get("/").await.expect("read");
        }
    });
}

#[test]
fn nothing_hangs_when_the_runtime_goes_away() {
    // Calls of a client whose runtime was shut down fail instead of waiting for ever.
    let server = Server::start();
    let inner = tokio::runtime::Runtime::new().expect("a runtime");
    let hosts = server.connect_string();
    let client = inner.block_on(async { Client::connect(&hosts).await.expect("connected") });
    inner.shutdown_background();
    run(async move {
        let mut status = client.status();
        let _ = status.wait_for(state_is(SessionState::Closed)).await;
        let refused = client.get("/").await.map(drop);
        assert_eq!(refused, Err(Error::Closed { fate: Fate::NotApplied }));
    });
}

#[test]
fn a_request_that_is_too_long_is_refused_here() {
    // The server would end the connection; the client says so instead, and the limit itself works.
    on_each(|_, zk| async move {
        let too_long = zk.create("/big", &vec![0; 0xf_ffff], PERSISTENT).await;
        assert!(matches!(too_long, Err(Error::TooLarge { .. })), "{too_long:?}");
        zk.create("/big", &vec![0; 1_000_000], PERSISTENT).await.expect("created");
        assert_eq!(zk.get("/big").await.expect("read").0.len(), 1_000_000);
        let missing = zk.get("/missing").await.map(drop);
        assert_eq!(missing, Err(Error::Server(ErrorCode::NoNode)));
    });
}
