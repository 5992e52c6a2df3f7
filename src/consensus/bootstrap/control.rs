//! Formation's view of openraft.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::{BasicNode, Raft};

use super::super::leadership::fast_failover::FastFailover;
use super::super::raft::handle::BoxFuture;
use super::super::raft::start::Timings;
use super::super::raft::state_machine::Machine;
use super::super::raft::types::TypeConfig;
use super::super::transport::AddressBook;
use super::task::{RaftControl, View};

/// A leader that was not heard of for this long is none, at least.
const CONTACT_MIN: Duration = Duration::from_secs(1);

/// Formation's view of openraft.
pub(crate) struct Control {
    raft: Raft<TypeConfig, Machine>,
    own: u64,
    failover: FastFailover,
    book: AddressBook,
    contact: Duration,
}

impl Control {
    pub(crate) fn new(
        raft: Raft<TypeConfig, Machine>,
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
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let nodes = membership.nodes().map(|(id, node)| (*id, node.addr.clone()));
        // openraft names a leader of the past, and this server before it is elected.
        let leader = metrics.current_leader.filter(|leader| self.is_heard(*leader));
        let is_candidate = leader == Some(self.own) && !metrics.state.is_leader();
        View {
            last_index: metrics.last_log_index,
            voters: membership.voter_ids().collect(),
            members: nodes.collect(),
            leader: leader.filter(|_| !is_candidate),
            agreed: self.book.is_agreed(),
        }
    }

    fn initialize(&self, members: BTreeMap<u64, String>) -> BoxFuture<'_, Result<(), String>> {
        let nodes = members.into_iter().map(|(id, address)| (id, BasicNode::new(address)));
        let nodes: BTreeMap<u64, BasicNode> = nodes.collect();
        Box::pin(
            async move { self.raft.initialize(nodes).await.map_err(|error| error.to_string()) },
        )
    }

    fn allow_elections(&self) {
        self.raft.runtime_config().elect(true);
    }
}
