//! Formation's view of openraft.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::super::leadership::fast_failover::FastFailover;
use super::super::raft::node::{MembershipView, RaftNode};
use super::super::start::Timings;
use super::super::status::Role;
use super::super::transport::AddressBook;
use super::task::{RaftControl, View};

/// A leader that was not heard of for this long is none, at least.
const CONTACT_MIN: Duration = Duration::from_secs(1);

/// Formation's view of openraft.
pub(crate) struct Control {
    raft: RaftNode,
    own: u64,
    failover: FastFailover,
    book: AddressBook,
    contact: Duration,
}

impl Control {
    pub(crate) fn new(
        raft: RaftNode,
        own: u64,
        failover: FastFailover,
        book: AddressBook,
        timings: Timings,
    ) -> Self {
        let contact = CONTACT_MIN.max(timings.election_max * 3);
        Self { raft, own, failover, book, contact }
    }

    fn is_heard(&self, leader: u64) -> bool {
        let heard = self.failover.last_activity(leader);
        leader == self.own || heard.is_some_and(|at| at.elapsed() < self.contact)
    }
}

impl RaftControl for Control {
    fn view(&self) -> View {
        let MembershipView { last_index, voters, members, leader, role } = self.raft.membership();
        // Raft names a leader of the past, and this server before it is elected.
        let leader = leader.filter(|leader| self.is_heard(*leader));
        let is_candidate = leader == Some(self.own) && role != Role::Leader;
        let leader = leader.filter(|_| !is_candidate);
        View { last_index, voters, members, leader, agreed: self.book.is_agreed() }
    }

    fn initialize(&self, members: BTreeMap<u64, String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(self.raft.initialize(members))
    }

    fn allow_elections(&self) {
        self.raft.allow_elections();
    }
}
