//! Clients that alone set a znode of their session, many requests at once: the n-th makes version n.

use jute_proto::ErrorCode;

use super::history::RoundHistory;
use crate::torture::client::{Attached, Client, Outgoing};
use history::writer::OnlyWriter;

/// Requests that are sent at once, at most.
const BATCH_MAX: u64 = 16;

/// Works until the round ends.
pub(super) fn work(client: &mut Client) -> RoundHistory {
    let mut number = 0;
    while client.attach().is_some() {
        number += 1;
        let path = format!("{}/{}-{number}", client.world.root, client.name);
        if create(client, &path) {
            write(client, &path);
        }
    }
    RoundHistory::default()
}

/// Creates the znode; `false` when the session is another one or the round has ended.
fn create(client: &mut Client, path: &str) -> bool {
    loop {
        let answers = client.exchange(&[Outgoing::create(path, b"0", 0)]);
        let code = answers.first().and_then(|answer| answer.code());
        if matches!(code, Some(ErrorCode::Ok | ErrorCode::NodeExists)) {
            return true;
        }
        match client.attach() {
            Some(Attached::Still | Attached::Resumed) => {}
            Some(Attached::New) | None => return false,
        }
    }
}

/// Writes until the session or the round ends.
fn write(client: &mut Client, path: &str) {
    let mut writer = OnlyWriter::default();
    let mut certain = true;
    loop {
        match client.attach() {
            Some(Attached::Still) => {}
            Some(Attached::Resumed) => certain = false,
            Some(Attached::New) | None => return,
        }
        if certain {
            certain = batch(client, path, &mut writer);
        } else {
            certain = look(client, path, &mut writer);
        }
        client.breathe();
    }
}

/// Sends a batch; whether everything was answered.
fn batch(client: &mut Client, path: &str, writer: &mut OnlyWriter) -> bool {
    let count = client.dice.within(1..BATCH_MAX + 1);
    let numbers: Vec<u64> = (0..count).map(|_| writer.next_number()).collect();
    let requests: Vec<Outgoing> = numbers
        .iter()
        .map(|number| Outgoing::set(path, number.to_string().as_bytes(), -1))
        .collect();
    let answers = client.exchange(&requests);
    for (number, answer) in numbers.into_iter().zip(&answers) {
        let Some(stat) = answer.stat() else { return false };
        if let Err(anomaly) = writer.acknowledged(number, stat.version) {
            client.report(anomaly.promise, &format!("{path}: {}", anomaly.detail));
        }
    }
    true
}

/// Finds out after the loss of a connection what was done; whether that is known.
fn look(client: &mut Client, path: &str, writer: &mut OnlyWriter) -> bool {
    let answers = client.exchange(&[Outgoing::sync(path), Outgoing::get(path, false)]);
    let Some((data, stat)) = answers.last().and_then(|answer| answer.data()) else { return false };
    let number = String::from_utf8_lossy(&data).parse().unwrap_or(u64::MAX);
    if let Err(anomaly) = writer.found(number, stat.version) {
        client.report(anomaly.promise, &format!("{path}: {}", anomaly.detail));
    }
    true
}
