//! The client crate on an ensemble whose servers come and go.

use std::time::Duration;

use grovekeeper_client::recipes::Lock;
use grovekeeper_client::{Client, CreateMode, Error, ErrorCode, Fate, SessionState, Status};
use integration::{EnsembleOptions, Kind};
use tokio::sync::watch;

use crate::client_world::{EPHEMERAL, PERSISTENT, run};

async fn until(status: &mut watch::Receiver<Status>, wanted: impl Fn(&Status) -> bool) -> Status {
    *status.wait_for(wanted).await.expect("the client lives")
}

#[test]
fn a_session_moves_between_servers_and_loses_nothing() {
    // Each server is killed in turn: the session, its ephemeral and its lock outlive all of that,
    // and each create was made exactly as often as the client says.
    run(async {
        let mut ensemble = EnsembleOptions::new(Kind::from_env(), 3).start();
        ensemble.wait_until_all_serve();
        let client = Client::connect(&ensemble.connect_string()).await.expect("connected");
        let held = Lock::new(&client, "/lock").acquire().await.expect("locked");
        client.create("/mine", b"", EPHEMERAL).await.expect("created");
        client.create("/log", b"", PERSISTENT).await.expect("created");
        let (mut made, mut unknown) = (0, 0);
        for server in ensemble.servers() {
            let creates: Vec<_> = (0..200)
                .map(|_| client.create("/log/n-", b"", CreateMode::PersistentSequential))
                .collect();
            ensemble.kill(server);
            for create in creates {
                match create.await {
                    Ok(_) => made += 1,
                    Err(error) if error.fate() == Fate::Unknown => unknown += 1,
                    Err(error) => assert_eq!(error.fate(), Fate::NotApplied, "{error}"),
                }
            }
            ensemble.start(server);
            ensemble.wait_until_all_serve();
        }
        client.sync("/").await.expect("synced");
        let children = client.list("/log").await.expect("listed").0.len();
        assert!((made..=made + unknown).contains(&children), "{children}: {made} {unknown}");
        let mut status = client.status();
        until(&mut status, |status| status.state.is_connected()).await;
        assert_eq!(client.status().borrow().generation, 0);
        assert!(client.exists("/mine").await.expect("asked").is_some());
        held.release().await.expect("released");
    });
}

#[test]
fn a_client_that_prefers_the_leader_finds_it_again() {
    // Whichever server is asked first, the session is opened at the leader; when that is killed, the
    // session goes on at the next one.
    run(async {
        let mut ensemble = EnsembleOptions::new(Kind::Grovekeeper, 3).start();
        ensemble.wait_until_all_serve();
        let leader = ensemble.wait_for_leader();
        let others = ensemble.servers().filter(|server| *server != leader);
        let others: Vec<String> = others.map(|server| ensemble.addr(server).to_string()).collect();
        let builder = Client::builder().prefer_leader().linearizable_reads();
        let client = builder.connect(&others.join(",")).await.expect("connected");
        let mut status = client.status();
        let first = *status.borrow_and_update();
        assert!(first.at_leader && first.linearizable, "{first:?}");
        client.create("/kept", b"1", EPHEMERAL).await.expect("created");
        ensemble.kill(leader);
        let next = until(&mut status, |status| !status.state.is_connected()).await;
        assert_eq!(next.session, first.session);
        let next = until(&mut status, |status| status.state.is_connected()).await;
        // On a busy machine the election may take longer than the search.
        assert_eq!((next.session, next.linearizable), (first.session, true));
        assert_eq!(&client.get("/kept").await.expect("read").0[..], b"1");
    });
}

#[test]
fn without_a_majority_calls_end_with_what_is_known() {
    // With two of three servers gone nothing is acknowledged and nothing hangs; when they are back,
    // the same client goes on.
    run(async {
        let mut ensemble = EnsembleOptions::new(Kind::from_env(), 3).start();
        ensemble.wait_until_all_serve();
        let builder = Client::builder().session_timeout(Duration::from_secs(6));
        let client = builder.connect(&ensemble.connect_string()).await.expect("connected");
        client.create("/n", b"", PERSISTENT).await.expect("created");
        ensemble.kill(0);
        ensemble.kill(1);
        let outcome = client.set("/n", b"1", None).await;
        let open = match outcome {
            Ok(_) => panic!("acknowledged without a majority"),
            Err(error) => error.fate() != Fate::NotApplied,
        };
        let refused = client.create("/never", b"", PERSISTENT).await.map(drop);
        assert!(refused.is_err(), "{refused:?}");
        ensemble.start(0);
        ensemble.start(1);
        ensemble.wait_until_all_serve();
        let mut status = client.status();
        let version = loop {
            until(&mut status, |status| status.state.is_connected()).await;
            match client.get("/n").await {
                Ok((_, stat)) => break stat.version,
                Err(error) => assert!(error.is_interruption() || is_lost(&error), "{error}"),
            }
        };
        assert!(version == 0 || open, "a change that was not made is there");
    });
}

#[test]
fn a_client_that_may_read_a_minority_goes_on_when_there_is_a_majority() {
    // With two of three servers gone it reads and cannot write; when they are back it writes, without
    // having to connect anew.
    run(async {
        let options = EnsembleOptions::new(Kind::Grovekeeper, 3);
        let mut ensemble = options.set("readonlymode.enabled", "true").start();
        ensemble.wait_until_all_serve();
        let writer = Client::connect(&ensemble.connect_string()).await.expect("connected");
        writer.create("/before", b"1", PERSISTENT).await.expect("created");
        writer.close().await;
        ensemble.kill(1);
        ensemble.kill(2);
        let builder = Client::builder()
            .allow_read_only(true)
            .connect_timeout(Duration::from_secs(60))
            .session_timeout(Duration::from_secs(10));
        let client = loop {
            // The server that is left takes a moment to notice, and is gone for clients meanwhile.
            let connected = builder.clone().connect(&ensemble.connect_string()).await;
            if let Ok(client) = connected {
                break client;
            }
        };
        let mut status = client.status();
        until(&mut status, |status| status.state == SessionState::ReadOnly).await;
        assert!(client.exists("/before").await.expect("read").is_some());
        let refused = client.create("/during", b"", PERSISTENT).await.map(drop);
        assert_eq!(refused, Err(Error::Server(ErrorCode::NotReadOnly)));
        ensemble.start(1);
        ensemble.start(2);
        until(&mut status, |status| status.state == SessionState::Connected).await;
        client.create("/after", b"", PERSISTENT).await.expect("created");
    });
}

fn is_lost(error: &Error) -> bool {
    matches!(error, Error::SessionLost { .. })
}
