//! Answers servers that look for their ensemble.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use kernel::ensemble::MemberId;

use super::super::transport::frame::{receive_short, send};
use super::super::transport::{BootstrapService, PeerStream};
use super::admission::Joiner;
use super::decide::agree;
use super::message::{Answer, AnswerV1, Question, QuestionV1, Stage, StateV1};
use super::peers::ANSWER_TIMEOUT;
use super::task::{Bootstrap, EnsembleView, RaftControl};
use crate::env::time::timeout;

/// No question is longer: a name and an address for each server of an ensemble.
const QUESTION_LEN_MAX: usize = 64 << 10;

/// Answers with what this server and its Raft know.
pub(crate) struct Answers {
    bootstrap: Bootstrap,
    raft: Arc<dyn RaftControl>,
}

impl Answers {
    pub(crate) fn new(bootstrap: Bootstrap, raft: Arc<dyn RaftControl>) -> Self {
        Self { bootstrap, raft }
    }
}

impl BootstrapService for Answers {
    fn answer(&self, stream: PeerStream, from: u64) -> BoxFuture<'_, ()> {
        Box::pin(self.bootstrap.answer(stream, from, &*self.raft))
    }
}

impl Bootstrap {
    /// Answers questions until the connection ends.
    pub(crate) async fn answer(&self, mut stream: PeerStream, from: u64, raft: &dyn RaftControl) {
        if stream.version() == 1 {
            let asked = receive_short(&mut stream, QUESTION_LEN_MAX);
            let Ok(Ok(QuestionV1 { .. })) = timeout(ANSWER_TIMEOUT, asked).await else { return };
            let promise = self.state.promise.lock().get();
            let state = match self.stage(&raft.view(), promise) {
                Stage::Empty { .. } => StateV1::New,
                Stage::Forming { .. } | Stage::Alone { .. } | Stage::Member { .. } => {
                    StateV1::Member
                }
            };
            // No voters: a server that knows no lives forms nothing with this one.
            let _ = send(&mut stream, &AnswerV1 { state, voters: BTreeSet::new() }).await;
            return;
        }
        loop {
            let asked = receive_short::<Question>(&mut stream, QUESTION_LEN_MAX);
            let Ok(Ok(question)) = timeout(ANSWER_TIMEOUT, asked).await else { return };
            // A peer that was greeted cannot ask in another's name.
            let question = Question { asker: from, ..question };
            let answer = self.answer_to(question, &raft.view());
            if send(&mut stream, &answer).await.is_err() {
                return;
            }
        }
    }

    pub(super) fn answer_to(&self, question: Question, view: &EnsembleView) -> Answer {
        let config = &self.state.config;
        let agreed = question.proposal.as_ref().map(|proposal| {
            // No two proposals are judged at the same time.
            let mut kept = self.state.promise.lock();
            let promise = agree(&self.facts(view, kept.get()), &question, proposal)?;
            self.state.decide_on(&mut kept, promise).map_err(|error| error.to_string())
        });
        let promise = self.state.promise.lock().get();
        let own = config.id.raft_id();
        let leads = view.leader == Some(own);
        let own_name = config.ensemble.get().map(|name| name.0);
        let is_ours = question.joins.is_some() && question.joins == own_name;
        let admission = (leads && is_ours).then(|| {
            let member = MemberId::from_raft_id(question.asker);
            let told = self.state.admissions.ask(Joiner { member, address: question.address });
            told.unwrap_or_else(|| "it was asked to take this server in".to_owned())
        });
        Answer {
            id: own,
            stage: self.stage(view, promise),
            voters: config.voters.clone(),
            leader: view.leader,
            members: view.members.clone(),
            agreed,
            admission,
        }
    }
}
