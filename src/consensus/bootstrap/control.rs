//! How bootstrap sees this server's Raft.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::super::leadership::contact::Contact;
use super::super::leadership::timings::Timings;
use super::super::raft::{MembershipView, RaftNode};
use super::super::status::Role;
use super::super::transport::AddressBook;
use super::task::{EnsembleView, RaftControl};

/// This server's Raft, as bootstrap sees it.
pub(crate) struct RaftNodeControl {
    raft: RaftNode,
    contact: Contact,
    book: AddressBook,
    /// A leader of which nothing came for this long is none.
    forgotten_after: Duration,
}

impl RaftNodeControl {
    pub(crate) fn new(
        raft: RaftNode,
        contact: Contact,
        book: AddressBook,
        timings: Timings,
    ) -> Self {
        let forgotten_after = timings.leader_forgotten_after();
        Self { raft, contact, book, forgotten_after }
    }

    fn is_heard(&self, leader: u64) -> bool {
        let last = self.contact.requesting().last(leader);
        leader == self.contact.own() || last.is_some_and(|at| at.elapsed() < self.forgotten_after)
    }
}

impl RaftControl for RaftNodeControl {
    fn view(&self) -> EnsembleView {
        let MembershipView { last_index, voters, members, leader, role } = self.raft.membership();
        // Raft names a leader of the past, and this server before it is elected.
        let leader = leader.filter(|leader| self.is_heard(*leader));
        let is_candidate = leader == Some(self.contact.own()) && role != Role::Leader;
        let leader = leader.filter(|_| !is_candidate);
        EnsembleView { last_index, voters, members, leader, agreed: self.book.is_agreed() }
    }

    fn initialize(&self, members: BTreeMap<u64, String>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(self.raft.initialize(members))
    }

    fn allow_elections(&self) {
        self.raft.allow_elections();
    }
}
