//! The leader keeps the members of the consensus in step with the configuration of the ensemble.
//!
//! The replicated state says who belongs to the ensemble: the configuration in force, and the one that is to follow
//! it. This task compares it with the members of the consensus, and does the next step that brings
//! them closer: add a learner, wait until it has caught up, change the voters, remove a server that left. It keeps
//! nothing that must not be lost. The next leader compares again and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kernel::ensemble::{Configuration, MemberId, ServerSpec};
use kernel::replica::{Command, Op, VERSION_2};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::commands::LeaderCommands;
use super::member_lives::MemberLives;
use crate::config::Config;
use crate::consensus::{ChangeFailed, Consensus, Joiner, Members, Status};
use crate::env::time::{Instant, sleep};
use crate::node::core::Core;

/// How often to look for what nobody tells: that a server caught up, or is silent.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a joining server may take to answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long a server that leaves is given to hear of it.
const REMOVAL_GRACE: Duration = Duration::from_secs(2);

/// Ticks that a server may take to catch up, where the configuration does not say.
const INIT_LIMIT_TICKS_DEFAULT: u32 = 10;

/// Keeps the members of the consensus in step, where this server leads.
pub(in crate::node) async fn run(
    (core, consensus): (Arc<Core>, Consensus),
    leader: LeaderCommands,
    settings: ReconfigSettings,
    stop: CancellationToken,
) {
    if core.settings.is_alone {
        return;
    }
    let removals = BTreeMap::new();
    let mut task = ReconfigTask { core, consensus, leader, settings, wait: None, removals };
    loop {
        tokio::select! {
            () = task.core.membership.changed() => {}
            () = sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        if task.core.leader_duties.term().is_none() {
            task.reset();
            continue;
        }
        let lost = task.consensus.watch_status();
        tokio::select! {
            () = task.step() => {}
            () = leadership_lost(lost) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What the configuration file says of the ensemble and its changes.
#[derive(Clone, Debug)]
pub(in crate::node) struct ReconfigSettings {
    /// This server's own list.
    servers: Vec<ServerSpec>,
    /// Whether clients may change it (`reconfigEnabled`).
    reconfig_enabled: bool,
    /// How long a server may take to catch up (`initLimit`).
    catch_up_max: Duration,
}

impl ReconfigSettings {
    pub(in crate::node) fn new(config: &Config) -> Self {
        let ticks = match config.ensemble.init_limit_ticks {
            0 => INIT_LIMIT_TICKS_DEFAULT,
            ticks => ticks,
        };
        let limit_ms = u64::from(ticks) * u64::from(config.sessions.tick_time_ms);
        Self {
            servers: config.ensemble.servers.clone(),
            reconfig_enabled: config.features.reconfig,
            catch_up_max: Duration::from_millis(limit_ms).max(2 * ANSWER_WITHIN),
        }
    }

    /// Says who belongs to an ensemble that was formed of this server's own list; to be called by a new
    /// leader. Where the ensemble knows already, nothing comes of it.
    pub(in crate::node) fn propose_first(&self, core: &Core, leader: &LeaderCommands) {
        if core.settings.is_alone || core.membership.current().current.is_some() {
            return;
        }
        let mut first = Configuration::first(&self.servers);
        if self.reconfig_enabled {
            // ZooKeeper gives the list of the files this version, so that it goes before other files.
            first.version = core.leader_duties.term().unwrap_or(0).cast_signed() << 32;
        }
        propose(leader, Op::SetMembers { text: &first.to_string() });
    }
}

fn propose(leader: &LeaderCommands, op: Op<'_>) {
    if let Err(refusal) = leader.propose(&Command::of_server(op)) {
        tracing::debug!(?refusal, "the members of the ensemble cannot be written now");
    }
}

/// Members as the log names them.
fn names<'a>(members: impl IntoIterator<Item = &'a MemberId>) -> String {
    members.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

async fn leadership_lost(mut status: watch::Receiver<Status>) {
    let term = status.borrow_and_update().term;
    let _ = status.wait_for(|status| !status.is_leader() || status.term != term).await;
}

/// What there is and what there should be, at one moment.
struct MembershipView {
    members: Members,
    /// Who asks to be taken in.
    asking: BTreeMap<u64, Joiner>,
    own: MemberId,
    /// Who is to belong to the ensemble, and whether that is what a pending request asks for.
    wanted: Configuration,
    pending: Option<i64>,
}

impl MembershipView {
    fn lives(&self) -> MemberLives<'_> {
        MemberLives { own: self.own, members: &self.members, asking: &self.asking }
    }

    /// Who is to vote for each server that is to: nobody, where no life of it is known.
    fn voters(&self) -> BTreeMap<u64, Option<MemberId>> {
        let lives = self.lives();
        let voters = self.wanted.voters().into_iter();
        let to_be = voters.map(|number| (number, lives.next_voter(number)));
        if self.pending.is_some() {
            return to_be.collect();
        }
        // Nobody waits for an answer: who has no vote yet gets it when it has caught up.
        let has_vote = |member: &MemberId| self.members.voters.contains(member);
        let may = |member: &MemberId| has_vote(member) || lives.is_synced(*member);
        to_be.map(|(number, member)| (number, member.filter(may))).collect()
    }

    /// Those that are to take part and do not, with their addresses.
    fn missing(&self) -> BTreeMap<MemberId, String> {
        let lives = self.lives();
        let addresses = self.wanted.addresses().into_iter();
        let members = addresses.filter_map(|(number, address)| {
            let server = lives.of_server(number);
            let other = server.other.filter(|_| !server.voter.is_some_and(|v| lives.answers(v)))?;
            (!self.members.servers.contains_key(&other)).then_some((other, address))
        });
        members.collect()
    }
}

/// Whether the voters may be changed.
enum Ready {
    /// A majority of the new voters has caught up.
    Yes,
    /// More may come.
    NotYet,
    /// They were waited for long enough.
    Never,
}

/// Compares and acts, one step at a time.
struct ReconfigTask {
    core: Arc<Core>,
    consensus: Consensus,
    leader: LeaderCommands,
    settings: ReconfigSettings,
    /// Since when which voters are waited for.
    wait: Option<(BTreeSet<u64>, Instant)>,
    /// Since when servers are about to be dropped.
    removals: BTreeMap<MemberId, Instant>,
}

impl ReconfigTask {
    fn reset(&mut self) {
        self.wait = None;
        self.removals.clear();
    }

    fn view(&self) -> Option<MembershipView> {
        let (members, own) = (self.consensus.members(), self.consensus.member());
        let asking = self.consensus.admissions().asking();
        let known = self.core.membership.current();
        let current = known.current.clone()?;
        let (wanted, pending) = match &known.pending {
            Some(pending) => {
                let (servers, zxid) = (pending.servers.clone(), pending.zxid.0);
                (Configuration { servers, version: zxid }, Some(zxid))
            }
            None => (current, None),
        };
        Some(MembershipView { members, asking, own, wanted, pending })
    }

    /// Does what is to be done next, if anything.
    async fn step(&mut self) {
        let Some(view) = self.view() else {
            // The leadership may have begun before this server was told who belongs to it.
            return self.settings.propose_first(&self.core, &self.leader);
        };
        self.answer_joiners(&view);
        if view.members.changing && !view.members.joint {
            return;
        }
        let done = if view.members.joint {
            // Somebody began; whatever is wanted now, this has to be finished first.
            self.consensus.set_voters(view.members.voters.clone()).await
        } else {
            self.towards_wanted(&view).await
        };
        if let Err(error) = done {
            tracing::debug!(%error, "the next look tries again");
        }
    }

    /// Tells those that ask to be taken in what they wait for.
    fn answer_joiners(&self, view: &MembershipView) {
        let lives = view.lives();
        for Joiner { member, .. } in view.asking.values() {
            let is_wanted = view.wanted.servers.contains_key(&member.number);
            let answer = lives.waits_for(*member, is_wanted);
            self.consensus.admissions().tell(*member, answer);
        }
    }

    async fn towards_wanted(&mut self, view: &MembershipView) -> Result<(), ChangeFailed> {
        let missing = view.missing();
        if !missing.is_empty() {
            let let_in = names(missing.keys());
            self.consensus.set_servers(missing).await?;
            tracing::info!("server {let_in} takes part without a vote until it has caught up");
            return Ok(());
        }
        let wanted = view.voters();
        let voters: BTreeSet<MemberId> = wanted.values().flatten().copied().collect();
        let is_right = voters == view.members.voters;
        match view.pending {
            None if is_right => {
                self.wait = None;
                self.update_servers(view).await
            }
            Some(zxid) if is_right && wanted.values().all(Option::is_some) => {
                self.wait = None;
                self.finish(zxid, true);
                Ok(())
            }
            Some(_) | None => self.change_voters(view, &wanted, voters).await,
        }
    }

    fn finish(&self, zxid: i64, done: bool) {
        let Some(term) = self.core.leader_duties.term() else { return };
        let op = match self.core.process.version() {
            ..VERSION_2 => Op::FinishReconfig { zxid, done },
            VERSION_2.. => Op::FinishReconfigIn { zxid, done, term },
        };
        propose(&self.leader, op);
    }

    async fn change_voters(
        &mut self,
        view: &MembershipView,
        wanted: &BTreeMap<u64, Option<MemberId>>,
        voters: BTreeSet<MemberId>,
    ) -> Result<(), ChangeFailed> {
        match (self.readiness(view, wanted), view.pending) {
            (Ready::NotYet, _) | (Ready::Never, None) => Ok(()),
            (Ready::Never, Some(zxid)) => {
                self.wait = None;
                let numbers: Vec<&u64> = wanted.keys().collect();
                tracing::warn!("no majority of {numbers:?} is in reach: they do not get the vote");
                self.finish(zxid, false);
                Ok(())
            }
            // Servers that never answered get their vote when they come.
            (Ready::Yes, Some(zxid)) if voters == view.members.voters => {
                self.wait = None;
                self.finish(zxid, true);
                Ok(())
            }
            (Ready::Yes, _) => self.set_voters(view, voters).await,
        }
    }

    async fn set_voters(
        &self,
        view: &MembershipView,
        voters: BTreeSet<MemberId>,
    ) -> Result<(), ChangeFailed> {
        let (own, lives) = (view.own, view.lives());
        let successors = voters.intersection(&view.members.voters);
        let mut successors = successors.filter(|id| **id != own && lives.is_synced(**id));
        if !voters.contains(&own)
            && let Some(successor) = successors.next()
        {
            tracing::info!("server {successor} is to lead, as this server loses its vote");
            self.consensus.hand_over_to(*successor).await;
            return Ok(());
        }
        let (before, after) = (names(&view.members.voters), names(&voters));
        tracing::info!("the voters change from servers {before} to servers {after}");
        self.consensus.set_voters(voters).await?;
        tracing::info!("the voters are servers {after}");
        Ok(())
    }

    /// ZooKeeper changes the members when a majority of the new voters is up to date. Here those that
    /// join are waited for as well, for as long as they answer and `initLimit` allows.
    fn readiness(
        &mut self,
        view: &MembershipView,
        wanted: &BTreeMap<u64, Option<MemberId>>,
    ) -> Ready {
        let numbers: BTreeSet<u64> = wanted.keys().copied().collect();
        let since = match &self.wait {
            Some((waited_for, since)) if *waited_for == numbers => *since,
            Some(_) | None => {
                self.wait = Some((numbers, Instant::now()));
                Instant::now()
            }
        };
        let (waited, lives) = (since.elapsed(), view.lives());
        let voters: Vec<Option<MemberId>> = wanted.values().copied().collect();
        let synced = |voter: &Option<MemberId>| voter.is_some_and(|id| lives.is_synced(id));
        let hopeless = |voter: &Option<MemberId>| {
            !voter.is_some_and(|id| lives.answers(id)) && waited > ANSWER_WITHIN
        };
        let is_majority = |count: usize| count > voters.len() / 2;
        let quorum = is_majority(voters.iter().filter(|voter| synced(voter)).count());
        let is_new =
            |voter: &&Option<MemberId>| voter.is_none_or(|id| !view.members.voters.contains(&id));
        let mut late = voters.iter().filter(is_new).filter(|voter| !synced(voter));
        if waited > self.settings.catch_up_max || late.all(hopeless) {
            let hope = voters.iter().filter(|voter| !hopeless(voter)).count();
            let give_up = waited > self.settings.catch_up_max || !is_majority(hope);
            return match (quorum, give_up) {
                (true, _) => Ready::Yes,
                (false, true) => Ready::Never,
                (false, false) => Ready::NotYet,
            };
        }
        Ready::NotYet
    }

    /// The voters are right; what is left is where all are, and who is to take part no more.
    async fn update_servers(&mut self, view: &MembershipView) -> Result<(), ChangeFailed> {
        if !view.members.voters.contains(&view.own) {
            // All voters were exchanged at once: none of the old ones could be the successor before.
            if let Some(successor) =
                view.members.voters.iter().find(|id| view.members.is_synced(**id))
            {
                self.consensus.hand_over_to(*successor).await;
            }
            return Ok(());
        }
        let lives = view.lives();
        let addresses = view.wanted.addresses().into_iter();
        let addresses: BTreeMap<MemberId, String> = addresses
            .filter_map(|(number, address)| Some((lives.of_server(number).member()?, address)))
            .collect();
        let is_news =
            |(id, address): &(&MemberId, &String)| view.members.servers.get(id) != Some(address);
        let news: BTreeMap<MemberId, String> =
            addresses.iter().filter(is_news).map(|(id, at)| (*id, at.clone())).collect();
        if !news.is_empty() {
            return self.consensus.set_servers(news).await;
        }
        let stays = |id: &MemberId| {
            let server = lives.of_server(id.number);
            let is_wanted = view.wanted.servers.contains_key(&id.number);
            is_wanted && (server.voter == Some(*id) || server.other == Some(*id))
        };
        let leaving = view.members.servers.keys().filter(|id| !stays(id)).copied().collect();
        let gone = self.ready_to_remove(view, leaving);
        if gone.is_empty() {
            return Ok(());
        }
        let dropped = names(&gone);
        self.consensus.drop_servers(gone).await?;
        tracing::info!("server {dropped} takes part no more");
        Ok(())
    }

    /// Those of the leaving servers that have heard of it, or were given the time to.
    fn ready_to_remove(
        &mut self,
        view: &MembershipView,
        leaving: BTreeSet<MemberId>,
    ) -> BTreeSet<MemberId> {
        self.removals.retain(|id, _| leaving.contains(id));
        let heard = |id: &MemberId| {
            let matched = view.members.progress.get(id).and_then(|progress| progress.matched);
            matched.is_some_and(|matched| matched >= view.members.last_index)
        };
        let mut gone = BTreeSet::new();
        for id in leaving {
            let since = *self.removals.entry(id).or_insert_with(Instant::now);
            // It hears that it left, and then once more that this is committed.
            let told = heard(&id) && since.elapsed() > REMOVAL_GRACE / 4;
            if told || since.elapsed() > REMOVAL_GRACE {
                gone.insert(id);
            }
        }
        gone
    }
}
