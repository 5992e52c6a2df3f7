//! A write with a number happens at most once.

use std::collections::BTreeMap;

use jute_proto::{ErrorCode, SessionId, Zxid};
use kernel::replica::{Command, Op, Outcome};
use kernel::session::CachedReply;
use proptest::prelude::*;

use crate::log::{Pause, step, write_log};
use crate::server::Server;

/// What is known of numbered writes without a window: every answer ever given.
#[derive(Default)]
struct Model {
    answers: BTreeMap<(SessionId, u64), CachedReply>,
    /// The newest transaction of a numbered write, by session.
    newest: BTreeMap<SessionId, (u64, Zxid)>,
}

impl Model {
    fn judge(&mut self, command: &Command<'_>, outcome: &Outcome) {
        let session = command.origin.session;
        if *outcome == Outcome::SessionClosed {
            self.answers.retain(|(of, _), _| *of != session);
            self.newest.remove(&session);
        }
        let Op::Numbered { number, answered, .. } = command.op else { return };
        let last = self.newest.get(&session).copied();
        match outcome {
            Outcome::Numbered(reply) if reply.code == ErrorCode::ThrottledOp => {
                assert!(!self.answers.contains_key(&(session, number)), "it was applied");
                assert!(last.is_some_and(|(last, _)| number < last), "it may be applied");
            }
            Outcome::Numbered(reply) => match self.answers.get(&(session, number)) {
                Some(first) => assert_eq!(first, reply),
                None => {
                    assert!(last.is_none_or(|(last, zxid)| number > last && reply.zxid > zxid));
                    self.newest.insert(session, (number, reply.zxid));
                    self.answers.insert((session, number), reply.clone());
                }
            },
            // Acknowledged before, so nobody needs an answer.
            Outcome::BadWriteNumber => assert!(number > answered),
            Outcome::NotOwner | Outcome::OutOfOrder | Outcome::Repeated => {}
            Outcome::Request(_)
            | Outcome::SessionOpened { .. }
            | Outcome::SessionRefused
            | Outcome::SessionClosed
            | Outcome::Deferred => panic!("{outcome:?}"),
        }
    }
}

proptest! {
    #[test]
    fn a_numbered_write_has_one_answer(
        steps in prop::collection::vec(step(), 1..200), raised in 0..200_usize,
    ) {
        // Whatever comes again, from whichever connection and behind whichever restarts: each number
        // of a session is applied at most once, in order, and later answers are the first one.
        let log = write_log(&steps, raised);
        let mut server = Server::default();
        let mut model = Model::default();
        for (at, entry) in log.iter().enumerate() {
            server.apply(at, entry, |command, outcome| model.judge(command, &outcome));
            match entry.pauses[0] {
                Pause::None => {}
                Pause::Checkpoint => server.checkpoint(at + 1),
                Pause::Restart => server.restart(&log[..=at]),
            }
        }
    }
}
