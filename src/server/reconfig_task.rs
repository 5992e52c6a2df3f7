//! The leader sees to it that those take part in the consensus who belong to the ensemble.
//!
//! What counts is the replicated state: the configuration in force, and the one that is to follow
//! it. This task compares it with the members of the consensus, and does the next step that brings
//! them closer: let a server take part, make it catch up, change the voters, drop who left. It keeps nothing
//! that must not be lost. Whoever leads next compares again and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jute_proto::SessionId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::consensus::{ChangeFailed, Consensus, Members};
use crate::ensemble::Configuration;
use crate::replica::{Command, Op, Origin};
use crate::session::ConnId;

/// How often to look for what nobody tells: that a server caught up, or is silent.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a joining server may take to answer at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long a server that leaves is given to hear of it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Ticks that a server may take to catch up, where the configuration does not say.
const INIT_LIMIT_TICKS_DEFAULT: u32 = 10;

/// Keeps the members of the consensus in step, where this server leads.
pub(super) async fn run(shared: Arc<Shared>, consensus: Consensus, stop: CancellationToken) {
    if shared.settings.is_alone {
        return;
    }
    let mut task = Task { shared, consensus, wait: None, farewells: BTreeMap::new() };
    loop {
        tokio::select! {
            () = task.shared.members_changed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        if task.shared.leading().is_none() {
            task.forget();
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

/// Says who belongs to an ensemble that was formed of this server's own list; to be called by a new
/// leader. Where the ensemble knows already, nothing comes of it.
pub(super) fn propose_first(shared: &Shared) {
    if shared.settings.is_alone || shared.members().current.is_some() {
        return;
    }
    let mut first = Configuration::first(&shared.config.ensemble.servers);
    if shared.config.features.reconfig {
        // ZooKeeper gives the list of the files this version, so that it goes before other files.
        first.version = shared.leading().unwrap_or(0).cast_signed() << 32;
    }
    propose(shared, Op::SetMembers { text: &first.to_string() });
}

fn propose(shared: &Shared, op: Op<'_>) {
    let origin = Origin { session: SessionId(0), conn: ConnId::NONE, seq: 0 };
    if let Err(refusal) = shared.propose_as_leader(&Command { origin, identities: &[], op }) {
        tracing::debug!(?refusal, "the members of the ensemble cannot be written now");
    }
}

async fn leadership_lost(mut status: tokio::sync::watch::Receiver<crate::consensus::Status>) {
    let term = status.borrow_and_update().term;
    let _ = status.wait_for(|status| !status.is_leader() || status.term != term).await;
}

/// What there is and what there should be, at one moment.
struct Look {
    members: Members,
    /// Who is to belong to the ensemble, and whether that is what a pending request asks for.
    wanted: Configuration,
    pending: Option<i64>,
}

impl Look {
    fn synced(&self, own: u64, server: u64) -> bool {
        server == own || self.members.is_synced(server)
    }
}

/// Whether the voters may be changed.
enum Ready {
    Yes,
    NotYet,
    Never,
}

struct Task {
    shared: Arc<Shared>,
    consensus: Consensus,
    /// Since when which voters are waited for.
    wait: Option<(BTreeSet<u64>, Instant)>,
    /// Since when servers are about to be dropped.
    farewells: BTreeMap<u64, Instant>,
}

impl Task {
    fn forget(&mut self) {
        self.wait = None;
        self.farewells.clear();
    }

    fn look(&self) -> Option<Look> {
        let members = self.consensus.members();
        let known = self.shared.members();
        let current = known.current.clone()?;
        let (wanted, pending) = match &known.pending {
            Some(pending) => {
                let (servers, zxid) = (pending.servers.clone(), pending.zxid.0);
                (Configuration { servers, version: zxid }, Some(zxid))
            }
            None => (current, None),
        };
        Some(Look { members, wanted, pending })
    }

    /// Does what is to be done next, if anything.
    async fn step(&mut self) {
        let Some(look) = self.look() else {
            // The leadership may have begun before this server was told who belongs to it.
            return propose_first(&self.shared);
        };
        if look.members.changing && !look.members.joint {
            return;
        }
        let done = if look.members.joint {
            // Somebody began; whatever is wanted now, this has to be finished first.
            self.consensus.set_voters(look.members.voters.clone()).await
        } else if look.members.voters == look.wanted.voters() {
            self.wait = None;
            match look.pending {
                Some(zxid) => return self.finish(zxid, true),
                None => self.tidy(&look).await,
            }
        } else {
            self.change_voters(&look).await
        };
        if let Err(error) = done {
            tracing::debug!(%error, "the next look tries again");
        }
    }

    fn finish(&self, zxid: i64, done: bool) {
        propose(&self.shared, Op::FinishReconfig { zxid, done });
    }

    async fn change_voters(&mut self, look: &Look) -> Result<(), ChangeFailed> {
        let voters = look.wanted.voters();
        let addresses = look.wanted.addresses();
        let missing: BTreeMap<u64, String> = addresses
            .into_iter()
            .filter(|(id, _)| voters.contains(id) && !look.members.servers.contains_key(id))
            .collect();
        if !missing.is_empty() {
            return self.consensus.set_servers(missing).await;
        }
        match self.readiness(look, &voters) {
            Ready::NotYet => Ok(()),
            Ready::Never => {
                self.wait = None;
                if let Some(zxid) = look.pending {
                    tracing::warn!(
                        "no majority of {voters:?} is in reach: they do not get the vote"
                    );
                    self.finish(zxid, false);
                }
                Ok(())
            }
            Ready::Yes => {
                let own = self.shared.server();
                let heir = voters.intersection(&look.members.voters);
                let mut heir = heir.filter(|id| **id != own && look.synced(own, **id));
                if !voters.contains(&own)
                    && let Some(heir) = heir.next()
                {
                    tracing::info!("server {heir} is to lead, as this server loses its vote");
                    self.consensus.hand_over_to(*heir).await;
                    return Ok(());
                }
                tracing::info!("the voters change from {:?} to {voters:?}", look.members.voters);
                self.consensus.set_voters(voters).await
            }
        }
    }

    /// ZooKeeper changes the members when a majority of the new voters is up to date. Here those that
    /// join are waited for as well, for as long as they answer and `initLimit` allows.
    fn readiness(&mut self, look: &Look, voters: &BTreeSet<u64>) -> Ready {
        let own = self.shared.server();
        let since = match &self.wait {
            Some((waited_for, since)) if waited_for == voters => *since,
            Some(_) | None => {
                self.wait = Some((voters.clone(), Instant::now()));
                Instant::now()
            }
        };
        let waited = since.elapsed();
        let count = |good: &dyn Fn(u64) -> bool| voters.iter().filter(|id| good(**id)).count();
        let is_majority = |count: usize| count > voters.len() / 2;
        let quorum = is_majority(count(&|id| look.synced(own, id)));
        let joining = voters.difference(&look.members.voters);
        let mut late = joining.filter(|id| !look.synced(own, **id));
        let hopeless = |id: u64| !look.members.answers(id) && waited > ANSWER_WITHIN;
        if waited > self.patience() || late.all(|id| hopeless(*id)) {
            let hope = count(&|id| id == own || !hopeless(id));
            let give_up = waited > self.patience() || !is_majority(hope);
            return match (quorum, give_up) {
                (true, _) => Ready::Yes,
                (false, true) => Ready::Never,
                (false, false) => Ready::NotYet,
            };
        }
        Ready::NotYet
    }

    /// How long a server may take to catch up.
    fn patience(&self) -> Duration {
        let ticks = match self.shared.config.ensemble.init_limit_ticks {
            0 => INIT_LIMIT_TICKS_DEFAULT,
            ticks => ticks,
        };
        let tick_ms = u64::from(self.shared.config.sessions.tick_time_ms);
        Duration::from_millis(u64::from(ticks) * tick_ms).max(2 * ANSWER_WITHIN)
    }

    /// The voters are right; what is left is who takes part without a vote, and where all are.
    async fn tidy(&mut self, look: &Look) -> Result<(), ChangeFailed> {
        let own = self.shared.server();
        if !look.members.voters.contains(&own) {
            // All voters were exchanged at once: none of the old ones could be the heir before.
            if let Some(heir) = look.members.voters.iter().find(|id| look.members.is_synced(**id)) {
                self.consensus.hand_over_to(*heir).await;
            }
            return Ok(());
        }
        let addresses = look.wanted.addresses();
        let news =
            addresses.iter().filter(|(id, address)| look.members.servers.get(id) != Some(address));
        let news: BTreeMap<u64, String> = news.map(|(id, at)| (*id, at.clone())).collect();
        if !news.is_empty() {
            return self.consensus.set_servers(news).await;
        }
        let leaving: Vec<u64> =
            look.members.servers.keys().copied().filter(|id| !addresses.contains_key(id)).collect();
        self.farewells.retain(|id, _| leaving.contains(id));
        let heard = |id: &u64| {
            let matched = look.members.progress.get(id).and_then(|progress| progress.matched);
            matched.is_some_and(|matched| matched >= look.members.last_index)
        };
        let mut gone = BTreeSet::new();
        for id in leaving {
            let since = *self.farewells.entry(id).or_insert_with(Instant::now);
            // It hears that it left, and then once more that this is committed.
            let told = heard(&id) && since.elapsed() > FAREWELL / 4;
            if told || since.elapsed() > FAREWELL {
                gone.insert(id);
            }
        }
        if gone.is_empty() { Ok(()) } else { self.consensus.drop_servers(gone).await }
    }
}
