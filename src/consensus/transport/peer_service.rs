//! What the acceptor asks of the rooms above it.
//!
//! They implement these, so that the way between servers knows neither how Raft is done nor how an ensemble is formed.

use futures_util::future::BoxFuture;

use super::message::{
    AppendRequest, Response, SnapshotMeta, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use super::snapshot_sender::SnapshotRows;
use super::stream::PeerStream;
use crate::storage::{LogPosition, Vote};

/// The Raft of this server, as peers ask it. A text is why it cannot answer.
pub(crate) trait RaftService: Send + Sync {
    /// The term of this server's vote.
    fn term(&self) -> u64;

    /// Appends entries. What is asked first is appended first: the request has its place when the future was polled
    /// once.
    fn append(&self, request: AppendRequest) -> BoxFuture<'static, Response>;

    /// Votes.
    fn vote(&self, request: VoteRequest) -> BoxFuture<'_, Result<VoteResponse, String>>;

    /// Says whether it would vote.
    fn pre_vote(&self, request: VoteRequest) -> BoxFuture<'_, Result<VoteResponse, String>>;

    /// Takes note that the leader hands over.
    fn transfer_leader(
        &self,
        request: TransferLeaderRequest,
    ) -> BoxFuture<'_, Result<TransferLeaderResponse, String>>;

    /// Whether a leader with this vote is to send a checkpoint that ends at `last`. Else the answer: a later vote tells
    /// the leader that it leads no more; its own, that all is well.
    fn wants_snapshot(&self, vote: Vote, last: Option<LogPosition>)
    -> Result<(), SnapshotResponse>;

    /// Replaces the state by a checkpoint.
    fn install_snapshot(
        &self,
        vote: Vote,
        meta: SnapshotMeta,
        rows: SnapshotRows,
    ) -> BoxFuture<'_, Result<SnapshotResponse, String>>;
}

/// Answers servers that look for their ensemble.
pub(crate) trait BootstrapService: Send + Sync {
    /// Answers member `from` until the connection ends.
    fn answer(&self, stream: PeerStream, from: u64) -> BoxFuture<'_, ()>;
}
