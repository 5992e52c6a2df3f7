//! Asking another server over the network.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::super::transport::frame::receive;
use super::super::transport::frame::send;
use super::super::transport::{Dialer, PeerStream, Purpose};
use super::decide::PeerAnswer;
use super::message::{AnswerV1, Question, QuestionV1, StateV1};
use crate::env::time::timeout;

/// How long a server may take to answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to the other servers.
pub(crate) trait Peers: Send + Sync {
    /// Asks the server of that number.
    fn ask(&self, number: u64, question: Question) -> BoxFuture<'_, PeerAnswer>;
}

/// The other servers where the file says that they are.
pub(crate) struct DialedPeers {
    dialer: Dialer,
    addresses: BTreeMap<u64, String>,
    /// Connections that stand, for the next question.
    links: Mutex<BTreeMap<u64, PeerStream>>,
}

impl DialedPeers {
    pub(super) fn new(dialer: Dialer, addresses: BTreeMap<u64, String>) -> Self {
        Self { dialer, addresses, links: Mutex::default() }
    }

    async fn try_ask(&self, number: u64, question: &Question) -> io::Result<PeerAnswer> {
        let link = self.links.lock().remove(&number);
        let mut stream = match link {
            Some(stream) => stream,
            None => {
                // What the book does not have, the members may.
                let others = self.dialer.book().others();
                let address = self.addresses.get(&number).or_else(|| others.get(&number));
                let address = address.map_or("", String::as_str);
                self.dialer.dial(number, address, Purpose::Bootstrap).await?
            }
        };
        if stream.version() == 1 {
            send(&mut stream, &QuestionV1 { voters: question.voters.clone() }).await?;
            let AnswerV1 { state, .. } = receive(&mut stream).await?;
            return Ok(PeerAnswer::Earlier { has_data: state == StateV1::Member });
        }
        send(&mut stream, question).await?;
        let answer = receive(&mut stream).await?;
        self.links.lock().insert(number, stream);
        Ok(PeerAnswer::Answer(answer))
    }
}

impl Peers for DialedPeers {
    fn ask(&self, number: u64, question: Question) -> BoxFuture<'_, PeerAnswer> {
        Box::pin(async move {
            match timeout(ANSWER_TIMEOUT, self.try_ask(number, &question)).await {
                Ok(Ok(heard)) => heard,
                Ok(Err(error)) => PeerAnswer::Nothing(error.to_string()),
                Err(_) => PeerAnswer::Nothing("it does not answer in time".to_owned()),
            }
        })
    }
}
