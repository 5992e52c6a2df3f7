//! The task of a server that looks for its ensemble: it asks the others, and acts on what is decided.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use kernel::ensemble::MemberId;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::super::transport::{AddressBook, Dialer, EnsembleName};
use super::admission::Admissions;
use super::decide::{BootstrapPolicy, Decision, OwnSituation, PeerAnswer, decide};
use super::message::{Answer, Promise, Proposal, Question, Stage};
use super::peers::{DialedPeers, Peers};
use super::promise::PromiseFile;
use crate::env::fs;
use crate::env::time::{Instant, sleep};

/// The first time after which a server is asked again.
const ASK_FIRST: Duration = Duration::from_millis(50);

/// The time between two questions once it has been asked for a while.
const ASK_LAST: Duration = Duration::from_millis(500);

/// How often it is looked whether this server belongs somewhere.
const CHECK_EVERY: Duration = Duration::from_millis(50);

/// How often members are asked that the file does not name.
const ASK_OTHERS_EVERY: Duration = Duration::from_secs(1);

/// A change of the servers that are waited for is logged at once, but not more often than this.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// It is logged again when nothing has changed for so long.
const REPEAT_EVERY: Duration = Duration::from_secs(60);

/// What bootstrap has to know of a server.
#[derive(Debug)]
pub(crate) struct BootstrapConfig {
    pub(crate) id: MemberId,
    /// All servers of the file with their addresses, this one included.
    pub(crate) servers: BTreeMap<u64, String>,
    /// The numbers of those that vote.
    pub(crate) voters: BTreeSet<u64>,
    pub(crate) policy: BootstrapPolicy,
    /// The name of an ensemble that this server proposes, or is.
    pub(crate) name: u128,
    pub(crate) ensemble: EnsembleName,
    /// Who is known, and where.
    pub(crate) book: AddressBook,
    pub(crate) dir: PathBuf,
}

/// What bootstrap sees of the consensus, and does with it.
pub(crate) trait RaftControl: Send + Sync + 'static {
    /// What there is at the moment.
    fn view(&self) -> EnsembleView;
    /// Begins a log with these members.
    fn initialize(&self, members: BTreeMap<u64, String>) -> BoxFuture<'_, Result<(), String>>;
    /// Lets this server ask for votes.
    fn allow_elections(&self);
}

/// The consensus at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct EnsembleView {
    /// The newest entry of the log, be it purged.
    pub(crate) last_index: Option<u64>,
    /// All voters, old and new ones, by id.
    pub(crate) voters: BTreeSet<u64>,
    /// All members with their addresses, by id.
    pub(crate) members: BTreeMap<u64, String>,
    /// Who leads and was heard of lately, by id.
    pub(crate) leader: Option<u64>,
    /// Whether a `reconfig` made the configuration: it goes before the file.
    pub(crate) agreed: bool,
}

/// The search of this server for its ensemble. Clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    pub(super) state: Arc<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) config: BootstrapConfig,
    /// Locked before `heard`.
    pub(super) promise: Mutex<PromiseFile>,
    pub(super) admissions: Admissions,
    /// What came of asking each server, and of which round that is.
    heard: Mutex<Round>,
    answer_recorded: Notify,
    last_report: Mutex<LastReport>,
    ended: watch::Sender<Option<String>>,
}

#[derive(Debug, Default)]
struct Round {
    number: u64,
    heard: BTreeMap<u64, PeerAnswer>,
}

#[derive(Debug, Default)]
struct LastReport {
    what: String,
    at: Option<Instant>,
}

impl Bootstrap {
    /// Takes the search up where it was left.
    ///
    /// # Errors
    /// What this server decided on before cannot be read.
    pub(crate) fn new(config: BootstrapConfig) -> io::Result<Self> {
        let promise = PromiseFile::open(config.dir.clone())?;
        if let Some(Promise { name, .. }) = promise.get()
            && config.ensemble.get().is_none()
        {
            config.ensemble.decide(name);
        }
        let state = State {
            config,
            promise: Mutex::new(promise),
            admissions: Admissions::default(),
            heard: Mutex::default(),
            answer_recorded: Notify::new(),
            last_report: Mutex::default(),
            ended: watch::Sender::new(None),
        };
        Ok(Self { state: Arc::new(state) })
    }

    /// Who asks to be taken in.
    pub(crate) fn admissions(&self) -> &Admissions {
        &self.state.admissions
    }

    /// The name of the ensemble, where none is known yet: the one that was proposed, or this server's own.
    pub(crate) fn name(&self) -> u128 {
        let promised = self.state.promise.lock().get();
        promised.map_or(self.state.config.name, |promise| promise.name)
    }

    /// Why the start has ended, once it has.
    pub(crate) fn ended(&self) -> watch::Receiver<Option<String>> {
        self.state.ended.subscribe()
    }

    /// Looks for the ensemble until `stop`.
    pub(crate) async fn run(
        self,
        raft: Arc<dyn RaftControl>,
        dialer: Dialer,
        stop: CancellationToken,
    ) {
        let others = DialedPeers::new(dialer, self.state.config.servers.clone());
        tokio::select! {
            () = self.search(&*raft, &others) => {}
            () = stop.cancelled() => {}
        }
    }

    /// Looks for the ensemble among `others`, for ever.
    pub(super) async fn search(&self, raft: &dyn RaftControl, others: &dyn Peers) {
        let config = &self.state.config;
        let numbers = config.servers.keys().filter(|number| **number != config.id.number);
        let asking = numbers.map(|number| self.poll_server(*number, raft, others));
        tokio::join!(
            join_all(asking),
            self.poll_unnamed_members(raft, others),
            self.act_on_answers(raft, others)
        );
    }

    pub(super) fn facts(&self, view: &EnsembleView, promise: Option<Promise>) -> OwnSituation {
        let config = &self.state.config;
        OwnSituation {
            id: config.id,
            servers: config.servers.clone(),
            voters: config.voters.clone(),
            stage: self.stage(view, promise),
            name: config.name,
        }
    }

    pub(super) fn stage(&self, view: &EnsembleView, promise: Option<Promise>) -> Stage {
        let config = &self.state.config;
        let own = config.id.raft_id();
        let known = config.ensemble.get().map(|name| name.0);
        match (view.last_index, promise) {
            (None, promise) => Stage::Empty { policy: config.policy, promise },
            (Some(_), _) if view.is_alone(own) && !view.agreed && config.names_others() => {
                Stage::Alone { name: known.unwrap_or(config.name) }
            }
            (Some(0), Some(Promise { name, proposer: Some(_) })) if view.voters.contains(&own) => {
                Stage::Forming { name }
            }
            (Some(_), _) => Stage::Member { name: known },
        }
    }

    /// Whether this server belongs to an ensemble that works.
    fn is_settled(&self, view: &EnsembleView) -> bool {
        let own = self.state.config.id.raft_id();
        view.leader.is_some() && view.members.contains_key(&own)
    }

    fn question(&self, view: &EnsembleView) -> Question {
        let promise = self.state.promise.lock().get();
        let (config, stage) = (&self.state.config, self.stage(view, promise));
        let joins = match stage {
            Stage::Empty { promise: Some(Promise { name, proposer: None }), .. } => Some(name),
            // Whether it takes part, the leader knows better.
            Stage::Member { name } => name,
            Stage::Empty { .. } | Stage::Forming { .. } | Stage::Alone { .. } => None,
        };
        Question {
            asker: config.id.raft_id(),
            address: config.servers.get(&config.id.number).cloned().unwrap_or_default(),
            voters: config.voters.clone(),
            joins,
            proposal: None,
        }
    }

    /// Asks one server for as long as this one belongs nowhere.
    async fn poll_server(&self, number: u64, raft: &dyn RaftControl, others: &dyn Peers) {
        let mut pause = ASK_FIRST;
        loop {
            let view = raft.view();
            if self.is_settled(&view) {
                pause = ASK_FIRST;
                sleep(CHECK_EVERY).await;
                continue;
            }
            let round = self.state.heard.lock().number;
            let heard = others.ask(number, self.question(&view)).await;
            self.learn_members(&heard);
            self.state.record_answer(round, number, heard);
            sleep(pause).await;
            pause = (pause * 5 / 4).min(ASK_LAST);
        }
    }

    /// Asks members that this server's file does not name who else belongs to the ensemble: without that it would
    /// not know a leader that came while it was away.
    async fn poll_unnamed_members(&self, raft: &dyn RaftControl, others: &dyn Peers) {
        loop {
            sleep(ASK_OTHERS_EVERY).await;
            let view = raft.view();
            let own = self.state.config.id.number;
            for number in
                self.state.config.book.others().into_keys().filter(|number| *number != own)
            {
                if !self.is_settled(&view) {
                    let heard = others.ask(number, self.question(&view)).await;
                    self.learn_members(&heard);
                }
            }
        }
    }

    /// Takes note of the members that one of this ensemble tells of: they are heard.
    fn learn_members(&self, heard: &PeerAnswer) {
        let PeerAnswer::Answer(Answer { stage, members, .. }) = heard else { return };
        let own = self.state.config.ensemble.get().map(|name| name.0);
        if own.is_some() && stage.ensemble() == own {
            let members = members.iter();
            let members = members.map(|(id, address)| (MemberId::number_of(*id), address.clone()));
            self.state.config.book.tell(members.collect());
        }
    }

    /// Acts on what is heard.
    async fn act_on_answers(&self, raft: &dyn RaftControl, others: &dyn Peers) {
        loop {
            let view = raft.view();
            if view.last_index.is_some() && self.state.config.ensemble.is_known() {
                self.has_arrived();
            }
            let members = view.members.iter();
            let members = members.map(|(id, address)| (MemberId::number_of(*id), address.clone()));
            self.state.config.book.set_members(members.collect());
            if self.is_settled(&view) {
                self.state.config.book.forget_told();
            } else {
                let (round, heard, promise) = self.state.round();
                let decision = decide(&self.facts(&view, promise), &heard);
                let all_were_asked = heard.len() + 1 == self.state.config.servers.len();
                match decision {
                    // What all servers said is worth more than what the first one did.
                    Decision::Wait(reasons) if all_were_asked => self.state.report(&reasons),
                    Decision::Wait(_) => {}
                    decision @ (Decision::Propose(_)
                    | Decision::Decide(_)
                    | Decision::Release
                    | Decision::Lead
                    | Decision::End(_)) => self.act(decision, round, raft, others).await,
                }
            }
            tokio::select! {
                () = self.state.answer_recorded.notified() => {}
                () = sleep(CHECK_EVERY) => {}
            }
        }
    }

    /// Does what was decided on what was heard in that round.
    async fn act(
        &self,
        decision: Decision,
        round: u64,
        raft: &dyn RaftControl,
        others: &dyn Peers,
    ) {
        match decision {
            Decision::Wait(reasons) => self.state.report(&reasons),
            Decision::Lead => raft.allow_elections(),
            Decision::Release => _ = self.state.change(round, None),
            Decision::Decide(promise) => _ = self.state.change(round, Some(promise)),
            Decision::End(why) => {
                self.state.ended.send_if_modified(|ended| {
                    ended.is_none() && {
                        *ended = Some(why);
                        true
                    }
                });
            }
            Decision::Propose(proposal) => {
                let proposer = Some(self.state.config.id.raft_id());
                let promise = Promise { name: proposal.name, proposer };
                if self.state.change(round, Some(promise)) {
                    self.propose(proposal, raft, others).await;
                }
            }
        }
    }

    async fn propose(&self, proposal: Proposal, raft: &dyn RaftControl, others: &dyn Peers) {
        let config = &self.state.config;
        let own = config.id.raft_id();
        let question = Question { proposal: Some(proposal.clone()), ..self.question(&raft.view()) };
        let asked = proposal.members.keys().filter(|id| **id != own).map(|id| {
            let (number, question) = (MemberId::number_of(*id), question.clone());
            async move { objection(number, others.ask(number, question).await) }
        });
        let objections: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
        if !objections.is_empty() {
            return self.state.report(&objections.join("; "));
        }
        tracing::info!("all members agree: the ensemble is formed");
        if let Err(error) = raft.initialize(proposal.members).await {
            self.state.report(&format!("the ensemble cannot be formed: {error}"));
        }
    }

    /// Who this server is.
    #[cfg(test)]
    pub(super) fn id(&self) -> MemberId {
        self.state.config.id
    }

    /// The ensemble that it decided on.
    #[cfg(test)]
    pub(super) fn decided(&self) -> Option<u128> {
        self.state.config.ensemble.get().map(|name| name.0)
    }

    /// The state that it has names the ensemble.
    #[cfg(test)]
    pub(super) fn learn(&self, name: u128) {
        self.state.config.ensemble.set(crate::storage::ClusterId(name));
    }

    /// What was reported last about who is waited for.
    #[cfg(test)]
    pub(super) fn says(&self) -> String {
        self.state.last_report.lock().what.clone()
    }

    /// This server has data of an ensemble whose name is known: what it decided on is past.
    fn has_arrived(&self) {
        self.state.release_file();
        let initialize = self.state.config.dir.join(super::INITIALIZE);
        if let Err(error) = fs::remove_file(&initialize)
            && error.kind() != io::ErrorKind::NotFound
        {
            self.state.report(&format!("{} cannot be removed: {error}", initialize.display()));
        }
    }
}

/// Why a server does not agree to a proposal, if it does not.
fn objection(number: u64, heard: PeerAnswer) -> Option<String> {
    let why = match heard {
        PeerAnswer::Answer(Answer { agreed: Some(Ok(())), .. }) => return None,
        PeerAnswer::Answer(Answer { agreed: Some(Err(why)), .. }) | PeerAnswer::Nothing(why) => why,
        PeerAnswer::Answer(Answer { agreed: None, .. }) | PeerAnswer::Earlier { .. } => {
            "it knows nothing of proposals".to_owned()
        }
    };
    Some(format!("server {number}: {why}"))
}

impl EnsembleView {
    /// Whether this server is the only voter there is, or ever was.
    fn is_alone(&self, own: u64) -> bool {
        self.voters.iter().eq([&own])
    }
}

impl BootstrapConfig {
    fn names_others(&self) -> bool {
        self.voters.iter().any(|number| *number != self.id.number)
    }
}

impl State {
    fn record_answer(&self, round: u64, number: u64, what: PeerAnswer) {
        let mut heard = self.heard.lock();
        // What was asked before this server decided on something does not take that into account.
        if heard.number == round {
            heard.heard.insert(number, what);
            self.answer_recorded.notify_one();
        }
    }

    /// What was heard in this round, and what was decided on before it.
    fn round(&self) -> (u64, BTreeMap<u64, PeerAnswer>, Option<Promise>) {
        let kept = self.promise.lock();
        let round = self.heard.lock();
        (round.number, round.heard.clone(), kept.get())
    }

    /// Decides on an ensemble, or takes back what was decided on, for what was heard in that round; false
    /// where something else was decided on meanwhile, or it cannot be written down.
    fn change(&self, round: u64, promise: Option<Promise>) -> bool {
        let mut kept = self.promise.lock();
        if self.heard.lock().number != round {
            return false;
        }
        let changed = match promise {
            Some(promise) => self.decide_on(&mut kept, promise),
            None => kept.drop_it().map(|()| {
                self.config.ensemble.undecide();
                self.begin_round();
            }),
        };
        drop(kept);
        if let Err(error) = &changed {
            self.report(&format!("what this server decides on cannot be written down: {error}"));
        }
        changed.is_ok()
    }

    pub(super) fn decide_on(&self, kept: &mut PromiseFile, promise: Promise) -> io::Result<()> {
        if kept.get() != Some(promise) {
            kept.make(promise)?;
            self.config.ensemble.decide(promise.name);
            self.begin_round();
        }
        Ok(())
    }

    /// What was heard so far does not take into account what is decided on now.
    fn begin_round(&self) {
        let mut heard = self.heard.lock();
        heard.number += 1;
        heard.heard.clear();
    }

    fn release_file(&self) {
        let mut kept = self.promise.lock();
        if let Err(error) = kept.drop_it() {
            drop(kept);
            self.report(&format!("the file `promise` cannot be removed: {error}"));
        }
    }

    /// Says who is waited for, when that has changed or was reported long ago.
    fn report(&self, what: &str) {
        let now = Instant::now();
        let mut last_report = self.last_report.lock();
        let since = last_report.at.map(|at| now - at);
        let limit = if last_report.what == what { REPEAT_EVERY } else { REPORT_EVERY };
        if since.is_some_and(|since| since < limit) {
            return;
        }
        *last_report = LastReport { what: what.to_owned(), at: Some(now) };
        drop(last_report);
        tracing::info!("this server waits for its ensemble: {what}");
    }
}
