//! Clients that take locks: ephemeral znodes that only one can create.

use std::time::Duration;

use jute_proto::ErrorCode;

use super::history::RoundHistory;
use crate::torture::client::{Attached, Client, Outgoing};
use history::Promise;
use history::lock::Hold;

/// `EPHEMERAL`
const EPHEMERAL: i32 = 1;

/// Looks at a lock that is held, at most.
const LOOKS_MAX: u64 = 12;

/// The parent of the locks.
pub(in crate::torture) fn folder(root: &str) -> String {
    format!("{root}/locks")
}

/// Works until the round ends.
pub(super) fn work(client: &mut Client) -> RoundHistory {
    let folder = folder(&client.world.root);
    let mut history = RoundHistory::default();
    while client.attach().is_some() {
        let path = format!("{folder}/lock-{}", client.dice.index(2));
        if let Some(hold) = take(client, &path) {
            history.holds.push(hold);
        }
        client.breathe();
    }
    history
}

/// Takes the lock, holds it for a while and lets it go; the time for which it certainly was held.
fn take(client: &mut Client, path: &str) -> Option<Hold> {
    let answers = client.exchange(&[Outgoing::create(path, b"", EPHEMERAL)]);
    match answers.first()?.code() {
        Some(ErrorCode::Ok) => {}
        Some(_) => return None,
        None => {
            // It may have become ours, and would stay: let it go.
            release(client, path);
            return None;
        }
    }
    let session = client.session_id();
    let from = answers.first()?.span.completed?;
    let alive_until = hold(client, path, session);
    if client.dice.one_in(20) && client.session_id() == session {
        // The client dies; its lock is free when its session has expired, and no sooner.
        client.die();
        return Some(Hold { path: path.to_owned(), session, from, until: alive_until });
    }
    let until = client.world.now().min(alive_until);
    release(client, path);
    Some(Hold { path: path.to_owned(), session, from, until })
}

/// Looks at the own lock now and then: it stays while the session does. Until when the session is
/// proved to have lived.
fn hold(client: &mut Client, path: &str, session: i64) -> Duration {
    let mut alive_until = client.alive_until();
    for _ in 0..client.dice.within(1..LOOKS_MAX) {
        match client.attach() {
            Some(Attached::Still | Attached::Resumed) => {}
            Some(Attached::New) | None => break,
        }
        let answers = client.exchange(&[Outgoing::exists(path)]);
        let Some(answer) = answers.first() else { break };
        let owner = answer.stat().map(|stat| stat.ephemeral_owner.0);
        match answer.code() {
            None => continue,
            Some(_) if owner == Some(session) => alive_until = client.alive_until(),
            Some(code) => {
                let detail = format!("its own {path} shows {code:?} {owner:x?}");
                client.report(Promise::Ephemeral, &detail);
                break;
            }
        }
        client.breathe();
    }
    alive_until
}

/// Deletes the lock if it is the session's own, whatever it takes.
fn release(client: &mut Client, path: &str) {
    loop {
        match client.attach() {
            Some(Attached::Still | Attached::Resumed) => {}
            // The lock goes with its session.
            Some(Attached::New) | None => return,
        }
        let session = client.session_id();
        let looks = client.exchange(&[Outgoing::sync(path), Outgoing::exists(path)]);
        let Some(look) = looks.last() else { return };
        match (look.code(), look.stat()) {
            (None, _) => continue,
            (Some(_), Some(stat)) if stat.ephemeral_owner.0 == session => {}
            (Some(_), _) => return,
        }
        let answers = client.exchange(&[Outgoing::delete(path)]);
        if answers.first().is_some_and(|answer| answer.code().is_some()) {
            return;
        }
    }
}
