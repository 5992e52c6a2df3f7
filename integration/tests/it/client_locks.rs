//! The client crate's locks, elections and semaphores, and what faults do to them.

use std::time::Duration;

use grovekeeper_client::recipes::{Election, Lock, LockGuard, LockStyle, ReadWriteLock, Semaphore};
use grovekeeper_client::{Client, Error, SessionState};
use tokio::task::JoinHandle;

use crate::client_world::{end_session, in_line, on_each, on_each_server, on_each_server_with};

fn acquire(lock: Lock) -> JoinHandle<Result<LockGuard, Error>> {
    tokio::spawn(async move { lock.acquire().await })
}

#[test]
fn a_lock_goes_from_one_to_the_next_in_the_order_of_their_coming() {
    // One holds it at a time, with ascending numbers, whichever convention its znodes follow.
    on_each(|_, zk| async move {
        let lock = Lock::new(&zk, "/locks/a").data("one");
        let first = lock.acquire().await.expect("locked");
        assert!(first.is_held());
        assert!(lock.try_acquire().await.expect("asked").is_none());
        let second = acquire(lock.clone().style(LockStyle::Kazoo).data("two"));
        in_line(&zk, "/locks/a", 2).await;
        let third = acquire(lock.clone().data("three"));
        in_line(&zk, "/locks/a", 3).await;
        let waiting = lock.contenders().await.expect("read");
        assert_eq!(waiting, ["one", "two", "three"]);
        let number = first.fencing_token();
        first.release().await.expect("released");
        let second = second.await.expect("joined").expect("locked");
        assert!(second.fencing_token() > number);
        let number = second.fencing_token();
        // A guard that is dropped gives its lock back, too.
        drop(second);
        let third = third.await.expect("joined").expect("locked");
        assert!(third.fencing_token() > number);
        third.release().await.expect("released");
        in_line(&zk, "/locks/a", 0).await;
    });
}

#[test]
fn who_stops_waiting_leaves_the_line() {
    // A dropped future leaves nothing behind that could hold up the others.
    on_each(|_, zk| async move {
        let lock = Lock::new(&zk, "/l");
        let held = lock.acquire().await.expect("locked");
        let waiting = acquire(lock.clone());
        in_line(&zk, "/l", 2).await;
        waiting.abort();
        in_line(&zk, "/l", 1).await;
        // Also at the very first moment, before the answer to the create is there.
        for _ in 0..10 {
            let lining_up = lock.acquire();
            assert!(tokio::time::timeout(Duration::ZERO, lining_up).await.is_err());
        }
        in_line(&zk, "/l", 1).await;
        held.release().await.expect("released");
        drop(lock.try_acquire().await.expect("asked").expect("free"));
    });
}

#[test]
fn a_lock_outlives_the_crash_of_its_server() {
    // Through kill -9 and a restart the holder keeps it, unsure in between, and the other waits on.
    on_each_server(|mut server| async move {
        let hosts = server.connect_string();
        let (one, two) = (connect(&hosts).await, connect(&hosts).await);
        let held = Lock::new(&one, "/l").acquire().await.expect("locked");
        let waiting = acquire(Lock::new(&two, "/l"));
        in_line(&one, "/l", 2).await;
        let mut status = one.status();
        server.kill();
        status.wait_for(|status| !status.state.is_connected()).await.expect("alive");
        assert!(!held.is_held());
        server.start_again();
        while !held.is_held() {
            status.changed().await.expect("alive");
            assert_eq!(status.borrow().generation, 0, "the session lives");
        }
        assert!(!waiting.is_finished());
        held.release().await.expect("released");
        drop(waiting.await.expect("joined").expect("locked"));
    });
}

async fn connect(hosts: &str) -> Client {
    Client::connect(hosts).await.expect("connected")
}

#[test]
fn a_lock_is_lost_with_its_session() {
    // The guard says so, and the next in line has the lock, with a greater number.
    on_each(|address, two| async move {
        let one = address.connect().await;
        let held = Lock::new(&one, "/l").acquire().await.expect("locked");
        let waiting = acquire(Lock::new(&two, "/l"));
        in_line(&two, "/l", 2).await;
        end_session(&address.hosts, &one.save_session());
        held.lost().await;
        let next = waiting.await.expect("joined").expect("locked");
        assert!(next.fencing_token() > held.fencing_token());
        assert!(!held.is_held());
        held.release().await.expect("nothing left to release");
        assert!(next.is_held());
    });
}

#[test]
fn waiting_for_a_lock_fails_with_the_session() {
    // Who waits learns that its place is gone, and can line up again with the new session.
    on_each(|address, two| async move {
        let one = address.connect().await;
        let held = Lock::new(&two, "/l").acquire().await.expect("locked");
        let waiting = acquire(Lock::new(&one, "/l"));
        in_line(&two, "/l", 2).await;
        end_session(&address.hosts, &one.save_session());
        let lost = waiting.await.expect("joined").map(drop);
        assert!(matches!(lost, Err(Error::SessionLost { .. })), "{lost:?}");
        held.release().await.expect("released");
        Lock::new(&one, "/l").acquire().await.expect("locked").release().await.expect("released");
    });
}

#[test]
fn readers_share_and_writers_do_not() {
    // Readers hold the lock together; a writer waits for them, and later readers for the writer.
    on_each(|_, zk| async move {
        for style in [LockStyle::Curator, LockStyle::Kazoo] {
            let path = format!("/{style:?}");
            let lock = ReadWriteLock::new(&zk, &path).style(style);
            let one = lock.read().acquire().await.expect("locked");
            let two = lock.read().acquire().await.expect("locked");
            let writing = acquire(lock.write());
            in_line(&zk, &path, 3).await;
            let reading = acquire(lock.read());
            in_line(&zk, &path, 4).await;
            one.release().await.expect("released");
            assert!(!writing.is_finished());
            two.release().await.expect("released");
            let writer = writing.await.expect("joined").expect("locked");
            assert!(!reading.is_finished());
            writer.release().await.expect("released");
            reading.await.expect("joined").expect("locked").release().await.expect("released");
        }
    });
}

#[test]
fn a_leader_that_loses_its_session_is_followed_by_another() {
    // Its work is dropped, the next candidate leads, and those who look on are told.
    on_each(|address, two| async move {
        let one = address.connect().await;
        let election = Election::new(&one, "/e").id("one");
        let mut leaders = Election::new(&two, "/e").leaders();
        assert_eq!(leaders.next().await.expect("looked"), None);
        let leading =
            tokio::spawn(async move { election.lead(|_| std::future::pending::<()>()).await });
        let first = leaders.next().await.expect("looked").expect("a leader");
        assert_eq!(&first.id[..], b"one");
        let other = Election::new(&two, "/e").id("two");
        let next = tokio::spawn(async move { other.lead(|term| async move { term }).await });
        in_line(&two, "/e", 2).await;
        end_session(&address.hosts, &one.save_session());
        let led = leading.await.expect("joined");
        assert!(matches!(led, Err(Error::SessionLost { .. })), "{led:?}");
        assert!(next.await.expect("joined").expect("led") > first.fencing_token);
        // The second may have come and gone before it was looked for.
        while leaders.next().await.expect("looked").is_some() {}
    });
}

#[test]
fn a_leader_whose_server_is_gone_stops_in_time() {
    // Without any server the leadership ends by itself after the session timeout.
    on_each_server_with(std::convert::identity, |mut server| async move {
        let builder = Client::builder().session_timeout(Duration::from_secs(2));
        let zk = builder.connect(&server.connect_string()).await.expect("connected");
        let leader = Election::new(&zk, "/e").campaign().await.expect("elected");
        server.kill();
        leader.lost().await;
        assert_eq!(zk.status().borrow().state, SessionState::Overdue);
        assert!(!leader.is_held());
    });
}

#[test]
fn a_semaphore_lets_in_as_many_as_it_has_permits() {
    // The third of two waits, and gets in when a session with a permit is lost.
    on_each(|address, zk| async move {
        let semaphore = Semaphore::new(&zk, "/s", 2);
        let other = address.connect().await;
        let first = semaphore.acquire().await.expect("a permit");
        let second = Semaphore::new(&other, "/s", 2).acquire().await.expect("a permit");
        let third = {
            let semaphore = semaphore.clone();
            tokio::spawn(async move { semaphore.acquire().await })
        };
        in_line(&zk, "/s/leases", 3).await;
        assert!(!third.is_finished() && first.is_held());
        end_session(&address.hosts, &other.save_session());
        let third = third.await.expect("joined").expect("a permit");
        second.lost().await;
        first.release().await.expect("given back");
        drop(third);
        in_line(&zk, "/s/leases", 0).await;
    });
}
