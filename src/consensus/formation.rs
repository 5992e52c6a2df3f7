//! How servers become an ensemble, once.
//!
//! A server with an empty data directory does not know whether its ensemble exists already: it may be
//! new with all the others, or its disk may have been lost. It asks the others:
//!
//! * If one of them belongs to an ensemble, this server joins it: it waits for the leader, and votes
//!   only when it has what was committed at that time. Before, its vote could help a server to lead
//!   that lacks writes which this one had acknowledged before its disk was lost.
//! * If a majority, this server included, belongs to none, they form one. All do so with the same
//!   list of voters; Raft's election then makes one of them the first leader. That leader's first
//!   command gives the ensemble its name ([`EnsembleName`](super::EnsembleName)).
//! * Else it waits.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::network::frame::{receive, send};
use super::network::{Dialer, PeerStream, Purpose};
use crate::storage::{DataDir, RaftLog};

/// How long to wait before the others are asked again.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// How long one of them may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A file in the data directory of a server that has to catch up before it votes.
const JOINING: &str = "joining";

/// Asked of every other server.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    voters: BTreeSet<u64>,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    state: State,
    voters: BTreeSet<u64>,
}

/// How far a server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum State {
    /// It has nothing, or takes part in forming an ensemble that has had no leader yet.
    New,
    /// It belongs to an ensemble.
    Member,
}

/// What the answers of the others amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Form an ensemble.
    Form,
    /// Wait to be taken in.
    Join,
    /// Ask again.
    Wait,
}

/// What this server knows of its own formation.
#[derive(Debug)]
pub(super) struct Formation {
    server: u64,
    voters: BTreeSet<u64>,
    log: RaftLog,
    joining: AtomicBool,
    /// The index up to which the log must go before this server votes; 0 while it is not known.
    target: AtomicU64,
    marker: PathBuf,
    /// The servers whose list of voters is another one, each complained of once.
    strange: Mutex<BTreeSet<u64>>,
}

impl Formation {
    /// The formation of a server whose data are in `dir`, as far as it is.
    pub(super) fn new(server: u64, voters: BTreeSet<u64>, dir: &DataDir) -> Self {
        let marker = dir.path().join(JOINING);
        let log = dir.log().clone();
        let joining = AtomicBool::new(marker.exists());
        let (target, strange) = (AtomicU64::new(0), Mutex::default());
        Self { server, voters, log, joining, target, marker, strange }
    }

    /// How far this server is. The first entry of a log is the list of voters; as soon as there are
    /// others a leader was elected, and may have acknowledged writes.
    fn state(&self) -> State {
        match self.log.state().last {
            Some(last) if last.index > 0 => State::Member,
            Some(_) | None => State::New,
        }
    }

    /// This server does not vote before it is decided what to do.
    pub(super) fn undecided(&self) {
        self.joining.store(true, Ordering::Release);
    }

    /// This server forms an ensemble with others that are as new as itself.
    pub(super) fn form(&self) {
        self.joining.store(false, Ordering::Release);
    }

    /// Whether this server has to catch up before it votes.
    pub(super) fn is_joining(&self) -> bool {
        self.joining.load(Ordering::Acquire)
    }

    /// From now on this server has to catch up before it votes, also after a restart.
    pub(super) fn join(&self) -> io::Result<()> {
        self.joining.store(true, Ordering::Release);
        std::fs::File::create(&self.marker)?.sync_all()
    }

    /// The log goes up to `last` here; the leader says that `committed` is committed.
    pub(super) fn caught_up_to(&self, last: Option<u64>, committed: u64) {
        let first = self.target.compare_exchange(0, committed, Ordering::AcqRel, Ordering::Acquire);
        let target = first.map_or_else(|known| known, |_| committed);
        if target == 0 || last.is_none_or(|last| last < target) {
            return;
        }
        match std::fs::remove_file(&self.marker) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return tracing::warn!("{}: cannot be removed: {error}", self.marker.display());
            }
        }
        self.form();
        tracing::info!("this server has caught up with its ensemble, and votes");
    }

    /// Answers one question.
    pub(super) async fn answer(&self, mut stream: PeerStream) {
        let Ok(Question { .. }) = receive(&mut stream).await else { return };
        let state = self.state();
        let _ = send(&mut stream, &Answer { state, voters: self.voters.clone() }).await;
    }

    /// Asks the others until it is clear what to do.
    pub(super) async fn decide(&self, dialer: &Dialer, peers: &[(u64, String)]) -> Verdict {
        loop {
            let asked = peers.iter().map(|(id, address)| async move {
                let answered = timeout(ANSWER_TIMEOUT, self.ask(dialer, *id, address)).await;
                Some((*id, answered.ok()?.ok()?))
            });
            let answers: Vec<(u64, Answer)> = join_all(asked).await.into_iter().flatten().collect();
            match self.judge(&answers) {
                Verdict::Wait => tokio::time::sleep(ASK_EVERY).await,
                verdict @ (Verdict::Form | Verdict::Join) => return verdict,
            }
        }
    }

    async fn ask(&self, dialer: &Dialer, id: u64, address: &str) -> io::Result<Answer> {
        let mut stream = dialer.dial(id, address, Purpose::Formation).await?;
        send(&mut stream, &Question { voters: self.voters.clone() }).await?;
        receive(&mut stream).await
    }

    fn judge(&self, answers: &[(u64, Answer)]) -> Verdict {
        if answers.iter().any(|(_, answer)| answer.state == State::Member) {
            return Verdict::Join;
        }
        if !self.voters.contains(&self.server) {
            return Verdict::Wait;
        }
        let mut agreeing = 1;
        for (id, answer) in answers.iter().filter(|(id, _)| self.voters.contains(id)) {
            if answer.voters == self.voters {
                agreeing += 1;
            } else if self.strange.lock().insert(*id) {
                tracing::warn!(
                    "server {id} has other voters in its configuration ({:?}) than this one \
                     ({:?}): no ensemble is formed with it before the lines `server.N` agree",
                    answer.voters,
                    self.voters
                );
            }
        }
        if agreeing > self.voters.len() / 2 { Verdict::Form } else { Verdict::Wait }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::storage::OpenOptions;

    fn formation(dir: &TempDir) -> Formation {
        let dir = DataDir::open(dir.path(), &OpenOptions::new(1)).unwrap();
        Formation::new(1, BTreeSet::from([1, 2, 3]), &dir)
    }

    fn answer(id: u64, state: State, voters: &[u64]) -> (u64, Answer) {
        (id, Answer { state, voters: voters.iter().copied().collect() })
    }

    #[test]
    fn a_majority_of_new_servers_forms_an_ensemble() {
        // One alone waits; two of three that have the same list form; a member anywhere is joined.
        let dir = tempfile::tempdir().unwrap();
        let formation = formation(&dir);
        let new = |id| answer(id, State::New, &[1, 2, 3]);
        assert_eq!(formation.judge(&[]), Verdict::Wait);
        assert_eq!(formation.judge(&[new(2)]), Verdict::Form);
        assert_eq!(formation.judge(&[answer(2, State::New, &[1, 2])]), Verdict::Wait);
        assert_eq!(formation.judge(&[new(4)]), Verdict::Wait);
        let member = answer(3, State::Member, &[1, 2, 3]);
        assert_eq!(formation.judge(&[new(2), member]), Verdict::Join);
    }

    #[test]
    fn who_joins_votes_after_catching_up() {
        // What was committed when the leader first called must be there, also across a restart.
        let dir = tempfile::tempdir().unwrap();
        let first = formation(&dir);
        assert!(!first.is_joining());
        first.join().unwrap();
        assert!(first.is_joining());
        drop(first);
        let restarted = formation(&dir);
        assert!(restarted.is_joining());
        restarted.caught_up_to(Some(3), 0);
        assert!(restarted.is_joining(), "nothing is known to be committed");
        restarted.caught_up_to(Some(8), 10);
        assert!(restarted.is_joining());
        restarted.caught_up_to(Some(10), 20);
        assert!(!restarted.is_joining());
        drop(restarted);
        assert!(!formation(&dir).is_joining());
    }
}
