//! Sessions from the first handshake to their end.

use std::time::Duration;

use integration::raw::Error;
use integration::{RawClient, Server, eventually};
use jute_proto::ErrorCode;

const EPHEMERAL: i32 = 1;

#[test]
fn a_session_is_resumed_with_its_password_and_its_ephemerals() {
    // A client that lost its connection comes back as the same session, and its ephemerals stand.
    let server = Server::start();
    let mut first = RawClient::connect(server.addr());
    first.create("/mine", b"", EPHEMERAL).expect("created");
    let session = first.session().clone();
    drop(first);
    let mut again = RawClient::resume(server.addr(), &session).expect("resumed");
    assert_eq!(again.session(), &session);
    let stat = again.exists("/mine", false).expect("asked").expect("still there");
    assert_eq!(stat.ephemeral_owner, session.id);
}

#[test]
fn a_wrong_password_opens_nothing() {
    // Knowing a session's id is not enough to take it over; its owner keeps working.
    let server = Server::start();
    let mut owner = RawClient::connect(server.addr());
    let mut forged = owner.session().clone();
    forged.password[0] ^= 1;
    let refused = RawClient::resume(server.addr(), &forged);
    assert!(matches!(refused, Err(Error::Code(ErrorCode::SessionExpired))), "{refused:?}");
    drop(refused);
    // The owner's connection may have been closed for the newcomer; the session itself lives.
    if owner.create("/alive", b"", 0).is_err() {
        let mut owner = RawClient::resume(server.addr(), owner.session()).expect("resumed");
        owner.create("/alive", b"", 0).expect("created");
    }
}

#[test]
fn timeouts_are_clamped_to_two_and_twenty_ticks() {
    // The server answers the timeout that it will keep, between 2 and 20 ticks of 500 ms.
    let server = Server::start();
    for (asked, granted) in [(1, 1_000), (3_000, 3_000), (3_600_000, 10_000)] {
        let asked = Duration::from_millis(asked);
        let client = RawClient::connect_for(server.addr(), asked).expect("connected");
        assert_eq!(client.timeout(), Duration::from_millis(granted));
    }
}

#[test]
fn a_silent_session_expires_and_takes_its_ephemerals_along() {
    // A client that says nothing for its timeout is gone: its ephemerals are deleted, its watchers
    // told, and its session cannot be resumed.
    let server = Server::start();
    let silent =
        RawClient::connect_for(server.addr(), Duration::from_millis(1_000)).expect("connected");
    let session = silent.session().clone();
    let mut silent = silent;
    silent.create("/brief", b"", EPHEMERAL).expect("created");
    let mut other = RawClient::connect(server.addr());
    assert!(other.exists("/brief", true).expect("asked").is_some());
    drop(silent);
    let event = eventually("the ephemeral is deleted", || {
        other.ping().expect("the other client lives");
        other.take_events().pop()
    });
    assert_eq!((event.kind, event.path.as_str()), (2, "/brief"));
    let back = RawClient::resume(server.addr(), &session);
    assert!(matches!(back, Err(Error::Code(ErrorCode::SessionExpired))), "{back:?}");
}

#[test]
fn pings_keep_a_session_alive() {
    // A client that only pings outlives its timeout many times over.
    let server = Server::start();
    let mut client =
        RawClient::connect_for(server.addr(), Duration::from_millis(1_000)).expect("connected");
    client.create("/kept", b"", EPHEMERAL).expect("created");
    let mut other = RawClient::connect(server.addr());
    eventually::throughout(Duration::from_secs(4), "the ephemeral stands", || {
        client.ping().is_ok() && other.exists("/kept", false).expect("asked").is_some()
    });
}

#[test]
fn a_closed_session_is_over_at_once() {
    // closeSession deletes the ephemerals before it is answered, and nobody can resume the session.
    let server = Server::start();
    let mut client = RawClient::connect(server.addr());
    client.create("/gone", b"", EPHEMERAL).expect("created");
    let session = client.session().clone();
    client.close().expect("closed");
    let mut other = RawClient::connect(server.addr());
    assert_eq!(other.exists("/gone", false).expect("asked"), None);
    let back = RawClient::resume(server.addr(), &session);
    assert!(matches!(back, Err(Error::Code(ErrorCode::SessionExpired))), "{back:?}");
}

#[test]
fn a_session_moves_to_its_newest_connection() {
    // Two connections never act for one session: resuming it closes the older one.
    let server = Server::start();
    let mut old = RawClient::connect(server.addr());
    let mut new = RawClient::resume(server.addr(), old.session()).expect("resumed");
    assert!(old.closed(), "the older connection is closed");
    new.create("/moved", b"", 0).expect("created");
}
