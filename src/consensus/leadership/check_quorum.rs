//! Check-quorum: a leader that hears from no quorum stops sending, so that followers time out and elect another.
//!
//! Heartbeats renew the followers' trust in their leader. A leader whose own messages arrive, but who receives
//! nothing, would so keep the others from electing a server that can do the work. It suppresses its heartbeats for
//! long enough that they elect. A leader that receives answers, but has had none in time for so long that its lease
//! is gone, does the same: it would take no write any more, and nobody would take its place.
//!
//! Activity is anything that a peer sent on a connection that this server made (`Contact::answering`), not only an
//! answer to a heartbeat. That answer waits for the follower's disk, and a follower with a slow disk is still there and
//! says so ([`Response::Working`](crate::consensus::transport)).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::contact::Contact;
use super::raft_leader::RaftLeader;
use super::timings::Timings;
use crate::env::time::{Instant, MissedTickBehavior, interval};

/// Whether this leader suppresses heartbeats and appends. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuorumCheck {
    suppressed: Arc<AtomicBool>,
}

impl QuorumCheck {
    /// Whether this server is to send nothing as a leader.
    pub(crate) fn suppresses_heartbeats(&self) -> bool {
        self.suppressed.load(Ordering::Relaxed)
    }

    /// As if this leader had heard from no quorum.
    #[cfg(test)]
    pub(crate) fn suppress_heartbeats(&self) {
        self.set_suppressed(true);
    }

    fn set_suppressed(&self, suppressed: bool) {
        self.suppressed.store(suppressed, Ordering::Relaxed);
    }
}

/// Decides when a leader suppresses its heartbeats.
#[derive(Debug)]
struct Suppression {
    timings: Timings,
    /// The term that this server leads, and since when the others have had the chance to be heard.
    leads: Option<(u64, Instant)>,
    suppressed_until: Option<Instant>,
    last_check: Instant,
}

impl Suppression {
    fn new(timings: Timings) -> Self {
        Self { timings, leads: None, suppressed_until: None, last_check: Instant::now() }
    }

    /// Whether the leader of `term` suppresses its heartbeats from now on; `None` for a server that does not lead.
    /// `confirmed` is how long ago a majority last confirmed the lead in time, if ever. `is_active` says whether
    /// something came from a majority since a moment.
    fn update(
        &mut self,
        term: Option<u64>,
        confirmed: Option<Duration>,
        is_active: impl FnOnce(Instant) -> bool,
    ) -> bool {
        let now = Instant::now();
        // A process that was stopped or starved could not receive: that nothing came says nothing of the others.
        let was_away =
            now - std::mem::replace(&mut self.last_check, now) > self.timings.heartbeat * 3;
        let Some(term) = term else {
            (self.leads, self.suppressed_until) = (None, None);
            return false;
        };
        let since = match self.leads {
            Some((known, since)) if known == term && !was_away => since,
            Some(_) | None => {
                self.leads = Some((term, now));
                self.suppressed_until = None;
                return false;
            }
        };
        if let Some(until) = self.suppressed_until {
            if now < until {
                return true;
            }
            self.suppressed_until = None;
            self.leads = Some((term, now));
            return false;
        }
        let no_activity_after = self.timings.no_activity_after();
        let unconfirmed_after = self.timings.unconfirmed_after();
        let no_activity = now - since >= no_activity_after
            && !now.checked_sub(no_activity_after).is_none_or(is_active);
        let unconfirmed = now - since >= unconfirmed_after
            && confirmed.is_none_or(|confirmed| confirmed >= unconfirmed_after);
        if !no_activity && !unconfirmed {
            return false;
        }
        self.suppressed_until = Some(now + self.timings.suppress_for());
        true
    }
}

/// Checks once in a heartbeat whether this leader hears from a quorum, until `stop`.
pub(crate) async fn run(
    raft: Arc<dyn RaftLeader>,
    contact: Contact,
    quorum_check: QuorumCheck,
    timings: Timings,
    stop: CancellationToken,
) {
    let mut suppression = Suppression::new(timings);
    let mut ticks = interval(timings.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
        let view = raft.view();
        let was_suppressed = quorum_check.suppresses_heartbeats();
        let suppressed = suppression.update(view.term_led(), view.lease_age, |since| {
            contact.answering().has_majority(contact.own(), &view.voters, since)
        });
        if suppressed && !was_suppressed {
            tracing::debug!("this leader hears no majority, or too late, and falls silent");
        }
        quorum_check.set_suppressed(suppressed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::contact::PeerActivity;
    use super::*;

    const TICK: Duration = Duration::from_millis(40);

    fn suppression() -> Suppression {
        Suppression::new(Timings::default())
    }

    async fn pass(
        suppression: &mut Suppression,
        time: Duration,
        activity: &PeerActivity,
    ) -> Vec<bool> {
        let sets = [BTreeSet::from([1, 2, 3])];
        let mut suppressed = Vec::new();
        for _ in 0..time.as_millis() / TICK.as_millis() {
            tokio::time::advance(TICK).await;
            suppressed.push(
                suppression
                    .update(Some(7), Some(TICK), |since| activity.has_majority(1, &sets, since)),
            );
        }
        suppressed
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_hears_from_nobody_suppresses_heartbeats_for_a_while() {
        // One of two followers is enough. Without any, the leader sends nothing for longer than followers
        // wait for it, then sends again, as there may be nobody who could be elected.
        let (mut suppression, activity) = (suppression(), PeerActivity::default());
        assert!(
            pass(&mut suppression, Duration::from_millis(280), &activity).await.iter().all(|s| !s)
        );
        for _ in 0..20 {
            activity.note(3);
            assert!(
                pass(&mut suppression, Duration::from_millis(240), &activity)
                    .await
                    .iter()
                    .all(|s| !s)
            );
        }
        let suppressed = pass(&mut suppression, Duration::from_secs(3), &activity).await;
        let longest =
            suppressed.split(|suppressed| !suppressed).map(<[bool]>::len).max().unwrap_or(0);
        assert!(longest >= 14, "{suppressed:?}");
        assert!(
            suppressed.iter().filter(|suppressed| !**suppressed).count() > 15,
            "{suppressed:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_is_always_answered_too_late_suppresses_heartbeats() {
        // A leader that hears from the others but has lost its lease makes room for another after two seconds.
        let mut outcomes = Vec::new();
        for confirmed in [Some(Duration::from_millis(1999)), Some(Duration::from_secs(2)), None] {
            let mut suppression = suppression();
            let mut suppressed = false;
            for _ in 0..60 {
                tokio::time::advance(TICK).await;
                suppressed |= suppression.update(Some(7), confirmed, |_| true);
            }
            outcomes.push(suppressed);
        }
        assert_eq!(outcomes, [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_was_stopped_gives_the_others_time_to_be_heard() {
        // As it does after an election: while it was stopped nothing could come.
        let (mut suppression, activity) = (suppression(), PeerActivity::default());
        pass(&mut suppression, Duration::from_millis(120), &activity).await;
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(
            pass(&mut suppression, Duration::from_millis(280), &activity).await.iter().all(|s| !s)
        );
        assert!(!suppression.update(Some(8), None, |_| false), "another term");
        assert!(!suppression.update(None, None, |_| false), "it leads no more");
    }
}
