//! Clients that set and read a few znodes, with and without versions.

use std::collections::BTreeMap;
use std::time::Duration;

use jute_proto::{ErrorCode, Zxid};

use super::history::{RoundHistory, register_paths};
use crate::eventually::pause_for;
use crate::torture::client::{Client, Exchanged, Outgoing};
use history::Span;
use history::register::{Action, Outcome, Seen};

/// Requests that are sent at once, at most.
const BATCH_MAX: u64 = 4;

/// How many milliseconds a reader may rest.
const REST_MS_MAX: u64 = 1_500;

/// What a client means to do with one register.
enum Wish {
    Write { path: String, value: u64, expected: Option<i32> },
    SyncedRead { path: String },
    PlainRead { path: String },
}

/// Works until the round ends.
pub(super) fn work(client: &mut Client) -> RoundHistory {
    let paths = register_paths(&client.world.root);
    let mut history = RoundHistory::default();
    let mut versions: BTreeMap<String, i32> = BTreeMap::new();
    while client.attach().is_some() {
        let wishes: Vec<Wish> = (0..client.dice.within(1..BATCH_MAX + 1))
            .map(|_| wish(client, &paths, &versions))
            .collect();
        let (requests, wishes) = requests(client, wishes);
        let answers = client.exchange(&requests);
        for (wish, answer) in wishes.into_iter().zip(&answers) {
            let Some((path, action)) = wish.and_then(|wish| outcome(wish, answer)) else {
                continue;
            };
            if let Some(version) = version_after(&action) {
                versions.insert(path.clone(), version);
            }
            history.registers.entry(path).or_default().push((answer.span, action));
        }
        client.breathe();
    }
    history
}

/// Writes, without a look at the old state, until the round ends.
pub(super) fn write(client: &mut Client) -> RoundHistory {
    let paths = register_paths(&client.world.root);
    let mut history = RoundHistory::default();
    while client.attach().is_some() {
        let path = paths[client.dice.index(paths.len())].clone();
        let value = client.dice.roll();
        let answers = client.exchange(&[Outgoing::set(&path, value.to_string().as_bytes(), -1)]);
        let wish = Wish::Write { path, value, expected: None };
        if let Some((path, action)) = answers.first().and_then(|answer| outcome(wish, answer)) {
            history.registers.entry(path).or_default().push((answers[0].span, action));
        }
        client.breathe();
    }
    history
}

/// Reads behind syncs until the round ends, with long rests: a sync that waits at a server makes later ones wait, and
/// some are to begin while the server has been struck for a while.
pub(super) fn read(client: &mut Client) -> RoundHistory {
    let paths = register_paths(&client.world.root);
    let mut history = RoundHistory::default();
    while client.attach().is_some() {
        let path = &paths[client.dice.index(paths.len())];
        let answers = client.exchange(&[Outgoing::sync(path), Outgoing::get(path, false)]);
        if let Some((answer, seen)) =
            answers.last().and_then(|answer| Some((answer, seen(answer)?)))
        {
            let action = (answer.span, Action::SyncedRead(seen));
            history.registers.entry(path.clone()).or_default().push(action);
        }
        pause_for(Duration::from_millis(client.dice.within(0..REST_MS_MAX)));
    }
    history
}

fn wish(client: &mut Client, paths: &[String], versions: &BTreeMap<String, i32>) -> Wish {
    let path = paths[client.dice.index(paths.len())].clone();
    match client.dice.within(0..100) {
        0..30 => Wish::Write { path, value: client.dice.roll(), expected: None },
        30..55 => {
            let expected = Some(versions.get(&path).copied().unwrap_or(0));
            Wish::Write { path, value: client.dice.roll(), expected }
        }
        55..78 => Wish::SyncedRead { path },
        _ => Wish::PlainRead { path },
    }
}

/// The requests of the wishes; a request whose answer matters to none goes with `None`.
fn requests(client: &mut Client, wishes: Vec<Wish>) -> (Vec<Outgoing>, Vec<Option<Wish>>) {
    let mut requests = Vec::new();
    let mut kept = Vec::new();
    for wish in wishes {
        match &wish {
            Wish::Write { path, value, expected } => {
                let data = value.to_string();
                requests.push(Outgoing::set(path, data.as_bytes(), expected.unwrap_or(-1)));
            }
            Wish::SyncedRead { path } => {
                requests.push(Outgoing::sync(path));
                kept.push(None);
                requests.push(Outgoing::get(path, false));
            }
            Wish::PlainRead { path } => {
                requests.push(Outgoing::get(path, client.dice.one_in(2)));
            }
        }
        kept.push(Some(wish));
    }
    (requests, kept)
}

fn outcome(wish: Wish, answer: &Exchanged) -> Option<(String, Action)> {
    Some(match wish {
        Wish::Write { path, value, expected } => {
            let outcome = match (answer.code(), answer.stat()) {
                (Some(ErrorCode::Ok), Some(stat)) => {
                    Outcome::Done { version: stat.version, mzxid: stat.mzxid }
                }
                (Some(ErrorCode::BadVersion), _) => Outcome::BadVersion,
                (None, _) => Outcome::Unknown,
                (Some(_), _) => Outcome::Refused,
            };
            (path, Action::Write { value, expected, outcome })
        }
        Wish::SyncedRead { path } => (path, Action::SyncedRead(seen(answer)?)),
        Wish::PlainRead { path } => (path, Action::PlainRead(seen(answer)?)),
    })
}

fn seen(answer: &Exchanged) -> Option<Seen> {
    let (data, stat) = answer.data()?;
    Some(state(&data, stat.version, stat.mzxid))
}

/// A register's state; data that is no number was written by nobody, and is found out as such.
fn state(data: &[u8], version: i32, mzxid: Zxid) -> Seen {
    let value = std::str::from_utf8(data).ok().and_then(|text| text.parse().ok());
    Seen { value: value.unwrap_or(u64::MAX), version, mzxid }
}

fn version_after(action: &Action) -> Option<i32> {
    match action {
        Action::Write { outcome: Outcome::Done { version, .. }, .. } => Some(*version),
        Action::Write { .. } => None,
        Action::SyncedRead(seen) | Action::PlainRead(seen) => Some(seen.version),
    }
}

/// What a register was found to hold at the end, as an action of the time `span`.
pub(in crate::torture) fn last_read(
    data: &[u8],
    version: i32,
    mzxid: Zxid,
    span: Span,
) -> (Span, Action) {
    (span, Action::SyncedRead(state(data, version, mzxid)))
}
