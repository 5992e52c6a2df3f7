//! Clients that create sequential znodes, several at once.

use bytes::Bytes;
use jute_proto::{Create2Response, ErrorCode, Reader};

use super::history::RoundHistory;
use crate::torture::client::{Client, Exchanged, Outgoing};
use history::sequence::{Create, Outcome};

/// Requests that are sent at once, at most.
const BATCH_MAX: u64 = 6;

/// The length of what is created now and then, in bytes: longer than a socket's buffers may take.
const LARGE: usize = 60_000;

/// `PERSISTENT_SEQUENTIAL`
const SEQUENTIAL: i32 = 2;

/// The znodes below which the clients create.
pub(super) fn parents(root: &str) -> Vec<String> {
    (0..2).map(|number| format!("{root}/sequence-{number}")).collect()
}

/// Works until the round ends.
pub(super) fn work(client: &mut Client) -> RoundHistory {
    let parents = parents(&client.world.root);
    let mut history = RoundHistory::default();
    while client.attach().is_some() {
        let parent = &parents[client.dice.index(parents.len())];
        let ids: Vec<u64> =
            (0..client.dice.within(1..BATCH_MAX + 1)).map(|_| client.dice.roll()).collect();
        let path = format!("{parent}/n-");
        let requests: Vec<Outgoing> = ids
            .iter()
            .map(|id| {
                let width = if client.dice.one_in(30) { LARGE } else { 0 };
                Outgoing::create(&path, format!("{id:<width$}").as_bytes(), SEQUENTIAL)
            })
            .collect();
        let answers = client.exchange(&requests);
        let creates = history.creates.entry(parent.clone()).or_default();
        creates.extend(ids.into_iter().zip(&answers).map(|(id, answer)| Create {
            span: answer.span,
            id,
            outcome: outcome(parent, answer),
        }));
        client.breathe();
    }
    history
}

/// What became of a create below `parent`.
pub(super) fn outcome(parent: &str, answer: &Exchanged) -> Outcome {
    match (answer.code(), &answer.reply) {
        (Some(ErrorCode::Ok), Some(reply)) => Outcome::Created(name(parent, &reply.body)),
        (Some(_), _) => Outcome::Refused,
        (None, _) => Outcome::Unknown,
    }
}

/// The name that an answered create was given; what cannot be read will not be found.
fn name(parent: &str, body: &Bytes) -> String {
    let response: Result<Create2Response<'_>, _> = Reader::new(body).record();
    let path = response.map(|response| response.path.into_owned()).unwrap_or_default();
    path.strip_prefix(parent).unwrap_or_default().trim_start_matches('/').to_owned()
}
