//! Whether a leader hears anybody.
//!
//! A leader that is heard but hears nothing keeps the others from electing one who could do the work:
//! its heartbeats renew their trust in it. So it falls silent, for long enough that they elect. Likewise one
//! that hears but has had no answer in time for so long that it has lost its lease: it would take no
//! write any more, and nobody would take its place.
//!
//! Hearing is anything that came over a connection, not an answer to a heartbeat: that waits for the
//! follower's disk, and a follower with a slow disk is still there and says so
//! ([`Response::Working`](crate::consensus::transport)).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::{Raft, RaftMetrics};
use parking_lot::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::read_index::is_majority;
use crate::consensus::raft::start::Timings;
use crate::consensus::raft::state_machine::{Machine, StateMachine};
use crate::consensus::raft::types::TypeConfig;
use crate::consensus::status::Role;
use crate::consensus::status::lease_age;
use crate::consensus::status::role;

/// When something last came from each of the others.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<BTreeMap<u64, Instant>>);

impl Heard {
    /// Something came from `peer`.
    pub(crate) fn hear(&self, peer: u64) {
        self.0.lock().insert(peer, Instant::now());
    }

    /// When it last did.
    pub(crate) fn last(&self, peer: u64) -> Option<Instant> {
        self.0.lock().get(&peer).copied()
    }
}

/// What came over connections to peers, and whether anything may be sent to them as a leader. Cheap to
/// clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hearing(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    heard: Heard,
    silent: AtomicBool,
}

impl Hearing {
    /// Something came from `peer`.
    pub(crate) fn hear(&self, peer: u64) {
        self.0.heard.hear(peer);
    }

    /// Whether this server is to send nothing as a leader.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.silent.load(Ordering::Relaxed)
    }

    /// As if this leader heard nobody.
    #[cfg(test)]
    pub(crate) fn be_silent(&self) {
        self.set_silent(true);
    }

    fn set_silent(&self, silent: bool) {
        self.0.silent.store(silent, Ordering::Relaxed);
    }

    /// Whether a majority of each of `sets` was heard since `since`; `own` always is.
    fn majority(&self, own: u64, sets: &[BTreeSet<u64>], since: Instant) -> bool {
        let heard = |id: u64| self.0.heard.last(id).is_some_and(|at| at >= since);
        is_majority(sets, |id| id == own || heard(id))
    }
}

/// The clocks of a leader's silence.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    look_every: Duration,
    /// A leader whose lead no majority confirmed for this long falls silent...
    unconfirmed_after: Duration,
    /// ... and one that hears no majority for this long...
    deaf_after: Duration,
    /// ... for this long: followers take it for lost, wait on top as they do, and elect.
    silent_for: Duration,
}

impl Clocks {
    fn of(timings: Timings) -> Self {
        let Timings { heartbeat, election_max, .. } = timings;
        let deaf_after = (election_max * 3 / 2).max(heartbeat * 3);
        // Long: a follower whose disk is slow answers late, and would be no better leader.
        let unconfirmed_after = election_max * 10;
        let silent_for = election_max * 3;
        Self { look_every: heartbeat, unconfirmed_after, deaf_after, silent_for }
    }
}

/// What a leader does about what it hears.
#[derive(Debug)]
struct Ear {
    clocks: Clocks,
    /// The term that it leads, and since when it speaks.
    speaks: Option<(u64, Instant)>,
    silent_until: Option<Instant>,
    looked: Instant,
}

impl Ear {
    fn new(clocks: Clocks) -> Self {
        Self { clocks, speaks: None, silent_until: None, looked: Instant::now() }
    }

    /// Whether to be silent from now on, as the leader of `term`, if it leads. `confirmed` is how long ago a
    /// majority last did so in time, if ever; `hears` says whether one was heard since a moment.
    fn look(
        &mut self,
        term: Option<u64>,
        confirmed: Option<Duration>,
        hears: impl FnOnce(Instant) -> bool,
    ) -> bool {
        let now = Instant::now();
        // A server that was stopped or starved has not listened.
        let was_away = now - std::mem::replace(&mut self.looked, now) > self.clocks.look_every * 3;
        let Some(term) = term else {
            (self.speaks, self.silent_until) = (None, None);
            return false;
        };
        let since = match self.speaks {
            Some((known, since)) if known == term && !was_away => since,
            Some(_) | None => {
                self.speaks = Some((term, now));
                self.silent_until = None;
                return false;
            }
        };
        if let Some(until) = self.silent_until {
            if now < until {
                return true;
            }
            self.silent_until = None;
            self.speaks = Some((term, now));
            return false;
        }
        let Clocks { deaf_after, unconfirmed_after, .. } = self.clocks;
        let deaf = now - since >= deaf_after && !now.checked_sub(deaf_after).is_none_or(hears);
        let unconfirmed = now - since >= unconfirmed_after
            && confirmed.is_none_or(|confirmed| confirmed >= unconfirmed_after);
        if !deaf && !unconfirmed {
            return false;
        }
        self.silent_until = Some(now + self.clocks.silent_for);
        true
    }
}

/// Keeps an eye on what a leader hears, until `stop`.
pub(crate) async fn run<M: StateMachine>(
    raft: Raft<TypeConfig, Machine<M>>,
    own: u64,
    hearing: Hearing,
    timings: Timings,
    stop: CancellationToken,
) {
    let clocks = Clocks::of(timings);
    let mut ear = Ear::new(clocks);
    let mut looks = interval(clocks.look_every);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            () = stop.cancelled() => return,
        }
        let metrics = raft.metrics();
        let (term, sets, confirmed) = leads(&metrics.borrow_watched());
        let was_silent = hearing.is_silent();
        let silent = ear.look(term, confirmed, |since| hearing.majority(own, &sets, since));
        if silent && !was_silent {
            tracing::debug!("this leader hears no majority, or too late, and falls silent");
        }
        hearing.set_silent(silent);
    }
}

/// The term that this server leads, if it does, the sets of voters, and how long ago a majority confirmed it.
fn leads(metrics: &RaftMetrics<TypeConfig>) -> (Option<u64>, Vec<BTreeSet<u64>>, Option<Duration>) {
    let leads = role(metrics.state) == Role::Leader;
    let sets = metrics.membership_config.membership().get_joint_config().clone();
    (leads.then_some(metrics.current_term), sets, lease_age(metrics))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(40);

    fn ear() -> Ear {
        Ear::new(Clocks::of(Timings::default()))
    }

    async fn pass(ear: &mut Ear, time: Duration, hearing: &Hearing) -> Vec<bool> {
        let sets = [BTreeSet::from([1, 2, 3])];
        let mut silent = Vec::new();
        for _ in 0..time.as_millis() / LOOK.as_millis() {
            tokio::time::advance(LOOK).await;
            silent.push(ear.look(Some(7), Some(LOOK), |since| hearing.majority(1, &sets, since)));
        }
        silent
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_hears_nobody_falls_silent_for_a_while() {
        // One voice of two is enough; without any, the leader is silent for longer than followers
        // wait for it, then speaks again, as there may be nobody who could be elected.
        let (mut ear, hearing) = (ear(), Hearing::default());
        assert!(pass(&mut ear, Duration::from_millis(280), &hearing).await.iter().all(|s| !s));
        for _ in 0..20 {
            hearing.hear(3);
            assert!(pass(&mut ear, Duration::from_millis(240), &hearing).await.iter().all(|s| !s));
        }
        let silent = pass(&mut ear, Duration::from_secs(3), &hearing).await;
        let longest = silent.split(|silent| !silent).map(<[bool]>::len).max().unwrap_or(0);
        assert!(longest >= 14, "{silent:?}");
        assert!(silent.iter().filter(|silent| !**silent).count() > 15, "{silent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_is_always_answered_too_late_falls_silent() {
        // A leader that hears the others but has lost its lease makes room for another after two seconds.
        let mut silent_at = Vec::new();
        for confirmed in [Some(Duration::from_millis(1999)), Some(Duration::from_secs(2)), None] {
            let mut ear = ear();
            let mut silent = false;
            for _ in 0..60 {
                tokio::time::advance(LOOK).await;
                silent |= ear.look(Some(7), confirmed, |_| true);
            }
            silent_at.push(silent);
        }
        assert_eq!(silent_at, [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_stopped_blames_nobody() {
        // After a stop, as after an election, the others are given the time to be heard.
        let (mut ear, hearing) = (ear(), Hearing::default());
        pass(&mut ear, Duration::from_millis(120), &hearing).await;
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(pass(&mut ear, Duration::from_millis(280), &hearing).await.iter().all(|s| !s));
        assert!(!ear.look(Some(8), None, |_| false), "another term");
        assert!(!ear.look(None, None, |_| false), "it leads no more");
    }

    #[test]
    fn a_majority_of_old_and_new_voters_is_to_be_heard() {
        // While the voters change, both groups count.
        let (hearing, start) = (Hearing::default(), Instant::now());
        let sets = [BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 4, 5])];
        hearing.hear(2);
        assert!(hearing.majority(1, &sets[..1], start));
        assert!(!hearing.majority(1, &sets, start));
        hearing.hear(5);
        assert!(hearing.majority(1, &sets, start));
        assert!(hearing.majority(1, &[BTreeSet::from([1])], start), "alone");
    }
}
