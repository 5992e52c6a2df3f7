//! Clients that come, create a sequential znode, and close their session as soon as that is answered.

use super::history::RoundHistory;
use super::{once, sequences};
use crate::torture::client::{Client, Outgoing};
use history::sequence::Create;

/// `PERSISTENT_SEQUENTIAL`
const SEQUENTIAL: i32 = 2;

/// Works until the round ends.
pub(super) fn work(client: &mut Client) -> RoundHistory {
    let parent = once::parent(&client.world.root);
    let path = format!("{parent}/n-");
    let mut history = RoundHistory::default();
    while client.attach().is_some() {
        let id = client.dice.roll();
        let request = Outgoing::create(&path, id.to_string().as_bytes(), SEQUENTIAL);
        let answers = client.exchange(&[request]);
        let creates = history.creates.entry(parent.clone()).or_default();
        creates.extend(answers.iter().map(|answer| {
            let outcome = sequences::outcome(&parent, answer);
            Create { span: answer.span, id, outcome }
        }));
        client.close();
    }
    history
}
