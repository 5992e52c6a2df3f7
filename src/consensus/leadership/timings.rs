//! All timings of the consensus in one value, and how they depend on each other.
//!
//! Three of them are settings. They are raised where servers are far apart, and the others follow: a leader could
//! not keep its lease if a round trip took longer than `election_max`, so `n` round trips take `n * election_max`
//! at most. A limit that a peer has to answer within is therefore the greater one of a usual value and of so many
//! `election_max` ([`Timings::for_round_trips`]). "rt" in the table stands for that.
//!
//! | timing | default | formula | who uses it, and for what |
//! |---|---|---|---|
//! | [`heartbeat`](Timings::heartbeat) | 40 ms | `raft.heartbeatMs` | Raft; check-quorum and lease keep-alive look this often |
//! | [`election_min`](Timings::election_min) | 100 ms | `raft.electionTimeoutMinMs` | Raft: the shortest random time behind the lease |
//! | [`election_max`](Timings::election_max) | 200 ms | `raft.electionTimeoutMaxMs` | Raft: the longest one |
//! | [`lease`](Timings::lease) | 200 ms | `election_max` | Raft: followers grant no vote within it, leaders propose within it |
//! | [`noop_due_after`](Timings::noop_due_after) | 60 ms | 1.5 `heartbeat` | lease keep-alive: a confirmation older than that is renewed |
//! | [`noop_back_off`](Timings::noop_back_off) | 10 times | | lease keep-alive: rests so many times as long as a no-op that outlasted the lease took |
//! | [`no_activity_after`](Timings::no_activity_after) | 300 ms | 1.5 `election_max`, 3 `heartbeat` | check-quorum: suppresses heartbeats when nothing came from a majority |
//! | [`unconfirmed_after`](Timings::unconfirmed_after) | 2 s | 10 `election_max` | check-quorum: suppresses them when all answers were late |
//! | [`suppress_for`](Timings::suppress_for) | 600 ms | 3 `election_max` | check-quorum: for how long |
//! | [`failover_grace`](Timings::failover_grace), [`failover_turn`](Timings::failover_turn) | 5 ms, 30 ms | | fast failover: when followers ask for votes behind the lease |
//! | [`read_confirmed_within`](Timings::read_confirmed_within) | 2 s | 2 rt | ReadIndex: a leader fails a read after that |
//! | [`quorum_age_max`](Timings::quorum_age_max) | 1 s | 2 rt | forward/server: tells followers that it has a quorum |
//! | [`leader_forgotten_after`](Timings::leader_forgotten_after) | 1 s | 3 `election_max` | bootstrap: a leader that was not heard from is none |
//! | [`report_every`](Timings::report_every) | 100 ms | | forward/client: reports to the leader, and asks whether it has a quorum |
//! | [`forward_idle_max`](Timings::forward_idle_max) | 2 s | 2 rt | forward: both ends give up a connection on which nothing comes |
//! | [`forward_open_within`](Timings::forward_open_within) | 2 s | 5 rt | forward/client: to connect, to greet, to open |
//! | [`forward_retry_after`](Timings::forward_retry_after) | 20 ms | | forward/client: rests before it connects again |
//! | [`resend_after`](Timings::resend_after) | 10 s | | forward/client: sends again what a leader has not applied |
//! | [`lead_known_within`](Timings::lead_known_within) | 500 ms | | forward/server: waits until it hears of its own election, too |
//! | [`full_log_retry_after`](Timings::full_log_retry_after) | 2 ms | | forward/server: looks again whether the log has room |
//! | [`reverse_dial_check_every`](Timings::reverse_dial_check_every) | 500 ms | | reverse dial: a follower without a connection at two checks is dialled |
//! | [`register_every`](Timings::register_every) | 500 ms | | proposer: registers its process again |
//! | [`refused_retry_after`](Timings::refused_retry_after) | 5 ms | | proposer: proposes again what a new leader's Raft refused |
//! | [`outcome_poll_every`](Timings::outcome_poll_every) | 20 ms | | proposer: polls the fate of entries that nobody waits for |
//! | [`WORKING_EVERY`] | 100 ms | | transport: a follower that still works on a request says so |
//! | [`reach_within`](Timings::reach_within) | 500 ms | 1 rt | transport: for one address of a peer to answer |
//! | [`connect_within`](Timings::connect_within) | 2 s | 4 rt | transport: to connect and greet |
//! | [`append_answered_within`](Timings::append_answered_within) | 2 s | 2 rt, and the bytes under way | transport: gives up a connection that owes an answer on which nothing comes |
//! | [`barrier_within`](Timings::barrier_within) | 1 s | 4 rt | the node: tries a read barrier anew before it serves clients |
//! | [`ContactLimits::contact_max`] | 10 s | `syncLimit` ticks | the node: clients are disconnected without contact to a quorum for so long |
//! | [`ContactLimits::read_only_after`] | 2 s | `tickTime`, at least 2 s | the node: read-only clients are served without contact for so long |
//!
//! What must hold, and why. The configuration refuses what breaks the first line. The others hold for the defaults
//! and for settings that are raised together, as `docs/operating.md` says; the test below checks them.
//!
//! 1. `heartbeat < election_min < election_max`: heartbeats keep a healthy leader, and random times differ.
//! 2. `noop_due_after < lease`: a no-op can renew the lease before it is over.
//! 3. `lease < no_activity_after` and `3 heartbeat <= no_activity_after`: a leader misses more than one heartbeat's
//!    answers before it gives up a lead that its followers would keep.
//! 4. `2 WORKING_EVERY < no_activity_after`: a follower with a slow disk is heard in time.
//! 5. `no_activity_after < unconfirmed_after`: late answers are borne for longer than none.
//! 6. `lease + election_max <= suppress_for`: every follower gets to ask for votes before the leader sends again.
//! 7. `failover_grace + 3 failover_turn < election_min`: four followers had their turns before random times decide.
//! 8. `2 heartbeat < quorum_age_max`: a leader that is answered counts as having a quorum.
//! 9. `2 report_every < forward_idle_max < resend_after`: a lost report breaks no connection, and a dead connection
//!    is found before its batches are sent again.
//! 10. `lease < leader_forgotten_after`: bootstrap does not forget a leader that Raft still follows.
//! 11. `lease + election_max < contact_max`: an election costs no connection of a client.
//! 12. `forward_idle_max + report_every < contact_max`: nor does a broken connection for forwarding.
//! 13. `reach_within < connect_within`: a host with several addresses is not given up for the first one.
//! 14. `2 WORKING_EVERY < append_answered_within`: a follower that still works keeps its connection.
//!
//! Sessions are timed by `tickTime` and by the time in which the ensemble had leaders. No timing here shortens or
//! lengthens that.

use std::time::Duration;

/// A request that takes a follower longer is answered by "still working" meanwhile, this often.
pub(crate) const WORKING_EVERY: Duration = Duration::from_millis(100);

/// The timings of the consensus. They have no part in ZooKeeper's `tickTime`, which times sessions. Fields with
/// `_min` are the usual value of a limit that [`Timings::for_round_trips`] may raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timings {
    /// How often a leader tells that it is there.
    pub heartbeat: Duration,
    /// A follower that hears nothing grants its vote to another after `election_max`, and asks for
    /// votes itself when a time has passed on top that is drawn anew each time, from this one...
    pub election_min: Duration,
    /// ... up to this one, so that two rarely ask at once.
    pub election_max: Duration,
    /// How long after the lease the first follower of a process that ended asks for votes: the others may have
    /// heard from the leader a little later.
    pub failover_grace: Duration,
    /// How long each follower has before the next one asks: more than an election takes among servers near each
    /// other.
    pub failover_turn: Duration,
    /// After a no-op that took longer than a lease, none is appended for so many times as long.
    pub noop_back_off: u32,
    /// How long a leader waits for a majority to confirm a read. It knows earlier when it is deposed.
    pub read_confirmed_min: Duration,
    /// A leader behind which a majority stood this lately tells its followers that it has a quorum.
    pub quorum_age_min: Duration,
    /// A leader from which no request came for so long counts as none while an ensemble is formed.
    pub leader_forgotten_min: Duration,
    /// How often a follower reports to its leader.
    pub report_every: Duration,
    /// A connection for forwarding is given up when nothing came on it for so long.
    pub forward_idle_min: Duration,
    /// How long a follower rests when it could not connect to its leader, or lost the connection.
    pub forward_retry_after: Duration,
    /// What a follower sent and is not applied after so long goes again: the leader may have lost it.
    pub resend_after: Duration,
    /// How long a follower that heard of a new leader waits for that server to hear of it too.
    pub lead_known_within: Duration,
    /// How long a leader whose log has no room rests before it looks again.
    pub full_log_retry_after: Duration,
    /// How often a leader checks which followers have no connection.
    pub reverse_dial_check_every: Duration,
    /// How long to wait before a registration that was not seen to be applied is proposed again.
    pub register_every: Duration,
    /// How long to wait after an entry was refused although this server leads: a new leader refuses until a
    /// majority has answered it.
    pub refused_retry_after: Duration,
    /// How often the fate of entries is polled that nobody waits for.
    pub outcome_poll_every: Duration,
    /// How long one address of a peer may take to answer at all: a server that comes back is soon tried again.
    pub reach_min: Duration,
    /// How long connecting to a peer and greeting it may take.
    pub connect_min: Duration,
    /// A connection for appends is given up when nothing came for so long while an answer is owed. A peer that
    /// still works says so every [`WORKING_EVERY`].
    pub append_answered_min: Duration,
    /// How long a read barrier may take before the node tries it anew.
    pub barrier_min: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            heartbeat: ms(40),
            election_min: ms(100),
            election_max: ms(200),
            failover_grace: ms(5),
            failover_turn: ms(30),
            noop_back_off: 10,
            read_confirmed_min: ms(2000),
            quorum_age_min: ms(1000),
            leader_forgotten_min: ms(1000),
            report_every: ms(100),
            forward_idle_min: ms(2000),
            forward_retry_after: ms(20),
            resend_after: ms(10_000),
            lead_known_within: ms(500),
            full_log_retry_after: ms(2),
            reverse_dial_check_every: ms(500),
            register_every: ms(500),
            refused_retry_after: ms(5),
            outcome_poll_every: ms(20),
            reach_min: ms(500),
            connect_min: ms(2000),
            append_answered_min: ms(2000),
            barrier_min: ms(1000),
        }
    }
}

impl Timings {
    /// Time enough for so many packets there and back, and at least `usual`. A leader could not keep its lease if
    /// one took longer than `election_max`, so these timings are raised where servers are far apart.
    fn for_round_trips(&self, count: u32, usual: Duration) -> Duration {
        usual.max(self.election_max * count)
    }

    /// How long an answer keeps the lead, counted from when its request was sent. Followers grant no vote for as
    /// long.
    pub(crate) fn lease(&self) -> Duration {
        self.election_max
    }

    /// How old the last confirmation of the lead may be before a no-op is appended.
    pub(crate) fn noop_due_after(&self) -> Duration {
        self.heartbeat * 3 / 2
    }

    /// A leader to which nothing came from a majority for so long suppresses its heartbeats.
    pub(crate) fn no_activity_after(&self) -> Duration {
        (self.election_max * 3 / 2).max(self.heartbeat * 3)
    }

    /// A leader whose lead no majority confirmed for so long suppresses its heartbeats. Long: a follower whose disk
    /// is slow answers late, and would be no better leader.
    pub(crate) fn unconfirmed_after(&self) -> Duration {
        self.election_max * 10
    }

    /// For how long it does: followers take it for lost, wait their random time on top, and elect.
    pub(crate) fn suppress_for(&self) -> Duration {
        self.election_max * 3
    }

    /// How long a leader waits for a majority to confirm a read.
    pub(crate) fn read_confirmed_within(&self) -> Duration {
        self.for_round_trips(2, self.read_confirmed_min)
    }

    /// A leader behind which a majority stood this lately has a quorum.
    pub(crate) fn quorum_age_max(&self) -> Duration {
        self.for_round_trips(2, self.quorum_age_min)
    }

    /// A leader from which no request came for so long counts as none.
    pub(crate) fn leader_forgotten_after(&self) -> Duration {
        self.for_round_trips(3, self.leader_forgotten_min)
    }

    /// A connection for forwarding is given up when nothing came on it for so long.
    pub(crate) fn forward_idle_max(&self) -> Duration {
        self.for_round_trips(2, self.forward_idle_min)
    }

    /// How long a follower waits for a connection to its leader: to connect, to greet, to open.
    pub(crate) fn forward_open_within(&self) -> Duration {
        self.for_round_trips(5, self.forward_idle_min)
    }

    /// How long one address of a peer may take to answer at all.
    pub(crate) fn reach_within(&self) -> Duration {
        self.for_round_trips(1, self.reach_min)
    }

    /// How long connecting to a peer may take: to connect, for the two of TLS, to greet.
    pub(crate) fn connect_within(&self) -> Duration {
        self.for_round_trips(4, self.connect_min)
    }

    /// A connection for appends is given up when nothing came for so long while an answer is owed, besides the time
    /// that the bytes under way take.
    pub(crate) fn append_answered_within(&self) -> Duration {
        self.for_round_trips(2, self.append_answered_min)
    }

    /// How long a read barrier may take before the node tries it anew: two round trips of its own, and two of the
    /// leader.
    pub(crate) fn barrier_within(&self) -> Duration {
        self.for_round_trips(4, self.barrier_min)
    }
}

/// Ticks without contact after which clients are disconnected, where the configuration does not say.
const SYNC_LIMIT_TICKS_DEFAULT: u32 = 5;

/// Reads without a quorum are offered after a tick, but not before this (`QuorumPeer.run`).
const READ_ONLY_AFTER_MIN: Duration = Duration::from_secs(2);

/// How long the node goes on without contact to a quorum. They come from ZooKeeper's settings, unlike [`Timings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactLimits {
    /// Clients are disconnected after so long without contact (`syncLimit`).
    pub contact_max: Duration,
    /// Reads are offered after so long without contact, where that is wanted (`readonlymode.enabled`).
    pub read_only_after: Duration,
}

impl ContactLimits {
    /// The limits for this `tickTime` and `syncLimit`; 0 ticks stand for the default.
    pub fn new(tick: Duration, sync_limit_ticks: u32) -> Self {
        let ticks = match sync_limit_ticks {
            0 => SYNC_LIMIT_TICKS_DEFAULT,
            ticks => ticks,
        };
        Self { contact_max: tick * ticks, read_only_after: tick.max(READ_ONLY_AFTER_MIN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits fit each other with this `tickTime` and `syncLimit`.
    fn check(timings: Timings, (tick_ms, sync_limit_ticks): (u64, u32)) {
        let tick = Duration::from_millis(tick_ms);
        let ContactLimits { contact_max, .. } = ContactLimits::new(tick, sync_limit_ticks);
        let Timings { heartbeat, election_min, election_max, report_every, .. } = timings;
        let lease = timings.lease();
        let in_order = [
            ("1", heartbeat, election_min),
            ("1", election_min, election_max),
            ("2", timings.noop_due_after(), lease),
            ("3", lease, timings.no_activity_after()),
            ("4", WORKING_EVERY * 2, timings.no_activity_after()),
            ("5", timings.no_activity_after(), timings.unconfirmed_after()),
            ("7", timings.failover_grace + timings.failover_turn * 3, election_min),
            ("8", heartbeat * 2, timings.quorum_age_max()),
            ("9", report_every * 2, timings.forward_idle_max()),
            ("9", timings.forward_idle_max(), timings.resend_after),
            ("10", lease, timings.leader_forgotten_after()),
            ("11", lease + election_max, contact_max),
            ("12", timings.forward_idle_max() + report_every, contact_max),
            ("13", timings.reach_within(), timings.connect_within()),
            ("14", WORKING_EVERY * 2, timings.append_answered_within()),
        ];
        for (rule, less, more) in in_order {
            assert!(less < more, "rule {rule}: {less:?} and {more:?} of {timings:?}");
        }
        assert!(heartbeat * 3 <= timings.no_activity_after(), "rule 3 of {timings:?}");
        assert!(lease + election_max <= timings.suppress_for(), "rule 6 of {timings:?}");
    }

    fn raised(heartbeat: u64, election_min: u64, election_max: u64) -> Timings {
        let [heartbeat, election_min, election_max] =
            [heartbeat, election_min, election_max].map(Duration::from_millis);
        Timings { heartbeat, election_min, election_max, ..Timings::default() }
    }

    #[test]
    fn limits_that_depend_on_each_other_are_in_order() {
        // By default, for servers that are far apart, and for ticks and limits of ZooKeeper's from short to long.
        for zookeeper in [(500, 5), (2000, 2), (2000, 0), (3000, 10), (10_000, 5)] {
            check(Timings::default(), zookeeper);
            check(raised(80, 200, 400), zookeeper);
        }
        for zookeeper in [(2000, 5), (3000, 10), (10_000, 5)] {
            check(raised(200, 1000, 2000), zookeeper);
            check(raised(500, 2000, 4000), zookeeper);
        }
    }

    #[test]
    fn contact_limits_are_those_of_zookeeper() {
        // `syncLimit` counts ticks, five where it is not given; reads alone are offered after a tick, not before 2
        // s.
        let limits = |tick_ms, ticks| {
            let limits = ContactLimits::new(Duration::from_millis(tick_ms), ticks);
            (limits.contact_max.as_millis(), limits.read_only_after.as_millis())
        };
        assert_eq!(limits(2000, 0), (10_000, 2000));
        assert_eq!(limits(3000, 2), (6000, 3000));
        assert_eq!(limits(500, 10), (5000, 2000));
    }

    #[test]
    fn limits_follow_the_round_trip_where_servers_are_far_apart() {
        // Who raises the three settings need not raise anything else.
        let far = raised(500, 2000, 4000);
        let seconds = Duration::from_secs;
        assert_eq!(far.read_confirmed_within(), seconds(8));
        assert_eq!(far.forward_open_within(), seconds(20));
        assert_eq!((far.reach_within(), far.connect_within()), (seconds(4), seconds(16)));
        assert_eq!(Timings::default().connect_within(), seconds(2));
        assert_eq!(Timings::default().read_confirmed_within(), seconds(2));
        assert_eq!(Timings::default().leader_forgotten_after(), seconds(1));
    }
}
